//! A server in a directory of its own, that can die and come back.

use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weft_api::spec::{ResourcesSpec, RetrySpec, RuntimeSpec, WorkloadSpec};
use weft_lifecycle::{RetryPolicy, State};
use weft_runtime::MemberKey;
use weft_sched::{Request, Verdict};
use weft_server::{ServeConfig, Server};
use weft_store::{EventFilter, NewWorkload, Store, StoreError, WorkloadRow};
use weft_types::{
    Attempt, Bytes, Kind, Member, MilliCpu, Millis, Phase, QueueName, ReclaimPolicy, UserName,
    WorkloadId,
};

/// How long anything may take before the test fails: far beyond what it does take, also on a
/// machine that builds at the same time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server in a directory of its own.
pub(crate) struct World {
    config: ServeConfig,
    life: Option<(tokio::runtime::Runtime, Server)>,
    _dir: TempDir,
}

impl World {
    /// A server that has just started for the first time. None, said loudly, on a machine whose
    /// kernel lets nobody make a sandbox.
    pub(crate) fn new() -> Option<World> {
        World::with(|_| {})
    }

    /// As [`World::new`], run differently.
    pub(crate) fn with(change: impl FnOnce(&mut ServeConfig)) -> Option<World> {
        let lacking: Vec<_> = weft_runtime::Runtime::probe()
            .into_iter()
            .filter(|finding| !finding.ok && finding.what.contains("namespace"))
            .collect();
        if !lacking.is_empty() {
            loudly(&format!("SKIPPED: no sandboxes on this machine: {lacking:?}"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServeConfig::new(dir.path());
        change(&mut config);
        let mut world = World { config, life: None, _dir: dir };
        world.start();
        Some(world)
    }

    /// Starts the server, which must not be running.
    pub(crate) fn start(&mut self) {
        assert!(self.life.is_none());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(Server::open(&self.config)).unwrap();
        self.life = Some((runtime, server));
    }

    /// Ends the server between two instructions of each of its tasks, as `kill -9` does.
    pub(crate) fn crash(&mut self) {
        let (runtime, server) = self.life.take().unwrap();
        drop(server);
        runtime.shutdown_timeout(DEADLINE);
    }

    /// The store, while no server has it.
    pub(crate) fn alone<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut weft_store::Write<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        assert!(self.life.is_none());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&self.config.state_dir).unwrap();
            let done = store.write(write).await.unwrap();
            store.close().await.unwrap();
            done
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.life.as_ref().unwrap().1
    }

    /// Declares other accelerators, for the next start.
    pub(crate) fn simulate(&mut self, devices: &str) {
        self.config.simulate = Some(devices.to_owned());
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    /// Waits until the server breaks, and says how.
    pub(crate) fn broken(&mut self) -> String {
        let (runtime, server) = self.life.as_mut().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(DEADLINE, server.broken()).await })
            .unwrap()
            .to_string()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.life.as_ref().unwrap().0.block_on(future)
    }

    /// One transaction of the running server's store.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut weft_store::Write<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.block_on(self.server().store().write(write)).unwrap()
    }

    pub(crate) fn submit(&self, job: NewWorkload) -> WorkloadId {
        self.write(move |w| w.submit_workload(job)).id
    }

    pub(crate) fn row(&self, id: WorkloadId) -> WorkloadRow {
        let read = self.server().store().read(move |r| r.workload(id));
        self.block_on(read).unwrap().unwrap()
    }

    /// Waits until what is stored of a workload is as wanted.
    pub(crate) fn until(
        &self,
        id: WorkloadId,
        wanted: impl Fn(&WorkloadRow) -> bool,
    ) -> WorkloadRow {
        let mut heads = self.server().store().watch();
        let begun = Instant::now();
        loop {
            heads.borrow_and_update();
            let row = self.row(id);
            if wanted(&row) {
                return row;
            }
            let left = DEADLINE.saturating_sub(begun.elapsed());
            let moved = async { tokio::time::timeout(left, heads.changed()).await };
            if self.block_on(moved).is_err() {
                panic!("{id} stayed at {:?}; events: {:?}", row.record, self.told(id));
            }
        }
    }

    pub(crate) fn until_state(&self, id: WorkloadId, state: State) -> WorkloadRow {
        self.until(id, |row| row.record.state == state)
    }

    pub(crate) fn until_final(&self, id: WorkloadId) -> WorkloadRow {
        self.until(id, |row| row.record.state.is_final())
    }

    /// Why a workload waits, once a plan has said so.
    pub(crate) fn until_verdict(&self, id: WorkloadId) -> Verdict {
        let control = self.server().control();
        self.block_on(async {
            let mut changed = control.changed();
            loop {
                changed.borrow_and_update();
                if let Some(verdict) = control.verdict(id) {
                    return verdict;
                }
                tokio::time::timeout(DEADLINE, changed.changed()).await.unwrap().unwrap();
            }
        })
    }

    /// What happened to a workload, in words.
    pub(crate) fn told(&self, id: WorkloadId) -> Vec<String> {
        self.events(id).into_iter().map(|(what, _)| what).collect()
    }

    /// The details of the last such event of a workload.
    pub(crate) fn detail(&self, id: WorkloadId, what: &str) -> String {
        let events = self.events(id).into_iter().rev();
        events.filter(|(word, _)| word == what).map(|(_, detail)| detail).next().unwrap_or_default()
    }

    fn events(&self, id: WorkloadId) -> Vec<(String, String)> {
        let subject = Some(id.to_string());
        let filter = EventFilter { subject, ..EventFilter::default() };
        let events = self.block_on(self.server().store().read(move |r| r.events(&filter, 0, 100)));
        events.unwrap().into_iter().map(|row| (row.event.what, row.event.detail)).collect()
    }

    pub(crate) fn log(&self, key: MemberKey) -> String {
        std::fs::read_to_string(self.server().runtime().log_path(key)).unwrap_or_default()
    }
}

impl Drop for World {
    /// Nothing a test started outlives it.
    fn drop(&mut self) {
        if self.life.is_none() {
            self.start();
        }
        let (runtime, server) = self.life.take().unwrap();
        runtime.block_on(async {
            for key in server.runtime().runs() {
                if let Err(error) = server.runtime().forget(key).await {
                    loudly(&format!("{key} is left: {error}"));
                }
            }
        });
        drop(server);
        runtime.shutdown_timeout(DEADLINE);
    }
}

/// Tells whoever reads the test's output what it did not do.
#[expect(clippy::print_stderr, reason = "a test that checks less than it says must say so")]
pub(crate) fn loudly(text: &str) {
    eprintln!("{text}");
}

/// The first member of the first start.
pub(crate) fn first(id: WorkloadId) -> MemberKey {
    MemberKey { workload: id, attempt: Attempt(1), member: Member(0) }
}

/// A small job of one member that runs this shell text.
pub(crate) fn job(name: &str, script: &str) -> NewWorkload {
    gang(name, 1, script)
}

/// A small job of this many members that each run this shell text.
pub(crate) fn gang(name: &str, members: u32, script: &str) -> NewWorkload {
    let (cpu, memory, disk) = (50, 64_000_000, 16_000_000);
    let resources = ResourcesSpec {
        cpu_milli: cpu,
        memory_bytes: memory,
        disk_bytes: disk,
        ..ResourcesSpec::default()
    };
    let spec = WorkloadSpec {
        kind: "job".to_owned(),
        name: Some(name.to_owned()),
        phase: None,
        queue: None,
        priority: 0,
        runtime: RuntimeSpec::default(),
        setup: Vec::new(),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: Default::default(),
        bundle: None,
        outputs: Vec::new(),
        publish: Vec::new(),
        data: Vec::new(),
        resources,
        replicas: members,
        replicas_max: None,
        max_duration_ms: None,
        retry: RetrySpec::default(),
        ports: Vec::new(),
        network: Default::default(),
        stop_grace_ms: 500,
        suspend: None,
        expected_duration_ms: None,
    };
    NewWorkload {
        name: name.to_owned(),
        queue: QueueName::new("default").unwrap(),
        user: UserName::new("admin").unwrap(),
        kind: Kind::Job,
        phase: Phase::Training,
        priority: 0,
        submitted_at: weft_agent::now(),
        spec_json: serde_json::to_string(&spec).unwrap(),
        request: Request {
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            disk: Bytes(disk),
            ..Request::default()
        },
        gang: members,
        gang_most: 0,
        reclaim: ReclaimPolicy { preemptible: true, reclaimable: true, min_run_ms: Millis::ZERO },
        max_duration: None,
        expected: None,
        learned_from: 0,
        program: String::new(),
        suspend: None,
        retry: RetryPolicy::default(),
    }
}
