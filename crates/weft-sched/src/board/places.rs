//! The placements of a MIG geometry, and what a device is worth for instances still to come.
//!
//! Called by `mig.rs`. With `free` of the device's `S` memory slices free, and `fits(p)` the
//! instances of profile `p`, of `size(p)` slices, that can still be made at once, it is worth
//!
//! ```text
//! S²·Σ size(p)²·fits(p)  +  free²·Σ size(p)²·most(p)            most(p): fits(p) on an empty one
//! ```
//!
//! The first term is what can still be placed, each profile counted alike; its loss is the
//! fragmentation of Weng et al. (ATC '23, §2) for placements. The second, equal to it on an empty
//! device, is best fit: the fuller device is filled, the emptier one may become empty. Of the
//! placements of one instance on one device, the first term alone decides.
//!
//! What the pool is asked for has no part in it. Prices by what is seen were tried: the pools of
//! `weft-sim --bin mig` held 0.2 to 0.8 % more with them on average, and every arrival would have
//! changed every score.

use super::class::Geometry;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::MigProfile;

/// Most memory slices for which the worth of every mask is kept: all hardware has 8 or 4, and
/// 2^8 figures are made in some 10 µs.
const TABLE_SLICES_MAX: u32 = 8;

/// One placement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Its number in the geometry.
    pub(crate) number: u16,
    /// Its memory slices as bits; none where they lie outside what is told apart.
    pub(crate) mask: u64,
    /// Its compute slices.
    pub(crate) compute: u8,
    /// Which profile.
    pub(crate) profile: u16,
}

/// The placements of a geometry.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Compute slices in all.
    pub(crate) compute: u8,
    all: Vec<Place>,
    /// Usable placements of each profile, lowest first; larger profiles first.
    profiles: Vec<Vec<Place>>,
    /// Memory slices in all.
    slices: u32,
    /// The worth of every mask, where there are few.
    table: Vec<u64>,
}

impl Places {
    /// Of this geometry.
    pub(crate) fn new(geometry: &Geometry) -> Self {
        let mut order: BTreeMap<(Reverse<u8>, &MigProfile), u16> = BTreeMap::new();
        for place in &geometry.places {
            order.insert((Reverse(place.size), &place.profile), 0);
        }
        (0..).zip(order.values_mut()).for_each(|(number, profile)| *profile = number);
        let place = |(number, place): (usize, &crate::MigPlacement)| Place {
            number: u16::try_from(number).unwrap_or(u16::MAX),
            mask: Geometry::mask(place).unwrap_or(0),
            compute: place.profile.slices,
            profile: order.get(&(Reverse(place.size), &place.profile)).copied().unwrap_or(0),
        };
        let all: Vec<Place> = geometry.places.iter().enumerate().map(place).collect();
        let mut profiles = alloc::vec![Vec::new(); order.len()];
        for place in all.iter().filter(|place| place.mask != 0) {
            profiles[usize::from(place.profile)].push(*place);
        }
        profiles.iter_mut().for_each(|of: &mut Vec<Place>| of.sort_by_key(|place| place.mask));
        let slices = all.iter().map(|place| u64::BITS - place.mask.leading_zeros()).max();
        let (compute, slices) = (geometry.compute, slices.unwrap_or(0));
        let mut places = Self { compute, all, profiles, slices, table: Vec::new() };
        if slices <= TABLE_SLICES_MAX {
            places.table = (0..1 << slices).map(|taken| places.count(taken)).collect();
        }
        places
    }

    /// What a device is worth with these memory slices taken.
    pub(crate) fn worth(&self, taken: u64) -> u64 {
        let kept = usize::try_from(taken).ok().and_then(|taken| self.table.get(taken));
        kept.copied().unwrap_or_else(|| self.count(taken))
    }

    /// Whether the worth of every mask is kept, so that arrangements can be compared.
    pub(crate) fn has_table(&self) -> bool {
        !self.table.is_empty()
    }

    /// A placement by its number.
    pub(crate) fn get(&self, number: u16) -> Option<Place> {
        self.all.get(usize::from(number)).copied()
    }

    /// The placements of a profile, lowest first.
    pub(crate) fn of(&self, profile: u16) -> &[Place] {
        self.profiles.get(usize::from(profile)).map_or(&[], Vec::as_slice)
    }

    fn count(&self, taken: u64) -> u64 {
        let sum = |taken| {
            let each = self.profiles.iter().map(|of| {
                let size = of.first().map_or(0, |place| u64::from(place.mask.count_ones()));
                size * size * fits(of, taken)
            });
            each.sum::<u64>()
        };
        let slices = u64::from(self.slices);
        let taken_here = u64::from((taken & !u64::MAX.unbounded_shl(self.slices)).count_ones());
        let free = slices - taken_here;
        slices * slices * sum(taken) + free * free * sum(0)
    }
}

/// Instances of one profile that can be made at once: their placements are intervals, and taking
/// those that end first is optimal for intervals.
fn fits(of: &[Place], mut taken: u64) -> u64 {
    let mut count = 0;
    for place in of {
        if place.mask & taken == 0 {
            taken |= place.mask;
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MigPlacement;
    use weft_types::Bytes;

    fn places(rows: &[(u8, u8, &[u8])], compute: u8) -> Places {
        let of = |(slices, size, starts): &(u8, u8, &[u8])| -> Vec<MigPlacement> {
            let profile = MigProfile { slices: *slices, memory_gb: u16::from(*size) * 10 };
            let place = |start: &u8| {
                let profile = profile.clone();
                MigPlacement { profile, start: *start, size: *size, memory: Bytes(1) }
            };
            starts.iter().map(place).collect()
        };
        Places::new(&Geometry { places: rows.iter().flat_map(of).collect(), compute })
    }

    fn eighths() -> Places {
        let rows: [(u8, u8, &[u8]); 6] = [
            (1, 1, &[0, 1, 2, 3, 4, 5, 6]),
            (1, 2, &[0, 2, 4, 6]),
            (2, 2, &[0, 2, 4]),
            (3, 4, &[0, 4]),
            (4, 4, &[0]),
            (7, 8, &[0]),
        ];
        places(&rows, 7)
    }

    #[test]
    fn every_slice_is_worth_something() {
        let places = eighths();
        for taken in 0..256u64 {
            for slice in (0..8).map(|slice| 1 << slice).filter(|slice| slice & taken == 0) {
                assert!(places.worth(taken | slice) < places.worth(taken), "{taken:b} {slice:b}");
            }
        }
    }

    #[test]
    fn an_empty_device_and_a_full_one_by_hand() {
        let places = eighths();
        // Seven of size 1, four and three of 2, two and one of 4, one of 8.
        let sum = 7 + 4 * (4 + 3) + 16 * (2 + 1) + 64;
        assert_eq!((places.worth(0), places.worth(0xff)), (2 * 64 * sum, 0));
        // The last slice alone holds nothing.
        assert_eq!(places.worth(0x7f), sum);
    }

    #[test]
    fn a_device_of_many_slices_is_worth_the_same_way_without_a_table() {
        let many = places(&[(1, 1, &[0, 11]), (2, 6, &[0, 6])], 4);
        assert!(!many.has_table() && eighths().has_table());
        assert_eq!(many.worth(0), 2 * 144 * (2 + 36 * 2));
        assert_eq!(many.worth(1), 144 * (1 + 36) + 121 * (2 + 36 * 2));
    }

    #[test]
    fn what_lies_outside_is_no_placement() {
        let odd = places(&[(1, 1, &[70]), (1, 0, &[0])], 1);
        assert_eq!((odd.worth(0), odd.get(0).map(|place| place.mask)), (0, Some(0)));
    }
}
