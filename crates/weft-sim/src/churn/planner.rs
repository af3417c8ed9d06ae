//! The same arrivals and lifetimes through the production planner, with a clock: it plans every
//! minute, in one queue that owns everything, and learns every ten minutes how many machines large
//! requests usually take, as a server does.

use super::outcome::{Outcome, Size};
use super::setup::{Ends, LIFE, Setup, between, estimate, exponential};
use crate::openb::Pool;
use crate::openb::planner::{pool as snapshot_of, queue_name, request, workload};
use crate::pack::Class;
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use weft_sched::{Action, Asked, Engine, Large, Market, Workload};
use weft_types::{Millis, Phase, QueueName, Timestamp, WorkloadId};

/// Milliseconds of a mean lifetime: ten hours.
const LIFE_MS: u64 = 36_000_000;

/// Ticks from plan to plan: a minute.
const ROUND: u64 = LIFE / 600;

/// Plans from one learning to the next.
const LEARN_EVERY: u64 = 10;

/// Ticks over which demand is averaged: eight mean lifetimes, because demand is itself steady for
/// about one.
const MEMORY: u64 = 8 * LIFE;

/// Runs requests drawn from these through the planner, which keeps machines for large ones or not:
/// it knows what is usually asked for of them only where it is to keep them.
///
/// # Errors
///
/// In words, where a machine or request cannot be said to the planner.
///
/// # Panics
///
/// If there is no request that takes a device: no load could be offered.
pub fn plan_churn(
    setup: &Setup,
    pool: &Pool,
    requests: &[Class],
    keeps: bool,
) -> Result<Outcome, String> {
    let mut world = World::new(setup, pool, requests, keeps)?;
    let between = between(setup.load, &pool.nodes(), requests);
    let mut arrives = exponential(&mut world.rng, between);
    let (mut event, mut round) = (0, 0);
    while event < setup.events {
        round += ROUND;
        loop {
            let end = world.ends.peek().map_or(u64::MAX, |Reverse((end, _))| *end);
            if end.min(arrives) > round {
                break;
            }
            world.counts = event >= setup.warm_up;
            event += 1;
            if end <= arrives {
                world.leave();
            } else {
                world.arrive(arrives, requests);
                arrives += exponential(&mut world.rng, between);
            }
        }
        world.pass(round);
        world.learn();
        world.plan();
    }
    Ok(world.finish())
}

/// A request from its arrival on.
#[derive(Debug, Clone, Copy)]
struct Asks {
    class: Class,
    counts: bool,
    lasts: u64,
    came: u64,
    waits: bool,
}

struct World {
    ends_known: Ends,
    keeps: bool,
    rng: Rng,
    now: u64,
    counts: bool,
    engine: Engine,
    queue: QueueName,
    all: Vec<Asks>,
    /// Those that want a whole machine or so, and when they went.
    large: Vec<(usize, Option<u64>)>,
    /// When what runs ends, and which that is.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    used: u64,
    capacity: u64,
    outcome: Outcome,
}

fn moment(ticks: u64) -> Timestamp {
    Timestamp((u128::from(ticks) * u128::from(LIFE_MS) / u128::from(LIFE)) as u64)
}

impl World {
    fn new(setup: &Setup, pool: &Pool, requests: &[Class], keeps: bool) -> Result<Self, String> {
        let nodes = pool.nodes();
        let mut snapshot = snapshot_of(&nodes)?;
        let asked = requests.iter().map(|class| (request(class), Phase::Training, 1));
        snapshot.market = Market::learn(&snapshot, asked);
        Ok(Self {
            ends_known: setup.ends,
            keeps,
            rng: Rng::new(setup.seed),
            now: 0,
            counts: false,
            engine: Engine::new(snapshot),
            queue: queue_name()?,
            all: Vec::new(),
            large: Vec::new(),
            ends: BinaryHeap::new(),
            used: 0,
            capacity: nodes.iter().map(|node| u64::from(node.total())).sum(),
            outcome: Outcome::default(),
        })
    }

    /// Time passes.
    fn pass(&mut self, now: u64) {
        if self.counts {
            let span = u128::from(now - self.now);
            self.outcome.allocated += u128::from(self.used) * span;
            self.outcome.capacity += u128::from(self.capacity) * span;
        }
        self.now = now;
    }

    fn arrive(&mut self, now: u64, requests: &[Class]) {
        self.pass(now);
        let class = requests[self.rng.below(requests.len())];
        let lasts = exponential(&mut self.rng, LIFE);
        let expected = estimate(&mut self.rng, self.ends_known, lasts);
        let id = self.all.len();
        self.all.push(Asks { class, counts: self.counts, lasts, came: now, waits: true });
        if class.devices > 1 {
            self.large.push((id, None));
        }
        let expected =
            Some(Millis(moment(expected).0)).filter(|_| self.ends_known != Ends::Unknown);
        let asks = Workload { expected, ..workload(&self.queue, &class, moment(now)) };
        self.engine.set(WorkloadId(id as u64), Some(asks));
    }

    fn leave(&mut self) {
        let Some(Reverse((end, id))) = self.ends.pop() else { return };
        self.pass(end);
        self.used -= u64::from(self.all[id].class.total());
        self.engine.set(WorkloadId(id as u64), None);
        let large = self.large.binary_search_by_key(&id, |(id, _)| *id);
        large.into_iter().for_each(|at| self.large[at].1 = Some(end));
    }

    /// How many machines large requests usually take, where that is due.
    fn learn(&mut self) {
        if !self.keeps || !(self.now / ROUND).is_multiple_of(LEARN_EVERY) {
            return;
        }
        let since = moment(self.now.saturating_sub(MEMORY));
        let asked = self.large.iter().map(|(id, gone)| Asked {
            queue: self.queue.clone(),
            request: request(&self.all[*id].class),
            members: 1,
            from: moment(self.all[*id].came),
            until: moment(gone.unwrap_or(self.now)),
        });
        let mut snapshot = (**self.engine.snapshot()).clone();
        snapshot.large = Large::learn(&snapshot, asked, since, moment(self.now));
        self.engine.replace(snapshot);
    }

    fn plan(&mut self) {
        let plan = self.engine.decide(moment(self.now));
        for action in &plan.actions {
            let Action::Start { workload, placements, .. } = action else {
                self.outcome.moves += u64::from(self.counts);
                continue;
            };
            let id = workload.0 as usize;
            let asks = &mut self.all[id];
            let (class, waited) = (asks.class, self.now - asks.came);
            asks.waits = false;
            self.ends.push(Reverse((self.now + asks.lasts, id)));
            self.used += u64::from(class.total());
            if asks.counts {
                self.outcome.waits[Size::of(&class) as usize].started.push(waited);
            }
            self.outcome.placements += u64::from(self.counts);
            let place = placements.iter().flat_map(|placement| placement.node.as_str().bytes());
            let place = place.fold(0, |hash: u64, byte| hash.rotate_left(5) ^ u64::from(byte));
            let decision = workload.0 << 32 ^ place;
            self.outcome.decisions = Rng::new(self.outcome.decisions ^ decision).bits();
        }
        self.engine.commit(&plan, moment(self.now));
    }

    fn finish(mut self) -> Outcome {
        let waits = self.all.iter().filter(|asks| asks.waits);
        self.outcome.left_waiting = waits.clone().count() as u64;
        for asks in waits.filter(|asks| asks.counts) {
            let size = Size::of(&asks.class) as usize;
            self.outcome.waits[size].waiting.push(self.now - asks.came);
        }
        self.outcome.waits.iter_mut().for_each(|waits| waits.started.sort_unstable());
        self.outcome
    }
}
