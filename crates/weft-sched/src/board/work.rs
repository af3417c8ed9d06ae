//! What a working copy knows of each workload: what runs with what it holds, and what waits.
//!
//! What a look reads of all of them lies in one row here rather than in the snapshot: following a
//! pointer for each costs more than the question. Absent on purpose: a reference to the snapshot;
//! a copy outlives it (`change.rs`).

use super::load::Board;
use super::pool::Piece;
use super::quota::Charge;
use crate::rank::{Effort, Rank, slice};
use crate::{Snapshot, Workload};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::{Attempt, Kind, Millis, ReclaimPolicy, Timestamp, WorkloadId};

/// A workload that holds capacity.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Which.
    pub(crate) id: WorkloadId,
    /// It ends some day, known or not: a job.
    pub(crate) job: bool,
    /// Which start of it this is.
    pub(crate) attempt: Attempt,
    /// Its priority.
    pub(crate) priority: i32,
    /// What may be taken back from it.
    pub(crate) reclaim: ReclaimPolicy,
    /// When its capacity was committed.
    pub(crate) since: Timestamp,
    /// From when it may be taken back.
    pub(crate) ripe_at: Timestamp,
    /// From when it may be suspended for one that was served less, if it can be.
    pub(crate) slice_ends_at: Option<Timestamp>,
    /// How much work it is, where its queue shares time.
    pub(crate) effort: Option<Effort>,
    /// Its rank in its queue at this moment.
    pub(crate) rank: Rank,
    /// When it has run as long as it may.
    pub(crate) limit_at: Option<Timestamp>,
    /// When it ends, as far as that is known.
    pub(crate) ends_at: Option<Timestamp>,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// What it counts there.
    pub(crate) charge: Charge,
    /// What it holds, as far as it exists.
    pub(crate) pieces: Arc<[Piece]>,
    /// On which machines, each once, in order.
    pub(crate) nodes: Arc<[u32]>,
    /// It is stopping, or this plan stops it.
    pub(crate) stopping: bool,
    /// It stops for a workload that waits: what it gives back is kept until that one's turn.
    pub(crate) kept_for: Option<WorkloadId>,
}

/// A workload that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    /// Which.
    pub(crate) id: WorkloadId,
    /// The number its next start will carry.
    pub(crate) attempt: Attempt,
    /// Its priority.
    pub(crate) priority: i32,
    /// Its rank in its queue.
    pub(crate) rank: Rank,
    /// When it was submitted.
    pub(crate) submitted_at: Timestamp,
    /// When it will have waited so long that it goes first in a queue that shares time.
    pub(crate) aged_at: Option<Timestamp>,
    /// When it will have waited so long that it is protected from being passed.
    pub(crate) protected_at: Timestamp,
    /// Since when something has been stopped for it.
    pub(crate) owed: Option<Timestamp>,
    /// When it may start.
    pub(crate) not_before: Timestamp,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// Its request's class.
    pub(crate) class: u32,
    /// Members, at least 1.
    pub(crate) gang: u32,
    /// The least it can count in its queue.
    pub(crate) charge: Charge,
    /// How long it will hold capacity, as far as that is known.
    pub(crate) lasts: Option<Millis>,
}

impl Wait {
    /// Its place: its queue, then higher priority, lower rank, earlier, smaller id.
    pub(crate) fn place(&self) -> (u32, Reverse<i32>, Rank, Timestamp, WorkloadId) {
        (self.seat, Reverse(self.priority), self.rank, self.submitted_at, self.id)
    }
}

impl Run {
    /// One that holds these pieces since then, and does not stop; with the moment, where its queue
    /// shares time.
    pub(crate) fn new(
        (id, workload): (WorkloadId, &Workload),
        (attempt, since): (Attempt, Timestamp),
        (seat, charge): (u32, Charge),
        pieces: Vec<Piece>,
        shared: Option<Timestamp>,
    ) -> Self {
        // Never at the moment of its start, or one plan could start and stop it.
        let mut nodes: Vec<u32> = pieces.iter().map(|piece| piece.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let after = |span: Millis| since.after(span.max(Millis(1)));
        let ripe_at = after(workload.reclaim.min_run_ms);
        let slice = shared.and(slice(workload)).map(|slice| after(slice).max(ripe_at));
        let mut run = Self {
            id,
            job: workload.kind == Kind::Job,
            attempt,
            priority: workload.priority,
            reclaim: workload.reclaim,
            since,
            ripe_at,
            slice_ends_at: slice,
            effort: shared.map(|_| Effort::of(workload)),
            rank: Rank::default(),
            limit_at: workload.max_duration.map(after),
            ends_at: lasts(workload).map(|span| since.after(span)),
            seat,
            charge,
            pieces: pieces.into(),
            nodes: nodes.into(),
            stopping: false,
            kept_for: None,
        };
        if let Some(now) = shared {
            run.rank_at(now);
        }
        run
    }

    /// Give it the rank that it has at this moment.
    pub(crate) fn rank_at(&mut self, now: Timestamp) {
        if let Some(effort) = &self.effort {
            let ran = effort.served.0.saturating_add(now.since(self.since).0);
            self.rank = Rank::new(effort, Millis(ran), self.charge);
        }
    }
}

/// How long a workload will hold capacity in this start, as far as that is known: what earlier
/// ones left of what is expected in all, and the limit of this one. Who has run longer than was
/// expected is taken to need half as long again as it ran, which is all that can be said.
pub(crate) fn lasts(workload: &Workload) -> Option<Millis> {
    let served = workload.served.0;
    let expected = workload.expected.map(|expected| match expected.0.saturating_sub(served) {
        0 if served > 0 => Millis(served / 2),
        left => Millis(left),
    });
    match (expected, workload.max_duration) {
        (Some(expected), Some(limit)) => Some(expected.min(limit)),
        (expected, limit) => expected.or(limit),
    }
}

/// From one look to the next.
impl Board {
    /// The working copy once these of the waiting run where they were placed.
    pub(crate) fn begin(&mut self, snapshot: &Snapshot, started: Vec<(u32, Vec<Piece>)>) {
        if started.is_empty() {
            self.price();
            return;
        }
        let mut begun = alloc::vec![false; self.waiting.len()];
        for (at, pieces) in started {
            begun[at as usize] = true;
            let wait = &self.waiting[at as usize];
            let Some(workload) = snapshot.workloads.get(&wait.id) else { continue };
            let (who, start) = ((wait.id, workload), (wait.attempt, self.now));
            let counts = (wait.seat, self.charge_of(&pieces));
            let shares = self.books.tree.seats[wait.seat as usize].shares_time;
            let shared = shares.then_some(self.now);
            self.running_mut().push(Run::new(who, start, counts, pieces, shared));
        }
        let mut at = 0..;
        self.waiting_mut().retain(|_| at.next().is_none_or(|at: usize| !begun[at]));
        self.order_running();
        self.price();
    }

    /// One that began in this plan holds these as well; they are taken already.
    pub(crate) fn extend(&mut self, snapshot: &Snapshot, run: usize, more: Vec<Piece>) {
        let it = &self.running[run];
        let Some(workload) = snapshot.workloads.get(&it.id) else { return };
        let pieces: Vec<Piece> = it.pieces.iter().cloned().chain(more).collect();
        let (who, start) = ((it.id, workload), (it.attempt, it.since));
        let counts = (it.seat, self.charge_of(&pieces));
        let shares = self.books.tree.seats[it.seat as usize].shares_time;
        let shared = shares.then_some(self.now);
        self.running_mut()[run] = Run::new(who, start, counts, pieces, shared);
    }

    /// Bring what runs into the order of ids, and each seat's together.
    pub(crate) fn order_running(&mut self) {
        self.running.sort_by_key(|run| run.id);
        self.by_seat.clear();
        for (at, run) in self.running.iter().enumerate() {
            self.by_seat.entry(run.seat).or_default().push(at);
        }
    }

    /// What stops for one that waits holds its capacity again, until that one's turn comes.
    pub(crate) fn await_turns(&mut self, snapshot: &Snapshot) {
        for run in 0..self.running.len() {
            let Some(id) = self.running[run].kept_for else { continue };
            match self.find(snapshot, id) {
                Some(_) => self.retain(run),
                None => self.running_mut()[run].kept_for = None,
            }
        }
    }
}
