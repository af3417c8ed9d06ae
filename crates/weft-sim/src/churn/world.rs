//! Virtual time: requests arrive, stay and leave; a queue is served in order, with skipping.
//!
//! Nothing that waits fits anywhere: whenever a machine changes, those that fit there are placed,
//! the earliest first. Equal requests are a class, of which the first is tried and stands for all.

use super::drain::{Drains, Held, Settings};
use super::guard::Guard;
use super::outcome::{Outcome, Size};
use super::setup::{Ends, LIFE, Setup, estimate, exponential};
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
    let asked: u64 = requests.iter().map(|class| u64::from(class.total())).sum();
    assert!(asked > 0, "no request takes a device");
    let capacity: u64 = nodes.iter().map(|node| u64::from(node.total())).sum();
    let offered = u128::from(setup.load) * u128::from(capacity) * requests.len() as u128;
    let between = (u128::from(LIFE) * u128::from(asked) * 1000 / offered.max(1)) as u64;
    let mut world = World::new(setup, inner, nodes, requests);
    let mut arrives = exponential(&mut world.rng, between);
    for event in 0..setup.events {
        world.counts = event >= setup.warm_up;
        match world.ends.peek() {
            Some(Reverse((end, _, _))) if *end <= arrives => world.leave(),
            _ => {
                world.pass(arrives);
                world.arrive(requests);
                arrives += exponential(&mut world.rng, between);
            }
        }
        world.keep_machines();
    }
    world.finish()
}

/// A request from its arrival on.
#[derive(Debug, Clone, Copy)]
struct Request {
    class: u32,
    counts: bool,
    /// Ticks it stays, and what is thought of that.
    lasts: u64,
    expected: u64,
    /// Ticks it has stayed before it was moved, and how often it was.
    stayed: u64,
    moved: u32,
    /// Since when it stays, or waits to go on.
    since: u64,
    place: Option<(u32, Devices)>,
}

struct World<P> {
    setup: Setup,
    rng: Rng,
    now: u64,
    counts: bool,
    engine: Engine<Guard<P>>,
    classes: Vec<Class>,
    all: Vec<Request>,
    /// By class, in the order of arrival.
    waiting: Vec<VecDeque<u32>>,
    /// The first of each class that waits: its number, its class.
    heads: BTreeSet<(u32, u32)>,
    /// When requests end, which, and how often it had been moved then.
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// What runs on each machine.
    on: Vec<Vec<u32>>,
    /// Thousandths of devices in use.
    used: u64,
    capacity: u64,
    /// Moves that may be made, in thousandths.
    credit: u64,
    /// Large requests that wait, in the order of arrival, and their group.
    large: VecDeque<(u32, usize)>,
    outcome: Outcome,
}

impl<P: Policy> World<P> {
    fn new(setup: &Setup, inner: P, nodes: Vec<Node>, requests: &[Class]) -> Self {
        let mut classes = requests.to_vec();
        classes.sort_unstable();
        classes.dedup();
        let drains = setup.drain.map(|settings| Drains::new(settings, &nodes, &classes));
        Self {
            setup: setup.clone(),
            rng: Rng::new(setup.seed),
            now: 0,
            counts: false,
            on: vec![Vec::new(); nodes.len()],
            capacity: nodes.iter().map(|node| u64::from(node.total())).sum(),
            engine: Engine::new(Guard { inner, drains }, nodes, &classes),
            waiting: vec![VecDeque::new(); classes.len()],
            classes,
            all: Vec::new(),
            heads: BTreeSet::new(),
            ends: BinaryHeap::new(),
            used: 0,
            credit: 0,
            large: VecDeque::new(),
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
        let expected = estimate(&mut self.rng, self.setup.ends, lasts);
        let id = self.all.len() as u32;
        self.all.push(Request {
            class,
            counts: self.counts,
            lasts,
            expected,
            stayed: 0,
            moved: 0,
            since: self.now,
            place: None,
        });
        let now = self.now;
        if let Some((group, drains)) = self.group(class) {
            drains.came(group, now);
            self.large.push_back((id, group));
        }
        self.wait(id);
        if self.waiting[class as usize].len() == 1 {
            self.serve(&[]);
        }
    }

    fn leave(&mut self) {
        let Some(Reverse((end, id, moved))) = self.ends.pop() else { return };
        self.pass(end);
        if self.all[id as usize].moved != moved {
            return;
        }
        let class = self.all[id as usize].class;
        let at = self.vacate(id);
        if let Some((group, drains)) = self.group(class) {
            drains.ended(group, end);
        }
        self.serve(&[at]);
    }

    /// The group of a class, and the drain plans, where it is large and there are any.
    fn group(&mut self, class: u32) -> Option<(usize, &mut Drains)> {
        let drains = self.engine.policy_mut().drains.as_mut()?;
        Some((drains.group(&self.classes[class as usize])?, drains))
    }

    fn wait(&mut self, id: u32) {
        let class = self.all[id as usize].class;
        let line = &mut self.waiting[class as usize];
        // What was moved waits where it arrived, before those that came later.
        let before = line.partition_point(|other| *other < id);
        if before == 0 {
            line.front().map(|head| self.heads.remove(&(*head, class)));
            self.heads.insert((id, class));
        }
        line.insert(before, id);
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
        let waited = self.now - it.since;
        it.place = Some((at as u32, devices));
        it.since = self.now;
        let (class, left) = (it.class, it.lasts - it.stayed);
        self.ends.push(Reverse((self.now + left, id, it.moved)));
        if it.moved > 0 {
            self.outcome.away += waited;
        } else {
            let size = Size::of(&self.classes[class as usize]) as usize;
            if it.counts {
                self.outcome.waits[size].started.push(waited);
            }
            self.outcome.placements += u64::from(self.counts);
            let moves = self.setup.drain.map_or(0, |drain| drain.moves);
            self.credit += moves;
        }
        let decision = u64::from(id) << 32 | (at as u64) << 16 | u64::from(devices);
        self.outcome.decisions = Rng::new(self.outcome.decisions ^ decision).bits();
        self.used += u64::from(self.classes[class as usize].total());
        self.on[at].push(id);
        if let Some((group, drains)) = self.group(class) {
            drains.runs_on(group, at);
            self.engine.touch(at);
            self.large.retain(|(other, _)| *other != id);
        }
    }

    /// Gives back what a request holds; where.
    fn vacate(&mut self, id: u32) -> usize {
        let it = &mut self.all[id as usize];
        let Some((at, devices)) = it.place.take() else { return 0 };
        let (class, at) = (it.class as usize, at as usize);
        self.engine.release(class, (at, devices));
        self.used -= u64::from(self.classes[class].total());
        self.on[at].retain(|other| *other != id);
        if self.on[at].is_empty() {
            if let Some(drains) = &mut self.engine.policy_mut().drains {
                drains.is_empty(at);
            }
            self.engine.touch(at);
        }
        at
    }

    /// What the drain plans say after an event.
    fn keep_machines(&mut self) {
        let Some(mut drains) = self.engine.policy_mut().drains.take() else { return };
        let opened = drains.settle(self.now, |at| self.held(at));
        self.engine.policy_mut().drains = Some(drains);
        if !opened.is_empty() {
            opened.iter().for_each(|at| self.engine.touch(*at));
            self.serve(&opened);
        }
        self.move_for_the_patient();
    }

    /// Suspends what runs on one machine for each large request that has waited long enough, as
    /// far as moves are left.
    fn move_for_the_patient(&mut self) {
        let Some(Settings { patience, .. }) = self.setup.drain else { return };
        for at in 0..self.large.len() {
            let Some((id, group)) = self.large.get(at).copied() else { return };
            let moves = self.credit / 1000;
            if self.now - self.all[id as usize].since < patience || moves == 0 {
                return;
            }
            let Some(mut drains) = self.engine.policy_mut().drains.take() else { return };
            let cleared = drains.to_clear(group, moves, |at| self.held(at));
            if let Some(at) = cleared {
                drains.clear(group, at);
            }
            self.engine.policy_mut().drains = Some(drains);
            if let Some(at) = cleared {
                self.clear(at);
                return;
            }
        }
    }

    fn clear(&mut self, at: usize) {
        let moved = std::mem::take(&mut self.on[at]);
        self.credit -= 1000 * moved.len() as u64;
        self.outcome.moves += moved.len() as u64 * u64::from(self.counts);
        for id in moved {
            self.vacate(id);
            let it = &mut self.all[id as usize];
            it.stayed += self.now - it.since;
            (it.moved, it.since) = (it.moved + 1, self.now);
            self.wait(id);
        }
        self.serve(&[]);
    }

    /// What runs on a machine, as a drain plan sees it.
    fn held(&self, at: usize) -> Vec<Held> {
        let count = self.on[at].len() as u64;
        let mut unknown = 0;
        let held = self.on[at].iter().zip(0..).map(|(id, number)| {
            let it = &self.all[*id as usize];
            let ran = it.stayed + self.now - it.since;
            let milli = self.classes[it.class as usize].total().into();
            // Of so many that end at any moment alike, the first ends after the mean over them.
            unknown += LIFE / (count - number);
            let remaining = match (self.setup.ends, it.expected.saturating_sub(ran)) {
                (Ends::Unknown, _) => unknown,
                // What was thought too short is thought to be half way.
                (_, 0) => ran,
                (_, left) => left,
            };
            Held { milli, remaining }
        });
        held.collect()
    }

    fn finish(mut self) -> Outcome {
        self.outcome.left_waiting = self.waiting.iter().map(|line| line.len() as u64).sum();
        for id in self.waiting.iter().flatten() {
            let it = &self.all[*id as usize];
            if it.counts && it.moved == 0 {
                let size = Size::of(&self.classes[it.class as usize]) as usize;
                self.outcome.waits[size].waiting.push(self.now - it.since);
            }
        }
        self.outcome.waits.iter_mut().for_each(|waits| waits.started.sort_unstable());
        self.outcome
    }
}
