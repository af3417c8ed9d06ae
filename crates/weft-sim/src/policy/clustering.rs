//! Clustering: requests that take alike together, then the fullest machine.

use super::{GPU_MAX, SCORE_MAX};
use crate::pack::{Class, Devices, Node, Policy};

/// Up to 25 for how full the machine is, and 75 if it holds this kind alone, 50 if among others,
/// 25 if it is empty; 0 for all machines if no device is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Clustering;

impl Policy for Clustering {
    fn score(&self, class: &Class, _: usize, node: &Node) -> i64 {
        let Some(kind) = class.kind() else {
            return 0;
        };
        let quarter = SCORE_MAX / 4;
        let full = quarter * (GPU_MAX - i64::from(node.total())) / GPU_MAX;
        let kinds = node.held.iter().filter(|count| **count > 0).count();
        let holds = node.held[kind as usize] > 0;
        full + quarter
            * match (holds, kinds) {
                (true, 1) => 3,
                (true, _) => 2,
                (false, 0) => 1,
                (false, _) => 0,
            }
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
        let share = Class { cpu: 0, memory: 0, devices: 1, milli: 500, models: u64::MAX };
        let whole = Class { milli: 1000, ..share };
        let mut node = Node::new(0, 4, 0, 0);
        assert_eq!(Clustering.score(&share, 0, &node), 12 + 25);
        node.take(&share, 1);
        assert_eq!(Clustering.score(&share, 0, &node), 14 + 75);
        assert_eq!(Clustering.score(&whole, 0, &node), 14);
        node.take(&whole, 2);
        assert_eq!(Clustering.score(&whole, 0, &node), 17 + 50);
        assert_eq!(Clustering.score(&Class { devices: 0, ..share }, 0, &node), 0);
    }
}
