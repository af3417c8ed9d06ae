//! The rules of shares, said once more as plainly as they can be: sums over names, made anew for
//! every question.
//!
//! `docs/design/planner.md` states them. The planner keeps running sums of the same and the audit
//! judges whole plans; neither shares a line with this file. Used by the exhaustive proof of
//! shares and by the search for the best plan.

use std::collections::BTreeMap;
use weft_sched::{Queue, Snapshot, WorkloadState, gpu_milli};
use weft_types::QueueName;

/// Thousandths of devices, thousandths of processor, bytes.
pub(crate) type Sum = [u128; 3];
/// What each queue's own workloads use.
pub(crate) type Used = BTreeMap<QueueName, Sum>;
type Queues = BTreeMap<QueueName, Queue>;

/// What each queue's own running workloads use.
pub(crate) fn used(snapshot: &Snapshot) -> Used {
    let mut used = Used::new();
    for workload in snapshot.workloads.values() {
        let WorkloadState::Running(running) = &workload.state else { continue };
        let sum = used.entry(workload.queue.clone()).or_default();
        for placement in &running.placements {
            let gpu = placement.grants.iter().map(|grant| gpu_milli(snapshot, grant).0);
            add(sum, [gpu.sum(), placement.cpu.0, placement.memory.0].map(u128::from));
        }
    }
    used
}

/// Whether the rules refuse one more charge in a queue: in a resource that it needs, a queue on
/// the way up would use more than its own and what it may borrow, or a group would change and then
/// use more beyond its own than others of it lend.
pub(crate) fn refused(queues: &Queues, used: &Used, queue: &QueueName, charge: Sum) -> bool {
    let mut after = used.clone();
    add(after.entry(queue.clone()).or_default(), charge);
    let path: Vec<_> = std::iter::successors(Some(queue.clone()), QueueName::parent).collect();
    (0..3).filter(|r| charge[*r] > 0).any(|r| {
        let beyond = |name: &QueueName| {
            let quota = quota(queues, name, r);
            total(&after, name)[r] > quota.nominal + quota.borrowing
        };
        let unbalanced = |group: &Group| {
            let (was, is) = (group.balance(queues, used, r), group.balance(queues, &after, r));
            was != is && is.0 > is.1
        };
        path.iter().any(beyond) || path.iter().flat_map(groups).any(|group| unbalanced(&group))
    })
}

/// What a queue uses with those below it.
pub(crate) fn total(used: &Used, queue: &QueueName) -> Sum {
    let mut sum = [0; 3];
    let below = |name: &QueueName| {
        std::iter::successors(Some(name.clone()), QueueName::parent).any(|name| name == *queue)
    };
    used.iter().filter(|(name, _)| below(name)).for_each(|(_, part)| add(&mut sum, *part));
    sum
}

/// A queue's quota of one resource.
pub(crate) struct Amounts {
    pub(crate) nominal: u128,
    pub(crate) borrowing: u128,
    pub(crate) lending: u128,
}

/// Nothing for a queue that is not set.
pub(crate) fn quota(queues: &Queues, name: &QueueName, r: usize) -> Amounts {
    let amounts = queues.get(name).map(|queue| match r {
        0 => [queue.gpu.nominal.0, queue.gpu.borrowing.0, queue.gpu.lending.0],
        1 => [queue.cpu.nominal.0, queue.cpu.borrowing.0, queue.cpu.lending.0],
        _ => [queue.memory.nominal.0, queue.memory.borrowing.0, queue.memory.lending.0],
    });
    let [nominal, borrowing, lending] = amounts.unwrap_or_default().map(u128::from);
    Amounts { nominal, borrowing, lending }
}

/// Queues that lend to one another.
enum Group {
    /// The children of a queue, and what it keeps for its own workloads.
    Under(QueueName),
    /// The roots of the cohort that this root is in.
    Roots(QueueName),
}

/// The groups in which a queue's use counts: with its equals, and with its children.
fn groups(name: &QueueName) -> [Group; 2] {
    let among = name.parent().map_or_else(|| Group::Roots(name.clone()), Group::Under);
    [among, Group::Under(name.clone())]
}

impl Group {
    /// What is used beyond their own, and what covers it.
    fn balance(&self, queues: &Queues, used: &Used, r: usize) -> (u128, u128) {
        let (mut over, mut cover) = (0, 0);
        let mut weigh = |used: u128, nominal: u128, lending: u128| {
            over += used.saturating_sub(nominal);
            cover += nominal.saturating_sub(used).min(lending);
        };
        let members: Vec<_> = queues.keys().filter(|name| self.holds(queues, name)).collect();
        let mut given = 0;
        for member in &members {
            let quota = quota(queues, member, r);
            given += quota.nominal;
            weigh(total(used, member)[r], quota.nominal, quota.lending);
        }
        if let Group::Under(parent) = self
            && !members.is_empty()
        {
            let quota = quota(queues, parent, r);
            let kept = quota.nominal.saturating_sub(given);
            weigh(used.get(parent).copied().unwrap_or_default()[r], kept, kept);
            cover += quota.borrowing;
        }
        (over, cover)
    }

    fn holds(&self, queues: &Queues, name: &QueueName) -> bool {
        match self {
            Group::Under(parent) => name.parent().as_ref() == Some(parent),
            Group::Roots(root) => {
                let cohort = |name| queues.get(name).and_then(|queue| queue.cohort.clone());
                let same = cohort(name).is_some() && cohort(name) == cohort(root);
                name.parent().is_none() && (name == root || same)
            }
        }
    }
}

pub(crate) fn add(sum: &mut Sum, part: Sum) {
    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
}
