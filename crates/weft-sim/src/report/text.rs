//! The findings as a few lines for a terminal.

use super::checks::checks;
use super::words::{count, counted, left, plain, time};
use crate::study::{Findings, Ran};
use std::fmt::Write as _;

/// A table of the runs, the goals, and the pools that are no worse.
#[must_use]
pub fn text(findings: &Findings) -> String {
    let mut out = String::new();
    let trace = &findings.trace;
    let _ = writeln!(
        out,
        "{} of {} compared, {} GPUs ({})",
        counted(trace.compared as u64, "job"),
        counted(trace.teams as u64, "team"),
        count(findings.devices),
        plain(&findings.cluster)
    );
    let _ = writeln!(
        out,
        "\n{:<25} {:>10} {:>10} {:>12} {:>12}",
        "", "mean wait", "p95 wait", "mean to end", "suspensions"
    );
    for ran in &findings.runs {
        let _ = writeln!(out, "{}", row(ran));
    }
    let checks = checks(findings);
    if !checks.is_empty() && trace.compared > 0 {
        let _ = writeln!(out, "\ngoals");
    }
    for check in checks.iter().filter(|_| trace.compared > 0) {
        let word = if check.met { "met   " } else { "MISSED" };
        let _ = writeln!(out, "  {word} {}: {} (goal {})", check.what, check.found, check.goal);
    }
    if !findings.fewer.is_empty() {
        let _ = writeln!(out, "\nGPUs that need not be bought");
    }
    for fewer in &findings.fewer {
        let _ = writeln!(
            out,
            "  {} of {}: a pool of {} is no worse than {}",
            findings.devices - fewer.devices,
            findings.devices,
            fewer.devices,
            plain(&fewer.than)
        );
    }
    if let Some([what, missing]) = left(findings) {
        let _ = writeln!(out, "\nLEFT EARLY. {what} {}", plain(&missing));
    }
    // A terminal breaks no lines.
    out.replace('\u{a0}', " ")
}

fn row(ran: &Ran) -> String {
    let figures = &ran.figures;
    format!(
        "{:<25} {:>10} {:>10} {:>12} {:>12}",
        plain(&ran.policy.name),
        time(figures.wait.mean),
        time(figures.wait.p95),
        time(figures.completion.mean),
        count(figures.suspensions)
    )
}
