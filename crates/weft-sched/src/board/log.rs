//! Taking capacity of the pool and giving it back, in a log that undoes what was tried; with the
//! fingerprints by which the states of a machine are told apart.
//!
//! Called wherever something is placed, released or tried.

use super::device::Pick;
use super::pool::{Amounts, Piece, Pool, Span};

/// A change, as it is undone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    what: What,
    take: bool,
    span: Span,
    /// What it added to the fingerprint of each side of its machine that it is on.
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

impl Pool {
    /// Take the piece's capacity.
    pub(crate) fn take(&mut self, piece: &Piece, span: Span) {
        self.shift(piece, true, span);
    }

    /// Give the piece's capacity back.
    pub(crate) fn give(&mut self, piece: &Piece, span: Span) {
        self.shift(piece, false, span);
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
}
