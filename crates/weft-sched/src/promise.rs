//! Keeping what is being handed over for the workload it was taken back for.
//!
//! The workloads with a promise come before all others, each with its own victims only, so that
//! what the plan before decided is found again and nothing more is taken back for them.

use crate::board::Run;
use crate::pass::{Outcome, Pass};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::WorkloadId;

impl Pass<'_> {
    /// Give what stops for a waiting workload to it, before anyone else is asked.
    pub(crate) fn keep_promises(&mut self) {
        let mut promised: BTreeMap<WorkloadId, Vec<usize>> = BTreeMap::new();
        for (run, it) in self.board.running.iter().enumerate() {
            if let Some(id) = it.kept_for {
                promised.entry(id).or_default().push(run);
            }
        }
        for (id, victims) in promised {
            victims.iter().for_each(|run| self.board.release(*run));
            self.grown();
            let found = self.board.waiting.binary_search_by_key(&id, |wait| wait.id);
            let Ok(at) = found else { continue };
            if self.board.waiting[at].pending.not_before > self.board.now {
                continue;
            }
            if self.start(at).is_ok() {
                self.decided(at, Outcome::Started);
            } else if self.hold_later(at) {
                let victims = victims.iter().map(|run| self.board.running[*run].id).collect();
                self.decided(at, Outcome::Handover(victims));
            }
        }
    }

    /// Keep for a workload what is free once everything that stops is gone.
    pub(crate) fn hold_released(&mut self, at: usize) -> Option<Vec<WorkloadId>> {
        let stops = |run: &&Run<'_>| run.stopping;
        if !self.stops || !self.hold_later(at) {
            return None;
        }
        let pieces = self.holds.last().map_or(&[][..], |hold| &hold.pieces);
        let touches = |run: &&Run<'_>| {
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

    fn decided(&mut self, at: usize, outcome: Outcome) {
        self.order.push(at as u32);
        self.outcomes[at] = outcome;
    }
}
