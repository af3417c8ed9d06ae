//! In plain words: what would have been, and where the difference comes from.

use super::checks::{checks, teams_compared, worse_teams};
use super::plot::table;
use super::words::{change, count, counted, name, percent, safe, thousandths, time};
use crate::study::{Findings, Ran};

/// Teams named in a sentence.
const NAMED: usize = 5;

pub(super) fn section(findings: &Findings) -> String {
    let asked = &findings.runs[..findings.asked.min(findings.runs.len())];
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else {
        return String::new();
    };
    if findings.trace.compared == 0 {
        return "<h2>In short</h2><p>No job of the log ended under every policy: there is nothing \
                to compare. What was left out, and why, stands below.</p>"
            .to_owned();
    }
    let mut lines = Vec::new();
    let (before, after) = (&first.figures, &last.figures);
    let (a, b) = (safe(&first.policy.name), safe(&last.policy.name));
    if asked.len() == 1 {
        lines.push(format!(
            "With <i>{a}</i>, jobs wait {} on average before they start; half wait {} or less, one \
             in twenty more than {}. From submission to the end they take {} on average.",
            time(before.wait.mean),
            time(before.wait.p50),
            time(before.wait.p95),
            time(before.completion.mean)
        ));
    } else {
        lines.push(format!(
            "On the same accelerators, jobs wait <b>{}</b> on average before they start with \
             <i>{a}</i> and <b>{}</b> with <i>{b}</i>. One in twenty waits more than {} with \
             <i>{a}</i>, and more than {} with <i>{b}</i>.",
            time(before.wait.mean),
            time(after.wait.mean),
            time(before.wait.p95),
            time(after.wait.p95)
        ));
        lines.push(format!(
            "From submission to the end they take {} on average with <i>{a}</i> and {} with \
             <i>{b}</i>, suspensions included.",
            time(before.completion.mean),
            time(after.completion.mean)
        ));
        lines.push(outcomes(findings));
        lines.push(losers(findings));
    }
    lines.extend(findings.fewer.first().map(|_| bought(findings)));
    if let Some(claims) = last.claims.filter(|claims| claims.made > 0) {
        lines.push(format!(
            "{} of {} times that a team asked for no more than it is guaranteed, it had that \
             within {} ({}).",
            count(claims.honoured as u64),
            count(claims.made as u64),
            time(last.policy.bound.0),
            percent(claims.honoured as u128, claims.made as u128)
        ));
    }
    let items: String = lines.iter().map(|line| format!("<li>{line}</li>")).collect();
    let cards = if asked.len() > 1 { cards(findings, first, last) } else { String::new() };
    format!("<h2>In short</h2>{cards}<ul>{items}</ul>{}", goals(findings))
}

fn cards(findings: &Findings, first: &Ran, last: &Ran) -> String {
    let card = |value: String, label: String| {
        format!("<div class=\"card\"><b>{value}</b><span>{label}</span></div>")
    };
    let (before, after) = (&first.figures, &last.figures);
    let mut cards = card(
        change(before.wait.mean, after.wait.mean),
        format!("mean wait: {} → {}", time(before.wait.mean), time(after.wait.mean)),
    );
    cards += &card(
        change(before.completion.mean, after.completion.mean),
        format!(
            "mean time to the end: {} → {}",
            time(before.completion.mean),
            time(after.completion.mean)
        ),
    );
    let teams = teams_compared(findings);
    let better = teams - worse_teams(findings).len();
    cards +=
        &card(format!("{better} of {teams}"), "teams that wait no longer, on average".to_owned());
    if let Some(fewer) = findings.fewer.iter().min_by_key(|fewer| findings.devices - fewer.devices)
    {
        cards += &card(
            format!("{} of {}", fewer.devices, findings.devices),
            format!("GPUs in a pool are no worse than all in {}", safe(&fewer.than)),
        );
    }
    format!("<div class=\"cards\">{cards}</div>")
}

fn outcomes(findings: &Findings) -> String {
    let all = findings.trace.compared as u128;
    format!(
        "{} of the jobs ({}) end more than five minutes earlier, {} ({}) more than five minutes \
         later; the latest of those are listed below.",
        count(findings.ends_earlier as u64),
        percent(findings.ends_earlier as u128, all),
        count(findings.ends_later as u64),
        percent(findings.ends_later as u128, all)
    )
}

fn losers(findings: &Findings) -> String {
    let worse = worse_teams(findings);
    if worse.is_empty() {
        return format!("No team of {} waits longer on average.", teams_compared(findings));
    }
    let names: Vec<String> =
        worse.iter().take(NAMED).map(|at| name(&findings.teams[*at].team)).collect();
    let more = worse.len().saturating_sub(NAMED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "{} of {} wait longer on average: {}{rest}.",
        worse.len(),
        counted(teams_compared(findings) as u64, "team"),
        names.join(", ")
    )
}

fn bought(findings: &Findings) -> String {
    let one = |fewer: &crate::study::Fewer| {
        format!(
            "{} GPUs are no worse than {} as <i>{}</i>",
            count(fewer.devices),
            count(findings.devices),
            safe(&fewer.than)
        )
    };
    let all: Vec<String> = findings.fewer.iter().map(one).collect();
    format!("In one pool, {}.", all.join("; "))
}

fn goals(findings: &Findings) -> String {
    let rows: Vec<Vec<String>> = checks(findings)
        .into_iter()
        .map(|check| {
            let class = if check.met { "good" } else { "bad" };
            let word = if check.met { "met" } else { "missed" };
            vec![
                safe(&check.what),
                check.goal.to_owned(),
                safe(&check.found),
                format!("<span class=\"{class}\">{word}</span>"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let table = table(&["What a pool should bring", "goal", "here", ""], &rows);
    format!("<h3>Goals beside what was found</h3>{table}")
}

/// Where the difference comes from: every run in one table.
pub(super) fn sources(findings: &Findings) -> String {
    if findings.runs.len() < 2 || findings.trace.compared == 0 {
        return String::new();
    }
    let row = |ran: &Ran| {
        let figures = &ran.figures;
        let what = ran
            .beside
            .as_ref()
            .map_or(String::new(), |what| format!("<br><span class=\"dim\">{}</span>", safe(what)));
        let missing = findings.trace.compared.saturating_sub(figures.wait.count);
        let missing = match missing {
            0 => String::new(),
            some => {
                format!("<br><span class=\"bad\">{} never ran</span>", counted(some as u64, "job"))
            }
        };
        vec![
            format!("{}{what}{missing}", safe(&ran.policy.name)),
            time(figures.wait.mean),
            time(figures.wait.p95),
            time(figures.wait.max),
            time(figures.completion.mean),
            thousandths(figures.slowdown_milli),
            count(figures.suspensions),
        ]
    };
    let headers = [
        "policy",
        ">mean wait",
        ">95 % wait less than",
        ">longest wait",
        ">mean time to the end",
        ">mean slowdown",
        ">suspensions",
    ];
    let rows: Vec<Vec<String>> = findings.runs.iter().map(row).collect();
    let logged = findings.logged_wait.map_or(String::new(), |wait| {
        format!(
            "<p>The log says itself when {} started: they waited {} on average, one in twenty more \
             than {}. How near the first row comes to that says how well it stands for what you \
             have; a difference is what the log does not show, such as machines taken out, other \
             limits, or jobs that were held on purpose.</p>",
            counted(wait.count as u64, "job"),
            time(wait.mean),
            time(wait.p95)
        )
    });
    let between = match findings.runs.len() > findings.asked {
        false => "",
        true => {
            "<p>Between the policies that are compared more than one thing changes. The rows below \
             them change one at a time, and give the other side its best.</p>"
        }
    };
    let table = table(&headers, &rows);
    format!("<h2>Where the difference comes from</h2>{between}{table}{logged}")
}
