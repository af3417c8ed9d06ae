//! Kueue's fixture, made small: what its rules say can be counted beforehand.

use weft_sched::{Plan, decide};
use weft_sim::kueue::{ClassName, Fixture, Outcome, run};
use weft_types::Millis;

fn small() -> Fixture {
    let mut fixture = Fixture { cohorts: 1, queues: 2, ..Fixture::baseline() };
    for (sort, count) in fixture.sorts.iter_mut().zip([30, 10, 3]) {
        sort.count = count;
    }
    fixture
}

fn ran(fixture: &Fixture) -> Outcome {
    run(fixture, decide)
}

#[test]
fn the_published_one_is_15_000_workloads_and_66_seconds_of_work() {
    let fixture = Fixture::baseline();
    let workloads = fixture.workloads();
    assert_eq!((workloads.len(), fixture.bound()), (15_000, Millis(66_000)));
    assert_eq!((fixture.snapshot().queues.len(), fixture.snapshot().nodes.len()), (30, 1));
    assert!(workloads.is_sorted_by_key(|(_, _, workload)| workload.submitted_at));
}

#[test]
fn all_run_again_what_was_evicted_and_the_large_go_first() {
    let fixture = small();
    let outcome = ran(&fixture);
    let counts: Vec<u64> = outcome.classes.values().map(|class| class.count).collect();
    assert_eq!(counts, [60, 20, 6]);
    assert!(outcome.makespan >= fixture.bound(), "{outcome:?}");
    assert!(outcome.evictions > 0 && outcome.lost > 0, "{outcome:?}");
    // A large one fills its queue's own share, so it has it at once, but for the tenth of a second
    // in which one goes first to whom it was promised before.
    assert!(outcome.classes[&ClassName::Large].first <= Millis(100), "{outcome:?}");
    assert_eq!(outcome.vain, 0, "{outcome:?}");
    assert_eq!(outcome, ran(&fixture));
}

#[test]
fn one_queue_alone_is_as_quick_as_its_work() {
    let mut fixture = Fixture { cohorts: 1, queues: 1, ..Fixture::baseline() };
    fixture.sorts.truncate(1);
    fixture.sorts[0].count = 100;
    fixture.sorts[0].every = Millis::ZERO;
    // A hundred units of a fifth of a second on twenty.
    let outcome = ran(&fixture);
    assert_eq!((outcome.makespan, fixture.bound()), (Millis(1000), Millis(1000)));
    assert_eq!((outcome.evictions, outcome.plans), (0, 5));
}

#[test]
fn a_planner_that_starts_nothing_leaves_all_waiting() {
    let outcome = run(&small(), |_, _| Plan::default());
    assert!(outcome.classes.is_empty());
}
