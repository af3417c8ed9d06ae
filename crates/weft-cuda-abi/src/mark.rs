//! Which build a copy of the library is of: a mark in its data, under a name that it exports.
//!
//! Whoever delivers a copy reads the mark in the file and delivers none that is not of its own
//! build; a program that is to see whether the library answers finds the same bytes by the name.

use crate::ledger::LAYOUT;

/// What stands before the layout.
pub const MARK: [u8; 16] = *b"weft-gpu-layout=";
/// The name under which the library exports its mark; no driver has it.
pub const NAME: &str = "weft_gpu_layout";
/// Bytes of the mark, the layout and the version, with at least one zero behind it.
pub const ROOM: usize = 64;
/// Where the layout stands, four bytes with the lowest first.
pub const LAYOUT_AT: usize = MARK.len();
/// Where the version stands.
const VERSION_AT: usize = LAYOUT_AT + size_of::<u32>();

/// Set in the number with which a program that asks the library ends: no failure of a loader or a
/// shell has it.
pub const ANSWERS: i32 = 0x40;
/// The library's answer to a trial; no data, so that no driver's function is taken for it.
pub const TRY_MPS: &str = "weft_gpu_try_mps";

/// With what such a program ends where the library of this build answers.
pub const fn answer() -> i32 {
    ANSWERS | LAYOUT as i32
}

/// A build of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build<'a> {
    /// Of the files that the agent and the library share.
    pub layout: u32,
    /// The product's, `0.1.0`.
    pub version: &'a str,
}

/// The mark of this build; a version that is too long is cut.
pub const fn this(version: &str) -> [u8; ROOM] {
    let (mut bytes, layout, version) = ([0; ROOM], LAYOUT.to_le_bytes(), version.as_bytes());
    let mut at = 0;
    while at < ROOM - 1 {
        bytes[at] = match at {
            0..LAYOUT_AT => MARK[at],
            LAYOUT_AT..VERSION_AT => layout[at - LAYOUT_AT],
            _ if at - VERSION_AT < version.len() => version[at - VERSION_AT],
            _ => 0,
        };
        at += 1;
    }
    bytes
}

/// The build that a file says it is of; none where it has not one mark.
pub fn read(library: &[u8]) -> Option<Build<'_>> {
    let mut marks = library.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    let (at, _) = marks.next().filter(|_| marks.next().is_none())?;
    let bytes = library.get(at..at + ROOM)?;
    let layout = u32::from_le_bytes(*bytes[LAYOUT_AT..].first_chunk()?);
    let version = &bytes[VERSION_AT..];
    let length = version.iter().position(|byte| *byte == 0)?;
    let version = core::str::from_utf8(&version[..length]).ok()?;
    Some(Build { layout, version })
}
