//! How a workload lives: members, time limit, retry, ports, network, the end.

use super::error::Rule;
use super::field::{Field, Fields, Findings};
use super::workload::{NetworkMode, RetryOn, RetrySpec, WorkloadSpec};
use super::yaml::{Scalar, Value};
use super::{keys, suspend};
use weft_types::{GANG_MAX, Kind, Millis};

/// Most retries: beyond it a person should look.
pub(super) const RETRIES_MAX: i64 = 100;

/// Retries where a file says when but not how often.
pub(super) const RETRIES_DEFAULT: u32 = 3;

/// Most ports of a workload: each is a listener on the server, for each member.
pub(super) const PORTS_MAX: usize = 16;

/// Longest run and longest grace, so that a slip of the unit is noticed.
const DURATION_MAX: Millis = Millis::from_secs(365 * 86_400);
const GRACE_MAX: Millis = Millis::from_secs(600);

pub(super) fn read(top: &Fields<'_>, kind: Kind, spec: &mut WorkloadSpec, found: &mut Findings) {
    if let Some(field) = found.take(top, &["replicas", "nodes", "num_nodes"]) {
        (spec.replicas, spec.replicas_max) = replicas(&field, found).unwrap_or((1, None));
    }
    if let Some(field) = found.take(top, &["max_duration"])
        && !matches!(field.scalar(), Some(("off", Scalar::Text)))
    {
        spec.max_duration_ms = duration(&field, DURATION_MAX, found).map(|span| span.0);
    }
    if let Some(field) = found.take(top, &["retry"]) {
        spec.retry = retry(&field, found);
    }
    if let Some(field) = found.take(top, &["ports"]) {
        spec.ports = ports(&field, found);
    }
    if let Some(field) = found.take(top, &["network"]) {
        let words = [("none", NetworkMode::None), ("outbound", NetworkMode::Outbound)];
        spec.network = found.word(&field, &words).unwrap_or_default();
    }
    if let Some(field) = found.take(top, &["expected_duration"]) {
        spec.expected_duration_ms = duration(&field, DURATION_MAX, found).map(|span| span.0);
    }
    if let Some(field) = found.take(top, &["suspend"]) {
        spec.suspend = suspend::read(&field, kind, found);
    }
    if let Some(field) = found.take(top, &["stop_grace", "stop_duration"])
        && let Some(span) = duration(&field, GRACE_MAX, found)
    {
        spec.stop_grace_ms = span.0;
    }
}

/// `2`, or `2..8`: at least 2, and up to 8 where there is room for more.
fn replicas(field: &Field<'_>, found: &mut Findings) -> Option<(u32, Option<u32>)> {
    let Some((text, Scalar::Text)) = field.scalar() else {
        return found.integer(field, 1, GANG_MAX.into()).map(|n| (n as u32, None));
    };
    let members = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    let wanted = "a number of members, as in 2, or 2..8 for more where there is room";
    let (least, most) = found.range(field, text, wanted, members)?;
    for bound in [Some(least), most].into_iter().flatten() {
        if !(1..=GANG_MAX).contains(&bound) {
            let message = format!("`{}` is {bound}, allowed is 1 to {GANG_MAX}", field.path);
            found.beyond(Rule::Beyond, field, message, "");
            return None;
        }
    }
    if most.is_none() && text.trim() != least.to_string() {
        let hint = format!("`{least}..{GANG_MAX}` starts with more where there is room");
        found.notes.push(format!("`{}` is `{text}`: {least} is given; {hint}", field.path));
    }
    Some((least, most.filter(|most| *most > least)))
}

pub(super) fn duration(field: &Field<'_>, most: Millis, found: &mut Findings) -> Option<Millis> {
    if let Some((text, Scalar::Int | Scalar::Float)) = field.scalar() {
        let message = format!("`{}` is {text}, which has no unit", field.path);
        found.bad(field, message, &format!("write `{text}s`, `{text}m` or `{text}h`"));
        return None;
    }
    let text = found.text(field)?;
    let Ok(span) = text.parse::<Millis>() else {
        let message = format!("`{}` is `{text}`, which is not a duration", field.path);
        found.bad(field, message, "write a number and a unit, as in 90s, 20m, 1.5h, 2d");
        return None;
    };
    if span == Millis::ZERO || span > most {
        let message = format!("`{}` is {span}, allowed is more than 0 up to {most}", field.path);
        found.beyond(Rule::Beyond, field, message, "");
        return None;
    }
    Some(span)
}

fn retry(field: &Field<'_>, found: &mut Findings) -> RetrySpec {
    let always = |max| RetrySpec { on: vec![RetryOn::Error, RetryOn::Lost], max };
    match field.scalar() {
        Some((text, Scalar::Bool)) => match text.starts_with(['t', 'T']) {
            true => always(RETRIES_DEFAULT),
            false => RetrySpec::default(),
        },
        Some((_, Scalar::Int)) => match found.integer(field, 0, RETRIES_MAX) {
            Some(0) | None => RetrySpec::default(),
            Some(max) => always(max as u32),
        },
        _ => retry_map(field, found).unwrap_or_default(),
    }
}

fn retry_map(field: &Field<'_>, found: &mut Findings) -> Option<RetrySpec> {
    let fields = found.map(field, keys::RETRY)?;
    let on = match found.take(&fields, &["on", "on_events"]) {
        Some(events) => retry_on(&events, found),
        None => vec![RetryOn::Error, RetryOn::Lost],
    };
    let max = match found.take(&fields, &["max"]) {
        Some(max) => found.integer(&max, 0, RETRIES_MAX)? as u32,
        None if on.is_empty() => 0,
        None => RETRIES_DEFAULT,
    };
    Some(if max == 0 || on.is_empty() { RetrySpec::default() } else { RetrySpec { on, max } })
}

fn retry_on(field: &Field<'_>, found: &mut Findings) -> Vec<RetryOn> {
    let words = [
        ("error", Some(RetryOn::Error)),
        ("lost", Some(RetryOn::Lost)),
        ("interruption", Some(RetryOn::Lost)),
        ("preempted", None),
        ("no-capacity", None),
    ];
    let items = match field.node.value {
        Value::List(_) => found.list(field, words.len()).unwrap_or_default(),
        _ => vec![field.clone()],
    };
    let mut on = Vec::new();
    for item in items {
        match found.word(&item, &words) {
            Some(Some(event)) => on.push(event),
            Some(None) => found.notes.push(format!(
                "`{}`: what was preempted or finds no capacity always waits again, uncounted",
                field.path
            )),
            None => {}
        }
    }
    on.sort_unstable();
    on.dedup();
    on
}

fn ports(field: &Field<'_>, found: &mut Findings) -> Vec<u16> {
    let items = match field.node.value {
        Value::List(_) => found.list(field, PORTS_MAX).unwrap_or_default(),
        _ => vec![field.clone()],
    };
    let mut ports = Vec::new();
    for item in items {
        if let Some((text, Scalar::Text)) = item.scalar() {
            let message = format!("`{}` is `{text}`, it has to be a port, 1 to 65535", item.path);
            let hint = "write the port the program listens on; `weft ps` shows the local address";
            found.bad(&item, message, hint);
            continue;
        }
        let Some(port) = found.integer(&item, 1, 65_535) else { continue };
        let port = port as u16;
        if ports.contains(&port) {
            found.bad(&item, format!("port {port} is given twice"), "keep one");
        }
        ports.push(port);
    }
    ports
}
