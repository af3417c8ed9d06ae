//! What one look need not try again: capacity and shares only shrink as it goes on, so that what
//! failed for one fails for its equals and for all that need more, until something grows.
//!
//! Most of twenty thousand that wait are answered from here. Two things are remembered: per class,
//! the smallest gang that found no places; per queue and class, who could not be helped by any of
//! the steps of a turn (`turn.rs`).

use crate::board::{Board, View};
use crate::claim::Level;
use crate::pass::{Lack, Outcome, Pass};
use alloc::vec::Vec;

/// What was tried in vain since capacity last grew.
#[derive(Debug)]
pub(crate) struct Tried {
    /// For each class, the smallest gang that found no places: to start, later.
    no_places: Vec<[u32; 2]>,
    /// Per seat and class, the last that could not be helped.
    hopeless: Vec<Vec<Option<Hopeless>>>,
}

/// One that could not be helped, for those that are like it or harder.
#[derive(Debug, Clone, Copy)]
struct Hopeless {
    gang: u32,
    level: Level,
    lack: Lack,
}

/// No gang failed yet.
const NONE: [u32; 2] = [u32::MAX; 2];

/// Where it is remembered that a gang found no places in this view.
fn kept(view: View) -> usize {
    usize::from(view == View::Later)
}

impl Tried {
    /// Nothing tried yet.
    pub(crate) fn new(board: &Board) -> Self {
        Self {
            no_places: alloc::vec![NONE; board.classes.len()],
            hopeless: alloc::vec![Vec::new(); board.books.tree.seats.len()],
        }
    }
}

impl Pass<'_> {
    /// Later has grown: what failed before may fit now.
    pub(crate) fn grown(&mut self) {
        self.tried.no_places.fill(NONE);
    }

    /// Later has grown by what is left over of what was taken back: it can be kept for others. It
    /// cannot start anyone now.
    pub(crate) fn later_grown(&mut self) {
        self.tried.no_places.iter_mut().for_each(|failed| failed[kept(View::Later)] = u32::MAX);
        self.tried.hopeless.iter_mut().for_each(Vec::clear);
    }

    /// Try something for one workload for which room was made, whatever failed for its equals;
    /// for those it goes on failing, because the room is not theirs.
    pub(crate) fn afresh<T>(&mut self, at: usize, attempt: impl FnOnce(&mut Self) -> T) -> T {
        let class = self.board.waiting[at].class as usize;
        let failed = core::mem::replace(&mut self.tried.no_places[class], NONE);
        let result = attempt(self);
        self.tried.no_places[class] = failed;
        result
    }

    /// It found places after all: its equals may, too.
    pub(crate) fn found_places(&mut self, at: usize) {
        self.tried.no_places[self.board.waiting[at].class as usize] = NONE;
    }

    /// It found no places.
    pub(crate) fn found_no_places(&mut self, at: usize, view: View) {
        let wait = &self.board.waiting[at];
        self.tried.no_places[wait.class as usize][kept(view)] = wait.gang;
    }

    /// Whether it was tried already, since capacity last grew, and found no places later either.
    pub(crate) fn finds_no_places(&self, at: usize) -> bool {
        self.fails_for_sure(at, View::Later)
    }

    /// Whether an equal gang or a smaller one failed since capacity last grew.
    pub(crate) fn fails_for_sure(&self, at: usize, view: View) -> bool {
        let wait = &self.board.waiting[at];
        wait.gang >= self.tried.no_places[wait.class as usize][kept(view)]
    }

    /// None of the steps of its turn helped it.
    pub(crate) fn could_not_help(&mut self, at: usize, lack: Lack) {
        let wait = &self.board.waiting[at];
        let (class, gang, level) = (wait.class as usize, wait.gang, wait.level());
        let of_seat = &mut self.tried.hopeless[wait.seat as usize];
        if of_seat.len() <= class {
            of_seat.resize(class + 1, None);
        }
        of_seat[class] = Some(Hopeless { gang, level, lack });
    }

    /// What it lacks, where an equal or lesser one of its queue could not be helped and nothing
    /// was freed since.
    pub(crate) fn as_before(&self, at: usize) -> Option<Outcome> {
        let wait = &self.board.waiting[at];
        let before = self.tried.hopeless[wait.seat as usize].get(wait.class as usize)?.as_ref()?;
        let harder = wait.gang >= before.gang && before.level.covers(wait.level());
        harder.then(|| before.lack.into())
    }
}
