//! All that a report says, as data: its JSON is this, and its pages are made from nothing else.

use super::figures::{Claims, Figures, Spread};
use super::policy::Policy;
use serde::Serialize;
use std::collections::BTreeMap;

/// What the JSON is called. A field that is added leaves it as it is; one that is removed or
/// changes its meaning raises the number. Times are in milliseconds unless a name says otherwise,
/// moments in milliseconds since 1970 or since the log's own origin.
pub const SCHEMA: &str = "weft.simulate/1";

/// All that a report says.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Version of the program.
    pub version: String,
    /// The command that finds this again.
    pub command: String,
    /// What the log has.
    pub trace: TraceFacts,
    /// The machines, as `--machines` takes them.
    pub cluster: String,
    /// Their devices.
    pub devices: u64,
    /// What was assumed.
    pub assumed: Assumed,
    /// The policies that were compared, in the order asked for, then those beside them.
    pub runs: Vec<Ran>,
    /// How many of [`Findings::runs`] were asked for; the first is compared with the last of them.
    pub asked: usize,
    /// Each team under each policy that was asked for.
    pub teams: Vec<Group>,
    /// Each size of job, likewise.
    pub sizes: Vec<SizeGroup>,
    /// Jobs that end later under the last policy than under the first, by how much: the most.
    pub later: Vec<Later>,
    /// How many of the compared jobs end more than [`Findings::LATER_MIN_MS`] later, and earlier.
    pub ends_later: usize,
    /// Likewise earlier.
    pub ends_earlier: usize,
    /// The smallest pool that is no worse than each policy with dedicated machines.
    pub fewer: Vec<Fewer>,
    /// How the last policy does where an assumption does not hold.
    pub sensitivity: Vec<Sensitivity>,
    /// The waits that the log itself has, where it says when jobs started.
    pub logged_wait: Option<Spread>,
    /// Mean share of devices active while they ran, in percent, where the log has it.
    pub logged_active_percent: Option<u64>,
    /// Where it was left early.
    pub interrupted: bool,
    /// How far it came then, and what is missing.
    pub left: Option<Left>,
}

/// How far a study came that was left early.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The last submission that is compared.
    pub until: u64,
    /// Jobs submitted by then.
    pub jobs: usize,
    /// Those of them that had not ended under every policy: in no comparison.
    pub not_ended: usize,
    /// Likewise under each policy, in the order asked for: who has many of them is shown too well.
    pub not_ended_by: Vec<usize>,
    /// Jobs submitted later: in no comparison.
    pub not_reached: usize,
    /// What else was not done, in words.
    pub not_done: Vec<String>,
}

impl Findings {
    /// A job ends later, or earlier, if it is by more than this: five minutes.
    pub const LATER_MIN_MS: u64 = 300_000;
}

/// What a log has.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TraceFacts {
    /// Its file, as it was named.
    pub file: String,
    /// Its format.
    pub format: String,
    /// FNV-1a, 64 bits, of its bytes.
    pub hash: String,
    /// Jobs in it.
    pub jobs: usize,
    /// Lines that are no jobs of their own.
    pub passed_over: usize,
    /// Jobs that ask for no accelerator: not simulated.
    pub without_devices: usize,
    /// Jobs of which it does not say how long they ran: not simulated.
    pub without_duration: usize,
    /// Jobs that may only use models of accelerator that no machine has: not simulated.
    pub without_model: usize,
    /// Jobs that the machines, empty, do not hold: not simulated.
    pub too_large: usize,
    /// Jobs that some policy asked for can never run, such as one larger than its team's machines:
    /// run where they can be, and in no comparison.
    pub not_everywhere: usize,
    /// Jobs that are compared: they end under every policy asked for.
    pub compared: usize,
    /// Teams with jobs.
    pub teams: usize,
    /// The first submission.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Device time of the jobs simulated, in device-milliseconds.
    pub device_time: u128,
    /// Whether it says who submitted.
    pub has_users: bool,
    /// Whether it says when jobs started.
    pub has_starts: bool,
    /// Whether its times have a date, or count from an origin of their own.
    pub has_dates: bool,
    /// Whether jobs name models of accelerators.
    pub has_models: bool,
}

/// What was assumed of all runs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Assumed {
    /// Decisions are made at multiples of this in the runs asked for.
    pub round: u64,
    /// And in those beside them.
    pub side_round: u64,
    /// Mean time between failures of a machine, and how long it is away.
    pub failures: Option<(u64, u64)>,
    /// What is drawn.
    pub seed: u64,
}

/// What came of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct Ran {
    /// The policy.
    pub policy: Policy,
    /// What it is compared for, where it was not asked for.
    pub beside: Option<String>,
    /// Devices of each team.
    pub sizes: BTreeMap<String, u64>,
    /// The figures over the compared jobs that ended in it.
    pub figures: Figures,
    /// The worst team's mean slowdown over the best's, among those with 300 jobs and more, in
    /// thousandths.
    pub team_ratio_milli: Option<u64>,
    /// What became of claims on what is guaranteed; for a pool.
    pub claims: Option<Claims>,
    /// Stops of one team's job for another's.
    pub reclaims: u64,
    /// Machines that failed, and the work they destroyed in device-milliseconds.
    pub failures: u64,
    /// Likewise.
    pub destroyed: u128,
    /// Device time used beyond teams' own, in device-milliseconds.
    pub borrowed: u128,
    /// Mean devices in use over equal parts of the time, in thousandths.
    pub used_milli: Vec<u64>,
    /// How long each part is.
    pub used_step: u64,
    /// Where the first part begins.
    pub used_from: u64,
    /// Mean devices in use from the first submission to the last, in thousandths.
    pub used_mean_milli: u64,
    /// The last end.
    pub last_end: u64,
    /// How often the planner was asked.
    pub plans: u64,
    /// A hash of all decisions.
    pub decisions: String,
    /// Jobs that had not ended where it was left early.
    pub open: usize,
}

/// A team under each policy that was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// The team, by the log's name.
    pub team: String,
    /// Its compared jobs.
    pub jobs: usize,
    /// Its largest job.
    pub largest: u64,
    /// Its device time, in device-milliseconds.
    pub device_time: u128,
    /// Figures, in the order of the policies.
    pub figures: Vec<Figures>,
}

/// Jobs of one size under each policy that was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct SizeGroup {
    /// Least devices.
    pub least: u32,
    /// Most.
    pub most: u32,
    /// Compared jobs.
    pub jobs: usize,
    /// Figures, in the order of the policies.
    pub figures: Vec<Figures>,
}

/// A job that ends later.
#[derive(Debug, Clone, Serialize)]
pub struct Later {
    /// Its name in the log.
    pub name: String,
    /// Its team.
    pub team: String,
    /// Its devices.
    pub devices: u32,
    /// How long it works.
    pub duration: u64,
    /// From submission to end under the first policy.
    pub first: u64,
    /// And under the last.
    pub last: u64,
    /// How often it was suspended there.
    pub suspensions: u32,
}

/// The smallest pool that is no worse.
#[derive(Debug, Clone, Serialize)]
pub struct Fewer {
    /// Than which run.
    pub than: String,
    /// Its machines.
    pub machines: usize,
    /// Its devices.
    pub devices: u64,
    /// What was tried: machines, devices, mean wait, p95 wait, mean completion; none where a run
    /// was left because it was worse already.
    pub tried: Vec<(usize, u64, Option<[u64; 3]>)>,
}

/// How the last policy does under another assumption.
#[derive(Debug, Clone, Serialize)]
pub struct Sensitivity {
    /// `suspendable` (percent) or `give-back` (milliseconds).
    pub what: &'static str,
    /// Its value.
    pub value: u64,
    /// Whether this is what was assumed.
    pub assumed: bool,
    /// Waits.
    pub wait: Spread,
    /// Completion times.
    pub completion: Spread,
    /// Claims, with the bound raised to the time a device takes to be given back.
    pub claims: Claims,
    /// Suspensions.
    pub suspensions: u64,
}
