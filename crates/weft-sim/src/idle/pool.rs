//! Devices, who is on them and who has to leave: the ladder of idle pods.
//!
//! 1. A pod that works holds its memory on a device; the work of several pods on one device goes
//!    one after the other, which is as long in all as side by side.
//! 2. Idle, it stays where it is for [`Setup::linger`], or until its place is needed.
//! 3. Then it is suspended: its memory goes to the host, at the speed of the device's link.
//! 4. Asked again, it comes back to the device where it can begin soonest, and of those to the one
//!    with fewest others. Only what is idle makes room, the longest idle first; what works is never
//!    displaced.
//!
//! Which device is soonest is known when a burst is asked for, because bursts are given out in the
//! order in which they are asked for: so a run needs no queue of events. Integers throughout.

use super::outcome::Outcome;
use super::record::Burst;
use crate::rng::Rng;

/// What a run assumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Devices.
    pub devices: u32,
    /// Memory of each, in mebibytes.
    pub memory: u64,
    /// Milliseconds an idle pod stays where it is when nobody needs the place.
    pub linger: u64,
    /// Mebibytes a second between a device and its host, either way.
    pub link: u64,
    /// Milliseconds that coming back costs beside the copy; a suspension the same.
    pub toggle: u64,
}

/// A pod on a device.
#[derive(Debug, Clone, Copy)]
struct Resident {
    pod: u32,
    memory: u64,
    /// When its last burst ends.
    busy_until: u64,
}

#[derive(Debug, Clone, Default)]
struct Device {
    residents: Vec<Resident>,
    /// When what was given out to it is worked off, and when its link is free.
    works_until: u64,
    copies_until: u64,
}

/// Where a burst could go: when it would begin, when the pod's memory would be there, who leaves.
/// The least is the best.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    begins: u64,
    there: u64,
    /// How many would be on the device beside it.
    shares: usize,
    leaves: Vec<u32>,
    device: usize,
}

/// Serves the bursts of so many pods, which are in the order in which they are asked for. A pod
/// that is larger than a device is not served.
#[must_use]
pub fn serve(setup: &Setup, bursts: &[Burst], pods: usize) -> Outcome {
    let mut pool = Pool {
        setup: *setup,
        devices: vec![Device::default(); setup.devices as usize],
        on: vec![None; pods],
        held: vec![0; pods],
        outcome: Outcome::default(),
    };
    for burst in bursts.iter().filter(|burst| burst.memory <= setup.memory) {
        pool.expire(burst.at);
        pool.serve(burst);
    }
    let begin = bursts.first().map_or(0, |burst| burst.at);
    let end = pool.devices.iter().map(|device| device.works_until).max().unwrap_or(begin);
    let mut outcome = pool.outcome;
    outcome.capacity = u64::from(setup.devices) * end.saturating_sub(begin);
    outcome.resumes.sort_unstable();
    outcome.delays.sort_unstable();
    outcome
}

struct Pool {
    setup: Setup,
    devices: Vec<Device>,
    /// Where each pod is.
    on: Vec<Option<usize>>,
    /// What each pod holds, on a device or on the host, once it has worked.
    held: Vec<u64>,
    outcome: Outcome,
}

impl Pool {
    /// What has idled for long enough is suspended, in the order in which it fell idle.
    fn expire(&mut self, now: u64) {
        for at in 0..self.devices.len() {
            let linger = self.setup.linger;
            let due = |it: &&Resident| it.busy_until.saturating_add(linger) <= now;
            let device = &self.devices[at];
            let mut due: Vec<Resident> = device.residents.iter().filter(due).copied().collect();
            due.sort_unstable_by_key(|it| (it.busy_until, it.pod));
            for it in due {
                self.suspend(at, it, it.busy_until + linger);
            }
        }
    }

    fn suspend(&mut self, at: usize, it: Resident, from: u64) {
        let copy = self.copy(it.memory);
        let device = &mut self.devices[at];
        device.copies_until = device.copies_until.max(from) + copy;
        device.residents.retain(|other| other.pod != it.pod);
        self.on[it.pod as usize] = None;
        let away = self.held.iter().zip(&self.on).filter(|(_, on)| on.is_none());
        let host: u64 = away.map(|(memory, _)| memory).sum();
        self.outcome.host = self.outcome.host.max(host);
    }

    fn copy(&self, memory: u64) -> u64 {
        self.setup.toggle + memory * 1000 / self.setup.link.max(1)
    }

    fn serve(&mut self, burst: &Burst) {
        let pod = burst.pod as usize;
        self.held[pod] = burst.memory;
        if let Some(at) = self.on[pod] {
            if self.grows(at, burst) {
                self.outcome.hot += 1;
                return self.work(at, burst, burst.at);
            }
            // It has grown out of its device: it is moved like one that comes back.
            let residents = self.devices[at].residents.iter();
            if let Some(it) = residents.copied().find(|it| it.pod == burst.pod) {
                self.suspend(at, it, burst.at.max(it.busy_until));
            }
        }
        let offers = (0..self.devices.len()).filter_map(|at| self.offer(at, burst));
        let Some(offer) = offers.min() else { return };
        for pod in &offer.leaves {
            let residents = self.devices[offer.device].residents.iter();
            if let Some(it) = residents.copied().find(|it| it.pod == *pod) {
                self.outcome.displaced += 1;
                self.suspend(offer.device, it, burst.at.max(it.busy_until));
            }
        }
        let device = &mut self.devices[offer.device];
        device.copies_until = offer.there;
        device.residents.push(Resident { pod: burst.pod, memory: burst.memory, busy_until: 0 });
        self.on[pod] = Some(offer.device);
        self.outcome.resumes.push(offer.there - burst.at);
        self.work(offer.device, burst, offer.there);
    }

    /// Whether a pod that is on a device has room there for what it holds now.
    fn grows(&mut self, at: usize, burst: &Burst) -> bool {
        let device = &mut self.devices[at];
        let others = device.residents.iter().filter(|it| it.pod != burst.pod);
        let others: u64 = others.map(|it| it.memory).sum();
        let mut mine = device.residents.iter_mut().filter(|it| it.pod == burst.pod);
        match mine.next() {
            Some(it) if others + burst.memory <= self.setup.memory => {
                it.memory = burst.memory;
                true
            }
            _ => false,
        }
    }

    /// When a burst could begin on a device. Those that fall idle first leave first; one that
    /// still works is waited for.
    fn offer(&self, at: usize, burst: &Burst) -> Option<Offer> {
        let device = &self.devices[at];
        let mut used: u64 = device.residents.iter().map(|it| it.memory).sum();
        let mut idle: Vec<&Resident> = device.residents.iter().collect();
        idle.sort_unstable_by_key(|it| (it.busy_until, it.pod));
        let mut copied = device.copies_until.max(burst.at);
        let mut leaves = Vec::new();
        for it in idle {
            if used + burst.memory <= self.setup.memory {
                break;
            }
            copied = copied.max(it.busy_until) + self.copy(it.memory);
            used -= it.memory;
            leaves.push(it.pod);
        }
        let fits = used + burst.memory <= self.setup.memory;
        let there = copied + self.copy(burst.memory);
        let begins = there.max(device.works_until);
        let shares = device.residents.len() - leaves.len();
        fits.then_some(Offer { begins, there, shares, leaves, device: at })
    }

    fn work(&mut self, at: usize, burst: &Burst, there: u64) {
        let device = &mut self.devices[at];
        let begins = there.max(device.works_until);
        device.works_until = begins + burst.work;
        let until = device.works_until;
        for it in device.residents.iter_mut().filter(|it| it.pod == burst.pod) {
            it.busy_until = until;
        }
        self.outcome.delays.push(begins - burst.at);
        self.outcome.work += burst.work;
        let decision = u64::from(burst.pod) << 48 | (at as u64) << 32;
        self.outcome.decisions = Rng::new(self.outcome.decisions ^ decision ^ begins).bits();
    }
}
