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

use crate::board::{Amounts, Gpu, Piece, Run, Short, Span, View, Which};
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
    /// Machine by machine, the places in `runs` of those on it, in order.
    places: Vec<u32>,
    /// Where in `places` those of each machine begin; one more at the end.
    first: Vec<u32>,
}

impl Ending {
    /// The places of those on a machine.
    fn on(&self, node: u32) -> &[u32] {
        &self.places[self.first[node as usize] as usize..self.first[node as usize + 1] as usize]
    }
}

/// What was held on a machine by those that have ended.
#[derive(Debug, Clone, Copy, Default)]
struct Freed {
    amounts: Amounts,
    devices: u32,
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
        // What is kept for large ones (`drain.rs`) is not kept for it as well.
        if self.share_kept(wait.seat).is_some()
            && self.check(&[Which::Now], wait.seat, &wait.charge).is_ok()
        {
            return;
        }
        if self.is_left_to(at, short) {
            self.first.entry(wait.seat).or_insert((wait.id, short.resource));
        }
    }

    /// Whether what it lacks is its queue's own, so that later ones may have to leave that alone.
    pub(crate) fn is_left_to(&self, at: usize, short: Short) -> bool {
        let wait = &self.board.waiting[at];
        let nominal = &self.board.books.tree.seats[wait.seat as usize].nominal;
        short.seat == wait.seat && (0..3).all(|r| wait.charge[r] <= nominal[r])
    }

    fn keep_places(&mut self, at: usize) {
        let (id, seat) = (self.board.waiting[at].id, self.board.waiting[at].seat);
        if self.reserved.len() >= RESERVATIONS_MAX || !self.reserved.insert(seat) {
            return;
        }
        let mark = self.board.mark();
        self.lift_for(at);
        let found = self.fits_when_ended(at);
        self.board.rollback(mark);
        let Some((pieces, until)) = found else { return };
        self.yield_to(&pieces);
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

    /// The same for a gang of one, which fits when it does on some machine.
    fn free_one(&mut self, at: usize, ending: &Ending) -> Option<Option<usize>> {
        let class = self.board.waiting[at].class as usize;
        if self.board.pool.fits(&self.board.classes[class], 1, View::Later) {
            return Some(None);
        }
        let first = self.first_room(class, ending)?;
        let last = ending.runs[first];
        let nodes = self.board.running[last].nodes.iter();
        let before: BTreeSet<u32> = nodes.flat_map(|node| ending.on(*node)).copied().collect();
        let until = before.range(..=first as u32);
        until.for_each(|place| self.free_run(ending.runs[*place as usize]));
        Some(Some(last))
    }

    /// The place of the first one with whose end some machine has room for a member.
    fn first_room(&mut self, class: usize, ending: &Ending) -> Option<usize> {
        let mut freed = alloc::vec![Freed::default(); self.board.pool.machines.len()];
        for (place, run) in ending.runs.iter().enumerate() {
            let run = &self.board.running[*run];
            if run.stopping {
                continue;
            }
            for piece in run.pieces.iter() {
                let freed = &mut freed[piece.node as usize];
                freed.devices += piece.picks.len() as u32;
                (0..3).for_each(|r| freed.amounts[r] += piece.amounts[r]);
            }
            for node in run.nodes.clone().iter() {
                let may = self.may_hold(*node, class, &freed[*node as usize]);
                if may && self.holds_at(*node, class, (place, ending)) {
                    return Some(place);
                }
            }
        }
        None
    }

    /// Whether the machine may hold a member with so much more free: no, by figures alone, is
    /// always right.
    fn may_hold(&self, node: u32, class: usize, freed: &Freed) -> bool {
        let (machine, class) =
            (&self.board.pool.machines[node as usize], &self.board.classes[class]);
        let later = View::Later as usize;
        let room = |r: usize| {
            class.need[r] == 0 || machine.free[later][r] + freed.amounts[r] >= class.need[r]
        };
        let devices = match (&class.gpu, machine.uniform) {
            (Gpu::None, _) => true,
            (_, Some((kind, _))) if class.on(kind).is_none() => false,
            (Gpu::Whole(count), _) => machine.idle[later] + freed.devices >= *count,
            _ => true,
        };
        machine.open && devices && (0..3).all(room)
    }

    /// Whether the machine holds a member when all up to this place have ended.
    fn holds_at(&mut self, node: u32, class: usize, (place, ending): (usize, &Ending)) -> bool {
        let mark = self.board.mark();
        let ended = ending.on(node).iter().map(|at| *at as usize).take_while(|at| *at <= place);
        ended.for_each(|at| self.free_run(ending.runs[at]));
        let slots = self.board.pool.slots(node, &self.board.classes[class], View::Later);
        self.board.rollback(mark);
        slots > 0
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
        let running = &self.board.running;
        let ends = |run: &Run| !run.stopping && (run.ends_at.is_some() || run.job);
        let runs = running.iter().enumerate().filter(|(_, run)| ends(run));
        // In words, because most of a plan that has little to do is this order.
        let key = |run: &Run| {
            let end = run.ends_at.map_or(u64::MAX, |end| end.0.min(u64::MAX - 1));
            [end, run.since.0, run.id.0]
        };
        let mut runs: Vec<([u64; 3], usize)> = runs.map(|(at, run)| (key(run), at)).collect();
        runs.sort_unstable_by_key(|(key, _)| *key);
        let runs: Vec<usize> = runs.into_iter().map(|(_, at)| at).collect();
        let mut first = alloc::vec![0; self.board.pool.machines.len() + 1];
        let on = || {
            (0..).zip(&runs).flat_map(|(at, run)| {
                running[*run].nodes.iter().map(move |node| (at, *node as usize))
            })
        };
        on().for_each(|(_, node)| first[node + 1] += 1);
        (1..first.len()).for_each(|node| first[node] += first[node - 1]);
        let mut places = alloc::vec![0; first.last().map_or(0, |end| *end as usize)];
        let mut next = first.clone();
        on().for_each(|(at, node)| {
            places[next[node] as usize] = at;
            next[node] += 1;
        });
        Ending { runs, places, first }
    }
}
