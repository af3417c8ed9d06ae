//! Places requests one by one, with each class's scores kept and only what changed scored again.
//!
//! A placement changes one machine. So each class remembers how far in the log of changes it has
//! read; before a decision it scores again what has changed since, and takes the largest. The
//! scores are what a scan of all machines would give: a test holds the two together.

use crate::node::{Class, Devices, Node};
use alloc::vec::Vec;

/// A rule that scores machines.
pub trait Policy {
    /// How good it is to put this class on this machine, which has room for it; higher is better.
    /// [`NO_ROOM`] refuses.
    fn score(&self, class: &Class, at: usize, node: &Node) -> i64;

    /// Which of the machine's devices it then takes.
    fn devices(&mut self, class: &Class, at: usize, node: &Node) -> Devices;

    /// Told of each machine at the start, and whenever one has changed.
    fn changed(&mut self, _at: usize, _node: &Node) {}

    /// Chooses among the scores; [`NO_ROOM`] marks machines without room. Unless it says
    /// otherwise the largest, and the first of equals.
    fn pick(&mut self, scores: &Scores) -> Option<usize> {
        scores.first_largest()
    }
}

/// The score of a machine without room.
pub const NO_ROOM: i64 = i64::MIN;

/// Machines, a policy, and each class's scores of them.
///
/// Ties go to the machine that comes first, so the order of `nodes` is part of the input: callers
/// that want decisions independent of it sort by something of the machines' own.
#[derive(Debug)]
pub struct Engine<P> {
    policy: P,
    nodes: Vec<Node>,
    classes: Vec<Cached>,
    /// Every machine that changed, in order.
    log: Vec<u32>,
    /// For each machine the refresh that last scored it again.
    stamps: Vec<u32>,
    refreshes: u32,
}

/// A class and what it knows.
#[derive(Debug)]
struct Cached {
    class: Class,
    /// One for each machine; empty until the class is first asked for.
    scores: Scores,
    /// How much of the log these scores know.
    read: usize,
}

impl<P: Policy> Engine<P> {
    /// With these machines, and these classes, which [`Engine::place`] then names by their place.
    pub fn new(mut policy: P, nodes: Vec<Node>, classes: &[Class]) -> Self {
        nodes.iter().enumerate().for_each(|(at, node)| policy.changed(at, node));
        let cached = |class: &Class| Cached { class: *class, scores: Scores::default(), read: 0 };
        Self {
            classes: classes.iter().map(cached).collect(),
            stamps: alloc::vec![0; nodes.len()],
            log: Vec::new(),
            refreshes: 0,
            policy,
            nodes,
        }
    }

    /// The machines as they are now.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Puts a request of a class somewhere: on which machine and devices; none if it fits nowhere.
    pub fn place(&mut self, class: usize) -> Option<(usize, Devices)> {
        self.refresh(class);
        let Cached { class, scores, .. } = &self.classes[class];
        let at = self.policy.pick(scores)?;
        let devices = self.policy.devices(class, at, &self.nodes[at]);
        self.nodes[at].take(class, devices);
        self.policy.changed(at, &self.nodes[at]);
        self.log.push(at as u32);
        Some((at, devices))
    }

    /// Gives back what a request of a class took there.
    pub fn release(&mut self, class: usize, (at, devices): (usize, Devices)) {
        self.nodes[at].give(&self.classes[class].class, devices);
        self.policy.changed(at, &self.nodes[at]);
        self.log.push(at as u32);
    }

    fn refresh(&mut self, class: usize) {
        let Cached { class, scores, read } = &mut self.classes[class];
        let score = |at: usize| match &self.nodes[at] {
            node if node.fits(class) => self.policy.score(class, at, node),
            _ => NO_ROOM,
        };
        if scores.all.is_empty() {
            *scores = Scores::of((0..self.nodes.len()).map(score).collect());
        } else {
            self.refreshes += 1;
            for at in self.log[*read..].iter().map(|at| *at as usize) {
                if self.stamps[at] != self.refreshes {
                    self.stamps[at] = self.refreshes;
                    scores.set(at, score(at));
                }
            }
        }
        *read = self.log.len();
    }
}

/// Scores of which the largest is known together: looking through a thousand machines is then
/// looking through some twenty runs, and once through one.
const RUN: usize = 64;

/// A class's scores, one for each machine.
#[derive(Debug, Default)]
pub struct Scores {
    all: Vec<i64>,
    /// The largest of each [`RUN`].
    largest: Vec<i64>,
}

impl Scores {
    fn of(all: Vec<i64>) -> Self {
        let largest = all.chunks(RUN).map(largest).collect();
        Self { all, largest }
    }

    /// One for each machine, in their order.
    #[must_use]
    pub fn all(&self) -> &[i64] {
        &self.all
    }

    /// The first machine with the largest score; none where none has room.
    #[must_use]
    pub fn first_largest(&self) -> Option<usize> {
        let most = largest(&self.largest);
        let run = self.largest.iter().position(|one| *one == most && most != NO_ROOM)? * RUN;
        self.all[run..].iter().position(|one| *one == most).map(|at| run + at)
    }

    fn set(&mut self, at: usize, score: i64) {
        let (before, run) = (core::mem::replace(&mut self.all[at], score), at / RUN);
        if score >= self.largest[run] {
            self.largest[run] = score;
        } else if before == self.largest[run] {
            let end = self.all.len().min((run + 1) * RUN);
            self.largest[run] = largest(&self.all[run * RUN..end]);
        }
    }
}

fn largest(scores: &[i64]) -> i64 {
    scores.iter().copied().fold(NO_ROOM, i64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_largest_is_that_of_a_scan() {
        // Numerical Recipes' generator: any will do.
        let mut state = 1_u32;
        let mut below = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for machines in [1, 64, 65, 300] {
            let mut scores = Scores::of(alloc::vec![NO_ROOM; machines as usize]);
            assert_eq!(scores.first_largest(), None);
            for _ in 0..2_000 {
                // Few scores, so that equals are the rule.
                let score = if below(3) == 0 { NO_ROOM } else { i64::from(below(5)) - 2 };
                scores.set(below(machines) as usize, score);
                let largest = scores.all().iter().copied().max().filter(|most| *most != NO_ROOM);
                let first = largest.and_then(|most| scores.all().iter().position(|it| *it == most));
                assert_eq!(scores.first_largest(), first);
            }
        }
    }
}
