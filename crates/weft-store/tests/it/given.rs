//! What the tests start from: a small pool, and workloads on it.

use std::path::Path;
use tempfile::TempDir;
use weft_lifecycle::{End, Event, Exit, RetryPolicy};
use weft_meter::UseSample;
use weft_sched::{DeviceClass, DeviceMode, Grant, MigPlacement, Placement, Queue, Quota, Request};
use weft_store::{
    Decision, DeviceRow, NewAudit, NewEvent, NewWorkload, NodeReport, Store, StoreError,
    WorkloadRow, Write,
};
use weft_types::{
    Attempt, Bytes, DeviceId, DeviceUse, GpuRequest, Kind, Member, MilliCpu, MilliGpu, NodeId,
    Phase, QueueName, Timestamp, UserName, Work, WorkloadId,
};

/// Memory of each device of the pool.
pub(crate) const DEVICE_MEMORY: u64 = 80_000_000_000;

/// A directory where a sync costs nothing: for tests that are not about the disk.
pub(crate) fn fast_dir() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

/// A store with the pool in it.
pub(crate) async fn pool(dir: &Path) -> Store {
    let store = Store::open(dir).unwrap();
    store.write(fill).await.unwrap();
    store
}

/// One queue, one machine with four devices: 0 to 2 whole, 3 in MIG mode.
pub(crate) fn fill(w: &mut Write<'_>) -> Result<(), StoreError> {
    let quota = Quota { nominal: MilliGpu(4000), ..Quota::default() };
    w.put_queue(&queue("lab"), &Queue { gpu: quota, ..Queue::default() }, None)?;
    w.report_node(&report(Timestamp(1_000)))
}

pub(crate) fn report(at: Timestamp) -> NodeReport {
    NodeReport {
        name: node(),
        cpu: MilliCpu(64_000),
        memory: Bytes(512_000_000_000),
        disk: Bytes(1_000_000_000_000),
        warnings: vec![],
        devices: (0..4).map(device).collect(),
        at,
    }
}

fn device(index: u32) -> DeviceRow {
    let mig = DeviceMode::Mig { geometry: (0..7).map(mig_place).collect(), compute_slices: 7 };
    DeviceRow {
        id: device_id(index),
        uuid: format!("GPU-{index}"),
        product: "Test 80GB".into(),
        class: DeviceClass { name: "t80".into(), memory: Bytes(DEVICE_MEMORY), value: 1 },
        mode: if index == 3 { mig } else { DeviceMode::Whole },
        fault: None,
        rungs: Vec::new(),
        health: Default::default(),
        simulated: true,
    }
}

pub(crate) fn mig_place(start: u8) -> MigPlacement {
    let profile = "1g.10gb".parse().unwrap();
    MigPlacement { profile, start, size: 1, memory: Bytes(10_000_000_000) }
}

pub(crate) fn node() -> NodeId {
    NodeId::new("n1").unwrap()
}

pub(crate) fn device_id(index: u32) -> DeviceId {
    DeviceId { node: node(), index }
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

pub(crate) fn user() -> UserName {
    UserName::new("ann").unwrap()
}

pub(crate) fn new_workload(name: &str, gang: u32) -> NewWorkload {
    NewWorkload {
        name: name.to_owned(),
        queue: queue("lab"),
        user: user(),
        kind: Kind::Job,
        phase: Phase::Training,
        priority: 0,
        submitted_at: Timestamp(2_000),
        spec_json: "{}".into(),
        request: Request {
            cpu: MilliCpu(1_000),
            memory: Bytes(1_000_000_000),
            disk: Bytes(0),
            gpu: GpuRequest::Whole { count: 1, filter: Default::default() },
            ..Request::default()
        },
        gang,
        gang_most: 0,
        reclaim: Phase::Training.reclaim(),
        max_duration: None,
        expected: None,
        learned_from: 0,
        program: String::new(),
        suspend: None,
        retry: RetryPolicy::default(),
    }
}

/// One member's placement with these grants.
pub(crate) fn placement(member: u32, grants: Vec<Grant>) -> Placement {
    Placement {
        member: Member(member),
        node: node(),
        cpu: MilliCpu(1_000),
        memory: Bytes(1_000_000_000),
        disk: Bytes(0),
        grants,
    }
}

pub(crate) fn whole(index: u32) -> Grant {
    Grant::Whole { device: device_id(index) }
}

pub(crate) fn share(index: u32, milli: u64, memory: u64) -> Grant {
    Grant::Share { device: device_id(index), milli: MilliGpu(milli), memory: Bytes(memory) }
}

pub(crate) fn mig(index: u32, start: u8) -> Grant {
    Grant::Mig { device: device_id(index), placement: mig_place(start) }
}

/// Starts a waiting workload on `placements`.
pub(crate) fn start(
    w: &mut Write<'_>,
    id: WorkloadId,
    placements: Vec<Placement>,
    at: Timestamp,
) -> Result<WorkloadRow, StoreError> {
    let mut row = w.workload(id)?.unwrap();
    let attempt = Attempt(row.record.attempt.0 + 1);
    let gang = placements.len() as u32;
    row.record.apply(Event::Started { attempt, gang }, at).unwrap();
    row.placements = placements;
    row.placed_at = Some(at);
    row.version = w.save_workload(&row, at)?;
    Ok(row)
}

/// Ends every member of a workload that holds capacity.
pub(crate) fn end(w: &mut Write<'_>, id: WorkloadId, at: Timestamp) -> Result<(), StoreError> {
    let mut row = w.workload(id)?.unwrap();
    let attempt = row.record.attempt;
    for member in 0..row.members {
        let exit = Exit { end: End::Exited(0), at, detail: String::new() };
        let ended = Event::MemberEnded { attempt, member: Member(member), exit };
        row.record.apply(ended, at).unwrap();
    }
    row.placements.clear();
    row.ended_at = Some(at);
    w.save_workload(&row, at)?;
    Ok(())
}

/// What the first member of a workload's first start used of a device.
pub(crate) fn used(id: u64, device: DeviceId, gpu_ns: u64) -> UseSample {
    let work =
        Work { launches: gpu_ns / 1_000, to_device: Bytes(gpu_ns), from_device: Bytes(gpu_ns) };
    let used = DeviceUse {
        device,
        gpu_ns: Some(gpu_ns),
        work: Some(work),
        memory: Bytes(3_000),
        memory_peak: Bytes(4_000),
        active_at: None,
    };
    UseSample { workload: WorkloadId(id), attempt: Attempt(1), member: Member(0), used }
}

pub(crate) fn event(subject: &str, what: &str) -> NewEvent {
    NewEvent {
        at: Timestamp(3_000),
        actor: "ann".into(),
        kind: "workload".into(),
        subject: subject.to_owned(),
        queue: Some(queue("lab")),
        what: what.to_owned(),
        detail: String::new(),
    }
}

pub(crate) fn audit(resource: &str) -> NewAudit {
    NewAudit {
        at: Timestamp(3_000),
        actor: "ann".into(),
        verb: "submit".into(),
        resource: resource.to_owned(),
        decision: Decision::Allowed,
        policies: vec!["owner".into()],
        detail: "{}".into(),
    }
}

/// Fails with every broken invariant of the state.
pub(crate) async fn assert_sound(store: &Store) {
    let broken = store
        .read(|r| -> Result<_, StoreError> { Ok([r.check_integrity()?, r.check_invariants()?]) })
        .await
        .unwrap()
        .concat();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Seeded numbers: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
