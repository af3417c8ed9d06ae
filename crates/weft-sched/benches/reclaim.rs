//! How long it takes to decide what a lender gets back of a full pool of 4,000 devices, on 500
//! machines, that another queue has borrowed with 4,000 workloads: one device, and a gang of 2,000.
//! `cargo bench -p weft-sched --bench reclaim`.
//!
//! *Decision* is the engine's, with its working copy kept, as the server plans; *from scratch* is a
//! whole plan with all its verdicts. Each plan is audited once. Published beside it: KAI's own
//! scale test, end to end, so with a Kubernetes API between (docs/scale-tests, v0.17). Exits
//! with 1 when a decision misses its bar.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::time::{Duration, Instant};
use weft_sched::case::parse;
use weft_sched::{Action, Engine, Snapshot, audit, plan};
use weft_types::{Timestamp, WorkloadId};

const NODES: u32 = 500;
const DEVICES: u32 = 8;
const TIMES: usize = 50;
/// The one that claims.
const CLAIM: WorkloadId = WorkloadId(1_000_000);

fn pool(gang: u32) -> (Snapshot, Timestamp) {
    let all = NODES * DEVICES;
    let mut text = String::new();
    for node in 0..NODES {
        text += &format!("node n{node:03} h100-80 x{DEVICES} cpu=192 memory=2000GB\n");
    }
    text +=
        &format!("queue lender cohort=all gpu={all}-{all} cpu=99999-99999 memory=999TB-999TB\n");
    text += &format!("queue guest cohort=all gpu=0+{all} cpu=0+99999 memory=0GB+999TB\n");
    for id in 0..all {
        text += &format!(
            "run w{} guest gpu=1 cpu=8 memory=64GB on=n{:03}/{} ran={}m\n",
            id + 1,
            id / DEVICES,
            id % DEVICES,
            10 + id % 600
        );
    }
    text += &format!("want {CLAIM} lender gpu=1 cpu=8 memory=64GB gang={gang} waited=0m\n");
    let case = parse(&text).expect("the fixture is a case");
    (case.snapshot, case.now)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn time(gang: u32, bar: Duration, published: &str) -> bool {
    let (snapshot, now) = pool(gang);
    let whole = plan(&snapshot, now);
    assert_eq!(audit(&snapshot, &whole, now), []);
    let stops = whole.actions.iter().filter(|act| matches!(act, Action::Stop { .. })).count();
    assert_eq!(stops, gang as usize, "one stops for each member");

    let claim = snapshot.workloads[&CLAIM].clone();
    let mut engine = Engine::new(snapshot.clone());
    engine.set(CLAIM, None);
    let mut decisions: Vec<Duration> = Vec::new();
    for _ in 0..TIMES {
        // The pool as it was before the claim, planned on and remembered.
        engine.set(CLAIM, None);
        assert!(engine.decide(now).actions.is_empty());
        engine.set(CLAIM, Some(claim.clone()));
        let began = Instant::now();
        let decided = engine.decide(now);
        decisions.push(began.elapsed());
        assert_eq!(decided.actions, whole.actions);
    }
    let scratch = (0..TIMES.min(10)).map(|_| {
        let began = Instant::now();
        assert_eq!(plan(&snapshot, now).actions, whole.actions);
        began.elapsed()
    });
    let (scratch, decided) = (median(scratch.collect()), median(decisions));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{gang:5} devices  decision {:7.2} ms (bar {:.0})  from scratch {:7.2} ms  KAI {published}",
        ms(decided),
        ms(bar),
        ms(scratch)
    );
    decided <= bar
}

fn main() {
    let one = time(1, Duration::from_millis(5), "13.9 s");
    let many = time(2000, Duration::from_millis(500), "102 s");
    if !(one && many) {
        println!("a bar is missed");
        std::process::exit(1);
    }
}
