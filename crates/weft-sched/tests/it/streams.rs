//! What holds over time, of streams of workloads that a pool serves to their end (`world.rs`).

use crate::laws::laws;
use crate::pools;
use crate::rules::{Sum, quota};
use crate::world::{Comer, GRACE, World};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use weft_sched::case::parse;
use weft_sched::{Action, Plan, Reason, Snapshot, Workload, WorkloadState, impossible};
use weft_types::{Millis, QueueName, Timestamp, WorkloadId};

/// Longest that a workload of these streams runs.
const LENGTH_MAX: Millis = Millis::from_secs(2 * 3600);
/// After so long a wait a workload is not passed any more (`reserve.rs`).
const RESERVE_AFTER: Millis = Millis::from_secs(600);

/// Machines with four equal devices each, and three teams that share all of them: own, borrow and
/// lend. Nothing but devices is asked of them, one for each member.
fn team_pool() -> impl Strategy<Value = String> {
    let own = prop::collection::vec(0..5u32, 3);
    (2..5usize, own).prop_map(|(machines, own)| {
        let mut text = String::new();
        (0..machines).for_each(|at| text += &format!("node n{at} a100-80 x4\n"));
        let mut left = machines as u32 * 4;
        for (name, own) in ["a", "b", "c"].iter().zip(own) {
            let own = own.min(left);
            left -= own;
            text += &format!("queue {name} gpu={own}+16-{own} cohort=k\n");
        }
        text
    })
}

fn team_workload() -> impl Strategy<Value = String> {
    let suspend = select(vec!["", "", "suspend=10s"]);
    (select(vec!["a", "b", "c"]), 1..5u32, suspend).prop_map(|(queue, gang, suspend)| {
        format!("{queue} gpu=1 gang={gang} min-run=0s {suspend}")
    })
}

/// Workloads that come over some hours, each with a length.
fn stream(
    pool: impl Strategy<Value = String>,
    workload: impl Strategy<Value = String>,
    most: usize,
) -> impl Strategy<Value = (Snapshot, Timestamp, Vec<Comer>)> {
    let comer = (workload, 0..4 * 3_600_000u64, 1000..LENGTH_MAX.0);
    (pool, prop::collection::vec(comer, 1..most)).prop_map(|(pool, comers)| {
        let mut text = pool;
        for (at, (workload, ..)) in comers.iter().enumerate() {
            text += &format!("want w{} {workload}\n", at + 1);
        }
        let case = parse(&text).expect("the generator writes cases");
        let mut snapshot = case.snapshot;
        let comers = comers.into_iter().enumerate().filter_map(|(at, (_, after, length))| {
            let id = WorkloadId(at as u64 + 1);
            let workload = snapshot.workloads.remove(&id)?;
            Some(Comer { id, at: case.now.after(Millis(after)), length: Millis(length), workload })
        });
        let comers = comers.collect();
        snapshot.workloads.clear();
        (snapshot, case.now, comers)
    })
}

/// Those of a stream that could run on the empty pool within their own queues' shares.
fn entitled(snapshot: &mut Snapshot, comers: Vec<Comer>) -> Vec<Comer> {
    snapshot.nodes.values_mut().for_each(|node| node.schedulable = true);
    let fits = |comer: &Comer| {
        let it = &comer.workload;
        let own = |queue: &QueueName| {
            let charge = most(it);
            (0..3).all(|r| charge[r] <= keeps(&snapshot.queues, queue, r))
        };
        let above = std::iter::successors(it.queue.parent(), QueueName::parent);
        let within = |queue: QueueName| {
            (0..3).all(|r| most(it)[r] <= quota(&snapshot.queues, &queue, r).nominal)
        };
        let fits = impossible(snapshot, &it.request, it.gang).is_none();
        fits && own(&it.queue) && above.into_iter().all(within)
    };
    comers.into_iter().filter(fits).collect()
}

/// What of a queue's own is for its own workloads: its children keep theirs.
fn keeps(queues: &BTreeMap<QueueName, weft_sched::Queue>, queue: &QueueName, r: usize) -> u128 {
    let below = queues.keys().filter(|name| name.parent().as_ref() == Some(queue));
    let given = below.map(|name| quota(queues, name, r).nominal).sum();
    quota(queues, queue, r).nominal.saturating_sub(given)
}

/// The most that a workload can count in its queue.
fn most(workload: &Workload) -> Sum {
    let count = match &workload.request.gpu {
        weft_types::GpuRequest::None | weft_types::GpuRequest::Auto => 0,
        weft_types::GpuRequest::Whole { count, .. } => *count,
        weft_types::GpuRequest::Mig { count, .. } => *count,
        _ => 1,
    };
    let each = [u64::from(count) * 1000, workload.request.cpu.0, workload.request.memory.0];
    each.map(|each| u128::from(each) * u128::from(workload.gang))
}

/// Who waits for what is being handed over, or has just started.
fn served(plan: &Plan, id: WorkloadId) -> bool {
    let verdict = plan.verdicts.get(&id);
    pools::starts(&plan.actions, id)
        || verdict.is_some_and(|verdict| matches!(*verdict.reason, Reason::Handover { .. }))
}

/// Workloads of the world that its queues owe a place at once: with all of the queue that runs on
/// and all that goes before them, they stay within the queue's own share.
fn owed(world: &World) -> Vec<WorkloadId> {
    let mut owed = Vec::new();
    for (name, queue) in &world.snapshot.queues {
        let of_queue = world.snapshot.workloads.values().filter(|it| it.queue == *name);
        let held = of_queue.filter(|it| match &it.state {
            WorkloadState::Running(running) => !running.stopping,
            WorkloadState::Pending(_) => false,
        });
        let mut used: u64 = held.map(|it| u64::from(it.gang) * 1000).sum();
        let mut line: Vec<_> = world.waiting().filter(|(_, it)| it.queue == *name).collect();
        line.sort_by_key(|(id, it)| (promised(it), it.submitted_at, *id));
        for (id, it) in line {
            used += u64::from(it.gang) * 1000;
            if used <= queue.gpu.nominal.0 {
                owed.push(id);
            }
        }
    }
    owed
}

/// Since when others stop for it, which puts it before all others; never where none do.
fn promised(workload: &Workload) -> Timestamp {
    match &workload.state {
        WorkloadState::Pending(pending) => pending.owed.unwrap_or(Timestamp(u64::MAX)),
        WorkloadState::Running(_) => Timestamp(u64::MAX),
    }
}

laws! {
    /// What is lent comes back: planned at once, there when the stops are over. Where a stop for
    /// one team changes the turn of another in the middle of a look, a third may come between.
    fn a_lender_is_served_within_a_stop(
        40, (mut snapshot, now, comers) in stream(team_pool(), team_workload(), 24)
    ) {
        let comers = entitled(&mut snapshot, comers);
        let mut world = World::new(snapshot, now, comers);
        let mut since: BTreeMap<WorkloadId, Timestamp> = BTreeMap::new();
        world.run(|world, plan| {
            let owed = owed(world);
            since.retain(|id, _| owed.contains(id));
            for id in owed {
                let since = *since.entry(id).or_insert(world.now);
                if !served(plan, id) {
                    return Err(world.broken("not planned at once", plan, &id.to_string()));
                }
                if world.now > since.after(GRACE) {
                    return Err(world.broken("not there in time", plan, &id.to_string()));
                }
            }
            Ok(())
        })?;
    }

    /// Whoever others were stopped for starts when they are gone. It does not where one that goes
    /// before it in its queue moves the queue's turn behind a victim's: the promise ends with
    /// the last stop.
    fn no_eviction_is_in_vain(
        40, (snapshot, now, comers) in stream(pools::pool_text(), pools::workload(), 24)
    ) {
        let mut promised = BTreeSet::new();
        World::new(snapshot, now, comers).run(|world, plan| {
            let awaited = world.awaited();
            let waits = |id: &WorkloadId| world.waiting().any(|(other, _)| other == *id);
            for id in promised.iter().filter(|id| waits(id) && !awaited.contains(id)) {
                if !served(plan, *id) {
                    return Err(world.broken("its victims are gone", plan, &id.to_string()));
                }
            }
            promised.retain(|id| waits(id) && awaited.contains(id));
            promised.extend(plan.actions.iter().filter_map(beneficiary));
            Ok(())
        })?;
    }

    /// No stream goes round in circles, one workload stopped for another and started before it;
    /// for the same reason, some do.
    fn streams_end(
        20, (snapshot, now, comers) in stream(team_pool(), team_workload(), 24)
    ) {
        World::new(snapshot, now, comers).run(|_, _| Ok(()))?;
    }

    /// Everything that could run on the empty pool in its queue's own share runs and ends, and the
    /// pool never stands idle before it has.
    fn nothing_starves(
        30, (mut snapshot, now, comers) in stream(pools::pool_text(), pools::workload(), 24)
    ) {
        let comers = entitled(&mut snapshot, comers);
        let ids: Vec<_> = comers.iter().map(|comer| comer.id).collect();
        let mut world = World::new(snapshot, now, comers);
        world.run(|world, plan| {
            let waiting = world.waiting().count();
            let idle = waiting > 0 && waiting == world.snapshot.workloads.len();
            match idle && plan.actions.is_empty() {
                true => Err(world.broken("the pool is idle", plan, "somebody waits")),
                false => Ok(()),
            }
        })?;
        for id in ids {
            prop_assert!(world.ended.contains_key(&id), "{id} never ends");
        }
    }

    /// A gang for which machines have to become empty is not passed for ever by what is small:
    /// once it is the first of its queue, it waits no longer than the longest that runs.
    fn a_large_gang_has_its_turn(12, (snapshot, now, comers, gang) in small_and_large()) {
        let id = WorkloadId(1000);
        let large = parse(&format!("want w1000 a gpu=4 gang={gang}")).expect("a case").snapshot;
        let (at, length) = (now.after(Millis::from_secs(3600)), Millis(1000));
        let large = Comer { id, at, length, workload: large.workloads[&id].clone() };
        let mut world = World::new(snapshot, now, [comers, vec![large]].concat());
        let mut since = None;
        world.run(|world, _| {
            let first = world.waiting().min_by_key(|(id, it)| (it.submitted_at, *id));
            if first.is_some_and(|(first, _)| first == id) {
                since.get_or_insert(world.now);
            }
            Ok(())
        })?;
        let waited = world.started[&id].since(since.unwrap_or(at));
        prop_assert!(waited.0 <= RESERVE_AFTER.0 + LENGTH_MAX.0, "after {waited}");
    }
}

/// Machines of one team, to which small workloads come, and how many machines a large one needs.
fn small_and_large() -> impl Strategy<Value = (Snapshot, Timestamp, Vec<Comer>, u32)> {
    (2..5u32, 1..5u32).prop_flat_map(|(machines, gang)| {
        let text: String = (0..machines).map(|at| format!("node n{at} a100-80 x4\n")).collect();
        let small = (1..4u32).prop_map(|devices| format!("a gpu={devices}"));
        stream(Just(text + "queue a gpu=64\n"), small, 60)
            .prop_map(move |(pool, now, comers)| (pool, now, comers, gang.min(machines)))
    })
}

fn beneficiary(action: &Action) -> Option<WorkloadId> {
    match action {
        Action::Stop { cause, .. } => cause.beneficiary(),
        Action::Start { .. } => None,
    }
}
