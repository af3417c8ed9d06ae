//! Queues as seats, and which of them share: what `quota.rs` counts on.
//!
//! Made once for a snapshot's queues. A queue with children is a seat and one more below it, for
//! its own workloads. A queue that is not set has zero of everything.

use super::quota::Charge;
use crate::{Order, Quota, Snapshot};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use weft_types::{Isolation, QueueName};

/// A queue, or what a queue with children keeps for its own workloads.
#[derive(Debug)]
pub(crate) struct Seat {
    /// The queue.
    pub(crate) queue: QueueName,
    /// The seat of the queue above.
    pub(crate) parent: Option<u32>,
    /// The group it shares in.
    pub(crate) group: u32,
    /// Its own.
    pub(crate) nominal: Charge,
    /// Beyond its own.
    pub(crate) borrowing: Charge,
    /// Of its own, to others.
    pub(crate) lending: Charge,
    /// What its own workloads have held lately, beside what they hold.
    pub(crate) recent: Charge,
    /// Its own workloads share time.
    pub(crate) shares_time: bool,
    /// What its workloads are kept apart from neighbours by, at least.
    pub(crate) isolation: Isolation,
    /// How much more devices than they are what its own workloads hold is worth (`price.rs`).
    pub(crate) premium: i128,
}

/// The seats, and which one a queue's workloads take.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Queues in the order of their names, then what queues with children keep.
    pub(crate) seats: Vec<Seat>,
    /// What a group may use beyond what its members lend: its parent's borrowing.
    pub(super) extra: Vec<Charge>,
    leaves: BTreeMap<QueueName, u32>,
}

impl Tree {
    /// The tree, and the seat of each workload in the order of ids.
    pub(super) fn new(snapshot: &Snapshot) -> (Self, Vec<u32>) {
        let queues = || snapshot.workloads.values().map(|workload| &workload.queue);
        let names: BTreeSet<QueueName> = snapshot.queues.keys().cloned().collect();
        let tree = Self::over(snapshot, names.clone());
        let seats: Option<Vec<u32>> = queues().map(|queue| tree.leaf(queue)).collect();
        if let Some(seats) = seats {
            return (tree, seats);
        }
        let tree = Self::over(snapshot, names.into_iter().chain(queues().cloned()).collect());
        let seats = queues().filter_map(|queue| tree.leaf(queue)).collect();
        (tree, seats)
    }

    fn over(snapshot: &Snapshot, mut names: BTreeSet<QueueName>) -> Self {
        let above = |name: &QueueName| core::iter::successors(name.parent(), QueueName::parent);
        let missing: Vec<_> = names.iter().flat_map(above).collect();
        names.extend(missing);
        let mut tree = Self::default();
        let mut groups = BTreeMap::new();
        for name in &names {
            tree.add(snapshot, name, &mut groups);
        }
        tree.keep_for_own();
        tree
    }

    fn add<'a>(
        &mut self,
        snapshot: &'a Snapshot,
        name: &'a QueueName,
        groups: &mut BTreeMap<Sharing<'a>, u32>,
    ) {
        let parent = name.parent().and_then(|parent| self.leaves.get(&parent).copied());
        let queue = snapshot.queues.get(name);
        let cohort = queue.and_then(|queue| queue.cohort.as_deref());
        let sharing = match (parent, cohort) {
            (Some(parent), _) => Sharing::Under(parent),
            (None, Some(cohort)) => Sharing::Cohort(cohort),
            (None, None) => Sharing::Alone(name),
        };
        let group = *groups.entry(sharing).or_insert_with(|| {
            let borrowed = parent.map_or([0; 3], |parent| self.seats[parent as usize].borrowing);
            self.extra.push(borrowed);
            self.extra.len() as u32 - 1
        });
        let part = |of: fn(&Quota<u64>) -> u64| queue.map_or([0; 3], |queue| quotas(queue, of));
        self.leaves.insert(name.clone(), self.seats.len() as u32);
        self.seats.push(Seat {
            queue: name.clone(),
            parent,
            group,
            nominal: part(|quota| quota.nominal),
            borrowing: part(|quota| quota.borrowing),
            lending: part(|quota| quota.lending),
            recent: recent(queue),
            shares_time: queue.is_some_and(|queue| queue.order == Order::Service),
            isolation: parent
                .map(|parent| self.seats[parent as usize].isolation)
                .into_iter()
                .chain(queue.map(|queue| queue.isolation))
                .min()
                .unwrap_or_default(),
            premium: 0,
        });
    }

    /// Give every queue with children one more seat below it, for its own workloads.
    fn keep_for_own(&mut self) {
        let mut given: BTreeMap<u32, (u32, Charge)> = BTreeMap::new();
        for seat in &self.seats {
            let Some(parent) = seat.parent else { continue };
            let (_, sum) = given.entry(parent).or_insert((seat.group, [0; 3]));
            (0..3).for_each(|r| sum[r] += seat.nominal[r]);
        }
        for (parent, (group, sum)) in given {
            let above = &self.seats[parent as usize];
            let kept = [0, 1, 2].map(|r| above.nominal[r].saturating_sub(sum[r]));
            let (queue, recent) = (above.queue.clone(), above.recent);
            let shares_time = above.shares_time;
            self.leaves.insert(queue.clone(), self.seats.len() as u32);
            self.seats.push(Seat {
                queue,
                parent: Some(parent),
                group,
                nominal: kept,
                // What it may use beyond is bounded by the queue itself, one level up.
                borrowing: [u128::from(u64::MAX); 3],
                lending: kept,
                recent,
                shares_time,
                isolation: above.isolation,
                premium: 0,
            });
        }
    }

    /// What queues have held lately moves on while the shares stay.
    pub(crate) fn tell_recent(&mut self, snapshot: &Snapshot) {
        for seat in &mut self.seats {
            let queue = snapshot.queues.get(&seat.queue);
            seat.recent = recent(queue);
        }
    }

    /// Of what a queue keeps for its own workloads: how much more than it has it gave to children.
    pub(super) fn given_beyond(&self, at: u32, r: usize) -> u128 {
        let seat = &self.seats[at as usize];
        let Some(above) = seat.parent.map(|parent| &self.seats[parent as usize]) else { return 0 };
        if above.queue != seat.queue {
            return 0;
        }
        let children = self.seats.iter().filter(|it| it.parent == seat.parent);
        let given = children.filter(|it| it.queue != seat.queue).map(|it| it.nominal[r]);
        given.sum::<u128>().saturating_sub(above.nominal[r])
    }

    /// The seat that workloads of the queue take.
    pub(crate) fn leaf(&self, queue: &QueueName) -> Option<u32> {
        self.leaves.get(queue).copied()
    }

    /// The seat and those above it.
    pub(crate) fn path(&self, seat: u32) -> impl Iterator<Item = u32> + '_ {
        core::iter::successors(Some(seat), |seat| self.seats[*seat as usize].parent)
    }

    /// Where two seats' paths meet in one group: the seats there; none where they share nothing.
    pub(crate) fn meet(&self, one: u32, other: u32) -> Option<(u32, u32)> {
        let group = |seat: u32| self.seats[seat as usize].group;
        self.path(one).find_map(|a| {
            let b = self.path(other).find(|b| group(*b) == group(a))?;
            (a != b).then_some((a, b))
        })
    }
}

/// What makes queues a group.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sharing<'a> {
    Alone(&'a QueueName),
    Cohort(&'a str),
    Under(u32),
}

fn recent(queue: Option<&crate::Queue>) -> Charge {
    [queue.map_or(0, |queue| queue.recent.0.into()), 0, 0]
}

fn quotas(queue: &crate::Queue, of: fn(&Quota<u64>) -> u64) -> Charge {
    let plain = |nominal, borrowing, lending| of(&Quota { nominal, borrowing, lending });
    let (gpu, cpu, memory) = (&queue.gpu, &queue.cpu, &queue.memory);
    [
        plain(gpu.nominal.0, gpu.borrowing.0, gpu.lending.0),
        plain(cpu.nominal.0, cpu.borrowing.0, cpu.lending.0),
        plain(memory.nominal.0, memory.borrowing.0, memory.lending.0),
    ]
    .map(u128::from)
}
