//! Relaxations in words: what to write in which field of the workload file, and what comes of it.
//!
//! Absent on purpose: the time of day, which only the reader's clock knows.

use super::change::{Change, Relaxation, Then};
use crate::describe::list;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use weft_types::{Bytes, GpuFilter, GpuRequest, MilliCpu};

/// The field of the workload file, what to write there, and both in a phrase that follows “with”.
pub fn describe_change(change: &Change) -> (&'static str, String, String) {
    match change {
        Change::Gpu { from, to } => ("resources.gpu", to.to_string(), gpu(from, to)),
        Change::Cpu { from, to } => {
            let words = alloc::format!("{} instead of {}", cores(*to), from);
            ("resources.cpu", to.to_string(), words)
        }
        Change::Memory { from, to } => {
            let words = alloc::format!("{to} of memory instead of {from}");
            ("resources.memory", written(*to), words)
        }
        Change::Disk { from, to } => {
            let words = alloc::format!("{to} of disk instead of {from}");
            ("resources.disk", written(*to), words)
        }
        Change::Gang { from, to } => {
            let members = if *to == 1 { "member" } else { "members" };
            ("replicas", to.to_string(), alloc::format!("{to} {members} instead of {from}"))
        }
        Change::Queue { from, to } => {
            let words = alloc::format!("queue {to} instead of {from}");
            ("queue", to.to_string(), words)
        }
        Change::Priority { from, to } => {
            ("priority", to.to_string(), alloc::format!("priority {to} instead of {from}"))
        }
    }
}

/// Several changes in a phrase: `with 1 GPU instead of 2 and 8 CPU cores instead of 16`; empty for
/// none.
pub fn describe_changes(changes: &[Change]) -> String {
    let changes: Vec<String> = changes.iter().map(|change| describe_change(change).2).collect();
    match changes.split_last() {
        None => String::new(),
        Some((last, [])) => alloc::format!("with {last}"),
        Some((last, rest)) => alloc::format!("with {} and {last}", rest.join(", ")),
    }
}

/// A sentence without a full stop; where time alone is needed, without the time.
pub fn describe_relaxation(relaxation: &Relaxation) -> String {
    let mut with = describe_changes(&relaxation.changes);
    if !with.is_empty() {
        with.push(' ');
    }
    match &relaxation.then {
        Then::Now => alloc::format!("{with}it starts now"),
        Then::After(victims) => {
            alloc::format!("{with}it takes the place of {}", list(victims))
        }
        Then::Ends { workloads, .. } => {
            let end = if workloads.len() == 1 { "ends" } else { "have ended" };
            alloc::format!("{with}it starts when {} {end}", list(workloads))
        }
    }
}

fn gpu(from: &GpuRequest, to: &GpuRequest) -> String {
    match (from, to) {
        (
            GpuRequest::Memory { bytes, least, names },
            GpuRequest::Memory { bytes: less, least: same, names: also },
        ) if (least, names) == (same, also) => {
            alloc::format!("{less} of GPU memory instead of {bytes}")
        }
        (GpuRequest::Share { milli, filter }, GpuRequest::Share { milli: less, filter: same })
            if filter == same =>
        {
            alloc::format!("{less} of a GPU instead of {milli}")
        }
        (GpuRequest::Whole { count: 1, .. }, GpuRequest::Share { milli, .. }) => {
            alloc::format!("{milli} of a GPU instead of a whole one")
        }
        (GpuRequest::Whole { count, filter }, GpuRequest::Whole { count: less, filter: same })
            if filter == same =>
        {
            alloc::format!("{} instead of {count}", gpus(*less))
        }
        (GpuRequest::Mig { profile, count }, GpuRequest::Mig { profile: same, count: less })
            if profile == same =>
        {
            alloc::format!("{less} x {profile} instead of {count}")
        }
        (GpuRequest::Whole { .. }, GpuRequest::Mig { profile, .. }) => {
            alloc::format!("a GPU instance {profile} instead of a whole GPU")
        }
        (GpuRequest::Mig { profile, .. }, GpuRequest::Mig { profile: smaller, .. }) => {
            alloc::format!("the GPU instance {smaller} instead of {profile}")
        }
        _ => match (kind(from), kind(to)) {
            (Some(from), Some(to)) => alloc::format!("{to} instead of {from}"),
            _ => alloc::format!("gpu {to} instead of {from}"),
        },
    }
}

/// Which devices are asked for, in a word or two.
fn kind(gpu: &GpuRequest) -> Option<String> {
    let of = |names: &[String]| (!names.is_empty()).then(|| names.join(" or "));
    match gpu {
        GpuRequest::Whole { filter, .. } | GpuRequest::Share { filter, .. } => {
            of(&filter.names).filter(|_| filter.memory == GpuFilter::default().memory)
        }
        GpuRequest::Memory { names, .. } => of(names),
        _ => None,
    }
}

fn gpus(count: u32) -> String {
    if count == 1 { String::from("1 GPU") } else { alloc::format!("{count} GPUs") }
}

fn cores(cpu: MilliCpu) -> String {
    if cpu.0 == 1000 { String::from("1 CPU core") } else { alloc::format!("{cpu} CPU cores") }
}

/// As the workload file has it: exactly, without a blank.
fn written(bytes: Bytes) -> String {
    const GB: u64 = 1_000_000_000;
    const MB: u64 = 1_000_000;
    match bytes.0 {
        all if all.is_multiple_of(GB) => alloc::format!("{}GB", all / GB),
        all if all.is_multiple_of(MB) => alloc::format!("{}MB", all / MB),
        all => alloc::format!("{all}B"),
    }
}
