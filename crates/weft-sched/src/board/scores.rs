//! Scores of each class on each machine, kept while the pool changes under them.
//!
//! A start changes one machine, so all other scores still hold: the best machine is found by
//! looking through numbers, and only machines that changed since are scored again. Every state of a
//! machine has a version of its own, which undoing brings back, so that a kept score can be late
//! but never wrong. What was tried and undone is told to nobody but those who looked meanwhile.

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
    /// How many of the changes told were seen; more than there can be: all have to be looked for.
    seen: usize,
    /// Machines that were seen as they were before something was undone.
    undone: Vec<u32>,
    /// Whether it is among those who are told of what is undone.
    listed: bool,
    /// The lowest score and the first machine that has it; none when it has to be looked for.
    best: Option<(Score, u32)>,
}

/// Machines in the order in which they changed, as far as that was not undone.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    nodes: Vec<u32>,
    /// How many of them somebody has looked at.
    seen: usize,
    /// Whose scores may be those after some of them: its view and its class.
    lookers: Vec<(u8, u32)>,
}

impl Changed {
    /// A machine changed: where in the list that is, and whether it is told there first.
    pub(super) fn tell(&mut self, node: u32) -> (usize, bool) {
        let told = self.nodes.len();
        // A change right after another of the same machine, which nobody has seen, is one change.
        if told > self.seen && self.nodes.last() == Some(&node) {
            return (told - 1, false);
        }
        self.nodes.push(node);
        (told, true)
    }

    /// The scores of a class are now those after all that was told.
    fn look(&mut self, scores: &mut Scores, view: View, class: u32) {
        self.seen = self.nodes.len();
        scores.seen = self.seen;
        if !core::mem::replace(&mut scores.listed, true) {
            self.lookers.push((view as u8, class));
        }
    }

    /// A change and all after it are undone: told only to those who saw some of it.
    pub(super) fn cut(&mut self, (told, first): (usize, bool), kept: &mut [Vec<Scores>; 3]) {
        if self.seen > told {
            self.seen = told;
            for (view, class) in &self.lookers {
                if let Some(scores) = kept[usize::from(*view)].get_mut(*class as usize) {
                    scores.undo(told, &self.nodes);
                }
            }
        }
        self.nodes.truncate(told + usize::from(!first));
    }

    /// Nothing told so far will be undone. What would be too much to go through is forgotten.
    pub(super) fn keep(&mut self, nodes: usize, kept: &mut [Vec<Scores>; 3]) {
        self.lookers.clear();
        kept.iter_mut().flatten().for_each(|scores| scores.listed = false);
        if self.nodes.len() > nodes {
            self.nodes.clear();
            self.seen = 0;
            kept.iter_mut().flatten().for_each(Scores::look_at_all);
        }
    }
}

impl Scores {
    /// Which machines changed is not told any more: all versions are compared next time.
    fn look_at_all(&mut self) {
        self.seen = usize::MAX;
        self.undone.clear();
    }

    /// All changes but the first so many are undone.
    fn undo(&mut self, told: usize, nodes: &[u32]) {
        let seen = if self.seen == usize::MAX { told } else { self.seen };
        if seen > told {
            self.seen = told;
            self.undone.extend_from_slice(&nodes[told..seen]);
        }
        if self.undone.len() > self.scores.len() {
            self.look_at_all();
        }
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
        let told = self.changed.nodes.len();
        match told.checked_sub(scores.seen) {
            Some(changed) if changed + scores.undone.len() < nodes => {
                for at in scores.seen..told {
                    self.score_again(scores, self.changed.nodes[at], class, view);
                }
                while let Some(node) = scores.undone.pop() {
                    self.score_again(scores, node, class, view);
                }
            }
            _ => {
                for node in 0..nodes as u32 {
                    self.score_again(scores, node, class, view);
                }
                scores.undone.clear();
            }
        }
        self.changed.look(scores, view, class.number);
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
