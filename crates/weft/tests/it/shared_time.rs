//! Turns on one device: suspended after its slice, the long job goes on from what it saved.

use crate::world;
use rustix::process::{Pid, Signal, kill_process};
use weft_store::Store;
use weft_testkit::World;
use weft_types::{Millis, Timestamp, WorkloadId};

const DEVICE: &str = "1xH200-141";

/// Works until it is asked to end, saves how far it came, and ends with 0; its next start ends
/// its work.
const LONG: &str = "\
suspend: checkpoint
stop_grace: 1m
resources: {gpu: 1, cpu: 0.1, memory: 64MB, disk: 500MB}
run: |
  cd $WEFT_CHECKPOINT_DIR
  step=$(cat step || echo 0)
  trap 'echo $((step + 1)) > step; exit 0' TERM
  echo start $WEFT_ATTEMPT from step $step
  while test $step -lt 1; do sleep 0.05 || true; done
";

/// Works until there is a file `go`.
const SHORT: &str = "\
resources: {gpu: 1, cpu: 0.1, memory: 64MB, disk: 500MB}
run: while ! test -e go; do sleep 0.05; done
";

/// Makes the file that a run waits for. The run may see it, end, and take the command along before
/// that has ended itself: then the command is told so, and has done its work.
pub(crate) fn let_end(world: &World, name: &str) {
    let answer = world.weft(&["exec", name, "--", "touch", "go"]);
    let overtaken = answer.err.contains("the run ended before the program did");
    assert!(answer.code == 0 || overtaken, "{answer:?}");
}

pub(crate) const TWO_HOURS: u64 = 2 * 3_600_000;

/// Starts the server; every plan it makes is written down.
pub(crate) fn up(world: &World) {
    world.ok(&["up", "--detach", "--simulate", DEVICE, "--record", "plans"]);
}

/// Makes every plan again that any server of this world made: the same come out.
pub(crate) fn replays(world: &World) -> u64 {
    let done = world.json(&["admin", "replay", "plans"]);
    assert_eq!(done["different"], serde_json::json!([]), "{done}");
    assert!(done["acting"].as_u64().unwrap() > 0, "{done}");
    done["plans"].as_u64().unwrap()
}

/// A world whose queue shares time.
fn sharing() -> World {
    let world = world();
    up(&world);
    let set = world.ok(&["admin", "queue", "set", "default", "--order", "service"]);
    assert!(set.out.contains("service"), "{set:?}");
    world.write("long.weft.yaml", LONG);
    world.write("short.weft.yaml", SHORT);
    world
}

/// The server dies as in a crash; what runs goes on.
pub(crate) fn kill_server(world: &World) {
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let pid = Pid::from_raw(i32::try_from(note["pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let lock = world.state().join("lock");
    world.until("the server is gone", || {
        (!world.processes().iter().any(|(other, _)| *other == pid.as_raw_nonzero().get()))
            .then_some(lock.clone())
    });
}

/// As if a run had begun so much earlier; between two servers.
pub(crate) fn age(world: &World, id: u64, by_ms: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&world.state()).unwrap();
        let aged = store.write(move |w| {
            let mut row = w.workload(WorkloadId(id))?.expect("it is there");
            let placed_at = row.placed_at.expect("it was placed").0;
            row.placed_at = Some(Timestamp(placed_at - by_ms));
            w.save_workload(&row, Timestamp(placed_at))
        });
        aged.await.unwrap();
        store.close().await.unwrap();
    });
}

fn events(world: &World, name: &str) -> Vec<(String, String)> {
    let events = world.json(&["events", name]);
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap().to_owned();
    let list = events.as_array().unwrap().iter();
    list.map(|event| (text(event, "what"), text(event, "detail"))).collect()
}

#[test]
fn the_long_one_makes_place_for_the_short_one_and_goes_on_from_what_it_saved() {
    let world = sharing();
    world.ok(&["run", "-d", "long.weft.yaml"]);
    world.until_state("long", "running");
    world.until("its first line", || {
        world.ok(&["logs", "long"]).out.contains("start 1 from step 0").then_some(())
    });
    // A short one comes, and waits: the long one has only just begun.
    world.ok(&["run", "-d", "short.weft.yaml"]);
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "short"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    assert!(why.contains("queued #1"), "{why}");
    assert_eq!(world.json(&["ps", "--state-is", "running"])[0]["name"], "long");

    kill_server(&world);
    age(&world, 1, TWO_HOURS);
    up(&world);
    world.until_state("short", "running");
    let long = world.until_state("long", "queued");
    assert_eq!(long["suspended"]["by"], "w2", "{long}");
    assert!(long["suspended"]["after_ms"].as_u64().unwrap() >= TWO_HOURS, "{long}");
    assert_eq!(long["served_ms"], long["suspended"]["after_ms"]);
    // Two hours, and what the start of another server takes.
    let after = Millis(long["served_ms"].as_u64().unwrap());
    let ps = world.ok(&["ps"]).out;
    assert!(ps.contains(&format!("suspended after {after} for w2; #1")), "{ps}");
    let why = world.ok(&["why", "long"]).out;
    let told = format!("it was suspended after {after} for w2, and goes on from");
    assert!(why.contains(&told), "{why}");
    let saved = world.state().join("kept/w1/0/step");
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), "1\n");

    let doctor = world.ok(&["doctor"]).out;
    assert!(doctor.contains("disk: checkpoints: "), "{doctor}");

    // The server dies while it is suspended.
    kill_server(&world);
    up(&world);
    assert_eq!(std::fs::read_to_string(&saved).unwrap(), "1\n");
    let_end(&world, "short");
    world.until_state("short", "succeeded");
    let long = world.until_state("long", "succeeded");
    assert_eq!((&long["attempt"], &long["suspended"]), (&2.into(), &serde_json::Value::Null));
    assert!(world.ok(&["logs", "long"]).out.contains("start 2 from step 1"));
    let happened = events(&world, "long");
    let what: Vec<_> = happened.iter().map(|(what, _)| what.as_str()).collect();
    let expected =
        ["submitted", "placed", "running", "suspended", "requeued", "placed", "running", "exited"];
    // A program that ends at once is seen to run and to end in one look.
    let brief: Vec<_> = expected.into_iter().take(6).chain(["exited"]).collect();
    assert!(what == expected || what == brief, "{happened:?}");
    let told = &happened[3].1;
    assert!(told.starts_with("after 2 h ") && told.contains(", for w2; it goes on"), "{told}");
    // What was kept goes with the workload, and the ledger knows every millisecond.
    world.until("nothing is kept", || (!world.state().join("kept/w1").exists()).then_some(()));
    world.ok(&["admin", "ledger", "check"]);
    // Three servers decided, two of them killed: every plan comes out again. There is one for each
    // change that was waited for; how many more depends on how busy the machine is.
    assert!(replays(&world) >= 8);
}

#[test]
fn a_plan_that_was_changed_is_found() {
    let world = world();
    up(&world);
    world.ok(&["run", "--", "true"]);
    world.ok(&["down"]);
    replays(&world);
    let path = world.work().join("plans/plans.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line.contains("\"Pending\"")).unwrap();
    let changed = text.replacen(
        "\"Pending\":{\"not_before\":0",
        "\"Pending\":{\"not_before\":9999999999999",
        1,
    );
    assert_ne!(text, changed);
    std::fs::write(&path, changed).unwrap();
    let found = world.weft(&["admin", "replay", "plans"]);
    let said = format!("the first in line {} of plans/plans.jsonl", line + 1);
    assert!(found.code == 120 && found.err.contains(&said), "{said}: {found:?}");
    assert_eq!(world.weft(&["admin", "replay", "elsewhere"]).code, 120);
}

#[test]
fn what_is_suspended_can_be_stopped_and_leaves_nothing() {
    let world = sharing();
    world.ok(&["run", "-d", "long.weft.yaml"]);
    world.until_state("long", "running");
    kill_server(&world);
    age(&world, 1, TWO_HOURS);
    up(&world);
    world.ok(&["run", "-d", "short.weft.yaml"]);
    world.until_state("long", "queued");
    assert!(world.state().join("kept/w1").exists());
    world.ok(&["stop", "--wait", "long"]);
    world.until("nothing is kept", || (!world.state().join("kept/w1").exists()).then_some(()));
    world.ok(&["stop", "--now", "--wait", "short"]);
}

#[test]
fn in_a_queue_by_submission_nobody_makes_place() {
    let world = sharing();
    let set = ["admin", "queue", "set", "default", "--order"];
    world.ok(&[&set[..], &["submission"]].concat());
    // What is not named stays.
    world.ok(&["admin", "queue", "set", "default", "--gpu", "1"]);
    world.ok(&["run", "-d", "long.weft.yaml"]);
    world.until_state("long", "running");
    kill_server(&world);
    age(&world, 1, TWO_HOURS);
    up(&world);
    world.ok(&["run", "-d", "short.weft.yaml"]);
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "short"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    assert!(why.contains("queued #1"), "{why}");
    assert_eq!(world.json(&["ps", "--state-is", "running"])[0]["name"], "long");
    world.ok(&[&set[..], &["service"]].concat());
    world.until_state("short", "running");
    world.ok(&["stop", "--now", "short"]);
    world.until_state("long", "succeeded");
}

#[test]
fn what_cannot_be_done_yet_is_said() {
    let world = world();
    let flag = world.weft(&["run", "--suspend", "driver", "--", "true"]);
    assert!(flag.code != 0 && flag.err.contains("cannot do driver"), "{flag:?}");
    let kind = ["run", "--suspend", "checkpoint", "--type", "service", "--", "true"];
    let kind = world.weft(&kind);
    assert!(kind.code != 0 && kind.err.contains("suspend: is for a job"), "{kind:?}");
    let printed = world.ok(&["run", "--print-spec", "--suspend", "checkpoint", "--", "true"]);
    assert!(printed.out.contains("suspend: checkpoint"), "{printed:?}");
}

#[test]
fn how_long_it_takes_is_learned_from_the_last_runs_and_told() {
    let world = world();
    up(&world);
    world.write("work.sh", "test ! -e hold || sleep 600\n");
    world.write("hold", "");
    let args =
        ["--gpu", "1", "--cpu", "0.1", "--memory", "32MB", "--disk", "100MB", "--files", "work.sh"];
    let run = |more: &[&str], last: &[&str]| {
        world.ok(&[&["run"], more, &args[..], &["--", "sh", "work.sh"], last].concat())
    };
    for option in ["--lr=1", "--lr=2", "--lr=3"] {
        run(&[], &[option]);
    }
    // It holds the device, and the next one waits.
    let holder = run(&["-d", "--files", "hold"], &[]).out;
    let holder = holder.trim();
    run(&["-d", "--name", "next"], &[]);
    run(&["-d", "--name", "sure", "--expected-duration", "40m"], &[]);
    let next = world.json(&["ps"]);
    let next = next.as_array().unwrap().iter().find(|w| w["name"] == "next").unwrap().clone();
    assert_eq!(
        (&next["expected"]["runs"], &next["expected"]["program"]),
        (&3.into(), &"work.sh".into())
    );
    assert!(world.ok(&["why", "next"]).out.contains(" in all, from the last 3 runs of work.sh"));
    let sure = world.ok(&["why", "sure"]).out;
    assert!(sure.contains("expected to take 40 min 00 s in all, as stated"), "{sure}");
    world.ok(&["stop", "--now", holder, "next", "sure"]);
}

#[test]
fn the_example_goes_on_from_its_last_round() {
    let world = sharing();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/checkpoint/estimate");
    let flags = ["-d", "--gpu", "1", "--env", "DARTS=400000"];
    let file = format!("{example}.weft.yaml");
    world.ok(&[&["run", &file], &flags[..]].concat());
    world.until("its first line", || {
        world.ok(&["logs", "estimate"]).out.contains("start 1: 0 of 400000").then_some(())
    });
    world.until_state("estimate", "succeeded");
    let out = world.ok(&["logs", "estimate"]).out;
    assert!(out.contains("pi is about 3.1"), "{out}");
    // By hand, interrupted at its first round: the same result.
    let python = |dir: &str| {
        let dir = world.work().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        let mut command = std::process::Command::new("python3");
        command
            .arg(format!("{example}.py"))
            .env("DARTS", "400000")
            .env_remove("WEFT_CHECKPOINT_DIR");
        command.current_dir(&dir).stdout(std::process::Stdio::piped());
        (dir, command.spawn().unwrap())
    };
    let (dir, child) = python("by-hand");
    world.until("its first round", || dir.join("checkpoint.json").exists().then_some(()));
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let (dir, child) = python("by-hand");
    let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(!told.contains(": 0 of"), "{told}");
    let pi = std::fs::read_to_string(dir.join("pi.json")).unwrap();
    let kept = std::fs::read_to_string(world.state().join("outputs/w1/pi.json")).unwrap();
    assert_eq!(pi, kept);
}

#[test]
fn a_run_that_is_lost_goes_on_from_what_it_saved() {
    let world = world();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/checkpoint");
    let file = format!("{example}/estimate.weft.yaml");
    world.ok(&["run", "-d", &file, "--env", "DARTS=1000000000", "--name", "pi"]);
    let saved = world.state().join("kept/w1/0/checkpoint.json");
    world.until("its first round", || saved.exists().then_some(()));
    let owner = world.state().join("runs/w1-1-0/supervisor.json");
    let owner: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(owner).unwrap()).unwrap();
    let pid = i32::try_from(owner["process"]["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let again = world.until("its second start", || {
        let out = world.ok(&["logs", "pi"]).out;
        out.lines().find(|line| line.starts_with("start 2: ")).map(str::to_owned)
    });
    assert!(!again.starts_with("start 2: 0 of"), "{again}");
    world.ok(&["stop", "--now", "--wait", "pi"]);
    world.until("nothing is kept", || (!world.state().join("kept/w1").exists()).then_some(()));
}

/// What goes to one of higher priority keeps its work as well, in any order of the queue; a gang
/// whole, each member its own.
#[test]
fn a_gang_that_is_preempted_goes_on_from_what_its_members_saved() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "2xH200-141", "--record", "plans"]);
    world.write("long.weft.yaml", &format!("replicas: 2\n{LONG}"));
    world.write("short.weft.yaml", &format!("priority: high\n{SHORT}"));
    world.ok(&["run", "-d", "long.weft.yaml"]);
    world.until("both began", || {
        let out = world.ok(&["logs", "long"]).out;
        (out.matches("start 1 from step 0").count() == 2).then_some(())
    });
    kill_server(&world);
    age(&world, 1, TWO_HOURS);
    world.ok(&["up", "--detach", "--simulate", "2xH200-141", "--record", "plans"]);
    world.ok(&["run", "-d", "short.weft.yaml"]);
    world.until_state("short", "running");
    let long = world.until_state("long", "queued");
    assert_eq!(long["suspended"], serde_json::Value::Null, "it is no turn of an equal: {long}");
    assert!(long["served_ms"].as_u64().unwrap() >= TWO_HOURS, "{long}");
    for member in ["0", "1"] {
        let saved = world.state().join("kept/w1").join(member).join("step");
        assert_eq!(std::fs::read_to_string(saved).unwrap(), "1\n");
    }
    let_end(&world, "short");
    let long = world.until_state("long", "succeeded");
    assert_eq!(long["attempt"], 2, "{long}");
    let happened = events(&world, "long");
    let again = happened.iter().find(|(what, _)| what == "requeued").unwrap();
    assert_eq!(again.1, "its place went to w2; it goes on from what it saved");
    replays(&world);
    // That others were stopped for it was in the store until it started, and was planned with.
    let plans = std::fs::read_to_string(world.work().join("plans/plans.jsonl")).unwrap();
    let owed = |line: &str| line.contains("\"owed\":") && !line.contains("\"owed\":null");
    assert!(plans.lines().any(owed), "{plans}");
    assert!(!owed(plans.lines().next_back().unwrap()), "{plans}");
}
