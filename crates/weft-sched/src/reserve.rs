//! Letting later workloads pass an earlier one that cannot start, without starving it.
//!
//! Later ones may use what an earlier one lacks too much of. Once that one has waited
//! [`RESERVE_AFTER`] (in a queue that shares time: half a day, or three where it cannot be
//! suspended), though, it is protected, at most one per queue, the first in its order:
//! - It has a share but lacks capacity: the places where it will fit first, as running workloads
//!   end, are kept for it. Others still use everything else. This is the reservation of EASY
//!   backfill (Lifka, 1995), without its bet on the run times of those that would slip in before.
//! - It lacks a share that is its queue's own: later ones of the queue leave that resource alone.
//!
//! No places are kept behind what has no end, a service or a workspace without a time limit: that
//! would idle capacity for nothing.

use crate::board::{Piece, Run, Short, Span, View, Which};
use crate::pass::{Hold, Outcome, Pass};
use crate::take_back::Room;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use weft_types::{Millis, Timestamp, WorkloadId};

/// A wait that long protects a workload from being passed. Shorter, and machines would be kept
/// idle for what starts by itself in a moment; longer, and a large gang waits as long again.
pub(crate) const RESERVE_AFTER: Millis = Millis::from_secs(600);

/// Most reservations made in one look: each looks through all that runs. More would idle much of
/// a pool at once; the queues beyond get theirs as the first ones start.
const RESERVATIONS_MAX: usize = 4;

/// Running workloads in the order of their ends.
#[derive(Debug)]
pub(crate) struct Ending {
    runs: Vec<usize>,
    /// On each machine, their places in `runs`.
    on: Vec<Vec<u32>>,
}

impl Pass<'_> {
    /// Protect a workload that could not start and has waited long.
    pub(crate) fn reserve(&mut self, at: usize, lack: &Outcome) {
        let wait = &self.board.waiting[at];
        if self.board.now < wait.protected_at {
            return;
        }
        match lack {
            Outcome::Capacity => self.keep_places(at),
            Outcome::Quota(short) => self.keep_share(at, *short),
            _ => {}
        }
    }

    /// The workload of its queue that it has to leave a resource to.
    pub(crate) fn goes_first(&self, at: usize) -> Option<WorkloadId> {
        let wait = &self.board.waiting[at];
        let (first, resource) = self.first.get(&wait.seat)?;
        (wait.charge[*resource] > 0).then_some(*first)
    }

    fn keep_share(&mut self, at: usize, short: Short) {
        let wait = &self.board.waiting[at];
        let nominal = &self.board.books.tree.seats[wait.seat as usize].nominal;
        if short.seat == wait.seat && (0..3).all(|r| wait.charge[r] <= nominal[r]) {
            self.first.entry(wait.seat).or_insert((wait.id, short.resource));
        }
    }

    fn keep_places(&mut self, at: usize) {
        let (id, seat) = (self.board.waiting[at].id, self.board.waiting[at].seat);
        if self.reserved.len() >= RESERVATIONS_MAX || !self.reserved.insert(seat) {
            return;
        }
        let mark = self.board.mark();
        let found = self.fits_when_ended(at);
        self.board.rollback(mark);
        let Some((pieces, until)) = found else { return };
        let charge = self.board.charge_of(&pieces);
        pieces.iter().for_each(|piece| self.board.pool.take(piece, Span::Later));
        self.board.books.take(&[Which::Later], seat, &charge);
        self.holds.push(Hold { id, seat, pieces, at: until });
    }

    /// Where it fits first as running workloads end, and when, where that is known.
    fn fits_when_ended(&mut self, at: usize) -> Option<(Vec<Piece>, Option<Timestamp>)> {
        let ending = self.ending.take().unwrap_or_else(|| self.by_end());
        let last = match self.board.waiting[at].gang {
            1 => self.free_one(at, &ending),
            _ => self.free_many(at, &ending),
        };
        let until = match last {
            Some(Some(run)) => self.board.running[run].ends_at,
            _ => Some(self.board.now),
        };
        self.ending = Some(ending);
        last?;
        let wait = &self.board.waiting[at];
        let class = &self.board.classes[wait.class as usize];
        let pieces = self.board.pool.place(class, wait.gang, View::Later, Span::Later).ok()?;
        Some((pieces, until.map(|until| until.max(self.board.now))))
    }

    /// Free what ends, one after the other, until a gang fits: the last one freed.
    fn free_many(&mut self, at: usize, ending: &Ending) -> Option<Option<usize>> {
        let (mut room, mut last) = (Room::new(self, at), None);
        for run in ending.runs.iter().copied() {
            if room.has_places(self) {
                break;
            }
            if !self.board.running[run].stopping {
                last = Some(run);
                room.free_places(self, run);
            }
        }
        room.has_places(self).then_some(last)
    }

    /// The same for a gang of one, which fits when it does on some machine: machine by machine,
    /// and on each only as far as would be earlier than on those before.
    fn free_one(&mut self, at: usize, ending: &Ending) -> Option<Option<usize>> {
        let class = self.board.waiting[at].class as usize;
        if self.board.pool.fits(&self.board.classes[class], 1, View::Later) {
            return Some(None);
        }
        let mut first = ending.runs.len();
        for node in 0..ending.on.len() {
            let mark = self.board.mark();
            for place in ending.on[node].iter().map(|place| *place as usize) {
                if place >= first {
                    break;
                }
                self.free_run(ending.runs[place]);
                let class = &self.board.classes[class];
                if self.board.pool.slots(node as u32, class, View::Later) > 0 {
                    first = place;
                }
            }
            self.board.rollback(mark);
        }
        let last = *ending.runs.get(first)?;
        let nodes = self.board.running[last].nodes.iter();
        let before: BTreeSet<u32> =
            nodes.flat_map(|node| &ending.on[*node as usize]).copied().collect();
        let until = before.range(..=first as u32);
        until.for_each(|place| self.free_run(ending.runs[*place as usize]));
        Some(Some(last))
    }

    /// Give back a running workload's places, unless it stops, and leave its share as it is.
    fn free_run(&mut self, run: usize) {
        let (pool, run) = (&mut self.board.pool, &self.board.running[run]);
        if !run.stopping {
            run.pieces.iter().for_each(|piece| pool.give(piece, Span::Later));
        }
    }

    /// Running workloads that end some day: those whose end is known first, by it; then jobs by
    /// their start.
    fn by_end(&self) -> Ending {
        let ends = |run: &Run| run.ends_at.is_some() || run.job;
        let runs = self.board.running.iter().enumerate();
        let mut runs: Vec<_> = runs.filter(|(_, run)| !run.stopping && ends(run)).collect();
        runs.sort_by_key(|(_, run)| {
            let end = run.ends_at;
            (end.is_none(), end, run.since, run.id)
        });
        let runs: Vec<usize> = runs.into_iter().map(|(at, _)| at).collect();
        let mut on = alloc::vec![Vec::new(); self.board.pool.machines.len()];
        for (place, run) in (0..).zip(&runs) {
            let nodes = self.board.running[*run].nodes.iter();
            nodes.for_each(|node| on[*node as usize].push(place));
        }
        Ending { runs, on }
    }
}
