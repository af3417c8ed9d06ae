//! Scores of each class on each machine, kept while the pool changes under them.
//!
//! A start changes one machine, so all other scores still hold: the best machine is found by
//! looking through numbers, and only machines that changed since are scored again. (The notes'
//! prototype makes 198,000 decisions a second this way.) Every change counts up its machine's
//! version, undone or not, so a kept score can be late but never wrong.

use super::class::Class;
use super::fit::Score;
use super::pool::{Pool, View};
use alloc::vec::Vec;

/// Most classes whose scores are kept: twice 28 bytes on each of a thousand machines make 28 MB.
const KEPT_MAX: u32 = 512;

/// The score of a machine on which the class does not fit.
const NEVER: Score = u128::MAX;

/// Scores of one class.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scores {
    scores: Vec<Score>,
    /// The versions they were made on.
    versions: Vec<u32>,
    /// How many of the pool's changes were seen.
    seen: usize,
}

impl Pool {
    /// The best machine for one member of the class.
    pub(crate) fn best(&mut self, class: &Class, view: View) -> Option<u32> {
        let side = match view {
            View::Start => 0,
            View::Later => 1,
            View::Now => return self.best_of_all(class, view),
        };
        if class.number >= KEPT_MAX || !self.preferred.is_empty() {
            return self.best_of_all(class, view);
        }
        let number = class.number as usize;
        if self.kept[side].len() <= number {
            self.kept[side].resize(number + 1, Scores::default());
        }
        let mut scores = core::mem::take(&mut self.kept[side][number]);
        self.refresh(&mut scores, class, view);
        let least = scores.scores.iter().copied().min().filter(|score| *score != NEVER);
        let best = least.and_then(|least| scores.scores.iter().position(|score| *score == least));
        let best = best.map(|node| node as u32);
        debug_assert_eq!(best, self.best_of_all(class, view), "a kept score is late");
        self.kept[side][number] = scores;
        best
    }

    fn refresh(&self, scores: &mut Scores, class: &Class, view: View) {
        let nodes = self.machines.len();
        if scores.scores.is_empty() {
            scores.scores.resize(nodes, NEVER);
            // No machine has this version yet.
            scores.versions.resize(nodes, u32::MAX);
            scores.seen = usize::MAX;
        }
        let mut again = |node: u32| {
            let version = self.versions[node as usize];
            if scores.versions[node as usize] != version {
                scores.versions[node as usize] = version;
                let score = self.score(node, class, view);
                scores.scores[node as usize] = score.unwrap_or(NEVER);
            }
        };
        match self.changed.get(scores.seen..) {
            Some(changed) if changed.len() < nodes => changed.iter().copied().for_each(&mut again),
            _ => (0..nodes as u32).for_each(&mut again),
        }
        scores.seen = self.changed.len();
    }
}
