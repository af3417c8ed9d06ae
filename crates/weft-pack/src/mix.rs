//! What is usually asked for, and how much of a machine's free devices is a fragment to it.
//!
//! The measure is that of Weng et al., "Beware of Fragmentation" (USENIX ATC '23), in exact
//! integers. With `T` the free thousandths of a machine and `w` how often a class `m` was asked for
//!
//! ```text
//! F(n) = Σ_m w_m × f(n, m)
//! f(n, m) = T                                if m needs no device, or does not fit on n
//!         = Σ free of devices with free < m  otherwise
//! ```
//!
//! Read it as: of what is free here, so much is of no use to the next request, times the sum of
//! all `w`. Memory is not looked at, as in the paper.

use crate::node::{Class, MODELS_MAX, Node, WHOLE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Share of requests that the typical classes cover, in hundredths; the rest is too rare to plan
/// for. As in the paper's artifact.
const POPULAR_PERCENT: u64 = 95;
/// Most typical classes: what each placement is weighed against. openb's lists have 21 to 127.
const CLASSES_MAX: usize = 255;

/// What is usually asked for.
#[derive(Debug, Clone)]
pub struct Mix {
    /// The typical classes and how often each was asked for, most often first.
    classes: Vec<(Class, u64)>,
    /// Sum of all weights.
    weight: i64,
    /// Distinct sizes on one device, ascending, at most [`WHOLE`].
    sizes: Vec<u16>,
    /// How many of `sizes` are at most the index.
    rank: Vec<u8>,
    /// What may run on each model, by processor ascending.
    by_model: Vec<Vec<Typical>>,
}

/// A class that takes devices, as [`Mix::fragment`] reads it.
#[derive(Debug, Clone, Copy)]
struct Typical {
    cpu: u32,
    /// Place in `sizes`, plus one: the same numbering as `rank`.
    size: u8,
    devices: u8,
    weight: i64,
}

impl Mix {
    /// Of all these requests: the classes asked for most, until they cover 95 % of them, at
    /// most 255. Memory is not part of a typical class.
    #[must_use]
    pub fn of(requests: &[Class]) -> Self {
        let mut counts = BTreeMap::<Class, u64>::new();
        for class in requests {
            *counts.entry(Class { memory: 0, ..*class }).or_default() += 1;
        }
        let mut classes: Vec<(Class, u64)> = counts.into_iter().collect();
        classes.sort_by_key(|(class, count)| (core::cmp::Reverse(*count), *class));
        let enough = requests.len() as u64 * POPULAR_PERCENT;
        let mut covered = 0;
        classes.retain(|(_, count)| {
            let wanted = covered * 100 < enough;
            covered += count;
            wanted
        });
        classes.truncate(CLASSES_MAX);
        Self::weighted(classes)
    }

    /// Of these classes with these weights.
    ///
    /// # Panics
    ///
    /// If there are more than 255 different sizes; [`Mix::of`] never makes so many.
    #[must_use]
    pub fn weighted(classes: Vec<(Class, u64)>) -> Self {
        let on_devices = || classes.iter().filter(|(class, _)| class.devices > 0);
        let mut sizes: Vec<u16> = on_devices().map(|(class, _)| class.milli).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert!(sizes.len() < 256, "{} different sizes on a device", sizes.len());
        let up_to = |milli: u16| sizes.partition_point(|size| *size <= milli) as u8;
        let by_model = |model: usize| {
            let mut typical: Vec<Typical> = on_devices()
                .filter(|(class, _)| class.models >> model & 1 == 1)
                .map(|(class, weight)| Typical {
                    cpu: class.cpu,
                    size: up_to(class.milli),
                    devices: class.devices,
                    weight: *weight as i64,
                })
                .collect();
            typical.sort_by_key(|typical| typical.cpu);
            typical
        };
        Self {
            weight: classes.iter().map(|(_, weight)| *weight as i64).sum(),
            rank: (0..=WHOLE).map(up_to).collect(),
            by_model: (0..MODELS_MAX).map(by_model).collect(),
            sizes,
            classes,
        }
    }

    /// The typical classes with their weights, most often asked for first.
    #[must_use]
    pub fn classes(&self) -> &[(Class, u64)] {
        &self.classes
    }

    /// Sum of all weights.
    #[must_use]
    pub fn weight(&self) -> i64 {
        self.weight
    }

    /// F(n) of the module's page: thousandths of a device times [`Mix::weight`].
    #[must_use]
    pub fn fragment(&self, node: &Node) -> i64 {
        // Few sizes are the rule, and clearing the counters is a good part of the work.
        match self.sizes.len() {
            ..32 => self.fragment_among::<34>(node),
            _ => self.fragment_among::<257>(node),
        }
    }

    fn fragment_among<const SIZES: usize>(&self, node: &Node) -> i64 {
        // A request of size s is served by devices whose rank is at least its own, so one pass
        // from the largest size down gives both what each size can use and on how many devices.
        let mut usable = [0_u32; SIZES];
        let mut count = [0_u8; SIZES];
        let mut total = 0;
        for free in node.frees() {
            let rank = usize::from(self.rank[usize::from(*free)]);
            usable[rank] += u32::from(*free);
            count[rank] += 1;
            total += i64::from(*free);
        }
        for size in (1..self.sizes.len()).rev() {
            usable[size] += usable[size + 1];
            count[size] += count[size + 1];
        }
        let served: i64 = self.by_model[usize::from(node.model)]
            .iter()
            .take_while(|typical| typical.cpu <= node.cpu)
            .filter(|typical| count[usize::from(typical.size)] >= typical.devices)
            .map(|typical| typical.weight * i64::from(usable[usize::from(typical.size)]))
            .sum();
        total * self.weight - served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(cpu: u32, devices: u8, milli: u16) -> Class {
        Class { cpu, memory: 0, devices, milli, models: u64::MAX }
    }

    #[test]
    fn fragments_by_hand() {
        let mix = Mix::weighted(alloc::vec![
            (class(4000, 1, 500), 3),
            (class(1000, 0, 0), 2),
            (class(8000, 2, 1000), 4),
            (Class { models: 0b10, ..class(1000, 1, 300) }, 1),
        ]);
        let mut node = Node::new(0, 3, 8000, 0);
        node.free[0] = 400;
        // T = 2400. 500: only the 400 is too small. No device: all. 2 × 1000: 400. Model: all.
        assert_eq!(mix.fragment(&node), 3 * 400 + 2 * 2400 + 4 * 400 + 2400);
        node.cpu = 7999;
        assert_eq!(mix.fragment(&node), 3 * 400 + 2 * 2400 + 4 * 2400 + 2400);
        node.model = 1;
        assert_eq!(mix.fragment(&node), 3 * 400 + 2 * 2400 + 4 * 2400);
        node.cpu = 0;
        assert_eq!(mix.fragment(&node), 10 * 2400);
    }

    #[test]
    fn typical_is_what_covers_95_of_100() {
        let mut requests = alloc::vec![class(1, 1, 500); 60];
        requests.extend(alloc::vec![class(2, 1, 500); 34]);
        requests.extend(alloc::vec![class(3, 1, 500); 4]);
        requests.extend(alloc::vec![Class { memory: 7, ..class(4, 1, 500) }; 2]);
        let mix = Mix::of(&requests);
        let counts: Vec<u64> = mix.classes().iter().map(|(_, count)| *count).collect();
        assert_eq!((counts, mix.weight()), (alloc::vec![60, 34, 4], 98));
    }
}
