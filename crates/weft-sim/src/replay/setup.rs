//! What a replay assumes: the pool, the queues, and what is known of a job before it runs.

use crate::rng::Rng;
use crate::trace::Job;
use std::collections::BTreeMap;
use weft_sched::{
    Device, DeviceClass, DeviceMode, Node, Order, Pending, Queue, Quota, Request, Snapshot,
    Workload, WorkloadState,
};
use weft_types::{
    Attempt, Bytes, GpuFilter, GpuRequest, Kind, MilliCpu, MilliGpu, Millis, NodeId, Phase,
    QueueName, ReclaimPolicy, Timestamp,
};

/// Factors by which estimates are wrong, in thousandths: 10 to the power of −1, −0.9, … 1. A table,
/// so that every machine draws the same.
const WRONG_BY: [u64; 21] = [
    100, 126, 158, 200, 251, 316, 398, 501, 631, 794, 1000, 1259, 1585, 1995, 2512, 3162, 3981,
    5012, 6310, 7943, 10_000,
];

/// How the teams of a log share the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teams {
    /// All in one queue that has the whole pool.
    One,
    /// Each its own queue with what it used of the log's device time, lent and borrowed freely.
    Pooled,
    /// The same sizes, and nobody lends.
    Dedicated,
}

/// What a replay assumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Machines.
    pub machines: u32,
    /// Devices of each.
    pub devices: u32,
    /// Who goes first.
    pub order: Order,
    /// How the teams share.
    pub teams: Teams,
    /// What a suspension costs, in time not worked, where a job can be suspended.
    pub suspend: Millis,
    /// Jobs that cannot be suspended, of a hundred.
    pub fixed_percent: u32,
    /// Estimates are wrong by up to ten times; else they are true.
    pub wrong: bool,
    /// What is drawn.
    pub seed: u64,
    /// Submissions and stops are planned for at multiples of this.
    pub round: Millis,
}

impl Setup {
    /// The pool, empty, with its queues.
    pub(super) fn snapshot(&self, jobs: &[Job]) -> Snapshot {
        let class = DeviceClass { name: "gpu".into(), memory: Bytes(16_000_000_000), value: 1 };
        let device = Device { class, healthy: true, mode: DeviceMode::Whole };
        let node = Node {
            schedulable: true,
            cpu: MilliCpu(1_000_000),
            memory: Bytes(1_000_000_000_000),
            disk: Bytes(1_000_000_000_000),
            devices: (0..self.devices).map(|index| (index, device.clone())).collect(),
        };
        let nodes = (0..self.machines)
            .filter_map(|number| Some((NodeId::new(format!("m{number:05}")).ok()?, node.clone())));
        let queues = self.queues(jobs);
        Snapshot { nodes: nodes.collect(), queues, ..Snapshot::default() }
    }

    /// Shares by the device time each team used, at least one machine each; what rounding leaves
    /// goes to the largest.
    fn queues(&self, jobs: &[Job]) -> BTreeMap<QueueName, Queue> {
        let all = u64::from(self.machines) * u64::from(self.devices);
        let mut used: BTreeMap<QueueName, u128> = BTreeMap::new();
        for job in jobs {
            let time = job.duration.unwrap_or_default().0;
            *used.entry(self.queue(job)).or_default() += u128::from(time) * u128::from(job.devices);
        }
        let sum: u128 = used.values().sum::<u128>().max(1);
        let share = |time: u128| u64::try_from(u128::from(all) * time / sum).unwrap_or(all);
        let mut shares: BTreeMap<_, _> =
            used.iter().map(|(name, time)| (name.clone(), share(*time).max(1))).collect();
        let given: u64 = shares.values().sum();
        if let Some(largest) = shares.values_mut().max() {
            *largest = (*largest + all).saturating_sub(given).max(1);
        }
        shares.into_iter().map(|(name, share)| (name, self.share(share, all))).collect()
    }

    fn share(&self, own: u64, all: u64) -> Queue {
        let lent = if self.teams == Teams::Dedicated { 0 } else { 1000 };
        let gpu = Quota {
            nominal: MilliGpu(own * 1000),
            borrowing: MilliGpu((all - own.min(all)) * lent),
            lending: MilliGpu(own * lent),
        };
        let cohort = Some("all".to_owned());
        Queue { cohort, gpu, order: self.order, ..Queue::default() }
    }

    pub(super) fn queue(&self, job: &Job) -> QueueName {
        let name = match self.teams {
            Teams::One => "all",
            Teams::Pooled | Teams::Dedicated => &job.queue,
        };
        QueueName::new(name).unwrap_or_else(|_| QueueName::new("all").expect("a name"))
    }

    /// The job as it is submitted; none where it asks for more devices than there are, or none.
    pub(super) fn workload(&self, job: &Job, rng: &mut Rng) -> Option<Workload> {
        let (gang, count) = members(job.devices, self.devices)?;
        if u64::from(gang) * u64::from(count) > u64::from(self.machines) * u64::from(self.devices) {
            return None;
        }
        let duration = job.duration?;
        let wrong = WRONG_BY[rng.below(WRONG_BY.len())];
        let fixed = rng.below(100) < self.fixed_percent as usize;
        let factor = if self.wrong { wrong } else { 1000 };
        Some(Workload {
            queue: self.queue(job),
            kind: Kind::Job,
            phase: Phase::Training,
            priority: 0,
            submitted_at: job.submit,
            request: Request {
                gpu: GpuRequest::Whole { count, filter: GpuFilter::default() },
                ..Request::default()
            },
            gang,
            reclaim: ReclaimPolicy {
                preemptible: false,
                reclaimable: self.teams == Teams::Pooled && !fixed,
                min_run_ms: Millis::ZERO,
            },
            max_duration: None,
            expected: Some(Millis((duration.0.saturating_mul(factor) / 1000).max(1000))),
            suspend: (!fixed).then_some(self.suspend),
            served: Millis::ZERO,
            state: WorkloadState::Pending(Pending {
                not_before: Timestamp::ZERO,
                since: job.submit,
                next_attempt: Attempt(1),
            }),
        })
    }
}

/// A job's devices as equal members of whole machines or parts of one: as large as divides it.
fn members(devices: u32, of_machine: u32) -> Option<(u32, u32)> {
    let count = (1..=of_machine.min(devices)).rev().find(|count| devices.is_multiple_of(*count))?;
    Some((devices / count, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_equal_and_as_large_as_they_can_be() {
        assert_eq!(members(1, 8), Some((1, 1)));
        assert_eq!(members(8, 8), Some((1, 8)));
        assert_eq!(members(12, 8), Some((2, 6)));
        assert_eq!(members(32, 8), Some((4, 8)));
        assert_eq!(members(11, 8), Some((11, 1)));
        assert_eq!(members(0, 8), None);
    }
}
