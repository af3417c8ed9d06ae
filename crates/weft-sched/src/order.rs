//! Whose turn it is: which queue, and which of its workloads.
//!
//! Queues whose next workload stays within their own share go before those that borrow; among
//! them the one that uses the least of its share (the largest used share among its resources, as
//! in dominant resource fairness, Ghodsi et al., NSDI '11), what it has held lately counting as
//! what it holds; then by name. Within a queue: higher priority, earlier, smaller id. One that
//! lacks something does not stop those behind it, which may use what it cannot; `reserve.rs` keeps
//! that from starving it.

use crate::board::{Board, Which};
use crate::pass::{Outcome, Pass};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

/// A queue's turn: it borrows, how much its next was served where what is borrowed is shared by
/// service, its used share, its rank by name, its seat.
type Turn = (bool, u8, u128, u32, u32);

impl Pass<'_> {
    /// Offer capacity to every waiting workload, in turn.
    pub(crate) fn offer_all(&mut self) {
        let lines = core::mem::take(&mut self.lines);
        let mut next = alloc::vec![0; lines.len()];
        let (ranks, timed) = (self.ranks(), self.share_time());
        let turn = |pass: &Self, seat: u32, at: usize, share: u128| -> Option<Turn> {
            let head = lines[seat as usize].clone().nth(at)?;
            let wait = &pass.board.waiting[head];
            let over = !pass.board.books.within(Which::Later, seat, &wait.charge);
            let tier = if over && timed[seat as usize] { wait.rank.tier() } else { 0 };
            Some((over, tier, share, ranks[seat as usize], seat))
        };
        let share = |pass: &Self, seat| pass.board.books.share(Which::Later, seat);
        let seats = 0..lines.len() as u32;
        let mut turns: BTreeSet<Turn> =
            seats.filter_map(|seat| turn(self, seat, 0, share(self, seat))).collect();
        while let Some((_, _, mut used, _, seat)) = turns.pop_first() {
            let (first, at) = (lines[seat as usize].start, &mut next[seat as usize]);
            let mut mark = None;
            let other = turns.first().copied();
            // It goes on while it is still its turn.
            let again = loop {
                let head = first + *at;
                *at += 1;
                if self.outcomes[head] == Outcome::Open {
                    self.offer(head);
                }
                // Its share is divided out again only where something was booked meanwhile.
                let booked = Some(self.board.books.mark());
                if mark != booked {
                    (mark, used) = (booked, share(self, seat));
                }
                match (turn(self, seat, *at, used), other) {
                    (Some(turn), Some(other)) if turn > other => break Some(turn),
                    (None, _) => break None,
                    _ => {}
                }
            };
            turns.extend(again);
        }
        self.lines = lines;
    }

    /// Place of each waiting workload in its queue, counted from 1 among those that still wait.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let mut positions = alloc::vec![0; self.outcomes.len()];
        for line in &self.lines {
            let waits = |at: &usize| self.outcomes[*at] != Outcome::Started;
            for (position, at) in (1..).zip(line.clone().filter(waits)) {
                positions[at] = position;
            }
        }
        positions
    }

    /// Whether all queues of each seat's group share time.
    fn share_time(&self) -> Vec<bool> {
        let seats = &self.board.books.tree.seats;
        let others: BTreeSet<u32> =
            seats.iter().filter(|seat| !seat.shares_time).map(|seat| seat.group).collect();
        seats.iter().map(|seat| !others.contains(&seat.group)).collect()
    }

    /// Place of each seat in the order of queue names.
    fn ranks(&self) -> Vec<u32> {
        let seats = &self.board.books.tree.seats;
        let mut order: Vec<usize> = (0..seats.len()).collect();
        order.sort_by_key(|seat| (&seats[*seat].queue, *seat));
        let mut ranks = alloc::vec![0; seats.len()];
        (0..).zip(order).for_each(|(rank, seat)| ranks[seat] = rank);
        ranks
    }
}

/// For each seat, which of the waiting are its own.
pub(crate) fn lines(board: &Board) -> Vec<Range<usize>> {
    let end = |seat: u32| board.waiting.partition_point(|wait| wait.seat <= seat);
    let mut start = 0;
    let line = |seat| core::mem::replace(&mut start, end(seat))..start;
    (0..board.books.tree.seats.len() as u32).map(line).collect()
}
