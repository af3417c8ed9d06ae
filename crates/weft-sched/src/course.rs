//! The pool as `eta.rs` plays it forward: what ends when, and the waiting in lines of equals.
//!
//! Most of what waits cannot start at a given end, and that has to be found cheaply: equals are
//! asked through the first of them, and a class that found no places is not placed again before
//! enough has ended for it. Absent on purpose: who is asked first, and whose share suffices.

use crate::board::{Board, Charge, Piece, View, Wait};
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::Timestamp;

/// Most lines and machines looked at while playing forward: some two milliseconds' worth, a tenth
/// of what a plan may take. Who stands so far back that this ends first is told no time, which is
/// true.
const WORK_MAX: u64 = 100_000;

/// In a pool of fewer than so many machines the rest of a plan takes less: there it is this many
/// times as much at most.
const MACHINES_MANY: u64 = 1000;
const SMALL_MORE: u64 = 4;

/// What placing one member costs, in machines looked at: one for so many of the pool, and the
/// least.
const MACHINES_A_PLACING: u64 = 20;
const PLACING_MIN: u64 = 5;

/// No further.
const NONE: u32 = u32::MAX;

/// Equal waiting workloads of one queue.
struct Line {
    seat: u32,
    class: u32,
    gang: u32,
    /// The places of its first and its last in the order of all that wait in lines.
    first: u32,
    last: u32,
    /// The line of the same queue and class, but for the gang.
    other: u32,
}

/// What is known of the places of a class.
#[derive(Clone)]
struct Places {
    /// It has no more than so many.
    most: u64,
    /// After so many were freed.
    freed: usize,
}

/// One that was started while playing forward.
pub(crate) struct Started {
    /// What it holds.
    pub(crate) pieces: Vec<Piece>,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// What it counts there.
    pub(crate) charge: Charge,
}

/// The pool as it goes on.
pub(crate) struct Course {
    /// Machines on which something ended, in order.
    pub(crate) freed: Vec<u32>,
    lines: Vec<Line>,
    /// Per seat and class, its first line.
    known: Vec<Vec<u32>>,
    /// Who waits in lines, in the order of the look; and who is next in the same line.
    waits: Vec<(u32, u32)>,
    /// The lines in the order of their first.
    heads: Vec<(u32, u32)>,
    /// Whose turn is next among them; and the lines the first of which started in this turn.
    turn: usize,
    again: BinaryHeap<Reverse<(u32, u32)>>,
    /// Somebody started since they were brought into order.
    moved: bool,
    /// When what ends: a number of `runs`, or beyond these of `started`.
    ends: BinaryHeap<Reverse<(Timestamp, usize)>>,
    runs: Vec<usize>,
    started: Vec<Started>,
    places: Vec<Places>,
    work: u64,
    placing: u64,
    /// Seats with lines, and which resources all of these need.
    seats: usize,
    needed: [bool; 3],
}

impl Course {
    /// Of what runs, with its ends, in a pool of so many seats, classes and machines, where so many
    /// wait.
    pub(crate) fn new(
        ends: impl Iterator<Item = (Timestamp, usize)>,
        [seats, classes, machines]: [usize; 3],
        waiting: usize,
    ) -> Self {
        let (times, runs): (Vec<_>, Vec<_>) = ends.unzip();
        Self {
            freed: Vec::new(),
            lines: Vec::new(),
            known: alloc::vec![Vec::new(); seats],
            waits: Vec::with_capacity(waiting),
            heads: Vec::new(),
            turn: 0,
            again: BinaryHeap::new(),
            moved: true,
            ends: times.into_iter().zip(0..).map(Reverse).collect(),
            runs,
            started: Vec::new(),
            places: alloc::vec![Places { most: u64::MAX, freed: 0 }; classes],
            seats: 0,
            needed: [true; 3],
            work: WORK_MAX * (MACHINES_MANY / machines.max(1) as u64).clamp(1, SMALL_MORE),
            placing: (machines as u64 / MACHINES_A_PLACING).max(PLACING_MIN),
        }
    }

    /// One more waits, behind all before it.
    pub(crate) fn wait(&mut self, wait: &Wait, at: u32) {
        let rank = self.waits.len() as u32;
        self.waits.push((at, NONE));
        let (class, classes) = (wait.class as usize, self.places.len());
        let known = &mut self.known[wait.seat as usize];
        self.seats += usize::from(known.is_empty());
        known.resize(classes, NONE);
        let mut number = known[class];
        while self.lines.get(number as usize).is_some_and(|line| line.gang != wait.gang) {
            number = self.lines[number as usize].other;
        }
        match self.lines.get_mut(number as usize) {
            Some(line) => {
                self.waits[line.last as usize].1 = rank;
                line.last = rank;
            }
            None => {
                let other = core::mem::replace(&mut known[class], self.lines.len() as u32);
                let (seat, class, gang) = (wait.seat, wait.class, wait.gang);
                (0..3).for_each(|r| self.needed[r] &= wait.charge[r] > 0);
                self.heads.push((rank, self.lines.len() as u32));
                self.lines.push(Line { seat, class, gang, first: rank, last: rank, other });
            }
        }
    }

    /// The next line whose turn it is, in the order of their first; each once, and again when its
    /// first was started.
    pub(crate) fn next_line(&mut self) -> Option<u32> {
        let again = self.again.peek().map(|Reverse(head)| *head);
        let next = self.heads.get(self.turn).copied();
        if again.is_some_and(|again| next.is_none_or(|next| again < next)) {
            self.again.pop();
            return again.map(|(_, line)| line);
        }
        self.turn += 1;
        next.map(|(_, line)| line)
    }

    /// Whether nobody is left to ask: each seat leaves a resource that all need to its first.
    pub(crate) fn all_left(&self, first: &BTreeMap<u32, usize>) -> bool {
        first.len() == self.seats && first.values().all(|resource| self.needed[*resource])
    }

    /// What is kept for one that waits is taken already.
    pub(crate) fn keep(&mut self, started: Started) {
        self.started.push(started);
    }

    /// The first of a line: which, and its seat, class and gang; none where all have started, or
    /// enough was looked at.
    pub(crate) fn first(&mut self, line: u32) -> Option<(usize, u32, usize, u32)> {
        self.work = self.work.saturating_sub(1);
        let line = self.lines.get(line as usize).filter(|_| self.work > 0)?;
        let (at, _) = *self.waits.get(line.first as usize)?;
        Some((at as usize, line.seat, line.class as usize, line.gang))
    }

    /// The first of a line was started.
    pub(crate) fn start(&mut self, line: u32, started: Started) {
        let it = &mut self.lines[line as usize];
        it.first = self.waits[it.first as usize].1;
        if it.first != NONE {
            self.again.push(Reverse((it.first, line)));
        }
        self.moved = true;
        self.work = self.work.saturating_sub(u64::from(it.gang) * self.placing);
        self.started.push(started);
    }

    /// The one started last ends then, as far as that is known.
    pub(crate) fn runs_until(&mut self, end: Option<Timestamp>) {
        let number = (self.runs.len() + self.started.len()).saturating_sub(1);
        self.ends.extend(end.map(|end| Reverse((end, number))));
    }

    /// Bring the lines into the order of their first again.
    pub(crate) fn order_heads(&mut self) {
        self.turn = 0;
        self.again.clear();
        if core::mem::take(&mut self.moved) {
            let lines = &self.lines;
            self.heads.iter_mut().for_each(|(rank, line)| *rank = lines[*line as usize].first);
            self.heads.retain(|(rank, _)| *rank != NONE);
            // Nearly in order already.
            self.heads.sort();
        }
    }

    /// When something ends next; none where nothing does, nobody waits, or enough was looked at.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        let next = self.ends.peek().filter(|_| self.work > 0 && !self.heads.is_empty());
        next.map(|Reverse((time, _))| *time)
    }

    /// What ends at that time: one that runs, by its place, or one that was started.
    pub(crate) fn end_at(&mut self, time: Timestamp) -> Option<Result<usize, Started>> {
        let Reverse((_, number)) = *self.ends.peek().filter(|Reverse((at, _))| *at == time)?;
        self.ends.pop();
        Some(match self.runs.get(number) {
            Some(run) => Ok(*run),
            None => {
                let one = &mut self.started[number - self.runs.len()];
                let pieces = core::mem::take(&mut one.pieces);
                Err(Started { pieces, seat: one.seat, charge: one.charge })
            }
        })
    }

    /// Whether a gang of the class may find places: those found missing before can only have become
    /// more where something ended since.
    pub(crate) fn may_have_places(&mut self, board: &Board, class: usize, gang: u32) -> bool {
        let places = &mut self.places[class];
        let since = &self.freed[places.freed..];
        places.freed = self.freed.len();
        if places.most < u64::MAX {
            self.work = self.work.saturating_sub(since.len() as u64);
            let class = &board.classes[class];
            let more = since.iter().map(|node| board.pool.slots(*node, class, View::Later));
            places.most = more.fold(places.most, u64::saturating_add);
        }
        places.most >= u64::from(gang)
    }

    /// Whether it finds them.
    pub(crate) fn has_places(&mut self, board: &Board, class: usize, gang: u32) -> bool {
        let mut sum = 0u64;
        for node in 0..board.pool.machines.len() as u32 {
            sum = sum.saturating_add(board.pool.slots(node, &board.classes[class], View::Later));
            self.work = self.work.saturating_sub(1);
            if sum >= u64::from(gang) {
                return true;
            }
        }
        self.places[class].most = sum;
        false
    }
}
