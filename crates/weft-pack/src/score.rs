//! Weft's score of a machine: priced fragmentation.
//!
//! ```text
//! score = (F before − F after) / W             what requests can still use (exact)
//!       − strand × (S after − S before)        devices that will find no processor
//!       − tight  × (devices' / 8 + cores' / 128) / 2     best fit, by what is free afterwards
//!       − scarce × pressure(model) × devices   models that others insist on
//!       − bid    × loss(free, taken)           what the leftover was worth (LP duals)
//! ```
//!
//! in devices, all of it multiplied out to integers. F is [`Mix::fragment`], W the mix's weight, S
//! is [`Stranded::on`]. The last term is bid-price control as in revenue management (Talluri and
//! van Ryzin, 1998): a leftover is used where the dual prices say that least is given up.

use crate::engine::Policy;
use crate::mix::Mix;
use crate::node::{Class, Devices, Node};
use crate::price::Prices;
use crate::scarcity::Pressure;
use crate::stranded::Stranded;
use alloc::vec::Vec;

/// One device's worth of score, for each unit of the mix's weight.
const UNIT: i64 = 128_000_000;

/// How much each term counts, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Devices without processor.
    pub strand: i64,
    /// Best fit.
    pub tight: i64,
    /// Scarcity of models.
    pub scarce: i64,
    /// Bid price of the leftover.
    pub bid: i64,
}

impl Default for Terms {
    /// A device that will find no processor is nearly lost; best fit only breaks ties; a scarce
    /// model costs what it displaces; the price of a leftover comes before all else (any `bid`
    /// from 10 to 300 devices decides alike). Chosen on the published openb lists.
    fn default() -> Self {
        Self { strand: 700, tight: 50, scarce: 1000, bid: 30_000 }
    }
}

/// The score and what it has learned.
#[derive(Debug, Clone)]
pub struct Weft {
    mix: Mix,
    stranded: Stranded,
    prices: Prices,
    pressure: Pressure,
    terms: Terms,
    /// F and S of each machine as it is.
    before: Vec<Before>,
}

/// What a machine's state costs already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    fragment: i64,
    stranded: i64,
}

impl Weft {
    /// With what is usually asked for, what leftovers are worth and how scarce models are.
    #[must_use]
    pub fn new(mix: Mix, prices: Prices, pressure: Pressure, terms: Terms) -> Self {
        Self { stranded: Stranded::of(&mix), mix, prices, pressure, terms, before: Vec::new() }
    }

    /// What a machine's state costs already.
    #[must_use]
    pub fn before(&self, node: &Node) -> Before {
        Before { fragment: self.mix.fragment(node), stranded: self.stranded.on(node) }
    }

    /// The score of a machine, with this [`Weft::before`], if the class takes these devices of it;
    /// in parts of `UNIT` times the mix's weight.
    #[must_use]
    pub fn with(&self, class: &Class, before: Before, node: &Node, devices: Devices) -> i64 {
        let mut after = node.clone();
        after.take(class, devices);
        let Before { fragment, stranded } = self.before(&after);
        let slack = i64::from(after.total()) * 16 + i64::from(after.cpu);
        let scarce = self.pressure[usize::from(node.model)] * i64::from(class.total());
        let lost = match class.shares() {
            true => {
                let free = node.free[devices.trailing_zeros() as usize];
                self.prices.loss(free, class.milli)
            }
            false => 0,
        };
        // Thousandths of thousandths of a device, then of what each term counts.
        let costs = self.terms.strand * (stranded - before.stranded) * (UNIT / 1_000_000)
            + self.terms.tight * slack / 2
            + self.terms.scarce * scarce * 128 / 1000
            + self.terms.bid * lost * 128 / 1000;
        (before.fragment - fragment) * (UNIT / 1000) - costs * self.mix.weight()
    }

    /// The best of the machine's devices for the class and the score with it: equally full devices
    /// are equal, so each fill is tried once.
    fn best(&self, class: &Class, at: usize, node: &Node) -> (i64, Devices) {
        let before = self.before[at];
        if !class.shares() {
            let devices = node.idle(class);
            return (self.with(class, before, node, devices), devices);
        }
        let mut best = (i64::MIN, 0);
        for (device, free) in node.frees().iter().enumerate() {
            if *free < class.milli || node.free[..device].contains(free) {
                continue;
            }
            let score = self.with(class, before, node, 1 << device);
            if score > best.0 {
                best = (score, 1 << device);
            }
        }
        best
    }
}

impl Policy for Weft {
    fn score(&self, class: &Class, at: usize, node: &Node) -> i64 {
        self.best(class, at, node).0
    }

    fn devices(&mut self, class: &Class, at: usize, node: &Node) -> Devices {
        self.best(class, at, node).1
    }

    fn changed(&mut self, at: usize, node: &Node) {
        if self.before.len() <= at {
            self.before.resize(at + 1, Before::default());
        }
        self.before[at] = self.before(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MODELS_MAX;
    use crate::cutting::Demand;

    #[test]
    fn by_hand() {
        let half = Class { cpu: 7_000, memory: 0, devices: 1, milli: 500, models: u64::MAX };
        let mix = Mix::weighted(alloc::vec![(half, 2)]);
        let demand = [Demand { milli: 500, count: 1 }];
        let prices = Prices::from_worth(&demand, &[500_000]);
        let mut pressure = [0; MODELS_MAX];
        pressure[1] = 1500;
        let weft = Weft::new(mix, prices, pressure, Terms::default());
        let mut node = Node::new(1, 1, 16_000, 0);
        node.free[0] = 700;
        // F: nothing was a fragment, 200 left are. S: 16 cores hold 0.8 devices' worth, 9 cores
        // 0.45: none before or after. Free afterwards: 0.2 of 8 devices, 9 of 128 cores. A leftover
        // of 700 is worth a half, 200 nothing.
        let unit = UNIT * 2;
        let score = weft.with(&half, weft.before(&node), &node, 1);
        let tight = unit / 20 * (200 * 128 + 9_000 * 8) / (8_000 * 128) / 2;
        assert_eq!(score, -unit / 5 - tight - unit * 3 / 2 / 2 - unit * 30 / 2);
    }
}
