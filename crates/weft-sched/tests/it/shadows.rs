//! What is kept for a large gang: it comes to it, and meanwhile whoever is gone in time may use it.

use crate::laws::laws;
use crate::pools::starts;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use weft_sched::case::{parse, print_plan, print_snapshot};
use weft_sched::{Snapshot, WorkloadState, apply, devices, plan};
use weft_types::{GpuRequest, Millis, NodeId, Timestamp, WorkloadId};

/// The one that needs machines of its own.
const LARGE: WorkloadId = WorkloadId(100);

/// Devices of a machine.
const DEVICES: u32 = 4;

/// Machines on which jobs with a time limit run, a large gang that has waited, small ones that have
/// not: each with a limit.
fn case() -> impl Strategy<Value = (Snapshot, Timestamp)> {
    let runs = prop::collection::vec((0..DEVICES, 1..120u32), 1..4);
    let small = prop::collection::vec((1..DEVICES, 1..120u32), 1..6);
    (runs, small, 1..3usize).prop_map(|(runs, small, gang)| {
        let mut text = "queue a gpu=64\n".to_owned();
        let gang = gang.min(runs.len());
        for (at, (held, minutes)) in runs.into_iter().enumerate() {
            let _ = writeln!(text, "node n{at} a100-80 x{DEVICES}");
            for device in 0..held {
                let (id, max) = (1 + at * 10 + device as usize, minutes + device * 7);
                let _ = writeln!(text, "run w{id} a gpu=1 on=n{at}/{device} ran=0s max={max}m");
            }
        }
        let _ = writeln!(text, "want w100 a gpu={DEVICES} gang={gang} waited=20m");
        for (at, (devices, minutes)) in small.into_iter().enumerate() {
            let id = 101 + at;
            let _ = writeln!(text, "want w{id} a gpu={devices} waited=1m max={minutes}m");
        }
        let case = parse(&text).expect("the generator writes cases");
        (case.snapshot, case.now)
    })
}

/// When the large one can start by what is known, without all others that wait.
fn alone(snapshot: &Snapshot, now: Timestamp) -> Option<Timestamp> {
    let mut alone = snapshot.clone();
    alone
        .workloads
        .retain(|id, workload| *id == LARGE || matches!(workload.state, WorkloadState::Running(_)));
    let plan = plan(&alone, now);
    plan.verdicts.get(&LARGE).and_then(|verdict| verdict.eta)
}

/// Idle devices of each machine.
fn idle(snapshot: &Snapshot) -> BTreeMap<NodeId, u32> {
    let mut idle = BTreeMap::new();
    for device in devices(snapshot).iter().filter(|device| device.milli.0 == 1000) {
        *idle.entry(device.device.node.clone()).or_default() += 1;
    }
    idle
}

laws! {
    fn who_is_gone_before_the_shadow_is_not_refused(400, (snapshot, now) in case()) {
        let Some(shadow) = alone(&snapshot, now) else { return Ok(()) };
        let plan = plan(&snapshot, now);
        let after = apply(&snapshot, &plan, now);
        let idle = idle(&after);
        for id in plan.verdicts.keys().filter(|id| **id != LARGE) {
            let workload = &snapshot.workloads[id];
            let GpuRequest::Whole { count, .. } = workload.request.gpu else { continue };
            let gone = now.after(workload.max_duration.unwrap_or(Millis(u64::MAX)));
            let room = idle.values().any(|idle| *idle >= count);
            prop_assert!(
                gone > shadow || !room,
                "{id} is refused\n{}{}",
                print_snapshot(&snapshot, now),
                print_plan(&snapshot, &plan, now)
            );
        }
    }

    fn nobody_who_slips_in_holds_up_the_large_one(400, (snapshot, now) in case()) {
        let first = plan(&snapshot, now);
        prop_assume!(!starts(&first.actions, LARGE));
        let (before, after) = (alone(&snapshot, now), apply(&snapshot, &first, now));
        let later = alone(&after, now);
        prop_assert!(
            later <= before && later.is_some(),
            "{later:?} after {before:?}\n{}{}",
            print_snapshot(&snapshot, now),
            print_plan(&snapshot, &first, now)
        );
    }
}
