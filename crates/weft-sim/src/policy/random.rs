//! Random: any machine with room, and any of its devices.

use crate::pack::{Class, Devices, NO_ROOM, Node, Policy, Scores};
use crate::rng::Rng;

/// Draws by a generator of its own, so a seed gives the same choices again.
#[derive(Debug, Clone)]
pub struct Random(pub Rng);

impl Policy for Random {
    fn score(&self, _: &Class, _: usize, _: &Node) -> i64 {
        0
    }

    fn devices(&mut self, class: &Class, _: usize, node: &Node) -> Devices {
        if !class.shares() {
            return node.idle(class);
        }
        let holds = |at: &usize| node.free[*at] >= class.milli;
        let fit: Vec<usize> = (0..node.frees().len()).filter(holds).collect();
        1 << fit[self.0.below(fit.len())]
    }

    fn pick(&mut self, scores: &Scores) -> Option<usize> {
        let scores = scores.all();
        let room = |at: &usize| scores[*at] != NO_ROOM;
        match (0..scores.len()).filter(room).count() {
            0 => None,
            fit => (0..scores.len()).filter(room).nth(self.0.below(fit)),
        }
    }
}
