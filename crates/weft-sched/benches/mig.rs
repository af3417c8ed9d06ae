//! What it costs to score a device divided in MIG instances: 1,000 machines of 8, in any state.
//! `cargo bench -p weft-sched --bench mig`.
//!
//! A request of a kind not seen before makes the planner score every device of the pool. The time
//! of a plan for many such requests, over requests and devices, is what one device costs, all told.
//! Then what arranging costs: many requests that wait together on few devices. Exits with 1 when a
//! device costs more than the bar.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::time::{Duration, Instant};
use weft_sched::case::parse;
use weft_sched::{Engine, Workload, decide};
use weft_types::{MilliCpu, Timestamp, WorkloadId};

/// Of the notes: per device scored.
const BAR: Duration = Duration::from_micros(1);
const MACHINES: u64 = 1_000;
const DEVICES: u64 = 8;
/// Requests of different kinds in one plan.
const KINDS: u64 = 40;
/// Plans timed for each profile; the quickest counts, because others use this machine too.
const TIMES: u64 = 15;
/// Requests that wait together.
const TOGETHER: u64 = 2_000;

/// Profiles with their memory slices and first memory slices.
const PROFILES: [(&str, u8, &[u8]); 6] = [
    ("1g.10gb", 1, &[0, 1, 2, 3, 4, 5, 6]),
    ("1g.20gb", 2, &[0, 2, 4, 6]),
    ("2g.20gb", 2, &[0, 2, 4]),
    ("3g.40gb", 4, &[0, 4]),
    ("4g.40gb", 4, &[0]),
    ("7g.80gb", 8, &[0]),
];

/// A plain generator with a fixed seed (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// A pool with some instances on each device, wherever they are free.
fn pool(random: &mut Random) -> String {
    let mut text = String::from("queue q gpu=9999 cpu=9999\n");
    let mut runs = 0;
    for machine in 0..MACHINES {
        text += &format!("node n{machine:04} a100-80:mig x{DEVICES}\n");
        for device in 0..DEVICES {
            let mut taken = 0u32;
            for _ in 0..random.below(6) {
                let (name, size, starts) = PROFILES[random.below(5)];
                let start = starts[random.below(starts.len())];
                let mask = ((1u32 << size) - 1) << start;
                if taken & mask == 0 {
                    (taken, runs) = (taken | mask, runs + 1);
                    text += &format!(
                        "run w{runs} q gpu=mig:{name} on=n{machine:04}/{device}:{name}@{start}\n"
                    );
                }
            }
        }
    }
    text
}

fn spent(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn waiting(name: &str) -> Workload {
    let text = format!("queue q gpu=1\nwant w1 q gpu=mig:{name}\n");
    let case = parse(&text).expect("a case").snapshot;
    case.workloads.into_values().next().expect("a workload")
}

fn main() {
    let text = pool(&mut Random(0x9E37_79B9_7F4A_7C15));
    let case = parse(&text).expect("the fixture is a case");
    let (mut engine, now) = (Engine::new(case.snapshot), case.now);
    let ids = (0..KINDS).map(|kind| WorkloadId(u64::MAX - kind));
    let (mut kind, mut slowest) = (0, Duration::ZERO);
    for (name, ..) in PROFILES {
        let asked = waiting(name);
        let times = (0..TIMES).map(|_| {
            ids.clone().for_each(|id| engine.set(id, None));
            engine.decide(now);
            for id in ids.clone() {
                let mut one = asked.clone();
                kind += 1;
                one.request.cpu = MilliCpu(kind);
                engine.set(id, Some(one));
            }
            let mut started = 0;
            let took = spent(|| started = engine.decide(now).actions.len());
            assert_eq!(started as u64, KINDS, "all of them find a device");
            took
        });
        let scored = KINDS * MACHINES * DEVICES;
        let each = times.min().unwrap_or_default().as_nanos() as f64 / scored as f64;
        println!("{name}: {each:.0} ns a device");
        slowest = slowest.max(Duration::from_nanos(each as u64));
    }
    together(now);
    println!("bar: {} ns a device", BAR.as_nanos());
    if slowest > BAR {
        std::process::exit(1);
    }
}

/// Requests of all profiles that wait at once on devices for about a third of them.
fn together(now: Timestamp) {
    let mut text = String::from("queue q gpu=9999\n");
    for machine in 0..TOGETHER / 40 {
        text += &format!("node n{machine:04} a100-80:mig x{DEVICES}\n");
    }
    let mut random = Random(7);
    for id in 1..=TOGETHER {
        text += &format!("want w{id} q gpu=mig:{}\n", PROFILES[random.below(6)].0);
    }
    let snapshot = parse(&text).expect("the fixture is a case").snapshot;
    let mut started = 0;
    let took = spent(|| started = decide(&snapshot, now).actions.len());
    println!(
        "{TOGETHER} that wait together on {} devices: {started} start, {:.1} µs a request",
        TOGETHER / 40 * DEVICES,
        took.as_secs_f64() * 1e6 / TOGETHER as f64
    );
}
