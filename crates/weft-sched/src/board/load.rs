//! Building the working copy from a snapshot: names become numbers, whatever they are.
//!
//! Odd input is taken as far as it makes sense: what is held on a machine or device that is not
//! there counts against its queue only; a queue that is not there has a share of zero.

use super::change::{Before, is_waiting};
use super::class::{Class, Geometry, Kinds, WHOLE, instance_milli, key};
use super::device::{Accelerator, Held, Pick};
use super::mig::SETTLED;
use super::places::Places;
use super::pool::{Machine, Permille, Piece, Pool, Span};
use super::priced::Priced;
use super::quota::{Books, Charge, Which};
use super::work::{Run, Wait, lasts};
use crate::drain::Groups;
use crate::price::Scale;
use crate::rank::{Effort, Rank, patience};
use crate::reserve::RESERVE_AFTER;
use crate::{
    DeviceMode, Grant, Node, Pending, Placement, Request, Running, Snapshot, Workload,
    WorkloadState,
};
use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::{DeviceId, NodeId, Timestamp, WorkloadId};

/// The working copy.
#[derive(Debug)]
pub(crate) struct Board {
    /// The moment planned for.
    pub(crate) now: Timestamp,
    /// Stops for others that this plan has decided so far: promises are kept in their order.
    pub(crate) promises: u64,
    /// What devices are worth beside each other, where they differ.
    pub(crate) scale: Option<Scale>,
    /// Machines and devices.
    pub(crate) pool: Pool,
    /// Queues.
    pub(crate) books: Books,
    /// Distinct requests of what waits.
    pub(crate) classes: Vec<Class>,
    /// The classes by what makes requests equal, for finding one.
    pub(super) by_request: Vec<u32>,
    /// What holds capacity, in the order of ids.
    pub(crate) running: Vec<Run>,
    /// What holds capacity, by its queue's seat.
    pub(crate) by_seat: BTreeMap<u32, Vec<usize>>,
    /// What waits: seat by seat, each queue's in its order (see `order.rs`), because that is how
    /// a look goes through them.
    pub(crate) waiting: Vec<Wait>,
    /// Names of the machines by number.
    pub(crate) names: Vec<NodeId>,
    /// Kinds and geometries of the devices.
    pub(crate) kinds: Kinds,
    /// The pool with nothing on it, every machine open and every device healthy.
    pub(crate) empty: Pool,
    /// For each class, the members that fit on the empty pool, counted as far as some gang asks.
    pub(crate) ever: Vec<u64>,
    /// For whom machines are kept (see `drain.rs`).
    pub(crate) groups: Groups,
    /// What a plan began with.
    pub(super) before: Before,
}

impl Board {
    /// The working copy of a snapshot.
    pub(crate) fn new(snapshot: &Snapshot, now: Timestamp) -> Self {
        let (mut pool, kinds) = pool(snapshot);
        let empty = pool.emptied();
        let priced = |market| Priced::new(market, &kinds, &empty).map(Arc::new);
        pool.market = snapshot.market.as_ref().and_then(priced);
        let (books, seats) = Books::new(snapshot);
        let mut board = Self {
            now,
            promises: 0,
            scale: Scale::of(&empty),
            pool,
            books,
            classes: Vec::new(),
            by_request: Vec::new(),
            running: Vec::new(),
            by_seat: BTreeMap::new(),
            waiting: Vec::new(),
            names: snapshot.nodes.keys().cloned().collect(),
            kinds,
            empty,
            ever: Vec::new(),
            groups: Groups::default(),
            before: Before::default(),
        };
        let waits = |it: &&Workload| matches!(it.state, WorkloadState::Pending(_));
        let waiting = snapshot.workloads.values().filter(waits).count();
        board.waiting.reserve_exact(waiting);
        board.running.reserve_exact(seats.len() - waiting);
        for ((id, workload), seat) in snapshot.workloads.iter().zip(seats) {
            board.add(snapshot, (*id, workload, seat));
        }
        board.order_running();
        board.price();
        board.waiting.sort_by_cached_key(Wait::place);
        board.ever = crate::possible::ever(&board);
        board.groups = Groups::new(snapshot, &board);
        board
    }

    /// Count one more workload in, at the end of what runs or waits.
    pub(super) fn add(&mut self, snapshot: &Snapshot, it: (WorkloadId, &Workload, u32)) {
        match &it.1.state {
            WorkloadState::Running(running) => self.add_running(snapshot, it, running),
            WorkloadState::Pending(pending) => self.add_waiting(it, pending),
        }
    }

    /// Where a workload is among the waiting.
    pub(crate) fn find(&self, snapshot: &Snapshot, id: WorkloadId) -> Option<usize> {
        let workload = snapshot.workloads.get(&id)?;
        let seat = self.books.tree.leaf(&workload.queue)?;
        let first = self.waiting.partition_point(|wait| wait.seat < seat);
        let mut line = self.waiting[first..].iter().take_while(|wait| wait.seat == seat);
        line.position(|wait| wait.id == id).map(|at| first + at)
    }

    /// Give back what was kept for one that waits.
    pub(crate) fn drop_hold(&mut self, seat: u32, pieces: &[Piece]) {
        let charge = self.charge_of(pieces);
        pieces.iter().for_each(|piece| self.pool.give(piece, Span::Later));
        self.books.give(&[Which::Later], seat, &charge);
    }

    /// From later on, what a workload holds is free.
    pub(crate) fn release(&mut self, run: usize) {
        let run = &self.running[run];
        run.pieces.iter().for_each(|piece| self.pool.give(piece, Span::Later));
        self.books.give(&Which::STOPPING, run.seat, &run.charge);
    }

    /// From later on, what a workload holds on one machine is free there: a part of a release.
    pub(crate) fn release_on(&mut self, node: u32, run: usize) {
        let there = self.running[run].pieces.iter().filter(|piece| piece.node == node);
        there.for_each(|piece| self.pool.give(piece, Span::Later));
    }

    /// Take back a release.
    pub(crate) fn retain(&mut self, run: usize) {
        let run = &self.running[run];
        run.pieces.iter().for_each(|piece| self.pool.take(piece, Span::Later));
        self.books.take(&Which::STOPPING, run.seat, &run.charge);
    }

    /// A point to come back to.
    pub(crate) fn mark(&self) -> (usize, usize) {
        (self.pool.mark(), self.books.mark())
    }

    /// Undo everything since the mark.
    pub(crate) fn rollback(&mut self, mark: (usize, usize)) {
        self.pool.rollback(mark.0);
        self.books.rollback(mark.1);
    }

    /// What the pieces count in a queue.
    pub(crate) fn charge_of(&self, pieces: &[Piece]) -> Charge {
        let mut charge = [0; 3];
        for piece in pieces {
            let cpu = u128::try_from(piece.amounts[0]).unwrap_or(0);
            let memory = u128::try_from(piece.amounts[1]).unwrap_or(0);
            let gpu = piece.picks.iter().map(|pick| u128::from(self.pool.milli(pick)));
            charge = [charge[0] + gpu.sum::<u128>(), charge[1] + cpu, charge[2] + memory];
        }
        charge
    }

    fn add_running(
        &mut self,
        snapshot: &Snapshot,
        (id, workload, seat): (WorkloadId, &Workload, u32),
        running: &Running,
    ) {
        let charge = running.placements.iter().fold([0; 3], |sum: Charge, placement| {
            let part = placement_charge(snapshot, placement);
            [0, 1, 2].map(|r| sum[r] + part[r])
        });
        let pieces: Vec<_> = running.placements.iter().filter_map(|p| self.piece(p)).collect();
        pieces.iter().for_each(|piece| self.pool.take(piece, Span::Both));
        self.books.take(&Which::ALL, seat, &charge);
        let stopping = running.stopping;
        let kept_for = running.handover.filter(|id| stopping && is_waiting(snapshot, *id));
        let start = (running.attempt, running.since);
        let shared = self.books.tree.seats[seat as usize].shares_time.then_some(self.now);
        let run = Run::new((id, workload), start, (seat, charge), pieces, shared);
        self.running.push(Run { stopping, kept_for, ..run });
        if stopping && kept_for.is_none() {
            self.release(self.running.len() - 1);
        }
    }

    fn add_waiting(
        &mut self,
        (id, workload, seat): (WorkloadId, &Workload, u32),
        pending: &Pending,
    ) {
        let class = self.class_of(workload);
        let gang = workload.gang.max(1);
        let request = &workload.request;
        let milli = self.classes[class as usize].milli_min;
        let charge =
            [milli, request.cpu.0, request.memory.0].map(|a| u128::from(a) * u128::from(gang));
        let shared = self.books.tree.seats[seat as usize].shares_time;
        let patience = if shared { patience(workload) } else { RESERVE_AFTER };
        let aged_at = shared.then(|| pending.since.after(patience));
        let rank = match aged_at {
            Some(at) if at > self.now => Rank::new(&Effort::of(workload), workload.served, charge),
            _ => Rank::default(),
        };
        self.waiting.push(Wait {
            id,
            attempt: pending.next_attempt,
            priority: workload.priority,
            rank,
            submitted_at: workload.submitted_at,
            aged_at,
            protected_at: workload.submitted_at.after(patience),
            owed: pending.owed,
            not_before: pending.not_before,
            seat,
            class,
            gang,
            charge,
            lasts: lasts(workload),
        });
    }

    /// What a workload asks for, with what its queue demands for it.
    pub(crate) fn demanded<'a>(&self, workload: &'a Workload) -> Cow<'a, Request> {
        let tree = &self.books.tree;
        let least = tree.leaf(&workload.queue).map(|seat| tree.seats[seat as usize].isolation);
        match least.filter(|least| *least < workload.request.isolation) {
            Some(isolation) => Cow::Owned(Request { isolation, ..workload.request.clone() }),
            None => Cow::Borrowed(&workload.request),
        }
    }

    /// The class of a workload's request, a new one where it is the first.
    pub(crate) fn class_of(&mut self, workload: &Workload) -> u32 {
        let request = self.demanded(workload);
        let wanted = key(&request, workload.phase);
        let key_of = |number: &u32| {
            let class = &self.classes[*number as usize];
            (&class.request, class.phase)
        };
        match self.by_request.binary_search_by(|number| key_of(number).cmp(&wanted)) {
            Ok(at) => self.by_request[at],
            Err(at) => {
                let number = self.classes.len() as u32;
                self.classes.push(Class::new(number, &request, workload.phase, &self.kinds));
                self.by_request.insert(at, number);
                number
            }
        }
    }
}

impl Pool {
    /// Thousandths of a device that a pick counts.
    pub(crate) fn milli(&self, pick: &Pick) -> u64 {
        match pick {
            Pick::Whole { .. } => WHOLE,
            Pick::Share { milli, .. } => *milli,
            Pick::Mig { device, compute, .. } => {
                let geometry = self.devices[*device as usize].geometry;
                let total = geometry.map_or(7, |g| self.geometry(g).compute);
                instance_milli(*compute, total)
            }
        }
    }
}

/// Most thousandths, and bytes, of a device that are told apart: no device has a hundredth of it,
/// and sums over two million holders fit a word.
const MILLI_MAX: u64 = 1 << 43;
const MEMORY_MAX: u64 = 1 << 43;

/// What a placement counts in its queue.
pub(crate) fn placement_charge(snapshot: &Snapshot, placement: &Placement) -> Charge {
    let gpu = placement.grants.iter().map(|grant| u128::from(grant_milli(snapshot, grant)));
    [gpu.sum(), u128::from(placement.cpu.0), u128::from(placement.memory.0)]
}

/// Compute slices of a device that is not known: what every MIG device has had so far (A30's 4
/// apart), and the larger count charges less rather than inventing use.
const COMPUTE_SLICES_USUAL: u8 = 7;

/// Thousandths of a device that a grant counts against its queue's share: a whole device 1000, a
/// share its own, an instance its compute slices of the device's, rounded down.
pub(crate) fn grant_milli(snapshot: &Snapshot, grant: &Grant) -> u64 {
    match grant {
        Grant::Whole { .. } => WHOLE,
        Grant::Share { milli, .. } => milli.0,
        Grant::Mig { device, placement } => {
            let node = snapshot.nodes.get(&device.node);
            let mode = node.and_then(|node| node.devices.get(&device.index)).map(|d| &d.mode);
            let compute = match mode {
                Some(DeviceMode::Mig { compute_slices, .. }) => *compute_slices,
                _ => COMPUTE_SLICES_USUAL,
            };
            instance_milli(placement.profile.slices, compute)
        }
    }
}

/// From names to the dense vectors.
impl Board {
    fn piece(&self, placement: &Placement) -> Option<Piece> {
        let picks = placement.grants.iter().filter_map(|grant| self.pick(grant)).collect();
        if let Some(node) = self.number(&placement.node) {
            let amounts = [placement.cpu.0, placement.memory.0, placement.disk.0].map(i128::from);
            return Some(Piece { node, amounts, picks });
        }
        // The machine is not there; the devices may be, if the text is odd enough.
        let elsewhere = placement.grants.iter().find_map(|g| self.number(&g.device().node));
        elsewhere.map(|node| Piece { node, amounts: [0; 3], picks })
    }

    fn pick(&self, grant: &Grant) -> Option<Pick> {
        let device = self.device(grant.device())?;
        Some(match grant {
            Grant::Whole { .. } => Pick::Whole { device },
            Grant::Share { milli, memory, .. } => {
                let (milli, memory) = (milli.0.min(MILLI_MAX), memory.0.min(MEMORY_MAX));
                Pick::Share { device, milli, memory }
            }
            Grant::Mig { placement, .. } => Pick::Mig {
                device,
                mask: Geometry::mask(placement).unwrap_or(u64::MAX),
                compute: placement.profile.slices,
                place: SETTLED,
            },
        })
    }

    fn number(&self, name: &NodeId) -> Option<u32> {
        self.names.binary_search(name).ok().map(|at| at as u32)
    }

    fn device(&self, id: &DeviceId) -> Option<u32> {
        let machine = &self.pool.machines[self.number(&id.node)? as usize];
        let mut devices = machine.devices.clone();
        devices.find(|at| self.pool.devices[*at].index == id.index).map(|at| at as u32)
    }
}

/// The machines and devices, empty, and their kinds.
pub(crate) fn pool(snapshot: &Snapshot) -> (Pool, Kinds) {
    let (mut pool, mut kinds) = (Pool::default(), Kinds::default());
    // By their order, so that no number hangs on what machines are called.
    let devices = snapshot.nodes.values().flat_map(|node| node.devices.values());
    let distinct: BTreeSet<_> = devices.map(|device| (&device.class, device.share)).collect();
    let distinct: Vec<_> = distinct.into_iter().collect();
    kinds.kinds = distinct.iter().map(|(class, _)| (*class).clone()).collect();
    kinds.shares = distinct.iter().map(|(_, share)| *share).collect();
    let mut geometry_of = BTreeMap::new();
    for (number, node) in snapshot.nodes.values().enumerate() {
        let first = pool.devices.len();
        for (index, device) in &node.devices {
            let kind = distinct.partition_point(|known| *known < (&device.class, device.share));
            let geometry = match &device.mode {
                DeviceMode::Whole => None,
                DeviceMode::Mig { geometry, compute_slices } => {
                    let compute = *compute_slices;
                    Some(*geometry_of.entry((geometry, compute)).or_insert_with(|| {
                        kinds.geometries.push(Geometry { places: geometry.clone(), compute });
                        kinds.geometries.len() - 1
                    }))
                }
            };
            pool.devices.push(Accelerator {
                node: number as u32,
                index: *index,
                kind: kind as u32,
                healthy: device.healthy,
                geometry: geometry.map(|g| g as u32),
                share: device.share,
                value: device.class.value,
                memory: device.class.memory.0.min(MEMORY_MAX),
                held: [Held::default(), Held::default()],
            });
        }
        let devices = &mut pool.devices[first..];
        devices.sort_by_key(|device| (device.value, device.geometry.is_some(), device.index));
        let uniform = uniform(devices);
        pool.machines.push(Machine { uniform, ..machine(node, first) });
        pool.measure_freest(number as u32, Span::Both);
    }
    pool.versions = alloc::vec![0; pool.machines.len()];
    pool.uneven = alloc::vec![0; pool.machines.len()];
    pool.geometries = kinds.geometries.iter().map(Places::new).collect();
    (pool, kinds)
}

/// Kind and value of devices that are all alike.
pub(super) fn uniform(devices: &[Accelerator]) -> Option<(u32, u32)> {
    let (kind, value) = devices.first().map(|device| (device.kind, device.value))?;
    let alike = |it: &Accelerator| it.healthy && it.geometry.is_none() && it.kind == kind;
    devices.iter().all(alike).then_some((kind, value))
}

fn machine(node: &Node, first: usize) -> Machine {
    let cap = [node.cpu.0, node.memory.0, node.disk.0].map(i128::from);
    let idle = node.devices.len() as u32;
    Machine {
        open: node.schedulable,
        free: [cap, cap],
        devices: first..first + node.devices.len(),
        idle: [idle; 3],
        uniform: None,
        freest: [0, 0],
        shared: [0, 0],
        permille: [Permille::of(cap[0]), Permille::of(cap[1])],
    }
}
