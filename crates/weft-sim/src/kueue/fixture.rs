//! The fixture, and what is published of it.

use std::collections::BTreeMap;
use weft_sched::{Node, Pending, Queue, Quota, Request, Snapshot, Workload, WorkloadState};
use weft_types::{
    Attempt, Bytes, GpuRequest, Kind, MilliCpu, Millis, NodeId, Phase, QueueName, ReclaimPolicy,
    Timestamp, WorkloadId,
};

/// The three classes of workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassName {
    /// One unit.
    Small,
    /// Five units.
    Medium,
    /// Twenty units: a queue's whole share.
    Large,
}

/// Equal workloads of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What it is called.
    pub class: ClassName,
    /// How many.
    pub count: u32,
    /// Units of each.
    pub units: u32,
    /// How long each runs.
    pub runs: Millis,
    /// Between two of them.
    pub every: Millis,
    /// Higher goes first.
    pub priority: i32,
}

/// What is submitted where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    /// Cohorts.
    pub cohorts: u32,
    /// Queues of each.
    pub queues: u32,
    /// Units that are each queue's own.
    pub nominal: u32,
    /// Units it may borrow.
    pub borrowing: u32,
    /// What is submitted to each queue.
    pub sorts: Vec<Sort>,
}

/// What is published of the fixture: the means of five runs in the comments of `rangespec.yaml`
/// beside it (commit 056cce0); an earlier version of the file has 16.5 s for large.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// Wall time until all have run.
    pub makespan: Millis,
    /// Mean time to admission, small, medium, large.
    pub admission: [Millis; 3],
}

impl Published {
    /// Of the baseline.
    pub const BASELINE: Self = Self {
        makespan: Millis(351_116),
        admission: [Millis(215_468), Millis(76_768), Millis(6_666)],
    };
}

impl Fixture {
    /// The published one.
    #[must_use]
    pub fn baseline() -> Self {
        let sort = |class, count, units, runs, every, priority| Sort {
            class,
            count,
            units,
            runs: Millis(runs),
            every: Millis(every),
            priority,
        };
        Self {
            cohorts: 5,
            queues: 6,
            nominal: 20,
            borrowing: 100,
            sorts: vec![
                sort(ClassName::Small, 350, 1, 200, 100, 50),
                sort(ClassName::Medium, 100, 5, 500, 500, 100),
                sort(ClassName::Large, 50, 20, 1000, 1200, 200),
            ],
        }
    }

    /// The least time in which all can run: the work of a cohort over its units. No scheduler
    /// takes less.
    #[must_use]
    pub fn bound(&self) -> Millis {
        let work = |sort: &Sort| u64::from(sort.count) * u64::from(sort.units) * sort.runs.0;
        let work: u64 = self.sorts.iter().map(work).sum();
        Millis(work.div_ceil(u64::from(self.nominal.max(1))))
    }

    /// One machine with all units as cores, as Kueue has a quota and no machines; its queues.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let cores = |units: u32| MilliCpu(u64::from(units) * 1000);
        let node = Node {
            schedulable: true,
            cpu: cores(self.cohorts * self.queues * self.nominal),
            memory: Bytes(0),
            disk: Bytes(0),
            devices: BTreeMap::new(),
        };
        let quota = Quota {
            nominal: cores(self.nominal),
            borrowing: cores(self.borrowing),
            lending: cores(self.nominal),
        };
        let names = (0..self.cohorts).flat_map(|c| (0..self.queues).map(move |q| (c, q)));
        let queues = names.filter_map(|(c, q)| {
            let cohort = Some(format!("cohort-{c}"));
            Some((queue(c, q)?, Queue { cohort, cpu: quota, ..Queue::default() }))
        });
        Snapshot {
            nodes: NodeId::new("units").ok().into_iter().map(|name| (name, node.clone())).collect(),
            queues: queues.collect(),
            ..Snapshot::default()
        }
    }

    /// Every workload with its sort, in the order of submission; of those submitted together the
    /// sorts in turn, then the queues.
    #[must_use]
    pub fn workloads(&self) -> Vec<(WorkloadId, Sort, Workload)> {
        let mut all = Vec::new();
        for cohort in 0..self.cohorts {
            for number in 0..self.queues {
                let Some(queue) = queue(cohort, number) else { continue };
                for sort in &self.sorts {
                    let each = (0..u64::from(sort.count)).map(|at| Timestamp(at * sort.every.0));
                    all.extend(each.map(|at| (at, *sort, queue.clone())));
                }
            }
        }
        all.sort_by_key(|(at, sort, _)| (*at, sort.class));
        let numbered = (1..).zip(all);
        let workload =
            |(id, (at, sort, queue))| (WorkloadId(id), sort, submitted(at, &sort, queue));
        numbered.map(workload).collect()
    }
}

fn queue(cohort: u32, number: u32) -> Option<QueueName> {
    QueueName::new(format!("cohort-{cohort}-queue-{number}")).ok()
}

/// Both may be taken from it: by a higher priority of its queue, and by an owner of what it
/// borrowed, whatever the priorities (`withinClusterQueue: LowerPriority`,
/// `reclaimWithinCohort: Any`).
fn submitted(at: Timestamp, sort: &Sort, queue: QueueName) -> Workload {
    Workload {
        queue,
        kind: Kind::Job,
        phase: Phase::Training,
        priority: sort.priority,
        submitted_at: at,
        request: Request {
            cpu: MilliCpu(u64::from(sort.units) * 1000),
            gpu: GpuRequest::None,
            ..Request::default()
        },
        gang: 1,
        gang_most: 0,
        reclaim: ReclaimPolicy { preemptible: true, reclaimable: true, min_run_ms: Millis::ZERO },
        max_duration: None,
        expected: Some(sort.runs),
        suspend: None,
        served: Millis::ZERO,
        state: WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: at,
            owed: None,
            next_attempt: Attempt(1),
        }),
    }
}
