//! How sizes were chosen, what was assumed, what the data cannot say, how to repeat it.

use super::plot::{raw, table};
use super::words::{count, counted, name, percent, safe, time};
use crate::study::{Findings, Group, Policy, Sharing, Sizes};
use std::cmp::Reverse;
use weft_sched::Order;

/// Teams whose sizes are listed; the JSON has all.
const TEAMS_MAX: usize = 100;

/// How many devices each team has under each policy.
pub(super) fn shares(findings: &Findings) -> String {
    let mut kinds: Vec<(&Sizes, String, &std::collections::BTreeMap<String, u64>)> = Vec::new();
    for ran in &findings.runs {
        match kinds.iter_mut().find(|(_, _, sizes)| *sizes == &ran.sizes) {
            Some((_, names, _)) => *names = format!("{names}, {}", ran.policy.name),
            None => kinds.push((&ran.policy.sizes, ran.policy.name.clone(), &ran.sizes)),
        }
    }
    let says: String = kinds
        .iter()
        .map(|(sizes, names, _)| format!("<li><i>{}</i>: {}</li>", safe(names), chosen(sizes)))
        .collect();
    let mut teams: Vec<&Group> = findings.teams.iter().collect();
    teams.sort_by_key(|group| (Reverse(group.device_time), &group.team));
    let hidden = teams.len().saturating_sub(TEAMS_MAX);
    teams.truncate(TEAMS_MAX);
    let row =
        |group: &&Group| {
            let mut cells = vec![
                name(&group.team),
                percent(group.device_time, findings.trace.device_time),
                count(group.largest),
            ];
            cells.extend(kinds.iter().map(|(_, _, sizes)| {
                sizes.get(&group.team).copied().map_or("–".to_owned(), count)
            }));
            cells
        };
    let rows: Vec<Vec<String>> = teams.iter().map(row).collect();
    let named: Vec<String> = kinds.iter().map(|(_, names, _)| format!(">GPUs, {names}")).collect();
    let mut headers = vec!["team", ">of all device time", ">largest job, GPUs"];
    headers.extend(named.iter().map(String::as_str));
    let hidden =
        if hidden > 0 { format!("<p>{hidden} more are in the JSON.</p>") } else { String::new() };
    format!(
        "<h2>How the sizes were chosen</h2><ul>{says}</ul><p>Dedicated machines are simulated team \
         by team, each on machines of its own that no other team's job can break into pieces; \
         whole \
         machines are dealt first, then parts. That is in favour of dedicated \
         machines.</p>{}{hidden}",
        raw("The sizes", &table(&headers, &rows))
    )
}

fn chosen(sizes: &Sizes) -> &'static str {
    match sizes {
        Sizes::DeviceTime => {
            "in proportion to the device time that each team's jobs took over the whole log, and \
             at \
             least its largest job where there is enough for that. An organisation could not know \
             that beforehand."
        }
        Sizes::Best => {
            "those with the smallest sum of waits as dedicated machines, chosen with hindsight: \
             every size of each team is played through a plain list (first come, first served, who \
             does not fit is passed), and the best split is found exactly. Nobody could know that \
             beforehand."
        }
        Sizes::Named(_) => "as the policy's file says.",
    }
}

pub(super) fn assumptions(findings: &Findings) -> String {
    let asked = findings.runs.iter().take(findings.asked);
    let policies: String = asked
        .map(|ran| format!("<li><i>{}</i>: {}</li>", safe(&ran.policy.name), says(&ran.policy)))
        .collect();
    let failures = match findings.assumed.failures {
        None => "Machines do not fail.".to_owned(),
        Some((mtbf, repair)) => format!(
            "Each machine fails once in {} on average (exponentially, drawn from the seed) and is \
             back after {}. A job that loses its machine starts again, and loses all it did since \
             it last started.",
            time(mtbf),
            time(repair)
        ),
    };
    let models = match (findings.trace.has_models, findings.cluster.contains(':')) {
        (true, false) => {
            "The log names models of accelerators, the machines here have none: every GPU serves \
             every job."
        }
        (true, true) => "A job runs on the models that the log names for it.",
        (false, _) => "Every GPU serves every job, equally fast.",
    };
    format!(
        "<h2>What was assumed</h2><ul><li>Jobs come when the log says, ask for what it says, and \
         work as long as it says, wherever they run and whoever else runs.</li>{policies}\
         <li>Decisions are those of the production planner, made at multiples of {}; a job's \
         states \
         are those of the production state machine.</li><li>{failures}</li><li>{models} Processor, \
         memory, disk, data and networks are not short.</li><li>A job of several machines runs as \
         equal parts, all at once or not at all; it runs as fast on any machines.</li><li>Nobody \
         submits other jobs, or at other times, because waits are shorter.</li></ul>",
        time(findings.assumed.round)
    )
}

fn says(policy: &Policy) -> String {
    let sharing = match policy.sharing {
        Sharing::Dedicated => "each team has machines of its own and no other",
        Sharing::Pooled => {
            "one pool; each team is guaranteed its size, what it leaves idle is lent and comes \
             back \
             when it asks"
        }
    };
    let order = match policy.order {
        Order::Submission => {
            "first come, first served in a team; who does not fit is passed for a while"
        }
        Order::Service => {
            "a team's jobs share time: who was served least goes first, then who will end soonest"
        }
    };
    let suspends = policy.sharing == Sharing::Pooled || policy.order == Order::Service;
    let suspended = match (suspends, policy.suspendable) {
        (false, _) => "nothing is suspended".to_owned(),
        (true, 0) => "no job can be suspended".to_owned(),
        (true, share) => format!(
            "{share} % of the jobs can be suspended, at {} each time, of which they hold their \
             GPUs \
             for {} more; their work is kept",
            time(policy.suspend.0),
            time(policy.give_back.0)
        ),
    };
    let estimates = match policy.wrong {
        true => {
            "the planner's estimates of run times are wrong by up to ten times, too long or too \
             short"
        }
        false => "the planner knows how long each job works",
    };
    format!("{sharing}; {order}; {suspended}; {estimates}.")
}

pub(super) fn limits(findings: &Findings) -> String {
    let trace = &findings.trace;
    let mut lines = Vec::new();
    let mut left_out = |jobs: usize, why: &str| {
        if jobs > 0 {
            lines.push(format!("{} {why}", counted(jobs as u64, "job")));
        }
    };
    left_out(trace.without_devices, "asked for no accelerator and are not simulated.");
    left_out(
        trace.without_duration,
        "have no run time in the log (never started, or still running) and are not simulated: the \
         load here is smaller than it was.",
    );
    left_out(
        trace.without_model,
        "name a model of accelerator that no machine here has and are not simulated.",
    );
    left_out(trace.too_large, "are larger than all the machines together and are not simulated.");
    left_out(
        trace.not_everywhere,
        "cannot run, or had not ended, under every policy that is compared, such as one larger \
         than \
         its team's own machines. They run where they can and are in no comparison.",
    );
    if trace.passed_over > 0 {
        lines.push(format!(
            "{} of the log are steps or repeats of jobs and were passed over.",
            counted(trace.passed_over as u64, "line")
        ));
    }
    let mut say = |condition: bool, line: &str| {
        if condition {
            lines.push(line.to_owned());
        }
    };
    say(
        !trace.has_starts,
        "The log does not say when jobs started, so the first policy cannot be checked against \
         what \
         really happened.",
    );
    say(
        findings.logged_active_percent.is_none(),
        "It does not say how active the GPUs were: nothing here is about idle time within a job.",
    );
    say(!trace.has_users, "It does not say who submitted: nothing here is about single users.");
    say(trace.teams < 2, "It has one team only: there is nobody to share with.");
    lines.push(
        "It does not say which jobs can be suspended or what that costs; see above what changes if \
         fewer can."
            .to_owned(),
    );
    lines.push(
        "It holds the jobs that people submitted to the machines they had, with the waits they \
         had. \
         What they left out because of that is in no log."
            .to_owned(),
    );
    lines.push(
        "Its past is not your future: what a pool brings depends on teams being busy at different \
         times."
            .to_owned(),
    );
    let items: String = lines.iter().map(|line| format!("<li>{line}</li>")).collect();
    format!("<h2>What the data cannot say</h2><ul>{items}</ul>")
}

pub(super) fn repeat(findings: &Findings) -> String {
    let trace = &findings.trace;
    let row = |ran: &crate::study::Ran| {
        vec![safe(&ran.policy.name), count(ran.plans), format!("<code>{}</code>", ran.decisions)]
    };
    let rows: Vec<Vec<String>> = findings.runs.iter().map(row).collect();
    format!(
        "<h2>How to repeat it</h2><pre>{}</pre><p>Version {}, schema <code>{}</code>. The log has \
         {} (format {}, FNV-1a hash <code>{}</code>). Equal input gives equal figures, byte by \
         byte: \
         every decision of the planner is in these hashes.</p>{}",
        safe(&findings.command),
        safe(&findings.version),
        findings.schema,
        counted(trace.jobs as u64, "job"),
        safe(&trace.format),
        safe(&trace.hash),
        table(&["policy", ">times the planner was asked", "hash of all decisions"], &rows)
    )
}
