//! One run: a policy, an order of arrivals, and what is allocated as demand arrives.

use super::planner::plan;
use super::workload::Pool;
use crate::pack::{Class, Engine, Mix, Node, Policy, Pressure, Prices, Terms, Weft, pressure};
use crate::policy::{BestFit, Clustering, DotProduct, Fgd, Packing, Random};
use crate::rng::Rng;
use std::time::{Duration, Instant};

/// Highest arrived demand that is reported, in hundredths of the pool.
const PERCENT_MAX: usize = 200;

/// The policies of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyName {
    /// Any machine.
    Random,
    /// Least like the request.
    DotProduct,
    /// Kinds together.
    Clustering,
    /// Devices in use first.
    Packing,
    /// Least left.
    BestFit,
    /// Fragmentation gradient, with the artifact's rounding and ties.
    Fgd,
    /// Ours.
    Weft,
}

impl PolicyName {
    /// All, as in the published table, ours last.
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::DotProduct,
        Self::Clustering,
        Self::Packing,
        Self::BestFit,
        Self::Fgd,
        Self::Weft,
    ];

    /// How the published results call it; ours has a name of its own.
    #[must_use]
    pub fn published(self) -> &'static str {
        match self {
            Self::Random => "01-Random",
            Self::DotProduct => "02-DotProd",
            Self::Clustering => "03-GpuClustering",
            Self::Packing => "04-GpuPacking",
            Self::BestFit => "05-BestFit",
            Self::Fgd => "06-FGD",
            Self::Weft => "Weft",
        }
    }
}

/// What a list teaches before it is replayed. The experiment does so too: it takes the typical
/// requests from the list it then runs.
#[derive(Debug, Clone)]
pub struct Learned {
    mix: Mix,
    prices: Prices,
    pressure: Pressure,
    requests: Vec<Class>,
    /// Highest allocation that any scheduler could reach, 0 to 1.
    pub bound: f64,
    /// How much each term of our score counts.
    pub terms: Terms,
}

impl Learned {
    /// Of all of a list's requests.
    #[must_use]
    pub fn of(requests: &[Class], pool: &Pool) -> Self {
        let mix = Mix::of(requests);
        let (prices, solution) = Prices::of(requests);
        let pressure = pressure(&mix, &pool.nodes());
        let (requests, bound) = (requests.to_vec(), solution.bound);
        Self { mix, prices, pressure, requests, bound, terms: Terms::default() }
    }

    /// What is usually asked for.
    #[must_use]
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// Our score with what was learned.
    #[must_use]
    pub fn weft(&self) -> Weft {
        Weft::new(self.mix.clone(), self.prices.clone(), self.pressure, self.terms)
    }
}

/// What was allocated when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Result {
    /// Sum of allocated thousandths, and the number of arrivals, by arrived demand in hundredths.
    at: Vec<(u64, u64)>,
    capacity: u64,
    /// Requests without devices: how many arrived, and how many of them found a place. Who drops
    /// them keeps processor for devices: an allocation is worth little without this figure.
    pub without_devices: (u64, u64),
    /// A hash of all decisions in order: equal runs have equal hashes.
    pub decisions: u64,
}

impl Result {
    /// Allocated hundredths of the pool when so many hundredths had been asked for: the mean over
    /// the arrivals that round to it. None where none did.
    #[must_use]
    pub fn allocated(&self, arrived_percent: usize) -> Option<f64> {
        let (sum, count) = *self.at.get(arrived_percent)?;
        (count > 0).then(|| 100.0 * sum as f64 / count as f64 / self.capacity as f64)
    }
}

/// Runs a policy over arrivals. By the seed the baselines get the order of machines in which their
/// ties go to the first, and random its choices; ours depends on neither.
#[must_use]
pub fn run(
    policy: PolicyName,
    pool: &Pool,
    learned: &Learned,
    arrivals: &[Class],
    seed: u64,
) -> Result {
    let mut drawn = pool.nodes();
    Rng::new(seed.rotate_left(32)).shuffle(&mut drawn);
    match policy {
        PolicyName::Random => feed(Random(Rng::new(!seed)), drawn, arrivals),
        PolicyName::DotProduct => feed(DotProduct, drawn, arrivals),
        PolicyName::Clustering => feed(Clustering, drawn, arrivals),
        PolicyName::Packing => feed(Packing, drawn, arrivals),
        PolicyName::BestFit => feed(BestFit, drawn, arrivals),
        PolicyName::Fgd => feed(Fgd::new(learned.mix.clone()), drawn, arrivals),
        PolicyName::Weft => feed(learned.weft(), pool.nodes(), arrivals),
    }
}

/// The same through the production planner, in one plan; and how long that took, in seconds.
///
/// # Errors
///
/// In words, where a machine or request cannot be said to the planner.
pub fn run_planner(
    pool: &Pool,
    learned: &Learned,
    arrivals: &[Class],
) -> std::result::Result<(Result, f64), String> {
    let planned = plan(&pool.nodes(), &learned.requests, arrivals)?;
    let place = |at: usize| {
        let (machine, devices) = (*planned.places.get(at)?)?;
        Some((machine as u64) << 16 | u64::from(devices))
    };
    let result = count(pool.capacity(), arrivals, |at, _| place(at));
    Ok((result, planned.took.as_secs_f64()))
}

fn feed<P: Policy>(policy: P, nodes: Vec<Node>, arrivals: &[Class]) -> Result {
    let mut classes = arrivals.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let capacity = nodes.iter().map(|node| u64::from(node.total())).sum();
    let mut engine = Engine::new(policy, nodes, &classes);
    count(capacity, arrivals, |_, class| {
        let place = engine.place(classes.partition_point(|known| known < class));
        place.map(|(at, devices)| (at as u64) << 16 | u64::from(devices))
    })
}

/// How long each decision of our score takes, in the order of the arrivals.
#[must_use]
pub fn decision_times(pool: &Pool, learned: &Learned, arrivals: &[Class]) -> Vec<Duration> {
    let mut classes = arrivals.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let mut engine = Engine::new(learned.weft(), pool.nodes(), &classes);
    let time = |class: &Class| {
        let began = Instant::now();
        engine.place(classes.partition_point(|known| known < class));
        began.elapsed()
    };
    arrivals.iter().map(time).collect()
}

/// What is allocated as the arrivals are placed, one after the other: a decision in one number, or
/// none.
fn count(
    capacity: u64,
    arrivals: &[Class],
    mut place: impl FnMut(usize, &Class) -> Option<u64>,
) -> Result {
    let mut result = Result {
        at: vec![(0, 0); PERCENT_MAX + 1],
        capacity,
        without_devices: (0, 0),
        decisions: 0,
    };
    let (mut arrived, mut allocated) = (0, 0);
    for (at, class) in arrivals.iter().enumerate() {
        let place = place(at, class);
        if class.devices == 0 {
            result.without_devices.0 += 1;
            result.without_devices.1 += u64::from(place.is_some());
        }
        arrived += u64::from(class.total());
        allocated += place.map_or(0, |_| u64::from(class.total()));
        result.decisions = Rng::new(result.decisions ^ place.unwrap_or(u64::MAX)).bits();
        let percent = ((200 * arrived + capacity) / (2 * capacity)) as usize;
        if let Some((sum, count)) = result.at.get_mut(percent) {
            (*sum, *count) = (*sum + allocated, *count + 1);
        }
    }
    result
}
