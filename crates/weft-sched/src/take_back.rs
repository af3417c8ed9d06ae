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
//! Most that wait cannot be helped, and that has to be found cheaply: for all of a queue's
//! workloads alike, everything that may be stopped for them is released once, and what does not
//! fit even then is not tried.

use crate::StopCause;
use crate::board::{Charge, Span, View, Which};
use crate::claim::Claim;
use crate::pass::{Hold, Outcome, Pass};
use crate::rank::Rank;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::Millis;

/// Most tries in one look that come to nothing: each is a fraction of a millisecond, and all of
/// them together may take a part of the time a plan has. What is left out is tried when those
/// before it in their order no longer wait.
const FAILURES_MAX: u32 = 100;

/// What could be had if everything that may be stopped for a claim were.
#[derive(Debug)]
pub(crate) struct Prospect {
    /// The machines on which something would be freed.
    nodes: Vec<u32>,
    /// For each class, the members that would then find a place there, where they were counted.
    places: Vec<Option<u64>>,
    /// What the queue could then use more.
    headroom: Charge,
}

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
        if !self.has_prospect(at, claim) {
            return None;
        }
        let outcome = self.stop_for(at, claim);
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

    fn has_prospect(&mut self, at: usize, claim: Claim) -> bool {
        let (key, class) = (claim.key(), self.board.waiting[at].class);
        // What could be had at a higher level is at least as much.
        let known = self.prospects.get(&key);
        let covers = known.is_some_and(|(level, _)| level.covers(claim.level));
        let knows = |prospect: &Prospect| prospect.places[class as usize].is_some();
        if !covers || !known.is_some_and(|(_, known)| known.as_ref().is_none_or(knows)) {
            let level = known.map_or(claim.level, |(level, _)| level.join(claim.level));
            // Often something is taken back for the first that asks, and all is different for the
            // next: only for the second are all classes counted.
            let only = (!covers).then_some(class);
            let prospect = self.prospect(claim.at(level), only);
            self.prospects.insert(key, (level, prospect));
        }
        let wait = &self.board.waiting[at];
        self.prospects.get(&key).is_some_and(|(_, prospect)| match prospect {
            None => false,
            Some(prospect) => {
                let share = (0..3).all(|r| wait.charge[r] <= prospect.headroom[r]);
                let places = prospect.places[wait.class as usize].unwrap_or(0);
                share && self.with_others(at, places, &prospect.nodes)
            }
        })
    }

    /// Whether these places and those on other machines are enough for the whole gang.
    fn with_others(&self, at: usize, places: u64, nodes: &[u32]) -> bool {
        let wait = &self.board.waiting[at];
        if places == 0 && self.finds_no_places(at) {
            return false;
        }
        let (pool, class) = (&self.board.pool, &self.board.classes[wait.class as usize]);
        let mut sum = places;
        let others = (0..pool.machines.len() as u32).filter(|n| nodes.binary_search(n).is_err());
        let mut others = others.map(|node| pool.slots(node, class, View::Later));
        while sum < u64::from(wait.gang) {
            let Some(more) = others.next() else { return false };
            sum = sum.saturating_add(more);
        }
        true
    }

    /// What could be had for a claim, by members of all classes or of only one; none where nothing
    /// may be stopped for it.
    fn prospect(&mut self, claim: Claim, only: Option<u32>) -> Option<Prospect> {
        let candidates = self.candidates(claim);
        if candidates.is_empty() {
            return None;
        }
        let on = self.by_machine(&candidates);
        let counted = |class: u32| only.is_none_or(|only| only == class).then_some(0);
        let mut places: Vec<Option<u64>> =
            (0..self.board.classes.len() as u32).map(counted).collect();
        for (node, runs) in &on {
            let mark = self.board.mark();
            self.release_while_allowed(runs.iter().copied(), claim);
            let pool = &self.board.pool;
            for (places, class) in places.iter_mut().zip(&self.board.classes) {
                let more =
                    |places: u64| places.saturating_add(pool.slots(*node, class, View::Later));
                *places = places.map(more);
            }
            self.board.rollback(mark);
        }
        let mark = self.board.mark();
        self.release_while_allowed(candidates.into_iter(), claim);
        let headroom = self.board.books.headroom(Which::Later, claim.seat);
        self.board.rollback(mark);
        Some(Prospect { nodes: on.into_keys().collect(), places, headroom })
    }

    /// Release these, each as long as it may be stopped after those before it.
    fn release_while_allowed(&mut self, runs: impl Iterator<Item = usize>, claim: Claim) {
        for run in runs {
            if self.may_stop(run, claim) {
                self.board.release(run);
            }
        }
    }

    /// On each machine that they hold something of, the candidates in their order.
    fn by_machine(&self, candidates: &[usize]) -> BTreeMap<u32, Vec<usize>> {
        let mut on: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for run in candidates {
            for node in self.board.running[*run].nodes.iter() {
                on.entry(*node).or_default().push(*run);
            }
        }
        on
    }

    fn stop_for(&mut self, at: usize, claim: Claim) -> Option<Outcome> {
        let candidates = self.candidates(claim);
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
        let found = self.make_room(at, &candidates, claim);
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
        let on = self.by_machine(candidates);
        let place: BTreeMap<usize, usize> =
            candidates.iter().enumerate().map(|(place, run)| (*run, place)).collect();
        let mut machines = Vec::new();
        for (node, runs) in &on {
            let mark = self.board.mark();
            let before = Room::on(self, room.at, *node);
            let freed = runs.iter().position(|run| {
                self.release_while_allowed(core::iter::once(*run), claim);
                Room::on(self, room.at, *node) > before
            });
            self.board.rollback(mark);
            // Those come first where the least work is lost, as in the order of candidates.
            machines.extend(freed.map(|last| (place[&runs[last]], *node)));
        }
        machines.sort_unstable();
        for (_, node) in machines {
            for run in &on[&node] {
                if room.has_places(self) {
                    return;
                }
                let twice = self.board.running[*run].nodes.len() > 1 && victims.contains(run);
                if !twice && self.may_stop(*run, claim) {
                    room.change(self, *run, true);
                    victims.push(*run);
                }
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
