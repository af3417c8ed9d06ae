//! What could be had if everything that may be stopped for a claim were, so that most that wait
//! are refused without a try.
//!
//! For all of a queue's workloads alike, everything that may be stopped for them is released once,
//! and what does not fit even then is not tried. It is counted only as far as anybody of the queue
//! who is still to have a turn asks: members of each of their classes up to their largest gang, and
//! share up to the largest they count. Called by `take_back.rs` before each try.

use crate::board::{Charge, View, Which};
use crate::claim::{Claim, Level};
use crate::pass::{Outcome, Pass};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What is known of each claim, of any level up to the one it was counted for.
pub(crate) type Prospects = BTreeMap<(u32, u8, u8), (Level, Option<Prospect>)>;

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

/// The most that anybody asks who is still to have a turn: what is counted beyond helps nobody.
struct Most {
    /// The largest gang of each class; 0 where nobody asks.
    gangs: Vec<u32>,
    charge: Charge,
}

/// A candidate on a machine: the machine, its place among the candidates.
pub(crate) type Held = (u32, u32);

impl Pass<'_> {
    /// Those that may be stopped for a workload's claim, if it fits when all of them are.
    pub(crate) fn has_prospect(&mut self, at: usize, claim: Claim) -> Option<Vec<usize>> {
        let (key, class) = (claim.key(), self.board.waiting[at].class);
        // What could be had at a higher level is at least as much.
        let known = self.prospects.get(&key);
        let covers = known.is_some_and(|(level, _)| level.covers(claim.level));
        let knows = |prospect: &Prospect| prospect.places[class as usize].is_some();
        let mut found = None;
        if !covers || !known.is_some_and(|(_, known)| known.as_ref().is_none_or(knows)) {
            let level = known.map_or(claim.level, |(level, _)| level.join(claim.level));
            // Often something is taken back for the first that asks, and all is different for the
            // next: only for the second are all classes counted.
            let only = (!covers).then_some(class);
            let candidates = self.candidates(claim.at(level));
            let prospect = self.prospect(at, claim.at(level), (&candidates, only));
            self.prospects.insert(key, (level, prospect));
            found = (level == claim.level).then_some(candidates);
        }
        let (_, prospect) = self.prospects.get(&key)?;
        let (prospect, wait) = (prospect.as_ref()?, &self.board.waiting[at]);
        let share = (0..3).all(|r| wait.charge[r] <= prospect.headroom[r]);
        let places = prospect.places[wait.class as usize].unwrap_or(0);
        let fits = share && self.with_others(at, places, &prospect.nodes);
        fits.then(|| found.unwrap_or_else(|| self.candidates(claim)))
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
    fn prospect(
        &mut self,
        at: usize,
        claim: Claim,
        (candidates, only): (&[usize], Option<u32>),
    ) -> Option<Prospect> {
        if candidates.is_empty() {
            return None;
        }
        let (held, most) = (self.by_machine(candidates), self.most(at));
        let places = self.places_freed((candidates, &held), claim, (&most, only));
        let headroom = self.headroom_freed(candidates, claim, &most);
        let nodes = held.chunk_by(|one, next| one.0 == next.0).map(|on| on[0].0);
        Some(Prospect { nodes: nodes.collect(), places, headroom })
    }

    /// The most that this one asks and those of its queue that are still to have a turn.
    fn most(&self, at: usize) -> Most {
        let (board, seat) = (&self.board, self.board.waiting[at].seat);
        let mut most = Most { gangs: alloc::vec![0; board.classes.len()], charge: [0; 3] };
        let first = board.waiting.partition_point(|wait| wait.seat < seat);
        let line = board.waiting[first..].iter().take_while(|wait| wait.seat == seat);
        for (number, wait) in (first..).zip(line) {
            if number == at || self.outcomes[number] == Outcome::Open {
                let gang = &mut most.gangs[wait.class as usize];
                *gang = wait.gang.max(*gang);
                (0..3).for_each(|r| most.charge[r] = wait.charge[r].max(most.charge[r]));
            }
        }
        most
    }

    /// For each class, or only one, the members that find a place on the candidates' machines when
    /// they are gone, each as long as it may be stopped after those before it on its machine.
    fn places_freed(
        &mut self,
        (candidates, held): (&[usize], &[Held]),
        claim: Claim,
        (most, only): (&Most, Option<u32>),
    ) -> Vec<Option<u64>> {
        let asked =
            |class: &u32| most.gangs[*class as usize] > 0 && only.is_none_or(|only| only == *class);
        let mut open: Vec<u32> = (0..most.gangs.len() as u32).filter(asked).collect();
        let mut places: Vec<Option<u64>> = alloc::vec![None; most.gangs.len()];
        open.iter().for_each(|class| places[*class as usize] = Some(0));
        for on in held.chunk_by(|one, next| one.0 == next.0) {
            if open.is_empty() {
                break;
            }
            let (node, mark) = (on[0].0, self.board.mark());
            for number in 0..on.len() {
                self.free_on(on, number, (candidates, claim));
            }
            let (pool, classes) = (&self.board.pool, &self.board.classes);
            open.retain(|class| {
                let more = pool.slots(node, &classes[*class as usize], View::Later);
                let sum = places[*class as usize].unwrap_or(0).saturating_add(more);
                places[*class as usize] = Some(sum);
                sum < u64::from(most.gangs[*class as usize])
            });
            self.board.rollback(mark);
        }
        places
    }

    /// What the claim's queue could use more when the candidates are gone.
    fn headroom_freed(&mut self, candidates: &[usize], claim: Claim, most: &Most) -> Charge {
        let mark = self.board.mark();
        let mut headroom = self.board.books.headroom(Which::Later, claim.seat);
        for (number, run) in (1_usize..).zip(candidates) {
            if self.may_stop(*run, claim) {
                let run = &self.board.running[*run];
                self.board.books.give(&Which::STOPPING, run.seat, &run.charge);
            }
            // It only grows; looked at so seldom, to look costs little beside the giving.
            if number.is_power_of_two() || number == candidates.len() {
                headroom = self.board.books.headroom(Which::Later, claim.seat);
                if (0..3).all(|r| most.charge[r] <= headroom[r]) {
                    break;
                }
            }
        }
        self.board.rollback(mark);
        headroom
    }

    /// Give back what one of those on a machine holds there, if it may be stopped after those
    /// before it; and what decides whether the next may be stopped.
    pub(crate) fn free_on(
        &mut self,
        on: &[Held],
        number: usize,
        (candidates, claim): (&[usize], Claim),
    ) {
        let (node, place) = on[number];
        let run = candidates[place as usize];
        if self.may_stop(run, claim) {
            self.board.release_on(node, run);
            if number + 1 < on.len() {
                let run = &self.board.running[run];
                self.board.books.give(&[Which::Sure], run.seat, &run.charge);
            }
        }
    }

    /// The candidates on each machine that they hold something of: by machine, then in their order.
    pub(crate) fn by_machine(&self, candidates: &[usize]) -> Vec<Held> {
        let nodes = |run: usize| self.board.running[run].nodes.iter();
        let held = (0..)
            .zip(candidates)
            .flat_map(|(place, run)| nodes(*run).map(move |node| (*node, place)));
        let mut held: Vec<Held> = held.collect();
        held.sort_unstable();
        held
    }
}
