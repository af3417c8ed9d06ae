//! `kill -9` at every step: whatever dies, nothing is left and nothing runs twice.

use crate::support::{Machine, PATIENCE, key, open, shell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use weft_runtime::{End, Launch, MemberKey, Started};

#[tokio::test]
async fn a_killed_supervisor_takes_its_run_with_it() {
    let machine = Machine::new();
    let launch = numbered(shell("(setsid sleep 1000 &); echo up; sleep 1000"));
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
    kill(supervisor_of(&machine, launch.key));
    let ran = machine.ended(launch.key).await;
    assert_eq!(ran.exit.end, End::Lost);
    assert!(ran.exit.detail.contains("supervisor"), "{:?}", ran.exit);
    // A new server sees the same end, and the run is not started again.
    let next = open(machine.state.path());
    assert_eq!(next.wait(launch.key).await, ran.exit);
    assert_eq!(next.start(&launch).await.unwrap(), Started::Before);
    assert_nothing_left(&machine, launch.key).await;
}

#[tokio::test]
async fn a_run_lost_while_no_server_was_there_is_cleared_at_the_next_start() {
    let machine = Machine::new();
    let launch = numbered(shell("sleep 1000"));
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
    let pid = supervisor_of(&machine, launch.key);
    let Machine { state, runtime } = machine;
    drop(runtime);
    kill(pid);
    let machine = Machine { runtime: open(state.path()), state };
    assert_eq!(machine.ended(launch.key).await.exit.end, End::Lost);
    assert_nothing_left(&machine, launch.key).await;
}

#[tokio::test]
async fn a_supervisor_killed_at_a_durable_step_leaves_a_lost_run_or_an_ended_one() {
    for step in
        ["supervisor-begin", "supervisor-recorded", "exit-before-write", "exit-before-rename"]
    {
        let machine = Machine::new();
        let launch = numbered(shell("echo done"));
        start_elsewhere(&machine, &launch, step);
        // Another server, which knows nothing of what happened.
        let machine = Machine { runtime: open(machine.state.path()), state: machine.state };
        let started = machine.runtime.start(&launch).await.unwrap();
        let ran = machine.ended(launch.key).await;
        match ran.exit.end {
            End::Exited(0) => assert_eq!((started, ran.out.as_str()), (Started::Now, "done\n")),
            end => assert_eq!((end, started), (End::Lost, Started::Before), "{step}"),
        }
        assert_nothing_left(&machine, launch.key).await;
    }
}

#[tokio::test]
async fn a_server_killed_while_it_starts_a_run_has_started_it_once_or_not_at_all() {
    for step in ["start-before-orders", "start-before-spawn", "start-after-spawn"] {
        let machine = Machine::new();
        let launch = numbered(shell("echo $$ >> runs; cat runs | wc -l"));
        start_elsewhere(&machine, &launch, step);
        let machine = Machine { runtime: open(machine.state.path()), state: machine.state };
        machine.runtime.start(&launch).await.unwrap();
        assert_eq!(machine.ended(launch.key).await.printed(), "1", "{step}");
        assert_nothing_left(&machine, launch.key).await;
    }
}

#[tokio::test]
async fn a_part_of_a_device_is_whole_or_gone_whoever_is_killed() {
    use crate::gpu::{part, program, stand_in};
    let driver = stand_in("devices=1xH100-80");
    let steps = [
        "start-before-orders",
        "start-before-spawn",
        "start-after-spawn",
        "supervisor-begin",
        "supervisor-recorded",
        "exit-before-write",
    ];
    for step in steps {
        let machine = Machine::new();
        let gpu = part(driver.path(), 1 << 30, 300);
        let launch = numbered(program(gpu, "print(info()[1], take(600), take(600))"));
        start_elsewhere(&machine, &launch, step);
        let machine = Machine { runtime: open(machine.state.path()), state: machine.state };
        let started = machine.runtime.start(&launch).await.unwrap();
        let ran = machine.ended(launch.key).await;
        match ran.exit.end {
            End::Exited(0) => assert_eq!(ran.out, "1024 0 2\n", "{step}"),
            end => assert_eq!((end, started), (End::Lost, Started::Before), "{step}"),
        }
        machine.runtime.forget(launch.key).await.unwrap();
        let runs = machine.state.path().join("runs").canonicalize().unwrap();
        let folders = std::fs::read_dir("/dev/shm").unwrap().flatten();
        let mut of =
            folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("of")).ok());
        assert!(!of.any(|of| Path::new(&of) == runs), "{step}: what it shared is still there");
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_short_is_finished_by_the_next_server() {
    let machine = Machine::new();
    let launch = numbered(shell("mkdir -p a/b; echo x > a/b/c"));
    machine.run(&launch).await;
    let status = helper(&machine, "forget", &launch, "remove-renamed").status().unwrap();
    assert!(!status.success());
    let next = open(machine.state.path());
    assert_eq!(next.runs(), []);
    let rest = std::fs::read_dir(machine.state.path().join("runs")).unwrap().count();
    assert_eq!(rest, 0);
}

/// A launch with a number no other test has, so that what it leaves can be told apart.
fn numbered(mut launch: Launch) -> Launch {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let own = u64::from(std::process::id()) * 1000;
    launch.key = key(own + NEXT.fetch_add(1, Ordering::Relaxed));
    launch
}

/// Starts the launch from a server process of its own that, or whose supervisor, dies there.
fn start_elsewhere(machine: &Machine, launch: &Launch, step: &str) {
    // Its end is the step's, or its own: both are what happens.
    let _ = helper(machine, "start", launch, step).status().unwrap();
}

fn helper(machine: &Machine, what: &str, launch: &Launch, step: &str) -> Command {
    let file = machine.state.path().join("wanted.json");
    std::fs::write(&file, serde_json::to_vec(launch).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weft-supervise"));
    command.arg(what).arg(machine.state.path()).arg(file);
    command.env("WEFT_FAILPOINT", format!("{step}:abort"));
    command.stderr(std::process::Stdio::null());
    command
}

fn supervisor_of(machine: &Machine, key: MemberKey) -> i32 {
    let file = machine.runtime.log_path(key).with_file_name("supervisor.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    i32::try_from(record["process"]["pid"].as_i64().unwrap()).unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// No process, group or socket of the run; and after `forget`, no file.
async fn assert_nothing_left(machine: &Machine, key: MemberKey) {
    let owned = machine.runtime.log_path(key).with_file_name("supervisor.json");
    let record = std::fs::read_to_string(&owned).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
    let folders = record["group"]["folders"].as_array().cloned().unwrap_or_default();
    for folder in folders {
        let path = PathBuf::from(folder["path"].as_str().unwrap());
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(!owned.with_file_name("control.sock").exists());
    let dir = owned.parent().unwrap().to_path_buf();
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = process_in(&dir) {
        assert!(Instant::now() < deadline, "process {pid} is left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    machine.runtime.forget(key).await.unwrap();
    assert!(!dir.exists());
}

/// A living process that has the run's directory mounted or is its supervisor.
fn process_in(dir: &Path) -> Option<String> {
    let dir = dir.to_str().unwrap();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let read =
            |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let name = entry.file_name().into_string().ok().filter(|n| n.parse::<i32>().is_ok())?;
        let zombie = read("stat").contains(") Z ");
        let mentioned = read("cmdline").contains(dir) || read("mountinfo").contains(dir);
        (mentioned && !zombie).then_some(name)
    })
}

#[tokio::test]
async fn a_run_whose_state_directory_is_removed_ends() {
    let machine = Machine::new();
    let launch = numbered(shell("sleep 1000"));
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
    let pid = supervisor_of(&machine, launch.key);
    drop(machine);
    let deadline = Instant::now() + PATIENCE;
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    while !gone() {
        assert!(Instant::now() < deadline, "the supervisor lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
