//! The planner with a memory: the working copy is kept from plan to plan.
//!
//! Called by the server's loop and the simulator, which plan again and again on a pool of which
//! little has changed. A plan is the one that [`crate::plan()`] makes of the same snapshot: the
//! copy is only ever what that one would build, a property over random histories. Absent on
//! purpose: any state that is not in the snapshot.

use crate::board::Board;
use crate::plan::{explained, settle, settled};
use crate::{Action, Node, Plan, Queue, Snapshot, Workload};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use weft_types::{NodeId, Timestamp, WorkloadId};

/// A snapshot that is planned on again and again, and what is remembered of it.
#[derive(Debug, Default)]
pub struct Engine {
    snapshot: Arc<Snapshot>,
    /// None where it has to be made anew.
    board: Option<Board>,
    /// Workloads that changed since the board was made.
    changed: BTreeSet<WorkloadId>,
}

impl Engine {
    /// Of this snapshot.
    pub fn new(snapshot: impl Into<Arc<Snapshot>>) -> Self {
        Self { snapshot: snapshot.into(), ..Self::default() }
    }

    /// The snapshot as it is now.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Take the place of the snapshot by a later one; what differs is found by comparing.
    pub fn replace(&mut self, snapshot: impl Into<Arc<Snapshot>>) {
        let before = core::mem::replace(&mut self.snapshot, snapshot.into());
        let after = &self.snapshot;
        let usual = before.market == after.market && before.large == after.large;
        let same = before.nodes == after.nodes && usual;
        if !same || !same_shares(&before, after) {
            self.board = None;
        }
        if self.board.is_none() {
            return;
        }
        let (mut old, mut new) = (before.workloads.iter().peekable(), after.workloads.iter());
        let mut next = new.next();
        loop {
            match (old.peek(), next) {
                (None, None) => return,
                (Some((a, one)), Some((b, other))) if *a == b => {
                    if *one != other {
                        self.changed.insert(*b);
                    }
                    old.next();
                    next = new.next();
                }
                (Some((a, _)), other) if other.is_none_or(|(b, _)| *a < b) => {
                    self.changed.insert(**a);
                    old.next();
                }
                (_, Some((b, _))) => {
                    self.changed.insert(*b);
                    next = new.next();
                }
                (Some(_), None) => return,
            }
        }
    }

    /// A workload came, changed, or is gone.
    pub fn set(&mut self, id: WorkloadId, workload: Option<Workload>) {
        let workloads = &mut Arc::make_mut(&mut self.snapshot).workloads;
        match workload {
            Some(workload) => workloads.insert(id, workload),
            None => workloads.remove(&id),
        };
        self.changed.insert(id);
    }

    /// A workload, to be changed in place.
    pub fn workload_mut(&mut self, id: WorkloadId) -> Option<&mut Workload> {
        let workload = Arc::make_mut(&mut self.snapshot).workloads.get_mut(&id)?;
        self.changed.insert(id);
        Some(workload)
    }

    /// A machine, to be changed in place: the copy is made anew.
    pub fn node_mut(&mut self, id: &NodeId) -> Option<&mut Node> {
        let node = Arc::make_mut(&mut self.snapshot).nodes.get_mut(id)?;
        self.board = None;
        Some(node)
    }

    /// Notes for whom a plan stops others, as [`crate::owe`] does.
    pub fn owe(&mut self, plan: &Plan, now: Timestamp) {
        self.changed.extend(plan.promises(now).map(|(id, _)| id));
        crate::owe(Arc::make_mut(&mut self.snapshot), plan, now);
    }

    /// Every action of a plan is committed, as [`crate::apply()`] does.
    pub fn commit(&mut self, plan: &Plan, now: Timestamp) {
        for action in &plan.actions {
            self.changed.insert(action.workload());
            if let Action::Stop { cause, .. } = action {
                self.changed.extend(cause.beneficiary());
            }
        }
        self.changed.extend(plan.kept.iter().map(|(id, _)| *id));
        crate::apply::commit_all(Arc::make_mut(&mut self.snapshot), plan, now);
    }

    /// The plan for now, as [`crate::plan()`] makes it.
    pub fn plan(&mut self, now: Timestamp) -> Plan {
        self.run(now, |snapshot, board| {
            let (actions, last) = settle(snapshot, board);
            explained(snapshot, actions, last)
        })
    }

    /// The plan without its verdicts, as [`crate::decide`] makes it.
    pub fn decide(&mut self, now: Timestamp) -> Plan {
        self.run(now, |snapshot, board| {
            let (actions, last) = settle(snapshot, board);
            settled(snapshot, actions, last)
        })
    }

    /// Do something with the working copy of this moment that is undone afterwards.
    pub(crate) fn run<T>(
        &mut self,
        now: Timestamp,
        plan: impl FnOnce(&Snapshot, Board) -> (T, Board),
    ) -> T {
        let changed = core::mem::take(&mut self.changed);
        let kept = self
            .board
            .take()
            .and_then(|mut board| board.catch_up(&self.snapshot, changed, now).then_some(board));
        let mut board = kept.unwrap_or_else(|| Board::new(&self.snapshot, now));
        board.begin_plan();
        let (plan, mut board) = plan(&self.snapshot, board);
        board.undo();
        self.board = Some(board);
        plan
    }
}

/// Whether the queues are the same, but for what they have held lately.
fn same_shares(before: &Snapshot, after: &Snapshot) -> bool {
    let same = |one: &Queue, other: &Queue| *one == Queue { recent: one.recent, ..other.clone() };
    let pairs = || before.queues.iter().zip(&after.queues);
    before.queues.len() == after.queues.len()
        && pairs().all(|((a, one), (b, other))| a == b && same(one, other))
}
