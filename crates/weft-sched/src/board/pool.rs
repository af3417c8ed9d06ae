//! Machines and devices in dense vectors, with a log that undoes what was tried.
//!
//! Amounts are signed and wide: a snapshot may hold more than a machine has (it shrank, or the
//! text was garbage), and that must neither wrap nor be lost when it is undone.

use super::class::WHOLE;
use super::mig::Instance;
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

/// A device.
#[derive(Debug, Clone)]
pub(crate) struct Accelerator {
    /// Its machine.
    pub(crate) node: u32,
    /// Its number there.
    pub(crate) index: u32,
    /// Its kind.
    pub(crate) kind: u32,
    /// Whether it takes new work.
    pub(crate) healthy: bool,
    /// Its MIG geometry, where it has one.
    pub(crate) geometry: Option<u32>,
    /// Scarcity of its kind.
    pub(crate) value: u32,
    /// Memory of its kind.
    pub(crate) memory: u64,
    /// What is held of it, on each side.
    pub(crate) held: [Held; 2],
}

impl Accelerator {
    /// Nothing is held of it.
    pub(crate) fn is_idle(&self, view: View) -> bool {
        view.sides().iter().all(|side| self.held[*side].idle())
    }

    /// It may be given in fractions.
    pub(crate) fn shares(&self) -> bool {
        self.healthy && self.geometry.is_none()
    }

    /// Thousandths that can still be given in fractions.
    pub(crate) fn share_free(&self, side: usize) -> u64 {
        let held = &self.held[side];
        match self.shares() && held.whole == 0 && held.instances.is_empty() {
            true => WHOLE.saturating_sub(held.milli),
            false => 0,
        }
    }
}

/// What is held of a device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// Holders of the whole of it; more than one only when the snapshot or a promise overlaps.
    pub(crate) whole: u32,
    /// Shares: thousandths.
    pub(crate) milli: u64,
    /// Shares: bytes.
    pub(crate) memory: u64,
    /// MIG instances.
    pub(crate) instances: Vec<Instance>,
}

impl Held {
    /// Nothing is held.
    pub(crate) fn idle(&self) -> bool {
        self.whole == 0 && self.milli == 0 && self.memory == 0 && self.instances.is_empty()
    }

    /// A fraction is held.
    fn shared(&self) -> bool {
        self.milli > 0 || self.memory > 0
    }

    /// Memory slices held, and compute slices.
    pub(crate) fn slices(&self) -> (u64, u32) {
        let join = |(mask, compute): (u64, u32), held: &Instance| {
            (mask | held.mask, compute + u32::from(held.compute))
        };
        self.instances.iter().fold((0, 0), join)
    }
}

/// What one member takes of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    /// All of it.
    Whole {
        /// Which.
        device: u32,
    },
    /// A fraction.
    Share {
        /// Of which.
        device: u32,
        /// Thousandths.
        milli: u64,
        /// Bytes.
        memory: u64,
    },
    /// A MIG instance.
    Mig {
        /// Of which.
        device: u32,
        /// Memory slices as bits.
        mask: u64,
        /// Compute slices.
        compute: u8,
        /// Which placement of its geometry; none of them where it runs already (`mig.rs`).
        place: u16,
    },
}

impl Pick {
    /// The device.
    pub(crate) fn device(&self) -> u32 {
        match self {
            Pick::Whole { device } | Pick::Share { device, .. } | Pick::Mig { device, .. } => {
                *device
            }
        }
    }
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

/// A change, as it is undone.
#[derive(Debug, Clone, Copy)]
struct Change {
    what: What,
    take: bool,
    span: Span,
    /// What it added to the fingerprint of its machine.
    mark: u64,
    /// Where it was told (`scores.rs`).
    told: (usize, bool),
}

/// What changes hands.
#[derive(Debug, Clone, Copy)]
enum What {
    Amounts(u32, Amounts),
    Device(Pick),
}

impl What {
    /// What it adds to the fingerprint of a side of its machine: sums over whatever is held tell
    /// states apart, but for one pair in 2^64.
    fn fingerprint(&self) -> u64 {
        let [kind, rest @ ..] = match *self {
            What::Amounts(_, [cpu, memory, disk]) => [0, cpu as u64, memory as u64, disk as u64],
            What::Device(Pick::Whole { device }) => [1, device.into(), 0, 0],
            What::Device(Pick::Share { device, milli, memory }) => {
                [2, device.into(), milli, memory]
            }
            What::Device(Pick::Mig { device, mask, compute, place }) => {
                [3, device.into(), mask, u64::from(compute) << 16 | u64::from(place)]
            }
        };
        rest.into_iter().fold(kind, |print, part| mix(print.wrapping_add(part)))
    }
}

/// What is held later counts so many times in the fingerprint of a machine, so that its sides are
/// told apart: any large odd number does.
const LATER_TIMES: u64 = 0xD6E8_FEB8_6659_FD93;

/// A word whose bits each hang on every bit of this one: one step of SplitMix64 (Steele, Lea and
/// Flood, OOPSLA '14).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
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
    log: Vec<Change>,
}

impl Pool {
    /// Take the piece's capacity.
    pub(crate) fn take(&mut self, piece: &Piece, span: Span) {
        self.shift(piece, true, span);
    }

    /// Give the piece's capacity back.
    pub(crate) fn give(&mut self, piece: &Piece, span: Span) {
        self.shift(piece, false, span);
    }

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

    /// A point to come back to.
    pub(crate) fn mark(&self) -> usize {
        self.log.len()
    }

    /// What was changed so far stays: nothing of it can be undone any more.
    pub(crate) fn forget_changes(&mut self) {
        self.log.clear();
        self.changed.keep(self.machines.len(), &mut self.kept);
    }

    /// Undo everything since the mark.
    pub(crate) fn rollback(&mut self, mark: usize) {
        let Some(first) = self.log.get(mark) else { return };
        self.changed.cut(first.told, &mut self.kept);
        while self.log.len() > mark {
            let Some(change) = self.log.pop() else { return };
            let node = self.change(change.what, !change.take, change.span);
            self.mark_version(node, change.mark, (!change.take, change.span));
        }
    }

    /// Take one device pick; for placing a member step by step.
    pub(crate) fn take_pick(&mut self, pick: Pick, span: Span) {
        self.record(What::Device(pick), true, span);
    }

    fn shift(&mut self, piece: &Piece, take: bool, span: Span) {
        self.record(What::Amounts(piece.node, piece.amounts), take, span);
        piece.picks.iter().for_each(|pick| self.record(What::Device(*pick), take, span));
    }

    fn record(&mut self, what: What, take: bool, span: Span) {
        let node = self.change(what, take, span);
        let (mark, told) = (what.fingerprint(), self.changed.tell(node));
        self.mark_version(node, mark, (take, span));
        self.log.push(Change { what, take, span, mark, told });
    }

    /// Make a change: on which machine.
    fn change(&mut self, what: What, take: bool, span: Span) -> u32 {
        match what {
            What::Amounts(node, amounts) => {
                self.change_amounts(node, amounts, take, span);
                node
            }
            What::Device(pick) => {
                self.change_device(pick, take, span);
                self.devices[pick.device() as usize].node
            }
        }
    }

    fn mark_version(&mut self, node: u32, mark: u64, (take, span): (bool, Span)) {
        let signed = if take { mark } else { mark.wrapping_neg() };
        let later = signed.wrapping_mul(LATER_TIMES);
        let (change, uneven) = match span {
            Span::Now => (signed, signed),
            Span::Later => (later, signed.wrapping_neg()),
            Span::Both => (signed.wrapping_add(later), 0),
        };
        let (version, sides) = (&mut self.versions[node as usize], &mut self.uneven[node as usize]);
        (*version, *sides) = (version.wrapping_add(change), sides.wrapping_add(uneven));
    }

    fn change_amounts(&mut self, node: u32, amounts: Amounts, take: bool, span: Span) {
        let sign = if take { -1 } else { 1 };
        for side in span.sides() {
            let free = &mut self.machines[node as usize].free[*side];
            free.iter_mut().zip(amounts).for_each(|(free, amount)| *free += sign * amount);
        }
    }

    fn change_device(&mut self, pick: Pick, take: bool, span: Span) {
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

impl Held {
    fn add(&mut self, pick: Pick) {
        match pick {
            Pick::Whole { .. } => self.whole += 1,
            Pick::Share { milli, memory, .. } => {
                self.milli = self.milli.saturating_add(milli);
                self.memory = self.memory.saturating_add(memory);
            }
            Pick::Mig { mask, compute, place, .. } => {
                self.instances.push(Instance { mask, compute, place });
            }
        }
    }

    fn remove(&mut self, pick: Pick) {
        match pick {
            Pick::Whole { .. } => self.whole = self.whole.saturating_sub(1),
            Pick::Share { milli, memory, .. } => {
                self.milli = self.milli.saturating_sub(milli);
                self.memory = self.memory.saturating_sub(memory);
            }
            Pick::Mig { mask, compute, .. } => {
                let same = |held: &Instance| (held.mask, held.compute) == (mask, compute);
                let at = self.instances.iter().rposition(same);
                debug_assert!(at.is_some(), "{pick:?} is given back by whom it is not held");
                at.map(|at| self.instances.swap_remove(at));
            }
        }
    }
}
