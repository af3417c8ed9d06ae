//! Packs: files to which sealed chunks are appended, and which many writers make durable at once.
//!
//! ```text
//! 00000007.pack   head │ record │ record │ …        record: length, id, check │ sealed bytes
//!
//! append ─► where it lies (not durable) ─► sync ─► durable; then, and only then, the index is told
//! ```
//!
//! Whoever waits for the disk waits for all that was appended before: one sync for a crowd. A pack
//! is never written again once another was begun, or the process ended: space that a crash left
//! taken ahead is given back, and what no index knows is found by [`Packs::records`]. After a sync
//! that failed nothing of what it was for is taken for durable, and the next append begins another
//! file. Absent on purpose: what is in a record, which is under seal, and where the index is.

use crate::seal::ChunkId;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use weft_store::ChunkPlace;
use weft_store::failpoint::hit;

/// Bytes at which a pack is full: large enough that a million chunks are few files, small enough
/// that one is soon copied when most of it is no longer wanted.
pub const PACK_BYTES: u64 = 256 << 20;
/// Space is taken in steps of so many bytes, so that a sync seldom has to write where a file ends.
const STEP: u64 = 8 << 20;
/// Bytes that are looked at at a time for being zeros.
const SOME: usize = 1 << 20;
/// This part of a pack is left free on the disk (64 MiB): the index lies there, too, and has to be
/// written for anything to be deleted; its log alone may have 16.
const RESERVE_PART: u64 = 4;
/// But no more than this part of the disk: on a small one it would be most of it.
const RESERVE_OF_DISK: u64 = 16;
/// What a pack begins with.
const HEAD: &[u8; 16] = b"weft pack 1\n\0\0\0\0";
/// Bytes before each record: its length, the chunk's id, and a check of both.
pub(crate) const RECORD_HEAD: usize = 4 + 32 + 4;

/// Why a pack cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PackError {
    /// No space is left; what was acknowledged is safe.
    #[error("no space is left for data in {0}: free some, or raise its quota")]
    Full(String),
    /// A file failed.
    #[error("{action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        cause: Arc<io::Error>,
    },
    /// It lies in a store that does not give it now.
    #[error("{place}, where data lies, does not give it: {why}; try again later")]
    Away {
        /// The store.
        place: String,
        /// What it said.
        why: String,
    },
    /// What lies at a place is not what was put there.
    #[error("{path} is damaged at byte {offset}: {why}")]
    Damaged {
        /// The pack.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
}

impl PackError {
    /// Of a file that failed.
    pub(crate) fn of(action: &'static str, path: &Path, cause: io::Error) -> Self {
        failed(action, path, cause)
    }
}

/// The packs of a folder. One process has them at a time: who opens them holds the state's lock.
#[derive(Debug)]
pub struct Packs {
    folder: PathBuf,
    /// Bytes at which a pack is full.
    full: u64,
    state: Mutex<State>,
    synced: Condvar,
}

#[derive(Debug)]
struct State {
    /// Of the next pack.
    next: u64,
    /// The one that is appended to.
    active: Option<Active>,
    /// Somebody waits for the disk.
    syncing: bool,
    open: BTreeMap<u64, Arc<File>>,
    /// Packs that a sync failed for, and up to where they are durable.
    lost: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Active {
    number: u64,
    file: Arc<File>,
    end: u64,
    taken: u64,
    durable: u64,
    began: Instant,
}

impl Active {
    /// Takes space for a record and what will follow it, or for it alone where there is little; so
    /// much is left for others.
    fn take(&mut self, record: u64, full: u64, reserve: u64) -> io::Result<()> {
        let ahead = STEP.min(full.saturating_sub(self.end)).max(record);
        let disk = rustix::fs::fstatvfs(&self.file)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let reserve = reserve.min(disk.f_blocks.saturating_mul(disk.f_frsize) / RESERVE_OF_DISK);
        if free < record + reserve {
            return Err(Errno::NOSPC.into());
        }
        for more in [ahead.min(free - reserve), record] {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), self.end, more) {
                // A file system that cannot do this takes space as it is written.
                Ok(()) | Err(Errno::OPNOTSUPP) => {
                    self.taken = self.end + more;
                    return Ok(());
                }
                Err(Errno::NOSPC | Errno::DQUOT) if more > record => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether a record of so many bytes belongs into the next one.
    fn is_full_for(&self, record: u64, full: u64) -> bool {
        self.end > HEAD.len() as u64 && self.end + record > full
    }
}

/// Files that are kept open for reading.
const OPEN_MAX: usize = 64;

impl State {
    /// What was not durable of the active pack is lost; nothing more goes there.
    fn give_up(&mut self, pack: u64) {
        if let Some(active) = self.active.take_if(|active| active.number == pack) {
            self.lost.insert(pack, active.durable);
        }
    }

    fn keep(&mut self, pack: u64, file: Arc<File>) {
        if self.open.len() >= OPEN_MAX {
            self.open.pop_first();
        }
        self.open.insert(pack, file);
    }
}

impl Packs {
    /// The packs of this folder, which is made where there is none; one is full at so many bytes,
    /// which is [`PACK_BYTES`] but in tests.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, full: u64) -> Result<Self, PackError> {
        std::fs::create_dir_all(folder).map_err(|e| failed("make", folder, e))?;
        let last = numbers(folder)?.into_iter().max();
        let state = State {
            next: last.map_or(1, |last| last + 1),
            active: None,
            syncing: false,
            open: BTreeMap::new(),
            lost: BTreeMap::new(),
        };
        let (folder, state, synced) = (folder.to_owned(), Mutex::new(state), Condvar::new());
        let packs = Self { folder, full, state, synced };
        if let Some(last) = last {
            packs.trim(last)?;
        }
        Ok(packs)
    }

    /// Appends a sealed chunk. It is not durable before [`Packs::sync`].
    ///
    /// # Errors
    /// [`PackError::Full`], or the file failed; nothing was appended.
    pub fn append(&self, id: &ChunkId, sealed: &[u8]) -> Result<ChunkPlace, PackError> {
        self.append_but(id, sealed, self.full / RESERVE_PART)
    }

    /// As [`Packs::append`], also into what is left for the index: for who makes room by it.
    pub(crate) fn append_anyway(
        &self,
        id: &ChunkId,
        sealed: &[u8],
    ) -> Result<ChunkPlace, PackError> {
        self.append_but(id, sealed, 0)
    }

    fn append_but(
        &self,
        id: &ChunkId,
        sealed: &[u8],
        reserve: u64,
    ) -> Result<ChunkPlace, PackError> {
        let length = u32::try_from(sealed.len()).expect("a chunk is at most some megabytes");
        let mut state = self.state();
        let record = RECORD_HEAD as u64 + u64::from(length);
        while state.active.as_ref().is_some_and(|active| active.is_full_for(record, self.full)) {
            // The kernel tells of a failed sync once: it must not be told to two.
            if state.syncing {
                state = self.wait(state);
            } else {
                self.end_active(&mut state)?;
            }
        }
        if state.active.is_none() {
            // Also where it fails: what it left there is not tried again.
            state.next += 1;
            state.active = Some(self.begin(state.next - 1)?);
        }
        let active = state.active.as_mut().expect("it was begun");
        let path = self.path(active.number);
        if active.end + record > active.taken {
            active
                .take(record, self.full, reserve)
                .map_err(|e| failed("take space in", &path, e))?;
        }
        let place =
            ChunkPlace { pack: active.number, offset: active.end + RECORD_HEAD as u64, length };
        let head = record_head(length, id);
        write_both(&active.file, &head, sealed, active.end)
            .map_err(|e| failed("write", &path, e))?;
        active.end = end(place);
        struck("gateway.pack.appended", &path)?;
        Ok(place)
    }

    /// Returns once the chunk at this place, and all that was appended before it, is durable.
    ///
    /// # Errors
    /// The disk did not take it: it must be taken for lost.
    pub fn sync(&self, place: ChunkPlace) -> Result<(), PackError> {
        let mut state = self.state();
        loop {
            if let Some(durable) = state.lost.get(&place.pack) {
                let path = self.shown(place.pack);
                let (offset, why) = (place.offset, "the disk did not take it");
                let lost = PackError::Damaged { path, offset, why };
                return if end(place) <= *durable { Ok(()) } else { Err(lost) };
            }
            // One that is neither lost nor active was synced when the next was begun.
            let Some(active) = state.active.as_ref().filter(|active| active.number == place.pack)
            else {
                return Ok(());
            };
            if active.durable >= end(place) {
                return Ok(());
            }
            if state.syncing {
                state = self.wait(state);
                continue;
            }
            let (file, number, end) = (active.file.clone(), active.number, active.end);
            state.syncing = true;
            drop(state);
            let path = self.path(number);
            let outcome = struck("gateway.pack.sync", &path).and_then(|()| {
                rustix::fs::fdatasync(&*file).map_err(|error| failed("sync", &path, error.into()))
            });
            state = self.state();
            state.syncing = false;
            self.synced.notify_all();
            if let Err(error) = outcome {
                // The kernel has forgotten what it could not write: nothing more goes here.
                state.give_up(number);
                return Err(error);
            }
            struck("gateway.pack.synced", &path)?;
            if let Some(active) = state.active.as_mut().filter(|active| active.number == number) {
                active.durable = active.durable.max(end);
            }
        }
    }

    /// The pack that the next chunk is appended to, or one after it: none before it is appended to.
    pub fn current(&self) -> u64 {
        let state = self.state();
        state.active.as_ref().map_or(state.next, |active| active.number)
    }

    /// Bytes of a pack's file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bytes(&self, pack: u64) -> Result<u64, PackError> {
        let file = self.file(pack)?;
        Ok(file.metadata().map_err(|e| failed("read", &self.path(pack), e))?.len())
    }

    /// Reads these bytes of what lies at a place.
    ///
    /// # Errors
    /// The file is shorter than that, gone, or cannot be read.
    pub fn read(
        &self,
        place: ChunkPlace,
        bytes: std::ops::Range<usize>,
    ) -> Result<Vec<u8>, PackError> {
        let file = self.file(place.pack)?;
        let until = bytes.end.min(place.length as usize);
        let from = bytes.start.min(until);
        let mut read = vec![0; until - from];
        file.read_exact_at(&mut read, place.offset + from as u64).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => PackError::Damaged {
                    path: self.shown(place.pack),
                    offset: place.offset,
                    why: "the file ends before",
                },
                _ => failed("read", &self.path(place.pack), error),
            }
        })?;
        Ok(read)
    }

    /// As [`Packs::read`], if all of it is in memory and its file open: it waits neither for the
    /// disk nor for who does.
    pub(crate) fn at_hand(
        &self,
        place: ChunkPlace,
        bytes: std::ops::Range<usize>,
    ) -> Option<Vec<u8>> {
        let file = {
            let state = self.state.try_lock().ok()?;
            let active = state.active.as_ref().filter(|active| active.number == place.pack);
            active.map(|active| &active.file).or_else(|| state.open.get(&place.pack))?.clone()
        };
        let until = bytes.end.min(place.length as usize);
        let from = bytes.start.min(until);
        let mut read = vec![0; until - from];
        let (at, flags) = (place.offset + from as u64, ReadWriteFlags::NOWAIT);
        let into = &mut [io::IoSliceMut::new(&mut read)];
        let count = rustix::io::preadv2(&*file, into, at, flags).ok()?;
        (count == read.len()).then_some(read)
    }

    /// What lies in a pack, by its own heads, up to the first that is none: what no index knows can
    /// be found again, and told from what it does.
    ///
    /// # Errors
    /// The file cannot be read, or is no pack.
    pub fn records(&self, pack: u64) -> Result<Vec<(ChunkId, ChunkPlace)>, PackError> {
        let (file, path) = (self.file(pack)?, self.path(pack));
        let length = file.metadata().map_err(|e| failed("read", &path, e))?.len();
        let mut head = [0; HEAD.len()];
        if file.read_exact_at(&mut head, 0).is_err() || head != *HEAD {
            let path = self.shown(pack);
            return Err(PackError::Damaged { path, offset: 0, why: "it is no pack" });
        }
        let (mut found, mut at) = (Vec::new(), HEAD.len() as u64);
        let mut head = [0; RECORD_HEAD];
        while at + RECORD_HEAD as u64 <= length {
            file.read_exact_at(&mut head, at).map_err(|e| failed("read", &path, e))?;
            let Some((id, bytes)) = read_head(&head) else { break };
            let place = ChunkPlace { pack, offset: at + RECORD_HEAD as u64, length: bytes };
            if end(place) > length {
                break;
            }
            found.push((id, place));
            at = end(place);
        }
        Ok(found)
    }

    /// The packs that there are.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn numbers(&self) -> Result<Vec<u64>, PackError> {
        numbers(&self.folder)
    }

    /// Ends a pack that nothing lies in any more. The one that is appended to is left.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, pack: u64) -> Result<(), PackError> {
        let mut state = self.state();
        if state.active.as_ref().is_some_and(|active| active.number == pack) {
            return Ok(());
        }
        state.open.remove(&pack);
        let path = self.path(pack);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Numbers go on behind this one: what the index knows may not be on the disk.
    pub fn go_on_behind(&self, last: u64) {
        let mut state = self.state();
        state.next = state.next.max(last + 1);
    }

    /// Ends the pack that is appended to, if something has lain there for so long.
    pub(crate) fn end_after(&self, after: Duration) -> Result<(), PackError> {
        let mut state = self.state();
        while state.syncing {
            state = self.wait(state);
        }
        let old =
            |active: &Active| active.end > HEAD.len() as u64 && active.began.elapsed() >= after;
        match state.active.as_ref().is_some_and(old) {
            true => self.end_active(&mut state),
            false => Ok(()),
        }
    }

    /// Whether a pack is on the disk.
    pub(crate) fn has(&self, pack: u64) -> bool {
        self.path(pack).exists()
    }

    /// A pack's file.
    pub(crate) fn opened(&self, pack: u64) -> Result<Arc<File>, PackError> {
        self.file(pack)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self, pack: u64) -> PathBuf {
        self.folder.join(format!("{pack:08}.pack"))
    }

    fn shown(&self, pack: u64) -> String {
        self.path(pack).display().to_string()
    }

    fn begin(&self, number: u64) -> Result<Active, PackError> {
        let path = self.path(number);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(made.map_err(|e| failed("make", &path, e.into()))?);
        let begun = file.write_all_at(HEAD, 0).and_then(|()| {
            file.sync_all()?;
            // Its name, too, has to be there after a crash.
            File::open(&self.folder)?.sync_all()
        });
        begun.map_err(|e| failed("begin", &path, e))?;
        struck("gateway.pack.begun", &path)?;
        let (end, began) = (HEAD.len() as u64, Instant::now());
        Ok(Active { number, file: Arc::new(file), end, taken: end, durable: end, began })
    }

    /// Waits for the sync of another.
    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.synced.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the active pack durable and gives back the space that it did not need.
    fn end_active(&self, state: &mut State) -> Result<(), PackError> {
        let Some(active) = state.active.as_mut() else { return Ok(()) };
        let (number, path) = (active.number, self.path(active.number));
        let ended = rustix::fs::ftruncate(&active.file, active.end)
            .and_then(|()| rustix::fs::fdatasync(&*active.file));
        if let Err(error) = ended {
            state.give_up(number);
            return Err(failed("sync", &path, error.into()));
        }
        struck("gateway.pack.ended", &path)?;
        if let Some(active) = state.active.take() {
            state.keep(number, active.file);
        }
        Ok(())
    }

    fn file(&self, pack: u64) -> Result<Arc<File>, PackError> {
        let mut state = self.state();
        if let Some(active) = state.active.as_ref().filter(|active| active.number == pack) {
            return Ok(active.file.clone());
        }
        if let Some(file) = state.open.get(&pack) {
            return Ok(file.clone());
        }
        let path = self.path(pack);
        let file = Arc::new(File::open(&path).map_err(|e| failed("open", &path, e))?);
        state.keep(pack, file.clone());
        Ok(file)
    }

    /// Gives back the space that a process which was killed had taken ahead: zeros behind the last
    /// record. Anything else there stays: a record may be behind one whose head is damaged.
    fn trim(&self, pack: u64) -> Result<(), PackError> {
        let end = match self.records(pack) {
            Ok(records) => records.last().map_or(HEAD.len() as u64, |(_, place)| end(*place)),
            // Begun, and not even its head is there: left to whoever looks for damage.
            Err(PackError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let path = self.path(pack);
        let cut = || {
            let file = File::options().read(true).write(true).open(&path)?;
            let length = file.metadata()?.len();
            let (mut at, mut some) = (end, vec![0; SOME]);
            while at < length {
                let count = file.read_at(&mut some, at)?;
                if count == 0 || some[..count].iter().any(|byte| *byte != 0) {
                    return Ok(());
                }
                at += count as u64;
            }
            file.set_len(end)
        };
        cut().map_err(|e| failed("cut", &path, e))
    }
}

/// The byte behind a chunk.
fn end(place: ChunkPlace) -> u64 {
    place.offset + u64::from(place.length)
}

/// The numbers of the packs in a folder.
fn numbers(folder: &Path) -> Result<Vec<u64>, PackError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed("read", folder, e))? {
        let name = entry.map_err(|e| failed("read", folder, e))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".pack"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// What stands before a record.
fn record_head(length: u32, id: &ChunkId) -> [u8; RECORD_HEAD] {
    let mut head = [0; RECORD_HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..36].copy_from_slice(&id.0);
    let check = blake3::hash(&head[..36]);
    head[36..].copy_from_slice(&check.as_bytes()[..4]);
    head
}

/// Writes one behind the other, with one call where that takes all.
fn write_both(file: &File, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
    let both = [io::IoSlice::new(head), io::IoSlice::new(body)];
    let done = rustix::io::pwritev(file, &both, at).unwrap_or(0);
    let (head, body) = (&head[done.min(head.len())..], &body[done.saturating_sub(head.len())..]);
    let at = at + done as u64;
    file.write_all_at(head, at)?;
    file.write_all_at(body, at + head.len() as u64)
}

fn read_head(head: &[u8; RECORD_HEAD]) -> Option<(ChunkId, u32)> {
    let length = u32::from_le_bytes(*head.first_chunk()?);
    let id = ChunkId(head[4..36].try_into().ok()?);
    (*head == record_head(length, &id)).then_some((id, length))
}

/// A place where a test may strike.
fn struck(name: &'static str, path: &Path) -> Result<(), PackError> {
    hit(name).map_err(|struck| failed("use", path, io::Error::other(struck)))
}

fn failed(action: &'static str, path: &Path, cause: io::Error) -> PackError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            PackError::Full(path.parent().unwrap_or(path).display().to_string())
        }
        _ => PackError::Io { action, path: path.display().to_string(), cause: Arc::new(cause) },
    }
}
