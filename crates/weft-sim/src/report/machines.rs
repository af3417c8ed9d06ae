//! Machines that need not be bought, and how far the findings hold where an assumption does not.

use super::plot::table;
use super::words::{count, percent, safe, time};
use crate::study::{Fewer, Findings, Sensitivity};

pub(super) fn fewer(findings: &Findings) -> String {
    if findings.fewer.is_empty() {
        return String::new();
    }
    let one = |fewer: &Fewer| {
        let saved = findings.devices - fewer.devices;
        let rows: Vec<Vec<String>> = fewer
            .tried
            .iter()
            .map(|(machines, devices, figures)| {
                let cells = match figures {
                    Some(figures) => figures.map(time).to_vec(),
                    None => vec!["worse: left early".to_owned(), "–".to_owned(), "–".to_owned()],
                };
                [vec![count(*machines as u64), count(*devices)], cells].concat()
            })
            .collect();
        let than = findings.runs.iter().find(|ran| ran.policy.name == fewer.than);
        let target = than.map_or(String::new(), |ran| {
            let figures = &ran.figures;
            format!(
                " To be no worse it must wait at most {} on average and {} at the 95th percentile, \
                 and take at most {} to the end on average.",
                time(figures.wait.mean),
                time(figures.wait.p95),
                time(figures.completion.mean)
            )
        });
        let headers =
            [">machines", ">GPUs", ">mean wait", ">95 % wait less than", ">mean time to the end"];
        format!(
            "<h3>Against {}</h3><p>A pool of <b>{} GPUs</b> does it: {} of {} ({}) need not be \
             bought.{target}</p>{}",
            safe(&fewer.than),
            count(fewer.devices),
            count(saved),
            count(findings.devices),
            percent(saved.into(), findings.devices.into()),
            table(&headers, &rows)
        )
    };
    let all: String = findings.fewer.iter().map(one).collect();
    format!(
        "<h2>GPUs that need not be bought</h2><p>The smallest pool that is no worse than all the \
         machines as dedicated ones, looked for by halving through the same simulator; guarantees \
         shrink with it. Each size that was tried is shown. It says what the same jobs would have \
         needed, not what more jobs will.</p>{all}"
    )
}

pub(super) fn what_if(findings: &Findings) -> String {
    if findings.sensitivity.is_empty() {
        return String::new();
    }
    let first = findings.runs.first().map_or(String::new(), |ran| {
        format!(
            " For comparison, <i>{}</i> waits {} on average.",
            safe(&ran.policy.name),
            time(ran.figures.wait.mean)
        )
    });
    let part = |what: &str, title: &str, says: &str, header: &str, value: fn(u64) -> String| {
        let row = |it: &Sensitivity| {
            let assumed = if it.assumed { " <span class=\"dim\">(assumed)</span>" } else { "" };
            vec![
                format!("{}{assumed}", value(it.value)),
                time(it.wait.mean),
                time(it.wait.p95),
                time(it.completion.mean),
                percent(it.claims.honoured as u128, it.claims.made as u128),
                time(it.claims.worst),
                count(it.suspensions),
            ]
        };
        let rows: Vec<Vec<String>> =
            findings.sensitivity.iter().filter(|it| it.what == what).map(row).collect();
        let headers = [
            header,
            ">mean wait",
            ">95 % wait less than",
            ">mean time to the end",
            ">guarantee met in time",
            ">longest time to meet it",
            ">suspensions",
        ];
        match rows.is_empty() {
            true => String::new(),
            false => format!("<h3>{title}</h3><p>{says}</p>{}", table(&headers, &rows)),
        }
    };
    format!(
        "<h2>If an assumption does not hold</h2><p>The last policy again, with one assumption \
         changed at a time.{first} Decisions are made at multiples of {} here, which makes waits \
         longer and is added to the bound; compare these rows with one another.</p>{}{}",
        time(findings.assumed.side_round),
        part(
            "suspendable",
            "Fewer jobs can be suspended",
            "Which ones is drawn. A job that cannot be suspended keeps what it has been given, \
             also \
             what its team has borrowed; then its owner waits.",
            "can be suspended",
            |percent| format!("{percent} %"),
        ),
        part(
            "give-back",
            "Giving back takes longer",
            "How long a job holds its GPUs after it was told to stop, each time; the bound is \
             raised by as much.",
            "takes",
            time,
        ),
    )
}
