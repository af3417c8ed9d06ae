//! Reasons as sentences for the people who wait, with a hint where something can be done.
//!
//! Words here reach a data scientist's screen: a machine is a machine, and how it is run is not
//! named.

use crate::Reason;
use crate::board::RESOURCES;
use crate::explain::amount_words;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use weft_types::WorkloadId;

/// Why it waits, as a sentence without a full stop, and what would help.
pub fn describe(reason: &Reason) -> (String, Option<String>) {
    match reason {
        Reason::BackOff { .. } => {
            (String::from("its next try waits a while, because the last one failed"), None)
        }
        Reason::Impossible { nearest, lacking } => {
            let sentence = match nearest {
                None => alloc::format!("nothing in the pool could hold it: {lacking}"),
                Some(machine) => alloc::format!(
                    "nothing in the pool could hold it, even empty: machine {machine} comes \
                     nearest and lacks {lacking}"
                ),
            };
            (
                sentence,
                hint("ask for less, or for another kind of GPU; `weft gpus` shows what there is"),
            )
        }
        Reason::Quota { queue, resource, needed, used, limit, lendable, missing, place } => {
            let sentence = alloc::format!(
                "it needs {needed} from the share of {queue}, which uses {used}; its own is \
                 {limit}; others can lend it {lendable} now"
            );
            let hint = match (place, missing) {
                // More of a share would leave it waiting for a place.
                (false, _) | (_, 0) => {
                    alloc::format!("wait for work of {queue} to end, or ask for less")
                }
                (true, missing) => alloc::format!(
                    "wait for work of {queue} to end, ask for less, or ask an administrator to \
                     raise its share by {}",
                    quota_words(resource, *missing)
                ),
            };
            (sentence, Some(hint))
        }
        Reason::Capacity { placed, nearest, lacking } => {
            let nearest = match nearest {
                None => String::from("the pool has no machine"),
                Some(machine) => {
                    alloc::format!("machine {machine} comes nearest and lacks {lacking}")
                }
            };
            let sentence = match placed {
                0 => alloc::format!("what it needs is in use: {nearest}"),
                _ => alloc::format!("{placed} of its members would fit; for the next, {nearest}"),
            };
            (sentence, hint("a smaller request may start sooner"))
        }
        Reason::Handover { victims } => {
            let sentence =
                alloc::format!("what it needs is being handed over by {}", list(victims));
            (sentence, None)
        }
        Reason::MinRun { .. } => (
            String::from(
                "what it needs will be taken back once others have had their minimum time",
            ),
            None,
        ),
        Reason::Behind { workload } => {
            (alloc::format!("{workload} has waited longer and goes first"), None)
        }
    }
}

/// An amount of a resource that is shared out.
fn quota_words(resource: &str, amount: u64) -> String {
    let resource = RESOURCES.iter().position(|name| *name == resource).unwrap_or(0);
    amount_words(resource, amount.into())
}

fn hint(text: &str) -> Option<String> {
    Some(text.to_string())
}

/// Most names in a sentence; more would hide it.
const NAMES_MAX: usize = 5;

pub(crate) fn list(ids: &[WorkloadId]) -> String {
    let shown: Vec<String> = ids.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    match ids.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown.join(", "),
        Some(more) => alloc::format!("{} and {more} more", shown.join(", ")),
    }
}
