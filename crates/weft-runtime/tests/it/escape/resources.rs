//! Taking more than was given: memory, processes, files, disk, processor, log.

use super::{PRELUDE, attack};
use crate::support::{Machine, python, shell};
use std::time::Duration;
use weft_runtime::{End, Launch};
use weft_types::{Bytes, MilliCpu};

/// Whether cgroups bound memory here; said aloud where they do not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(ran_without: &str) -> bool {
    let missing = ran_without.contains("not limited by this machine");
    if missing {
        eprintln!("SKIPPED: {ran_without}");
    }
    missing
}

fn attack_with(script: &str, change: impl FnOnce(&mut Launch)) -> Launch {
    let mut launch = python(&format!("{PRELUDE}\n{script}"));
    change(&mut launch);
    launch
}

#[tokio::test]
async fn a_memory_bomb_ends_itself_only() {
    let launch =
        attack_with("keep = [bytearray(1 << 20) for _ in range(1000)]; print('ESCAPED')", |l| {
            l.limits.memory = Bytes(64 << 20);
        });
    let ran = Machine::new().run(&launch).await;
    if skip(&ran.weft) {
        return;
    }
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::OutOfMemory, ""));
    assert!(
        ran.exit.detail.contains("67.1 MB") || ran.exit.detail.contains("67 MB"),
        "{}",
        ran.exit.detail
    );
    let peak = ran.exit.usage.memory_peak.0;
    assert!((32 << 20..=64 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn a_memory_bomb_in_a_child_ends_the_run() {
    let launch = attack_with(
        "
if os.fork() == 0:
    keep = [bytearray(1 << 20) for _ in range(1000)]
time.sleep(1000)",
        |l| l.limits.memory = Bytes(64 << 20),
    );
    let ran = Machine::new().run(&launch).await;
    if !skip(&ran.weft) {
        assert_eq!(ran.exit.end, End::OutOfMemory);
    }
}

#[tokio::test]
async fn shared_memory_and_tmp_are_bounded_and_counted() {
    let script = "
def fill(path):
    with open(path, 'wb', buffering=0) as file:
        for _ in range(1000):
            file.write(bytes(1 << 20))
attempt(lambda: fill('/dev/shm/bomb'))
os.unlink('/dev/shm/bomb')
attempt(lambda: fill('/tmp/bomb'))";
    let launch = attack_with(script, |l| {
        l.limits.memory = Bytes(64 << 20);
        l.limits.disk = Bytes(1 << 30);
    });
    assert_eq!(Machine::new().run(&launch).await.printed(), "ENOSPC\nENOSPC");
}

#[tokio::test]
async fn a_fork_bomb_hits_its_limit() {
    let script = "
made = 0
try:
    while made < 1000:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
    print('ESCAPED')
except BlockingIOError:
    print(made)";
    let launch = attack_with(script, |l| l.limits.pids = 20);
    let ran = Machine::new().run(&launch).await;
    assert_eq!(ran.printed(), "19");
}

#[tokio::test]
async fn a_thread_bomb_hits_its_limit() {
    let script = "
import threading
made = 0
try:
    for made in range(1000):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    print('ESCAPED')
except RuntimeError:
    print(made <= 20)
sys.stdout.flush()
os._exit(0)";
    let launch = attack_with(script, |l| l.limits.pids = 20);
    assert_eq!(Machine::new().run(&launch).await.printed(), "True");
}

#[tokio::test]
async fn open_files_are_bounded() {
    let script = "
fds = []
try:
    while len(fds) < 200000:
        fds.append(os.dup(0))
    print('ESCAPED')
except OSError as error:
    print(errno.errorcode[error.errno], len(fds) < 65536)";
    assert_eq!(attack(script).await.printed(), "EMFILE True");
}

#[tokio::test]
async fn one_file_beyond_the_disk_limit_ends_the_run() {
    let mut launch = shell("exec dd if=/dev/zero of=/work/bomb bs=1M count=100 2>/dev/null");
    launch.limits.disk = Bytes(8 << 20);
    let machine = Machine::new();
    let ran = machine.run(&launch).await;
    assert_eq!(ran.exit.end, End::OutOfDisk, "{:?}", ran.exit);
    assert!(ran.exit.usage.disk.0 <= 9 << 20, "{:?}", ran.exit.usage);
}

#[tokio::test]
async fn many_files_beyond_the_disk_limit_end_the_run() {
    let script = "
for n in range(100000):
    with open(f'/work/{n}', 'wb') as file:
        file.write(bytes(1 << 20))
    if n > 20:
        time.sleep(0.02)";
    let launch = attack_with(script, |l| l.limits.disk = Bytes(16 << 20));
    let ran = Machine::new().run(&launch).await;
    assert_eq!(ran.exit.end, End::OutOfDisk, "{:?}", ran.exit);
    assert!(ran.exit.detail.contains("disk"), "{}", ran.exit.detail);
}

#[tokio::test]
async fn the_processor_limit_is_kept() {
    // A busy loop of 0.4 s of wall time on a tenth of a core has at most about 0.05 s.
    let script = "
end = time.monotonic() + 0.4
while time.monotonic() < end:
    pass
print(time.process_time() < 0.2)";
    let launch = attack_with(script, |l| l.limits.cpu = MilliCpu(100));
    let ran = Machine::new().run(&launch).await;
    if !skip(&ran.weft) {
        assert_eq!(ran.printed(), "True");
    }
}

#[tokio::test]
async fn files_without_a_name_count_as_long_as_they_are_open() {
    let script = "import os, time\n\
        held = []\n\
        for n in range(8):\n\
        \x20   held.append(open(f'f{n}', 'wb')); os.unlink(f'f{n}')\n\
        \x20   held[-1].write(bytes([1]) * (8 << 20)); held[-1].flush()\n\
        time.sleep(60); print('ESCAPED')";
    let launch = attack_with(script, |l| l.limits.disk = Bytes(16 << 20));
    let ran = Machine::new().run(&launch).await;
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::OutOfDisk, ""), "{:?}", ran.exit);
}

#[tokio::test]
async fn files_deeper_than_a_path_count() {
    let script = "import os, time\n\
        for n in range(30):\n\
        \x20   os.mkdir('d' * 200); os.chdir('d' * 200)\n\
        for n in range(8):\n\
        \x20   open(f'f{n}', 'wb').write(bytes([1]) * (8 << 20))\n\
        time.sleep(60); print('ESCAPED')";
    let launch = attack_with(script, |l| l.limits.disk = Bytes(16 << 20));
    let ran = Machine::new().run(&launch).await;
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::OutOfDisk, ""), "{:?}", ran.exit);
}

#[tokio::test]
async fn a_log_bomb_is_bounded_on_disk() {
    let mut launch = shell("yes 0123456789012345678901234567890123456789 | head -c 140M");
    launch.limits.cpu = MilliCpu(4_000);
    let machine = Machine::new();
    let ran = machine.run(&launch).await;
    assert_eq!(ran.exit.end, End::Exited(0));
    let log = machine.runtime.log_path(launch.key);
    let size: u64 = ["log", "log.1"]
        .iter()
        .filter_map(|name| std::fs::metadata(log.with_file_name(name)).ok())
        .map(|meta| meta.len())
        .sum();
    assert!((64 << 20..=129 << 20).contains(&size), "{size}");
}

#[tokio::test]
async fn usage_is_told_while_it_runs_and_at_the_end() {
    let machine = Machine::new();
    let launch =
        attack_with("keep = bytearray(os.urandom(32 << 20)); print(1); time.sleep(1000)", |_| {});
    machine.runtime.start(&launch).await.unwrap();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    let usage = loop {
        let usage = machine.runtime.usage(launch.key).unwrap_or_default();
        if usage.memory.0 > 32 << 20 && usage.cpu_us > 0 && usage.pids >= 2 {
            break usage;
        }
        assert!(std::time::Instant::now() < deadline, "{usage:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    machine.runtime.stop(launch.key, true).await.unwrap();
    let last = machine.ended(launch.key).await.exit.usage;
    assert!(last.cpu_us >= usage.cpu_us && last.memory_peak >= usage.memory, "{last:?}");
    assert_eq!(machine.runtime.usage(launch.key), None);
}
