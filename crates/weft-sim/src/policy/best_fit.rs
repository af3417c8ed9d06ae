//! Best fit: the machine with least left, devices and processor counted alike.

use super::{CPU_MAX, GPU_MAX, SCORE_MAX};
use crate::pack::{Class, Devices, Node, Policy};

/// `100 × (1 − (cpu left / 128 cores + devices left / 8) / 2)`, rounded down. The artifact then
/// stretches the scores to 0..100, which changes no order.
#[derive(Debug, Clone, Copy)]
pub struct BestFit;

impl Policy for BestFit {
    fn score(&self, class: &Class, _: usize, node: &Node) -> i64 {
        let cpu = i64::from(node.cpu - class.cpu) * GPU_MAX;
        let gpu = i64::from(node.total() - class.total()) * CPU_MAX;
        let whole = 2 * CPU_MAX * GPU_MAX;
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
        let class = Class { cpu: 8000, memory: 0, devices: 1, milli: 500, models: u64::MAX };
        let node = Node::new(0, 2, 64_000, 0);
        // 1 − (56/128 + 1.5/8) / 2 = 0.6875
        assert_eq!(BestFit.score(&class, 0, &node), 68);
    }
}
