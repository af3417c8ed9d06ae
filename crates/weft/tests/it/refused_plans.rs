//! A plan in which the audit finds a broken rule: told, not carried out, and nobody waits for long.
//!
//! The planner makes none here: a failpoint finds something in the first plan that does anything.

use crate::world;
use weft_store::{NewWorkload, Store};
use weft_testkit::World;
use weft_types::{Timestamp, WorkloadId};

/// Starts the server, in which the first plan is refused.
fn up(world: &World) {
    let mut up = world.command(&["up", "--detach", "--simulate", "2xH200-141"]);
    let up = up.env("WEFT_FAILPOINT", "loop.audit:error:1").output().unwrap();
    assert!(up.status.success(), "{up:?}");
}

fn submit(world: &World, name: &str, gpu: &str) {
    let args = ["run", "-d", "--name", name, "--gpu", gpu, "--cpu", "0.1", "--memory", "32MB"];
    world.ok(&[&args[..], &["--disk", "100MB", "--", "sleep", "600"]].concat());
}

fn log(world: &World) -> String {
    std::fs::read_to_string(world.state().join("server.log")).unwrap()
}

#[test]
fn it_is_told_and_the_next_plan_is_carried_out() {
    let world = world();
    up(&world);
    submit(&world, "first", "1");
    let told = world.until("that a plan was refused", || {
        let events = world.json(&["events"]);
        let all = events.as_array()?;
        let placed = all.iter().position(|event| event["what"] == "placed");
        let refused = all.iter().position(|event| event["kind"] == "plan")?;
        assert!(placed.is_none_or(|placed| refused < placed), "refused first: {events}");
        Some(all[refused].clone())
    });
    let detail = told["detail"].as_str().unwrap();
    assert!(told["what"] == "refused" && detail.contains("failpoint loop.audit"), "{told}");
    world.until_state("first", "running");
    assert!(log(&world).contains("the plan breaks a rule"), "{}", log(&world));
}

#[test]
fn with_machines_kept_ahead_the_same_moment_is_planned_without_them() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "2xH200-141"]);
    let args = ["run", "--name", "whole", "--gpu", "2", "--cpu", "0.1", "--memory", "32MB"];
    world.ok(&[&args[..], &["--disk", "100MB", "--no-env", "--", "true"]].concat());
    world.ok(&["down"]);
    // One like it, which takes a whole machine, has waited for hours: machines are kept for such.
    came_earlier(&world, WorkloadId(1), "waits", 2 * 3_600_000);
    up(&world);
    world.until_state("waits", "succeeded");
    let log = log(&world);
    assert!(log.contains("refused with machines kept ahead; planned without them"), "{log}");
    assert!(!log.contains("the plan breaks a rule"), "{log}");
    let events = world.json(&["events"]);
    assert!(events.as_array().unwrap().iter().all(|event| event["kind"] != "plan"), "{events}");
}

/// Submits another like this one, so much earlier; between two servers.
fn came_earlier(world: &World, like: WorkloadId, name: &'static str, by_ms: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&world.state()).unwrap();
        let submitted = store.write(move |w| {
            let row = w.workload(like)?.expect("it is there");
            w.submit_workload(NewWorkload {
                name: name.to_owned(),
                queue: row.queue,
                user: row.user,
                kind: row.kind,
                phase: row.phase,
                priority: row.priority,
                submitted_at: Timestamp(row.submitted_at.0 - by_ms),
                spec_json: row.spec_json,
                request: row.request,
                gang: row.gang,
                gang_most: row.gang_most,
                reclaim: row.reclaim,
                max_duration: row.max_duration,
                expected: row.expected,
                learned_from: 0,
                program: row.program,
                suspend: row.suspend,
                retry: row.record.retry,
            })
        });
        submitted.await.unwrap();
        store.close().await.unwrap();
    });
}
