//! The server dies and comes back: nothing that ran is lost, nothing is done twice.

use crate::world::{DEADLINE, World, first, job};
use weft_lifecycle::{End, Event, RetryPolicy, State};
use weft_sched::Placement;
use weft_store::{NewWorkload, WorkloadRow, Write};
use weft_types::{Attempt, Member, Timestamp, WorkloadId};

#[test]
fn what_runs_is_found_running_and_its_end_is_kept() {
    let Some(mut world) = World::new() else { return };
    let goes_on = world.submit(job("goes-on", "until test -e /tmp/never; do sleep 0.1; done"));
    let ends = world.submit(job("ends", "sleep 0.3; exit 7"));
    world.until_state(goes_on, State::Running);
    world.until_state(ends, State::Running);
    world.crash();
    world.start();
    let row = world.until_final(ends);
    assert_eq!(row.record.exit.unwrap().end, End::Exited(7));
    let row = world.row(goes_on);
    assert_eq!((row.record.state, row.record.attempt), (State::Running, Attempt(1)));
    world.write(move |w| {
        let mut row = w.workload(goes_on)?.unwrap();
        let _ = row.record.apply(Event::StopRequested, Timestamp(1));
        w.save_workload(&row, weft_agent::now()).map(drop)
    });
    assert_eq!(world.until_final(goes_on).record.state, State::Stopped);
}

#[test]
fn a_start_that_was_committed_and_not_made_is_made() {
    let Some(mut world) = World::new() else { return };
    world.crash();
    let id = world.alone(|w| placed(w, job("placed", "echo here")));
    world.start();
    let row = world.until_final(id);
    assert_eq!((row.record.state, row.record.attempt), (State::Succeeded, Attempt(1)));
    assert!(world.log(first(id)).contains("here"));
}

#[test]
fn what_ran_and_left_nothing_behind_is_lost_and_retried_where_it_says_so() {
    let Some(mut world) = World::new() else { return };
    world.crash();
    let (fails, again) = world.alone(|w| {
        let mut again = job("again", "true");
        again.retry = RetryPolicy { on_error: false, on_lost: true, max: 1 };
        Ok((running(w, job("fails", "true"))?, running(w, again)?))
    });
    world.start();
    let row = world.until_final(fails);
    assert_eq!((row.record.state, row.record.exit.unwrap().end), (State::Failed, End::Lost));
    let row = world.until_final(again);
    assert_eq!((row.record.state, row.record.attempt), (State::Succeeded, Attempt(2)));
}

#[test]
fn what_was_to_stop_and_never_began_does_not_begin() {
    let Some(mut world) = World::new() else { return };
    world.crash();
    let id = world.alone(|w| {
        let id = placed(w, job("stops", "echo here"))?;
        happened(w, id, Event::StopRequested)
    });
    world.start();
    assert_eq!(world.until_final(id).record.state, State::Stopped);
    assert!(!world.log(first(id)).contains("here"));
}

#[test]
fn runs_that_the_store_does_not_know_are_removed() {
    let Some(mut world) = World::new() else { return };
    let id = world.submit(job("gone", "echo here"));
    world.until_final(id);
    assert_eq!(world.server().runtime().runs(), [first(id)]);
    world.crash();
    world.alone(move |w| w.remove_workload(id));
    world.start();
    let begun = std::time::Instant::now();
    while !world.server().runtime().runs().is_empty() {
        assert!(begun.elapsed() < DEADLINE, "{:?}", world.server().runtime().runs());
    }
}

/// A workload whose start was committed, and nothing else.
fn placed(w: &mut Write<'_>, new: NewWorkload) -> Result<WorkloadId, weft_store::StoreError> {
    let row = w.submit_workload(new)?;
    let node = w.nodes()?.remove(0).name;
    let placement = Placement {
        member: Member(0),
        node,
        cpu: row.request.cpu,
        memory: row.request.memory,
        disk: row.request.disk,
        grants: Vec::new(),
    };
    let now = weft_agent::now();
    let mut row = WorkloadRow { placements: vec![placement], placed_at: Some(now), ..row };
    row.record.apply(Event::Started { attempt: Attempt(1), gang: 1 }, now).unwrap();
    w.save_workload(&row, now)?;
    Ok(row.id)
}

/// A workload that ran when the server was last seen.
fn running(w: &mut Write<'_>, new: NewWorkload) -> Result<WorkloadId, weft_store::StoreError> {
    let id = placed(w, new)?;
    happened(w, id, Event::MemberRunning { attempt: Attempt(1), member: Member(0) })
}

fn happened(
    w: &mut Write<'_>,
    id: WorkloadId,
    event: Event,
) -> Result<WorkloadId, weft_store::StoreError> {
    let mut row = w.workload(id)?.unwrap();
    row.record.apply(event, weft_agent::now()).unwrap();
    w.save_workload(&row, weft_agent::now())?;
    Ok(id)
}

#[test]
fn a_server_that_was_replaced_does_nothing_more() {
    let Some(mut world) = World::new() else { return };
    let newer = weft_store::Store::open(world.state_dir()).unwrap();
    let id = world.block_on(newer.write(|w| w.submit_workload(job("late", "true")))).unwrap().id;
    world.server().control().wake();
    let broken = world.broken();
    assert!(broken.contains("replaced"), "{broken}");
    assert_eq!(world.row(id).record.attempt, Attempt(0));
    assert_eq!(world.server().runtime().runs(), []);
    world.block_on(newer.close()).unwrap();
    world.crash();
    world.start();
    assert_eq!(world.until_final(id).record.state, State::Succeeded);
}

#[test]
fn a_server_whose_store_closed_says_so_and_ends() {
    let Some(mut world) = World::new() else { return };
    let runs = world.submit(job("runs", "sleep 0.5; exit 9"));
    world.until_state(runs, State::Running);
    world.block_on(world.server().store().close()).unwrap();
    let broken = world.broken();
    assert!(broken.contains("closed"), "{broken}");
    world.crash();
    world.start();
    assert_eq!(world.until_final(runs).record.exit.unwrap().end, End::Exited(9));
}
