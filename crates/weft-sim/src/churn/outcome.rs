//! What came of a run: waits by size, allocation, moves.

use crate::pack::{Class, Kind};

/// How large a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Processor alone.
    None,
    /// A part of a device.
    Share,
    /// One device to seven.
    Whole,
    /// Eight devices.
    Eight,
}

impl Size {
    /// All, smallest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Share, Self::Whole, Self::Eight];

    /// Of a class.
    #[must_use]
    pub fn of(class: &Class) -> Self {
        match class.kind() {
            None => Self::None,
            Some(Kind::Share) => Self::Share,
            Some(Kind::Eight) => Self::Eight,
            Some(Kind::One | Kind::Two | Kind::Four) => Self::Whole,
        }
    }
}

/// Waits from arrival to the first start, of what arrived while it was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits {
    /// Ticks of each that started, ascending.
    pub started: Vec<u64>,
    /// Ticks that each of the others has waited so far.
    pub waiting: Vec<u64>,
}

impl Waits {
    /// Mean wait of what started, in ticks.
    #[must_use]
    pub fn mean(&self) -> u64 {
        mean(self.started.iter())
    }

    /// The same, with those that wait still counted by their wait so far: a mean of what started
    /// alone looks better the more is left waiting.
    #[must_use]
    pub fn mean_of_all(&self) -> u64 {
        mean(self.started.iter().chain(&self.waiting))
    }

    /// Of what started, so many thousandths waited no longer.
    #[must_use]
    pub fn at(&self, permille: usize) -> u64 {
        let rank = (self.started.len() * permille).div_ceil(1000).max(1);
        self.started.get(rank - 1).copied().unwrap_or(0)
    }
}

fn mean<'a>(waits: impl Iterator<Item = &'a u64>) -> u64 {
    let (sum, count) = waits.fold((0_u128, 0_u128), |(s, n), wait| (s + u128::from(*wait), n + 1));
    (sum / count.max(1)) as u64
}

/// What came of a run, over the time that was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Waits by [`Size`], in the order of [`Size::ALL`].
    pub waits: [Waits; 4],
    /// Thousandths of devices times ticks that were allocated.
    pub allocated: u128,
    /// And that there were.
    pub capacity: u128,
    /// Starts for the first time.
    pub placements: u64,
    /// What was stopped for another.
    pub moves: u64,
    /// Requests that waited at the end.
    pub left_waiting: u64,
    /// A hash of all decisions in order.
    pub decisions: u64,
}

impl Outcome {
    /// Waits of a size.
    #[must_use]
    pub fn of(&self, size: Size) -> &Waits {
        &self.waits[size as usize]
    }

    /// Allocated hundredths of a percent of the devices, over time.
    #[must_use]
    pub fn allocation(&self) -> u64 {
        (self.allocated * 10_000 / self.capacity.max(1)) as u64
    }
}
