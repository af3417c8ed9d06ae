//! Packing: devices already shared first, then machines already used, then small empty ones.

use super::SCORE_MAX;
use crate::pack::{Class, Devices, Node, Policy, WHOLE};

/// The artifact's three cases: from 50 to 100 if only devices in use are needed, less for what is
/// free on them; from 33 to 50 if idle devices of a used machine are, less for each; below 33 for
/// an idle machine, less for each device it has. 0 if no device is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Packing;

impl Policy for Packing {
    fn score(&self, class: &Class, _: usize, node: &Node) -> i64 {
        if class.devices == 0 {
            return 0;
        }
        let idle = node.frees().iter().filter(|free| **free == WHOLE).count() as i64;
        if idle == i64::from(node.devices) {
            return (SCORE_MAX / 3 - idle).max(idle);
        }
        // Whole devices are idle ones; a share goes to the fullest that holds it.
        let chosen = node.tightest(class);
        let free = node.free[chosen.trailing_zeros() as usize % node.free.len()];
        match free {
            WHOLE => (SCORE_MAX / 2 - i64::from(class.devices)).max(SCORE_MAX / 3),
            _ => (SCORE_MAX - i64::from(free) * 100 / i64::from(WHOLE) / 10).max(SCORE_MAX / 2),
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
        let share = Class { cpu: 0, memory: 0, devices: 1, milli: 300, models: u64::MAX };
        let pair = Class { milli: 1000, devices: 2, ..share };
        let mut node = Node::new(0, 8, 0, 0);
        assert_eq!(Packing.score(&share, 0, &node), 25);
        node.take(&share, 1);
        assert_eq!(Packing.score(&share, 0, &node), 93);
        assert_eq!(Packing.score(&pair, 0, &node), 48);
        node.free[0] = 200;
        assert_eq!(Packing.score(&share, 0, &node), 49);
        assert_eq!(Packing.score(&Class { devices: 0, ..share }, 0, &node), 0);
    }
}
