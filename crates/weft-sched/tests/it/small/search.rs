//! Every way to place small gangs on a small pool, by keeping all states the pool can be in.
//!
//! A state forgets who holds what and in which order devices of a machine stand, so that a few
//! hundred states are all there is of a million ways. None of it is the planner's code.

use std::collections::BTreeSet;
use weft_sched::{Device, DeviceMode, Grant, Snapshot, Workload, WorkloadState};
use weft_types::{GpuFilter, GpuRequest};

/// What is free and held of a whole pool, without names.
pub(crate) type State = Vec<Machine>;

/// A machine in a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Machine {
    open: bool,
    /// Processor, memory, disk not held.
    free: [u64; 3],
    devices: Vec<Held>,
}

/// A device in a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    /// Which of the pool's distinct devices it is.
    kind: usize,
    whole: bool,
    milli: u64,
    memory: u64,
    /// Memory slices as bits, and compute slices.
    slices: (u64, u8),
}

/// A pool whose states can be searched.
pub(crate) struct Search {
    kinds: Vec<Device>,
}

impl Search {
    /// The pool of a snapshot, and its state with what runs.
    pub(crate) fn new(snapshot: &Snapshot) -> (Self, State) {
        Self::without(snapshot, &|_| false)
    }

    /// The same without some of the running workloads, by their place among all.
    pub(crate) fn without(snapshot: &Snapshot, gone: &dyn Fn(usize) -> bool) -> (Self, State) {
        let mut search = Self { kinds: Vec::new() };
        let mut state: State = snapshot.nodes.values().map(|node| search.machine(node)).collect();
        for (_, workload) in snapshot.workloads.values().enumerate().filter(|(at, _)| !gone(*at)) {
            search.hold(snapshot, workload, &mut state);
        }
        Self::sort(&mut state);
        (search, state)
    }

    /// Every state after all members of a workload are placed; none where it does not fit.
    pub(crate) fn place(&self, states: &BTreeSet<State>, workload: &Workload) -> BTreeSet<State> {
        let mut states = states.clone();
        for _ in 0..workload.gang.max(1) {
            states = states.iter().flat_map(|state| self.place_one(state, workload)).collect();
        }
        states
    }

    fn place_one(&self, state: &State, workload: &Workload) -> Vec<State> {
        let mut after = Vec::new();
        for (at, machine) in state.iter().enumerate().filter(|(_, machine)| machine.open) {
            for machine in self.place_on(machine, workload) {
                let mut state = state.clone();
                state[at] = machine;
                Self::sort(&mut state);
                after.push(state);
            }
        }
        after
    }

    fn place_on(&self, machine: &Machine, workload: &Workload) -> Vec<Machine> {
        let request = &workload.request;
        let needs = [request.cpu.0, request.memory.0, request.disk.0];
        let free = machine.free.iter().zip(needs).map(|(free, need)| free.checked_sub(need));
        let Some(free) = free.collect::<Option<Vec<_>>>() else { return Vec::new() };
        let machine = Machine { free: [free[0], free[1], free[2]], ..machine.clone() };
        let count = match &request.gpu {
            GpuRequest::None | GpuRequest::Auto => 0,
            GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. } => (*count).max(1),
            GpuRequest::Share { .. } | GpuRequest::Memory { .. } => 1,
        };
        let mut machines = BTreeSet::from([machine]);
        for _ in 0..count {
            machines = machines.iter().flat_map(|it| self.take(it, &request.gpu, count)).collect();
        }
        machines.into_iter().collect()
    }

    /// The machine after one device, share or instance is taken, in every way.
    fn take(&self, machine: &Machine, request: &GpuRequest, count: u32) -> Vec<Machine> {
        let mut after = Vec::new();
        for (at, held) in machine.devices.iter().enumerate() {
            let device = &self.kinds[held.kind];
            for held in options(device, held, request, count) {
                let mut machine = machine.clone();
                machine.devices[at] = held;
                machine.devices.sort();
                after.push(machine);
            }
        }
        after
    }

    fn machine(&mut self, node: &weft_sched::Node) -> Machine {
        let mut held = |device: &Device| {
            let known = self.kinds.iter().position(|kind| kind == device);
            let kind = known.unwrap_or_else(|| {
                self.kinds.push(device.clone());
                self.kinds.len() - 1
            });
            Held { kind, whole: false, milli: 0, memory: 0, slices: (0, 0) }
        };
        let devices = node.devices.values().map(&mut held).collect();
        let free = [node.cpu.0, node.memory.0, node.disk.0];
        Machine { open: node.schedulable, free, devices }
    }

    /// Put what a running workload holds into a state whose devices stand in their first order.
    fn hold(&self, snapshot: &Snapshot, workload: &Workload, state: &mut State) {
        let WorkloadState::Running(running) = &workload.state else { return };
        for placement in &running.placements {
            let at = snapshot.nodes.keys().position(|name| *name == placement.node);
            let machine = &mut state[at.expect("it runs on a machine of the pool")];
            let amounts = [placement.cpu.0, placement.memory.0, placement.disk.0];
            machine.free.iter_mut().zip(amounts).for_each(|(free, amount)| *free -= amount);
            for grant in &placement.grants {
                let held = &mut machine.devices[grant.device().index as usize];
                match grant {
                    Grant::Whole { .. } => held.whole = true,
                    Grant::Share { milli, memory, .. } => {
                        held.milli += milli.0;
                        held.memory += memory.0;
                    }
                    Grant::Mig { placement, .. } => {
                        held.slices.0 |= bits(placement.start, placement.size);
                        held.slices.1 += placement.profile.slices;
                    }
                }
            }
        }
    }

    /// One form for all states that differ in names alone.
    fn sort(state: &mut State) {
        state.iter_mut().for_each(|machine| machine.devices.sort());
        state.sort();
    }
}

fn bits(start: u8, size: u8) -> u64 {
    ((1 << size) - 1) << start
}

/// What a device may become when one of what is asked is taken of it.
fn options(device: &Device, held: &Held, request: &GpuRequest, count: u32) -> Vec<Held> {
    let idle = !held.whole && held.milli == 0 && held.memory == 0 && held.slices == (0, 0);
    let (class, memory) = (&device.class, device.class.memory.0);
    let named = |names: &[String]| names.is_empty() || names.contains(&class.name);
    let serves = |filter: &GpuFilter| named(&filter.names) && filter.admits(class.memory);
    if !device.healthy || held.whole {
        return Vec::new();
    }
    let share = |milli: u64, bytes: u64| {
        let (milli, bytes) = (held.milli + milli, held.memory + bytes);
        let fits = held.slices == (0, 0) && milli <= 1000 && bytes <= memory;
        let after = Held { milli, memory: bytes, ..held.clone() };
        if fits { vec![after] } else { Vec::new() }
    };
    match (request, &device.mode) {
        (GpuRequest::Whole { filter, .. }, DeviceMode::Whole) if idle && serves(filter) => {
            vec![Held { whole: true, ..held.clone() }]
        }
        (GpuRequest::Whole { filter, .. }, DeviceMode::Mig { geometry, compute_slices })
            if idle && count == 1 && serves(filter) =>
        {
            let full = geometry.iter().find(|place| place.profile.slices == *compute_slices);
            let take = |place: &weft_sched::MigPlacement| Held {
                slices: (bits(place.start, place.size), *compute_slices),
                ..held.clone()
            };
            full.map(take).into_iter().collect()
        }
        (GpuRequest::Share { milli, filter }, DeviceMode::Whole) if serves(filter) => {
            share(milli.0, memory * milli.0 / 1000)
        }
        (GpuRequest::Memory { bytes, least, names }, DeviceMode::Whole) if named(names) => {
            share((bytes.0 * 1000).div_ceil(memory).max(least.0), bytes.0)
        }
        (GpuRequest::Mig { profile, .. }, DeviceMode::Mig { geometry, compute_slices }) => {
            let open = geometry.iter().filter(|place| {
                let apart = held.slices.0 & bits(place.start, place.size) == 0;
                let compute = held.slices.1 + profile.slices;
                place.profile == *profile && apart && compute <= *compute_slices
            });
            let take = |place: &weft_sched::MigPlacement| Held {
                slices: (
                    held.slices.0 | bits(place.start, place.size),
                    held.slices.1 + profile.slices,
                ),
                ..held.clone()
            };
            open.map(take).collect()
        }
        _ => Vec::new(),
    }
}
