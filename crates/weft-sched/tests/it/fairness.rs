//! Queues get their share over time, not only at a moment: simulated hours of two queues that never
//! run dry.

use weft_meter::Recent;
use weft_sched::case::parse;
use weft_sched::{Action, Engine, Workload, WorkloadState};
use weft_types::{MilliGpu, Millis, QueueName, Timestamp, WorkloadId};

const HOUR: u64 = 3_600_000;
const HALF_LIFE: Millis = Millis(7 * 24 * HOUR);
const DEVICES: u64 = 8;

/// A queue that always has one more of these: each of its workloads takes so many devices for so
/// many hours.
struct Endless {
    name: &'static str,
    gpus: u64,
    hours: u64,
}

/// Hours of devices each queue held after so many hours.
fn live([a, b]: [Endless; 2], hours: u64) -> [u64; 2] {
    let queue = |name| format!("queue {name} cohort=k gpu=4+4-4 cpu=64+64-64 memory=9TB\n");
    let text = format!("node n h100-80 x{DEVICES}\n{}{}", queue("a"), queue("b"));
    let case = parse(&text).expect("a case");
    let mut engine = Engine::new(case.snapshot);
    let queues = [a, b];
    let mut recent = [Recent::since(case.now); 2];
    let (mut held, mut ends, mut next) = ([0; 2], Vec::<(u64, WorkloadId)>::new(), 1);
    for hour in 0..hours {
        let now = Timestamp(case.now.0 + hour * HOUR);
        ends.retain(|(at, id)| {
            let over = *at <= hour;
            if over {
                engine.set(*id, None);
            }
            !over
        });
        let mut snapshot = (**engine.snapshot()).clone();
        for (at, queue) in queues.iter().enumerate() {
            let name: QueueName = queue.name.parse().expect("a name");
            let waits =
                |it: &&Workload| it.queue == name && matches!(it.state, WorkloadState::Pending(_));
            let waiting = snapshot.workloads.values().filter(waits).count() as u64;
            snapshot.queues.get_mut(&name).expect("it is there").recent =
                MilliGpu(recent[at].milli());
            for _ in waiting..DEVICES {
                let line = format!("want w{next} {} gpu={} kept\n", queue.name, queue.gpus);
                let one = parse(&line).expect("a case").snapshot.workloads;
                snapshot.workloads.extend(one);
                next += 1;
            }
        }
        engine.replace(snapshot);
        let plan = engine.decide(now);
        for action in &plan.actions {
            let Action::Start { workload, .. } = action else {
                panic!("nothing may be taken back here: {action:?}");
            };
            let of = &engine.snapshot().workloads[workload].queue;
            let hours = queues.iter().find(|it| it.name == of.to_string()).map_or(1, |it| it.hours);
            ends.push((hour + hours, *workload));
        }
        engine.commit(&plan, now);
        for (at, queue) in queues.iter().enumerate() {
            let name: QueueName = queue.name.parse().expect("a name");
            let runs = engine
                .snapshot()
                .workloads
                .values()
                .filter(|it| it.queue == name && matches!(it.state, WorkloadState::Running(_)));
            let gpus = runs.count() as u64 * queue.gpus;
            recent[at].hold(gpus * 1000, Timestamp(now.0 + HOUR), HALF_LIFE);
            held[at] += gpus;
        }
    }
    held
}

fn share([a, b]: [u64; 2]) -> f64 {
    100.0 * a as f64 / (a + b) as f64
}

#[test]
fn whole_pools_in_turns() {
    let one = |name| Endless { name, gpus: DEVICES, hours: 3 };
    let held = live([one("a"), one("b")], 3 * 20);
    assert_eq!(held[0] + held[1], 3 * 20 * DEVICES, "the pool never idles");
    assert!((share(held) - 50.0).abs() <= 2.0, "{held:?}");
}

#[test]
fn long_ones_get_no_more_than_short_ones() {
    let long = Endless { name: "a", gpus: DEVICES, hours: 7 };
    let short = Endless { name: "b", gpus: DEVICES, hours: 1 };
    let held = live([long, short], 7 * 40);
    assert!((share(held) - 50.0).abs() <= 3.0, "{held:?}");
}

#[test]
fn who_asks_for_more_at_once_gets_no_more() {
    let wide = Endless { name: "a", gpus: DEVICES, hours: 2 };
    let narrow = Endless { name: "b", gpus: 1, hours: 2 };
    let held = live([wide, narrow], 400);
    let narrow = 100.0 - share(held);
    assert!(narrow >= 45.0, "the narrow one held {narrow:.1} %: {held:?}");
}
