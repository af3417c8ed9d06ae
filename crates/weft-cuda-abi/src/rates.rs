//! What the agent gives a container of a device's time beyond its share: a file that the agent
//! writes and nobody in the container can.
//!
//! A word for each device, in the container's order: a rate, until when it holds, and a check. A
//! rate that has run out, is torn or says nonsense is none, and the container has its share: an
//! agent that dies takes back what others left, and nobody is kept below what is his.

use crate::ledger::DEVICES_MAX;
use crate::share::{PERIOD_NS, WHOLE};

/// Bytes of the file.
pub const BYTES: usize = DEVICES_MAX * size_of::<u64>();
/// How long a rate holds: a few periods, so that an agent that is late for one changes nothing.
pub const HOLDS_NS: u64 = 10 * PERIOD_NS;

/// Bits of a word: the moment in units of 2^20 ns, about a millisecond; the rate; the check.
const RATE: u32 = 10;
const CHECK: u32 = 10;
const MOMENT_UNIT: u32 = 20;

/// The word that gives a rate, in thousandths, from now on for [`HOLDS_NS`]; `now` is the system's
/// steady clock in nanoseconds.
pub fn word(rate: u32, now: u64) -> u64 {
    let until = now.saturating_add(HOLDS_NS) >> MOMENT_UNIT;
    let word = until << (RATE + CHECK) | u64::from(rate.min(WHOLE)) << CHECK;
    word | check(word)
}

/// The rate that a word gives now; none where it gives none.
pub fn rate(word: u64, now: u64) -> Option<u32> {
    let (body, of) = (word & !mask(CHECK), word & mask(CHECK));
    let rate = (body >> CHECK & mask(RATE)) as u32;
    let until = body >> (RATE + CHECK);
    let now = now >> MOMENT_UNIT;
    let holds = now <= until && until - now <= (HOLDS_NS >> MOMENT_UNIT) + 1;
    (of == check(body) && holds && rate <= WHOLE).then_some(rate)
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// A number of the word's other bits, never zero: nothing written is no rate.
fn check(body: u64) -> u64 {
    (body.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - CHECK)) | 1
}
