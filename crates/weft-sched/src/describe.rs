//! Reasons as sentences for the people who wait, with a hint where something can be done.
//!
//! Words here reach a data scientist's screen: a machine is a machine, and how it is run is not
//! named.

use crate::Reason;
use crate::board::RESOURCES;
use crate::explain::amount_words;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use weft_types::{NodeId, Timestamp, WorkloadId};

/// Why it waits, as a sentence without a full stop, and what would help.
pub fn describe(reason: &Reason) -> (String, Option<String>) {
    match reason {
        Reason::BackOff { .. } => {
            (String::from("its next try waits a while, because the last one failed"), None)
        }
        Reason::Impossible { nearest, lacking, instead } => {
            impossible(nearest.as_ref(), lacking, instead)
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
        Reason::Kept { node, queue } => (
            alloc::format!(
                "machine {node} is held for work of {queue} that takes a whole machine, as it \
                 often does"
            ),
            hint("it starts as soon as something ends elsewhere"),
        ),
        Reason::Behind { workload, until } => behind(*workload, *until),
    }
}

/// That no machine could ever hold it, and what to ask for in its stead.
fn impossible(nearest: Option<&NodeId>, lacking: &str, instead: &str) -> (String, Option<String>) {
    let sentence = match nearest {
        None => alloc::format!("nothing in the pool could hold it: {lacking}"),
        Some(machine) => alloc::format!(
            "nothing in the pool could hold it, even empty: machine {machine} comes nearest and \
             lacks {lacking}"
        ),
    };
    let hint = match instead {
        "" => hint("ask for less, or for another kind of GPU; `weft gpus` shows what there is"),
        // Less of the same would be given by none either.
        instead => Some(alloc::format!("ask for {instead}")),
    };
    (sentence, hint)
}

/// That another goes first, and until when what is free is kept for it.
fn behind(workload: WorkloadId, until: Option<Timestamp>) -> (String, Option<String>) {
    let first = alloc::format!("{workload} has waited longer and goes first");
    let Some(until) = until else { return (first, None) };
    let until = clock(until);
    (
        alloc::format!("{first}; what is free is held for it until about {until}"),
        hint("with a `max_duration` that ends before, it may start now"),
    )
}

/// An amount of a resource that is shared out.
fn quota_words(resource: &str, amount: u64) -> String {
    let resource = RESOURCES.iter().position(|name| *name == resource).unwrap_or(0);
    amount_words(resource, amount.into())
}

/// A moment as a day and a time in UTC: who reads it may be anywhere.
fn clock(at: Timestamp) -> String {
    let (days, minutes) = (at.0 / DAY_MS, at.0 % DAY_MS / 60_000);
    let (mut month, mut day) = (0, days % FOUR_YEARS);
    // From 1970, the third year of four is the leap year; centuries are not looked at until 2100.
    let lengths = (0..48).map(|month| MONTHS[month % 12].1 + u64::from(month == 25));
    for length in lengths {
        if day < length {
            break;
        }
        (month, day) = (month + 1, day - length);
    }
    let (name, _) = MONTHS[month % 12];
    alloc::format!("{:02}:{:02} UTC on {} {name}", minutes / 60, minutes % 60, day + 1)
}

const DAY_MS: u64 = 86_400_000;
const FOUR_YEARS: u64 = 4 * 365 + 1;
const MONTHS: [(&str, u64); 12] = [
    ("January", 31),
    ("February", 28),
    ("March", 31),
    ("April", 30),
    ("May", 31),
    ("June", 30),
    ("July", 31),
    ("August", 31),
    ("September", 30),
    ("October", 31),
    ("November", 30),
    ("December", 31),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_needs_another_sort_is_not_told_to_ask_for_less() {
        let reason = |instead: &str| Reason::Impossible {
            nearest: None,
            lacking: String::from("a GPU that can be shared"),
            instead: String::from(instead),
        };
        let hint = |instead: &str| describe(&reason(instead)).1.unwrap();
        assert_eq!(hint("a whole GPU, `gpu: 1`"), "ask for a whole GPU, `gpu: 1`");
        assert!(hint("").starts_with("ask for less"));
    }

    #[test]
    fn a_moment_is_a_day_and_a_time() {
        let at = |seconds: u64| clock(Timestamp(seconds * 1000));
        assert_eq!(at(0), "00:00 UTC on 1 January");
        assert_eq!(at(1_709_164_800 + 3599), "00:59 UTC on 29 February");
        assert_eq!(at(1_709_251_200), "00:00 UTC on 1 March");
        assert_eq!(at(1_795_442_700), "14:05 UTC on 23 November");
        assert_eq!(at(1_798_761_599), "23:59 UTC on 31 December");
    }
}
