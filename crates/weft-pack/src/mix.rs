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
    /// What may run on each model: a place in `served`.
    by_model: Vec<u8>,
    /// What may run on some model: models that no class tells apart share one.
    served: Vec<Served>,
}

/// The classes that may run on a model, as [`Mix::fragment`] reads them: those that ask for the
/// same devices are one, and weigh what those weigh for which there is processor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Served {
    /// The distinct amounts of processor that are asked for, ascending.
    cpus: Vec<u32>,
    /// Place in `sizes`, plus one, which is the numbering of `rank`; and how many devices.
    asked: Vec<(u8, u8)>,
    /// For no amount of `cpus`, the first one, the first two: the weight of each of `asked`.
    weights: Vec<i64>,
}

impl Served {
    /// Of these: processor, size, devices, weight; by processor ascending.
    fn of(typical: &[(u32, u8, u8, i64)]) -> Self {
        let mut asked: Vec<(u8, u8)> = typical.iter().map(|one| (one.1, one.2)).collect();
        asked.sort_unstable();
        asked.dedup();
        let (mut cpus, mut row) = (Vec::new(), alloc::vec![0; asked.len()]);
        let mut weights = row.clone();
        for same in typical.chunk_by(|one, next| one.0 == next.0) {
            for (_, size, devices, weight) in same {
                row[asked.partition_point(|it| it < &(*size, *devices))] += weight;
            }
            cpus.push(same[0].0);
            weights.extend_from_slice(&row);
        }
        Self { cpus, asked, weights }
    }

    /// What is asked for, with the weight of those for which so much processor is enough.
    fn within(&self, cpu: u32) -> impl Iterator<Item = (&(u8, u8), &i64)> {
        let row = self.cpus.partition_point(|least| *least <= cpu) * self.asked.len();
        self.asked.iter().zip(&self.weights[row..])
    }
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
        let typical = |model: usize| -> Vec<(u32, u8, u8, i64)> {
            let one = |(class, weight): &(Class, u64)| {
                (class.cpu, up_to(class.milli), class.devices, *weight as i64)
            };
            let on_model = |(class, _): &&(Class, u64)| class.models >> model & 1 == 1;
            let mut typical: Vec<_> = on_devices().filter(on_model).map(one).collect();
            typical.sort_by_key(|one| one.0);
            typical
        };
        let alike = |one: usize, other: usize| {
            on_devices().all(|(class, _)| (class.models >> one ^ class.models >> other) & 1 == 0)
        };
        let (mut by_model, mut served, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for model in 0..MODELS_MAX {
            let known = firsts.iter().position(|first| alike(model, *first));
            by_model.push(known.unwrap_or(firsts.len()) as u8);
            if known.is_none() {
                firsts.push(model);
                served.push(Served::of(&typical(model)));
            }
        }
        Self {
            weight: classes.iter().map(|(_, weight)| *weight as i64).sum(),
            rank: (0..=WHOLE).map(up_to).collect(),
            by_model,
            served,
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
        let served = &self.served[usize::from(self.by_model[usize::from(node.model)])];
        let served: i64 = served
            .within(node.cpu)
            .filter(|((size, devices), _)| count[usize::from(*size)] >= *devices)
            .map(|((size, _), weight)| weight * i64::from(usable[usize::from(*size)]))
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

    /// f(n, m) of the module's page, class by class.
    fn by_the_formula(mix: &Mix, node: &Node) -> i64 {
        let total = i64::from(node.total());
        let each = mix.classes().iter().map(|(class, weight)| {
            let fits = class.devices > 0 && Node { memory: u64::MAX, ..node.clone() }.fits(class);
            let small = node.frees().iter().filter(|free| **free < class.milli);
            let lost = if fits { small.map(|free| i64::from(*free)).sum() } else { total };
            *weight as i64 * lost
        });
        each.sum()
    }

    #[test]
    fn fragments_are_those_of_the_formula() {
        // Numerical Recipes' generator: any will do.
        let mut state = 1_u32;
        let mut below = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        for sizes in [4, 60] {
            let mut one = || {
                let (devices, milli) = match below(3) {
                    0 => (below(5) as u8, 1000),
                    _ => (1, 1 + below(sizes) as u16 * (1000 / sizes as u16)),
                };
                let models = if below(2) == 0 { u64::MAX } else { u64::from(below(16)) };
                (Class { models, ..class(below(6) * 1000, devices, milli) }, below(9).into())
            };
            let mix = Mix::weighted((0..80).map(|_| one()).collect());
            for _ in 0..300 {
                let mut node = Node::new(below(6) as u8, 1 + below(8) as u8, below(7000), 0);
                let devices = usize::from(node.devices);
                node.free[..devices].fill_with(|| (below(9) * 125) as u16);
                assert_eq!(mix.fragment(&node), by_the_formula(&mix, &node), "{node:?}");
            }
        }
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
