//! Keeping a working copy from one plan to the next: what was tried is undone, and only the
//! workloads that changed since are counted again.
//!
//! Called by the engine. A copy that was kept gives the same plans as one made anew: a property
//! over random histories. Absent on purpose: machines and queues that change; the copy is then
//! made anew.

use super::load::Board;
use super::pool::Span;
use super::quota::Which;
use super::work::{Run, Wait};
use crate::rank::Rank;
use crate::{Snapshot, WorkloadState};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use weft_types::{Timestamp, WorkloadId};

/// Classes of requests that nobody has any more are forgotten when there are this many of them
/// for each one that is in use, and [`CLASSES_MIN`] in all.
const CLASSES_UNUSED_MAX: usize = 4;
/// Fewer classes are not worth forgetting.
const CLASSES_MIN: usize = 64;

/// What runs and what waits as it was before a plan changed it; most plans change little or
/// nothing, and what they do not change is not copied.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Somebody will want it back.
    wanted: bool,
    running: Option<Vec<Run>>,
    waiting: Option<Vec<Wait>>,
}

impl Board {
    /// A point to come back to with [`Board::undo`]: from here on everything is recorded.
    pub(crate) fn begin_plan(&mut self) {
        self.promises = 0;
        self.pool.forget_changes();
        self.books.forget_changes();
        self.before = Before { wanted: true, ..Before::default() };
    }

    /// Undo all that was tried and decided since.
    pub(crate) fn undo(&mut self) {
        self.rollback((0, 0));
        let before = core::mem::take(&mut self.before);
        if let Some(running) = before.running {
            self.running = running;
            self.order_running();
        }
        if let Some(waiting) = before.waiting {
            self.waiting = waiting;
        }
    }

    /// What runs, to be changed.
    pub(crate) fn running_mut(&mut self) -> &mut Vec<Run> {
        let before = &mut self.before;
        if before.wanted && before.running.is_none() {
            before.running = Some(self.running.clone());
        }
        &mut self.running
    }

    /// What waits, to be changed.
    pub(crate) fn waiting_mut(&mut self) -> &mut Vec<Wait> {
        let before = &mut self.before;
        if before.wanted && before.waiting.is_none() {
            before.waiting = Some(self.waiting.clone());
        }
        &mut self.waiting
    }

    /// Count again what changed since the copy was made or last caught up. Whether it could: not
    /// where time has gone back, a queue is new, or too many classes are in nobody's use.
    pub(crate) fn catch_up(
        &mut self,
        snapshot: &Snapshot,
        mut changed: BTreeSet<WorkloadId>,
        now: Timestamp,
    ) -> bool {
        if now < self.now || self.has_old_classes() {
            return false;
        }
        self.now = now;
        self.books.tree.tell_recent(snapshot);
        // For whom a workload stops matters only while that one waits.
        changed.extend(self.running.iter().filter(|run| run.stopping).map(|run| run.id));
        self.forget(&changed);
        if !self.count_in(snapshot, &changed) {
            return false;
        }
        self.rank_again();
        self.price();
        self.ever = crate::possible::ever(self);
        true
    }

    fn has_old_classes(&self) -> bool {
        let classes = self.classes.len();
        if classes < CLASSES_MIN {
            return false;
        }
        let mut used = alloc::vec![false; classes];
        self.waiting.iter().for_each(|wait| used[wait.class as usize] = true);
        classes > used.iter().filter(|used| **used).count() * (1 + CLASSES_UNUSED_MAX)
    }

    /// Give back what these hold, and forget them.
    fn forget(&mut self, gone: &BTreeSet<WorkloadId>) {
        if gone.is_empty() {
            return;
        }
        for id in gone {
            let Ok(at) = self.running.binary_search_by_key(id, |run| run.id) else { continue };
            let run = &self.running[at];
            if run.stopping && run.kept_for.is_none() {
                self.retain(at);
            }
            let run = &self.running[at];
            run.pieces.iter().for_each(|piece| self.pool.give(piece, Span::Both));
            self.books.give(&Which::ALL, run.seat, &run.charge);
        }
        self.running.retain(|run| !gone.contains(&run.id));
        self.waiting.retain(|wait| !gone.contains(&wait.id));
    }

    /// Count these in as they are now; false where one is of a queue that is not known here.
    fn count_in(&mut self, snapshot: &Snapshot, changed: &BTreeSet<WorkloadId>) -> bool {
        for id in changed {
            let Some(workload) = snapshot.workloads.get(id) else { continue };
            let Some(seat) = self.books.tree.leaf(&workload.queue) else { return false };
            self.add(snapshot, (*id, workload, seat));
        }
        self.order_running();
        true
    }

    /// Ranks move with time; then everybody has a place again.
    fn rank_again(&mut self) {
        let now = self.now;
        self.running.iter_mut().for_each(|run| run.rank_at(now));
        for wait in &mut self.waiting {
            if wait.aged_at.is_some_and(|at| at <= now) {
                wait.rank = Rank::default();
            }
        }
        // Nearly in order: a merge of what is and what came.
        self.waiting.sort_by_key(Wait::place);
    }
}

/// Whether a workload waits.
pub(super) fn is_waiting(snapshot: &Snapshot, id: WorkloadId) -> bool {
    let workload = snapshot.workloads.get(&id);
    workload.is_some_and(|workload| matches!(workload.state, WorkloadState::Pending(_)))
}
