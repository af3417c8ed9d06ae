//! Random pools: written in the case language, so that a failing one prints as a case, and brought
//! to life by the planner itself, so that what runs is sound.

use proptest::prelude::*;
use proptest::sample::select;
use weft_sched::case::parse;
use weft_sched::{Action, Snapshot, WorkloadState, apply, plan};
use weft_types::{Millis, Timestamp};

const QUEUES: [&str; 6] = ["a", "b", "c", "lab", "lab/x", "lab/y"];

fn node() -> impl Strategy<Value = String> {
    let kinds =
        select(vec!["", "a100-80 x4", "h100-80 x2", "t4-16 x2 a100-80 x2", "a100-80:mig x2"]);
    (kinds, select(vec!["", "", "", "closed"]), 4..24u32)
        .prop_map(|(kind, flag, cpu)| format!("{kind} {flag} cpu={cpu} memory={}GB", cpu * 4))
}

fn queue() -> impl Strategy<Value = String> {
    let order = select(vec!["", "", "order=service"]);
    (0..8u32, 0..6u32, 0..8u32, select(vec!["", "cohort=k", "cohort=l"]), order).prop_map(
        |(own, more, lend, cohort, order)| {
            let cpu = format!("{}+{}-{}", own * 4, more * 4, lend * 4);
            let memory = format!("{}GB+40GB-20GB", own * 16);
            format!("gpu={own}+{more}-{lend} cpu={cpu} memory={memory} {cohort} {order}")
        },
    )
}

/// How many members: so many, or between so many and so many.
fn members() -> impl Strategy<Value = String> {
    (1..4u32, select(vec![0, 0, 1, 3])).prop_map(|(least, more)| match more {
        0 => least.to_string(),
        more => format!("{least}..{}", least + more),
    })
}

/// What a workload line says beyond its id.
pub(crate) fn workload() -> impl Strategy<Value = String> {
    let gpu = select(vec![
        "none",
        "none",
        "1",
        "1",
        "2",
        "0.5",
        "0.25",
        "0.4",
        "10GB",
        "0.4,10GB",
        "a100:1",
        "h100:0.3",
        "mig:1g.10gb",
        "mig:3g.40gb",
        "mig:2g.20gb:2",
        "mig:1g.20gb",
        "auto",
    ]);
    let shape = (select(QUEUES.to_vec()), gpu, 0..6u32, 0..10u32, members());
    let time =
        (0..4i32, 0..30u32, select(vec!["", "max=1h", "expected=20m", "expected=2h max=1h"]));
    let policy = select(vec!["", "", "fixed", "kept", "min-run=0s", "min-run=0s", "kind=service"]);
    let service = select(vec![
        "",
        "suspend=10s",
        "suspend=10s min-run=0s served=2h",
        "suspend=1m min-run=0s served=9h",
        "suspend=0s min-run=0s served=40h",
    ]);
    (shape, time, policy, service).prop_map(
        |((queue, gpu, cpu, memory, gang), (priority, age, end), policy, service)| {
            let policy = if service.contains("min-run") { "" } else { policy };
            format!(
                "{queue} gpu={gpu} cpu={cpu} memory={memory}GB gang={gang} priority={priority} \
             waited={age}m {end} {policy} {service}"
            )
        },
    )
}

/// Machines and queues as text.
pub(crate) fn pool_text() -> impl Strategy<Value = String> {
    let nodes = prop::collection::vec(node(), 1..5);
    let queues = prop::collection::vec(queue(), QUEUES.len());
    (nodes, queues).prop_map(|(nodes, queues)| {
        let nodes = nodes.iter().enumerate().map(|(at, node)| format!("node n{at} {node}\n"));
        let queues =
            QUEUES.iter().zip(&queues).map(|(name, queue)| format!("queue {name} {queue}\n"));
        nodes.chain(queues).collect()
    })
}

/// A pool as text: machines, queues, and workloads that wait.
pub(crate) fn text() -> impl Strategy<Value = String> {
    (pool_text(), prop::collection::vec(workload(), 0..24)).prop_map(|(pool, workloads)| {
        let wants = workloads.iter().enumerate().map(|(at, it)| format!("want w{} {it}\n", at + 1));
        std::iter::once(pool).chain(wants).collect()
    })
}

/// A pool some time into its life: some waiting were started by a plan, some of those are
/// stopping, more have come since, and the clock went on.
pub(crate) fn pool() -> impl Strategy<Value = (Snapshot, Timestamp)> {
    let later = prop::collection::vec((workload(), 0..10u32), 0..12);
    (text(), later, 0..4_000_000u64, any::<u64>(), any::<bool>()).prop_map(
        |(text, later, passed, stop, shrink)| {
            let early = parse(&text).expect("the generator writes cases");
            let mut snapshot = apply(&early.snapshot, &plan(&early.snapshot, early.now), early.now);
            let now = early.now.after(Millis(passed));
            let mut more = String::new();
            for (at, (workload, _)) in later.iter().enumerate() {
                more += &format!("want w{} {workload}\n", at + 101);
            }
            let mut more = parse(&more).expect("the generator writes cases").snapshot;
            snapshot.workloads.append(&mut more.workloads);
            for (at, workload) in snapshot.workloads.values_mut().enumerate() {
                if let WorkloadState::Running(running) = &mut workload.state {
                    running.stopping = stop >> (at % 64) & 7 == 0;
                }
            }
            if shrink && let Some(queue) = snapshot.queues.values_mut().next() {
                queue.gpu.nominal.0 /= 2;
            }
            (snapshot, now)
        },
    )
}

/// Whether the plan starts it.
pub(crate) fn starts(actions: &[Action], id: weft_types::WorkloadId) -> bool {
    actions.iter().any(|a| matches!(a, Action::Start { workload, .. } if *workload == id))
}
