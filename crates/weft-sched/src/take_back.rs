//! Taking capacity back for a workload that lacks it, as one transaction with proof.
//!
//! - *Reclaim*: a queue that stays within its own share takes back what queues it shares with
//!   have borrowed. Where the two queues' paths meet, the one is within its nominal up to there,
//!   the other beyond it.
//! - *Preempt*: in one queue, a higher priority takes the place of a lower one.
//!
//! Both only from workloads that allow it and have run their minimum. Victims are tried on the
//! working copy, cheapest first — borrowed before lower priority, lowest priority, latest start,
//! so that the least work is lost — until the whole gang fits; then each that turned out not to be
//! needed is kept running. If it does not fit with all of them, none is stopped (Kueue #5243 and
//! Spur #888 show what happens otherwise). The statement that is tried, then committed or
//! discarded, is KAI-Scheduler's.

use crate::StopCause;
use crate::board::{Charge, View, Which};
use crate::pass::{Hold, Outcome, Pass};
use alloc::vec::Vec;
use core::cmp::Reverse;

impl Pass<'_> {
    /// Make room for a waiting workload: what it waits for then, or none where no room can be
    /// made.
    pub(crate) fn take_back(&mut self, at: usize) -> Option<Outcome> {
        let wait = &self.board.waiting[at];
        let key = (wait.seat, wait.class, wait.gang, wait.workload.priority);
        if let Some(until) = self.refused.get(&key) {
            return until.map(Outcome::MinRun);
        }
        // What stops for it already was enough when that was planned; it is not asked for more.
        if self.is_promised(wait.id) {
            return None;
        }
        let outcome = self.stop_for(at);
        if !matches!(outcome, Some(Outcome::Handover(_))) {
            let until = match outcome {
                Some(Outcome::MinRun(until)) => Some(until),
                _ => None,
            };
            self.refused.insert(key, until);
        }
        outcome
    }

    fn stop_for(&mut self, at: usize) -> Option<Outcome> {
        let candidates = self.candidates(at);
        let ripe = |run: &usize| self.board.running[*run].ripe_at() <= self.board.now;
        let now: Vec<usize> = candidates.iter().copied().filter(ripe).collect();
        let mark = self.board.mark();
        if let Some((victims, hold)) = self.make_room(at, &now) {
            return Some(self.commit(at, &victims, hold));
        }
        self.board.rollback(mark);
        if now.len() == candidates.len() {
            return None;
        }
        let found = self.make_room(at, &candidates);
        self.board.rollback(mark);
        let ripe_at = |run: &usize| self.board.running[*run].ripe_at();
        found.and_then(|(victims, _)| victims.iter().map(ripe_at).max()).map(Outcome::MinRun)
    }

    /// Running workloads that may be stopped for it, in the order in which they are tried.
    fn candidates(&self, at: usize) -> Vec<usize> {
        let wait = &self.board.waiting[at];
        let allowed = |run: &usize| {
            let it = &self.board.running[*run];
            let policy = it.workload.reclaim;
            !it.stopping
                && !it.pieces.is_empty()
                && match it.seat == wait.seat {
                    true => policy.preemptible && it.workload.priority < wait.workload.priority,
                    false => policy.reclaimable && self.borrows(it.seat, wait.seat, &wait.charge),
                }
        };
        let mut candidates: Vec<_> = (0..self.board.running.len()).filter(allowed).collect();
        candidates.sort_by_key(|run| {
            let it = &self.board.running[*run];
            let same = it.seat == wait.seat;
            (same, it.workload.priority, Reverse(it.running.since), Reverse(it.id))
        });
        candidates
    }

    /// Whether a seat has borrowed what an owner's charge may take back.
    fn borrows(&self, seat: u32, owner: u32, charge: &Charge) -> bool {
        let (books, tree) = (&self.board.books, &self.board.books.tree);
        let Some((mine, theirs)) = tree.meet(owner, seat) else { return false };
        let up_to = |from: u32, to: u32| {
            let mut done = false;
            tree.path(from).take_while(move |at| !core::mem::replace(&mut done, *at == to))
        };
        let over = |r: usize| {
            charge[r] > 0 && up_to(seat, theirs).all(|at| books.is_over(Which::Sure, at, r))
        };
        up_to(owner, mine).all(|at| books.within(Which::Later, at, charge)) && (0..3).any(over)
    }

    /// Release candidates until the workload fits, keep those that were not needed, and take
    /// what it needs. What was released and what it takes stays so on the working copy.
    fn make_room(&mut self, at: usize, candidates: &[usize]) -> Option<(Vec<usize>, Hold)> {
        let mut room = Room::new(self, at);
        let mut victims: Vec<usize> = Vec::new();
        for run in candidates {
            if room.fits(self) {
                break;
            }
            let (seat, owner) = (self.board.running[*run].seat, self.board.waiting[at].seat);
            if seat == owner || self.borrows(seat, owner, &self.board.waiting[at].charge) {
                room.change(self, *run, true);
                victims.push(*run);
            }
        }
        if !room.fits(self) || victims.is_empty() {
            return None;
        }
        for victim in (0..victims.len().saturating_sub(1)).rev() {
            room.change(self, victims[victim], false);
            match room.fits(self) {
                true => {
                    victims.remove(victim);
                }
                false => room.change(self, victims[victim], true),
            }
        }
        self.grown();
        self.hold_later(at).then(|| self.holds.pop().map(|hold| (victims, hold)))?
    }

    fn commit(&mut self, at: usize, victims: &[usize], hold: Hold) -> Outcome {
        let beneficiary = self.board.waiting[at].id;
        self.holds.push(hold);
        for run in victims {
            let cause = match self.board.running[*run].seat == self.board.waiting[at].seat {
                true => StopCause::Preempt { beneficiary },
                false => StopCause::Reclaim { beneficiary },
            };
            self.stop(*run, cause);
        }
        Outcome::Handover(victims.iter().map(|run| self.board.running[*run].id).collect())
    }
}

/// How much room there is for a workload later, kept up to date while victims come and go: a
/// change is felt on the machines it touches only.
pub(crate) struct Room {
    at: usize,
    slots: u64,
}

impl Room {
    /// The room there is.
    pub(crate) fn new(pass: &Pass<'_>, at: usize) -> Self {
        let nodes = 0..pass.board.pool.machines.len() as u32;
        let slots = nodes.map(|node| Self::on(pass, at, node)).fold(0, u64::saturating_add);
        Self { at, slots }
    }

    fn fits(&self, pass: &Pass<'_>) -> bool {
        let wait = &pass.board.waiting[self.at];
        self.has_places(pass)
            && pass.board.books.check(Which::Later, wait.seat, &wait.charge).is_ok()
    }

    /// Whether the whole gang finds places, its share aside.
    pub(crate) fn has_places(&self, pass: &Pass<'_>) -> bool {
        self.slots >= u64::from(pass.board.waiting[self.at].gang)
    }

    /// Release a running workload, or keep it after all.
    pub(crate) fn change(&mut self, pass: &mut Pass<'_>, run: usize, release: bool) {
        let mut nodes: Vec<_> = pass.board.running[run].pieces.iter().map(|p| p.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let sum = |pass: &Pass<'_>| nodes.iter().map(|node| Self::on(pass, self.at, *node)).sum();
        let before: u64 = sum(pass);
        match release {
            true => pass.board.release(run),
            false => pass.board.retain(run),
        }
        let after: u64 = sum(pass);
        self.slots = self.slots - before + after;
    }

    /// Slots of a machine, as far as they matter: a gang is not larger than this.
    fn on(pass: &Pass<'_>, at: usize, node: u32) -> u64 {
        let wait = &pass.board.waiting[at];
        let class = &pass.board.classes[wait.class as usize];
        pass.board.pool.slots(node, class, View::Later).min(u64::from(wait.gang))
    }
}
