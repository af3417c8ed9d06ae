//! How long a container takes from the request to the seen end of `true`, against plain fork and
//! exec, and against bubblewrap and crun on the same file system, in the same run.
//!
//! `cargo bench -p weft-runtime --bench container`. Prints medians and ratios; the bars are at
//! most 1.5 × bubblewrap, and faster than crun.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use weft_runtime::{End, Launch, Limits, MemberKey, Network, Root, Runtime};
use weft_types::{Attempt, Bytes, Epoch, Member, MilliCpu, Millis, WorkloadId};

const ROUNDS: u64 = 40;
/// Between two starts: long enough that the kernel has forgotten the last one, as between the
/// commands a person types.
const PAUSE: Duration = Duration::from_millis(150);

/// A name, and one start to the seen end.
type Contender<'a> = (&'static str, Box<dyn FnMut() + 'a>);

fn main() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let exe = Path::new(env!("CARGO_BIN_EXE_weft-supervise"));
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let _entered = tokio.enter();
    let runtime = Runtime::open(state.path(), exe).expect("a runtime");
    let mut next = 0;
    let mut weft = || {
        next += 1;
        tokio.block_on(one_run(&runtime, next));
    };
    let bare = || run(Command::new("/usr/bin/true"));
    let bundle = oci_bundle(state.path());
    let mut contenders: Vec<Contender<'_>> =
        vec![("fork+exec", Box::new(bare)), ("weft", Box::new(&mut weft))];
    match works(&mut bubblewrap()) {
        true => contenders.push(("bubblewrap", Box::new(|| run(bubblewrap())))),
        false => println!("bubblewrap: not here, left out"),
    }
    match works(&mut crun(&bundle, state.path())) {
        true => contenders.push(("crun", Box::new(|| run(crun(&bundle, state.path()))))),
        false => println!("crun: not here or not able to run on this machine, left out"),
    }
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contenders.len()];
    // Taken in turns, so that the machine's other load falls on all alike.
    for _ in 0..ROUNDS {
        for ((_, contender), times) in contenders.iter_mut().zip(&mut times) {
            std::thread::sleep(PAUSE);
            let began = Instant::now();
            contender();
            times.push(began.elapsed());
        }
    }
    let names: Vec<&str> = contenders.iter().map(|(name, _)| *name).collect();
    drop(contenders);
    report(&names, &mut times);
}

fn report(names: &[&str], times: &mut [Vec<Duration>]) {
    let mut medians = BTreeMap::new();
    for (name, times) in names.iter().zip(times) {
        times.sort_unstable();
        let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
        println!("{name:<12} median {:>9.2?}   p95 {:>9.2?}", at(500), at(950));
        medians.insert(*name, at(500));
    }
    let weft = medians["weft"].as_secs_f64();
    for other in names.iter().filter(|name| **name != "weft") {
        println!("weft / {other:<12} {:.2}", weft / medians[other].as_secs_f64());
    }
}

async fn one_run(runtime: &Runtime, number: u64) {
    let key = MemberKey { workload: WorkloadId(number), attempt: Attempt(1), member: Member(0) };
    let launch = Launch {
        key,
        epoch: Epoch(1),
        root: Root::HostUsr,
        environment: None,
        bundle: None,
        setup: Vec::new(),
        command: vec!["/usr/bin/true".to_owned()],
        env: BTreeMap::new(),
        gang: 1,
        outputs: Vec::new(),
        limits: Limits {
            cpu: MilliCpu(2_000),
            memory: Bytes(1 << 30),
            disk: Bytes(1 << 30),
            pids: 128,
        },
        devices: Vec::new(),
        gpu: None,
        network: Network::None,
        ports: Vec::new(),
        hostname: "bench".to_owned(),
        stop_grace: Millis(1_000),
        kept: false,
        data: Vec::new(),
    };
    runtime.start(&launch).await.expect("a start");
    let exit = runtime.wait(key).await;
    assert_eq!(exit.end, End::Exited(0), "{exit:?}");
}

/// All namespaces, the host's `/usr`, private `/proc`, `/dev` and `/tmp`: the same view.
fn bubblewrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"]);
    for folder in ["bin", "sbin", "lib", "lib64"] {
        command.args(["--symlink", &format!("usr/{folder}"), &format!("/{folder}")]);
    }
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/usr/bin/true"]);
    command
}

fn crun(bundle: &Path, state: &Path) -> Command {
    let mut command = Command::new("crun");
    let name = format!("weft-bench-{}", std::process::id());
    command.arg("--root").arg(state.join("crun")).arg("run").arg("--bundle").arg(bundle).arg(name);
    command
}

/// A bundle with the host's `/usr` as its root file system, bound read-only.
fn oci_bundle(state: &Path) -> std::path::PathBuf {
    let bundle = state.join("bundle");
    let root = bundle.join("rootfs");
    for folder in ["usr", "proc", "dev", "tmp"] {
        std::fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    for folder in ["bin", "sbin", "lib", "lib64"] {
        let link = std::os::unix::fs::symlink(format!("usr/{folder}"), root.join(folder));
        link.expect("a link");
    }
    let namespaces = ["pid", "ipc", "uts", "mount", "network", "cgroup"];
    let namespaces = namespaces.map(|kind| serde_json::json!({ "type": kind }));
    let mount = |to: &str, kind: &str, from: &str, options: &[&str]| {
        serde_json::json!(
            { "destination": to, "type": kind, "source": from, "options": options })
    };
    let config = serde_json::json!({
        "ociVersion": "1.0.0",
        "process": {
            "terminal": false, "cwd": "/", "args": ["/usr/bin/true"],
            "user": { "uid": 0, "gid": 0 }, "noNewPrivileges": true,
            "env": ["PATH=/usr/bin"],
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755"]),
            mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev"]),
            mount("/usr", "bind", "/usr", &["rbind", "ro"]),
        ],
        "linux": { "namespaces": namespaces, "cgroupsPath": "/weft-bench" },
    });
    std::fs::write(bundle.join("config.json"), config.to_string()).expect("a file");
    bundle
}

fn run(mut command: Command) {
    let status = command.stdin(Stdio::null()).status().expect("a program");
    assert!(status.success(), "{command:?}: {status}");
}

fn works(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}
