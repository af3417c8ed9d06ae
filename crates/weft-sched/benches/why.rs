//! How long it takes to say why one workload waits and what would let it start, with the pool
//! full: 1,200 machines with 8 devices each, 5,000 running, and a thousand others waiting.
//! `cargo bench -p weft-sched --bench why`.
//!
//! The whole answer is timed: reading the snapshot into a working copy, the plan of this moment,
//! the reason, the search for relaxations and their proof. Exits with 1 when a question misses the
//! bar.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};
use weft_sched::case::parse;
use weft_sched::{Engine, May, Snapshot, apply, describe, describe_relaxation, plan};
use weft_types::{QueueName, Timestamp, WorkloadId};

/// Of ISSUE 3, in milliseconds.
const BAR: f64 = 10.0;
/// Of its scale tests of 3 July 2026 (`docs/scale-tests/example-results.json`); ours is the
/// decision alone.
const PUBLISHED: &str = "KAI-Scheduler says of a job of 10 pods and 80 GPUs on 500 machines that \
                         it is unschedulable after 249.5 s on average, end to end";

const NODES: u64 = 1_200;
const RUNNING: u64 = 5_000;
const WAITING: u64 = 1_000;
const QUEUES: u64 = 40;
/// Engines asked, each twice.
const TIMES: usize = 50;
/// Fewer, as in `WEFT_BENCH_TIMES=3`, while a change is being tried.
fn times() -> usize {
    let asked = std::env::var("WEFT_BENCH_TIMES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(TIMES).max(1)
}

/// Asked about, each in a queue of its own: what would help, and its line.
const QUESTIONS: [(&str, &str); 6] = [
    ("nothing but time", "gpu=h100:8 cpu=16 memory=64GB"),
    ("a smaller share", "gpu=a100:40GB cpu=4 memory=16GB"),
    ("another kind", "gpu=b200:4 cpu=4 memory=16GB"),
    ("fewer members", "gpu=l40:1 cpu=4 memory=16GB gang=64"),
    ("fewer cores", "gpu=l40:1 cpu=120 memory=16GB gang=9"),
    ("less of a share", "gpu=1 cpu=1 memory=1GB gang=400"),
];

fn text() -> String {
    let mut text = String::new();
    for node in 0..NODES {
        let kind = ["a100-80", "h100-80", "l40-48", "b200-180"][(node % 4) as usize];
        text += &format!("node n{node:04} {kind} x8 cpu=128 memory=1024GB\n");
    }
    for queue in 0..QUEUES {
        text += &format!("queue t{queue} gpu=250+250-250 cpu=9999 memory=90TB cohort=k\n");
    }
    // Every device is held, but three tenths of some, and a hundred of the kind that nobody wants.
    let mut device = 0;
    for id in 1..=RUNNING {
        let (node, first) = (device / 8, device % 8);
        let count = if device + (RUNNING - id) < 8 * NODES - 40 { 2.min(8 - first) } else { 1 };
        let devices: Vec<String> = (first..first + count).map(|d| d.to_string()).collect();
        let (gpu, share) = match (id % 97, count) {
            (0, 1) => ("0.7".to_owned(), ":0.7"),
            _ => (count.to_string(), ""),
        };
        text += &format!(
            "run w{id} t{} gpu={gpu} cpu=14 memory=64GB on=n{node:04}/{}{share} ran={}m \
             expected={}h\n",
            id % QUEUES,
            devices.join("+"),
            2 + id % 300,
            6 + id % 40,
        );
        device += count;
        if node % 4 == 2 && id % 12 == 0 {
            device += 1;
        }
    }
    for id in 1..=WAITING {
        text += &format!(
            "want w{} t{} gpu={}:{} cpu=8 memory=64GB gang={} waited={}m\n",
            RUNNING + id,
            id % QUEUES,
            ["a100", "h100", "b200"][(id % 3) as usize],
            ["2", "4", "8", "1"][(id % 4) as usize],
            if id % 20 == 0 { 4 } else { 1 },
            id % 900,
        );
    }
    for ((_, line), at) in QUESTIONS.iter().zip(1..) {
        text += &format!("want w{} t{at} {line}\n", RUNNING + WAITING + at);
    }
    text
}

/// Time this thread has run, where the system tells it, so that a busy machine does not count: the
/// first figure of Linux' schedstat, in nanoseconds. It moves in steps of some milliseconds, so
/// that only a sum of many says anything.
fn cpu() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let wall = BEGAN.get_or_init(Instant::now).elapsed();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = text.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
    first.map_or(wall, Duration::from_nanos)
}

/// The mean of many times this on its own engine each, in milliseconds of processor time.
fn mean(engines: &mut [Engine], mut question: impl FnMut(&mut Engine)) -> f64 {
    let began = cpu();
    engines.iter_mut().for_each(&mut question);
    (cpu() - began).as_secs_f64() * 1e3 / engines.len() as f64
}

/// Asks, prints, and gives the mean of a first question and of later ones.
fn ask(name: &str, snapshot: &Snapshot, id: WorkloadId, now: Timestamp) -> [f64; 2] {
    let queues = (0..QUEUES).map(|queue| QueueName::new(format!("t{queue}")).expect("a name"));
    let may = May { queues: queues.collect(), priority: 100 };
    let said = Engine::new(snapshot.clone()).why(id, now, &may).expect("it waits");
    let check = |engine: &mut Engine| {
        let again = engine.why(id, now, &may);
        assert!(again.as_ref() == Some(&said), "the same question had another answer");
    };
    let mut engines: Vec<_> = (0..times()).map(|_| Engine::new(snapshot.clone())).collect();
    let first = mean(&mut engines, check);
    let kept = mean(&mut engines, check);
    println!("{name:16} first {first:5.1} ms  again {kept:5.1} ms  {}", describe(&said.reason).0);
    for relaxation in &said.relaxations {
        println!("{:43}  {}", "", describe_relaxation(relaxation));
    }
    [first, kept]
}

fn main() {
    let case = parse(&text()).expect("the fixture is a case");
    // As it is between two plans: what can start has started.
    let now = case.now;
    let first = plan(&case.snapshot, now);
    let snapshot = apply(&case.snapshot, &first, now);
    println!("{} started, {} wait", first.actions.len(), first.verdicts.len());
    let mut most = [0f64; 2];
    // `-- members` asks one of them only, for a profile.
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-')).unwrap_or_default();
    for ((name, _), at) in QUESTIONS.iter().zip(1..) {
        if !name.contains(&only) {
            continue;
        }
        let took = ask(name, &snapshot, WorkloadId(RUNNING + WAITING + at), now);
        most = [most[0].max(took[0]), most[1].max(took[1])];
    }
    println!("slowest          first {:5.1} ms  again {:5.1} ms", most[0], most[1]);
    println!("bar              {BAR:5.1} ms  ({PUBLISHED})");
    if most[1] > BAR {
        println!("missed");
        std::process::exit(1);
    }
}
