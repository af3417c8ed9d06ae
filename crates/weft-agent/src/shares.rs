//! Divides the time of each device among the workloads that have a part of it.
//!
//! Every [`PERIOD_NS`] one thread reads what each has used, and gives what some leave to those that
//! wait. What it gives runs out by itself: when the server ends, however it ends, each workload has
//! its share and no more. The thread is there while there is anybody to divide for.
//!
//! A workload writes what is read here, and may lie. It gains nothing: nobody gets less than his
//! share, nobody more than a device, and whoever says that he uses little only lets others have
//! the time that he takes as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use weft_cuda_abi::reading::Spent;
use weft_cuda_abi::share::{PERIOD_NS, Tenant, WHOLE, divide};
use weft_runtime::RunLedger;

/// Everybody who has a part of a device of this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tenants: Vec<One>,
    joined: u64,
    /// Whether the thread is there.
    dividing: bool,
}

/// One workload's member.
#[derive(Debug)]
struct One {
    number: u64,
    ledger: RunLedger,
    /// What it had spent at the last look; none before the first.
    before: Option<Vec<Spent>>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Joined {
    shares: Shares,
    number: u64,
}

impl Shares {
    /// Divides for this one, too, as long as the answer is kept.
    pub(crate) fn join(&self, ledger: RunLedger) -> Joined {
        let mut state = self.state();
        state.joined += 1;
        let number = state.joined;
        state.tenants.push(One { number, ledger, before: None });
        if !state.dividing {
            let shares = self.clone();
            let thread = thread::Builder::new().name("weft-shares".to_owned());
            // Without a thread each has its share, as without a server.
            state.dividing = thread.spawn(move || shares.run()).is_ok();
        }
        Joined { shares: self.clone(), number }
    }

    fn run(&self) {
        let mut looked = Instant::now();
        loop {
            thread::sleep(Duration::from_nanos(PERIOD_NS));
            let mut state = self.state();
            if state.tenants.is_empty() {
                state.dividing = false;
                return;
            }
            let now = Instant::now();
            let passed = u64::try_from((now - looked).as_nanos()).unwrap_or(u64::MAX);
            looked = now;
            period(&mut state.tenants, passed);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.shares.state().tenants.retain(|one| one.number != self.number);
    }
}

/// A device in one period.
#[derive(Debug, Default)]
struct Device {
    /// Whose, and which of his parts.
    parts: Vec<(usize, usize)>,
    /// What each of them did.
    did: Vec<Tenant>,
}

/// One look at all of them, and what each is given for the next period.
fn period(tenants: &mut [One], passed_ns: u64) {
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    for (place, one) in tenants.iter_mut().enumerate() {
        let now = one.ledger.spent();
        for (part, slice) in one.ledger.slices().iter().enumerate() {
            let share = u32::try_from(slice.milli.0).unwrap_or(WHOLE);
            if share >= WHOLE {
                continue;
            }
            let at = |spent: &Option<Vec<Spent>>| spent.as_ref()?.get(part).copied();
            let device = devices.entry(slice.uuid.clone()).or_default();
            device.parts.push((place, part));
            device.did.push(did(share, at(&one.before), at(&now), passed_ns));
        }
        one.before = now;
    }
    for device in devices.into_values() {
        let mut rates = vec![0; device.did.len()];
        divide(&device.did, &mut rates);
        for ((place, part), rate) in device.parts.into_iter().zip(rates) {
            // One that cannot be written runs out, and leaves the share.
            let _ = tenants[place].ledger.give(part, rate);
        }
    }
}

/// What one did in the last period, as far as that can be: one that cannot be read has used its
/// share and waits for nothing.
fn did(share: u32, before: Option<Spent>, now: Option<Spent>, passed_ns: u64) -> Tenant {
    let (Some(before), Some(now)) = (before, now) else {
        return Tenant { share, used: share, waited: false };
    };
    let spent = now.ns.saturating_sub(before.ns).min(passed_ns);
    let used = u128::from(spent) * u128::from(WHOLE) / u128::from(passed_ns.max(1));
    let used = u32::try_from(used).unwrap_or(WHOLE).min(WHOLE);
    Tenant { share, used, waited: now.waits != before.waits }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(ns: u64, waits: u64) -> Option<Spent> {
        Some(Spent { ns, waits })
    }

    #[test]
    fn what_one_says_is_believed_as_far_as_it_can_be() {
        let said = |before, now| did(300, before, now, 10_000_000);
        let quiet = |used| Tenant { share: 300, used, waited: false };
        assert_eq!(said(spent(5, 1), spent(2_000_005, 1)), quiet(200));
        assert_eq!(said(spent(5, 1), spent(2_000_005, 4)), Tenant { waited: true, ..quiet(200) });
        // Unreadable, fresh, backwards, absurd.
        assert_eq!(said(spent(5, 1), None), quiet(300));
        assert_eq!(said(None, spent(5, 1)), quiet(300));
        assert_eq!(said(spent(9, 1), spent(5, 1)), quiet(0));
        assert_eq!(said(spent(0, 1), spent(u64::MAX, 1)), quiet(1000));
        assert_eq!(did(300, spent(0, 0), spent(7, 0), 0), quiet(0));
    }
}
