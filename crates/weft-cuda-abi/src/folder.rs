//! Where a copy of the library finds its driver, its limits and its ledger: a path in the copy.
//!
//! The library may not ask its environment, which the program in the container sets, nor where it
//! was loaded from, which is the driver's own place. So whoever delivers a copy writes the folder
//! into it: there is a mark in the library's data, and room behind it.
//!
//! | in the folder | is |
//! |--|--|
//! | `driver/libcuda.so.1`, `driver/libnvidia-ml.so.1` | the true driver and management library |
//! | `limits` | what the container may use, [`crate::limits`] |
//! | `ledger` | what its processes hold, [`crate::ledger`] |
//! | `rates` | what it is given beyond its share, [`crate::rates`]; may be missing |

/// What stands before the path.
pub const MARK: [u8; 16] = *b"weft-gpu-folder=";
/// Bytes of the mark, the path and at least one zero behind it.
pub const ROOM: usize = 272;

/// The mark with a path behind it, as it stands in the library; a path that is too long is left
/// out.
pub const fn with(path: &[u8]) -> [u8; ROOM] {
    let mut bytes = [0; ROOM];
    let mut at = 0;
    while at < MARK.len() {
        bytes[at] = MARK[at];
        at += 1;
    }
    let mut from = 0;
    while from < path.len() && path.len() < ROOM - MARK.len() {
        bytes[at + from] = path[from];
        from += 1;
    }
    bytes
}

/// The path behind a mark; none where there is none.
///
/// It does not look at the mark: the library must not have a second one among its constants.
pub fn path(bytes: &[u8; ROOM]) -> Option<&[u8]> {
    let rest = &bytes[MARK.len()..];
    let length = rest.iter().position(|byte| *byte == 0)?;
    (length > 0).then(|| &rest[..length])
}

/// Writes a path into a copy of the library; false where the copy does not have one mark, or the
/// path has no room.
pub fn write(library: &mut [u8], path: &[u8]) -> bool {
    let fits = !path.is_empty() && path.len() < ROOM - MARK.len() && !path.contains(&0);
    let mut marks = library.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    let at = marks.next().map(|(at, _)| at).filter(|_| marks.next().is_none());
    match at.and_then(|at| library.get_mut(at..at + ROOM)) {
        Some(place) if fits => {
            place.copy_from_slice(&with(path));
            true
        }
        _ => false,
    }
}
