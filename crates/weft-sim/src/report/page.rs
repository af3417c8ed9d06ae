//! The page: one file without scripts that needs nothing else, for screens of any width, light or
//! dark, and for paper.

use super::checks::teams_compared;
use super::words::{count, counted, day, left, safe};
use super::{distributions, groups, machines, small_print, summary};
use crate::study::Findings;

/// Colours as variables, so that dark and print are a few lines; figures take what they need.
const STYLE: &str = "
:root{--bg:#fff;--fg:#1c2127;--dim:#5b6570;--line:#d9dee3;--soft:#f4f6f8;--good:#0f7a3d;
--bad:#b3261e;
--c0:#c2570c;--c1:#1d4ed8;--c2:#6b7280;--c3:#8b5cf6;--c4:#0d9488;--c5:#b45309}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--dim:#9aa4ae;--line:#343b42;
--soft:#1e2327;--good:#4ade80;--bad:#f87171;--c0:#fb923c;--c1:#60a5fa;--c2:#9ca3af;--c3:#c4b5fd;
--c4:#2dd4bf;
--c5:#fbbf24}}
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,
'Segoe UI',sans-serif}
main{max-width:50rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.25;margin:.2em 0}h2{font-size:1.25rem;margin:2.4em 0 .4em;
padding-top:.6em;border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.6em 0 .3em}
p,ul{margin:.6em 0}li{margin:.25em 0}.dim{color:var(--dim)}small,.small{font-size:.85rem}
code,pre{font:.85em/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}code{overflow-wrap:anywhere}
pre{background:var(--soft);padding:.7em .9em;border-radius:6px;white-space:pre-wrap;
overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.7rem;
margin:1.2em 0}
.card{background:var(--soft);border-radius:8px;padding:.8rem .9rem}.card b{display:block;
font-size:1.5rem;
line-height:1.2}.card span{color:var(--dim);font-size:.85rem}
.note{border-left:4px solid var(--bad);background:var(--soft);padding:.6em 1em;
border-radius:0 6px 6px 0}
.scroll,.plot{overflow-x:auto}.plot svg{display:block;width:100%;min-width:34rem;height:auto}
table{border-collapse:collapse;width:100%;font-size:.85rem;margin:.6em 0}
th,td{text-align:left;padding:.3em .6em .3em 0;border-bottom:1px solid var(--line);
vertical-align:top}
th{font-weight:600;color:var(--dim)}.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}
th.n{white-space:normal}
.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.85rem;color:var(--dim);
margin:.8em 0 .2em}
.k{display:inline-flex;align-items:center;gap:.45em}.swatch{overflow:visible}
.dot,.box{display:inline-block;width:9px;height:9px}.dot{border-radius:50%}
.b0{background:var(--c0)}.b1{background:var(--c1)}.b2{background:var(--c2)}.b3{background:var(--c3)}
.b4{background:var(--c4)}.b5{background:var(--c5)}
.f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}
.f5{fill:var(--c5)}
svg path{fill:none;stroke-width:2;stroke-linejoin:round}.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}
.s2{stroke:var(--c2);stroke-dasharray:6 3}.s3{stroke:var(--c3);stroke-dasharray:2 3}
.s4{stroke:var(--c4);stroke-dasharray:8 3 2 3}.s5{stroke:var(--c5);stroke-dasharray:1 4}
.g{stroke:var(--line);stroke-width:1}.l{fill:var(--dim);font-size:12px}
.join{stroke:var(--c1);stroke-width:2;opacity:.45}.join.worse{stroke:var(--bad);opacity:.9}
details{margin:.4em 0 1em}summary{cursor:pointer;color:var(--dim);font-size:.85rem}
@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#ccc;--soft:#f4f4f4;--good:#0f7a3d;
--bad:#b3261e;
--c0:#c2570c;--c1:#1d4ed8;--c2:#6b7280;--c3:#8b5cf6;--c4:#0d9488;--c5:#b45309}
main{max-width:none;padding:0}h2{break-after:avoid}.plot,tr,.card{break-inside:avoid}
details::details-content{content-visibility:visible;display:block}.plot svg{min-width:0}}
";

/// The whole page.
#[must_use]
pub fn page(findings: &Findings) -> String {
    let title = title(findings);
    let sections = [
        head(findings, &title),
        summary::section(findings),
        summary::sources(findings),
        distributions::used(findings),
        distributions::waits(findings),
        groups::teams(findings),
        groups::who(findings),
        groups::sizes(findings),
        machines::fewer(findings),
        machines::what_if(findings),
        small_print::shares(findings),
        small_print::assumptions(findings),
        small_print::limits(findings),
        small_print::repeat(findings),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body><main>\n{}\n</main></body></html>\n",
        safe(&title),
        sections.join("\n")
    )
}

fn title(findings: &Findings) -> String {
    let names: Vec<&str> =
        findings.runs.iter().take(findings.asked).map(|ran| ran.policy.name.as_str()).collect();
    format!("Your log under {}", names.join(" and "))
}

fn head(findings: &Findings, title: &str) -> String {
    let trace = &findings.trace;
    let to = findings.left.as_ref().map_or(trace.to, |left| left.until.max(trace.from));
    let [from, to] = [trace.from, to].map(|at| day(at, trace.has_dates));
    let note = left(findings).map_or(String::new(), |[what, missing]| {
        format!(
            "<p class=\"note\"><b>This was left early.</b> {} {} Run it to its end before you \
             decide anything by it.</p>",
            safe(&what),
            safe(&missing)
        )
    });
    format!(
        "<h1>{}</h1><p class=\"dim\">{} of {} in {}, {from} to {to}, replayed on {} GPUs \
         (<code>{}</code>).</p>{note}",
        safe(title),
        counted(trace.compared as u64, "job"),
        counted(teams_compared(findings) as u64, "team"),
        safe(&trace.file),
        count(findings.devices),
        safe(&findings.cluster),
    )
}
