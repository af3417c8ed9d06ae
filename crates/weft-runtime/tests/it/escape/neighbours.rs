//! Other processes: the host's, other runs', and what a run leaves behind itself.

use super::{PRELUDE, attack};
use crate::support::{Machine, PATIENCE, key, python, shell};
use std::os::unix::net::UnixListener;
use std::process::Command;
use weft_runtime::End;

crate::escape::attempts! {
    see_the_hosts_processes: "2", r"
print(len([name for name in os.listdir('/proc') if name.isdigit()]))";
    signal_the_first_process: "ESCAPED None\nstill here", r"
attempt(lambda: os.kill(1, signal.SIGKILL))
print('still here')";
    lower_its_oom_score: "EACCES", "attempt(lambda: write('/proc/self/oom_score_adj', '-1000'))";
    rise_in_priority: "EACCES\nEPERM", r"
attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))";
    raise_its_limits: "True", r"
import resource
try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print('ESCAPED')
except ValueError:
    print(True)";
}

#[tokio::test]
async fn a_host_process_is_neither_seen_nor_signalled() {
    let mut victim = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = victim.id();
    let ran = attack(&format!("attempt(lambda: os.kill({pid}, signal.SIGKILL))")).await;
    let alive = victim.try_wait().unwrap().is_none();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!((ran.printed(), alive), ("ESRCH", true));
}

#[tokio::test]
async fn an_abstract_socket_of_the_host_is_not_reached() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("weft-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let ran = attack(&format!(
        "s = socket.socket(socket.AF_UNIX)\nattempt(lambda: s.connect('\\0{name}'))"
    ))
    .await;
    drop(listener);
    assert_eq!(ran.printed(), "ECONNREFUSED");
}

#[tokio::test]
async fn shared_memory_of_the_host_is_not_attached() {
    let made = Command::new("/usr/bin/python3")
        .args(["-c", "import ctypes; print(ctypes.CDLL(None).shmget(0x77656674, 4096, 0o1666))"])
        .output()
        .unwrap();
    let id: i32 = String::from_utf8(made.stdout).unwrap().trim().parse().unwrap();
    assert!(id >= 0);
    let ran = attack("attempt(lambda: syscall(29, 0x77656674, 4096, 0o666))").await;
    let remove = format!("import ctypes; ctypes.CDLL(None).shmctl({id}, 0, None)");
    Command::new("/usr/bin/python3").args(["-c", &remove]).status().unwrap();
    assert_eq!(ran.printed(), "ENOENT");
}

#[tokio::test]
async fn daemons_end_with_the_command_that_left_them() {
    let machine = Machine::new();
    // Twice forked, in a session of its own, deaf to every polite signal, holding the output.
    let script = "
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]:
                signal.signal(number, signal.SIG_IGN)
            open(f'/work/{os.getpid()}', 'w').close()
            time.sleep(1000)
        os._exit(0)
while len([name for name in os.listdir('/work')]) < 3:
    time.sleep(0.001)
print('left')";
    let launch = python(&format!("{PRELUDE}\n{script}"));
    let started = std::time::Instant::now();
    assert_eq!(machine.run(&launch).await.printed(), "left");
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(processes_of(&machine), Vec::<String>::new());
}

#[tokio::test]
async fn a_stop_reaches_everything_not_only_the_command() {
    let machine = Machine::new();
    let mut launch = shell("(trap '' TERM; sleep 1000) & (setsid sleep 1000 &) ; sleep 1000");
    launch.stop_grace = weft_types::Millis(100);
    machine.runtime.start(&launch).await.unwrap();
    assert!(machine.runtime.started(launch.key).await);
    machine.runtime.stop(launch.key, false).await.unwrap();
    assert_eq!(machine.ended(launch.key).await.exit.end, End::Stopped);
    assert_eq!(processes_of(&machine), Vec::<String>::new());
}

#[tokio::test]
async fn two_runs_do_not_see_each_other() {
    let machine = Machine::new();
    let mut other = shell("sleep 1000");
    other.key = key(2);
    machine.runtime.start(&other).await.unwrap();
    assert!(machine.runtime.started(other.key).await);
    let ran = machine.run(&shell("ls /proc | grep -c '^[0-9]' || true; cat /proc/*/cmdline")).await;
    assert!(!ran.printed().contains("1000"), "{}", ran.printed());
    machine.runtime.stop(other.key, true).await.unwrap();
    machine.ended(other.key).await;
}

/// Command lines of the host's processes that mention the machine's state directory, or that
/// have it as their working directory.
fn processes_of(machine: &Machine) -> Vec<String> {
    let state = machine.state.path().to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter(|e| e.file_name().to_string_lossy().parse::<i32>().is_ok());
    let about = |pid: &std::path::Path| {
        let line = std::fs::read_to_string(pid.join("cmdline")).unwrap_or_default();
        let mounts = std::fs::read_to_string(pid.join("mountinfo")).unwrap_or_default();
        let inside = mounts.lines().any(|line| line.contains(state));
        (line.contains(state) || inside).then_some(line)
    };
    pids.filter_map(|entry| about(&entry.path())).collect()
}
