//! One look at the pool: what is decided for each workload, and the offer of capacity to one.
//!
//! Each other step of the look is a file that adds one method to [`Pass`].

use crate::backfill::Shadows;
use crate::board::{Board, Charge, Pick, Piece, Short, Span, View, Which};
use crate::claim::Level;
use crate::reserve::Ending;
use crate::take_back::Prospect;
use crate::{Action, Grant, Placement, Reason, Snapshot, StopCause, Verdict};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use weft_types::{Bytes, DeviceId, Member, MilliGpu, Timestamp, WorkloadId};

/// Gangs up to this size are placed without counting first whether they fit: undoing so few is
/// cheaper than counting.
const PLACED_AT_ONCE: u32 = 8;

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

/// One that could not be helped, for those that are like it or harder.
#[derive(Debug, Clone, Copy)]
struct Hopeless {
    gang: u32,
    level: Level,
    lack: Lack,
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
    /// What could be had by taking back, per claim of any level up to the one it is for.
    pub(crate) prospects: BTreeMap<(u32, u8, u8), (Level, Option<Prospect>)>,
    /// Tries to take back that came to nothing.
    pub(crate) failures: u32,
    /// Running workloads in the order of their ends, once somebody asked (see `reserve.rs`).
    pub(crate) ending: Option<Ending>,
    /// Who keeps what stops already and from then on goes first (see `promise.rs`).
    pub(crate) kept: Vec<(WorkloadId, Timestamp)>,
    /// Who may use what is kept for others meanwhile (see `backfill.rs`).
    pub(crate) shadows: Shadows,
    /// Something stops, so that later may hold more than now.
    pub(crate) stops: bool,
    /// For each seat, which of the waiting are its own.
    pub(crate) lines: Vec<Range<usize>>,
    /// Per seat and class, the last that could not be helped.
    hopeless: Vec<Vec<Option<Hopeless>>>,
    /// For each class, the smallest gang that failed since capacity last grew: to start, later.
    failed: Vec<[u32; 2]>,
    /// After whom the look ends, where only that one is asked about; and whether it had its turn.
    last: Option<u32>,
    over: bool,
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
            prospects: BTreeMap::new(),
            failures: 0,
            ending: None,
            kept: Vec::new(),
            shadows: Shadows::default(),
            lines: crate::order::lines(&board),
            hopeless: alloc::vec![Vec::new(); board.books.tree.seats.len()],
            stops: board.running.iter().any(|run| run.stopping),
            failed: alloc::vec![[u32::MAX; 2]; board.classes.len()],
            last: None,
            over: false,
            rearranged: false,
            vain: 0,
            board,
        }
    }

    /// Offer capacity to one waiting workload.
    pub(crate) fn offer(&mut self, at: usize) {
        if self.over {
            return;
        }
        self.order.push(at as u32);
        self.outcomes[at] = self.decide(at);
        self.over = self.last == Some(at as u32);
    }

    /// Whether this one starts in this look, which ends with it: nobody after it is asked.
    pub(crate) fn starts_in_turn(&mut self, at: usize) -> bool {
        self.last = Some(at as u32);
        self.stop_overdue();
        self.keep_promises();
        self.offer_all();
        self.outcomes[at] == Outcome::Started
    }

    fn decide(&mut self, at: usize) -> Outcome {
        let wait = &self.board.waiting[at];
        if wait.not_before > self.board.now {
            return Outcome::BackOff;
        }
        if u64::from(wait.gang) > self.board.ever[wait.class as usize] {
            return Outcome::Impossible;
        }
        if let Some(first) = self.goes_first(at) {
            return Outcome::Behind(first);
        }
        let lack = match self.as_before(at) {
            Some(_) if self.slips_in(at) => return Outcome::Started,
            Some(lack) => lack,
            None => match self.help(at) {
                Ok(outcome) => return outcome,
                Err(lack) => lack,
            },
        };
        self.reserve(at, &lack);
        lack
    }

    /// Start it, keep for it what will be free, or take back for it; else what it lacks.
    fn help(&mut self, at: usize) -> Result<Outcome, Outcome> {
        let lack = match self.start(at) {
            Ok(()) => return Ok(Outcome::Started),
            Err(_) if self.slips_in(at) => return Ok(Outcome::Started),
            Err(lack) => lack,
        };
        if let Some(victims) = self.hold_released(at) {
            return Ok(Outcome::Handover(victims));
        }
        if let Some(outcome) = self.take_back(at) {
            return Ok(outcome);
        }
        let wait = &self.board.waiting[at];
        let (gang, level) = (wait.gang, wait.level());
        let of_seat = &mut self.hopeless[wait.seat as usize];
        if of_seat.len() <= wait.class as usize {
            of_seat.resize(wait.class as usize + 1, None);
        }
        of_seat[wait.class as usize] = Some(Hopeless { gang, level, lack });
        Err(lack.into())
    }

    /// What it lacks, where an equal or lesser one of its queue could not be helped and nothing
    /// was freed since: capacity and shares only shrink as a look goes on.
    fn as_before(&self, at: usize) -> Option<Outcome> {
        let wait = &self.board.waiting[at];
        let before = self.hopeless[wait.seat as usize].get(wait.class as usize)?.as_ref()?;
        let harder = wait.gang >= before.gang && before.level.covers(wait.level());
        harder.then(|| before.lack.into())
    }

    /// Start it on what is free now and not promised.
    pub(crate) fn start(&mut self, at: usize) -> Result<(), Lack> {
        let known = self.fails_for_sure(at, View::Start);
        let pieces = match self.put(at, View::Start, Span::Both) {
            // What failed for its equals failed with what started before rearranged, too.
            Err(Lack::Capacity) if !known => self.rearrange(at).ok_or(Lack::Capacity)?,
            put => put?,
        };
        self.begin(at, pieces);
        Ok(())
    }

    /// It starts on these.
    pub(crate) fn begin(&mut self, at: usize, pieces: Vec<Piece>) {
        let wait = &self.board.waiting[at];
        self.actions.push(Action::Start {
            workload: wait.id,
            attempt: wait.attempt,
            placements: (0..).zip(&pieces).map(|(m, piece)| self.placement(at, m, piece)).collect(),
        });
        self.board.books.tree.seats[wait.seat as usize].premium += self.board.premium(&pieces);
        self.started.push((at as u32, pieces));
    }

    /// Keep for it what is free later, if it fits there whole.
    pub(crate) fn hold_later(&mut self, at: usize) -> bool {
        let Ok(pieces) = self.put(at, View::Later, Span::Later) else { return false };
        let (id, seat) = (self.board.waiting[at].id, self.board.waiting[at].seat);
        self.holds.push(Hold { id, seat, pieces, at: Some(self.board.now) });
        true
    }

    /// Take places and share for it, to start or to be kept for it: all of it, or nothing.
    pub(crate) fn put(&mut self, at: usize, view: View, span: Span) -> Result<Vec<Piece>, Lack> {
        let (seat, charge) = (self.board.waiting[at].seat, self.board.waiting[at].charge);
        let (checked, taken): (&[Which], &[Which]) = match span {
            Span::Both => (&[Which::Now, Which::Later], &Which::ALL),
            _ => (&[Which::Later], &[Which::Later]),
        };
        self.check(checked, seat, &charge).map_err(Lack::Quota)?;
        let mark = self.board.mark();
        let mut pieces = self.place(at, view, span).ok_or(Lack::Capacity)?;
        let mut charge = self.board.charge_of(&pieces);
        if let Err(short) = self.check(checked, seat, &charge) {
            self.board.rollback(mark);
            // Other kinds of devices may count less.
            pieces = self.place_least(at, view, span).ok_or(Lack::Quota(short))?;
            charge = self.board.charge_of(&pieces);
            if let Err(short) = self.check(checked, seat, &charge) {
                self.board.rollback(mark);
                return Err(Lack::Quota(short));
            }
        }
        self.board.books.take(taken, seat, &charge);
        Ok(pieces)
    }

    /// Later has grown: what failed before may fit now.
    pub(crate) fn grown(&mut self) {
        self.failed.fill([u32::MAX; 2]);
    }

    /// Later has grown by what is left over of what was taken back: it can be kept for others. It
    /// cannot start anyone now.
    pub(crate) fn later_grown(&mut self) {
        self.failed.iter_mut().for_each(|failed| failed[1] = u32::MAX);
        self.hopeless.iter_mut().for_each(Vec::clear);
    }

    /// Try something for one workload for which room was made, whatever failed for its equals;
    /// for those it goes on failing, because the room is not theirs.
    pub(crate) fn afresh<T>(&mut self, at: usize, attempt: impl FnOnce(&mut Self) -> T) -> T {
        let class = self.board.waiting[at].class as usize;
        let failed = core::mem::replace(&mut self.failed[class], [u32::MAX; 2]);
        let result = attempt(self);
        self.failed[class] = failed;
        result
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

    /// Whether it was tried already, since capacity last grew, and found no places later either.
    pub(crate) fn finds_no_places(&self, at: usize) -> bool {
        let wait = &self.board.waiting[at];
        wait.gang >= self.failed[wait.class as usize][1]
    }

    pub(crate) fn check(&self, whiches: &[Which], seat: u32, charge: &Charge) -> Result<(), Short> {
        whiches.iter().try_for_each(|which| self.board.books.check(*which, seat, charge))
    }

    /// Whether an equal gang or a smaller one failed since capacity last grew.
    fn fails_for_sure(&self, at: usize, view: View) -> bool {
        let wait = &self.board.waiting[at];
        wait.gang >= self.failed[wait.class as usize][usize::from(view == View::Later)]
    }

    /// It found places after all: its equals may, too.
    pub(crate) fn found_places(&mut self, at: usize) {
        self.failed[self.board.waiting[at].class as usize] = [u32::MAX; 2];
    }

    /// Take capacity for the whole gang, unless an equal one failed since it last grew.
    fn place(&mut self, at: usize, view: View, span: Span) -> Option<Vec<Piece>> {
        if self.fails_for_sure(at, view) {
            return None;
        }
        let wait = &self.board.waiting[at];
        let (class, gang) = (wait.class as usize, wait.gang);
        let failed = &mut self.failed[class][usize::from(view == View::Later)];
        let pool = &mut self.board.pool;
        let fits = gang <= PLACED_AT_ONCE || pool.fits(&self.board.classes[class], gang, view);
        let placed = match fits {
            true => pool.place(&self.board.classes[class], gang, view, span).ok(),
            false => None,
        };
        if placed.is_none() {
            *failed = gang;
        }
        placed
    }

    /// A piece as the executor reads it.
    pub(crate) fn placement(&self, at: usize, member: u32, piece: &Piece) -> Placement {
        self.placement_of(self.board.waiting[at].class, member, piece)
    }

    /// The same for a member of a class.
    pub(crate) fn placement_of(&self, class: u32, member: u32, piece: &Piece) -> Placement {
        let request = &self.board.classes[class as usize].request;
        let (cpu, memory, disk) = (request.cpu, request.memory, request.disk);
        let node = self.board.names[piece.node as usize].clone();
        let grants = piece.picks.iter().filter_map(|pick| self.grant(pick)).collect();
        Placement { member: Member(member), node, cpu, memory, disk, grants }
    }

    fn grant(&self, pick: &Pick) -> Option<Grant> {
        let held = &self.board.pool.devices[pick.device() as usize];
        let node = self.board.names[held.node as usize].clone();
        let device = DeviceId { node, index: held.index };
        Some(match pick {
            Pick::Whole { .. } => Grant::Whole { device },
            Pick::Share { milli, memory, .. } => {
                Grant::Share { device, milli: MilliGpu(*milli), memory: Bytes(*memory) }
            }
            Pick::Mig { place, .. } => {
                let geometry = self.board.kinds.geometries.get(held.geometry? as usize)?;
                let placement = geometry.places.get(usize::from(*place))?.clone();
                Grant::Mig { device, placement }
            }
        })
    }
}
