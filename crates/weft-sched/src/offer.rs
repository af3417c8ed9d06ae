//! What a new workload could have now, by kind of device: found by planning with it, so that it is
//! what the plan would do and nothing else.
//!
//! Called for `weft gpus`. Each figure is the largest that was tried and started; what is free on
//! the devices only bounds what is tried. Absent on purpose: placing or counting shares of its own.

use crate::plan::settle;
use crate::{Action, DeviceMode, Engine, Prices, Reason, Snapshot, Workload, devices};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::{
    Bytes, GpuFilter, GpuRequest, MigProfile, MilliGpu, NodeId, Range, Timestamp, WorkloadId,
};

/// Most plans made for each half of a kind's answer: a kind takes about ten, one divided in MIG
/// instances as many for each profile. A count that is not settled by then is told as what was seen
/// to start.
const PLANS_MAX: u32 = 200;

/// A whole device, in thousandths.
const WHOLE: u64 = 1000;

/// What a new workload could have now of one kind of device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The kind.
    pub class: String,
    /// Memory of each.
    pub memory: Bytes,
    /// Healthy ones, on machines that take work.
    pub devices: u32,
    /// With what other queues lend.
    pub now: Room,
    /// Within the queue's own share: nobody asks for it back.
    pub own: Room,
    /// Why one whole device more waits; none where all there are start.
    pub why: Option<Arc<Reason>>,
    /// More than now, once others have given back what is theirs to give.
    pub back: Option<Back>,
    /// What each counts in whose turn it is, in thousandths of the pool's mean device.
    pub worth: MilliGpu,
}

/// How much could start at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// Whole devices, one for each member of a gang, wherever they are.
    pub devices: u32,
    /// Whole devices of one machine.
    pub on_one_machine: u32,
    /// The largest part of one device; 999 and less, since more is the whole.
    pub share: MilliGpu,
    /// Instances of each profile, each a member of a gang.
    pub mig: Vec<(MigProfile, u32)>,
}

/// What could be had by taking back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Whole devices, one for each member of a gang.
    pub devices: u32,
    /// Who would be stopped for it.
    pub stops: Vec<WorkloadId>,
}

/// What a workload like this could have of each kind, by name and memory; its accelerator and its
/// number of members are replaced.
pub fn offers(snapshot: &Snapshot, like: &Workload, now: Timestamp) -> Vec<Offer> {
    let kinds = kinds(snapshot);
    let mut own = snapshot.clone();
    for name in core::iter::successors(Some(like.queue.clone()), |name| name.parent()) {
        if let Some(queue) = own.queues.get_mut(&name) {
            queue.gpu.borrowing = MilliGpu(0);
        }
    }
    let mut pool = Asked::new(snapshot.clone(), like, now);
    let mut own = Asked::new(own, like, now);
    let offer = |(key, kind): (&(String, Bytes), &Kind)| {
        (pool.plans, own.plans) = (0, 0);
        let room = pool.room(key, kind, &kind.bounds());
        let owned = own.room(key, kind, &room);
        let back = pool.back(key, kind, room.devices);
        let why = (room.devices < kind.devices).then(|| pool.why(whole(key, 1), room.devices + 1));
        let ((class, memory), why) = (key.clone(), why.flatten());
        let Kind { devices, worth, .. } = *kind;
        Offer { class, memory, devices, now: room, own: owned, why, back, worth }
    };
    kinds.iter().map(offer).collect()
}

/// What bounds what could be had of a kind: what is free, whatever else.
#[derive(Default)]
struct Kind {
    devices: u32,
    worth: MilliGpu,
    /// Devices nothing of which is given, by machine.
    free: BTreeMap<NodeId, u32>,
    share: MilliGpu,
    /// Places of each profile, as if none lay over another.
    mig: BTreeMap<MigProfile, u32>,
}

impl Kind {
    fn bounds(&self) -> Room {
        Room {
            devices: self.free.values().sum(),
            on_one_machine: self.free.values().copied().max().unwrap_or(0),
            share: self.share,
            mig: self.mig.iter().map(|(profile, count)| (profile.clone(), *count)).collect(),
        }
    }
}

fn kinds(snapshot: &Snapshot) -> BTreeMap<(String, Bytes), Kind> {
    let mut kinds: BTreeMap<(String, Bytes), Kind> = BTreeMap::new();
    let prices = Prices::of(snapshot);
    for free in devices(snapshot) {
        let Some(node) = snapshot.nodes.get(&free.device.node) else { continue };
        let Some(device) = node.devices.get(&free.device.index) else { continue };
        let kind = kinds.entry((device.class.name.clone(), device.class.memory)).or_default();
        kind.worth = prices.priced(&free.device, MilliGpu(WHOLE));
        if !node.schedulable || !device.healthy {
            continue;
        }
        kind.devices += 1;
        if free.holders.is_empty() {
            *kind.free.entry(free.device.node.clone()).or_default() += 1;
        }
        match &device.mode {
            DeviceMode::Whole => {
                kind.share = kind.share.max(MilliGpu(free.milli.0.min(WHOLE - 1)));
            }
            DeviceMode::Mig { geometry, .. } => {
                let profiles: BTreeSet<&MigProfile> = geometry.iter().map(|g| &g.profile).collect();
                for profile in profiles {
                    let places = geometry.iter().filter(|place| place.profile == *profile).count();
                    *kind.mig.entry(profile.clone()).or_default() += places as u32;
                }
            }
        }
    }
    kinds
}

/// A pool that is asked what it would do with one more.
struct Asked<'a> {
    engine: Engine,
    like: &'a Workload,
    id: WorkloadId,
    now: Timestamp,
    plans: u32,
}

/// What a plan would do with it.
enum Outlook {
    Starts,
    Stops(Vec<WorkloadId>),
    Waits,
}

impl<'a> Asked<'a> {
    fn new(snapshot: Snapshot, like: &'a Workload, now: Timestamp) -> Self {
        let last = snapshot.workloads.last_key_value().map_or(0, |(id, _)| id.0);
        let id = WorkloadId(last.saturating_add(1));
        Self { engine: Engine::new(snapshot), like, id, now, plans: 0 }
    }

    fn room(&mut self, key: &(String, Bytes), kind: &Kind, most: &Room) -> Room {
        let gang = |count: u32| (whole(key, 1), count);
        let machine = |count: u32| (whole(key, count), 1);
        let share = |milli: u32| {
            let milli = MilliGpu(u64::from(milli));
            (GpuRequest::Share { milli, filter: filter(key) }, 1)
        };
        let instances = |profile: &MigProfile, count: u32| {
            (GpuRequest::Mig { profile: profile.clone(), count: 1 }, count)
        };
        let devices = self.most(most.devices, gang);
        // A part of what is free whole is there for sure, but for the share.
        let part = u32::try_from(most.share.0).unwrap_or(0);
        let mig = most.mig.iter().map(|(profile, count)| {
            let count = (*count).min(kind.mig.get(profile).copied().unwrap_or(0));
            (profile.clone(), self.most(count, |count| instances(profile, count)))
        });
        let mig = mig.collect();
        Room {
            devices,
            on_one_machine: self.most(most.on_one_machine, machine),
            share: MilliGpu(u64::from(self.most(part, share))),
            mig,
        }
    }

    /// More devices than start now, for which others would be stopped.
    fn back(&mut self, key: &(String, Bytes), kind: &Kind, now: u32) -> Option<Back> {
        let (mut enough, mut many) = (now, kind.devices + 1);
        let mut found = None;
        let mut next = kind.devices;
        while next > enough {
            match self.outlook(whole(key, 1), next) {
                Outlook::Stops(stops) if !stops.is_empty() => {
                    (enough, found) = (next, Some(Back { devices: next, stops }));
                }
                Outlook::Starts => enough = next,
                _ => many = next,
            }
            next = enough + (many - enough) / 2;
        }
        found
    }

    /// The largest count that starts, of those up to `most`.
    fn most(&mut self, most: u32, request: impl Fn(u32) -> (GpuRequest, u32)) -> u32 {
        let (mut enough, mut many) = (0, most.saturating_add(1));
        // All that is free, is what can be had more often than not.
        let mut next = most;
        while next > enough {
            let (gpu, gang) = request(next);
            match self.outlook(gpu, gang) {
                Outlook::Starts => enough = next,
                _ => many = next,
            }
            next = enough + (many - enough) / 2;
        }
        enough
    }

    /// Why so many do not start; none where they do.
    fn why(&mut self, gpu: GpuRequest, gang: u32) -> Option<Arc<Reason>> {
        self.set(gpu, gang);
        let id = self.id;
        let why = self.engine.run(self.now, |snapshot, board| {
            let (_, mut pass) = settle(snapshot, board);
            let at = pass.board.find(snapshot, id);
            (at.and_then(|at| pass.explain_one(at)), pass.board)
        });
        self.engine.set(id, None);
        why
    }

    fn set(&mut self, gpu: GpuRequest, gang: u32) {
        let mut workload = self.like.clone();
        (workload.request.gpu, workload.gang) = (gpu, gang);
        self.engine.set(self.id, Some(workload));
    }

    fn outlook(&mut self, gpu: GpuRequest, gang: u32) -> Outlook {
        self.plans += 1;
        if self.plans > PLANS_MAX {
            return Outlook::Waits;
        }
        self.set(gpu, gang);
        let id = self.id;
        let actions = self.engine.run(self.now, |snapshot, board| {
            let (actions, pass) = settle(snapshot, board);
            (actions, pass.board)
        });
        self.engine.set(id, None);
        let mut stops = Vec::new();
        for action in &actions {
            match action {
                Action::Start { workload, .. } if *workload == id => return Outlook::Starts,
                Action::Stop { workload, cause, .. } if cause.beneficiary() == Some(id) => {
                    stops.push(*workload);
                }
                _ => {}
            }
        }
        if stops.is_empty() { Outlook::Waits } else { Outlook::Stops(stops) }
    }
}

fn whole(key: &(String, Bytes), count: u32) -> GpuRequest {
    GpuRequest::Whole { count, filter: filter(key) }
}

fn filter((name, memory): &(String, Bytes)) -> GpuFilter {
    let memory = Range { min: Some(*memory), max: Some(*memory) };
    GpuFilter { names: alloc::vec![name.clone()], memory }
}
