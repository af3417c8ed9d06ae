//! How workloads end, from submission to the record of it.

use crate::world::{World, first, gang, job};
use std::time::{Duration, Instant};
use weft_lifecycle::{End, Event, RetryPolicy, State};
use weft_sched::Reason;
use weft_types::{Attempt, Millis, WorkloadId};

/// The bar: capacity is free this long after a workload ended, however it did.
const FREED: Duration = Duration::from_secs(1);

/// The bar: the next one starts this long after.
const NEXT: Duration = Duration::from_secs(2);

fn end(world: &World, id: WorkloadId) -> (State, End, String) {
    let exit = world.row(id).record.exit.unwrap();
    (world.row(id).record.state, exit.end, exit.detail)
}

#[test]
fn what_is_submitted_runs_and_is_remembered() {
    let Some(world) = World::new() else { return };
    let id = world.submit(job("hello", "echo hello $WEFT_NAME $WEFT_RANK/$WEFT_WORLD_SIZE"));
    let row = world.until_final(id);
    assert_eq!(row.record.state, State::Succeeded, "{:?}", row.record);
    assert!(row.placements.is_empty());
    let times = [row.submitted_at, row.placed_at.unwrap(), row.started_at.unwrap()];
    assert!(times.is_sorted() && row.started_at <= row.ended_at, "{row:?}");
    let told = world.told(id);
    assert_eq!(
        (told.first().unwrap().as_str(), told.last().unwrap().as_str()),
        ("placed", "exited")
    );
    let log = world.log(first(id));
    assert!(log.contains("hello hello 0/1"), "{log:?}");
}

#[test]
fn scratch_disk_is_given_back_and_the_log_is_kept() {
    let Some(world) = World::new() else { return };
    let id = world.submit(job("big", "head -c 1000000 /dev/zero > big; echo wrote"));
    assert_eq!(world.until_final(id).record.state, State::Succeeded);
    let dir = world.server().runtime().log_path(first(id)).parent().unwrap().to_owned();
    let begun = Instant::now();
    while dir.join("work").exists() {
        assert!(begun.elapsed() < FREED, "{} is there still", dir.display());
    }
    assert!(world.log(first(id)).contains("wrote"));
}

#[test]
fn an_exit_code_and_a_signal_are_told_apart() {
    let Some(world) = World::new() else { return };
    let coded = world.submit(job("coded", "exit 3"));
    let killed = world.submit(job("killed", "kill -9 $$"));
    world.until_final(coded);
    world.until_final(killed);
    assert_eq!(end(&world, coded), (State::Failed, End::Exited(3), "exited with 3".to_owned()));
    assert_eq!(end(&world, killed).1, End::Signalled(9));
}

#[test]
fn what_fails_is_retried_as_often_as_it_says() {
    let Some(world) = World::new() else { return };
    let retry = RetryPolicy { on_error: true, on_lost: false, max: 2 };
    let mut second = job("second", "test $WEFT_ATTEMPT = 2");
    second.retry = retry;
    let mut never = job("never", "exit 1");
    never.retry = RetryPolicy { max: 1, ..retry };
    let (second, never) = (world.submit(second), world.submit(never));
    let row = world.until_final(second);
    assert_eq!((row.record.state, row.record.attempt), (State::Succeeded, Attempt(2)));
    let row = world.until_final(never);
    assert_eq!((row.record.state, row.record.retries), (State::Failed, 1));
    assert!(world.told(never).contains(&"requeued".to_owned()));
}

#[test]
fn a_gang_runs_together_and_falls_together() {
    let Some(world) = World::new() else { return };
    let both = world.submit(gang("both", 2, "echo I am $WEFT_RANK"));
    let falls = world.submit(gang("falls", 2, "test $WEFT_RANK = 0 && sleep 600; exit 4"));
    assert_eq!(world.until_final(both).record.state, State::Succeeded);
    world.until_final(falls);
    assert_eq!(end(&world, falls).1, End::Exited(4));
    assert!(world.told(falls).contains(&"member-failed".to_owned()));
}

#[test]
fn a_gang_that_does_not_fit_holds_nothing_and_says_why() {
    let Some(world) = World::new() else { return };
    let id = world.submit(gang("huge", 1_000, "true"));
    let small = world.submit(job("small", "true"));
    let verdict = world.until_verdict(id);
    let waits_for_room = matches!(
        *verdict.reason,
        Reason::Impossible { .. } | Reason::Quota { .. } | Reason::Capacity { .. }
    );
    assert!(waits_for_room, "{verdict:?}");
    assert_eq!(world.row(id).record.state, State::Queued);
    world.write(move |w| stop(w, id));
    assert_eq!(world.until_final(small).record.state, State::Succeeded);
    assert_eq!(world.row(id).record.state, State::Stopped);
}

#[test]
fn what_is_stopped_ends_and_what_lasts_too_long_does() {
    let Some(world) = World::new() else { return };
    let asked = world.submit(job("asked", "sleep 600"));
    let mut long = job("long", "sleep 600");
    long.max_duration = Some(Millis(300));
    let long = world.submit(long);
    world.until_state(asked, State::Running);
    world.write(move |w| stop(w, asked));
    let row = world.until_final(asked);
    assert_eq!(row.record.state, State::Stopped, "{:?}", row.record);
    world.until_final(long);
    assert_eq!(end(&world, long).0, State::Stopped);
    assert!(world.told(long).contains(&"time-limit".to_owned()));
}

#[test]
fn a_stop_is_heeded_however_deaf_the_workload_is() {
    let Some(world) = World::new() else { return };
    let id = world.submit(job("deaf", "trap '' TERM; while :; do sleep 1; done"));
    world.until_state(id, State::Running);
    world.write(move |w| stop(w, id));
    world.server().control().kill(id);
    assert_eq!(world.until_final(id).record.state, State::Stopped);
}

#[test]
fn a_killed_supervisor_frees_its_capacity_at_once() {
    let Some(world) = World::new() else { return };
    let cpu = world.block_on(world.server().store().read(|r| r.nodes())).unwrap()[0].cpu;
    let (mut holder, mut next) = (job("holder", "sleep 600"), job("next", "true"));
    (holder.request.cpu, next.request.cpu) = (cpu, cpu);
    let (holder, next) = (world.submit(holder), world.submit(next));
    world.until_state(holder, State::Running);
    assert_eq!(world.row(next).record.state, State::Queued);
    kill_supervisor(&world, holder);
    let killed = Instant::now();
    world.until_final(holder);
    assert!(killed.elapsed() < FREED, "{:?}", killed.elapsed());
    assert_eq!(end(&world, holder).1, End::Lost);
    world.until(next, |row| row.record.state != State::Queued);
    assert!(killed.elapsed() < NEXT, "{:?}", killed.elapsed());
    assert_eq!(world.until_final(next).record.state, State::Succeeded);
}

fn stop(w: &mut weft_store::Write<'_>, id: WorkloadId) -> Result<(), weft_store::StoreError> {
    let mut row = w.workload(id)?.unwrap();
    let _ = row.record.apply(Event::StopRequested, weft_agent::now());
    w.save_workload(&row, weft_agent::now()).map(drop)
}

/// The supervisor of the first member: the process whose working directory is the run's.
fn kill_supervisor(world: &World, id: WorkloadId) {
    let log = world.server().runtime().log_path(first(id));
    let dir = std::fs::canonicalize(log.parent().unwrap()).unwrap();
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else { continue };
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == dir) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            killed += 1;
        }
    }
    assert!(killed > 0, "no process works in {}", dir.display());
}
