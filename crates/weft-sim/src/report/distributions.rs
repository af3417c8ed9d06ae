//! The use of the pool over time, and waits and completion times as distributions.

use super::plot::{Line, curves, over_time, raw, spread, table};
use super::words::{count, day, device_hours, percent, safe, thousandths};
use crate::study::{Findings, Ran};

/// Marks on the axis of time.
const MARKS: u64 = 6;

fn asked(findings: &Findings) -> &[Ran] {
    &findings.runs[..findings.asked.min(findings.runs.len())]
}

pub(super) fn used(findings: &Findings) -> String {
    let runs = asked(findings);
    if findings.trace.compared == 0 {
        return String::new();
    }
    let line = |(style, ran): (usize, &Ran)| {
        let step = ran.used_step as f64;
        let points = (0..)
            .zip(&ran.used_milli)
            .map(|(at, milli): (u32, _)| ((f64::from(at) + 0.5) * step, *milli as f64 / 1000.0));
        Line { name: ran.policy.name.clone(), style, points: points.collect() }
    };
    let lines: Vec<Line> = (0..).zip(runs).map(line).collect();
    let (from, span) = runs
        .first()
        .map_or((0, 0), |ran| (ran.used_from, ran.used_step * ran.used_milli.len() as u64));
    let mark = |at: u64| {
        let ms = span * at / MARKS;
        (ms as f64, day(from + ms, findings.trace.has_dates))
    };
    let marks: Vec<(f64, String)> = (1..MARKS).map(mark).collect();
    let plot = over_time("GPUs in use over time", &lines, findings.devices as f64, &marks);
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|ran| {
            vec![
                safe(&ran.policy.name),
                format!(
                    "{} ({})",
                    thousandths(ran.used_mean_milli),
                    percent(ran.used_mean_milli.into(), u128::from(findings.devices) * 1000)
                ),
                day(ran.last_end, findings.trace.has_dates),
                device_hours(ran.borrowed),
                count(ran.reclaims),
            ]
        })
        .collect();
    let headers = [
        "policy",
        ">GPUs in use, mean from the first submission to the last",
        ">last job ends",
        ">used beyond the team's own",
        ">taken back for their owner",
    ];
    let active = match findings.logged_active_percent {
        None => "The log does not say how much of that time the GPUs were active, so nothing is \
                 said of that here."
            .to_owned(),
        Some(percent) => format!(
            "By the log, GPUs were active {percent} % of the time for which jobs held them; no \
             policy here changes that."
        ),
    };
    format!(
        "<h2>GPUs in use</h2><p>Held by jobs, of {}. {active}</p>{plot}{}",
        count(findings.devices),
        table(&headers, &rows)
    )
}

pub(super) fn waits(findings: &Findings) -> String {
    if findings.trace.compared == 0 {
        return String::new();
    }
    let runs: Vec<(usize, &Ran)> = (0..6).zip(&findings.runs).collect();
    let name = |ran: &Ran| ran.policy.name.clone();
    let waits: Vec<_> = runs
        .iter()
        .map(|(style, ran)| (name(ran), *style, ran.figures.wait_curve.as_slice()))
        .collect();
    let ends: Vec<_> = runs
        .iter()
        .take(findings.asked)
        .map(|(style, ran)| (name(ran), *style, ran.figures.completion_curve.as_slice()))
        .collect();
    let headers = ["policy", ">mean", ">50 % less than", ">90 %", ">95 %", ">99 %", ">longest"];
    let rows = |of: fn(&Ran) -> &crate::study::Spread, count: usize| -> Vec<Vec<String>> {
        let row = |ran: &Ran| [vec![safe(&ran.policy.name)], spread(of(ran))].concat();
        findings.runs.iter().take(count).map(row).collect()
    };
    format!(
        "<h2>Waits and times to the end</h2><p>The height of a line is the share of jobs that \
         waited no longer than the time below it; the further left, the better. The axis is \
         logarithmic.</p><h3>From submission to the first start</h3>{}{}<h3>From submission to the \
         end</h3>{}{}",
        curves("Waits", &waits),
        raw("The figures", &table(&headers, &rows(|ran| &ran.figures.wait, findings.runs.len()))),
        curves("Times to the end", &ends),
        raw("The figures", &table(&headers, &rows(|ran| &ran.figures.completion, findings.asked))),
    )
}
