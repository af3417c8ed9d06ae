//! What a second of a busy pool costs the store: a sample of a thousand runs on parts of devices.
//!
//! Run by `cargo bench -p weft-store --bench uses`; `DIR=…` is the disk (default: the temporary
//! directory). A sample is one transaction: each run's processor, memory and device time, its
//! curve's point, and each device's time put on accounts. Beside it, what is left of that where
//! nobody used a device since the sample before, and where nothing is measured.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use weft_lifecycle::{Event, RetryPolicy};
use weft_meter::{DeviceSample, Sample, UseSample, WorkloadSample};
use weft_sched::{DeviceClass, DeviceMode, Grant, Placement, Request};
use weft_store::{DeviceRow, NewWorkload, NodeReport, Store, StoreError, Write};
use weft_types::{
    Attempt, Bytes, DeviceId, DeviceUse, GpuRequest, Kind, Member, MilliCpu, MilliGpu, NodeId,
    Phase, QueueName, Timestamp, UserName, Work, WorkloadId,
};

/// A second may take so much of the writer's time.
const BAR: Duration = Duration::from_millis(250);

/// Runs, and how many share a device.
const RUNS: u64 = 1_000;
const SHARERS: u64 = 4;

/// Samples that are timed.
const SECONDS: u64 = 30;

fn main() {
    let dir = match std::env::var_os("DIR") {
        Some(dir) => tempfile::tempdir_in(PathBuf::from(dir)),
        None => tempfile::tempdir(),
    };
    let dir = dir.expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let good = runtime.expect("tokio").block_on(async {
        let store = Store::open(dir.path()).expect("a store");
        store.write(fill).await.expect("a pool");
        let untold = seconds(&store, 0, |_| None).await;
        let busy = seconds(&store, SECONDS + 1, Some).await;
        let idle = seconds(&store, 2 * SECONDS + 2, |_| Some(2 * SECONDS + 1)).await;
        say(&format!(
            "{RUNS} runs, a sample: p50 {busy:?} busy, {idle:?} idle, {untold:?} where nothing is \
             measured"
        ));
        busy <= BAR
    });
    say(if good { "within the bar" } else { "NOT WITHIN THE BAR" });
    std::process::exit(i32::from(!good));
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").expect("stdout");
}

/// Time of a sample in the middle of many, with what each run used by then.
async fn seconds(store: &Store, from: u64, used: fn(u64) -> Option<u64>) -> Duration {
    let mut times = Vec::new();
    for second in from..=from + SECONDS {
        let sample = sample(second, used(second));
        let begin = Instant::now();
        store.write(move |w| w.record_sample(&node(), &sample)).await.expect("a sample");
        times.push(begin.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

fn sample(second: u64, used: Option<u64>) -> Sample {
    let (attempt, member) = (Attempt(1), Member(0));
    let device = |index| DeviceSample {
        device: device_id(index),
        active_permille: Some(900),
        memory: Bytes(1 << 36),
        processes: vec![],
    };
    let workload = |id| WorkloadSample {
        workload: WorkloadId(id),
        attempt,
        member,
        cpu_us: second * 1_000_000,
        memory: Bytes(1 << 30),
        memory_peak: Bytes(1 << 30),
    };
    let uses = |(id, used): (u64, u64)| {
        let work =
            Work { launches: used * 9_000, to_device: Bytes(used), from_device: Bytes(used) };
        let used = DeviceUse {
            device: device_id(((id - 1) / SHARERS) as u32),
            gpu_ns: Some(used * 200_000_000),
            work: Some(work),
            memory: Bytes(1 << 33),
            memory_peak: Bytes(1 << 33),
            active_at: Some(Timestamp(second)),
        };
        UseSample { workload: WorkloadId(id), attempt, member, used }
    };
    Sample {
        at: Timestamp(1_000_000 + second * 1_000),
        devices: (0..devices()).map(device).collect(),
        workloads: (1..=RUNS).map(workload).collect(),
        uses: (1..=RUNS).filter_map(|id| Some((id, used?))).map(uses).collect(),
    }
}

fn fill(w: &mut Write<'_>) -> Result<(), StoreError> {
    let queue = QueueName::new("lab").expect("a name");
    w.put_queue(&queue, &Default::default(), None)?;
    w.report_node(&NodeReport {
        name: node(),
        cpu: MilliCpu(RUNS * 1_000),
        memory: Bytes(1 << 50),
        disk: Bytes(1 << 50),
        warnings: vec![],
        devices: (0..devices()).map(device).collect(),
        at: Timestamp(1),
    })?;
    for n in 0..RUNS {
        let mut row = w.submit_workload(workload(n, &queue))?;
        row.placements = vec![Placement {
            member: Member(0),
            node: node(),
            cpu: MilliCpu(1_000),
            memory: Bytes(1 << 30),
            disk: Bytes(1 << 30),
            grants: vec![Grant::Share {
                device: device_id((n / SHARERS) as u32),
                milli: MilliGpu(1_000 / SHARERS),
                memory: Bytes(1 << 34),
            }],
        }];
        let started = Event::Started { attempt: Attempt(1), gang: 1 };
        row.record.apply(started, Timestamp(2)).expect("it starts");
        w.save_workload(&row, Timestamp(2))?;
    }
    Ok(())
}

fn workload(n: u64, queue: &QueueName) -> NewWorkload {
    NewWorkload {
        name: format!("n{n}"),
        queue: queue.clone(),
        user: UserName::new("ann").expect("a name"),
        kind: Kind::Workspace,
        phase: Phase::Concept,
        priority: 0,
        submitted_at: Timestamp(1),
        spec_json: "{}".to_owned(),
        request: Request {
            cpu: MilliCpu(1_000),
            memory: Bytes(1 << 30),
            disk: Bytes(1 << 30),
            gpu: GpuRequest::None,
            ..Request::default()
        },
        gang: 1,
        gang_most: 0,
        reclaim: Phase::Concept.reclaim(),
        max_duration: None,
        expected: None,
        learned_from: 0,
        program: String::new(),
        suspend: None,
        retry: RetryPolicy::default(),
    }
}

fn device(index: u32) -> DeviceRow {
    DeviceRow {
        id: device_id(index),
        uuid: format!("GPU-{index}"),
        product: "Bench 80GB".into(),
        class: DeviceClass { name: "b80".into(), memory: Bytes(80_000_000_000), value: 1 },
        mode: DeviceMode::Whole,
        fault: None,
        health: Default::default(),
        rungs: Vec::new(),
        simulated: false,
    }
}

fn devices() -> u32 {
    (RUNS / SHARERS) as u32
}

fn device_id(index: u32) -> DeviceId {
    DeviceId { node: node(), index }
}

fn node() -> NodeId {
    NodeId::new("n1").expect("a name")
}
