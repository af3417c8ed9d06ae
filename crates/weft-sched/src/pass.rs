//! One look at the pool: all that is decided in it so far, and how one look leads to the next.
//!
//! Made and finished by `plan.rs`. Absent on purpose: deciding; each step of a look is a file that
//! adds its methods to [`Pass`].

use crate::backfill::Shadows;
use crate::board::{Board, Piece, Short};
use crate::claim::Level;
use crate::kept::{Drains, Kept};
use crate::prospect::Prospects;
use crate::reserve::Ending;
use crate::tried::Tried;
use crate::{Action, Reason, Snapshot, StopCause, Verdict};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use weft_types::{Timestamp, WorkloadId};

/// What was decided for a waiting workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Not looked at yet.
    Open,
    /// It starts.
    Started,
    /// Its retry waits.
    BackOff,
    /// It could not run on the empty pool.
    Impossible,
    /// Its share is used up.
    Quota(Short),
    /// What it needs is in use.
    Capacity,
    /// What it needs is kept for it, while these stop.
    Handover(Vec<WorkloadId>),
    /// Room can be made from then on.
    MinRun(Timestamp),
    /// This one of its queue goes first.
    Behind(WorkloadId),
}

impl Outcome {
    /// It waits for its turn.
    pub(crate) fn is_in_line(&self) -> bool {
        matches!(self, Outcome::Quota(_) | Outcome::Capacity | Outcome::Behind(_))
    }
}

/// What a workload lacks to start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lack {
    /// A share.
    Quota(Short),
    /// Places.
    Capacity,
}

impl From<Lack> for Outcome {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Quota(short) => Outcome::Quota(short),
            Lack::Capacity => Outcome::Capacity,
        }
    }
}

/// Capacity that is kept for a workload that waits.
#[derive(Debug)]
pub(crate) struct Hold {
    /// For which.
    pub(crate) id: WorkloadId,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// What is kept.
    pub(crate) pieces: Vec<Piece>,
    /// When it can be had, where that is known.
    pub(crate) at: Option<Timestamp>,
}

/// One look at the pool.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    /// What is planned for.
    pub(crate) snapshot: &'a Snapshot,
    /// The working copy.
    pub(crate) board: Board,
    /// For each waiting workload.
    pub(crate) outcomes: Vec<Outcome>,
    /// Waiting workloads in the order in which they were offered capacity.
    pub(crate) order: Vec<u32>,
    /// What is kept for whom.
    pub(crate) holds: Vec<Hold>,
    /// What starts, and where.
    pub(crate) started: Vec<(u32, Vec<Piece>)>,
    /// What is to be done so far.
    pub(crate) actions: Vec<Action>,
    /// Per seat, the waiting workload that later ones leave a resource to (see `reserve.rs`).
    pub(crate) first: BTreeMap<u32, (WorkloadId, usize)>,
    /// Seats with a reservation.
    pub(crate) reserved: BTreeSet<u32>,
    /// What taking back gave before: nothing, or a time (see `take_back.rs`).
    pub(crate) refused: BTreeMap<(u32, u32, u32, Level), Option<Timestamp>>,
    /// Waiting workloads for which something stops already.
    pub(crate) promised: BTreeSet<WorkloadId>,
    /// What could be had by taking back (see `prospect.rs`).
    pub(crate) prospects: Prospects,
    /// Tries to take back that came to nothing.
    pub(crate) failures: u32,
    /// Running workloads in the order of their ends, once somebody asked (see `reserve.rs`).
    pub(crate) ending: Option<Ending>,
    /// Who keeps what stops already and from then on goes first (see `promise.rs`).
    pub(crate) kept: Vec<(WorkloadId, Timestamp)>,
    /// Which machines are kept for large requests (see `drain.rs`).
    pub(crate) drains: Drains,
    /// Who may use what is kept for others meanwhile (see `backfill.rs`).
    pub(crate) shadows: Shadows,
    /// Something stops, so that later may hold more than now.
    pub(crate) stops: bool,
    /// For each seat, which of the waiting are its own.
    pub(crate) lines: Vec<Range<usize>>,
    /// What need not be tried again (see `tried.rs`).
    pub(crate) tried: Tried,
    /// After whom the look ends, where only that one is asked about; and whether it had its turn.
    pub(crate) last: Option<u32>,
    pub(crate) over: bool,
    /// Some of what starts was placed anew (see `rearrange.rs`).
    pub(crate) rearranged: bool,
    /// How often that was tried in vain.
    pub(crate) vain: u32,
}

impl<'a> Pass<'a> {
    /// Nothing decided yet.
    pub(crate) fn new(snapshot: &'a Snapshot, board: Board) -> Self {
        Self {
            snapshot,
            outcomes: alloc::vec![Outcome::Open; board.waiting.len()],
            order: Vec::with_capacity(board.waiting.len()),
            holds: Vec::new(),
            started: Vec::new(),
            actions: Vec::new(),
            first: BTreeMap::new(),
            reserved: BTreeSet::new(),
            refused: BTreeMap::new(),
            promised: board.running.iter().filter_map(|run| run.kept_for).collect(),
            prospects: Prospects::new(),
            failures: 0,
            ending: None,
            kept: Vec::new(),
            drains: Drains::default(),
            shadows: Shadows::default(),
            lines: crate::order::lines(&board),
            stops: board.running.iter().any(|run| run.stopping),
            tried: Tried::new(&board),
            last: None,
            over: false,
            rearranged: false,
            vain: 0,
            board,
        }
    }

    /// Stop a running workload; what it holds is free later.
    pub(crate) fn stop(&mut self, run: usize, cause: StopCause) {
        let it = &mut self.board.running_mut()[run];
        it.stopping = true;
        it.kept_for = cause.beneficiary();
        self.stops = true;
        let (workload, attempt) = (it.id, it.attempt);
        self.actions.push(Action::Stop { workload, attempt, cause });
    }

    /// The working copy as it is when what this look decided is done, for the next look: what was
    /// kept for others is free again, and what stops for one that waits holds its capacity until
    /// that one's turn comes.
    pub(crate) fn carry_over(self) -> Board {
        let mut board = self.board;
        for hold in &self.holds {
            board.drop_hold(hold.seat, &hold.pieces);
        }
        for Kept { seat, piece, .. } in &self.drains.kept {
            board.drop_hold(*seat, core::slice::from_ref(piece));
        }
        for (id, since) in &self.kept {
            if let Some(at) = board.find(self.snapshot, *id) {
                board.waiting_mut()[at].owed.get_or_insert(*since);
            }
        }
        board.begin(self.snapshot, self.started);
        board.await_turns(self.snapshot);
        board
    }

    /// What is said to each that waits.
    pub(crate) fn verdicts(
        &self,
        mut reasons: Vec<Option<Arc<Reason>>>,
        etas: &[Option<Timestamp>],
    ) -> BTreeMap<WorkloadId, Verdict> {
        let positions = self.positions();
        // In the order of ids, so that the map is built in one go; found, which is cheaper than
        // sorting.
        let ids: Vec<WorkloadId> = self.snapshot.workloads.keys().copied().collect();
        let mut places = alloc::vec![usize::MAX; ids.len()];
        for (at, wait) in self.board.waiting.iter().enumerate() {
            if let Ok(place) = ids.binary_search(&wait.id) {
                places[place] = at;
            }
        }
        let verdict = |(id, at): (WorkloadId, usize)| {
            let reason = reasons.get_mut(at)?.take()?;
            Some((id, Verdict { reason, position: positions[at], eta: etas[at] }))
        };
        ids.into_iter().zip(places).filter_map(verdict).collect()
    }
}
