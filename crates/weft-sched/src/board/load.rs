//! Building the working copy from a snapshot: names become numbers, whatever they are.
//!
//! Odd input is taken as far as it makes sense: what is held on a machine or device that is not
//! there counts against its queue only; a queue that is not there has a share of zero.

use super::class::{Class, Geometry, Kinds, WHOLE};
use super::pool::{Accelerator, Held, Machine, Pick, Piece, Places, Pool, Span};
use super::quota::{Books, Charge, Which};
use crate::{
    DeviceMode, Grant, Node, Pending, Placement, Request, Running, Snapshot, Workload,
    WorkloadState,
};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::{Attempt, DeviceId, GpuRequest, Millis, NodeId, Phase, Timestamp, WorkloadId};

/// The working copy.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    /// What it was made from.
    pub(crate) snapshot: &'a Snapshot,
    /// The moment planned for.
    pub(crate) now: Timestamp,
    /// Machines and devices.
    pub(crate) pool: Pool,
    /// Queues.
    pub(crate) books: Books,
    /// Distinct requests of what waits.
    pub(crate) classes: Vec<Class>,
    /// What holds capacity, in the order of ids.
    pub(crate) running: Vec<Run<'a>>,
    /// What holds capacity, by its queue's seat.
    pub(crate) by_seat: BTreeMap<u32, Vec<usize>>,
    /// What waits, in the order of ids.
    pub(crate) waiting: Vec<Wait<'a>>,
    /// Names of the machines by number.
    pub(crate) names: Vec<&'a NodeId>,
    /// Kinds and geometries of the devices.
    pub(crate) kinds: Kinds<'a>,
    /// The pool with nothing on it, every machine open and every device healthy.
    pub(crate) empty: Pool,
    /// For each class, the members that fit on the empty pool, counted as far as some gang asks.
    pub(crate) ever: Vec<u64>,
}

/// A workload that holds capacity.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Which.
    pub(crate) id: WorkloadId,
    /// As submitted.
    pub(crate) workload: &'a Workload,
    /// Which start of it this is.
    pub(crate) attempt: Attempt,
    /// When its capacity was committed.
    pub(crate) since: Timestamp,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// What it counts there.
    pub(crate) charge: Charge,
    /// What it holds, as far as it exists.
    pub(crate) pieces: Vec<Piece>,
    /// It is stopping, or this plan stops it.
    pub(crate) stopping: bool,
    /// It stops for a workload that waits: what it gives back is kept until that one's turn.
    pub(crate) kept_for: Option<WorkloadId>,
}

/// A workload that waits.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    /// Which.
    pub(crate) id: WorkloadId,
    /// As submitted.
    pub(crate) workload: &'a Workload,
    /// When it may start and as what.
    pub(crate) pending: &'a Pending,
    /// Its queue's seat.
    pub(crate) seat: u32,
    /// Its request's class.
    pub(crate) class: u32,
    /// Members, at least 1.
    pub(crate) gang: u32,
    /// The least it can count in its queue.
    pub(crate) charge: Charge,
}

impl Run<'_> {
    /// From when it may be taken back: never at the moment of its start, or one plan could start
    /// and stop it.
    pub(crate) fn ripe_at(&self) -> Timestamp {
        self.since.after(self.workload.reclaim.min_run_ms.max(Millis(1)))
    }

    /// When it ends, as far as that is known.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        lasts(self.workload).map(|span| self.since.after(span))
    }
}

/// How long a workload will hold capacity, as far as that is known.
pub(crate) fn lasts(workload: &Workload) -> Option<Millis> {
    match (workload.expected, workload.max_duration) {
        (Some(expected), Some(limit)) => Some(expected.min(limit)),
        (expected, limit) => expected.or(limit),
    }
}

impl<'a> Board<'a> {
    /// The working copy of a snapshot.
    pub(crate) fn new(snapshot: &'a Snapshot, now: Timestamp) -> Self {
        let (pool, kinds) = pool(snapshot);
        let empty = pool.emptied();
        let mut board = Self {
            snapshot,
            now,
            pool,
            books: Books::new(snapshot),
            classes: Vec::new(),
            running: Vec::new(),
            by_seat: BTreeMap::new(),
            waiting: Vec::new(),
            names: snapshot.nodes.keys().collect(),
            kinds,
            empty,
            ever: Vec::new(),
        };
        let places = Where::new(snapshot, &board.pool);
        let mut classes = BTreeMap::new();
        for (id, workload) in &snapshot.workloads {
            match &workload.state {
                WorkloadState::Running(running) => {
                    board.add_running(*id, workload, running, &places)
                }
                WorkloadState::Pending(pending) => {
                    board.add_waiting(*id, workload, pending, &mut classes);
                }
            }
        }
        board.ever = crate::possible::ever(&board);
        board
    }

    /// The working copy once these of the waiting run where they were placed.
    pub(crate) fn begin(&mut self, started: Vec<(u32, Vec<Piece>)>) {
        let mut begun = alloc::vec![false; self.waiting.len()];
        for (at, pieces) in started {
            begun[at as usize] = true;
            let wait = &self.waiting[at as usize];
            self.running.push(Run {
                id: wait.id,
                workload: wait.workload,
                attempt: wait.pending.next_attempt,
                since: self.now,
                seat: wait.seat,
                charge: self.charge_of(&pieces),
                pieces,
                stopping: false,
                kept_for: None,
            });
        }
        let mut at = 0..;
        self.waiting.retain(|_| at.next().is_none_or(|at: usize| !begun[at]));
        self.running.sort_by_key(|run| run.id);
        self.by_seat.clear();
        for (at, run) in self.running.iter().enumerate() {
            self.by_seat.entry(run.seat).or_default().push(at);
        }
    }

    /// What stops for one that waits holds its capacity again, until that one's turn comes.
    pub(crate) fn await_turns(&mut self) {
        for run in 0..self.running.len() {
            let Some(id) = self.running[run].kept_for else { continue };
            match self.waiting.binary_search_by_key(&id, |wait| wait.id) {
                Ok(_) => self.retain(run),
                Err(_) => self.running[run].kept_for = None,
            }
        }
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
        id: WorkloadId,
        workload: &'a Workload,
        running: &'a Running,
        places: &Where<'_>,
    ) {
        let seat = self.books.tree.leaf(&workload.queue);
        let charge = running.placements.iter().fold([0; 3], |sum: Charge, placement| {
            let part = placement_charge(self.snapshot, placement);
            [0, 1, 2].map(|r| sum[r] + part[r])
        });
        let pieces: Vec<_> = running.placements.iter().filter_map(|p| places.piece(p)).collect();
        pieces.iter().for_each(|piece| self.pool.take(piece, Span::Both));
        self.books.take(&Which::ALL, seat, &charge);
        let stopping = running.stopping;
        let kept_for = running.handover.filter(|id| stopping && is_waiting(self.snapshot, *id));
        self.by_seat.entry(seat).or_default().push(self.running.len());
        let (attempt, since) = (running.attempt, running.since);
        self.running.push(Run {
            id,
            workload,
            attempt,
            since,
            seat,
            charge,
            pieces,
            stopping,
            kept_for,
        });
        if stopping && kept_for.is_none() {
            self.release(self.running.len() - 1);
        }
    }

    fn add_waiting(
        &mut self,
        id: WorkloadId,
        workload: &'a Workload,
        pending: &'a Pending,
        classes: &mut BTreeMap<(&'a Request, Option<Phase>), u32>,
    ) {
        let phase = (workload.request.gpu == GpuRequest::Auto).then_some(workload.phase);
        let class = *classes.entry((&workload.request, phase)).or_insert_with(|| {
            let number = self.classes.len() as u32;
            let (request, phase) = (&workload.request, workload.phase);
            self.classes.push(Class::new(number, request, phase, &self.kinds));
            number
        });
        let gang = workload.gang.max(1);
        let request = &workload.request;
        let milli = self.classes[class as usize].milli_min;
        let charge =
            [milli, request.cpu.0, request.memory.0].map(|a| u128::from(a) * u128::from(gang));
        let seat = self.books.tree.leaf(&workload.queue);
        self.waiting.push(Wait { id, workload, pending, seat, class, gang, charge });
    }
}

fn is_waiting(snapshot: &Snapshot, id: WorkloadId) -> bool {
    let workload = snapshot.workloads.get(&id);
    workload.is_some_and(|workload| matches!(workload.state, WorkloadState::Pending(_)))
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
                (u64::from(*compute) * WHOLE).div_ceil(u64::from(total.max(1)))
            }
        }
    }
}

/// What a placement counts in its queue.
pub(crate) fn placement_charge(snapshot: &Snapshot, placement: &Placement) -> Charge {
    let gpu = placement.grants.iter().map(|grant| u128::from(grant_milli(snapshot, grant)));
    [gpu.sum(), u128::from(placement.cpu.0), u128::from(placement.memory.0)]
}

/// Compute slices of a device that is not known: what every MIG device has had so far (A30's 4
/// apart), and the larger count charges less rather than inventing use.
const COMPUTE_SLICES_USUAL: u8 = 7;

/// Thousandths of a device that a grant counts against its queue's share: a whole device 1000, a
/// share its own, an instance its compute slices of the device's, rounded up.
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
            Geometry { places: &[], compute }.milli(placement.profile.slices)
        }
    }
}

/// Where a name is in the dense vectors.
struct Where<'a> {
    nodes: BTreeMap<&'a NodeId, u32>,
    devices: Vec<BTreeMap<u32, u32>>,
}

impl<'a> Where<'a> {
    fn new(snapshot: &'a Snapshot, pool: &Pool) -> Self {
        let nodes = snapshot.nodes.keys().zip(0..).collect();
        let on = |machine: &Machine| {
            machine.devices.clone().map(|at| (pool.devices[at].index, at as u32)).collect()
        };
        Self { nodes, devices: pool.machines.iter().map(on).collect() }
    }

    fn piece(&self, placement: &Placement) -> Option<Piece> {
        let picks = placement.grants.iter().filter_map(|grant| self.pick(grant)).collect();
        if let Some(node) = self.nodes.get(&placement.node) {
            let amounts = [placement.cpu.0, placement.memory.0, placement.disk.0].map(i128::from);
            return Some(Piece { node: *node, amounts, picks });
        }
        // The machine is not there; the devices may be, if the text is odd enough.
        let elsewhere = placement.grants.iter().find_map(|g| self.nodes.get(&g.device().node));
        elsewhere.map(|node| Piece { node: *node, amounts: [0; 3], picks })
    }

    fn pick(&self, grant: &Grant) -> Option<Pick> {
        let device = self.device(grant.device())?;
        Some(match grant {
            Grant::Whole { .. } => Pick::Whole { device },
            Grant::Share { milli, memory, .. } => {
                Pick::Share { device, milli: milli.0, memory: memory.0 }
            }
            Grant::Mig { placement, .. } => Pick::Mig {
                device,
                mask: Geometry::mask(placement).unwrap_or(u64::MAX),
                compute: placement.profile.slices,
                place: u16::MAX,
            },
        })
    }

    fn device(&self, id: &DeviceId) -> Option<u32> {
        let node = *self.nodes.get(&id.node)?;
        self.devices[node as usize].get(&id.index).copied()
    }
}

/// The machines and devices, empty, and their kinds.
pub(crate) fn pool(snapshot: &Snapshot) -> (Pool, Kinds<'_>) {
    let (mut pool, mut kinds) = (Pool::default(), Kinds::default());
    let (mut kind_of, mut geometry_of) = (BTreeMap::new(), BTreeMap::new());
    for (number, node) in snapshot.nodes.values().enumerate() {
        let first = pool.devices.len();
        for (index, device) in &node.devices {
            let kind = *kind_of.entry(&device.class).or_insert_with(|| {
                kinds.kinds.push(&device.class);
                kinds.kinds.len() - 1
            });
            let geometry = match &device.mode {
                DeviceMode::Whole => None,
                DeviceMode::Mig { geometry, compute_slices } => {
                    let geometry = Geometry { places: geometry, compute: *compute_slices };
                    Some(*geometry_of.entry(geometry).or_insert_with(|| {
                        kinds.geometries.push(geometry);
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
                value: device.class.value,
                memory: device.class.memory.0,
                held: [Held::default(), Held::default()],
            });
        }
        let devices = &mut pool.devices[first..];
        devices.sort_by_key(|device| (device.value, device.geometry.is_some(), device.index));
        pool.machines.push(machine(node, first));
    }
    pool.versions = alloc::vec![0; pool.machines.len()];
    pool.geometries = kinds.geometries.iter().map(places).collect();
    (pool, kinds)
}

fn machine(node: &Node, first: usize) -> Machine {
    let cap = [node.cpu.0, node.memory.0, node.disk.0].map(i128::from);
    let idle = node.devices.len() as u32;
    Machine {
        open: node.schedulable,
        cap,
        free: [cap, cap],
        devices: first..first + node.devices.len(),
        idle: [idle, idle],
    }
}

fn places(geometry: &Geometry<'_>) -> Places {
    let masks = geometry.places.iter().filter_map(Geometry::mask).collect();
    Places { masks, compute: geometry.compute }
}
