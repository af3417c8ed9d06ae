//! A runtime on a state directory of its own, and launches in one line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use weft_runtime::{End, ExitRecord, Launch, Limits, MemberKey, Network, Root, Runtime, Started};
use weft_types::{Attempt, Bytes, Epoch, Member, MilliCpu, Millis, WorkloadId};

/// Longer than any test's run takes on a loaded machine; a hang, not a bar.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Machine {
    pub(crate) state: TempDir,
    pub(crate) runtime: Runtime,
}

/// What a run left.
pub(crate) struct Ran {
    pub(crate) exit: ExitRecord,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) weft: String,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let state = tempfile::tempdir().unwrap();
        let runtime = open(state.path());
        Machine { state, runtime }
    }

    /// Starts a launch and waits for its end.
    pub(crate) async fn run(&self, launch: &Launch) -> Ran {
        assert_eq!(self.runtime.start(launch).await.unwrap(), Started::Now);
        self.ended(launch.key).await
    }

    pub(crate) async fn ended(&self, key: MemberKey) -> Ran {
        let wait = tokio::time::timeout(PATIENCE, self.runtime.wait(key));
        let exit = wait.await.expect("the run does not end");
        self.left(key, exit)
    }

    pub(crate) fn left(&self, key: MemberKey, exit: ExitRecord) -> Ran {
        let log = std::fs::read_to_string(self.runtime.log_path(key)).unwrap_or_default();
        let stream = |wanted: &str| {
            let lines = log.lines().filter_map(|line| {
                let (stream, text) = line.split_once(' ')?.1.split_once(' ').unwrap_or_default();
                (stream == wanted).then(|| format!("{text}\n"))
            });
            lines.collect::<String>()
        };
        Ran { exit, out: stream("out"), err: stream("err"), weft: stream("weft") }
    }

    pub(crate) fn work(&self, key: MemberKey) -> std::path::PathBuf {
        self.runtime.log_path(key).with_file_name("work")
    }
}

impl Ran {
    /// What it printed, having ended well.
    #[track_caller]
    pub(crate) fn printed(&self) -> &str {
        let Ran { exit, out, err, weft } = self;
        assert_eq!(exit.end, End::Exited(0), "{exit:?}\nout: {out}\nerr: {err}\nweft: {weft}");
        out.trim_end()
    }
}

pub(crate) fn open(state: &Path) -> Runtime {
    Runtime::open(state, Path::new(env!("CARGO_BIN_EXE_weft-supervise"))).unwrap()
}

pub(crate) fn key(workload: u64) -> MemberKey {
    MemberKey { workload: WorkloadId(workload), attempt: Attempt(1), member: Member(0) }
}

/// A small run of `command` with nothing special.
pub(crate) fn launch<const N: usize>(command: [&str; N]) -> Launch {
    Launch {
        key: key(1),
        epoch: Epoch(1),
        root: Root::HostUsr,
        environment: None,
        bundle: None,
        setup: Vec::new(),
        command: command.map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        gang: 1,
        outputs: Vec::new(),
        limits: Limits {
            cpu: MilliCpu(2_000),
            memory: Bytes(256 << 20),
            disk: Bytes(64 << 20),
            pids: 64,
        },
        devices: Vec::new(),
        gpu: None,
        network: Network::None,
        ports: Vec::new(),
        hostname: "w1".to_owned(),
        stop_grace: Millis(10_000),
        kept: false,
        data: Vec::new(),
    }
}

pub(crate) fn shell(script: &str) -> Launch {
    launch(["sh", "-euc", script])
}

pub(crate) fn python(script: &str) -> Launch {
    launch(["/usr/bin/python3", "-c", script])
}
