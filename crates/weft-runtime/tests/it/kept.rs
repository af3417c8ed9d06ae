//! Kept folders: what a program saves is what its next start finds, and nobody else.

use crate::support::{Machine, Ran, launch, open, python, shell};
use std::fs;
use weft_runtime::{CHECKPOINT, End, Launch, MemberKey};
use weft_types::{Attempt, Bytes, Millis, WorkloadId};

/// The same run as another start of the workload.
fn attempt(launch: &Launch, attempt: u32) -> Launch {
    let key = MemberKey { attempt: Attempt(attempt), ..launch.key };
    Launch { key, kept: true, ..launch.clone() }
}

fn script(text: &str) -> Launch {
    attempt(&shell(&text.replace("$DIR", CHECKPOINT)), 1)
}

#[tokio::test]
async fn what_was_saved_is_there_at_the_next_start() {
    let m = Machine::new();
    let saves = script("cd $DIR; mkdir -m 700 deep; echo one > deep/saved; chmod 400 deep/saved");
    m.run(&saves).await.printed();
    // Another run may hold the user it had: the next start is another's.
    let other = script("sleep 100");
    let other = Launch { key: "w9-1-0".parse().unwrap(), ..other };
    m.runtime.release(saves.key).await.unwrap();
    m.runtime.start(&other).await.unwrap();
    // A new server on the same state.
    let m = Machine { runtime: open(m.state.path()), ..m };
    let next = attempt(&script("cd $DIR; cat deep/saved; echo two >> deep/more; cat deep/more"), 2);
    assert_eq!(m.run(&next).await.printed(), "one\ntwo");
    m.runtime.forget(other.key).await.unwrap();
    assert_eq!(m.runtime.kept(), [WorkloadId(1), WorkloadId(9)]);
    m.runtime.forget_kept(WorkloadId(1)).await.unwrap();
    assert!(!m.state.path().join("kept/w1").exists());
}

#[tokio::test]
async fn it_is_seen_by_who_asked_for_it_alone() {
    let m = Machine::new();
    m.run(&script("echo secret > $DIR/saved")).await.printed();
    let mut other = attempt(&shell("ls -d /run/checkpoint || echo nothing"), 1);
    other.key = "w2-1-0".parse().unwrap();
    other.kept = false;
    assert_eq!(m.run(&other).await.printed(), "nothing");
    // And with a folder of its own it finds its own.
    let mut third = script("ls -A $DIR; find / -name saved 2>/dev/null || true");
    third.key = "w3-1-0".parse().unwrap();
    assert_eq!(m.run(&third).await.printed(), "");
}

#[tokio::test]
async fn no_name_in_it_leads_out() {
    let m = Machine::new();
    let secret = m.state.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let text = "
import os
dir = '/run/checkpoint'
open('/work/mine', 'w').close()
try:
    os.link('/work/mine', dir + '/linked')
    print('linked')
except OSError as e:
    print(e.strerror)
os.symlink('SECRET', dir + '/link')
os.symlink('/', dir + '/root')
os.mkfifo(dir + '/pipe')
os.mkdir(dir + '/shut', 0)
with open(dir + '/holes', 'wb') as f:
    f.truncate(60 << 20)
os.link(dir + '/holes', dir + '/second')
";
    let first = attempt(&python(&text.replace("SECRET", secret.to_str().unwrap())), 1);
    assert_eq!(m.run(&first).await.printed(), "Invalid cross-device link");
    let looks = "cat $DIR/link 2>&1 || true; ls $DIR/root/root; stat -c %s $DIR/second; ls $DIR";
    let ran = m.run(&attempt(&script(looks), 2)).await;
    assert!(!ran.printed().contains("secret\n"), "{}", ran.out);
    assert!(ran.printed().ends_with("62914560\nholes\nlink\npipe\nroot\nsecond\nshut"));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    m.runtime.forget_kept(WorkloadId(1)).await.unwrap();
    assert!(secret.exists());
}

#[tokio::test]
async fn it_counts_under_the_disk_limit_over_all_starts() {
    let m = Machine::new();
    let fills =
        script("dd if=/dev/zero of=$DIR/$WEFT_ATTEMPT bs=1M count=40 2>/dev/null; sleep 60");
    let ends = Launch { command: shell("true").command, ..fills.clone() };
    let writes = shell("dd if=/dev/zero of=/run/checkpoint/a bs=1M count=40 2>/dev/null");
    m.run(&attempt(&writes, 1)).await.printed();
    let ran = m.run(&attempt(&fills, 2)).await;
    assert_eq!(ran.exit.end, End::OutOfDisk, "{}", ran.weft);
    // What is there is kept still: a larger limit goes on from it.
    let mut more = attempt(&ends, 3);
    more.limits.disk = Bytes(128 << 20);
    m.run(&more).await.printed();
}

/// Ends a run that saves when it is asked to, then does this.
async fn asked_to_end(then: &str) -> Ran {
    let m = Machine::new();
    let trap = format!("trap 'echo saved > $DIR/saved; {then}' TERM; echo up; sleep 100 & wait");
    let mut run = script(&trap);
    run.stop_grace = Millis(20_000);
    m.runtime.start(&run).await.unwrap();
    assert!(m.runtime.started(run.key).await);
    while !fs::read_to_string(m.runtime.log_path(run.key)).unwrap_or_default().contains("out up") {
        tokio::task::yield_now().await;
    }
    m.runtime.stop(run.key, false).await.unwrap();
    let ran = m.ended(run.key).await;
    assert!(m.state.path().join("kept/w1/0/saved").exists());
    ran
}

#[tokio::test]
async fn an_end_with_0_after_the_request_is_a_stop_unless_it_says_that_it_has_finished() {
    assert_eq!(asked_to_end("exit 0").await.exit.end, End::Stopped);
    assert_eq!(asked_to_end("exit 3").await.exit.end, End::Stopped);
    assert_eq!(asked_to_end("kill -SEGV $$").await.exit.end, End::Stopped);
    assert_eq!(asked_to_end("touch $DIR/finished; exit 0").await.exit.end, End::Exited(0));
    assert_eq!(asked_to_end("touch $DIR/finished; exit 3").await.exit.end, End::Stopped);
}

#[tokio::test]
async fn a_run_without_one_is_as_before() {
    let m = Machine::new();
    assert_eq!(m.run(&launch(["ls", "-A", "/run"])).await.printed(), "");
    assert!(m.runtime.kept().is_empty());
}
