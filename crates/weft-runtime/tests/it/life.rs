//! A run from its start to its end, as the agent drives it.

use crate::support::{Machine, PATIENCE, key, launch, open, shell};
use std::time::Duration;
use weft_runtime::{End, RuntimeError, Started};
use weft_types::{Epoch, Millis};

#[tokio::test]
async fn a_command_runs_and_its_streams_and_exit_are_kept() {
    let machine = Machine::new();
    let ran = machine.run(&shell("echo out; echo err >&2; exit 3")).await;
    assert_eq!(ran.exit.end, End::Exited(3), "{:?} {}", ran.exit, ran.weft);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn a_signal_is_told_apart_from_an_exit_code() {
    let ran = Machine::new().run(&shell("kill -SEGV $$")).await;
    assert_eq!(ran.exit.end, End::Signalled(11));
}

#[tokio::test]
async fn a_missing_program_is_not_started_and_says_so() {
    let ran = Machine::new().run(&launch(["no-such-program"])).await;
    assert_eq!(ran.exit.end, End::NotStarted);
    assert_eq!(ran.exit.detail, "`no-such-program`: no such program");
}

#[tokio::test]
async fn the_environment_is_built_from_scratch() {
    let mut launch =
        shell("id -un; pwd; echo $HOME $MINE; env | cut -d= -f1 | sort | tr '\\n' ' '");
    launch.env.insert("MINE".to_owned(), "yes".to_owned());
    let ran = Machine::new().run(&launch).await;
    let wanted = "weft\n/work\n/work yes\n\
        HOME LANG LOGNAME MINE MLFLOW_TRACKING_TOKEN MLFLOW_TRACKING_URI OMP_NUM_THREADS \
        PATH PWD PYTHONUNBUFFERED SHELL TMPDIR USER WEFT_ATTEMPT WEFT_MEMBER WEFT_WORKLOAD";
    assert_eq!(ran.printed().trim_end(), wanted);
}

#[tokio::test]
async fn setup_runs_first_in_the_same_sandbox_and_its_failure_is_not_a_start() {
    let machine = Machine::new();
    let mut good = shell("cat made");
    good.setup = vec!["word=here".to_owned(), "echo $word > made".to_owned()];
    assert_eq!(machine.run(&good).await.printed(), "here");

    let mut bad = shell("echo never");
    bad.key = key(2);
    bad.setup = vec!["false".to_owned()];
    let ran = machine.run(&bad).await;
    assert_eq!(ran.exit.end, End::NotStarted);
    assert_eq!(ran.exit.detail, "setup failed with exit code 1");
    assert_eq!(ran.out, "");
}

#[tokio::test]
async fn a_start_happens_once_however_often_it_is_asked_for() {
    let machine = Machine::new();
    let launch = shell("echo once");
    let (first, second) =
        tokio::join!(machine.runtime.start(&launch), machine.runtime.start(&launch));
    let mut started = [first.unwrap(), second.unwrap()];
    started.sort_by_key(|s| *s == Started::Before);
    assert_eq!(started, [Started::Now, Started::Before]);
    assert_eq!(machine.ended(launch.key).await.printed(), "once");
    assert_eq!(machine.runtime.start(&launch).await.unwrap(), Started::Before);
    assert_eq!(machine.ended(launch.key).await.printed(), "once");
}

#[tokio::test]
async fn an_older_epoch_is_refused_also_by_the_next_server() {
    let machine = Machine::new();
    let mut launch = shell("true");
    launch.epoch = Epoch(5);
    machine.run(&launch).await;
    launch.epoch = Epoch(4);
    for runtime in [machine.runtime.clone(), open(machine.state.path())] {
        let refused = runtime.start(&launch).await;
        assert!(matches!(refused, Err(RuntimeError::StaleEpoch { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_stop_is_asked_for_politely_and_then_enforced() {
    let machine = Machine::new();
    // Not `sleep 1000 & wait`: a shell that is told to end between the two, while its child is not
    // yet `sleep`, waits for that child.
    let mut polite = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    polite.stop_grace = Millis(60_000);
    machine.runtime.start(&polite).await.unwrap();
    assert!(machine.runtime.started(polite.key).await);
    wait_for_log(&machine, "up").await;
    machine.runtime.stop(polite.key, false).await.unwrap();
    let ran = machine.ended(polite.key).await;
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::Stopped, "up\nbye\n"));

    let mut stubborn = shell("trap '' TERM; echo up; while :; do sleep 1000; done");
    stubborn.key = key(2);
    stubborn.stop_grace = Millis(50);
    machine.runtime.start(&stubborn).await.unwrap();
    assert!(machine.runtime.started(stubborn.key).await);
    machine.runtime.stop(stubborn.key, false).await.unwrap();
    assert_eq!(machine.ended(stubborn.key).await.exit.end, End::Stopped);
}

#[tokio::test]
async fn a_stop_at_once_does_not_wait_for_the_grace() {
    let machine = Machine::new();
    let mut launch = shell("trap '' TERM; sleep 1000");
    launch.stop_grace = Millis::from_secs(3_600);
    machine.runtime.start(&launch).await.unwrap();
    machine.runtime.stop(launch.key, true).await.unwrap();
    assert_eq!(machine.ended(launch.key).await.exit.end, End::Stopped);
    machine.runtime.stop(launch.key, true).await.unwrap();
}

#[tokio::test]
async fn another_server_adopts_what_runs() {
    let machine = Machine::new();
    let launch = shell("read line < gate; echo $line");
    rustix_fifo(&machine, &launch).await;
    let next = open(machine.state.path());
    assert_eq!(next.runs(), [launch.key]);
    assert!(next.started(launch.key).await);
    assert!(next.usage(launch.key).is_some());
    let gate = machine.work(launch.key).join("gate");
    std::fs::write(gate, "through\n").unwrap();
    let exit = tokio::time::timeout(PATIENCE, next.wait(launch.key)).await.unwrap();
    assert_eq!(machine.left(launch.key, exit).printed(), "through");
    next.forget(launch.key).await.unwrap();
    next.forget(launch.key).await.unwrap();
    assert_eq!(next.runs(), []);
}

/// Starts a launch whose command waits on a pipe named `gate` in its working directory.
async fn rustix_fifo(machine: &Machine, launch: &weft_runtime::Launch) {
    let mut launch = launch.clone();
    launch.setup = vec!["mkfifo gate".to_owned()];
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
}

async fn wait_for_log(machine: &Machine, text: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let log = std::fs::read_to_string(machine.runtime.log_path(key(1))).unwrap_or_default();
        if log.contains(text) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no `{text}` in {log}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_machine_is_probed_and_says_what_it_lacks() {
    let findings = weft_runtime::Runtime::probe();
    let found = |what: &str| findings.iter().find(|f| f.what == what).unwrap();
    assert!(found("user namespaces").ok);
    // This test binary is no supervisor: the trial must notice, not take its exit for success.
    assert!(!found("sandbox").ok);
    for finding in &findings {
        assert_eq!(finding.ok, finding.cost.is_empty(), "{finding:?}");
        assert_eq!(finding.ok, finding.fix.is_empty(), "{finding:?}");
    }
}
