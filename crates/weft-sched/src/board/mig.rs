//! MIG instances: which placement of a profile on which device.
//!
//! Called by `fit.rs` for classes that ask for instances, and for a single whole device where the
//! device is divided. A device's memory slices are bits of a mask; a profile lies on one of its
//! placements' masks, and compute slices are counted beside them. Instances are made when a member
//! starts, by the driver's layer; nothing here moves what runs.

use super::class::{Class, WHOLE};
use super::fit::{Score, any_whole, is_idle, left_permille, packed};
use super::pool::{Accelerator, Machine, Pick, Pool, View};
use alloc::vec::Vec;

impl Pool {
    /// The best placement for one MIG instance, and its cost.
    pub(super) fn best_mig(
        &self,
        machine: &Machine,
        class: &Class,
        view: View,
    ) -> Option<([u64; 3], Pick)> {
        let devices = machine.devices.clone().filter(|at| self.devices[*at].healthy);
        let options = devices.flat_map(|at| {
            let device = &self.devices[at];
            let geometry = device.geometry.unwrap_or(0);
            self.mig_places(device, class, view).map(move |(place, mask, compute)| {
                let lost = self.options_lost(geometry, device, view, mask);
                let score = [u64::from(device.value), u64::from(is_idle(device, view)), lost];
                (score, at, Pick::Mig { device: at as u32, mask, compute, place })
            })
        });
        let key = |pick: &Pick| match pick {
            Pick::Mig { place, .. } => *place,
            _ => 0,
        };
        let best = options.min_by_key(|(score, at, pick)| (*score, *at, key(pick)));
        best.map(|(score, _, pick)| (score, pick))
    }

    /// How well the member's instances fit on a machine; none where they do not.
    pub(super) fn mig_score(
        &self,
        machine: &Machine,
        class: &Class,
        count: u32,
        view: View,
    ) -> Option<Score> {
        if count > 1 && self.free_instances(machine, class, view) < u64::from(count) {
            return None;
        }
        let (score, _) = self.best_mig(machine, class, view)?;
        let left = left_permille(machine, class.need, view);
        Some(packed([score[0], score[1] * WHOLE + score[2], left]))
    }

    /// Placements of the class's profile that are free on a device.
    fn mig_places<'a>(
        &'a self,
        device: &'a Accelerator,
        class: &'a Class,
        view: View,
    ) -> impl Iterator<Item = (u16, u64, u8)> + 'a {
        let geometry = device.geometry.filter(|_| !any_whole(device, view));
        let places = geometry.and_then(|g| class.on_geometry.get(g as usize));
        let (mask, compute) = slices(device, view);
        let total = device.geometry.map_or(0, |g| u32::from(self.geometry(g).compute));
        places.into_iter().flatten().copied().filter(move |(_, bits, slices)| {
            bits & mask == 0 && compute + u32::from(*slices) <= total
        })
    }

    /// Placements of any profile, weighted by their size, that taking these slices makes
    /// impossible.
    fn options_lost(&self, geometry: u32, device: &Accelerator, view: View, bits: u64) -> u64 {
        let (mask, _) = slices(device, view);
        let open = self.geometry(geometry).masks.iter().filter(|place| *place & mask == 0);
        open.filter(|place| *place & bits != 0).map(|place| u64::from(place.count_ones())).sum()
    }

    /// Instances of the class's profile that fit on a device at once: placements of one profile
    /// are intervals, and taking those that end first is optimal for intervals.
    fn mig_slots(&self, device: &Accelerator, class: &Class, view: View) -> u64 {
        let (mut mask, mut compute) = slices(device, view);
        let total = device.geometry.map_or(0, |g| u32::from(self.geometry(g).compute));
        let mut places: Vec<_> = self.mig_places(device, class, view).collect();
        places.sort_by_key(|(_, bits, _)| *bits);
        let mut fits = |(_, bits, slices): &(u16, u64, u8)| {
            let fits = bits & mask == 0 && compute + u32::from(*slices) <= total;
            if fits {
                mask |= bits;
                compute += u32::from(*slices);
            }
            fits
        };
        places.iter().filter(|place| fits(place)).count() as u64
    }

    /// All of an idle device: as its full profile where it is divided in instances.
    pub(super) fn all_of(&self, at: usize, class: &Class, view: View) -> Option<Pick> {
        let (device, number) = (&self.devices[at], at as u32);
        match device.geometry {
            None => Some(Pick::Whole { device: number }),
            Some(_) => self
                .mig_places(device, class, view)
                .next()
                .map(|(place, mask, compute)| Pick::Mig { device: number, mask, compute, place }),
        }
    }

    /// Instances of the class's profile that still fit on the machine.
    pub(crate) fn free_instances(&self, machine: &Machine, class: &Class, view: View) -> u64 {
        let healthy = machine.devices.clone().filter(|at| self.devices[*at].healthy);
        healthy.map(|at| self.mig_slots(&self.devices[at], class, view)).sum()
    }
}

/// Memory slices held on any of the sides, and the most compute slices held on one.
fn slices(device: &Accelerator, view: View) -> (u64, u32) {
    let each = view.sides().iter().map(|side| device.held[*side].slices());
    each.fold((0, 0), |(mask, compute), (m, c)| (mask | m, compute.max(c)))
}
