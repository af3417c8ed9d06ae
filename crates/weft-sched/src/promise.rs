//! Keeping what is being handed over for the workload it was taken back for.
//!
//! The workloads with a promise come before all others, each with its own victims only, so that
//! what the plan before decided is found again and nothing more is taken back for them.

use crate::board::Run;
use crate::pass::{Outcome, Pass};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::{Millis, WorkloadId};

impl Pass<'_> {
    /// Give what was stopped for a waiting workload to it, before anyone else is asked, in the
    /// order in which it was promised: first a place is kept for each, best where its own victims
    /// are, then each starts that can already. Those whose victims are gone are offered what there
    /// is next.
    pub(crate) fn keep_promises(&mut self) {
        let mut victims: BTreeMap<WorkloadId, Vec<usize>> = BTreeMap::new();
        for (run, it) in self.board.running.iter().enumerate() {
            if let Some(id) = it.kept_for {
                victims.entry(id).or_default().push(run);
            }
        }
        let promised = victims.keys().filter_map(|id| self.board.find(self.snapshot, *id));
        let owed =
            (0..self.board.waiting.len()).filter(|at| self.board.waiting[*at].owed.is_some());
        let mut owed: Vec<usize> = owed.chain(promised).collect();
        let first = |at: &usize| {
            let wait = &self.board.waiting[*at];
            (wait.owed.unwrap_or(self.board.now), wait.id)
        };
        owed.sort_by_key(first);
        owed.dedup();
        let apart = self.without_victims();
        for at in owed.iter().copied() {
            let ready = self.board.waiting[at].not_before <= self.board.now;
            let Some(victims) = victims.remove(&self.board.waiting[at].id) else {
                if ready {
                    self.keep_owed(at, &apart);
                }
                continue;
            };
            victims.iter().for_each(|run| self.board.release(*run));
            self.grown();
            if ready && self.hold_near(at, &victims) {
                let victims = victims.iter().map(|run| self.board.running[*run].id).collect();
                self.order.push(at as u32);
                self.outcomes[at] = Outcome::Handover(victims);
            }
        }
        // For whom nobody waits any more.
        for run in victims.into_values().flatten() {
            self.board.release(run);
            self.grown();
        }
        for at in self.order.clone() {
            self.start_kept(at as usize);
        }
        for at in owed {
            if self.outcomes[at] == Outcome::Open {
                self.offer(at);
            }
        }
    }

    /// The machines on which nothing stops for one that waits.
    fn without_victims(&self) -> Vec<u32> {
        let mut free = alloc::vec![true; self.board.pool.machines.len()];
        let victims = self.board.running.iter().filter(|run| run.kept_for.is_some());
        victims.for_each(|run| run.nodes.iter().for_each(|node| free[*node as usize] = false));
        (0..free.len() as u32).filter(|node| free[*node as usize]).collect()
    }

    /// What stopped for it is gone: it keeps its place before those who were promised something
    /// later, best where nothing stops for them, and starts once they have theirs; or it starts.
    /// Else it is offered what there is after them.
    fn keep_owed(&mut self, at: usize, apart: &[u32]) {
        self.board.pool.preferred = apart.to_vec();
        let held = self.afresh(at, |pass| pass.hold_released(at));
        self.board.pool.preferred = Vec::new();
        let outcome = match held {
            Some(victims) => Outcome::Handover(victims),
            None => match self.afresh(at, |pass| pass.start(at)) {
                Ok(()) => Outcome::Started,
                Err(_) => return,
            },
        };
        self.order.push(at as u32);
        self.outcomes[at] = outcome;
    }

    /// Keep a place for it later, best on the machines of these running workloads.
    pub(crate) fn hold_near(&mut self, at: usize, victims: &[usize]) -> bool {
        let nodes = victims.iter().flat_map(|run| self.board.running[*run].nodes.iter());
        self.board.pool.preferred = nodes.copied().collect();
        self.board.pool.preferred.sort_unstable();
        self.board.pool.preferred.dedup();
        let held = self.afresh(at, |pass| pass.hold_later(at));
        self.board.pool.preferred = Vec::new();
        held
    }

    /// Start it at once if what is kept for it is not needed any more.
    fn start_kept(&mut self, at: usize) {
        let id = self.board.waiting[at].id;
        let Some(hold) = self.holds.iter().position(|hold| hold.id == id) else { return };
        let mark = self.board.mark();
        self.board.drop_hold(self.holds[hold].seat, &self.holds[hold].pieces);
        match self.afresh(at, |pass| pass.start(at)) {
            Ok(()) => {
                self.holds.remove(hold);
                self.outcomes[at] = Outcome::Started;
            }
            Err(_) => self.board.rollback(mark),
        }
    }

    /// Keep for a workload what is free once everything that stops is gone. One that stays within
    /// its own share goes first from then on, so that no other takes that from it and the next.
    pub(crate) fn hold_released(&mut self, at: usize) -> Option<Vec<WorkloadId>> {
        let stops = |run: &&Run| run.stopping;
        if !self.stops || self.finds_no_places(at) {
            return None;
        }
        let entitled = self.is_entitled(at);
        if !self.hold_later(at) {
            return None;
        }
        if entitled && self.board.waiting[at].owed.is_none() {
            let since = self.board.now.after(Millis(self.board.promises));
            self.kept.push((self.board.waiting[at].id, since));
        }
        let pieces = self.holds.last().map_or(&[][..], |hold| &hold.pieces);
        let touches = |run: &&Run| {
            run.pieces.iter().any(|piece| pieces.iter().any(|kept| kept.node == piece.node))
        };
        let stopping = || self.board.running.iter().filter(stops);
        let near: Vec<_> = stopping().filter(touches).map(|run| run.id).collect();
        match near.is_empty() {
            false => Some(near),
            // It lacked a share, not a place: any of them may be the one that gives it back.
            true => Some(stopping().map(|run| run.id).collect()),
        }
    }
}
