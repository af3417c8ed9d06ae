//! Queues get their share over time, not only at a moment: simulated hours of two queues that never
//! run dry.

use weft_meter::Recent;
use weft_sched::case::parse;
use weft_sched::{Action, Engine, Grant, Prices, Workload, WorkloadState};
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
    /// The kind of device it asks for, with a colon; any where it is empty.
    kind: &'static str,
}

/// Hours of devices each queue held of a pool of one kind after so many hours.
fn live(queues: [Endless; 2], hours: u64) -> [u64; 2] {
    let queue = |name| format!("queue {name} cohort=k gpu=4+4-4 cpu=64+64-64 memory=9TB\n");
    live_on(&format!("node n h100-80 x{DEVICES}\n{}{}", queue("a"), queue("b")), queues, hours)
}

/// Hours of devices, each as many hours of the mean device as it is worth.
fn live_on(pool: &str, [a, b]: [Endless; 2], hours: u64) -> [u64; 2] {
    let case = parse(pool).expect("a case");
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
            for _ in waiting..2 * DEVICES {
                let line =
                    format!("want w{next} {} gpu={}{} kept\n", queue.name, queue.kind, queue.gpus);
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
            let (snapshot, prices) = (engine.snapshot(), Prices::of(engine.snapshot()));
            let runs = snapshot.workloads.values().filter(|it| it.queue == name);
            let priced = |it: &Workload| match &it.state {
                WorkloadState::Running(run) => {
                    let grants = run.placements.iter().flat_map(|placement| &placement.grants);
                    let one = |grant: &Grant| prices.priced(grant.device(), MilliGpu(1000)).0;
                    grants.map(one).sum::<u64>()
                }
                WorkloadState::Pending(_) => 0,
            };
            let milli = runs.map(priced).sum::<u64>();
            recent[at].hold(milli, Timestamp(now.0 + HOUR), HALF_LIFE);
            held[at] += milli;
        }
    }
    held.map(|milli| milli / 1000)
}

fn share([a, b]: [u64; 2]) -> f64 {
    100.0 * a as f64 / (a + b) as f64
}

/// The index of R. Jain, D. Chiu and W. Hawe (1984): 1 where both have the same.
fn jain([a, b]: [u64; 2]) -> f64 {
    let (a, b) = (a as f64, b as f64);
    (a + b) * (a + b) / (2.0 * (a * a + b * b))
}

#[test]
fn whole_pools_in_turns() {
    let one = |name| Endless { name, gpus: DEVICES, hours: 3, kind: "" };
    let held = live([one("a"), one("b")], 3 * 20);
    assert_eq!(held[0] + held[1], 3 * 20 * DEVICES, "the pool never idles");
    assert!((share(held) - 50.0).abs() <= 2.0, "{held:?}");
    assert!(jain(held) >= 0.99, "{held:?}");
}

/// `a` insists on what is scarce, `b` takes anything. But for one each, all they have
/// is lent to them.
#[test]
fn on_a_mixed_pool_what_was_held_counts_by_its_worth() {
    let pool = "node n h100-80 x8\nnode m t4-16 x8\n\
                queue a cohort=k gpu=1+16 cpu=64 memory=9TB\n\
                queue b cohort=k gpu=1+16 cpu=64 memory=9TB\n\
                queue c cohort=k gpu=14-14\n";
    let one = |name, kind| Endless { name, gpus: 1, hours: 3, kind };
    let held = live_on(pool, [one("a", "h100:"), one("b", "")], 600);
    // Within half of what the larger of them, a tenth of the pool, is worth.
    assert!((share(held) - 50.0).abs() <= 5.0 / 2.0, "{held:?}");
    assert!(jain(held) >= 0.99, "{held:?}");
}

#[test]
fn long_ones_get_no_more_than_short_ones() {
    let long = Endless { name: "a", gpus: DEVICES, hours: 7, kind: "" };
    let short = Endless { name: "b", gpus: DEVICES, hours: 1, kind: "" };
    let held = live([long, short], 7 * 40);
    assert!((share(held) - 50.0).abs() <= 3.0, "{held:?}");
}

#[test]
fn who_asks_for_more_at_once_gets_no_more() {
    let wide = Endless { name: "a", gpus: DEVICES, hours: 2, kind: "" };
    let narrow = Endless { name: "b", gpus: 1, hours: 2, kind: "" };
    let held = live([wide, narrow], 400);
    let narrow = 100.0 - share(held);
    assert!(narrow >= 45.0, "the narrow one held {narrow:.1} %: {held:?}");
}
