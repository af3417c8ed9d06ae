//! Parts of devices on the stand-in for the driver: what a run sees, what it cannot have, and what
//! it cannot change.

use crate::support::{Machine, Ran, launch, open, python};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use weft_cuda_abi::reading::Reading;
use weft_runtime::{Driver, End, Gpu, Launch, Prepare, Root, Slice};
use weft_types::{Bytes, MilliGpu};

pub(crate) const GIB: u64 = 1 << 30;

/// A library that cargo has built beside this test.
pub(crate) fn built(name: &str) -> PathBuf {
    std::env::current_exe().unwrap().with_file_name(name)
}

/// A folder with the stand-in as the driver of these devices.
pub(crate) fn stand_in(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        std::os::unix::fs::symlink(built("libweft_fakecuda.so"), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("weft-fakecuda"), settings).unwrap();
    folder
}

/// So much of the stand-in's first device.
pub(crate) fn part(driver: &Path, memory: u64, milli: u64) -> Gpu {
    let uuid = "GPU-77656674-2d66-616b-6563-756461000000".to_owned();
    let slice = Slice { uuid, memory: Bytes(memory), milli: MilliGpu(milli) };
    Gpu { driver: Driver::named(driver).unwrap(), slices: vec![slice], mps: false }
}

/// What each program here begins with.
const DRIVER: &str = "
import ctypes as c, os, sys, time
cu = c.CDLL('libcuda.so.1')
u64 = c.c_uint64
assert cu.cuInit(0) == 0
context = u64()
assert cu.cuCtxCreate_v2(c.byref(context), 0, 0) == 0
def info():
    free, total = u64(), u64()
    assert cu.cuMemGetInfo_v2(c.byref(free), c.byref(total)) == 0
    return free.value >> 20, total.value >> 20
def take(mib):
    return cu.cuMemAlloc_v2(c.byref(u64()), u64(mib << 20))
";

pub(crate) fn program(gpu: Gpu, script: &str) -> Launch {
    Launch { gpu: Some(gpu), ..python(&format!("{DRIVER}{script}")) }
}

#[tokio::test]
async fn a_part_is_all_its_programs_see_and_can_have() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH200-141"));
    // By the loader alone: no variable says where, and none need be there.
    let script = "
print(info(), take(3072), info(), take(1025), take(1024), take(1))
ml = c.CDLL('libnvidia-ml.so.1')
device, memory = u64(), (u64 * 3)()
assert ml.nvmlInit_v2() == 0 and ml.nvmlDeviceGetHandleByIndex_v2(0, c.byref(device)) == 0
assert ml.nvmlDeviceGetMemoryInfo(device, memory) == 0
print([bytes >> 20 for bytes in memory], os.environ.get('LD_LIBRARY_PATH'))
if sys.argv[-1] != 'again':
    os.environ['AGAIN'] = 'again'
    script = open('/proc/self/cmdline').read().split(chr(0))[2]
    os.execve('/usr/bin/python3', ['python3', '-c', script, 'again'], {})
";
    let ran = m.run(&program(part(driver.path(), 4 * GIB, 300), script)).await;
    let once = "(4096, 4096) 0 (1024, 4096) 2 0 2\n[4096, 0, 4096] None";
    assert_eq!(ran.printed(), format!("{once}\n{once}"), "and again with no variable at all");
}

#[tokio::test]
async fn whole_devices_have_nothing_before_their_driver() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xL4-24"));
    let gpu = Gpu { slices: Vec::new(), ..part(driver.path(), GIB, 1) };
    let script = "
print(info(), sorted(os.listdir('/run/weft/gpu')))
print([l.split()[-1] for l in open('/proc/self/maps') if 'libcuda' in l][0])";
    let ran = m.run(&program(gpu, script)).await;
    let wanted = "(23034, 23034) ['driver', 'loader-cache']\n/run/weft/gpu/driver/libcuda.so.1";
    assert_eq!(ran.printed(), wanted);
    assert!(m.runtime.ledger(ran_key()).is_none());
}

fn ran_key() -> weft_runtime::MemberKey {
    crate::support::key(1)
}

#[tokio::test]
async fn the_ledger_is_read_from_outside_and_after_a_new_server_and_goes_with_the_run() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let script = "
assert take(512) == 0 and take(256) == 0
out = u64()
assert cu.cuMemAlloc_v2(c.byref(out), u64(100)) == 0
assert cu.cuMemcpyHtoD_v2(out, b'x' * 100, u64(100)) == 0
print('ready')
open('/work/gate').read()
";
    let mut launch = program(part(driver.path(), GIB, 300), script);
    launch.setup = vec!["mkfifo gate".to_owned()];
    m.runtime.start(&launch).await.unwrap();
    until(&m, "ready").await;
    // A server that is started anew finds the same.
    let m = Machine { runtime: open(m.state.path()), ..m };
    let ledger = m.runtime.ledger(launch.key).unwrap();
    let bytes = ledger.read().unwrap();
    let read = Reading::of(&bytes).unwrap();
    assert_eq!((read.memory(0) >> 20, read.to_device(), read.processes()), (768, 100, 1));
    assert_eq!(ledger.slices()[0].milli, MilliGpu(300));
    fs::OpenOptions::new().write(true).open(m.work(launch.key).join("gate")).unwrap();
    m.ended(launch.key).await.printed();
    let bytes = m.runtime.ledger(launch.key).unwrap().read().unwrap();
    assert_eq!(Reading::of(&bytes).map(|read| read.memory_peak(0) >> 20), Some(768));
    m.runtime.release(launch.key).await.unwrap();
    assert!(m.runtime.ledger(launch.key).is_none());
}

/// Waits for a line of the run's output.
async fn until(m: &Machine, line: &str) {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let log = fs::read_to_string(m.runtime.log_path(ran_key())).unwrap_or_default();
        if log.lines().any(|found| found.ends_with(&format!("out {line}"))) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "no `{line}` in {log}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_run_writes_changes_no_limit_and_hurts_nobody_who_reads() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let script = "
folder = '/run/weft/gpu/'
def attack(what, how):
    try:
        how()
        print(what, 'done')
    except OSError:
        print(what, 'refused')
for name in ['limits', 'rates', 'lib/libcuda.so.1', 'driver/libcuda.so.1', 'loader-cache']:
    attack(name, lambda: open(folder + name, 'r+b').write(b'x'))
    attack(name, lambda: os.chmod(folder + name, 0o777))
    attack(name, lambda: os.remove(folder + name))
attack('new', lambda: open(folder + 'other', 'w'))
attack('ledger', lambda: os.remove(folder + 'ledger'))
attack('cut', lambda: os.truncate(folder + 'ledger', 0))
print(info())
with open(folder + 'ledger', 'r+b') as ledger:
    ledger.write(b'\\xff' * 60000)
print(info()[1])
";
    let launch = program(part(driver.path(), GIB, 300), script);
    let ran = m.run(&launch).await;
    let said = ran.printed();
    let done: Vec<_> = said.lines().filter(|line| line.ends_with("done")).collect();
    // A kernel that cannot forbid it (before Landlock's third version) lets it cut its own ledger.
    assert!(done.iter().all(|line| *line == "cut done"), "{said}");
    assert!(said.contains("refused\n(1024, 1024)\n1024"), "{said}");
    let ledger = m.runtime.ledger(launch.key).unwrap();
    assert!(ledger.read().is_none_or(|bytes| Reading::of(&bytes).is_none()));
}

/// The ledger is memory of the machine that no limit of the run's counts everywhere.
#[tokio::test]
async fn a_run_that_makes_its_ledger_larger_is_ended() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let script = "
ledger = open('/run/weft/gpu/ledger', 'r+b')
ledger.seek(8 << 20)
ledger.write(b'x')
ledger.flush()
time.sleep(1000)";
    let ran = m.run(&program(part(driver.path(), GIB, 300), script)).await;
    assert_eq!(ran.exit.end, End::OutOfMemory, "{:?} {}", ran.exit, ran.err);
    assert!(ran.exit.detail.contains("wrote beyond the end"), "{:?}", ran.exit);
}

#[tokio::test]
async fn nothing_starts_where_another_library_would_answer() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let mut launch = program(part(driver.path(), GIB, 300), "print('ESCAPED')");
    launch.env.insert("LD_LIBRARY_PATH".to_owned(), "/run/weft/gpu/driver".to_owned());
    launch.setup = vec!["echo ESCAPED".to_owned()];
    let ran = m.run(&launch).await;
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::NotStarted, ""), "{:?}", ran.exit);
    let why = &ran.exit.detail;
    assert!(why.contains("does not answer for the driver"), "{why}");
    assert!(why.contains("weft_gpu_layout"), "the loader's own words: {why}");
}

/// A file system of its own, that brings a driver: programs find ours in each of its places.
#[tokio::test]
async fn an_image_that_brings_a_driver_gets_ours_in_its_places() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let image = image(&m).await;
    let gpu = part(driver.path(), GIB, 300);
    let ours = "/run/weft/gpu/lib/libcuda.so.1";
    let same = |place: &str| [place, ours].map(str::to_owned);
    let places = [
        "/opt/compat/libcuda.so.1",
        "/opt/compat/libcuda.so.550.54",
        "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    ];
    for (number, place) in places.iter().enumerate() {
        let [place, ours] = same(place);
        let mut launch = launch(["/usr/bin/cmp", &place, &ours]);
        launch.key = format!("w{}-1-0", number + 1).parse().unwrap();
        launch.root = Root::Image { digest: image.clone() };
        launch.gpu = Some(gpu.clone());
        // The check before it has found ours without a cache of the loader: the image has none.
        let ran = m.run(&launch).await;
        assert_eq!(ran.exit.end, End::Exited(0), "{place}: {} {}", ran.err, ran.exit.detail);
    }
}

/// An image of a loader, the C library, `cmp`, and files of the driver's names.
async fn image(m: &Machine) -> String {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path.trim_start_matches('/'), bytes).unwrap();
    };
    let loader = "/lib64/ld-linux-x86-64.so.2";
    add(loader, &fs::read(loader).unwrap());
    add("/usr/bin/cmp", &fs::read("/usr/bin/cmp").unwrap());
    for name in ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "libdl.so.2", "libpthread.so.0"] {
        let folders =
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64"];
        let found = folders.iter().find_map(|folder| fs::read(Path::new(folder).join(name)).ok());
        add(&format!("/usr/lib/x86_64-linux-gnu/{name}"), &found.unwrap_or_default());
    }
    add("/opt/compat/libcuda.so.550.54", b"an image's own");
    add("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", b"an image's own");
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    for (link, to) in [
        ("lib", "usr/lib"),
        ("opt/compat/libcuda.so.1", "libcuda.so.550.54"),
        ("opt/libcuda.so.1", "/run/weft/gpu/driver/libcuda.so.1"),
        ("opt/libcuda.so", "/nowhere"),
    ] {
        builder.append_link(&mut header, link, to).unwrap();
    }
    let layer = builder.into_inner().unwrap();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&layer)));
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [digest]}});
    let temp = tempfile::tempdir().unwrap();
    let manifest = json!([{"Config": "config.json", "Layers": ["layer.tar"]}]);
    fs::write(temp.path().join("layer.tar"), &layer).unwrap();
    fs::write(temp.path().join("config.json"), config.to_string()).unwrap();
    fs::write(temp.path().join("manifest.json"), manifest.to_string()).unwrap();
    m.runtime.images().import(temp.path(), Some("brings:1")).await.unwrap();
    let want = Prepare { image: Some("brings:1".into()), ..Prepare::default() };
    match m.runtime.prepare(&want, |_| {}).await.unwrap().root {
        Root::Image { digest } => digest,
        Root::HostUsr => panic!("an image was asked for"),
    }
}

#[tokio::test]
async fn two_runs_have_ledgers_of_their_own() {
    let (m, driver) = (Machine::new(), stand_in("devices=1xH100-80"));
    let run = |number: u64, memory: u64| {
        let mut launch = program(
            part(driver.path(), memory * GIB, 500),
            "print(info()[1], take(900), take(900), take(900))",
        );
        launch.key = format!("w{number}-1-0").parse().unwrap();
        launch
    };
    let (small, large) = (run(1, 1), run(2, 2));
    let (small, large): (Ran, Ran) = tokio::join!(m.run(&small), m.run(&large));
    assert_eq!((small.printed(), large.printed()), ("1024 0 2 2", "2048 0 0 2"));
}

/// PyTorch in two containers on one device: what `cargo xtask test --full` has fetched, seen as an
/// environment is.
#[tokio::test]
#[ignore = "gigabytes of packages: cargo xtask test --full"]
async fn stack_runs_in_two_containers_on_one_device() {
    let test = std::env::current_exe().unwrap();
    let packages = test.ancestors().take(5).map(|folder| folder.join("cuda-stack"));
    let packages = packages.into_iter().find(|folder| folder.join("done").exists());
    let packages = packages.expect("`cargo xtask test --full`").canonicalize().unwrap();
    let (m, driver) = (Machine::new(), stand_in("devices=1xH200-141"));
    let train = "
import torch
free, total = torch.cuda.mem_get_info()
print(total >> 30, torch.cuda.get_device_name(0))
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8)).cuda()
optimizer = torch.optim.AdamW(model.parameters())
def steps():
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(32, 64, device='cuda')).square().mean().backward()
        optimizer.step()
    torch.cuda.synchronize()
steps()
held, refused = [], ''
try:
    while True:
        held.append(torch.empty(1 << 30, dtype=torch.uint8, device='cuda'))
except torch.OutOfMemoryError as error:
    refused = str(error)
print(len(held), 'out of memory' in refused, f'capacity of {total >> 30}.00 GiB' in refused)
held.clear()
steps()
print('trained')
";
    let run = |number: u64, gib: u64, milli: u64| {
        let mut launch = python(train);
        launch.key = format!("w{number}-1-0").parse().unwrap();
        launch.gpu = Some(part(driver.path(), gib * GIB, milli));
        launch.environment = Some(packages.clone());
        launch.env.insert("PYTHONPATH".to_owned(), packages.display().to_string());
        launch.env.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
        launch.limits.memory = Bytes(4 << 30);
        launch.limits.pids = 256;
        launch
    };
    let (small, large) = (run(1, 10, 300), run(2, 40, 700));
    let (small, large): (Ran, Ran) = tokio::join!(m.run(&small), m.run(&large));
    assert_eq!(small.printed(), "10 NVIDIA H200\n9 True True\ntrained");
    assert_eq!(large.printed(), "40 NVIDIA H200\n39 True True\ntrained");
}
