//! Room: what may still be written to the state's file system, the store's reserve left out.
//!
//! Bundles, images and their imports ask before they write and again as they grow, so that none
//! of them takes the last bytes from the store and from every run.

use std::io;
use std::path::{Path, PathBuf};

/// Kept free: the least of one part in twenty of the file system and this. The store's log and
/// every run's record fit many times over.
const RESERVE_MOST: u64 = 1 << 30;

/// Bytes written between two looks: as far as the reserve may be overdrawn by each writer.
pub const ROOM_STEP: u64 = 16 << 20;

/// What may still be written below a folder.
#[derive(Debug, Clone)]
pub struct Room {
    dir: PathBuf,
    reserve: Option<u64>,
}

impl Room {
    /// On the file system of this folder, with the usual reserve.
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), reserve: None }
    }

    /// With so many bytes kept free instead; none: the usual reserve.
    #[must_use]
    pub fn keeping(self, reserve: Option<u64>) -> Self {
        Self { reserve, ..self }
    }

    /// Whether `more` bytes may be written now: else an error of kind `StorageFull`.
    pub fn check(&self, more: u64) -> io::Result<()> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        let reserve = self.reserve.unwrap_or_else(|| usual(&stat));
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free.checked_sub(more).is_some_and(|left| left >= reserve) {
            return Ok(());
        }
        let text = format!("{free} bytes are free, of which {reserve} are kept for the server");
        Err(io::Error::new(io::ErrorKind::StorageFull, text))
    }

    /// A reader of what is written elsewhere at the same pace: it fails once there is no room.
    pub(crate) fn watch<R: io::Read>(&self, input: R) -> Watched<'_, R> {
        Watched { input, room: self, unchecked: ROOM_STEP }
    }
}

/// The usual reserve below a folder, in bytes; 0 where the system does not say.
pub(crate) fn reserve(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |stat| usual(&stat))
}

fn usual(stat: &rustix::fs::StatVfs) -> u64 {
    (stat.f_blocks.saturating_mul(stat.f_frsize) / 20).min(RESERVE_MOST)
}

/// Reads as long as there is room for what is read.
#[derive(Debug)]
pub(crate) struct Watched<'r, R> {
    input: R,
    room: &'r Room,
    unchecked: u64,
}

impl<R: io::Read> io::Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unchecked >= ROOM_STEP {
            self.room.check(ROOM_STEP)?;
            self.unchecked = 0;
        }
        let read = self.input.read(buffer)?;
        self.unchecked += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_reserve_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::of(dir.path()).keeping(Some(0));
        room.check(1).unwrap();
        let full = |room: &Room, more| room.check(more).map_err(|e| e.kind());
        assert_eq!(full(&room, u64::MAX), Err(io::ErrorKind::StorageFull));
        let none = room.keeping(Some(u64::MAX));
        assert_eq!(full(&none, 0), Err(io::ErrorKind::StorageFull));
        let read = none.watch(&b"x"[..]).read(&mut [0; 1]).map_err(|e| e.kind());
        assert_eq!(read, Err(io::ErrorKind::StorageFull));
    }
}
