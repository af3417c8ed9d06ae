//! Taking capacity back for a workload that lacks it, as one transaction with proof.
//!
//! - *Reclaim*: a queue that stays within its own share takes back what queues it shares with
//!   have borrowed. Where the two queues' paths meet, the one is within its nominal up to there,
//!   the other beyond it.
//! - *Preempt*: in one queue, a higher priority takes the place of a lower one.
//! - *Suspend*: in a queue that shares time, one that was served less takes the place of one that
//!   can be suspended (`rank.rs`).
//!
//! All only from workloads that allow it and have run their minimum. Victims are tried on the
//! working copy, cheapest first — borrowed before lower priority, lowest priority, most served,
//! latest start, so that the least work is lost — until the whole gang fits; then each that turned
//! out not to be needed is kept running. If it does not fit with all of them, none is stopped
//! (Kueue #5243 and Spur #888 show what happens otherwise). The statement that is tried, then
//! committed or discarded, is KAI-Scheduler's.
//!
//! Most that wait cannot be helped, and `prospect.rs` finds that cheaply: what would not fit with
//! all of them stopped is not tried.

use crate::StopCause;
use crate::board::{Span, View, Which};
use crate::claim::Claim;
use crate::pass::{Hold, Outcome, Pass};
use crate::rank::Rank;
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::Millis;

/// Most tries in one look that come to nothing: each is a fraction of a millisecond, and all of
/// them together may take a part of the time a plan has. What is left out is tried when those
/// before it in their order no longer wait.
const FAILURES_MAX: u32 = 100;

impl Pass<'_> {
    /// Make room for a waiting workload: what it waits for then, or none where no room can be
    /// made.
    pub(crate) fn take_back(&mut self, at: usize) -> Option<Outcome> {
        let wait = &self.board.waiting[at];
        let key = (wait.seat, wait.class, wait.gang, wait.level());
        if let Some(until) = self.refused.get(&key) {
            return until.map(Outcome::MinRun);
        }
        // What stops for it already was enough when that was planned; it is not asked for more.
        if self.promised.contains(&wait.id) || self.failures >= FAILURES_MAX {
            return None;
        }
        let claim = self.claim(at);
        let candidates = self.has_prospect(at, claim)?;
        let outcome = self.stop_for(at, claim, &candidates);
        if matches!(outcome, Some(Outcome::Handover(_))) {
            self.later_grown();
        }
        // Whatever came of it, what was found for the claim is not so any more.
        self.prospects.remove(&claim.key());
        match outcome {
            Some(Outcome::Handover(_)) => {}
            Some(Outcome::MinRun(until)) => {
                // Ranks differ from one to the next, so that what was found serves nobody else.
                self.failures += u32::from(claim.level.rank.0 != Rank::default());
                self.refused.insert(key, Some(until));
            }
            _ => {
                self.failures += 1;
                self.refused.insert(key, None);
            }
        }
        outcome
    }

    /// What was in vain before the look's end is tried again: its end is not as its turns were.
    pub(crate) fn ask_anew(&mut self) {
        self.failures = 0;
        self.refused.clear();
        self.prospects.clear();
        self.grown();
    }

    fn stop_for(&mut self, at: usize, claim: Claim, candidates: &[usize]) -> Option<Outcome> {
        let ripe = |run: &usize| self.ripe_at(*run, claim) <= self.board.now;
        let now: Vec<usize> = candidates.iter().copied().filter(ripe).collect();
        let mark = self.board.mark();
        if let Some((victims, hold)) = self.make_room(at, &now, claim) {
            return Some(self.commit(at, &victims, claim, hold));
        }
        self.board.rollback(mark);
        if now.len() == candidates.len() {
            return None;
        }
        let found = self.make_room(at, candidates, claim);
        self.board.rollback(mark);
        let ripe_at = |run: &usize| self.ripe_at(*run, claim);
        found.and_then(|(victims, _)| victims.iter().map(ripe_at).max()).map(Outcome::MinRun)
    }

    /// Release candidates until the workload fits, keep those that were not needed, and take
    /// what it needs. What was released and what it takes stays so on the working copy.
    fn make_room(
        &mut self,
        at: usize,
        candidates: &[usize],
        claim: Claim,
    ) -> Option<(Vec<usize>, Hold)> {
        let mark = self.board.mark();
        let mut room = Room::new(self, at);
        let mut victims = Vec::new();
        if !self.free_in_order(&mut room, candidates, claim, &mut victims) {
            self.board.rollback(mark);
            (room, victims) = (Room::new(self, at), Vec::new());
            self.free_machines(&mut room, candidates, claim, &mut victims);
            self.free_in_order(&mut room, candidates, claim, &mut victims);
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
        self.hold_near(at, &victims).then(|| self.holds.pop().map(|hold| (victims, hold)))?
    }

    /// Release candidates in their order until the workload fits; whether it does.
    fn free_in_order(
        &mut self,
        room: &mut Room,
        candidates: &[usize],
        claim: Claim,
        victims: &mut Vec<usize>,
    ) -> bool {
        let before = victims.len();
        for run in candidates {
            if room.fits(self) {
                return true;
            }
            if !victims[..before].contains(run) && self.may_stop(*run, claim) {
                room.change(self, *run, true);
                victims.push(*run);
            }
        }
        room.fits(self)
    }

    /// Release candidates machine by machine until the gang finds places: a queue gives back only
    /// what it has borrowed, which is not to be spent on machines that are of no help.
    fn free_machines(
        &mut self,
        room: &mut Room,
        candidates: &[usize],
        claim: Claim,
        victims: &mut Vec<usize>,
    ) {
        let held = self.by_machine(candidates);
        let mut machines = Vec::new();
        for on in held.chunk_by(|one, next| one.0 == next.0) {
            let (node, mark) = (on[0].0, self.board.mark());
            let before = Room::on(self, room.at, node);
            let freed = (0..on.len()).find(|number| {
                self.free_on(on, *number, (candidates, claim));
                Room::on(self, room.at, node) > before
            });
            self.board.rollback(mark);
            // Those come first where the least work is lost, as in the order of candidates.
            machines.extend(freed.map(|last| (on[last].1, on)));
        }
        machines.sort_unstable();
        for run in machines.iter().flat_map(|(_, on)| *on).map(|(_, place)| *place as usize) {
            let run = candidates[run];
            if room.has_places(self) {
                return;
            }
            let twice = self.board.running[run].nodes.len() > 1 && victims.contains(&run);
            if !twice && self.may_stop(run, claim) {
                room.change(self, run, true);
                victims.push(run);
            }
        }
    }

    fn commit(&mut self, at: usize, victims: &[usize], claim: Claim, hold: Hold) -> Outcome {
        let since = self.board.now.after(Millis(self.board.promises));
        self.board.promises += victims.len() as u64;
        self.board.waiting_mut()[at].owed.get_or_insert(since);
        let beneficiary = self.board.waiting[at].id;
        self.holds.push(hold);
        for run in victims {
            let (it, wait) = (&self.board.running[*run], &self.board.waiting[at]);
            let lower = it.seat == wait.seat && it.priority < wait.priority;
            let cause = match (self.is_owner(it.seat, claim), lower) {
                (true, _) => StopCause::Reclaim { beneficiary },
                (false, true) => StopCause::Preempt { beneficiary },
                (false, false) => StopCause::Suspend { beneficiary },
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
    /// On each machine.
    each: Vec<u32>,
    /// On all.
    slots: u64,
}

impl Room {
    /// The room there is.
    pub(crate) fn new(pass: &Pass<'_>, at: usize) -> Self {
        let nodes = 0..pass.board.pool.machines.len() as u32;
        // One that was tried and found no place has none on any machine.
        if pass.board.waiting[at].gang == 1 && pass.finds_no_places(at) {
            return Self { at, each: alloc::vec![0; nodes.len()], slots: 0 };
        }
        let each: Vec<u32> = nodes.map(|node| Self::on(pass, at, node)).collect();
        let slots = each.iter().map(|slots| u64::from(*slots)).sum();
        Self { at, each, slots }
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
        self.around(pass, run, |pass| match release {
            true => pass.board.release(run),
            false => pass.board.retain(run),
        });
    }

    /// Give back a running workload's places, and leave its share as it is.
    pub(crate) fn free_places(&mut self, pass: &mut Pass<'_>, run: usize) {
        self.around(pass, run, |pass| {
            let (pool, run) = (&mut pass.board.pool, &pass.board.running[run]);
            run.pieces.iter().for_each(|piece| pool.give(piece, Span::Later));
        });
    }

    fn around(&mut self, pass: &mut Pass<'_>, run: usize, change: impl FnOnce(&mut Pass<'_>)) {
        let nodes = Arc::clone(&pass.board.running[run].nodes);
        change(pass);
        for node in nodes.iter() {
            let slots = Self::on(pass, self.at, *node);
            let before = core::mem::replace(&mut self.each[*node as usize], slots);
            self.slots = self.slots - u64::from(before) + u64::from(slots);
        }
    }

    /// Slots of a machine, as far as they matter: a gang is not larger than this.
    fn on(pass: &Pass<'_>, at: usize, node: u32) -> u32 {
        let wait = &pass.board.waiting[at];
        let class = &pass.board.classes[wait.class as usize];
        pass.board.pool.slots(node, class, View::Later).min(u64::from(wait.gang)) as u32
    }
}
