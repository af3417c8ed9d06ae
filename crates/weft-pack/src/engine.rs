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
    fn pick(&mut self, scores: &[i64]) -> Option<usize> {
        first_largest(scores)
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
    scores: Vec<i64>,
    /// How much of the log these scores know.
    read: usize,
}

impl<P: Policy> Engine<P> {
    /// With these machines, and these classes, which [`Engine::place`] then names by their place.
    pub fn new(mut policy: P, nodes: Vec<Node>, classes: &[Class]) -> Self {
        nodes.iter().enumerate().for_each(|(at, node)| policy.changed(at, node));
        let cached = |class: &Class| Cached { class: *class, scores: Vec::new(), read: 0 };
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

    /// The policy. What changes its scores of a machine is followed by [`Engine::touch`].
    pub fn policy_mut(&mut self) -> &mut P {
        &mut self.policy
    }

    /// A machine is scored again.
    pub fn touch(&mut self, at: usize) {
        self.log.push(at as u32);
    }

    fn refresh(&mut self, class: usize) {
        let Cached { class, scores, read } = &mut self.classes[class];
        let score = |at: usize| match &self.nodes[at] {
            node if node.fits(class) => self.policy.score(class, at, node),
            _ => NO_ROOM,
        };
        if scores.is_empty() {
            scores.extend((0..self.nodes.len()).map(score));
        } else {
            self.refreshes += 1;
            for at in self.log[*read..].iter().map(|at| *at as usize) {
                if self.stamps[at] != self.refreshes {
                    self.stamps[at] = self.refreshes;
                    scores[at] = score(at);
                }
            }
        }
        *read = self.log.len();
    }
}

/// Two passes, each a plain loop over an array.
fn first_largest(scores: &[i64]) -> Option<usize> {
    let largest = scores.iter().copied().fold(NO_ROOM, i64::max);
    scores.iter().position(|score| *score == largest && largest != NO_ROOM)
}
