//! Where memory is, as the structures say it that describe memory to the driver.

/// The beginning of the public structures `CUmemPoolProps` and `CUmemAllocationProp`, which is the
/// same in both.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Properties {
    kind: u32,
    handles: u32,
    place: u32,
    device: i32,
}

/// The kind of place that is a device; others are the host's memory.
const ON_DEVICE: u32 = 1;

impl Properties {
    /// Its device; none where it is the host's memory.
    pub(crate) fn device(self) -> Option<i32> {
        (self.place == ON_DEVICE).then_some(self.device)
    }

    /// Of the first words of a structure that the driver has filled.
    pub(crate) fn of(words: [u64; 2]) -> Self {
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let (kind, handles) = (low(words[0]), high(words[0]));
        Self { kind, handles, place: low(words[1]), device: high(words[1]).cast_signed() }
    }
}
