//! What a run assumes: the pool, the teams' shares, what a suspension costs, and what is known of
//! a job before it runs.

use super::Failures;
use crate::rng::Rng;
use crate::trace::{Job, Machine};
use std::collections::BTreeMap;
use weft_sched::{
    Device, DeviceClass, DeviceMode, GANG_MAX, Node, Order, Pending, Queue, Quota, Request,
    Snapshot, Workload, WorkloadState,
};
use weft_types::{
    Attempt, Bytes, GpuFilter, GpuRequest, Isolation, Kind, MilliCpu, MilliGpu, Millis, NodeId,
    Phase, QueueName, ReclaimPolicy, Timestamp,
};

/// Factors by which estimates are wrong, in thousandths: 10 to the power of −1, −0.9, … 1. A table,
/// so that every machine draws the same.
const WRONG_BY: [u64; 21] = [
    100, 126, 158, 200, 251, 316, 398, 501, 631, 794, 1000, 1259, 1585, 1995, 2512, 3162, 3981,
    5012, 6310, 7943, 10_000,
];

/// Least time that a job is expected to take.
const EXPECTED_MIN: u64 = 1000;

/// What a run assumes.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The machines; an empty model serves every job.
    pub machines: Vec<Machine>,
    /// The teams, by the log's names, and what each has.
    pub teams: BTreeMap<String, TeamShare>,
    /// Who goes first.
    pub order: Order,
    /// What a suspension costs in all, in time not worked, where a job can be suspended.
    pub suspend: Millis,
    /// Of that, how long the job still holds its devices after it was told to stop.
    pub stop: Millis,
    /// Submissions and ends are planned for at multiples of this; zero plans at each of them.
    pub round: Millis,
    /// When machines fail.
    pub failures: Option<Failures>,
    /// What failures are drawn from.
    pub seed: u64,
}

/// What a team has of the pool, in devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TeamShare {
    /// Its own: guaranteed.
    pub own: u64,
    /// What it may use beyond that while others leave it free.
    pub borrows: u64,
    /// What of its own others may use while it does not.
    pub lends: u64,
}

/// A job, and what was drawn for it: the same in every run that is compared.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its estimate over the truth, in thousandths.
    pub estimate: u64,
    /// A number below 100: it cannot be suspended where that share of jobs is larger.
    pub rigid: u32,
    /// Whether it can be suspended.
    pub suspendable: bool,
}

/// Why a job cannot run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lacks {
    /// It asks for no accelerator.
    Devices,
    /// The log does not say how long it ran.
    Duration,
    /// No machine has a model of accelerator that it may use.
    Model,
    /// The machines, empty, do not hold it.
    Room,
    /// Its team may never use that many devices.
    Share,
}

/// Draws for each job, in the order of the log: `fixed_percent` of them cannot be suspended, and
/// estimates are wrong by up to ten times if `wrong`.
#[must_use]
pub fn draw(jobs: &[Job], fixed_percent: u32, wrong: bool, seed: u64) -> Vec<Case<'_>> {
    let mut rng = Rng::new(seed);
    let case = |job| {
        let factor = WRONG_BY[rng.below(WRONG_BY.len())];
        let rigid = rng.below(100) as u32;
        let estimate = if wrong { factor } else { 1000 };
        Case { job, estimate, rigid, suspendable: rigid >= fixed_percent }
    };
    jobs.iter().map(case).collect()
}

impl Scenario {
    /// Devices of all machines.
    #[must_use]
    pub fn devices(&self) -> u64 {
        self.machines.iter().map(|machine| u64::from(machine.devices)).sum()
    }

    /// Whether a team lends: then what it lends must be given back.
    fn shares(&self) -> bool {
        self.teams.values().any(|team| team.lends > 0)
    }

    /// The pool, empty, with its queues; their names are the teams' places in order, since a log
    /// may call a team what no queue can be called.
    pub(super) fn snapshot(&self) -> Snapshot {
        let nodes = self.machines.iter().zip(0..);
        let nodes = nodes.filter_map(|(machine, at)| Some((node_id(at)?, node(machine))));
        let queues = (0..).zip(self.teams.values());
        let queues = queues.filter_map(|(at, share)| Some((queue_name(at)?, self.queue(share))));
        Snapshot { nodes: nodes.collect(), queues: queues.collect(), ..Snapshot::default() }
    }

    fn queue(&self, share: &TeamShare) -> Queue {
        let gpu = Quota {
            nominal: MilliGpu(share.own * 1000),
            borrowing: MilliGpu(share.borrows * 1000),
            lending: MilliGpu(share.lends * 1000),
        };
        Queue { cohort: Some("all".to_owned()), gpu, order: self.order, ..Queue::default() }
    }

    /// Who can run here, and as what.
    #[must_use]
    pub fn admission(&self) -> Admission<'_> {
        let mut shapes: BTreeMap<(u32, String), u64> = BTreeMap::new();
        for machine in &self.machines {
            *shapes.entry((machine.devices, machine.model.to_ascii_lowercase())).or_default() += 1;
        }
        let shape = |((devices, model), count)| Shape { devices, model, count };
        Admission { scenario: self, shapes: shapes.into_iter().map(shape).collect() }
    }
}

/// Machines that are alike.
#[derive(Debug)]
struct Shape {
    devices: u32,
    /// In small letters.
    model: String,
    count: u64,
}

/// Who can run in a scenario, and as what.
#[derive(Debug)]
pub struct Admission<'s> {
    scenario: &'s Scenario,
    shapes: Vec<Shape>,
}

impl Admission<'_> {
    /// Why a job could never run here.
    ///
    /// # Errors
    ///
    /// That is the answer.
    pub fn admits(&self, job: &Job) -> Result<(), Lacks> {
        self.members(job).map(|_| ())
    }

    /// A job's devices as equal members, each on one machine, as large as the empty pool holds.
    fn members(&self, job: &Job) -> Result<(u32, u32), Lacks> {
        if job.devices == 0 {
            return Err(Lacks::Devices);
        }
        job.duration.ok_or(Lacks::Duration)?;
        let team = self.scenario.teams.get(&job.queue).copied().unwrap_or_default();
        let milli = if job.devices == 1 { job.milli.0.clamp(1, 1000) } else { 1000 };
        if u64::from(job.devices) * milli > (team.own + team.borrows) * 1000 {
            return Err(Lacks::Share);
        }
        let shapes: Vec<&Shape> = self.shapes.iter().filter(|shape| serves(job, shape)).collect();
        let largest = shapes.iter().map(|shape| shape.devices).max().ok_or(Lacks::Model)?;
        let on = |shape: &&Shape, count: u32| u64::from(shape.devices / count) * shape.count;
        let places = |count: u32| shapes.iter().map(|shape| on(shape, count)).sum::<u64>();
        let fits = |count: &u32| {
            let gang = job.devices / count;
            job.devices.is_multiple_of(*count) && gang <= GANG_MAX && places(*count) >= gang.into()
        };
        let count = (1..=largest.min(job.devices)).rev().find(fits).ok_or(Lacks::Room)?;
        Ok((job.devices / count, count))
    }

    /// What the machines that it may use are called in the planner; none where it names none.
    fn names(&self, job: &Job) -> Vec<String> {
        if job.models.is_empty() {
            return Vec::new();
        }
        let served = self.shapes.iter().filter(|shape| serves(job, shape));
        let mut names: Vec<String> = served.map(|shape| class_name(&shape.model)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The job as it is submitted.
    ///
    /// # Errors
    ///
    /// If it could never run.
    pub(super) fn workload(&self, case: &Case<'_>) -> Result<Workload, Lacks> {
        let job = case.job;
        let (gang, count) = self.members(job)?;
        let scenario = self.scenario;
        let seat = scenario.teams.range::<String, _>(..&job.queue).count();
        let filter = GpuFilter { names: self.names(job), ..GpuFilter::default() };
        let gpu = match job.milli.0 {
            milli @ 1..1000 if job.devices == 1 => {
                GpuRequest::Share { milli: MilliGpu(milli), filter }
            }
            _ => GpuRequest::Whole { count, filter },
        };
        let duration = job.duration.unwrap_or_default();
        let expected = duration.0.saturating_mul(case.estimate) / 1000;
        Ok(Workload {
            queue: queue_name(seat).ok_or(Lacks::Share)?,
            kind: Kind::Job,
            phase: Phase::Training,
            priority: 0,
            submitted_at: job.submit,
            request: Request { gpu, ..Request::default() },
            gang,
            gang_most: 0,
            reclaim: ReclaimPolicy {
                preemptible: false,
                reclaimable: scenario.shares() && case.suspendable,
                min_run_ms: Millis::ZERO,
            },
            max_duration: None,
            expected: Some(Millis(expected.max(EXPECTED_MIN))),
            suspend: case.suspendable.then_some(scenario.suspend),
            served: Millis::ZERO,
            state: WorkloadState::Pending(Pending {
                not_before: Timestamp::ZERO,
                since: job.submit,
                owed: None,
                next_attempt: Attempt(1),
            }),
        })
    }
}

/// Whether it may use these machines; what has no name serves all.
fn serves(job: &Job, shape: &Shape) -> bool {
    let named = || job.models.iter().any(|model| same_model(model, &shape.model));
    shape.model.is_empty() || job.models.is_empty() || named()
}

/// Whether a log and a list of machines mean the same model: `nvidia_a100_80gb_pcie` is an `A100`,
/// and `V100M16` is no `V100`. The words of one are all among the words of the other.
fn same_model(a: &str, b: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect()
    };
    let (a, b) = (words(a), words(b));
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    !few.is_empty() && few.iter().all(|word| many.contains(word))
}

/// Milli-devices a job holds while it runs.
pub(super) fn milli(job: &Job) -> u64 {
    let each = if job.devices == 1 { job.milli.0.clamp(1, 1000) } else { 1000 };
    u64::from(job.devices) * each
}

/// A machine's place in the order of the list as its name.
pub(super) fn node_id(at: usize) -> Option<NodeId> {
    NodeId::new(format!("m{at:05}")).ok()
}

fn queue_name(at: usize) -> Option<QueueName> {
    QueueName::new(format!("t{at:05}")).ok()
}

fn class_name(model: &str) -> String {
    match model {
        "" => "gpu".to_owned(),
        model => model.to_ascii_lowercase(),
    }
}

/// Processor and memory are not what is simulated: there is plenty.
fn node(machine: &Machine) -> Node {
    let name = class_name(&machine.model);
    let class = DeviceClass { name, memory: Bytes(16_000_000_000), value: 1 };
    let device =
        Device { class, healthy: true, mode: DeviceMode::Whole, share: Some(Isolation::Shared) };
    Node {
        schedulable: true,
        cpu: MilliCpu(1_000_000),
        memory: Bytes(1_000_000_000_000),
        disk: Bytes(1_000_000_000_000),
        devices: (0..machine.devices).map(|index| (index, device.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(devices: u32, machines: &[u32]) -> Option<(u32, u32)> {
        let machine = |devices: &u32| Machine { devices: *devices, ..Machine::default() };
        let own = machines.iter().map(|devices| u64::from(*devices)).sum();
        let scenario = Scenario {
            machines: machines.iter().map(machine).collect(),
            teams: BTreeMap::from([(String::new(), TeamShare { own, borrows: 0, lends: 0 })]),
            order: Order::Submission,
            suspend: Millis::ZERO,
            stop: Millis::ZERO,
            round: Millis::ZERO,
            failures: None,
            seed: 1,
        };
        let job =
            Job { devices, milli: MilliGpu(1000), duration: Some(Millis(1)), ..Job::default() };
        scenario.admission().members(&job).ok()
    }

    #[test]
    fn members_are_equal_and_as_large_as_they_can_be() {
        assert_eq!(members(1, &[8]), Some((1, 1)));
        assert_eq!(members(8, &[8]), Some((1, 8)));
        assert_eq!(members(12, &[8, 8]), Some((2, 6)));
        assert_eq!(members(32, &[8; 4]), Some((4, 8)));
        assert_eq!(members(11, &[8, 8]), Some((11, 1)));
        assert_eq!(members(0, &[8]), None);
        assert_eq!(members(9, &[8]), None);
    }

    #[test]
    fn a_model_may_be_named_with_its_maker_and_size() {
        assert!(same_model("nvidia_a100_80gb_pcie", "A100") && same_model("a100", "A100-80"));
        assert!(same_model("V100M16", "v100m16") && same_model("Tesla V100", "v100"));
        assert!(!same_model("V100M16", "V100") && !same_model("a100", "h100"));
        assert!(!same_model("", "h100") && !same_model("a100-40gb", "A100-80GB"));
    }

    #[test]
    fn members_follow_the_machines_there_are() {
        // Twelve on eight and four: not two of six, but three of four.
        assert_eq!(members(12, &[8, 4]), Some((3, 4)));
        assert_eq!(members(8, &[4, 4]), Some((2, 4)));
    }
}
