//! What a container may use of its devices: a file that the agent writes and nobody in the
//! container can.
//!
//! Read once, when a process loads the library. A file that is missing, short or of another layout
//! gives no limit, and no limit is zero.

/// The file's first bytes.
pub const MAGIC: [u8; 8] = *b"weftlmts";
/// Bytes before the first device: the magic, the layout and the count.
const HEAD: usize = 16;
/// Bytes of a device.
const ENTRY: usize = 32;

/// What a container may use of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Which device, by the driver's identifier.
    pub uuid: [u8; 16],
    /// Bytes of its memory.
    pub memory: u64,
    /// Thousandths of its processors' time.
    pub milli: u32,
}

impl Limit {
    /// The device's entry in the file.
    pub fn write(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(&self.uuid);
        bytes[16..24].copy_from_slice(&self.memory.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.milli.to_le_bytes());
        bytes
    }
}

/// The beginning of a file with the limits of so many devices.
pub fn head(devices: u32) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&crate::ledger::LAYOUT.to_le_bytes());
    bytes[12..].copy_from_slice(&devices.to_le_bytes());
    bytes
}

/// The limits in a file; none where it is not whole and of this layout.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Limit> + '_ {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    let number = |at: usize| word(at).map(u32::from_le_bytes);
    let ours = bytes.starts_with(&MAGIC) && number(8) == Some(crate::ledger::LAYOUT);
    let count = if ours { number(12).unwrap_or(0) as usize } else { 0 };
    let whole = bytes.len() == HEAD + count.saturating_mul(ENTRY);
    let entries = bytes.get(HEAD..).filter(|_| whole && count > 0).unwrap_or(&[]);
    entries.chunks_exact(ENTRY).map(|entry| {
        let part = |from: usize| entry[from..from + 8].try_into().unwrap_or([0; 8]);
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&entry[..16]);
        let (memory, milli) = (u64::from_le_bytes(part(16)), u64::from_le_bytes(part(24)));
        Limit { uuid, memory, milli: milli as u32 }
    })
}
