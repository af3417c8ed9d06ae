//! What a run used of its devices, read from the ledger that it shares with the agent.
//!
//! Called by the agent for each sample, and once more when a run has ended. The run's programs can
//! write what they like into the ledger, so each figure is bounded by what can be: nothing goes
//! back, time of a device by the time that passed, memory by the limit, counts by what no machine
//! exceeds. What is beyond is counted as soon as enough time has passed: launches are paid for
//! ahead, and what they take is then still to come. A program that writes what is not so cheats its
//! own run's figures, and nobody else's.
//!
//! Absent on purpose: what the figures were before this server; the store knows, and takes growth.

use std::time::{Duration, Instant};
use weft_cuda_abi::reading::{Reading, Spent};
use weft_runtime::{MemberKey, RunLedger, Runtime};
use weft_sched::Grant;
use weft_types::{Bytes, DeviceId, DeviceUse, Timestamp, Work};

/// Nanoseconds that a launch takes at least: the driver needs a microsecond, a process has few
/// threads that launch, and 128 processes at most.
const LAUNCH_NS: u64 = 10;

/// Bytes a nanosecond that are moved to or from devices at most: 1 TB/s, the fastest link between
/// a processor and a device being 0.9.
const BYTES_NS: u64 = 1_000;

/// A whole device's time, in thousandths.
const WHOLE: u64 = 1_000;

/// A run's ledger, and what is known of its devices.
#[derive(Debug)]
pub(crate) struct UseReader {
    ledger: RunLedger,
    /// When the command began; none: not before this was opened.
    began: Option<Timestamp>,
    looked: Option<Instant>,
    devices: Vec<Known>,
}

/// What is known of what a run used of one device.
#[derive(Debug)]
struct Known {
    device: DeviceId,
    /// Bytes of its memory that the run was given.
    limit: Bytes,
    /// Whether launches are timed: where the run was given a part of the device's time.
    timed: bool,
    /// What the ledger said last; none before it was read.
    said: Option<Said>,
    /// What of it is believed.
    total: Said,
    active_at: Option<Timestamp>,
}

/// What a ledger says of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    spent: Spent,
    memory: u64,
    peak: u64,
    /// Of all devices of the run, as are the next two.
    launches: u64,
    to_device: u64,
    from_device: u64,
}

impl UseReader {
    /// Opens the ledger of a run that was given so much of devices and whose command began then,
    /// if it did; none where it has none.
    pub(crate) fn open(
        runtime: &Runtime,
        key: MemberKey,
        grants: &[Grant],
        began: Option<Timestamp>,
    ) -> Option<Self> {
        let ledger = runtime.ledger(key)?;
        let slices = ledger.slices();
        // In the order in which they were given; where a part is kept, of whole devices too.
        if grants.len() != slices.len() {
            tracing::error!(%key, "its ledger is of other devices than it was given; not read");
            return None;
        }
        let known = |(grant, slice): (&Grant, &weft_runtime::Slice)| {
            Known::new(grant.device().clone(), slice.memory, slice.milli.0 < WHOLE)
        };
        let devices = grants.iter().zip(slices).map(known).collect();
        Some(Self { ledger, began, looked: None, devices })
    }

    /// What the run used up to now. A ledger that cannot be read says what it said before. Reads a
    /// file: blocks for some ten microseconds.
    pub(crate) fn look(&mut self, at: Timestamp) -> Vec<DeviceUse> {
        let now = Instant::now();
        let first =
            self.began.map_or(Duration::ZERO, |began| Duration::from_millis(at.since(began).0));
        let since = |last| now.saturating_duration_since(last);
        let passed = self.looked.replace(now).map_or(first, since);
        let bytes = self.ledger.read();
        take_in(&mut self.devices, bytes.as_deref(), at, passed)
    }
}

/// Takes in what a ledger's bytes say after so much time; what is believed of it, by device.
fn take_in(
    devices: &mut [Known],
    bytes: Option<&[u8]>,
    at: Timestamp,
    passed: Duration,
) -> Vec<DeviceUse> {
    let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
    let reading = bytes.and_then(Reading::of);
    // Launches and bytes are counted for all devices together.
    let alone = devices.len() == 1;
    let each = devices.iter_mut().enumerate();
    each.map(|(n, known)| {
        // Without a word of the ledger, what is paid for goes on taking its time.
        if let Some(said) = reading.map(|reading| Said::of(&reading, n)).or(known.said) {
            known.grow(said, at, passed);
        }
        known.used(alone)
    })
    .collect()
}

impl Said {
    fn of(reading: &Reading<'_>, device: usize) -> Self {
        Self {
            spent: reading.spent(device),
            memory: reading.memory(device),
            peak: reading.memory_peak(device),
            launches: reading.launches(),
            to_device: reading.to_device(),
            from_device: reading.from_device(),
        }
    }
}

impl Known {
    fn new(device: DeviceId, limit: Bytes, timed: bool) -> Self {
        Self { device, limit, timed, said: None, total: Said::default(), active_at: None }
    }

    /// Takes in what the ledger says after so many nanoseconds, as far as that can be.
    fn grow(&mut self, said: Said, at: Timestamp, passed: u64) {
        let grown = |kept: u64, said: u64, most: u64| kept.max(said.min(kept.saturating_add(most)));
        let (before, total) = (self.total, &mut self.total);
        total.spent.ns = grown(before.spent.ns, said.spent.ns, passed);
        total.launches = grown(before.launches, said.launches, passed / LAUNCH_NS);
        let most = passed.saturating_mul(BYTES_NS);
        total.to_device = grown(before.to_device, said.to_device, most);
        total.from_device = grown(before.from_device, said.from_device, most);
        total.memory = said.memory.min(self.limit.0);
        total.peak = before.peak.max(said.peak.min(self.limit.0)).max(total.memory);
        // To hold memory is not to use a device. What stood there at the first look was done at a
        // moment that nobody knows.
        let did = |said: Said| Said { memory: 0, peak: 0, ..said };
        let moved = self.said.is_some_and(|last| did(last) != did(said));
        if moved || (self.said.is_some() && total.spent.ns > before.spent.ns) {
            self.active_at = Some(at);
        }
        self.said = Some(said);
    }

    fn used(&self, alone: bool) -> DeviceUse {
        let total = &self.total;
        DeviceUse {
            device: self.device.clone(),
            gpu_ns: self.timed.then_some(total.spent.ns),
            work: alone.then_some(Work {
                launches: total.launches,
                to_device: Bytes(total.to_device),
                from_device: Bytes(total.from_device),
            }),
            memory: Bytes(total.memory),
            memory_peak: Bytes(total.peak),
            active_at: self.active_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::{Layout, alloc_zeroed};
    use std::sync::atomic::Ordering;
    use weft_cuda_abi::ledger::{Ledger, Process, SLOTS, System};
    use weft_types::NodeId;

    const SECOND: Duration = Duration::from_secs(1);
    const SECOND_NS: u64 = 1_000_000_000;
    const LIMIT: u64 = 1 << 30;
    const DEAD: System = System { alive: |_| false, pause: || {} };
    const LIVE: System = System { alive: |_| true, pause: || {} };

    fn ledger() -> Box<Ledger> {
        // SAFETY: zeroed memory of its size and alignment is a ledger that nobody joined.
        let ledger = unsafe { Box::from_raw(alloc_zeroed(Layout::new::<Ledger>()).cast()) };
        Ledger::prepare(&ledger);
        ledger
    }

    fn bytes(ledger: &Ledger) -> Vec<u8> {
        // SAFETY: nobody writes it meanwhile, and it was zeroed, gaps between its fields too.
        let bytes = unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(ledger).cast::<u8>(), size_of_val(ledger))
        };
        bytes.to_vec()
    }

    fn process(number: u32) -> Process {
        Process { number, started: 1 }
    }

    fn devices(count: u32) -> Vec<Known> {
        let node = NodeId::new("n1").unwrap();
        let device = |index| DeviceId { node: node.clone(), index };
        (0..count).map(|index| Known::new(device(index), Bytes(LIMIT), true)).collect()
    }

    /// What is read of a ledger with these bytes, a second after the last.
    fn look(devices: &mut [Known], second: u64, bytes: Option<&[u8]>) -> DeviceUse {
        take_in(devices, bytes, Timestamp(second * 1_000), SECOND).remove(0)
    }

    #[test]
    fn what_all_processes_did_is_read_and_outlives_them() {
        let (ledger, mut devices) = (ledger(), devices(1));
        for number in 1..=2 * SLOTS as u32 {
            // The places of the dead are taken by others.
            let place = ledger.join(process(number), 1, &DEAD).unwrap();
            ledger.slot(place).launches.fetch_add(2, Ordering::Relaxed);
            ledger.slot(place).to_device.fetch_add(30, Ordering::Relaxed);
            ledger.slot(place).from_device.fetch_add(4, Ordering::Relaxed);
        }
        let place = ledger.join(process(9_000), 1, &DEAD).unwrap();
        ledger.reserve(place, 0, 700, LIMIT, &LIVE).unwrap();
        ledger.reserve(place, 0, 50, LIMIT, &LIVE).unwrap();
        ledger.refund(place, 0, 700);
        let bucket = ledger.bucket(0).unwrap();
        bucket.pay(SECOND_NS, 1, 500).unwrap();
        bucket.correct(1, 12_345_678);
        let used = look(&mut devices, 1, Some(&bytes(&ledger)));
        let work = Work { launches: 512, to_device: Bytes(7_680), from_device: Bytes(1_024) };
        assert_eq!((used.gpu_ns, used.work), (Some(12_345_678), Some(work)));
        assert_eq!((used.memory, used.memory_peak), (Bytes(50), Bytes(750)));
        assert_eq!(used.active_at, None, "when is not known of what was there at the first look");
    }

    #[test]
    fn it_is_active_while_something_moves_or_is_paid_for() {
        let (ledger, mut devices) = (ledger(), devices(1));
        let mut at = |second: u64| {
            let used = look(&mut devices, second, Some(&bytes(&ledger)));
            (used.gpu_ns.unwrap(), used.active_at.map(|at| at.0))
        };
        assert_eq!(at(1), (0, None));
        // A launch that takes two and a half seconds is paid for at once, and takes its time.
        ledger.bucket(0).unwrap().pay(SECOND_NS, 5 * SECOND_NS / 2, 500).unwrap();
        assert_eq!(at(2), (SECOND_NS, Some(2_000)));
        assert_eq!(at(3), (2 * SECOND_NS, Some(3_000)));
        assert_eq!(at(4), (5 * SECOND_NS / 2, Some(4_000)));
        assert_eq!(at(5), (5 * SECOND_NS / 2, Some(4_000)), "idle");
        let place = ledger.join(process(1), 1, &LIVE).unwrap();
        ledger.reserve(place, 0, 700, LIMIT, &LIVE).unwrap();
        assert_eq!(at(6).1, Some(4_000), "to be there and to hold memory is not to use it");
        ledger.slot(place).from_device.fetch_add(1, Ordering::Relaxed);
        assert_eq!(at(7).1, Some(7_000));
    }

    #[test]
    fn of_several_devices_only_what_is_told_apart_is_told() {
        let (ledger, mut devices) = (ledger(), devices(2));
        ledger.bucket(1).unwrap().pay(SECOND_NS, 7, 500).unwrap();
        let used = take_in(&mut devices, Some(&bytes(&ledger)), Timestamp(1_000), SECOND);
        assert_eq!(used.iter().map(|used| used.gpu_ns).collect::<Vec<_>>(), [Some(0), Some(7)]);
        assert!(used.iter().all(|used| used.work.is_none()));
    }

    /// Whatever a tenant writes: nothing goes back, nothing exceeds what can be, nothing panics.
    #[test]
    fn a_tenants_lies_are_bounded() {
        let (good, mut devices) = (bytes(&ledger()), devices(1));
        let mut seed = 1u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let mut last = look(&mut devices, 0, Some(&good));
        for second in 1..2_000 {
            let mut bad = good.clone();
            match random() % 4 {
                0 => bad[16..].fill(u8::MAX),
                1 => bad.truncate(random() as usize % good.len()),
                2 => bad[..16].fill(random() as u8),
                _ => (16..bad.len()).for_each(|at| bad[at] = random() as u8),
            }
            let used = look(&mut devices, second, Some(&bad));
            let (work, before) = (used.work.unwrap(), last.work.unwrap());
            let grown = |now: u64, then: u64, most: u64| now >= then && now - then <= most;
            assert!(grown(used.gpu_ns.unwrap(), last.gpu_ns.unwrap(), SECOND_NS), "{used:?}");
            assert!(grown(work.launches, before.launches, SECOND_NS / LAUNCH_NS));
            for (now, then) in
                [(work.to_device, before.to_device), (work.from_device, before.from_device)]
            {
                assert!(grown(now.0, then.0, SECOND_NS * BYTES_NS));
            }
            assert!(used.memory <= used.memory_peak && used.memory_peak <= Bytes(LIMIT));
            assert!(used.memory_peak >= last.memory_peak);
            last = used;
        }
        assert!(last.gpu_ns.unwrap() > 1_000 * SECOND_NS, "and it was not ignored");
    }

    #[test]
    fn a_ledger_that_is_cut_short_says_what_it_said() {
        let (ledger, mut devices) = (ledger(), devices(1));
        ledger.bucket(0).unwrap().pay(SECOND_NS, 3 * SECOND_NS / 2, 500).unwrap();
        let whole = bytes(&ledger);
        let mut spent = |second, bytes| look(&mut devices, second, bytes).gpu_ns;
        assert_eq!(spent(1, Some(&whole[..])), Some(SECOND_NS));
        assert_eq!(spent(2, Some(&b"short"[..])), Some(3 * SECOND_NS / 2));
        assert_eq!(spent(3, None), Some(3 * SECOND_NS / 2));
    }
}
