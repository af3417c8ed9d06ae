//! Carrying a plan out on a snapshot: what applies changes, and nothing else does.

use weft_sched::case::parse;
use weft_sched::{Action, Plan, Snapshot, StopCause, WorkloadState, apply};
use weft_types::{Attempt, Timestamp, WorkloadId};

const POOL: &str = "
node n1 a100-80 x4
queue q gpu=4
run w1 q gpu=1 on=n1/0 attempt=2 ran=1h
run w2 q gpu=1 on=n1/1 stopping for=w9
want w3 q gpu=1 attempt=3
";

fn scene() -> (Snapshot, Timestamp) {
    let case = parse(POOL).expect("a case");
    (case.snapshot, case.now)
}

fn applied(action: Action) -> Snapshot {
    let (snapshot, now) = scene();
    apply(&snapshot, &Plan { actions: vec![action], ..Plan::default() }, now)
}

fn start(workload: u64, attempt: u32) -> Action {
    let (workload, attempt) = (WorkloadId(workload), Attempt(attempt));
    Action::Start { workload, attempt, placements: Vec::new() }
}

fn stop(workload: u64, attempt: u32) -> Action {
    let (workload, attempt) = (WorkloadId(workload), Attempt(attempt));
    let cause = StopCause::Preempt { beneficiary: WorkloadId(3) };
    Action::Stop { workload, attempt, cause }
}

#[test]
fn what_starts_runs_since_now() {
    let after = applied(start(3, 3));
    let WorkloadState::Running(running) = &after.workloads[&WorkloadId(3)].state else {
        panic!("{after:?}")
    };
    assert_eq!((running.attempt, running.since), (Attempt(3), scene().1));
    assert!(!running.stopping && running.handover.is_none());
}

#[test]
fn what_stops_holds_its_capacity_for_its_beneficiary() {
    let after = applied(stop(1, 2));
    let WorkloadState::Running(running) = &after.workloads[&WorkloadId(1)].state else {
        panic!("{after:?}")
    };
    assert!(running.stopping && running.placements.len() == 1);
    assert_eq!(running.handover, Some(WorkloadId(3)));
}

/// Another attempt, one that stops already, one that runs, one that waits, one that is not there.
#[test]
fn what_does_not_apply_changes_nothing() {
    let (before, _) = scene();
    let actions =
        [start(3, 2), start(1, 2), start(8, 1), stop(1, 1), stop(2, 1), stop(3, 3), stop(8, 1)];
    for action in actions {
        let words = format!("{action:?}");
        let mut after = applied(action);
        assert_eq!(after.generation.0, before.generation.0 + 1);
        after.generation = before.generation;
        assert_eq!(after, before, "{words}");
    }
}
