//! When each waiting workload may start, if what runs ends when it likely does (`likely.rs`).
//!
//! The pool is played forward on the working copy: what runs ends in the order of its likely
//! ends, each time the waiting are offered what is free in the order of this look, those that start
//! end in their turn. Bounded; what is not reached, or waits behind something without a known
//! end, has no estimate. Absent on purpose: what will be submitted or taken back meanwhile.

use crate::board::{Charge, Piece, Run, Span, View, Which};
use crate::likely::Spread;
use crate::pass::{Outcome, Pass};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use weft_types::{Millis, Timestamp};

/// Most machines looked at while playing forward: about ten milliseconds' worth, a tenth of what a
/// plan may take. Who stands so far back that this ends first is told no time, which is true.
const WORK_MAX: u64 = 200_000;

/// What becomes free at a moment.
struct Freed {
    pieces: Vec<Piece>,
    seat: u32,
    charge: Charge,
}

/// Equal waiting workloads of one queue, in order; and whether the first lacked places only.
struct Line {
    /// Rank in this look's order, and which.
    line: VecDeque<(u32, u32)>,
    stuck: bool,
}

impl Line {
    fn rank(&self) -> Option<u32> {
        self.line.front().map(|(rank, _)| *rank)
    }
}

impl Pass<'_> {
    /// The time of each waiting workload, where it is known.
    pub(crate) fn estimate(&mut self) -> Vec<Option<Timestamp>> {
        let mut etas: Vec<_> = (0..self.outcomes.len()).map(|at| self.known_eta(at)).collect();
        let mut lines = self.equal_lines(&etas);
        let spread = self.spread();
        let mut ends = self.ends(spread);
        let mark = self.board.mark();
        let mut work = WORK_MAX;
        let mut serial = ends.len() as u64;
        while !lines.is_empty() && work > 0 {
            let Some(((time, _), first)) = ends.pop_first() else { break };
            let mut touched = self.free(&first);
            while ends.first_key_value().is_some_and(|((at, _), _)| *at == time) {
                touched.extend(ends.pop_first().iter().flat_map(|(_, freed)| self.free(freed)));
            }
            let heads = lines.iter().filter_map(|(key, line)| Some((line.rank()?, *key)));
            let heads: BTreeSet<_> = heads.collect();
            for (_, key) in heads {
                let Some(line) = lines.get_mut(&key) else { continue };
                while let Some((at, freed)) = self.next_of(line, &touched, &mut work) {
                    etas[at] = Some(time);
                    let wait = &self.board.waiting[at];
                    if let Some(span) = wait.lasts {
                        let span = spread.likely(wait.id, span, Millis::ZERO);
                        ends.insert((time.after(span), serial), freed);
                        serial += 1;
                    }
                }
                if line.line.is_empty() {
                    lines.remove(&key);
                }
            }
        }
        self.board.rollback(mark);
        etas
    }

    /// What is known without playing forward.
    fn known_eta(&self, at: usize) -> Option<Timestamp> {
        match &self.outcomes[at] {
            Outcome::Handover(_) => Some(self.board.now),
            Outcome::MinRun(until) => Some(*until),
            _ => {
                let id = self.board.waiting[at].id;
                self.holds.iter().find(|hold| hold.id == id).and_then(|hold| hold.at)
            }
        }
    }

    /// The waiting workloads that have no time yet, equal ones together.
    fn equal_lines(&self, etas: &[Option<Timestamp>]) -> BTreeMap<(u32, u32, u32), Line> {
        let mut lines: BTreeMap<_, Line> = BTreeMap::new();
        let holders: BTreeSet<_> = self.holds.iter().map(|hold| hold.id).collect();
        for (rank, at) in (0..).zip(&self.order) {
            let (wait, outcome) = (&self.board.waiting[*at as usize], &self.outcomes[*at as usize]);
            let waits =
                matches!(outcome, Outcome::Quota(_) | Outcome::Capacity | Outcome::Behind(_));
            if waits && etas[*at as usize].is_none() && !holders.contains(&wait.id) {
                let key = (wait.seat, wait.class, wait.gang);
                let line = lines
                    .entry(key)
                    .or_insert_with(|| Line { line: VecDeque::new(), stuck: false });
                line.line.push_back((rank, *at));
            }
        }
        lines
    }

    /// How wrong the estimates of what runs are.
    fn spread(&self) -> Spread {
        let runs = self.board.running.iter().filter(|run| !run.stopping);
        Spread::of(runs.filter_map(|run| Some((expected(run)?, self.ran(run)))))
    }

    /// When what runs likely ends, as far as that is known.
    fn ends(&self, spread: Spread) -> BTreeMap<(Timestamp, u64), Freed> {
        let runs = self.board.running.iter().filter(|run| !run.stopping);
        let ends = runs.filter_map(|run| Some((self.end(run, spread)?, run)));
        let freed = ends.zip(0..).map(|((at, run), serial)| {
            let freed = Freed { pieces: run.pieces.to_vec(), seat: run.seat, charge: run.charge };
            ((at, serial), freed)
        });
        freed.collect()
    }

    fn end(&self, run: &Run, spread: Spread) -> Option<Timestamp> {
        let Some(expected) = expected(run) else {
            return Some(run.ends_at?.max(self.board.now));
        };
        let ran = self.ran(run);
        let left = spread.likely(run.id, expected, ran).0.saturating_sub(ran.0);
        let end = self.board.now.after(Millis(left));
        Some(run.limit_at.map_or(end, |limit| end.min(limit).max(self.board.now)))
    }

    /// How long it has run, earlier starts with it where these are known to count.
    fn ran(&self, run: &Run) -> Millis {
        let before = run.effort.as_ref().map_or(0, |effort| effort.served.0);
        Millis(before.saturating_add(self.board.now.since(run.since).0))
    }

    fn free(&mut self, freed: &Freed) -> Vec<u32> {
        freed.pieces.iter().for_each(|piece| self.board.pool.give(piece, Span::Later));
        self.board.books.give(&[Which::Later], freed.seat, &freed.charge);
        freed.pieces.iter().map(|piece| piece.node).collect()
    }

    /// Start the first of a line, if it fits.
    fn next_of(
        &mut self,
        line: &mut Line,
        touched: &[u32],
        work: &mut u64,
    ) -> Option<(usize, Freed)> {
        let at = line.line.front()?.1 as usize;
        let wait = &self.board.waiting[at];
        let (seat, class) = (wait.seat, &self.board.classes[wait.class as usize]);
        *work = work.saturating_sub(1);
        if *work == 0 || self.board.books.check(Which::Later, seat, &wait.charge).is_err() {
            line.stuck = false;
            return None;
        }
        // One member that found no place before can find one only where something was freed.
        if line.stuck && wait.gang == 1 {
            *work = work.saturating_sub(touched.len() as u64);
            let fits = |node: &u32| self.board.pool.slots(*node, class, View::Later) > 0;
            if !touched.iter().any(fits) {
                return None;
            }
        }
        let nodes = self.board.pool.machines.len() as u64;
        *work = work.saturating_sub(nodes.saturating_mul(wait.gang.into()));
        let fits = wait.gang == 1 || self.board.pool.fits(class, wait.gang, View::Later);
        let placed = match fits {
            true => self.board.pool.place(class, wait.gang, View::Later, Span::Later).ok(),
            false => None,
        };
        line.stuck = placed.is_none();
        let pieces = placed?;
        let charge = self.board.charge_of(&pieces);
        self.board.books.take(&[Which::Later], seat, &charge);
        line.line.pop_front();
        Some((at, Freed { pieces, seat, charge }))
    }
}

/// How long it was expected to run in all; none where that is not known, or is its limit, which is
/// no estimate.
fn expected(run: &Run) -> Option<Millis> {
    let end = run.ends_at.filter(|end| Some(*end) != run.limit_at)?;
    Some(end.since(run.since))
}
