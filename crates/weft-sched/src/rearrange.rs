//! Placing anew what this look starts, where one whose turn comes later finds no place beside it.
//!
//! Called by `start.rs` where a start lacks places. Nothing that this look starts runs yet, so that
//! to put it elsewhere costs nobody anything: the one that lacks a place is placed first, then the
//! others as before; where one of these lacks a place then, it goes first the next time. Who starts
//! is for turns alone to say: all that had their turn before start still, or nothing is changed.
//! Absent on purpose: what runs already, and what is kept for others, stays where it is.

use crate::board::{Board, Piece, Span, View, Which};
use crate::pass::Pass;
use alloc::vec::Vec;

/// Of what a look starts, the last of so many workloads and members are placed anew: a full pool
/// starts few at a time, and in one that fills up the last ones took the last places. With twice
/// as many, plans of the largest bench would take a twentieth longer.
const WORKLOADS_MAX: usize = 8;
const MEMBERS_MAX: u64 = 32;

/// Most orders tried for one that lacks a place. Of small pools on which another order is the best
/// plan, the first finds it in four cases of five, and more than these find no other.
const ORDERS_MAX: usize = 4;

/// Most workloads of a look for which orders are tried in vain: each takes a tenth of a millisecond
/// on a thousand machines, and all of them together may take a small part of a plan.
const VAIN_MAX: u32 = 8;

impl Pass<'_> {
    /// Take places and share for a workload that lacks places beside what this look starts: that
    /// is placed anew, all of it.
    pub(crate) fn rearrange(&mut self, at: usize) -> Option<Vec<Piece>> {
        let first = self.last_started(at)?;
        let mark = self.board.mark();
        let moved: Vec<usize> = self.started[first..].iter().map(|(at, _)| *at as usize).collect();
        for (at, pieces) in &self.started[first..] {
            give(&mut self.board, *at as usize, pieces);
        }
        let found = self.may_fit(at, first).then(|| self.in_some_order(at, &moved)).flatten();
        let Some(mut placed) = found else {
            self.board.rollback(mark);
            return None;
        };
        let own = placed.pop();
        for ((_, pieces), anew) in self.started[first..].iter_mut().zip(placed) {
            *pieces = anew;
        }
        self.rearranged = true;
        self.found_places(at);
        own
    }

    /// From which on what this look started is placed anew; none where that would help nobody.
    fn last_started(&self, at: usize) -> Option<usize> {
        let members = |at: usize| u64::from(self.board.waiting[at].gang);
        let mut sum = members(at);
        let few = |(at, _): &&(u32, Vec<Piece>)| {
            sum += members(*at as usize);
            sum <= MEMBERS_MAX
        };
        let last = self.started.iter().rev().take(WORKLOADS_MAX).take_while(few).count();
        (last > 0 && self.vain < VAIN_MAX).then(|| self.started.len() - last)
    }

    /// Whether its gang fits at all with these given back.
    fn may_fit(&self, at: usize, first: usize) -> bool {
        let wait = &self.board.waiting[at];
        let (pool, class) = (&self.board.pool, &self.board.classes[wait.class as usize]);
        let pieces = self.started[first..].iter().flat_map(|(_, pieces)| pieces);
        let mut nodes: Vec<u32> = pieces.map(|piece| piece.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let near: u64 = nodes.iter().map(|node| pool.slots(*node, class, View::Start)).sum();
        near >= u64::from(wait.gang) || (near > 0 && pool.fits(class, wait.gang, View::Start))
    }

    /// The pieces of each of these and of the one, last, in an order in which all find places.
    fn in_some_order(&mut self, at: usize, moved: &[usize]) -> Option<Vec<Vec<Piece>>> {
        let mut order: Vec<usize> = (0..moved.len()).collect();
        order.insert(0, moved.len());
        let mark = self.board.mark();
        for _ in 0..ORDERS_MAX {
            let mut placed = alloc::vec![Vec::new(); order.len()];
            let fails = order.iter().position(|number| {
                let at = moved.get(*number).copied().unwrap_or(at);
                let pieces = self.afresh(at, |pass| pass.put(at, View::Start, Span::Both));
                pieces.map(|pieces| placed[*number] = pieces).is_err()
            });
            match fails {
                None => return Some(placed),
                Some(0) => break,
                Some(fails) => order[..=fails].rotate_right(1),
            }
            self.board.rollback(mark);
        }
        self.board.rollback(mark);
        self.vain += 1;
        None
    }
}

/// Give back what one that starts was to hold.
fn give(board: &mut Board, at: usize, pieces: &[Piece]) {
    let charge = board.charge_of(pieces);
    pieces.iter().for_each(|piece| board.pool.give_starting(piece));
    board.books.give(&Which::ALL, board.waiting[at].seat, &charge);
}
