//! No queue uses beyond its own and what it may borrow, and no group of queues borrows more than
//! its members lend, as far as the plan adds to it.

use super::{Given, running};
use crate::{DeviceMode, Finding, Grant, Placement, Queue, Running, Snapshot};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use weft_types::QueueName;

/// Devices (thousandths), processor (thousandths), memory (bytes).
pub(super) type Sum = [u128; 3];

/// What queues use; each with those below it, and by itself.
#[derive(Default, Clone)]
pub(super) struct Uses {
    below: BTreeMap<QueueName, Sum>,
    alone: BTreeMap<QueueName, Sum>,
}

impl Uses {
    /// What those running workloads use that are asked for.
    pub(super) fn of_running(snapshot: &Snapshot, which: impl Fn(&Running) -> bool) -> Self {
        let mut alone: BTreeMap<&QueueName, Sum> = BTreeMap::new();
        for (_, workload, run) in running(snapshot).filter(|(_, _, run)| which(run)) {
            plus(alone.entry(&workload.queue).or_default(), sum(snapshot, &run.placements));
        }
        let mut uses = Self::default();
        alone.into_iter().for_each(|(queue, sum)| uses.add(queue, sum));
        uses
    }

    pub(super) fn add(&mut self, queue: &QueueName, sum: Sum) {
        plus(self.alone.entry(queue.clone()).or_default(), sum);
        for name in core::iter::successors(Some(queue.clone()), QueueName::parent) {
            plus(self.below.entry(name).or_default(), sum);
        }
    }

    /// The queue gives that much back.
    pub(super) fn give_back(&mut self, queue: &QueueName, sum: Sum) {
        let minus = |used: &mut Sum| (0..3).for_each(|r| used[r] = used[r].saturating_sub(sum[r]));
        self.alone.get_mut(queue).map(minus);
        for name in core::iter::successors(Some(queue.clone()), QueueName::parent) {
            self.below.get_mut(&name).map(minus);
        }
    }

    pub(super) fn of(&self, queue: &QueueName) -> Sum {
        self.below.get(queue).copied().unwrap_or_default()
    }

    pub(super) fn alone(&self, queue: &QueueName) -> Sum {
        self.alone.get(queue).copied().unwrap_or_default()
    }
}

pub(super) fn check(snapshot: &Snapshot, given: &[Given<'_>], found: &mut Vec<Finding>) {
    let before = Uses::of_running(snapshot, |_| true);
    let (mut after, mut touched) = (before.clone(), BTreeSet::new());
    for given in given {
        after.add(&given.workload.queue, sum(snapshot, given.placements));
        touched
            .extend(core::iter::successors(Some(given.workload.queue.clone()), QueueName::parent));
    }
    let parents = parents(snapshot, &after);
    for queue in &touched {
        check_own(snapshot, queue, &before, &after, found);
        check_group(snapshot, &parents, queue, &before, &after, found);
    }
}

/// What placements count in their queue.
pub(super) fn sum(snapshot: &Snapshot, placements: &[Placement]) -> Sum {
    let mut sum = [0; 3];
    for placement in placements {
        let gpu = placement.grants.iter().map(|grant| milli(snapshot, grant)).sum::<u128>();
        plus(&mut sum, [gpu, placement.cpu.0.into(), placement.memory.0.into()]);
    }
    sum
}

fn milli(snapshot: &Snapshot, grant: &Grant) -> u128 {
    match grant {
        Grant::Whole { .. } => 1000,
        Grant::Share { milli, .. } => milli.0.into(),
        Grant::Mig { device, placement } => {
            let node = snapshot.nodes.get(&device.node);
            let known = node.and_then(|node| node.devices.get(&device.index));
            let slices = match known.map(|device| &device.mode) {
                Some(DeviceMode::Mig { compute_slices, .. }) => *compute_slices,
                _ => 7,
            };
            u128::from(placement.profile.slices) * 1000 / u128::from(slices.max(1))
        }
    }
}

fn plus(sum: &mut Sum, part: Sum) {
    (0..3).for_each(|r| sum[r] += part[r]);
}

fn check_own(
    snapshot: &Snapshot,
    queue: &QueueName,
    before: &Uses,
    after: &Uses,
    found: &mut Vec<Finding>,
) {
    let (nominal, borrowing, _) = quota(snapshot.queues.get(queue));
    let (was, is) = (before.of(queue), after.of(queue));
    for r in (0..3).filter(|r| is[*r] > was[*r] && is[*r] > nominal[*r] + borrowing[*r]) {
        let limit = nominal[r] + borrowing[r];
        found.push(over(queue, r, alloc::format!("uses {}, may use {limit}", is[r])));
    }
}

/// What a group's members are named: the queues, and the one above them that keeps a part.
fn check_group(
    snapshot: &Snapshot,
    parents: &BTreeMap<QueueName, Vec<QueueName>>,
    queue: &QueueName,
    before: &Uses,
    after: &Uses,
    found: &mut Vec<Finding>,
) {
    let groups = [
        queue.parent().map(Group::Under).unwrap_or_else(|| Group::Root(queue.clone())),
        Group::Under(queue.clone()),
    ];
    for group in groups {
        let members = group.members(snapshot, parents);
        let (was, is) =
            (group.balance(snapshot, &members, before), group.balance(snapshot, &members, after));
        for r in (0..3).filter(|r| was[*r] != is[*r] && is[*r].0 > is[*r].1) {
            let what =
                alloc::format!("borrows {} with its group, which lends {}", is[r].0, is[r].1);
            found.push(over(queue, r, what));
        }
    }
}

enum Group {
    Root(QueueName),
    Under(QueueName),
}

impl Group {
    fn members(
        &self,
        snapshot: &Snapshot,
        parents: &BTreeMap<QueueName, Vec<QueueName>>,
    ) -> Vec<QueueName> {
        match self {
            Group::Under(parent) => parents.get(parent).cloned().unwrap_or_default(),
            Group::Root(queue) => {
                let cohort = snapshot.queues.get(queue).and_then(|queue| queue.cohort.as_ref());
                let same = |(name, other): &(&QueueName, &Queue)| {
                    name.parent().is_none() && cohort.is_some() && other.cohort.as_ref() == cohort
                };
                let named = snapshot.queues.iter().filter(same).map(|(name, _)| name.clone());
                let members: BTreeSet<_> = named.chain([queue.clone()]).collect();
                members.into_iter().collect()
            }
        }
    }

    /// What is used beyond their own, and what covers it, for each resource.
    fn balance(
        &self,
        snapshot: &Snapshot,
        members: &[QueueName],
        uses: &Uses,
    ) -> [(u128, u128); 3] {
        let mut balance = [(0, 0); 3];
        let mut given = [0; 3];
        for member in members {
            let (nominal, _, lending) = quota(snapshot.queues.get(member));
            let used = uses.of(member);
            plus(&mut given, nominal);
            (0..3).for_each(|r| weigh(&mut balance[r], used[r], nominal[r], lending[r]));
        }
        if let Group::Under(parent) = self
            && !members.is_empty()
        {
            let (nominal, borrowing, _) = quota(snapshot.queues.get(parent));
            let used = uses.alone(parent);
            for r in 0..3 {
                let kept = nominal[r].saturating_sub(given[r]);
                weigh(&mut balance[r], used[r], kept, kept);
                balance[r].1 += borrowing[r];
            }
        }
        balance
    }
}

fn weigh(balance: &mut (u128, u128), used: u128, nominal: u128, lending: u128) {
    balance.0 += used.saturating_sub(nominal);
    balance.1 += nominal.saturating_sub(used).min(lending);
}

/// The queues below each queue, of those that are set or used.
fn parents(snapshot: &Snapshot, uses: &Uses) -> BTreeMap<QueueName, Vec<QueueName>> {
    let waiting = snapshot.workloads.values().map(|workload| workload.queue.clone());
    let named = snapshot.queues.keys().chain(uses.below.keys()).cloned().chain(waiting);
    let all: BTreeSet<QueueName> =
        named.flat_map(|name| core::iter::successors(Some(name), QueueName::parent)).collect();
    let mut parents: BTreeMap<QueueName, Vec<QueueName>> = BTreeMap::new();
    for name in all {
        if let Some(parent) = name.parent() {
            parents.entry(parent).or_default().push(name);
        }
    }
    parents
}

pub(super) fn quota(queue: Option<&Queue>) -> (Sum, Sum, Sum) {
    let Some(queue) = queue else { return Default::default() };
    let (gpu, cpu, memory) = (&queue.gpu, &queue.cpu, &queue.memory);
    (
        [gpu.nominal.0, cpu.nominal.0, memory.nominal.0].map(u128::from),
        [gpu.borrowing.0, cpu.borrowing.0, memory.borrowing.0].map(u128::from),
        [gpu.lending.0, cpu.lending.0, memory.lending.0].map(u128::from),
    )
}

fn over(queue: &QueueName, r: usize, what: alloc::string::String) -> Finding {
    let resource = ["GPU thousandths", "CPU thousandths", "bytes of memory"][r];
    Finding::Over {
        whose: alloc::format!("queue {queue}"),
        what: alloc::format!("{resource}: {what}"),
    }
}
