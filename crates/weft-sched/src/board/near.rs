//! Of places that are as good, the one that holds the most of what the workload reads.
//!
//! Asked when the best machine of a class is known: a machine with bytes takes its place where its
//! score is the same, for whole devices and shares but for the last figure, what is left of
//! the machine's processor and memory. So data comes after the value of devices and after how full
//! a machine's devices are, and before how full the rest of it is; where the market decides, for
//! MIG and for work without devices, only between equals. Scores know nothing of data, so that
//! nothing kept of them hangs on who asks.

use super::class::{Class, Gpu};
use super::fit::Score;
use super::pool::{Pool, View};
use core::cmp::Reverse;

/// Bits of a score's last figure.
const LEFT_BITS: u32 = 12;

impl Pool {
    /// The machine that takes the place of the best one, by what is near; mostly that one itself.
    pub(super) fn nearer(&self, best: u32, class: &Class, view: View) -> u32 {
        if self.near.is_empty() {
            return best;
        }
        let Some(least) = self.score(best, class, view) else { return best };
        let coarse = |score: Score| score >> self.left_bits(class);
        let held = |node: u32| {
            let at = self.near.iter().find(|(other, _)| *other == node);
            at.map_or(0, |(_, bytes)| *bytes)
        };
        let good = self.near.iter().filter_map(|(node, bytes)| {
            let score = self.score(*node, class, view)?;
            (coarse(score) == coarse(least)).then_some((Reverse(*bytes), score, *node))
        });
        let own = (Reverse(held(best)), least, best);
        good.chain([own]).min().map_or(best, |(_, _, node)| node)
    }

    fn left_bits(&self, class: &Class) -> u32 {
        match class.gpu {
            Gpu::Whole(_) | Gpu::Share(_) | Gpu::Memory(_) if self.market.is_none() => LEFT_BITS,
            _ => 0,
        }
    }
}
