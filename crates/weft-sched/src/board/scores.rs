//! Scores of each class on each machine, kept while the pool changes under them.
//!
//! A start changes one machine, so all other scores still hold: the best machine is found by
//! looking through numbers, and only machines that changed since are scored again. Every state of a
//! machine has a fingerprint, its version, which comes back with the state, so that a kept score
//! can be late but never wrong. What was tried and undone is told to nobody but those who looked
//! meanwhile.

use super::class::Class;
use super::fit::Score;
use super::pool::{Pool, View};
use alloc::vec::Vec;

/// Most classes whose scores are kept: four times 16 bytes on each of a thousand machines
/// make 32 MB.
const KEPT_MAX: u32 = 512;

/// Machines whose versions are compared at once, and of which the lowest score is known.
const COMPARED: usize = 16;
/// So many machines are compared in runs in the time in which one is looked at by itself.
const COMPARED_FOR_ONE: usize = 4;

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
    /// The lowest score of each run of [`COMPARED`] machines.
    lowest: Vec<Score>,
}

/// What is kept of each class: how well it fits now, later and for a start, and what is lacking.
pub(super) type Kept = [Vec<Scores>; VIEWS + 1];

/// Views of a machine.
const VIEWS: usize = 3;

/// What a machine lacks to hold one more member: least is nearest.
pub(crate) type Lacks = fn(&Pool, u32, &Class) -> u64;

/// What is asked of a machine.
#[derive(Debug, Clone, Copy)]
enum Figure {
    Fit(View),
    Lack(Lacks),
}

impl Figure {
    /// Where it is kept.
    fn table(self) -> usize {
        match self {
            Figure::Fit(view) => view as usize,
            Figure::Lack(_) => VIEWS,
        }
    }
}

/// Machines in the order in which they changed, as far as that was not undone.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    nodes: Vec<u32>,
    /// How many of them somebody has looked at.
    seen: usize,
    /// Whose scores may be those after some of them: their table and class.
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
    fn look(&mut self, scores: &mut Scores, table: usize, class: u32) {
        self.seen = self.nodes.len();
        scores.seen = self.seen;
        if !core::mem::replace(&mut scores.listed, true) {
            self.lookers.push((table as u8, class));
        }
    }

    /// A change and all after it are undone: told only to those who saw some of it.
    pub(super) fn cut(&mut self, (told, first): (usize, bool), kept: &mut Kept) {
        if self.seen > told {
            self.seen = told;
            for (table, class) in &self.lookers {
                if let Some(scores) = kept[usize::from(*table)].get_mut(*class as usize) {
                    scores.undo(told, &self.nodes);
                }
            }
        }
        self.nodes.truncate(told + usize::from(!first));
    }

    /// Nothing told so far will be undone. What would be too much to go through is forgotten.
    pub(super) fn keep(&mut self, nodes: usize, kept: &mut Kept) {
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

    /// Of so many machines, none of which was scored yet.
    fn begin(&mut self, nodes: usize) {
        self.scores.resize(nodes, NEVER);
        self.lowest.resize(nodes.div_ceil(COMPARED), NEVER);
        // No machine has this version.
        self.versions.resize(nodes, u64::MAX);
        self.seen = usize::MAX;
    }

    /// A machine has this score now.
    fn set(&mut self, node: u32, score: Score) {
        let before = core::mem::replace(&mut self.scores[node as usize], score);
        let run = node as usize / COMPARED;
        if score <= self.lowest[run] {
            self.lowest[run] = score;
        } else if before == self.lowest[run] {
            self.lowest[run] = self.run(run).iter().copied().min().unwrap_or(NEVER);
        }
    }

    /// The first machine with the lowest score; none where the class fits nowhere.
    fn best(&self) -> Option<u32> {
        let lowest = self.lowest.iter().copied().min().filter(|score| *score != NEVER)?;
        let run = self.lowest.iter().position(|score| *score == lowest)?;
        let at = self.run(run).iter().position(|score| *score == lowest)?;
        Some((run * COMPARED + at) as u32)
    }

    fn run(&self, run: usize) -> &[Score] {
        let first = run * COMPARED;
        &self.scores[first..(first + COMPARED).min(self.scores.len())]
    }
}

impl Pool {
    /// The best machine for one member of the class: of the preferred ones, if one of them holds
    /// it, else of all.
    pub(crate) fn best(&mut self, class: &Class, view: View) -> Option<u32> {
        let preferred = self.preferred.iter().copied();
        if let Some(best) = self.best_among(preferred, class, view) {
            return Some(best);
        }
        self.best_of_all(class, view).map(|best| self.nearer(best, class, view))
    }

    /// Forget the scores of this class and all after it.
    pub(crate) fn forget_scores(&mut self, number: u32) {
        self.kept.iter_mut().for_each(|kept| kept.truncate(number as usize));
    }

    fn best_of_all(&mut self, class: &Class, view: View) -> Option<u32> {
        self.least(class, Figure::Fit(view))
    }

    /// The machine that is the nearest to holding one more member now, by this measure of what it
    /// lacks.
    pub(crate) fn nearest(&mut self, class: &Class, lacks: Lacks) -> Option<u32> {
        self.least(class, Figure::Lack(lacks))
    }

    /// The first machine for which the figure is least; none where it is [`NEVER`] on all.
    fn least(&mut self, class: &Class, figure: Figure) -> Option<u32> {
        let (number, table) = (class.number as usize, figure.table());
        if class.number >= KEPT_MAX {
            return self.least_of_all(class, figure);
        }
        if self.kept[table].len() <= number {
            self.kept[table].resize(number + 1, Scores::default());
        }
        let mut scores = core::mem::take(&mut self.kept[table][number]);
        self.refresh(&mut scores, class, figure);
        let least = scores.best();
        debug_assert_eq!(least, self.least_of_all(class, figure), "a kept score is late");
        self.kept[table][number] = scores;
        least
    }

    fn least_of_all(&self, class: &Class, figure: Figure) -> Option<u32> {
        let nodes = 0..self.machines.len() as u32;
        let figures = nodes.map(|node| (self.figure(node, class, figure), node));
        figures.filter(|(figure, _)| *figure != NEVER).min().map(|(_, node)| node)
    }

    fn figure(&self, node: u32, class: &Class, figure: Figure) -> Score {
        match figure {
            Figure::Fit(view) => self.score(node, class, view).unwrap_or(NEVER),
            Figure::Lack(lacks) => lacks(self, node, class).min(NEVER - 1),
        }
    }

    fn refresh(&mut self, scores: &mut Scores, class: &Class, figure: Figure) {
        let nodes = self.machines.len();
        if scores.scores.is_empty() {
            scores.begin(nodes);
        }
        let told = self.changed.nodes.len();
        match told.checked_sub(scores.seen) {
            Some(changed) if changed + scores.undone.len() < nodes / COMPARED_FOR_ONE => {
                for at in scores.seen..told {
                    self.score_again(scores, self.changed.nodes[at], class, figure);
                }
                while let Some(node) = scores.undone.pop() {
                    self.score_again(scores, node, class, figure);
                }
            }
            _ => {
                self.score_all_again(scores, class, figure);
                scores.undone.clear();
            }
        }
        self.changed.look(scores, figure.table(), class.number);
    }

    /// Whole runs of machines are compared at once, because most have not changed.
    fn score_all_again(&mut self, scores: &mut Scores, class: &Class, figure: Figure) {
        for first in (0..self.versions.len()).step_by(COMPARED) {
            let run = first..(first + COMPARED).min(self.versions.len());
            if scores.versions[run.clone()] == self.versions[run.clone()] {
                continue;
            }
            for node in run.clone() {
                if scores.versions[node] != self.versions[node] {
                    scores.versions[node] = self.versions[node];
                    scores.scores[node] = self.figure_again(node as u32, class, figure);
                }
            }
            let lowest = scores.scores[run].iter().copied().min();
            scores.lowest[first / COMPARED] = lowest.unwrap_or(NEVER);
        }
    }

    fn score_again(&mut self, scores: &mut Scores, node: u32, class: &Class, figure: Figure) {
        let version = self.versions[node as usize];
        if scores.versions[node as usize] != version {
            scores.versions[node as usize] = version;
            let score = self.figure_again(node, class, figure);
            scores.set(node, score);
        }
    }

    /// The figure of a machine that changed.
    fn figure_again(&mut self, node: u32, class: &Class, figure: Figure) -> Score {
        let Figure::Fit(view) = figure else { return self.figure(node, class, figure) };
        if let Some(score) = self.in_other_view(node, class) {
            return score;
        }
        self.see(node, view);
        self.figure(node, class, figure)
    }

    /// Its score as it was found in another view, where it is the same in all.
    fn in_other_view(&self, node: u32, class: &Class) -> Option<Score> {
        let (at, number) = (node as usize, class.number as usize);
        let version = self.versions[at];
        let known = |view: &[Scores]| {
            let scores = view.get(number).filter(|it| it.versions.get(at) == Some(&version))?;
            Some(scores.scores[at])
        };
        let (views, even) = (&self.kept[..VIEWS], self.uneven[at] == 0);
        even.then(|| views.iter().find_map(|view| known(view))).flatten()
    }
}
