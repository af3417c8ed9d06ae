//! A device: what is held of it on each side, and what one member takes of it.
//!
//! Called by `pool.rs`, which takes and gives, and by who scores (`fit.rs`, `mig.rs`). Absent on
//! purpose: whether it may be taken: a snapshot may hold more than a device has.

use super::class::WHOLE;
use super::mig::Instance;
use super::pool::View;
use alloc::vec::Vec;
use weft_types::Isolation;

/// A device.
#[derive(Debug, Clone)]
pub(crate) struct Accelerator {
    /// Its machine.
    pub(crate) node: u32,
    /// Its number there.
    pub(crate) index: u32,
    /// Its kind.
    pub(crate) kind: u32,
    /// Whether it takes new work.
    pub(crate) healthy: bool,
    /// Its MIG geometry, where it has one.
    pub(crate) geometry: Option<u32>,
    /// What keeps shares of it apart; none: it is not shared.
    pub(crate) share: Option<Isolation>,
    /// Scarcity of its kind.
    pub(crate) value: u32,
    /// Memory of its kind.
    pub(crate) memory: u64,
    /// What is held of it, on each side.
    pub(crate) held: [Held; 2],
}

impl Accelerator {
    /// Nothing is held of it.
    pub(crate) fn is_idle(&self, view: View) -> bool {
        view.sides().iter().all(|side| self.held[*side].idle())
    }

    /// It may be given in fractions.
    pub(crate) fn shares(&self) -> bool {
        self.healthy && self.geometry.is_none() && self.share.is_some()
    }

    /// Thousandths that can still be given in fractions.
    pub(crate) fn share_free(&self, side: usize) -> u64 {
        let held = &self.held[side];
        match self.shares() && held.whole == 0 && held.instances.is_empty() {
            true => WHOLE.saturating_sub(held.milli),
            false => 0,
        }
    }
}

/// What is held of a device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Holders of the whole of it; more than one only when the snapshot or a promise overlaps.
    pub(crate) whole: u32,
    /// Shares: thousandths.
    pub(crate) milli: u64,
    /// Shares: bytes.
    pub(crate) memory: u64,
    /// MIG instances.
    pub(crate) instances: Vec<Instance>,
}

impl Held {
    /// Nothing is held.
    pub(crate) fn idle(&self) -> bool {
        self.whole == 0 && self.milli == 0 && self.memory == 0 && self.instances.is_empty()
    }

    /// A fraction is held.
    pub(super) fn shared(&self) -> bool {
        self.milli > 0 || self.memory > 0
    }

    /// Memory slices held, and compute slices.
    pub(crate) fn slices(&self) -> (u64, u32) {
        let join = |(mask, compute): (u64, u32), held: &Instance| {
            (mask | held.mask, compute + u32::from(held.compute))
        };
        self.instances.iter().fold((0, 0), join)
    }
}

/// What one member takes of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    /// All of it.
    Whole {
        /// Which.
        device: u32,
    },
    /// A fraction.
    Share {
        /// Of which.
        device: u32,
        /// Thousandths.
        milli: u64,
        /// Bytes.
        memory: u64,
    },
    /// A MIG instance.
    Mig {
        /// Of which.
        device: u32,
        /// Memory slices as bits.
        mask: u64,
        /// Compute slices.
        compute: u8,
        /// Which placement of its geometry; none of them where it runs already (`mig.rs`).
        place: u16,
    },
}

impl Pick {
    /// The device.
    pub(crate) fn device(&self) -> u32 {
        match self {
            Pick::Whole { device } | Pick::Share { device, .. } | Pick::Mig { device, .. } => {
                *device
            }
        }
    }
}

impl Held {
    /// It is held as well.
    pub(super) fn add(&mut self, pick: Pick) {
        match pick {
            Pick::Whole { .. } => self.whole += 1,
            Pick::Share { milli, memory, .. } => {
                self.milli = self.milli.saturating_add(milli);
                self.memory = self.memory.saturating_add(memory);
            }
            Pick::Mig { mask, compute, place, .. } => {
                self.instances.push(Instance { mask, compute, place });
            }
        }
    }

    /// It is held no longer.
    pub(super) fn remove(&mut self, pick: Pick) {
        match pick {
            Pick::Whole { .. } => self.whole = self.whole.saturating_sub(1),
            Pick::Share { milli, memory, .. } => {
                self.milli = self.milli.saturating_sub(milli);
                self.memory = self.memory.saturating_sub(memory);
            }
            Pick::Mig { mask, compute, .. } => {
                let same = |held: &Instance| (held.mask, held.compute) == (mask, compute);
                let at = self.instances.iter().rposition(same);
                debug_assert!(at.is_some(), "{pick:?} is given back by whom it is not held");
                at.map(|at| self.instances.swap_remove(at));
            }
        }
    }
}
