//! A share of a device's time: a bucket for each container, and how the rates are divided.
//!
//! Whoever launches pays with the time its kernel takes, from a bucket that fills at the
//! container's rate. A launch goes while there is anything in it, so a long kernel leaves a debt
//! that is waited off afterwards; no launch waits for more than was spent. What is not used runs
//! over at [`BURST_NS`], so nobody saves up time to take it all at once.
//!
//! Rates follow what is used ([`divide`], every [`PERIOD_NS`]): a container always fills at its
//! share at least, so who comes back is not kept waiting; what others leave goes to those that
//! wait, and what then is left to all, by their shares. For one period after somebody's return more
//! may be given than there is; the device's own queue absorbs it.
//!
//! Integers only, nanoseconds and thousandths; the clock is an argument.

use crate::atomic::{AtomicI64, AtomicU64, Ordering};

/// Thousandths of a device's time: all of it.
pub const WHOLE: u32 = 1000;
/// The most a bucket holds: what may be launched at once after a rest. Several small kernels, and
/// a fiftieth of the second in which shares are judged.
pub const BURST_NS: i64 = 20_000_000;
/// How often rates are divided anew: a few times a burst.
pub const PERIOD_NS: u64 = 10_000_000;
/// What a container that did not wait may use beyond what it used, in thousandths of the device,
/// before the rest is given to others: it was not asked how much more it could have used.
const MARGIN: u32 = 20;

/// A container's time on one device, in memory that its processes share.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Bucket {
    /// Nanoseconds of the device that may be spent; below zero is a debt.
    left: AtomicI64,
    /// Up to when it was filled.
    filled: AtomicU64,
    /// Nanoseconds spent in all.
    pub(crate) spent: AtomicU64,
    /// How many launches had to wait.
    pub(crate) waits: AtomicU64,
}

impl Bucket {
    /// Pays for a launch that takes so long, or says for how many nanoseconds there is nothing to
    /// pay with. Without a rate nothing is ever launched, and the wait is [`PERIOD_NS`].
    ///
    /// # Errors
    /// The wait; nothing was paid.
    pub fn pay(&self, now: u64, cost: u64, rate: u32) -> Result<(), u64> {
        self.fill(now, rate);
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.fetch_sub(i64::try_from(cost).unwrap_or(i64::MAX / 2), Ordering::Relaxed);
            self.spent.fetch_add(cost, Ordering::Relaxed);
            return Ok(());
        }
        self.waits.fetch_add(1, Ordering::Relaxed);
        let debt = left.unsigned_abs() + 1;
        match rate {
            0 => Err(PERIOD_NS),
            _ => Err((debt.saturating_mul(u64::from(WHOLE)) / u64::from(rate)).max(1)),
        }
    }

    /// Corrects what was paid for a launch once it is known how long it took.
    pub fn correct(&self, paid: u64, took: u64) {
        let more = i64::try_from(i128::from(took) - i128::from(paid)).unwrap_or(0);
        self.left.fetch_sub(more, Ordering::Relaxed);
        let _ = self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
            Some(spent.saturating_add(took).saturating_sub(paid))
        });
    }

    /// Nanoseconds spent in all.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// How many launches had to wait.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Fills up to now. Of those who fill at once one adds; a clock that goes back adds nothing.
    fn fill(&self, now: u64, rate: u32) {
        let filled = self.filled.load(Ordering::Relaxed);
        if now <= filled {
            return;
        }
        let won = self.filled.compare_exchange(filled, now, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_err() {
            return;
        }
        let passed = (now - filled).saturating_mul(u64::from(rate)) / u64::from(WHOLE);
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            // A debt is worked off in full, however long it is; a credit runs over.
            Some(left.saturating_add(passed).min(BURST_NS))
        });
    }
}

/// What a container did on a device in the last period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenant {
    /// Its share, in thousandths.
    pub share: u32,
    /// What it used, in thousandths of the period.
    pub used: u32,
    /// Whether it waited for more.
    pub waited: bool,
}

impl Tenant {
    /// What it would use of the next period, as far as is known.
    fn wants(self) -> u32 {
        if self.waited { WHOLE } else { self.used.saturating_add(MARGIN).min(WHOLE) }
    }
}

/// A rate that is not settled yet.
const UNSETTLED: u32 = u32::MAX;

/// What is not given yet, and the shares of those it is for.
#[derive(Debug, Clone, Copy)]
struct Rest {
    left: u32,
    shares: u64,
}

impl Rest {
    /// The part of one with this share.
    fn part(self, share: u32) -> u32 {
        let part = u64::from(share) * u64::from(self.left) / self.shares.max(1);
        u32::try_from(part).unwrap_or(WHOLE)
    }
}

/// The rates of all containers on a device for the next period, in thousandths; as many are written
/// as there are tenants and places.
///
/// Whoever waited wants all there is, the others what they used and a margin. By weighted max-min
/// fairness (D. Bertsekas, R. Gallager, *Data Networks*, 1992, §6.5.2) those that want less than
/// their part have what they want, and the others the rest by their shares. What nobody wants goes
/// to all by their shares, so that who uses what others leave keeps it without waiting first.
/// Nobody has less than its share.
pub fn divide(tenants: &[Tenant], rates: &mut [u32]) {
    rates.fill(UNSETTLED);
    let shares = tenants.iter().map(|tenant| u64::from(tenant.share)).sum();
    let mut rest = Rest { left: WHOLE, shares };
    while settle(tenants, rates, &mut rest) {}
    let unwanted = if rest.shares == 0 { rest.left } else { 0 };
    let unwanted = Rest { left: unwanted, shares };
    for (tenant, rate) in tenants.iter().zip(rates) {
        let given = match *rate {
            UNSETTLED => rest.part(tenant.share),
            wants => wants + unwanted.part(tenant.share),
        };
        *rate = given.max(tenant.share).min(WHOLE);
    }
}

/// Gives those that want no more than their part what they want; whether there was one. What one
/// leaves of its part makes the others' larger.
fn settle(tenants: &[Tenant], rates: &mut [u32], rest: &mut Rest) -> bool {
    let mut settled = false;
    for (tenant, rate) in tenants.iter().zip(rates) {
        let wants = tenant.wants();
        if *rate == UNSETTLED && wants <= rest.part(tenant.share) {
            *rate = wants;
            *rest = Rest { left: rest.left - wants, shares: rest.shares - u64::from(tenant.share) };
            settled = true;
        }
    }
    settled
}
