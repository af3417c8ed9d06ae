//! Free devices that will find no processor.
//!
//! Fragmentation asks whether *one* request of a class still fits. A machine with four idle devices
//! and the processor for one is no fragment by that measure, yet three of its devices are lost. So,
//! for each typical class that takes devices, with `T` free thousandths and `C` free processor:
//!
//! ```text
//! S(n) = Σ_m w_m × devices_m × max(0, T − C × KEPT × devices_m / cpu_m)  over  Σ_m w_m × devices_m
//! ```
//!
//! the thousandths of devices that stay free when requests of class `m` alone take all that is left
//! of the processor. Requests of processor alone take the rest of it, 1 − `KEPT`.

use crate::mix::Mix;
use crate::node::Node;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Share of the free processor that is counted on for requests with devices, in hundredths. On the
/// openb lists these ask for 55 to 100 % of all processor asked for; on `default`, 65 to 74 pack
/// within 0.12 points of one another.
const KEPT_PERCENT: i64 = 70;
/// Binary digits behind the point of a ratio.
const DIGITS: u32 = 16;

/// What typical requests need of processor for each device.
#[derive(Debug, Clone)]
pub struct Stranded {
    /// Thousandths of devices for each thousandth of a core, shifted by [`DIGITS`], ascending; and
    /// the weight of those that need so much.
    ratios: Vec<(i64, i64)>,
    weight: i64,
}

impl Stranded {
    /// By the typical classes.
    #[must_use]
    pub fn of(mix: &Mix) -> Self {
        let classes = mix.classes().iter().filter(|(class, _)| class.devices > 0 && class.cpu > 0);
        let mut ratios = BTreeMap::<i64, i64>::new();
        for (class, weight) in classes {
            let devices = i64::from(class.total());
            let ratio = (devices << DIGITS) * KEPT_PERCENT / 100 / i64::from(class.cpu);
            *ratios.entry(ratio).or_default() += *weight as i64 * devices;
        }
        Self { weight: ratios.values().sum::<i64>().max(1), ratios: ratios.into_iter().collect() }
    }

    /// Thousandths of this machine's devices that are free for nothing, rounded down.
    #[must_use]
    pub fn on(&self, node: &Node) -> i64 {
        let (free, cpu) = (i64::from(node.total()), i64::from(node.cpu));
        // The higher the ratio, the less is left.
        let left = self.ratios.iter().map(|(ratio, weight)| {
            let left = free - ((cpu * ratio) >> DIGITS);
            (left, weight)
        });
        let lost = left.take_while(|(left, _)| *left > 0).map(|(left, weight)| weight * left);
        lost.sum::<i64>() / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn by_hand() {
        let one = Class { cpu: 7_000, memory: 0, devices: 1, milli: 1000, models: u64::MAX };
        let half = Class { milli: 500, cpu: 14_000, ..one };
        let stranded = Stranded::of(&Mix::weighted(alloc::vec![(one, 1), (half, 2)]));
        // 20 cores, of which 14 are counted on: two requests of `one` or one of `half`. Each class
        // asked for 1000 in all, so they weigh alike. The ratios are rounded down: so one more.
        let node = Node::new(0, 4, 20_000, 0);
        assert_eq!(stranded.on(&node), (2000 + 3500) / 2 + 1);
        assert_eq!(stranded.on(&Node::new(0, 4, 800_000, 0)), 0);
        assert_eq!(stranded.on(&Node::new(0, 4, 0, 0)), 4000);
    }
}
