//! Teams and sizes of jobs under each policy; who gains, who would lose, and what prevents it.

use super::checks::worse_teams;
use super::plot::{pairs, raw, table};
use super::words::{change, count, counted, name, percent, thousandths, time};
use crate::study::{Figures, Findings, Group, SizeGroup};
use std::cmp::Reverse;

/// Teams shown; the JSON has all. Who loses is always shown.
const TEAMS_MAX: usize = 60;

/// Teams named that would lose.
const LOSERS_MAX: usize = 100;

fn ends(figures: &[Figures]) -> Option<(&Figures, &Figures)> {
    match figures {
        [first, .., last] => Some((first, last)),
        _ => None,
    }
}

fn names(findings: &Findings) -> Option<[&str; 2]> {
    let asked = &findings.runs[..findings.asked.min(findings.runs.len())];
    match asked {
        [first, .., last] => Some([&first.policy.name, &last.policy.name]),
        _ => None,
    }
}

/// The largest by device time; who loses comes first.
fn shown(findings: &Findings) -> Vec<&Group> {
    let worse = worse_teams(findings);
    let mut order: Vec<usize> =
        (0..findings.teams.len()).filter(|at| findings.teams[*at].jobs > 0).collect();
    order.sort_by_key(|at| {
        (!worse.contains(at), Reverse(findings.teams[*at].device_time), &findings.teams[*at].team)
    });
    order.truncate(TEAMS_MAX.max(worse.len().min(LOSERS_MAX)));
    order.sort_by_key(|at| (Reverse(findings.teams[*at].device_time), &findings.teams[*at].team));
    order.into_iter().map(|at| &findings.teams[at]).collect()
}

pub(super) fn teams(findings: &Findings) -> String {
    let Some(names) = names(findings).filter(|_| findings.trace.compared > 0) else {
        return String::new();
    };
    let shown = shown(findings);
    let row = |group: &&Group| {
        let (first, last) = ends(&group.figures)?;
        Some((name(&group.team), first.wait.mean, last.wait.mean))
    };
    let rows: Vec<(String, u64, u64)> = shown.iter().filter_map(row).collect();
    let hidden = findings.teams.len() - shown.len();
    let hidden = match hidden {
        0 => String::new(),
        some => format!(
            " Shown are the {} with the most device time and every one that waits longer; the \
             other {} are in the JSON.",
            shown.len(),
            count(some as u64)
        ),
    };
    format!(
        "<h2>Team by team</h2><p>Mean wait of each team's jobs, the largest user first. A red line \
         is a team that waits longer.{hidden}</p>{}{}",
        pairs("Mean wait by team", names, findings.asked - 1, &rows),
        raw("The figures", &team_table(findings, &shown, names))
    )
}

fn team_table(findings: &Findings, shown: &[&Group], names: [&str; 2]) -> String {
    let [a, b] = names;
    let headers = [
        "team".to_owned(),
        ">jobs".to_owned(),
        ">of all device time".to_owned(),
        ">guaranteed GPUs".to_owned(),
        format!(">mean wait, {a}"),
        format!(">{b}"),
        format!(">95 % less than, {a}"),
        format!(">{b}"),
        format!(">mean time to the end, {a}"),
        format!(">{b}"),
        format!(">mean slowdown, {a}"),
        format!(">{b}"),
    ];
    let own = |team: &str| findings.runs.get(findings.asked - 1)?.sizes.get(team).copied();
    let row = |group: &&Group| {
        let (first, last) = ends(&group.figures)?;
        Some(vec![
            name(&group.team),
            count(group.jobs as u64),
            percent(group.device_time, findings.trace.device_time),
            own(&group.team).map_or("–".to_owned(), count),
            time(first.wait.mean),
            time(last.wait.mean),
            time(first.wait.p95),
            time(last.wait.p95),
            time(first.completion.mean),
            time(last.completion.mean),
            thousandths(first.slowdown_milli),
            thousandths(last.slowdown_milli),
        ])
    };
    let rows: Vec<Vec<String>> = shown.iter().filter_map(row).collect();
    table(&headers.each_ref().map(String::as_str), &rows)
}

pub(super) fn sizes(findings: &Findings) -> String {
    let Some(names) = names(findings).filter(|_| findings.trace.compared > 0) else {
        return String::new();
    };
    let label = |group: &SizeGroup| match (group.least, group.most) {
        (1, 1) => "1 GPU".to_owned(),
        (least, u32::MAX) => format!("{least} and more"),
        (least, most) => format!("{least} to {most} GPUs"),
    };
    let pair = |group: &SizeGroup| {
        let (first, last) = ends(&group.figures)?;
        Some((label(group), first.wait.mean, last.wait.mean))
    };
    let plot: Vec<(String, u64, u64)> = findings.sizes.iter().filter_map(pair).collect();
    let [a, b] = names;
    let headers = [
        "size".to_owned(),
        ">jobs".to_owned(),
        format!(">mean wait, {a}"),
        format!(">{b}"),
        format!(">95 % less than, {a}"),
        format!(">{b}"),
        format!(">mean time to the end, {a}"),
        format!(">{b}"),
        format!(">suspended, {b}"),
    ];
    let row = |group: &SizeGroup| {
        let (first, last) = ends(&group.figures)?;
        Some(vec![
            label(group),
            count(group.jobs as u64),
            time(first.wait.mean),
            time(last.wait.mean),
            time(first.wait.p95),
            time(last.wait.p95),
            time(first.completion.mean),
            time(last.completion.mean),
            percent(last.suspended as u128, group.jobs as u128),
        ])
    };
    let rows: Vec<Vec<String>> = findings.sizes.iter().filter_map(row).collect();
    format!(
        "<h2>Size by size</h2><p>Pools often serve small jobs at the cost of large ones; this \
         shows \
         whether this one does.</p>{}{}",
        pairs("Mean wait by size of job", names, findings.asked - 1, &plot),
        raw("The figures", &table(&headers.each_ref().map(String::as_str), &rows))
    )
}

/// Who gains and who would lose.
pub(super) fn who(findings: &Findings) -> String {
    let Some([a, b]) = names(findings).filter(|_| findings.trace.compared > 0) else {
        return String::new();
    };
    let mut rows = Vec::new();
    let longer = |from: u64, to: u64| to > from + 60_000 && to * 100 > from * 101;
    for group in &findings.teams {
        let Some((first, last)) = ends(&group.figures) else { continue };
        let pairs = [
            ("mean wait", first.wait.mean, last.wait.mean),
            ("95th percentile of waits", first.wait.p95, last.wait.p95),
            ("mean time to the end", first.completion.mean, last.completion.mean),
        ];
        for (what, before, after) in pairs.into_iter().filter(|(_, from, to)| longer(*from, *to)) {
            rows.push(vec![
                name(&group.team),
                count(group.jobs as u64),
                what.to_owned(),
                time(before),
                time(after),
                change(before, after),
            ]);
        }
    }
    let lost = match rows.len() {
        0 => "<p>By none of mean wait, 95th percentile of waits and mean time to the end is any \
              team worse off by more than a minute and one percent.</p>"
            .to_owned(),
        some => {
            rows.truncate(LOSERS_MAX);
            let hidden = some.saturating_sub(LOSERS_MAX);
            let more = if hidden > 0 {
                format!("<p>{hidden} more are in the JSON.</p>")
            } else {
                String::new()
            };
            let (before, after) = (format!(">{a}"), format!(">{b}"));
            let headers = ["team", ">jobs", "worse by", &before, &after, ">change"];
            format!(
                "<h3>Teams that would lose by some measure</h3>{}{more}",
                table(&headers, &rows)
            )
        }
    };
    format!(
        "<h2>Who gains, who would lose</h2>{}{lost}{}{}",
        gains(findings),
        guarantee(findings),
        later(findings, a, b)
    )
}

fn gains(findings: &Findings) -> String {
    let all = findings.teams.iter().filter(|group| group.jobs > 0);
    let better = all.clone().filter(|group| {
        ends(&group.figures).is_some_and(|(first, last)| last.wait.mean + 60_000 < first.wait.mean)
    });
    format!(
        "<p>{} of {} wait less on average by more than a minute, {} longer.</p>",
        better.count(),
        counted(all.count() as u64, "team"),
        worse_teams(findings).len()
    )
}

fn guarantee(findings: &Findings) -> String {
    let last = findings.runs.get(findings.asked.saturating_sub(1));
    let Some((ran, claims)) = last.and_then(|ran| Some((ran, ran.claims?))) else {
        return String::new();
    };
    let missed = match claims.made - claims.honoured {
        0 => "Every one was met.".to_owned(),
        late => format!(
            "{} were not, of which {} are jobs of several GPUs, which need them on the same \
             machines; the longest took {}.",
            count(late as u64),
            count(claims.late_large as u64),
            time(claims.worst)
        ),
    };
    format!(
        "<h3>What prevents a loss</h3><p>Each team is guaranteed the GPUs that it has as dedicated \
         machines. Others use them only while it does not, and give them back when it asks. A \
         claim \
         is a job submitted while all that its team had waiting and running was within its \
         guarantee: {} of {} such jobs had started within {} ({}). {missed} GPUs were taken back \
         {} times.</p>",
        count(claims.honoured as u64),
        count(claims.made as u64),
        time(ran.policy.bound.0),
        percent(claims.honoured as u128, claims.made as u128),
        count(ran.reclaims)
    )
}

fn later(findings: &Findings, a: &str, b: &str) -> String {
    if findings.later.is_empty() {
        return "<h3>Jobs that end later</h3><p>None does by more than five minutes.</p>"
            .to_owned();
    }
    let rows: Vec<Vec<String>> = findings
        .later
        .iter()
        .map(|job| {
            vec![
                name(&job.name),
                name(&job.team),
                count(job.devices.into()),
                time(job.duration),
                time(job.first),
                time(job.last),
                count(job.suspensions.into()),
            ]
        })
        .collect();
    let (before, after) = (format!(">to the end, {a}"), format!(">{b}"));
    let headers = ["job", "team", ">GPUs", ">works", &before, &after, ">suspended, times"];
    format!(
        "<h3>Jobs that end later</h3><p>{} of {} by more than five minutes: long ones that give \
         way \
         to short ones. The {} that lose most:</p>{}",
        counted(findings.ends_later as u64, "job"),
        count(findings.trace.compared as u64),
        findings.later.len(),
        raw("The list", &table(&headers, &rows))
    )
}
