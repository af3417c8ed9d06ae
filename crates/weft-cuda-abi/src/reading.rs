//! A ledger's bytes as the agent reads them: a copy, which may say anything.
//!
//! The processes of a container write their ledger at will, cut it short and write nonsense. So
//! the agent maps none: it reads a copy of the bytes and takes the numbers out of it here. What a
//! number may be at most is the reader's to know: memory no more than the container's limit, time
//! no more than has passed, and nothing less than it was before.

use crate::ledger::{DEVICES_MAX, Held, LAYOUT, Ledger, MAGIC, SLOTS, Slot};
use crate::share::Bucket;
use core::mem::offset_of;
use core::ops::Range;

/// Bytes of a whole ledger.
pub const BYTES: usize = size_of::<Ledger>();
/// Where the buckets stand in it: all that dividing a device's time needs.
pub const BUCKETS: Range<usize> =
    offset_of!(Ledger, buckets)..offset_of!(Ledger, buckets) + size_of::<[Bucket; DEVICES_MAX]>();

/// The first bytes of a fresh ledger; all others are zero.
pub fn head() -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    let (magic, layout) = (offset_of!(Ledger, magic), offset_of!(Ledger, layout));
    bytes[magic..magic + size_of::<u64>()].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[layout..layout + size_of::<u32>()].copy_from_slice(&LAYOUT.to_le_bytes());
    bytes
}

/// Bytes of [`head`].
const HEAD: usize = offset_of!(Ledger, lock);

/// A copy of a ledger's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a>(&'a [u8]);

/// What a container says that it has used of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Nanoseconds of the device's time, where its launches are paced; zero else.
    pub ns: u64,
    /// How many launches had to wait.
    pub waits: u64,
}

impl<'a> Reading<'a> {
    /// A ledger of this layout, whole; none where the bytes are something else.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let it = Self(bytes);
        let layout = bytes.get(offset_of!(Ledger, layout)..)?.first_chunk()?;
        let ours = it.word(offset_of!(Ledger, magic)) == MAGIC
            && u32::from_le_bytes(*layout) == LAYOUT
            && bytes.len() == BYTES;
        ours.then_some(it)
    }

    /// Time of a device; zero for one that there is not.
    pub fn spent(&self, device: usize) -> Spent {
        self.0.get(BUCKETS).map_or_else(Spent::default, |buckets| spent(buckets, device))
    }

    /// Bytes of a device that all its processes hold now; of the dead too, until one has looked.
    pub fn memory(&self, device: usize) -> u64 {
        let held = |place: usize| {
            let of_device = size_of::<[Held; SLOTS]>() * device;
            let place = offset_of!(Held, memory) + size_of::<Held>() * place;
            self.word(offset_of!(Ledger, devices) + of_device + place)
        };
        match device {
            0..DEVICES_MAX => (0..SLOTS).map(held).fold(0, u64::saturating_add),
            _ => 0,
        }
    }

    /// The most that all its processes held of a device at any time.
    pub fn memory_peak(&self, device: usize) -> u64 {
        match device {
            0..DEVICES_MAX => self.word(offset_of!(Ledger, peaks) + size_of::<u64>() * device),
            _ => 0,
        }
    }

    /// Kernels and graphs launched, on all devices, by the living and the dead.
    pub fn launches(&self) -> u64 {
        self.of_all(offset_of!(Slot, launches))
    }

    /// Bytes moved to devices, by the living and the dead.
    pub fn to_device(&self) -> u64 {
        self.of_all(offset_of!(Slot, to_device))
    }

    /// Bytes moved from devices, by the living and the dead.
    pub fn from_device(&self) -> u64 {
        self.of_all(offset_of!(Slot, from_device))
    }

    /// Processes that have a place; a dead one keeps it until another has looked.
    pub fn processes(&self) -> usize {
        (0..SLOTS).filter(|place| self.of_slot(*place, offset_of!(Slot, who)) != 0).count()
    }

    fn of_all(&self, counter: usize) -> u64 {
        let gone = self.word(offset_of!(Ledger, gone) + counter);
        (0..SLOTS).map(|place| self.of_slot(place, counter)).fold(gone, u64::saturating_add)
    }

    fn of_slot(&self, place: usize, counter: usize) -> u64 {
        self.word(offset_of!(Ledger, processes) + size_of::<Slot>() * place + counter)
    }

    fn word(&self, at: usize) -> u64 {
        word(self.0, at)
    }
}

/// Time of a device, in a copy of a ledger's [`BUCKETS`]; zero for one that there is not.
pub fn spent(buckets: &[u8], device: usize) -> Spent {
    let of = |field: usize| word(buckets, size_of::<Bucket>().saturating_mul(device) + field);
    Spent { ns: of(offset_of!(Bucket, spent)), waits: of(offset_of!(Bucket, waits)) }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.copied().map_or(0, u64::from_le_bytes)
}
