//! How a workload can be suspended: what it does itself so that its work is kept.
//!
//! Absent on purpose: suspension without the program's help (by the driver, or of its memory),
//! which this version cannot do and refuses by name.

use super::error::Rule;
use super::field::{Field, Findings};
use super::keys;
use super::life::duration;
use super::workload::{SUSPEND_COST_DEFAULT_MS, SuspendBy, SuspendSpec};
use super::yaml::Value;
use weft_types::{Kind, Millis};

/// Largest cost of a suspension: beyond it a slice of time, ten times as long, is half a day.
pub(super) const COST_MAX: Millis = Millis::from_secs(3_600);

/// Words of what is planned and not there yet.
const LATER: [&str; 2] = ["driver", "vmm"];

pub(super) fn read(field: &Field<'_>, kind: Kind, found: &mut Findings) -> Option<SuspendSpec> {
    let (by, cost_ms) = match field.node.value {
        Value::Map(_) => {
            let fields = found.map(field, keys::SUSPEND)?;
            let by = match found.take(&fields, &["by"]) {
                Some(word) => by(&word, found)?,
                None => Some(SuspendBy::Checkpoint),
            };
            let cost = found.take(&fields, &["cost"]);
            (by, cost.map(|cost| duration(&cost, COST_MAX, found)))
        }
        _ => (by(field, found)?, None),
    };
    let cost_ms = cost_ms.map_or(Some(SUSPEND_COST_DEFAULT_MS), |cost| cost.map(|span| span.0))?;
    let by = by?;
    if kind != Kind::Job {
        let message = format!("`{}` is for a job, this is a {kind}", field.path);
        let hint = "a job goes on from what it saved; remove the line";
        found.beyond(Rule::Beyond, field, message, hint);
        return None;
    }
    Some(SuspendSpec { by, cost_ms })
}

/// The word; `Some(None)`: it cannot be suspended.
fn by(field: &Field<'_>, found: &mut Findings) -> Option<Option<SuspendBy>> {
    if let Some((word, _)) = field.scalar()
        && LATER.contains(&word)
    {
        let message = format!("`{}` is `{word}`, which this version cannot do", field.path);
        let hint = "write `checkpoint` where the program saves its own state when it is asked to \
                    end";
        found.bad(field, message, hint);
        return None;
    }
    found.word(field, &[("checkpoint", Some(SuspendBy::Checkpoint)), ("off", None)])
}
