//! Whose turn it is: which queue, and which of its workloads.
//!
//! Queues whose next workload stays within their own share go before those that borrow; among
//! them the one that uses the least of its share (the largest used share among its resources, as
//! in dominant resource fairness, Ghodsi et al., NSDI '11); then by name. Within a queue: higher
//! priority, earlier, smaller id. One that lacks something does not stop those behind it, which
//! may use what it cannot; `reserve.rs` keeps that from starving it.

use crate::board::Which;
use crate::pass::{Outcome, Pass};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// A queue's turn: it borrows, its used share, its rank by name, its seat.
type Turn = (bool, u128, u32, u32);

impl Pass<'_> {
    /// Offer capacity to every waiting workload, in turn.
    pub(crate) fn offer_all(&mut self) {
        let lines = self.lines();
        let mut next: BTreeMap<u32, usize> = BTreeMap::new();
        let ranks = self.ranks();
        let turn = |pass: &Self, seat: u32, at: usize| -> Option<Turn> {
            let head = *lines.get(&seat)?.get(at)?;
            let charge = &pass.board.waiting[head as usize].charge;
            let over = !pass.board.books.within(Which::Later, seat, charge);
            Some((over, pass.board.books.share(Which::Later, seat), ranks[seat as usize], seat))
        };
        let mut turns: BTreeSet<Turn> =
            lines.keys().filter_map(|seat| turn(self, *seat, 0)).collect();
        while let Some((_, _, _, seat)) = turns.pop_first() {
            let line = &lines[&seat];
            let at = next.entry(seat).or_insert(0);
            // It goes on while it is still its turn.
            let again = loop {
                let head = line[*at] as usize;
                *at += 1;
                if self.outcomes[head] == Outcome::Open {
                    self.offer(head);
                }
                let turn = turn(self, seat, *at);
                match (turn, turns.first()) {
                    (Some(turn), Some(first)) if turn > *first => break Some(turn),
                    (None, _) => break None,
                    _ => {}
                }
            };
            turns.extend(again);
        }
    }

    /// Place of each waiting workload in its queue, counted from 1 among those that still wait.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let mut positions = alloc::vec![0; self.outcomes.len()];
        for line in self.lines().values() {
            let waits = |at: &&u32| self.outcomes[**at as usize] != Outcome::Started;
            for (position, at) in (1..).zip(line.iter().filter(waits)) {
                positions[*at as usize] = position;
            }
        }
        positions
    }

    /// The waiting workloads of each queue in their order.
    fn lines(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut lines: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (at, wait) in (0..).zip(&self.board.waiting) {
            lines.entry(wait.seat).or_default().push(at);
        }
        for line in lines.values_mut() {
            line.sort_by_key(|at| {
                let wait = &self.board.waiting[*at as usize];
                (Reverse(wait.workload.priority), wait.workload.submitted_at, wait.id)
            });
        }
        lines
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
