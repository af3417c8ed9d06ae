//! Virtual time: requests arrive, stay and leave; a queue is served in order, with skipping.
//!
//! Nothing that waits fits anywhere: whenever a machine changes, those that fit there are placed,
//! the earliest first. Equal requests are a class, of which the first is tried and stands for all.

use super::outcome::{Outcome, Size};
use super::setup::{LIFE, Setup, between, estimate, exponential};
use crate::openb::{Learned, PolicyName, Pool};
use crate::pack::{Class, Devices, Engine, Node, Policy};
use crate::policy::{BestFit, Clustering, DotProduct, Fgd, Packing, Random};
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

/// Runs requests drawn from these through a pool.
///
/// # Panics
///
/// If there is no request that takes a device: no load could be offered.
#[must_use]
pub fn churn(setup: &Setup, pool: &Pool, learned: &Learned, requests: &[Class]) -> Outcome {
    let mut drawn = pool.nodes();
    Rng::new(setup.seed.rotate_left(32)).shuffle(&mut drawn);
    match setup.policy {
        PolicyName::Random => run(setup, Random(Rng::new(!setup.seed)), drawn, requests),
        PolicyName::DotProduct => run(setup, DotProduct, drawn, requests),
        PolicyName::Clustering => run(setup, Clustering, drawn, requests),
        PolicyName::Packing => run(setup, Packing, drawn, requests),
        PolicyName::BestFit => run(setup, BestFit, drawn, requests),
        PolicyName::Fgd => run(setup, Fgd::new(learned.mix().clone()), drawn, requests),
        PolicyName::Weft => run(setup, learned.weft(), pool.nodes(), requests),
    }
}

fn run<P: Policy>(setup: &Setup, inner: P, nodes: Vec<Node>, requests: &[Class]) -> Outcome {
    let between = between(setup.load, &nodes, requests);
    let mut world = World::new(setup, inner, nodes, requests);
    let mut arrives = exponential(&mut world.rng, between);
    for event in 0..setup.events {
        world.counts = event >= setup.warm_up;
        match world.ends.peek() {
            Some(Reverse((end, _))) if *end <= arrives => world.leave(),
            _ => {
                world.pass(arrives);
                world.arrive(requests);
                arrives += exponential(&mut world.rng, between);
            }
        }
    }
    world.finish()
}

/// A request from its arrival on.
#[derive(Debug, Clone, Copy)]
struct Request {
    class: u32,
    counts: bool,
    /// Ticks it stays.
    lasts: u64,
    came: u64,
    place: Option<(u32, Devices)>,
}

struct World<P> {
    setup: Setup,
    rng: Rng,
    now: u64,
    counts: bool,
    engine: Engine<P>,
    classes: Vec<Class>,
    all: Vec<Request>,
    /// By class, in the order of arrival.
    waiting: Vec<VecDeque<u32>>,
    /// The first of each class that waits: its number, its class.
    heads: BTreeSet<(u32, u32)>,
    /// When requests end, and which.
    ends: BinaryHeap<Reverse<(u64, u32)>>,
    /// Thousandths of devices in use.
    used: u64,
    capacity: u64,
    outcome: Outcome,
}

impl<P: Policy> World<P> {
    fn new(setup: &Setup, inner: P, nodes: Vec<Node>, requests: &[Class]) -> Self {
        let mut classes = requests.to_vec();
        classes.sort_unstable();
        classes.dedup();
        Self {
            setup: setup.clone(),
            rng: Rng::new(setup.seed),
            now: 0,
            counts: false,
            capacity: nodes.iter().map(|node| u64::from(node.total())).sum(),
            engine: Engine::new(inner, nodes, &classes),
            waiting: vec![VecDeque::new(); classes.len()],
            classes,
            all: Vec::new(),
            heads: BTreeSet::new(),
            ends: BinaryHeap::new(),
            used: 0,
            outcome: Outcome::default(),
        }
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

    fn arrive(&mut self, requests: &[Class]) {
        let drawn = requests[self.rng.below(requests.len())];
        let class = self.classes.partition_point(|known| *known < drawn) as u32;
        let lasts = exponential(&mut self.rng, LIFE);
        // Drawn as where a planner is told it, so that the same requests come.
        let _ = estimate(&mut self.rng, self.setup.ends, lasts);
        let id = self.all.len() as u32;
        self.all.push(Request { class, counts: self.counts, lasts, came: self.now, place: None });
        self.wait(id);
        if self.waiting[class as usize].len() == 1 {
            self.serve(&[]);
        }
    }

    fn leave(&mut self) {
        let Some(Reverse((end, id))) = self.ends.pop() else { return };
        self.pass(end);
        let it = &mut self.all[id as usize];
        let Some((at, devices)) = it.place.take() else { return };
        let (class, at) = (it.class as usize, at as usize);
        self.engine.release(class, (at, devices));
        self.used -= u64::from(self.classes[class].total());
        self.serve(&[at]);
    }

    fn wait(&mut self, id: u32) {
        let class = self.all[id as usize].class;
        let line = &mut self.waiting[class as usize];
        if line.is_empty() {
            self.heads.insert((id, class));
        }
        line.push_back(id);
    }

    /// Places what waits and fits, the earliest first; where machines are named, only they have
    /// changed since nothing fitted.
    fn serve(&mut self, changed: &[usize]) {
        let mut heads = self.heads.clone();
        while let Some((id, class)) = heads.pop_first() {
            let known = &self.classes[class as usize];
            let nodes = self.engine.nodes();
            let may = changed.is_empty() || changed.iter().any(|at| nodes[*at].fits(known));
            let Some(place) = may.then(|| self.engine.place(class as usize)).flatten() else {
                continue;
            };
            self.heads.remove(&(id, class));
            self.waiting[class as usize].pop_front();
            if let Some(next) = self.waiting[class as usize].front() {
                self.heads.insert((*next, class));
                heads.insert((*next, class));
            }
            self.start(id, place);
        }
    }

    fn start(&mut self, id: u32, (at, devices): (usize, Devices)) {
        let it = &mut self.all[id as usize];
        it.place = Some((at as u32, devices));
        self.ends.push(Reverse((self.now + it.lasts, id)));
        let class = &self.classes[it.class as usize];
        if it.counts {
            self.outcome.waits[Size::of(class) as usize].started.push(self.now - it.came);
        }
        self.outcome.placements += u64::from(self.counts);
        let decision = u64::from(id) << 32 | (at as u64) << 16 | u64::from(devices);
        self.outcome.decisions = Rng::new(self.outcome.decisions ^ decision).bits();
        self.used += u64::from(class.total());
    }

    fn finish(mut self) -> Outcome {
        self.outcome.left_waiting = self.waiting.iter().map(|line| line.len() as u64).sum();
        for id in self.waiting.iter().flatten() {
            let it = &self.all[*id as usize];
            if it.counts {
                let size = Size::of(&self.classes[it.class as usize]) as usize;
                self.outcome.waits[size].waiting.push(self.now - it.came);
            }
        }
        self.outcome.waits.iter_mut().for_each(|waits| waits.started.sort_unstable());
        self.outcome
    }
}
