//! When each waiting workload may start, if what runs ends when it likely does (`likely.rs`).
//!
//! The pool is played forward on the working copy: what runs ends in the order of its likely
//! ends, each time the waiting are offered what is free in the order of this look, those that start
//! end in their turn; one that is protected from being passed by then, and lacks its queue's share,
//! keeps those behind it waiting as in a look (`reserve.rs`). Bounded; what is not reached, or
//! waits behind something without a known end, has no estimate. Absent on purpose: what will be
//! submitted or taken back meanwhile.

use crate::board::{Charge, Pick, Piece, Run, Span, View, Which};
use crate::course::{Course, Started};
use crate::likely::Spread;
use crate::pass::{Hold, Outcome, Pass};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use weft_types::{Millis, Timestamp, WorkloadId};

impl Pass<'_> {
    /// The time of each waiting workload, where it is known.
    pub(crate) fn estimate(&mut self) -> Vec<Option<Timestamp>> {
        let spread = self.spread();
        let mut etas = self.known_etas(spread);
        let mut course = self.course(spread, &etas);
        let mark = self.board.mark();
        while let Some(time) = self.end_next(&mut course) {
            let mut first = BTreeMap::new();
            while let Some(line) = course.next_line() {
                if let Some(at) = self.start_next(line, &mut course, (time, &mut first)) {
                    etas[at] = Some(time);
                    let end = self.would_end(at, time, spread);
                    course.runs_until(end);
                }
                if course.all_left(&first) {
                    break;
                }
            }
            course.order_heads();
        }
        self.board.rollback(mark);
        etas
    }

    /// When a waiting workload ends that starts then.
    fn would_end(&self, at: usize, start: Timestamp, spread: Spread) -> Option<Timestamp> {
        let wait = &self.board.waiting[at];
        wait.lasts.map(|span| start.after(spread.likely(wait.id, span, Millis::ZERO)))
    }

    /// What is known without playing forward.
    fn known_etas(&self, spread: Spread) -> Vec<Option<Timestamp>> {
        let holds: BTreeMap<WorkloadId, &Hold> =
            self.holds.iter().rev().map(|hold| (hold.id, hold)).collect();
        let known = |(at, outcome): (usize, &Outcome)| match outcome {
            Outcome::Handover(_) => Some(self.board.now),
            Outcome::MinRun(until) => Some(*until),
            _ => holds.get(&self.board.waiting[at].id).and_then(|hold| self.free_at(hold, spread)),
        };
        self.outcomes.iter().enumerate().map(known).collect()
    }

    /// When what is kept is likely free, where the end of what is on it is known.
    fn free_at(&self, hold: &Hold, spread: Spread) -> Option<Timestamp> {
        let at = hold.at?;
        let kept: BTreeSet<u32> = devices(&hold.pieces).collect();
        if kept.is_empty() {
            return Some(at);
        }
        let ends_first = |run: &Run| !run.stopping && run.ends_at.is_some_and(|end| end <= at);
        let on = |run: &&Run| ends_first(run) && devices(&run.pieces).any(|it| kept.contains(&it));
        let mut ends = self.board.running.iter().filter(on).map(|run| self.end(run, spread));
        ends.try_fold(self.board.now, |last, end| Some(last.max(end?)))
    }

    /// Where it begins: what runs, what is kept for whom, and in lines those who wait without a
    /// place kept.
    fn course(&self, spread: Spread, etas: &[Option<Timestamp>]) -> Course {
        let runs = self.board.running.iter().enumerate().filter(|(_, run)| !run.stopping);
        let ends = runs.filter_map(|(at, run)| Some((self.end(run, spread)?, at)));
        let seats = self.board.books.tree.seats.len();
        let sizes = [seats, self.board.classes.len(), self.board.pool.machines.len()];
        let mut course = Course::new(ends, sizes, self.order.len());
        let holders: BTreeMap<WorkloadId, &Hold> =
            self.holds.iter().map(|hold| (hold.id, hold)).collect();
        for at in &self.order {
            let wait = &self.board.waiting[*at as usize];
            match holders.get(&wait.id) {
                Some(hold) => {
                    let end = etas[*at as usize];
                    let end = end.and_then(|start| self.would_end(*at as usize, start, spread));
                    let charge = self.board.charge_of(&hold.pieces);
                    course.keep(Started { pieces: hold.pieces.clone(), seat: hold.seat, charge });
                    course.runs_until(end);
                }
                None if self.outcomes[*at as usize].is_in_line() => course.wait(wait, *at),
                None => {}
            }
        }
        course.order_heads();
        course
    }

    /// How wrong the estimates of what runs are.
    pub(crate) fn spread(&self) -> Spread {
        let runs = self.board.running.iter().filter(|run| !run.stopping);
        Spread::of(runs.filter_map(|run| Some((expected(run)?, self.ran(run)))))
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

    /// End what ends next: when that is; none where nothing does, or it is not worth looking on.
    fn end_next(&mut self, course: &mut Course) -> Option<Timestamp> {
        let (pool, books) = (&mut self.board.pool, &mut self.board.books);
        let mut end = |pieces: &[Piece], seat, charge: &Charge| {
            pieces.iter().for_each(|piece| pool.give(piece, Span::Later));
            books.give(&[Which::Later], seat, charge);
        };
        let time = course.next_end()?;
        while let Some(ended) = course.end_at(time) {
            match ended {
                Ok(run) => {
                    let run = &self.board.running[run];
                    end(&run.pieces, run.seat, &run.charge);
                    course.freed.extend(run.pieces.iter().map(|piece| piece.node));
                }
                Err(one) => {
                    end(&one.pieces, one.seat, &one.charge);
                    course.freed.extend(one.pieces.iter().map(|piece| piece.node));
                }
            }
        }
        Some(time)
    }

    /// Start the first of a line, if it fits and no earlier one of its queue is to go first.
    fn start_next(
        &mut self,
        line: u32,
        course: &mut Course,
        (time, first): (Timestamp, &mut BTreeMap<u32, usize>),
    ) -> Option<usize> {
        let (at, seat, class, gang) = course.first(line)?;
        let wait = &self.board.waiting[at];
        if first.get(&seat).is_some_and(|resource| wait.charge[*resource] > 0) {
            return None;
        }
        if let Err(short) = self.board.books.check(Which::Later, seat, &wait.charge) {
            if time >= wait.protected_at && self.is_left_to(at, short) {
                first.insert(seat, short.resource);
            }
            return None;
        }
        let may = course.may_have_places(&self.board, class, gang);
        if !may || !course.has_places(&self.board, class, gang) {
            return None;
        }
        let (pool, class) = (&mut self.board.pool, &self.board.classes[class]);
        let pieces = pool.place(class, gang, View::Later, Span::Later).ok()?;
        let charge = self.board.charge_of(&pieces);
        self.board.books.take(&[Which::Later], seat, &charge);
        course.start(line, Started { pieces, seat, charge });
        Some(at)
    }
}

/// The devices of these pieces.
fn devices(pieces: &[Piece]) -> impl Iterator<Item = u32> + '_ {
    pieces.iter().flat_map(|piece| &piece.picks).map(Pick::device)
}

/// How long it was expected to run in all; none where that is not known, or is its limit, which is
/// no estimate.
fn expected(run: &Run) -> Option<Millis> {
    let end = run.ends_at.filter(|end| Some(*end) != run.limit_at)?;
    Some(end.since(run.since))
}
