//! Machines and devices in dense vectors.
//!
//! What is taken and given goes through `log.rs`, which can undo it.
//! Amounts are signed and wide: a snapshot may hold more than a machine has (it shrank, or the
//! text was garbage), and that must neither wrap nor be lost when it is undone.

use super::class::WHOLE;
use super::device::{Accelerator, Pick};
use super::log::Change;
use super::places::Places;
use super::priced::{Priced, Seen};
use super::scores::{Changed, Kept};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

/// Which side of the books a question is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// What is held at this moment.
    Now,
    /// What will be held when what stops is gone and what was promised is taken.
    Later,
    /// Both: a start must fit on each.
    Start,
}

impl View {
    /// The sides to ask.
    pub(crate) const fn sides(self) -> &'static [usize] {
        match self {
            View::Now => &[0],
            View::Later => &[1],
            View::Start => &[0, 1],
        }
    }
}

/// Which sides a change is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// Only now: what is stopping.
    Now,
    /// Only later: what is promised.
    Later,
    /// Both: what runs on.
    Both,
}

impl Span {
    const fn sides(self) -> &'static [usize] {
        match self {
            Span::Now => &[0],
            Span::Later => &[1],
            Span::Both => &[0, 1],
        }
    }
}

/// Processor (milli), memory and disk (bytes).
pub(crate) type Amounts = [i128; 3];

/// Thousandths of a whole without a division: `part >> shift` fits 48 bits, times the reciprocal.
/// The lowest bits of a large amount do not matter for a score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permille {
    shift: u32,
    /// `1000 × 2^64 / (whole >> shift)`, rounded up, so that the product rounds down exactly.
    times: u128,
}

impl Permille {
    /// Of this whole.
    pub(crate) fn of(whole: i128) -> Self {
        let shift = (128 - whole.leading_zeros()).saturating_sub(48);
        let whole = u128::try_from(whole >> shift).unwrap_or(0).max(1);
        Self { shift, times: (u128::from(WHOLE) << 64).div_ceil(whole) }
    }

    /// What this part is of it, rounded down; nothing where less than nothing is left.
    pub(crate) fn part(self, part: i128) -> u64 {
        let part = u64::try_from((part >> self.shift).max(0)).unwrap_or(u64::MAX);
        // The reciprocal has at most 74 bits and such a part 48 or fewer.
        (u128::from(part).saturating_mul(self.times) >> 64) as u64
    }
}

/// A machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Whether it takes new work.
    pub(crate) open: bool,
    /// How an amount of its processor and memory becomes thousandths of what it has.
    pub(crate) permille: [Permille; 2],
    /// What is free, on each side; negative where more is held than it has.
    pub(crate) free: [Amounts; 2],
    /// Its devices, least valuable first.
    pub(crate) devices: Range<usize>,
    /// Devices nothing is held of, in each view: refuses most scans in one comparison.
    pub(crate) idle: [u32; 3],
    /// Kind and value of its devices, where all of them are whole, healthy and of one kind: what
    /// is idle then is all that has to be counted.
    pub(crate) uniform: Option<(u32, u32)>,
    /// Thousandths free on the freest device that is given in fractions, on each side: likewise.
    pub(crate) freest: [u64; 2],
    /// Devices of which a fraction is held, on each side.
    pub(crate) shared: [u32; 2],
}

/// What one member takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// On which machine.
    pub(crate) node: u32,
    /// Processor, memory, disk.
    pub(crate) amounts: Amounts,
    /// Devices.
    pub(crate) picks: Vec<Pick>,
}

/// Machines and devices.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    /// Machines in the order of their names.
    pub(crate) machines: Vec<Machine>,
    /// Devices, those of one machine together.
    pub(crate) devices: Vec<Accelerator>,
    /// Geometries of the devices divided in MIG instances.
    pub(crate) geometries: Vec<Places>,
    /// How to pack by what is usually asked for, where that is known.
    pub(crate) market: Option<Arc<Priced>>,
    /// Machines as the market saw them last, per view.
    pub(super) seen_as: [Vec<Option<Seen>>; 3],
    /// Machines that are taken before others, in order; usually none.
    pub(crate) preferred: Vec<u32>,
    /// Machines that hold what the one asks for that is placed, and how many bytes; mostly none.
    pub(crate) near: Vec<(u32, u64)>,
    /// Scores per class (`scores.rs`).
    pub(super) kept: Kept,
    /// Per machine, the fingerprint of what is held on it: the same state has the same, in
    /// whatever way it came about.
    pub(crate) versions: Vec<u64>,
    /// Per machine, by how much the fingerprints of its two sides differ: nothing where the same is
    /// held on both, and every view of it is the same.
    pub(super) uneven: Vec<u64>,
    /// Which machines changed, for who keeps scores of them.
    pub(super) changed: Changed,
    pub(super) log: Vec<Change>,
}

impl Pool {
    /// Of a pool on which nothing is placed yet: the same with every machine open and every device
    /// healthy.
    pub(crate) fn emptied(&self) -> Self {
        let mut pool = self.clone();
        pool.machines.iter_mut().for_each(|machine| machine.open = true);
        pool.devices.iter_mut().for_each(|device| device.healthy = true);
        for node in 0..pool.machines.len() {
            pool.measure_freest(node as u32, Span::Both);
            let machine = &mut pool.machines[node];
            machine.uniform = super::load::uniform(&pool.devices[machine.devices.clone()]);
        }
        pool
    }

    /// A geometry by number.
    pub(crate) fn geometry(&self, number: u32) -> &Places {
        &self.geometries[number as usize]
    }

    /// Change what is free of a machine.
    pub(super) fn change_amounts(&mut self, node: u32, amounts: Amounts, take: bool, span: Span) {
        let sign = if take { -1 } else { 1 };
        for side in span.sides() {
            let free = &mut self.machines[node as usize].free[*side];
            free.iter_mut().zip(amounts).for_each(|(free, amount)| *free += sign * amount);
        }
    }

    /// Change what is held of a device.
    pub(super) fn change_device(&mut self, pick: Pick, take: bool, span: Span) {
        let device = &mut self.devices[pick.device() as usize];
        let machine = &mut self.machines[device.node as usize];
        let (mut fell, both) = (false, device.is_idle(View::Start));
        for side in span.sides() {
            let was = device.share_free(*side);
            let held = &mut device.held[*side];
            let before = (held.idle(), held.shared());
            match take {
                true => held.add(pick),
                false => held.remove(pick),
            }
            count(&mut machine.idle[*side], before.0, held.idle());
            count(&mut machine.shared[*side], before.1, held.shared());
            let (is, freest) = (device.share_free(*side), &mut machine.freest[*side]);
            match is.cmp(freest) {
                Ordering::Greater => *freest = is,
                Ordering::Less => fell |= was == *freest,
                Ordering::Equal => {}
            }
        }
        count(&mut machine.idle[View::Start as usize], both, device.is_idle(View::Start));
        if fell {
            let node = device.node;
            self.measure_freest(node, span);
        }
    }

    /// Measure again how much is free on the machine's freest shared device.
    pub(crate) fn measure_freest(&mut self, node: u32, span: Span) {
        let machine = &mut self.machines[node as usize];
        let devices = &self.devices[machine.devices.clone()];
        for side in span.sides() {
            let free = || devices.iter().map(|device| device.share_free(*side)).max();
            machine.freest[*side] = match machine.uniform {
                Some(_) if machine.idle[*side] > 0 => WHOLE,
                _ => free().unwrap_or(0),
            };
        }
    }
}

fn count(devices: &mut u32, before: bool, after: bool) {
    match (before, after) {
        (true, false) => *devices = devices.saturating_sub(1),
        (false, true) => *devices += 1,
        _ => {}
    }
}
