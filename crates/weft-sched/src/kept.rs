//! Who may use a machine that is kept for large requests (`drain.rs`).
//!
//! It is kept from those that could wait for what ends elsewhere alone. A large one of its queue
//! starts on it; whoever would have somebody stopped, or has waited long and fits on no other
//! machine, takes it; a reservation of either is made as if it were not kept.
//!
//! Called in a workload's turn, by `reserve.rs` and by `explain.rs`. Absent on purpose: lending it
//! to what is gone soon.

use crate::board::{Piece, Span, View, Which};
use crate::pass::Pass;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// A machine that is kept, and what of it is taken from others for that.
#[derive(Debug)]
pub(crate) struct Kept {
    /// For which group.
    pub(crate) group: u32,
    /// Whose that is.
    pub(crate) seat: u32,
    /// What is free of it.
    pub(crate) piece: Piece,
}

/// What is kept in one look.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    /// The machines.
    pub(crate) kept: Vec<Kept>,
    /// Classes that find no room on any of them.
    too_small: BTreeSet<u32>,
    /// Per seat and class, the smallest gang that found too few of them.
    failed: BTreeMap<(u32, u32), u32>,
}

impl Pass<'_> {
    /// Start a large one on what is kept for its queue's.
    pub(crate) fn starts_where_kept(&mut self, at: usize) -> bool {
        let wait = &self.board.waiting[at];
        let (key, gang) = ((wait.seat, wait.class), wait.gang);
        if self.drains.kept.is_empty()
            || self.drains.failed.get(&key).is_some_and(|failed| gang >= *failed)
            || !self.finds_one_kept(at)
        {
            return false;
        }
        let started = self.start_among(at, |pass, kept| pass.is_kept_for(at, kept));
        if !started {
            self.drains.failed.insert(key, gang);
        }
        started
    }

    /// Start one on what is kept for others, where it cannot simply wait for what ends elsewhere:
    /// somebody else would be stopped for it, or it fits nowhere else.
    pub(crate) fn takes_what_is_kept(&mut self, at: usize) -> bool {
        if self.drains.kept.is_empty() {
            return false;
        }
        let number = self.board.waiting[at].class;
        if self.drains.too_small.contains(&number) {
            return false;
        }
        let (class, pool) = (&self.board.classes[number as usize], &self.board.pool);
        let mut kept = self.drains.kept.iter();
        if !kept.any(|kept| pool.slots(kept.piece.node, class, View::Now) > 0) {
            self.drains.too_small.insert(number);
            return false;
        }
        let claim = self.claim(at);
        let may = self.fits_nowhere_else(at) || self.has_prospect(at, claim).is_some();
        may && self.start_among(at, |_, _| true)
    }

    /// Give back for a reservation what is kept for such a large one; all that is kept, for one
    /// that fits nowhere else.
    pub(crate) fn lift_for(&mut self, at: usize) {
        if self.drains.kept.is_empty() {
            return;
        }
        let all = self.fits_nowhere_else(at);
        for kept in 0..self.drains.kept.len() {
            let kept = &self.drains.kept[kept];
            if all || self.is_kept_for(at, kept) {
                self.board.drop_hold(kept.seat, core::slice::from_ref(&kept.piece));
            }
        }
    }

    /// What is kept on these machines is not any more.
    pub(crate) fn yield_to(&mut self, pieces: &[Piece]) {
        let on = |node: u32| pieces.iter().any(|piece| piece.node == node);
        let kept = core::mem::take(&mut self.drains.kept).into_iter();
        let (gone, kept) = kept.partition(|kept: &Kept| on(kept.piece.node));
        self.drains.kept = kept;
        for Kept { seat, piece, .. } in gone {
            self.board.drop_hold(seat, &[piece]);
        }
    }

    /// The machine that is kept for large requests among these, and for whose.
    pub(crate) fn kept_among(&self, pieces: &[Piece]) -> Option<&Kept> {
        let on = |kept: &&Kept| pieces.iter().any(|piece| piece.node == kept.piece.node);
        self.drains.kept.iter().find(on)
    }

    /// Whether a large one of its queue could use a machine that is kept at once.
    fn finds_one_kept(&self, at: usize) -> bool {
        let wait = &self.board.waiting[at];
        let Some(group) = self.board.groups.of(wait.class, wait.seat) else { return false };
        let class = &self.board.classes[wait.class as usize];
        let now = |kept: &Kept| self.board.pool.slots(kept.piece.node, class, View::Now) > 0;
        self.drains.kept.iter().any(|kept| kept.group as usize == group && now(kept))
    }

    /// Whether a machine is kept for such as it.
    fn is_kept_for(&self, at: usize, kept: &Kept) -> bool {
        let wait = &self.board.waiting[at];
        self.board.groups.of(wait.class, wait.seat) == Some(kept.group as usize)
    }

    /// Whether one that has waited long would not fit beside what is kept if all else were empty.
    fn fits_nowhere_else(&self, at: usize) -> bool {
        let wait = &self.board.waiting[at];
        if self.board.now < wait.protected_at {
            return false;
        }
        let (empty, class) = (&self.board.empty, &self.board.classes[wait.class as usize]);
        let is_kept = |node: &u32| self.drains.kept.iter().any(|kept| kept.piece.node == *node);
        let open = |node: &u32| self.board.pool.machines[*node as usize].open && !is_kept(node);
        let mut sum = 0u64;
        let others = (0..empty.machines.len() as u32).filter(open);
        let enough = others.map(|node| empty.slots(node, class, View::Now)).any(|slots| {
            sum = sum.saturating_add(slots);
            sum >= u64::from(wait.gang)
        });
        !enough
    }

    /// Start one as if these were not kept; what it leaves of them is kept still.
    fn start_among(&mut self, at: usize, lifted: impl Fn(&Self, &Kept) -> bool) -> bool {
        let mark = self.board.mark();
        let kept = core::mem::take(&mut self.drains.kept).into_iter();
        let (lifted, kept): (Vec<Kept>, Vec<Kept>) = kept.partition(|kept| lifted(self, kept));
        self.drains.kept = kept;
        for Kept { seat, piece, .. } in &lifted {
            self.board.drop_hold(*seat, core::slice::from_ref(piece));
        }
        let put = self.afresh(at, |pass| pass.put(at, View::Start, Span::Both));
        let Ok(pieces) = put else {
            self.board.rollback(mark);
            self.drains.kept.extend(lifted);
            return false;
        };
        for kept in lifted {
            if pieces.iter().all(|piece| piece.node != kept.piece.node) {
                let charge = self.board.charge_of(core::slice::from_ref(&kept.piece));
                self.board.pool.take(&kept.piece, Span::Later);
                self.board.books.take(&[Which::Later], kept.seat, &charge);
                self.drains.kept.push(kept);
            }
        }
        self.begin(at, pieces);
        true
    }
}
