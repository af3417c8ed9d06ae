//! How long a plan takes on a large pool: 1,000 machines with 8 devices each, 5,000 running and
//! 20,000 waiting workloads of 40 queues. `cargo bench -p weft-sched --bench plan`.
//!
//! Three moments are timed from scratch: *morning*, when a third of the pool is free and the first
//! plan starts what fits; *steady*, planning again right after it; *owner*, when a queue that had
//! lent everything comes back and takes back. Then *kept*: the engine remembers the working copy,
//! and between two plans one workload ends, one comes, and what was planned is committed; *ahead*
//! is the same where machines are kept for large requests. The bars hold for each; exits with 1
//! when one misses its own.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weft_sched::case::parse;
use weft_sched::{Engine, Large, Snapshot, WorkloadState, apply, audit, plan};
use weft_types::{GpuRequest, Millis, Timestamp, WorkloadId};

/// From scratch, on one core.
const BAR: Duration = Duration::from_millis(100);
/// With the working copy kept.
const KEPT_BAR: Duration = Duration::from_millis(20);
/// Plans timed at each moment; the slowest but one is then the 99th percentile or beyond.
const TIMES: usize = 100;
/// Fewer, as in `WEFT_BENCH_TIMES=3`, while a change is being tried.
fn times() -> usize {
    let asked = std::env::var("WEFT_BENCH_TIMES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(TIMES).max(1)
}

/// A plain generator with a fixed seed (Marsaglia, "Xorshift RNGs", 2003): every run of the
/// bench plans the same pool.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

const NODES: u64 = 1_000;
const RUNNING: u64 = 5_000;
const WAITING: u64 = 20_000;
const QUEUES: u64 = 40;
const KINDS: [&str; 3] = ["a100-80", "h100-80", "l40-48"];
const GPUS: [&str; 10] = ["1", "1", "1", "2", "4", "8", "0.5", "0.25", "10GB", "h100:1"];

fn pool(random: &mut Random, owner: bool) -> String {
    let mut text = String::new();
    for node in 0..NODES {
        let kind = random.pick(&KINDS);
        text += &format!("node n{node:04} {kind} x8 cpu=128 memory=1024GB\n");
    }
    for queue in 0..QUEUES {
        let share = if owner && queue == 0 { "gpu=1000-1000" } else { "gpu=180+400-180" };
        text += &format!("queue d{} gpu=5000+5000-5000 cpu=99999 memory=999TB\n", queue % 4);
        text += &format!(
            "queue d{}/t{queue} {share} cpu=9999+9999-9999 memory=90TB+90TB-90TB\n",
            queue % 4
        );
    }
    text
}

fn fixture(owner: bool) -> (Snapshot, Timestamp) {
    let random = &mut Random(0x9E37_79B9_7F4A_7C15);
    let mut text = pool(random, owner);
    let first = u64::from(owner);
    let mut free: Vec<u32> = vec![0; NODES as usize];
    for id in 1..=RUNNING {
        let queue = first + random.below(QUEUES - first);
        let node = (id * 7 % NODES) as usize;
        let count = 1 + u32::from(random.below(10) < 3);
        let from = free[node];
        if from + count > 8 {
            continue;
        }
        free[node] += count;
        let devices: Vec<String> = (from..from + count).map(|d| d.to_string()).collect();
        let expected = if random.below(2) == 0 { "expected=6h" } else { "" };
        text += &format!(
            "run w{id} d{}/t{queue} gpu={count} cpu=8 memory=32GB on=n{node:04}/{} ran={}m \
             priority={} {expected}\n",
            queue % 4,
            devices.join("+"),
            2 + random.below(300),
            if random.below(50) == 0 { 1 } else { 2 },
        );
    }
    for id in 1..=WAITING {
        let queue = random.below(QUEUES);
        let gang = if random.below(20) == 0 { 4 } else { 1 };
        text += &format!(
            "want w{} d{}/t{queue} gpu={} cpu={} memory={}GB gang={gang} priority={} waited={}m\n",
            RUNNING + id,
            queue % 4,
            random.pick(&GPUS),
            random.pick(&["2", "4", "8", "16"]),
            random.pick(&["8", "16", "64"]),
            random.below(3),
            random.below(900),
        );
    }
    let case = parse(&text).expect("the fixture is a case");
    (case.snapshot, case.now)
}

/// Time on the processor, where the system tells it, so that a busy machine does not count.
struct Clock {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: Self::cpu() }
    }

    fn elapsed(&self) -> Duration {
        let cpu = self.cpu.zip(Self::cpu()).map(|(began, now)| now - began);
        cpu.unwrap_or_else(|| self.wall.elapsed())
    }

    /// Time this thread has run: the first figure of Linux' schedstat, in nanoseconds.
    fn cpu() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}

fn time(name: &str, snapshot: &Snapshot, now: Timestamp) -> Duration {
    let first = plan(snapshot, now);
    let mut times: Vec<Duration> = (0..times())
        .map(|_| {
            let began = Clock::start();
            let again = plan(snapshot, now);
            let took = began.elapsed();
            assert!(again == first, "the same snapshot gave another plan");
            took
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1].as_secs_f64() * 1e3;
    let began = Instant::now();
    let findings = audit(snapshot, &first, now);
    let audited = began.elapsed().as_secs_f64() * 1e3;
    assert!(findings.is_empty(), "{:?}", &findings[..findings.len().min(3)]);
    println!(
        "{name:8} p50 {:6.1} ms  p99 {:6.1} ms  max {:6.1} ms  audit {audited:5.1} ms  \
         {:5} actions {:6} verdicts",
        at(50),
        at(99),
        at(100),
        first.actions.len(),
        first.verdicts.len(),
    );
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// The time of a plan while the pool lives on.
fn kept(name: &str, snapshot: &Snapshot, mut now: Timestamp) -> Duration {
    let mut engine = Engine::new(snapshot.clone());
    let mut random = Random(7);
    let (mut plan, mut acted) = (engine.plan(now), 0);
    let mut times: Vec<Duration> = (0..times().max(10))
        .map(|round| {
            let running: Vec<_> = ids(&engine, |state| matches!(state, WorkloadState::Running(_)));
            let waiting: Vec<_> = ids(&engine, |state| matches!(state, WorkloadState::Pending(_)));
            let ended = running[random.below(running.len() as u64) as usize];
            let like = waiting[random.below(waiting.len() as u64) as usize];
            let mut comes = engine.snapshot().workloads[&like].clone();
            now = now.after(Millis(1000));
            comes.submitted_at = now;
            engine.set(ended, None);
            // What was stopped a round ago has stopped.
            let stopping = |state: &WorkloadState| {
                matches!(state, WorkloadState::Running(running) if running.stopping)
            };
            ids(&engine, stopping).into_iter().for_each(|id| engine.set(id, None));
            engine.set(WorkloadId(1_000_000 + round as u64), Some(comes));
            let began = Clock::start();
            plan = engine.plan(now);
            let took = began.elapsed();
            if round % 10 == 0 {
                let fresh = weft_sched::plan(engine.snapshot(), now);
                assert!(plan == fresh, "a kept copy gave another plan");
            }
            acted += plan.actions.len();
            engine.commit(&plan, now);
            took
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    let ms = |percent: usize| at(percent).as_secs_f64() * 1e3;
    println!(
        "{name:<8} p50 {:6.1} ms  p99 {:6.1} ms  max {:6.1} ms  {acted} actions in all",
        ms(50),
        ms(99),
        ms(100)
    );
    at(99)
}

/// The same, where each queue usually takes two and a half machines whole: some are kept ahead.
fn keeping(snapshot: &Snapshot) -> Snapshot {
    let mut snapshot = snapshot.clone();
    let eight = "8".parse::<GpuRequest>().expect("a request");
    let whole = snapshot.workloads.values().filter(|workload| workload.request.gpu == eight);
    let mut asked: BTreeMap<_, _> = BTreeMap::new();
    whole.for_each(|workload| {
        asked.entry(workload.queue.clone()).or_insert_with(|| workload.request.clone());
    });
    let large = asked.into_iter().map(|(queue, request)| Large { queue, request, milli: 2500 });
    snapshot.large = large.collect();
    assert!(!snapshot.large.is_empty(), "some ask for eight");
    snapshot
}

fn ids(engine: &Engine, wanted: impl Fn(&WorkloadState) -> bool) -> Vec<WorkloadId> {
    let all = engine.snapshot().workloads.iter();
    all.filter(|(_, workload)| wanted(&workload.state)).map(|(id, _)| *id).collect()
}

fn main() {
    // `-- steady` times one moment only, for a profile.
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let (morning, now) = fixture(false);
    let steady = apply(&morning, &plan(&morning, now), now);
    let (back, back_now) = fixture(true);
    let moments =
        [("morning", &morning, now), ("steady", &steady, now), ("owner", &back, back_now)];
    let mut missed = false;
    for (name, snapshot, now) in moments.into_iter().filter(|(name, ..)| wanted(name)) {
        let took = time(name, snapshot, now);
        if took > BAR {
            println!("{name} misses the bar");
            missed = true;
        }
    }
    println!("bar      p99 {:6.1} ms", BAR.as_secs_f64() * 1e3);
    let ahead = keeping(&steady);
    for (name, snapshot) in [("kept", &steady), ("ahead", &ahead)] {
        if !wanted(name) {
            continue;
        }
        let took = kept(name, snapshot, now);
        println!("bar      p99 {:6.1} ms", KEPT_BAR.as_secs_f64() * 1e3);
        if took > KEPT_BAR {
            println!("{name} misses the bar");
            missed = true;
        }
    }
    if missed {
        std::process::exit(1);
    }
}
