//! The runtime without any right: a server that is nobody.
//!
//! Where the tests themselves run without rights, every other test is one of this, and these
//! are left out.

use crate::support::{PATIENCE, Ran, key, open, python, shell};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;
use weft_runtime::{End, Launch};
use weft_types::{Attempt, Bytes};

const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_run_of_nobody_is_as_closed_as_roots() {
    let script = "
import os
print(os.getuid(), os.getgid())
for attack in [
    lambda: open('/usr/evil', 'w'),
    lambda: open('/proc/sys/kernel/core_pattern', 'w'),
    lambda: os.listdir('/proc/1/root'),
    lambda: os.setuid(0),
    lambda: os.chroot('/tmp'),
    lambda: open('/etc/shadow'),
]:
    try:
        attack()
        print('ESCAPED')
    except OSError as error:
        print('refused')
open('/work/mine', 'w').write('x')
print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapBnd', 'Seccomp:'))])";
    let Some(ran) = run_as_nobody(&python(script)).await else { return };
    let wanted = "1000 1000\nrefused\nrefused\nrefused\nrefused\nrefused\nrefused\n\
        ['0000000000000000', '0000000000000000', '2']";
    assert_eq!(ran.printed(), wanted);
}

#[tokio::test]
async fn memory_is_bounded_without_a_control_group() {
    let mut launch = python("keep = [bytearray(1 << 20) for _ in range(1000)]; print('ESCAPED')");
    launch.limits.memory = Bytes(64 << 20);
    let Some(ran) = run_as_nobody(&launch).await else { return };
    assert_ne!(ran.exit.end, End::Exited(0));
    assert!(!ran.out.contains("ESCAPED"));
    assert!(ran.weft.contains("not limited by this machine: "), "{}", ran.weft);
}

#[tokio::test]
async fn usage_is_summed_where_nothing_counts() {
    let Some(ran) =
        run_as_nobody(&shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")).await
    else {
        return;
    };
    assert_eq!(ran.exit.end, End::Exited(0), "{:?}", ran.exit);
    assert!(ran.exit.usage.cpu_us > 1_000, "{:?}", ran.exit.usage);
    assert!(ran.exit.usage.memory_peak.0 > 100_000, "{:?}", ran.exit.usage);
}

/// What a supervisor without rights cannot list, a workload could hide anything in.
#[tokio::test]
async fn a_folder_that_is_shut_counts_against_the_disk_limit_and_is_removed() {
    for folder in [".", "hidden/inner"] {
        let script = format!(
            "mkdir -p hidden/inner; \
             for n in 1 2 3; do head -c 6000000 /dev/zero > {folder}/$n; done; sync; \
             chmod 000 hidden/inner hidden .; exec sleep 1000"
        );
        let mut launch = shell(&script);
        launch.limits.disk = Bytes(10 << 20);
        let Some(state) = serve_as_nobody("run", &launch, None).await else { return };
        let exit = open(state.path()).exit(key(1)).unwrap();
        assert_eq!(exit.end, End::OutOfDisk, "{folder}: {exit:?}");
        let state = serve_as_nobody("forget", &launch, Some(state)).await.unwrap();
        assert_eq!(std::fs::read_dir(state.path().join("runs")).unwrap().count(), 0);
    }
}

/// Two starts of one workload, without the right to give files to anybody.
#[tokio::test]
async fn what_nobody_saved_is_nobodys_at_the_next_start() {
    let mut launch = shell("cd /run/checkpoint; cat saved 2>/dev/null || echo one > saved");
    launch.kept = true;
    let Some(state) = serve_as_nobody("run", &launch, None).await else { return };
    launch.key.attempt = Attempt(2);
    let state = serve_as_nobody("run", &launch, Some(state)).await.unwrap();
    let runtime = open(state.path());
    let exit = runtime.exit(launch.key).unwrap();
    let ran = crate::support::Machine { state, runtime }.left(launch.key, exit);
    assert_eq!(ran.printed(), "one");
}

/// Memory is shared, the driver mounted and its place checked without any right.
#[tokio::test]
async fn a_part_of_a_device_is_kept_without_any_right() {
    use crate::gpu::{part, program, stand_in};
    let driver = stand_in("devices=1xH100-80");
    let state = open_to_all(&driver);
    let launch =
        program(part(driver.path(), 1 << 30, 300), "print(info(), take(1025), take(1024))");
    let Some(state) = serve_as_nobody("run", &launch, Some(state)).await else { return };
    let runtime = open(state.path());
    let exit = runtime.exit(key(1)).unwrap();
    let ran = crate::support::Machine { state, runtime }.left(key(1), exit);
    assert_eq!(ran.printed(), "(1024, 1024) 2 0");
}

/// By a daemon of the same user, which is asked to serve no others.
#[tokio::test]
async fn a_part_is_kept_by_mps_without_any_right() {
    use crate::gpu::program;
    use crate::mps::{daemons, served, with_control};
    let driver = with_control("");
    let state = open_to_all(&driver);
    let launch = program(served(driver.path(), 1 << 30), "print(take(1025), take(1024))");
    let Some(state) = serve_as_nobody("run", &launch, Some(state)).await else { return };
    let said = std::fs::read_to_string(open(state.path()).log_path(key(1))).unwrap();
    assert!(said.lines().any(|line| line.ends_with(" out 2 0")), "{said}");
    assert_eq!(daemons(driver.path()), 2);
    serve_as_nobody("forget", &launch, Some(state)).await.unwrap();
    assert_eq!(daemons(driver.path()), 0);
}

/// A driver that anybody can read, and a state directory with the library; copies, since the
/// build's folder may be closed to others.
fn open_to_all(driver: &TempDir) -> TempDir {
    use crate::gpu::built;
    let state = tempfile::tempdir().unwrap();
    std::fs::set_permissions(driver.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let library = "libweft_cuda_shim.so";
    std::fs::copy(built(library), state.path().join(library)).unwrap();
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        std::fs::remove_file(driver.path().join(name)).unwrap();
        std::fs::copy(built("libweft_fakecuda.so"), driver.path().join(name)).unwrap();
    }
    state
}

/// Runs a launch from a server of user nobody; none where this process cannot become that.
async fn run_as_nobody(launch: &Launch) -> Option<Ran> {
    let state = serve_as_nobody("run", launch, None).await?;
    let runtime = open(state.path());
    let exit = runtime.exit(key(1)).unwrap();
    Some(crate::support::Machine { state, runtime }.left(key(1), exit))
}

/// Has a server of user nobody do that one thing with a launch, on the given state directory or
/// a new one; none where this process cannot become nobody.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn serve_as_nobody(what: &str, launch: &Launch, state: Option<TempDir>) -> Option<TempDir> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: not root, so every other test is one without rights");
        return None;
    }
    let state = state.unwrap_or_else(|| tempfile::tempdir().unwrap());
    let exe = state.path().join("weft-supervise");
    if !exe.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_weft-supervise"), &exe).unwrap();
    }
    std::fs::set_permissions(&exe, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wanted = state.path().join("wanted.json");
    std::fs::write(&wanted, serde_json::to_vec(launch).unwrap()).unwrap();
    for path in [state.path(), &wanted] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new(&exe);
    command.arg(what).arg(state.path()).arg(&wanted).uid(NOBODY).gid(NOBODY);
    command.current_dir("/").stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let out = tokio::time::timeout(PATIENCE, ran).await.unwrap().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(state)
}
