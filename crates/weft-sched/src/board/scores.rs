//! Scores of each class on each machine, kept while the pool changes under them.
//!
//! A start changes one machine, so all other scores still hold: the best machine is found by
//! looking through numbers, and only machines that changed since are scored again. Every state of a
//! machine has a version of its own, which undoing brings back, so that a kept score can be late
//! but never wrong, and what was tried in vain costs nothing later.

use super::class::Class;
use super::fit::Score;
use super::pool::{Pool, View};
use alloc::vec::Vec;

/// Most classes whose scores are kept: thrice 16 bytes on each of a thousand machines make 24 MB.
const KEPT_MAX: u32 = 512;

/// The score of a machine on which the class does not fit.
const NEVER: Score = u64::MAX;

/// Scores of one class.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scores {
    scores: Vec<Score>,
    /// The versions they were made on.
    versions: Vec<u64>,
    /// How many of the pool's changes were seen.
    seen: usize,
    /// The lowest score and the first machine that has it; none when it has to be looked for.
    best: Option<(Score, u32)>,
}

impl Scores {
    /// Which machines changed is not told any more: all versions are compared next time.
    pub(crate) fn look_at_all(&mut self) {
        self.seen = usize::MAX;
    }

    /// A machine has this score now.
    fn set(&mut self, node: u32, score: Score) {
        self.scores[node as usize] = score;
        self.best = match self.best {
            Some(best) if (score, node) <= best => Some((score, node)),
            // The best one is not the best any more, as far as it knows.
            Some((_, at)) if at == node => None,
            best => best,
        };
    }

    /// The first machine with the lowest score; none where the class fits nowhere.
    fn best(&mut self) -> Option<u32> {
        let look = || {
            let least = self.scores.iter().copied().min()?;
            let node = self.scores.iter().position(|score| *score == least)?;
            Some((least, node as u32))
        };
        self.best = self.best.or_else(look);
        self.best.filter(|(score, _)| *score != NEVER).map(|(_, node)| node)
    }
}

impl Pool {
    /// The best machine for one member of the class: of the preferred ones, if one of them holds
    /// it, else of all.
    pub(crate) fn best(&mut self, class: &Class, view: View) -> Option<u32> {
        let preferred = self.preferred.iter().copied();
        let best = self.best_among(preferred, class, view);
        best.or_else(|| self.best_of_all(class, view))
    }

    /// Forget the scores of this class and all after it.
    pub(crate) fn forget_scores(&mut self, number: u32) {
        self.kept.iter_mut().for_each(|kept| kept.truncate(number as usize));
    }

    fn best_of_all(&mut self, class: &Class, view: View) -> Option<u32> {
        let (number, side) = (class.number as usize, view as usize);
        if class.number >= KEPT_MAX {
            return self.best_among(0..self.machines.len() as u32, class, view);
        }
        if self.kept[side].len() <= number {
            self.kept[side].resize(number + 1, Scores::default());
        }
        let mut scores = core::mem::take(&mut self.kept[side][number]);
        self.refresh(&mut scores, class, view);
        let best = scores.best();
        let all = 0..self.machines.len() as u32;
        debug_assert_eq!(best, self.best_among(all, class, view), "a kept score is late");
        self.kept[side][number] = scores;
        best
    }

    fn refresh(&mut self, scores: &mut Scores, class: &Class, view: View) {
        let nodes = self.machines.len();
        if scores.scores.is_empty() {
            scores.scores.resize(nodes, NEVER);
            // No machine has this version yet.
            scores.versions.resize(nodes, u64::MAX);
            scores.seen = usize::MAX;
        }
        match self.changed.len().checked_sub(scores.seen) {
            Some(changed) if changed < nodes => {
                for at in scores.seen..self.changed.len() {
                    self.score_again(scores, self.changed[at], class, view);
                }
            }
            _ => {
                for node in 0..nodes as u32 {
                    self.score_again(scores, node, class, view);
                }
            }
        }
        scores.seen = self.changed.len();
        self.seen = scores.seen;
    }

    fn score_again(&mut self, scores: &mut Scores, node: u32, class: &Class, view: View) {
        let version = self.versions[node as usize];
        if scores.versions[node as usize] != version {
            scores.versions[node as usize] = version;
            self.see(node, view);
            scores.set(node, self.score(node, class, view).unwrap_or(NEVER));
        }
    }
}
