//! Parts that MPS keeps, on the stand-in for it: served, refused, found again after a kill, ended.

use crate::gpu::{GIB, part, program, stand_in};
use crate::support::{Machine, key, open, shell};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use weft_runtime::{End, Gpu, Launch};

/// The stand-in with a control program; `fault`: how that misbehaves.
pub(crate) fn with_control(fault: &str) -> TempDir {
    let driver = stand_in("devices=1xH100-80");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-fakecuda/control/");
    let name = "nvidia-cuda-mps-control";
    fs::copy(PathBuf::from(program).join(name), driver.path().join(name)).unwrap();
    fs::write(driver.path().join("mps-fault"), fault).unwrap();
    driver
}

pub(crate) fn served(driver: &Path, memory: u64) -> Gpu {
    Gpu { mps: true, ..part(driver, memory, 300) }
}

/// Processes that a folder's control program is running as.
pub(crate) fn daemons(driver: &Path) -> usize {
    let program = driver.join("nvidia-cuda-mps-control");
    let program = program.as_os_str().as_encoded_bytes();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == program)).count()
}

/// A machine whose daemons end with the test.
struct Served {
    machine: Machine,
}

impl Served {
    fn new() -> Self {
        Self { machine: Machine::new() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let state = self.machine.state.path().to_owned();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async { _ = open(&state).end_mps_but(Vec::new()).await });
        });
        let _ = ended.join();
    }
}

#[tokio::test]
async fn a_part_that_mps_keeps_is_limited_below_the_library_too() {
    let (m, driver) = (Served::new(), with_control(""));
    // As the library shows it, and as the true driver does, which a program may call as well.
    let script = "
true = c.CDLL('/run/weft/gpu/driver/libcuda.so.1')
def take_past(mib):
    return true.cuMemAlloc_v2(c.byref(u64()), u64(mib << 20))
value = c.c_int()
assert cu.cuDeviceGetAttribute(c.byref(value), 16, 0) == 0
print(info(), value.value, take(1000), take(25))
print(take_past(20), take_past(20))
print(os.environ.get('CUDA_MPS_PIPE_DIRECTORY'), os.access('/run/weft/gpu/mps', os.W_OK))
if sys.argv[-1] != 'again':
    script = open('/proc/self/cmdline').read().split(chr(0))[2]
    # A program that says something else, or nothing at all, is served as it was given.
    wide = {'CUDA_MPS_PINNED_DEVICE_MEM_LIMIT': '0=9G', 'CUDA_MPS_ACTIVE_THREAD_PERCENTAGE': '100'}
    for env in [wide, {}]:
        sys.stdout.flush()
        if os.fork() == 0:
            os.execve('/usr/bin/python3', ['python3', '-c', script, 'again'], env)
        os.wait()";
    let ran = m.machine.run(&program(served(driver.path(), GIB), script)).await;
    let first = "(1024, 1024) 39 0 2\n0 2\n/run/weft/gpu/mps False";
    // The first still holds what it took, so that the library has little left for the others.
    let again = "(24, 1024) 39 2 2\n0 0\nNone False";
    assert_eq!(
        ran.printed(),
        format!("{first}\n{again}\n{again}"),
        "its limit, and three tenths of 132 processors"
    );
    assert_eq!(daemons(driver.path()), 2, "a daemon, and its server");
    m.machine.runtime.end_mps_but(Vec::new()).await.unwrap();
    assert_eq!(daemons(driver.path()), 0);
}

#[tokio::test]
async fn a_run_that_mps_does_not_serve_or_does_not_limit_does_not_start() {
    let refused = [
        ("unlimited", "1 GiB above the limit of 1 GiB was given"),
        ("dies", "the driver runs it without MPS"),
    ];
    for (fault, why) in refused {
        let (m, driver) = (Served::new(), with_control(fault));
        let ran = m.machine.run(&program(served(driver.path(), GIB), "print('ran')")).await;
        assert_eq!(ran.exit.end, End::NotStarted, "{fault}: {:?}", ran.exit);
        assert!(ran.exit.detail.contains(why) && ran.out.is_empty(), "{fault}: {:?}", ran.exit);
    }
    let (m, driver) = (Served::new(), with_control("usage"));
    let launch = program(served(driver.path(), GIB), "");
    let refused = m.machine.runtime.start(&launch).await.unwrap_err().to_string();
    assert!(refused.contains("usage: nvidia-cuda-mps-control"), "{refused}");
    fs::remove_file(driver.path().join("nvidia-cuda-mps-control")).unwrap();
    let launch = Launch { key: key(2), ..program(served(driver.path(), GIB), "") };
    let refused = m.machine.runtime.start(&launch).await.unwrap_err().to_string();
    assert!(refused.contains("the driver has no nvidia-cuda-mps-control"), "{refused}");
}

#[tokio::test]
async fn a_daemon_is_found_again_and_one_that_was_killed_is_replaced_where_it_was() {
    let (m, driver) = (Served::new(), with_control(""));
    let gpu = served(driver.path(), GIB);
    let hold = "open('/work/gate').read(); print('held')";
    let mut first = program(gpu.clone(), hold);
    first.setup = vec!["mkfifo gate".to_owned()];
    m.machine.runtime.start(&first).await.unwrap();
    assert!(m.machine.runtime.started(first.key).await);
    // The next server, and another run on the same device: the same daemon, found again.
    let next =
        Machine { state: tempfile::tempdir().unwrap(), runtime: open(m.machine.state.path()) };
    let parts = next.runtime.parts();
    assert!(matches!(&parts[..], [(key, gpu)] if *key == first.key && gpu.mps), "{parts:?}");
    let uuid = gpu.slices[0].uuid.clone();
    next.runtime.end_mps_but(vec![uuid]).await.unwrap();
    assert_eq!(daemons(driver.path()), 2, "it is needed");
    let second = Launch { key: key(2), ..program(gpu.clone(), "print(take(100))") };
    next.runtime.start(&second).await.unwrap();
    let ended = next.runtime.wait(second.key).await;
    assert_eq!((ended.end, daemons(driver.path())), (End::Exited(0), 2));
    // Killed, with all that it was: the next run has another daemon, by the same folder.
    let folder = fs::read_dir("/dev/shm").unwrap().flatten().map(|entry| entry.path());
    let pid = folder.filter(|path| path.to_string_lossy().contains("weft-mps-")).find_map(|path| {
        let pid = path.join("756461000000/pipes/nvidia-cuda-mps-control.pid");
        let pid: i32 = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let own = driver.path().as_os_str().as_encoded_bytes();
        line.windows(own.len()).any(|part| part == own).then_some(pid)
    });
    let pid = rustix::process::Pid::from_raw(pid.unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let third = Launch { key: key(3), ..program(gpu, "print(take(100), take(1000))") };
    next.runtime.start(&third).await.unwrap();
    next.runtime.wait(third.key).await;
    assert_eq!(next.left(third.key, next.runtime.exit(third.key).unwrap()).printed(), "0 2");
    fs::OpenOptions::new().write(true).open(m.machine.work(first.key).join("gate")).unwrap();
    assert_eq!(m.machine.ended(first.key).await.printed(), "held");
    m.machine.runtime.end_mps_but(Vec::new()).await.unwrap();
    assert_eq!(daemons(driver.path()), 0);
}

#[tokio::test]
async fn a_whole_device_knows_nothing_of_it() {
    let (m, driver) = (Served::new(), with_control(""));
    let gpu = Gpu { slices: Vec::new(), mps: false, ..served(driver.path(), GIB) };
    let launch = Launch {
        gpu: Some(gpu),
        ..shell("env | grep -c CUDA_MPS || true; ls /run/weft/gpu/driver")
    };
    let ran = m.machine.run(&launch).await;
    let all = "0\nlibcuda.so.1\nlibnvidia-ml.so.1\nmps-fault\nweft-fakecuda";
    assert_eq!(ran.printed(), all, "the control program is nothing that a run gets");
    assert_eq!(daemons(driver.path()), 0);
}
