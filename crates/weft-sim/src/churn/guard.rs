//! A packing policy that keeps small requests off the machines of a drain plan.

use super::drain::Drains;
use crate::pack::{Class, Devices, NO_ROOM, Node, Policy, Scores};

/// What a kept machine is worth to a request for which it is kept, over all other machines.
const KEPT: i64 = i64::MAX / 4;

/// A policy, and what is kept for whom.
#[derive(Debug)]
pub(super) struct Guard<P> {
    pub(super) inner: P,
    pub(super) drains: Option<Drains>,
}

impl<P: Policy> Policy for Guard<P> {
    fn score(&self, class: &Class, at: usize, node: &Node) -> i64 {
        let Some(drains) = &self.drains else { return self.inner.score(class, at, node) };
        match drains.admits(class, at) {
            None => NO_ROOM,
            Some(false) => self.inner.score(class, at, node),
            Some(true) => self.inner.score(class, at, node).saturating_add(KEPT),
        }
    }

    fn devices(&mut self, class: &Class, at: usize, node: &Node) -> Devices {
        self.inner.devices(class, at, node)
    }

    fn changed(&mut self, at: usize, node: &Node) {
        self.inner.changed(at, node);
    }

    fn pick(&mut self, scores: &Scores) -> Option<usize> {
        self.inner.pick(scores)
    }
}
