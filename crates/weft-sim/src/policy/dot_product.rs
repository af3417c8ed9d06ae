//! Dot product: the machine whose free capacity is least like what is asked for.

use super::{CPU_MAX, GPU_MAX, SCORE_MAX};
use crate::pack::{Class, Devices, Node, Policy};

/// `100 × (1 − (free · asked) / 2)` with both as parts of the largest machine, rounded down.
#[derive(Debug, Clone, Copy)]
pub struct DotProduct;

impl Policy for DotProduct {
    fn score(&self, class: &Class, _: usize, node: &Node) -> i64 {
        let ratio = CPU_MAX / GPU_MAX;
        let cpu = i64::from(node.cpu) * i64::from(class.cpu);
        let gpu = i64::from(node.total()) * i64::from(class.total()) * ratio * ratio;
        let whole = 2 * CPU_MAX * CPU_MAX;
        SCORE_MAX * (whole - cpu - gpu) / whole
    }

    fn devices(&mut self, class: &Class, _: usize, node: &Node) -> Devices {
        node.tightest(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let class = Class { cpu: 64_000, memory: 0, devices: 4, milli: 1000, models: u64::MAX };
        // (96/128 × 64/128 + 8/8 × 4/8) / 2 = 0.4375
        assert_eq!(DotProduct.score(&class, 0, &Node::new(0, 8, 96_000, 0)), 56);
    }
}
