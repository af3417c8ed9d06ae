//! Fragmentation gradient descent: the machine on which least becomes a fragment.

use super::SCORE_MAX;
use crate::pack::{Class, Devices, Mix, Node, Policy};

/// `int(100 × sigmoid(F before − F after))`, F in devices: that the artifact rounds to integers,
/// and so makes ties, is the second rule that the paper does not tell.
#[derive(Debug, Clone)]
pub struct Fgd {
    mix: Mix,
    /// The least gradient for each score from 1 to 100; the sigmoid never reaches 100.
    steps: Vec<i64>,
    /// F of each machine as it is.
    fragment: Vec<i64>,
}

impl Fgd {
    /// With what is usually asked for.
    #[must_use]
    pub fn new(mix: Mix) -> Self {
        // sigmoid(x) ≥ k/100 exactly when x ≥ ln(k / (100 − k)): the one place with floats.
        let scale = mix.weight() as f64 * 1000.0;
        let step = |k: i64| ((k as f64 / (SCORE_MAX - k) as f64).ln() * scale).ceil() as i64;
        Self { steps: (1..SCORE_MAX).map(step).collect(), mix, fragment: Vec::new() }
    }

    fn with(&self, class: &Class, at: usize, node: &Node, devices: Devices) -> i64 {
        let mut after = node.clone();
        after.take(class, devices);
        let gradient = self.fragment[at] - self.mix.fragment(&after);
        self.steps.partition_point(|step| *step <= gradient) as i64
    }

    /// The best of the machine's devices and the score with it, first index on ties.
    fn best(&self, class: &Class, at: usize, node: &Node) -> (i64, Devices) {
        if !class.shares() {
            let devices = node.idle(class);
            return (self.with(class, at, node, devices), devices);
        }
        let mut best = (-1, 0);
        for (device, free) in node.frees().iter().enumerate() {
            // Equally full devices score alike, and the first of them has the first index.
            if *free < class.milli || node.free[..device].contains(free) {
                continue;
            }
            let score = self.with(class, at, node, 1 << device);
            if score > best.0 {
                best = (score, 1 << device);
            }
        }
        best
    }
}

impl Policy for Fgd {
    fn score(&self, class: &Class, at: usize, node: &Node) -> i64 {
        self.best(class, at, node).0
    }

    fn devices(&mut self, class: &Class, at: usize, node: &Node) -> Devices {
        self.best(class, at, node).1
    }

    fn changed(&mut self, at: usize, node: &Node) {
        if self.fragment.len() <= at {
            self.fragment.resize(at + 1, 0);
        }
        self.fragment[at] = self.mix.fragment(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let half = Class { cpu: 1000, memory: 0, devices: 1, milli: 500, models: u64::MAX };
        let whole = Class { milli: 1000, ..half };
        let mut policy = Fgd::new(Mix::weighted(vec![(half, 3), (whole, 1)]));
        let mut node = Node::new(0, 2, 8000, 0);
        node.free[0] = 500;
        policy.changed(0, &node);
        // F = 3 × 0 + 1 × 500. On the first device: 0 → ΔF = +500/4 thousandths, sigmoid 0.531.
        // On the second: 1000, no whole one left → ΔF = −500/4, sigmoid 0.469.
        assert_eq!(policy.with(&half, 0, &node, 0b01), 53);
        assert_eq!(policy.with(&half, 0, &node, 0b10), 46);
        assert_eq!(policy.best(&half, 0, &node), (53, 0b01));
        // The whole device: 500 left, all of it of use to a half → F after = 500, ΔF = 0.
        assert_eq!(policy.best(&whole, 0, &node), (50, 0b10));
    }

    #[test]
    fn steps_are_those_of_the_sigmoid() {
        let any = Class { cpu: 0, memory: 0, devices: 1, milli: 500, models: u64::MAX };
        let policy = Fgd::new(Mix::weighted(vec![(any, 7)]));
        for gradient in (-40_000..40_000_i64).step_by(13) {
            let sigmoid = 1.0 / (1.0 + (-(gradient as f64) / 7000.0).exp());
            let score = policy.steps.partition_point(|step| *step <= gradient) as i64;
            assert_eq!(score, (100.0 * sigmoid) as i64, "{gradient}");
        }
    }
}
