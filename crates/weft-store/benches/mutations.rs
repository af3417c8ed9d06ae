//! Durable mutations per second at `synchronous=FULL`, and the time to build a snapshot.
//!
//! Run by `cargo bench -p weft-store`; `SECS=60` is the bar's length, `DIR=…` the disk (default:
//! the temporary directory). Each mutation is what a submission is: the workload's row, an
//! event, an audit row and the response kept for a repetition, in one transaction that is on
//! disk when it returns.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use weft_lifecycle::{Event, RetryPolicy};
use weft_sched::{DeviceClass, DeviceMode, Grant, Placement, Request};
use weft_store::{
    Decision, DeviceRow, NewAudit, NewEvent, NewWorkload, NodeReport, RequestKey, Store,
    StoreError, StoredResponse, Write,
};
use weft_types::{
    Attempt, Bytes, DeviceId, GpuRequest, Kind, Member, MilliCpu, NodeId, Phase, QueueName,
    Timestamp, UserName, WorkloadId,
};

/// The bar: durable mutations per second, and the slowest in a hundred.
const BAR_RATE: f64 = 500.0;
const BAR_P99: Duration = Duration::from_millis(100);

/// The bar for a snapshot of [`WORKLOADS`], part of the loop's 100 ms.
const BAR_SNAPSHOT: Duration = Duration::from_millis(100);

/// Concurrent callers, as of an API under load.
const WRITERS: u64 = 64;

/// The pool of the plan's bar: 1,000 machines of 8, 20,000 waiting and 5,000 running.
const NODES: u32 = 1_000;
const DEVICES: u32 = 8;
const WORKLOADS: u64 = 25_000;
const RUNNING: u64 = 5_000;

fn main() {
    let dir = match std::env::var_os("DIR") {
        Some(dir) => tempfile::tempdir_in(PathBuf::from(dir)),
        None => tempfile::tempdir(),
    };
    let dir = dir.expect("a temporary directory");
    let secs = std::env::var("SECS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let good = runtime.block_on(async {
        let store = Store::open(dir.path()).expect("a store");
        store.write(|w| w.put_queue(&queue(), &Default::default(), None)).await.expect("a queue");
        let rate = mutations(&store, 1, Duration::from_secs(2)).await;
        say("alone", &rate);
        let crowd = mutations(&store, WRITERS, Duration::from_secs(secs)).await;
        say(&format!("{WRITERS} writers"), &crowd);
        let other = tempfile::tempdir().expect("a temporary directory");
        let snapshot = snapshots(other.path()).await;
        line(&format!(
            "snapshot of {WORKLOADS} workloads, {NODES} machines: p50 {:?}, worst {:?} of {}",
            snapshot[snapshot.len() / 2],
            snapshot[snapshot.len() - 1],
            snapshot.len()
        ));
        crowd.rate >= BAR_RATE
            && crowd.p99 <= BAR_P99
            && snapshot[snapshot.len() / 2] <= BAR_SNAPSHOT
    });
    line(if good { "within the bars" } else { "NOT WITHIN THE BARS" });
    std::process::exit(i32::from(!good));
}

struct Rate {
    rate: f64,
    p50: Duration,
    p99: Duration,
    worst: Duration,
}

async fn mutations(store: &Store, writers: u64, length: Duration) -> Rate {
    let begin = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while begin.elapsed() < length {
                    let name = format!("{writers}-{writer}-{}", times.len());
                    let one = Instant::now();
                    store.write(move |w| submit(w, name)).await.expect("a durable write");
                    times.push(one.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a writer"));
    }
    let took = begin.elapsed();
    times.sort_unstable();
    Rate {
        rate: times.len() as f64 / took.as_secs_f64(),
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        worst: times[times.len() - 1],
    }
}

/// What `POST /workloads` writes.
fn submit(w: &mut Write<'_>, name: String) -> Result<WorkloadId, StoreError> {
    let at = Timestamp(1_000_000);
    let id = w.submit_workload(new_workload(name.clone()))?.id;
    w.append_event(NewEvent {
        at,
        actor: "ann".into(),
        kind: "workload".into(),
        subject: id.to_string(),
        queue: Some(queue()),
        what: "submitted".into(),
        detail: "train.py, 1 accelerator".into(),
    })?;
    w.append_audit(NewAudit {
        at,
        actor: "ann".into(),
        verb: "submit".into(),
        resource: id.to_string(),
        decision: Decision::Allowed,
        policies: vec!["member-own".into()],
        detail: "{}".into(),
    })?;
    let key = RequestKey {
        actor: "ann".into(),
        key: name,
        route: "POST /api/v1/workloads".into(),
        fingerprint: [1; 32],
    };
    w.remember_response(&key, &StoredResponse { status: 201, body: vec![b'x'; 600] }, at)?;
    Ok(id)
}

/// Times of twenty snapshots of the large pool, sorted.
async fn snapshots(dir: &std::path::Path) -> Vec<Duration> {
    let store = Store::open(dir).expect("a store");
    store.write(fill).await.expect("the large pool");
    let mut times = Vec::new();
    for _ in 0..20 {
        let one = Instant::now();
        let snapshot = store.read(|r| r.snapshot()).await.expect("a snapshot");
        times.push(one.elapsed());
        assert_eq!(snapshot.workloads.len() as u64, WORKLOADS);
    }
    times.sort_unstable();
    times
}

fn fill(w: &mut Write<'_>) -> Result<(), StoreError> {
    w.put_queue(&queue(), &Default::default(), None)?;
    for n in 0..NODES {
        w.report_node(&report(n))?;
    }
    for n in 0..WORKLOADS {
        let row = w.submit_workload(new_workload(format!("n{n}")))?;
        if n < RUNNING {
            place(w, row, n)?;
        }
    }
    Ok(())
}

fn place(w: &mut Write<'_>, mut row: weft_store::WorkloadRow, n: u64) -> Result<(), StoreError> {
    let at = Timestamp(2_000_000);
    let started = Event::Started { attempt: Attempt(1), gang: 1 };
    row.record.apply(started, at).map_err(|_| StoreError::Closed)?;
    let node = node(n as u32 / DEVICES);
    let device = DeviceId { node: node.clone(), index: n as u32 % DEVICES };
    row.placements = vec![Placement {
        member: Member(0),
        node,
        cpu: MilliCpu(4_000),
        memory: Bytes(1 << 34),
        disk: Bytes(0),
        grants: vec![Grant::Whole { device }],
    }];
    row.placed_at = Some(at);
    w.save_workload(&row, at).map(drop)
}

fn report(n: u32) -> NodeReport {
    let device = |index| DeviceRow {
        id: DeviceId { node: node(n), index },
        uuid: format!("GPU-{n}-{index}"),
        product: "Bench 80GB".into(),
        class: DeviceClass { name: "b80".into(), memory: Bytes(80_000_000_000), value: 1 },
        mode: DeviceMode::Whole,
        fault: None,
        rungs: Vec::new(),
        health: Default::default(),
        simulated: true,
    };
    NodeReport {
        name: node(n),
        cpu: MilliCpu(64_000),
        memory: Bytes(1 << 39),
        disk: Bytes(1 << 40),
        warnings: vec![],
        devices: (0..DEVICES).map(device).collect(),
        at: Timestamp(1_000),
    }
}

fn node(n: u32) -> NodeId {
    NodeId::new(format!("n{n}")).expect("a name")
}

fn queue() -> QueueName {
    QueueName::new("lab").expect("a name")
}

fn new_workload(name: String) -> NewWorkload {
    NewWorkload {
        name,
        queue: queue(),
        user: UserName::new("ann").expect("a name"),
        kind: Kind::Job,
        phase: Phase::Training,
        priority: 0,
        submitted_at: Timestamp(1_000_000),
        spec_json: format!("{{\"run\":\"{}\"}}", "x".repeat(800)),
        request: Request {
            cpu: MilliCpu(4_000),
            memory: Bytes(1 << 34),
            disk: Bytes(0),
            gpu: GpuRequest::Whole { count: 1, filter: Default::default() },
            ..Request::default()
        },
        gang: 1,
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

fn say(what: &str, rate: &Rate) {
    line(&format!(
        "{what}: {:.0} durable mutations/s, p50 {:?}, p99 {:?}, worst {:?}",
        rate.rate, rate.p50, rate.p99, rate.worst
    ));
}

fn line(text: &str) {
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}
