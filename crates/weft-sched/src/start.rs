//! Taking places and share for one workload, whole or not at all: to start it, or to keep them for
//! it.
//!
//! Called wherever a look gives somebody something. Absent on purpose: whether it may have it
//! before others; who asks has decided that (`turn.rs`, `promise.rs`, `take_back.rs`).

use crate::board::{Charge, Pick, Piece, Short, Span, View, Which};
use crate::pass::{Hold, Lack, Pass};
use crate::{Action, Grant, Placement};
use alloc::vec::Vec;
use weft_types::{Bytes, DeviceId, Member, MilliGpu, WorkloadId};

/// Gangs up to this size are placed without counting first whether they fit: undoing so few is
/// cheaper than counting.
const PLACED_AT_ONCE: u32 = 8;

impl Pass<'_> {
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

    /// Whether it may use so much on each of these books.
    pub(crate) fn check(&self, whiches: &[Which], seat: u32, charge: &Charge) -> Result<(), Short> {
        whiches.iter().try_for_each(|which| self.board.books.check(*which, seat, charge))
    }

    /// Take capacity for the whole gang, unless an equal one failed since it last grew.
    fn place(&mut self, at: usize, view: View, span: Span) -> Option<Vec<Piece>> {
        if self.fails_for_sure(at, view) {
            return None;
        }
        let wait = &self.board.waiting[at];
        let near = self.near(wait.id);
        let (class, gang) = (&self.board.classes[wait.class as usize], wait.gang);
        let pool = &mut self.board.pool;
        pool.near = near;
        let fits = gang <= PLACED_AT_ONCE || pool.fits(class, gang, view);
        let placed = fits.then(|| pool.place(class, gang, view, span).ok()).flatten();
        pool.near = Vec::new();
        if placed.is_none() {
            self.found_no_places(at, view);
        }
        placed
    }

    /// Machines that hold some of what the workload reads, by number.
    pub(crate) fn near(&self, id: WorkloadId) -> Vec<(u32, u64)> {
        let data = &self.snapshot.data;
        if !data.read.contains_key(&id) {
            return Vec::new();
        }
        let held = data.held.keys().filter_map(|node| {
            let number = self.board.names.binary_search(node).ok()?;
            Some((number as u32, data.held_by(node, id).0)).filter(|(_, bytes)| *bytes > 0)
        });
        held.collect()
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
