//! How many members a workload starts with that takes between so many and so many.
//!
//! It starts by its least, as any gang does, and by that alone it is ranked, takes its turn, has
//! things taken back for it and is kept a place. When all who wait have been asked, what starts in
//! this plan grows into what is left, one member each in turn, in the order in which they started:
//! - into what is free now and kept for nobody, so that nothing is stopped for it and nobody who
//!   could have started does not;
//! - within its queue's own share; beyond, it takes what is idle: while nobody of another queue
//!   waits, and only where it can give it back at little loss, because it may be reclaimed and can
//!   be suspended. It then goes on with as many members as have room.
//!
//! Absent on purpose: growing while it runs. `docs/adr/0011-elastic-gangs.md` says why.

use crate::board::{Charge, Piece, Span, View, Which};
use crate::pass::{Outcome, Pass};
use crate::{Action, Workload};
use alloc::vec::Vec;
use weft_types::WorkloadId;

/// One that starts in this plan and may have more members.
struct Growing {
    /// Among the actions.
    action: usize,
    /// Among what runs.
    run: usize,
    seat: u32,
    class: u32,
    /// More members that it takes.
    room: u32,
    /// It gives back at little loss.
    pliant: bool,
}

impl Pass<'_> {
    /// Let what these actions start grow; they run on the working copy already. Whether any did.
    pub(crate) fn grow(&mut self, actions: &mut [Action]) -> bool {
        let starts = actions.iter().enumerate();
        let mut growing: Vec<Growing> =
            starts.filter_map(|(at, action)| self.growing(at, action)).collect();
        let mut grown: Vec<(u32, Vec<Piece>)> =
            growing.iter().map(|it| (it.action as u32, Vec::new())).collect();
        // Once one of a class finds no place, or one of a queue no share, others may.
        let mut open: Vec<usize> = (0..growing.len()).collect();
        while !open.is_empty() {
            open.retain(|at| {
                let it = &mut growing[*at];
                let piece = self.one_more(it);
                it.room -= u32::from(piece.is_some());
                grown[*at].1.extend(piece.iter().cloned());
                piece.is_some() && it.room > 0
            });
        }
        self.board.pool.settle(&mut grown);
        let mut any = false;
        for (it, (_, pieces)) in growing.iter().zip(grown) {
            if !pieces.is_empty() {
                self.say(it, &pieces, actions);
                self.board.extend(self.snapshot, it.run, pieces);
                any = true;
            }
        }
        any
    }

    fn growing(&mut self, at: usize, action: &Action) -> Option<Growing> {
        let Action::Start { workload: id, placements, .. } = action else { return None };
        let workload = self.snapshot.workloads.get(id)?;
        let room = most(workload).checked_sub(placements.len() as u32).filter(|room| *room > 0)?;
        let run = self.running(*id)?;
        let pliant = workload.suspend.is_some() && workload.reclaim.reclaimable;
        let seat = self.board.running[run].seat;
        let class = self.board.class_of(workload);
        Some(Growing { action: at, run, seat, class, room, pliant })
    }

    fn running(&self, id: WorkloadId) -> Option<usize> {
        self.board.running.binary_search_by_key(&id, |run| run.id).ok()
    }

    /// Capacity for one more member, taken.
    fn one_more(&mut self, it: &Growing) -> Option<Piece> {
        let mark = self.board.mark();
        let near = self.near(self.board.running[it.run].id);
        let (class, pool) = (&self.board.classes[it.class as usize], &mut self.board.pool);
        pool.near = near;
        let placed = pool.place(class, 1, View::Start, Span::Both);
        pool.near = Vec::new();
        let piece = placed.ok()?.pop()?;
        let charge = self.board.charge_of(core::slice::from_ref(&piece));
        if !self.may_grow_by(it, &charge) {
            self.board.rollback(mark);
            return None;
        }
        self.board.books.take(&Which::ALL, it.seat, &charge);
        Some(piece)
    }

    fn may_grow_by(&self, it: &Growing, charge: &Charge) -> bool {
        let left_to = self.first.get(&it.seat);
        let passes = left_to.is_some_and(|(_, resource)| charge[*resource] > 0);
        let (books, seat) = (&self.board.books, it.seat);
        let has_share = self.check(&[Which::Now, Which::Later], seat, charge).is_ok();
        // Also beside what stops: until that is gone, it would be another's.
        let within = |at| [Which::Now, Which::Later].iter().all(|w| books.within(*w, at, charge));
        let own = || books.tree.path(seat).all(within);
        has_share && !passes && (own() || (it.pliant && !self.others_wait(seat)))
    }

    /// Whether anybody of another queue waits for capacity or a share.
    fn others_wait(&self, seat: u32) -> bool {
        let outcomes = self.board.waiting.iter().zip(&self.outcomes);
        let lacks = |outcome: &Outcome| !matches!(outcome, Outcome::BackOff | Outcome::Impossible);
        outcomes.filter(|(wait, _)| wait.seat != seat).any(|(_, outcome)| lacks(outcome))
    }

    fn say(&self, it: &Growing, pieces: &[Piece], actions: &mut [Action]) {
        let Some(Action::Start { placements, .. }) = actions.get_mut(it.action) else { return };
        let first = placements.len() as u32;
        let more = (first..).zip(pieces);
        placements.extend(more.map(|(member, piece)| self.placement_of(it.class, member, piece)));
    }
}

/// Most members it takes, of those that are told apart.
fn most(workload: &Workload) -> u32 {
    workload.members().1.min(crate::GANG_MAX)
}
