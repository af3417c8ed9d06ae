//! Packs that lie in an object store: sent there once they are full, read from there by range, and
//! kept on the disk as long as there is room.
//!
//! ```text
//! ended here ─► named in the index ─► put ─► looked at ─► `there` ─► may leave the disk
//! needed by nobody ─► `gone` ─► a week later removed there ─► no row
//! ```
//!
//! What is acknowledged is on the disk first; a pack leaves it after the store has said how long
//! what it has is. So an outage delays what is owed and loses nothing. Each step can be done again.
//! Removal waits a week, so that the packs of a backup of the index from within it are there.
//! Absent on purpose: keys. What lies there is what lies on the disk, under random names.

use crate::chunk::absent;
use crate::data::{Data, DataError};
use crate::elsewhere::{Elsewhere, Elsewise};
use crate::pack::PackError;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use weft_store::failpoint::hit;
use weft_store::{ChunkPlace, PackAway, StoreError};
use weft_types::{Bytes, Timestamp};

/// How long what nobody needs stays there, in milliseconds: a backup of the index is good for so
/// long.
const GRACE: u64 = 7 * 24 * 3_600_000;
/// A pack that is not full is ended after this, so that what it has is not owed for longer.
const ENDED_AFTER: Duration = Duration::from_secs(300);
/// Times that a read is tried, and pauses before each: an answer that got lost, a store that is
/// restarted. Longer outages are their callers' to wait for.
const TRIES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(1_000)];
/// Reads that wait for the store at a time, each with a thread: what more come are told to try
/// again, so that a store that hangs stops nothing but reads of what it has.
const WAITING_MAX: usize = 64;
/// Bytes that are fetched at a time of a pack that comes back.
const SOME: usize = 8 << 20;

/// A store of packs, and how it is used.
pub struct Away {
    to: Elsewhere,
    place: String,
    /// Bytes of packs that stay on the disk although they are there.
    cache: u64,
    /// Whether all comes back.
    back: bool,
    /// How long a pack that is not full stays open.
    ended_after: Duration,
    /// Threads that may wait for it.
    waiting: Semaphore,
    state: Mutex<AwayState>,
}

/// How it stands with the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwayState {
    /// Packs that are there and needed.
    pub there: u64,
    /// Their bytes.
    pub there_bytes: Bytes,
    /// Packs that are owed to it.
    pub owed: u64,
    /// Their bytes: what is lost with the server's disk.
    pub owed_bytes: Bytes,
    /// Bytes of packs on the disk.
    pub here_bytes: Bytes,
    /// Why the last round did not come to its end.
    pub failing: Option<String>,
}

impl Away {
    /// A store, by the name that rows know it by; so many bytes of packs stay on the disk. With
    /// `back` nothing more goes there, and what is there comes back.
    pub fn new(to: Elsewhere, place: impl Into<String>, cache: Bytes, back: bool) -> Self {
        let (place, cache, state) = (place.into(), cache.0, Mutex::default());
        let waiting = Semaphore::new(WAITING_MAX);
        Self { to, place, cache, back, ended_after: ENDED_AFTER, waiting, state }
    }

    /// A pack that is not full is sent after so long, where that is not five minutes.
    #[must_use]
    pub fn sending_after(self, ended_after: Duration) -> Self {
        Self { ended_after, ..self }
    }

    /// How it stands.
    pub fn state(&self) -> AwayState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: &Elsewise) -> PackError {
        PackError::Away { place: self.place.clone(), why: error.to_string() }
    }

    /// These bytes of a pack that is there.
    async fn read(&self, row: &PackAway, from: u64, length: usize) -> Result<Vec<u8>, PackError> {
        let mut last = Elsewise::Absent;
        for pause in TRIES {
            tokio::time::sleep(pause).await;
            match self.to.read(&row.name, from, length).await {
                Ok(read) => return Ok(read),
                Err(error @ Elsewise::Absent) => return Err(self.failed(&error)),
                Err(error) => last = error,
            }
        }
        Err(self.failed(&last))
    }
}

impl Data {
    /// The same, with packs that lie in a store, too.
    #[must_use]
    pub fn with_away(mut self, away: Away) -> Self {
        self.away = Some(Arc::new(away));
        self
    }

    /// Numbers of packs go on behind those that the index knows, of which none may be on the disk;
    /// called once, before anything is written.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn go_on(&self) -> Result<(), DataError> {
        let last = self.store.read(|r| r.last_pack()).await?;
        self.packs.go_on_behind(last);
        Ok(())
    }

    /// Packs that lie in a store by these names of stores; what is not configured is not there.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn places(&self) -> Result<std::collections::BTreeSet<String>, DataError> {
        let rows = self.store.read(|r| r.packs_away()).await?;
        Ok(rows.into_iter().map(|row| row.place).collect())
    }

    /// How it stands with the store, where there is one.
    pub fn away(&self) -> Option<AwayState> {
        self.away.as_ref().map(|away| away.state())
    }

    /// Bytes of what lies at a place, here or there. Blocks.
    pub(crate) fn read_place(
        &self,
        place: ChunkPlace,
        bytes: Range<usize>,
        handle: &Handle,
    ) -> Result<Vec<u8>, PackError> {
        match self.packs.read(place, bytes.clone()) {
            Err(error) if absent(&error) => self.read_there(place, bytes, handle)?.ok_or(error),
            other => other,
        }
    }

    /// As [`Data::read_place`], from the store alone; none of a pack that is not there. Blocks.
    pub(crate) fn read_there(
        &self,
        place: ChunkPlace,
        bytes: Range<usize>,
        handle: &Handle,
    ) -> Result<Option<Vec<u8>>, PackError> {
        let Some(away) = &self.away else { return Ok(None) };
        let busy = || Elsewise::Away(format!("{WAITING_MAX} reads wait for it"));
        let _waits = away.waiting.try_acquire().map_err(|_| away.failed(&busy()))?;
        let row = self.store.read_here(handle, |r| r.pack_away(place.pack));
        let row =
            row.map_err(|error: StoreError| away.failed(&Elsewise::Away(error.to_string())))?;
        let Some(row) = row.filter(|row| row.there) else { return Ok(None) };
        let until = bytes.end.min(place.length as usize);
        let from = bytes.start.min(until);
        let read = away.read(&row, place.offset + from as u64, until - from);
        handle.block_on(read).map(Some)
    }

    /// Whether the store says that it has a pack, as long as it was. Blocks.
    pub(crate) fn is_there(&self, pack: u64, handle: &Handle) -> bool {
        let Some(away) = &self.away else { return false };
        let row = self.store.read_here(handle, |r| r.pack_away(pack));
        let Ok::<_, StoreError>(Some(row)) = row else { return false };
        let found = handle.block_on(away.to.bytes(&row.name));
        row.there && found.is_ok_and(|bytes| bytes == Some(row.bytes))
    }

    /// Whether a pack is on the disk; if not, a look at it costs the store an answer.
    pub(crate) fn is_here(&self, pack: u64) -> bool {
        self.away.is_none() || self.packs.has(pack)
    }

    /// One round: what is owed is sent, what nobody needs is removed there, what is more than may
    /// stay leaves the disk; or all comes back. What fails is tried in the next.
    ///
    /// # Errors
    /// The store or the state did not do it; what was done is done.
    pub async fn tend_away(&self, now: Timestamp) -> Result<(), DataError> {
        let Some(away) = self.away.clone() else { return Ok(()) };
        // First, too: a round may take hours, and what is owed is not nothing meanwhile.
        self.count(&away, away.state().failing).await?;
        let tended = self.tend(&away, now).await;
        self.count(&away, tended.as_ref().err().map(ToString::to_string)).await?;
        tended
    }

    async fn tend(&self, away: &Away, now: Timestamp) -> Result<(), DataError> {
        let rows = self.store.read(|r| r.packs_away()).await?;
        self.look(away, &rows).await?;
        self.remove_gone(away, &rows, now).await?;
        if away.back {
            return self.bring_back(away, &rows).await;
        }
        let (packs, after) = (self.packs.clone(), away.ended_after);
        tokio::task::spawn_blocking(move || packs.end_after(after)).await??;
        self.name_owed(away).await?;
        let owed = self.store.read(|r| r.packs_away()).await?;
        for row in owed.iter().filter(|row| !row.there && row.gone_at.is_none()) {
            self.send(away, row).await?;
            self.count(away, away.state().failing).await?;
        }
        self.make_room(away).await
    }

    /// A store that has lost one of ours, or a folder that is not mounted, is given nothing and
    /// trusted with nothing.
    async fn look(&self, away: &Away, rows: &[PackAway]) -> Result<(), DataError> {
        let newest = rows.iter().rev().find(|row| row.there && row.gone_at.is_none());
        let Some(row) = newest else { return Ok(()) };
        let found = away.to.bytes(&row.name).await.map_err(|error| away.failed(&error))?;
        match found == Some(row.bytes) || (away.back && self.packs.has(row.pack)) {
            true => Ok(()),
            false => Err(away.failed(&Elsewise::Absent).into()),
        }
    }

    /// Packs that are ended, needed and have no name yet are given one.
    async fn name_owed(&self, away: &Away) -> Result<(), DataError> {
        let (packs, floor) = (self.packs.clone(), self.packs.current());
        let ended = move || {
            let numbers = packs.numbers()?.into_iter().filter(|pack| *pack < floor);
            numbers
                .map(|pack| Ok((pack, packs.bytes(pack)?)))
                .collect::<Result<Vec<_>, PackError>>()
        };
        let ended = tokio::task::spawn_blocking(ended).await??;
        let place = away.place.clone();
        let name = move |w: &mut weft_store::Write<'_>| {
            for (pack, bytes) in ended {
                if w.pack_away(pack)?.is_none() && w.pack_is_used(pack)? {
                    w.owe_pack(pack, &place, &fresh_name()?, bytes)?;
                }
            }
            Ok::<_, DataError>(())
        };
        self.store.write(name).await
    }

    async fn send(&self, away: &Away, row: &PackAway) -> Result<(), DataError> {
        hit("gateway.away.named").map_err(StoreError::from)?;
        let Ok(file) = self.packs.opened(row.pack) else {
            // It went meanwhile, since nobody needed it, or the disk lost it: a scrub tells which.
            return Ok(());
        };
        let put = away.to.put(&row.name, file, row.bytes).await;
        put.map_err(|error| away.failed(&error))?;
        hit("gateway.away.put").map_err(StoreError::from)?;
        let found = away.to.bytes(&row.name).await.map_err(|error| away.failed(&error))?;
        if found != Some(row.bytes) {
            return Err(away.failed(&Elsewise::Absent).into());
        }
        let pack = row.pack;
        self.store.write(move |w| w.pack_is_there(pack, true)).await?;
        Ok(hit("gateway.away.there").map_err(StoreError::from)?)
    }

    /// What was needed by nobody for long enough.
    async fn remove_gone(
        &self,
        away: &Away,
        rows: &[PackAway],
        now: Timestamp,
    ) -> Result<(), DataError> {
        for row in rows {
            let over = |gone: Timestamp| away.back || gone.0.saturating_add(GRACE) <= now.0;
            if row.gone_at.is_some_and(over) {
                self.forget_there(away, row).await?;
            }
        }
        Ok(())
    }

    async fn forget_there(&self, away: &Away, row: &PackAway) -> Result<(), DataError> {
        away.to.remove(&row.name).await.map_err(|error| away.failed(&error))?;
        hit("gateway.away.removed").map_err(StoreError::from)?;
        let pack = row.pack;
        Ok(self.store.write(move |w| w.forget_pack_away(pack)).await?)
    }

    /// The oldest packs that are there leave the disk until the rest fits.
    async fn make_room(&self, away: &Away) -> Result<(), DataError> {
        let rows = self.store.read(|r| r.packs_away()).await?;
        let mut held: u64 = self.sizes().await?.iter().map(|(_, bytes)| bytes).sum();
        for row in rows.iter().filter(|row| row.there && row.gone_at.is_none()) {
            if held <= away.cache {
                break;
            }
            if !self.packs.has(row.pack) {
                continue;
            }
            // Once more: it may have been a long time ago.
            let found = away.to.bytes(&row.name).await.map_err(|error| away.failed(&error))?;
            if found != Some(row.bytes) {
                return Err(away.failed(&Elsewise::Absent).into());
            }
            let (packs, pack) = (self.packs.clone(), row.pack);
            tokio::task::spawn_blocking(move || packs.remove(pack)).await??;
            held = held.saturating_sub(row.bytes);
        }
        Ok(())
    }

    /// Each pack is durable here, and all that is in any of them was opened, before one is removed
    /// there: a read of what is spoilt here takes it from there as long as it can.
    async fn bring_back(&self, away: &Away, rows: &[PackAway]) -> Result<(), DataError> {
        let back: Vec<_> = rows.iter().filter(|row| row.gone_at.is_none()).collect();
        let lacks = |row: &&&PackAway| row.there && !self.packs.has(row.pack);
        for row in back.iter().filter(lacks) {
            self.fetch(away, row).await?;
        }
        if back.iter().any(|row| row.there) {
            self.open_all().await?;
        }
        if back.iter().any(|row| lacks(&row)) {
            let why = "packs came back spoilt, and are fetched again".to_owned();
            return Err(away.failed(&Elsewise::Away(why)).into());
        }
        for row in back {
            hit("gateway.away.back").map_err(StoreError::from)?;
            // First: whoever goes on without `back` must not believe that it is there.
            let pack = row.pack;
            self.store.write(move |w| w.pack_is_there(pack, false)).await?;
            self.forget_there(away, row).await?;
        }
        Ok(())
    }

    /// Opens each chunk of each dataset once. What is damaged here and whole there leaves the disk.
    async fn open_all(&self) -> Result<(), DataError> {
        let all = |r: &weft_store::Read<'_>| -> Result<Vec<_>, StoreError> {
            Ok(r.datasets_and_samples()?.into_iter().chain(r.ended_datasets()?).collect())
        };
        for dataset in self.store.read(all).await? {
            self.scrub(dataset.id, |_| {}).await?;
        }
        Ok(())
    }

    async fn fetch(&self, away: &Away, row: &PackAway) -> Result<(), DataError> {
        let path = self.packs.path(row.pack);
        let part = path.with_extension("part");
        let broken = |path: &Path, error| PackError::of("bring back", path, error);
        let file = Arc::new(File::create(&part).map_err(|e| broken(&part, e))?);
        let mut at = 0;
        while at < row.bytes {
            let length = SOME.min(usize::try_from(row.bytes - at).unwrap_or(SOME));
            let read = away.read(row, at, length).await?;
            let file = file.clone();
            let written = tokio::task::spawn_blocking(move || {
                std::os::unix::fs::FileExt::write_all_at(&*file, &read, at)
            });
            written.await?.map_err(|e| broken(&part, e))?;
            at += length as u64;
        }
        let folder = path.parent().unwrap_or(&path).to_owned();
        let ended = tokio::task::spawn_blocking(move || {
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            File::open(&folder)?.sync_all()
        });
        Ok(ended.await?.map_err(|e| broken(&self.packs.path(row.pack), e))?)
    }

    /// The packs on the disk, and how long each is; one that went meanwhile is nothing.
    async fn sizes(&self) -> Result<Vec<(u64, u64)>, DataError> {
        let packs = self.packs.clone();
        let sizes = move || {
            let numbers = packs.numbers()?.into_iter();
            Ok::<_, PackError>(numbers.map(|pack| (pack, packs.bytes(pack).unwrap_or(0))).collect())
        };
        Ok(tokio::task::spawn_blocking(sizes).await??)
    }

    async fn count(&self, away: &Away, failing: Option<String>) -> Result<(), DataError> {
        let rows = self.store.read(|r| r.packs_away()).await?;
        let mut state = AwayState { failing, ..AwayState::default() };
        let sizes = self.sizes().await?;
        for row in rows.iter().filter(|row| row.there && row.gone_at.is_none()) {
            state.there += 1;
            state.there_bytes.0 += row.bytes;
        }
        for (pack, bytes) in sizes {
            state.here_bytes.0 += bytes;
            let there = rows.binary_search_by_key(&pack, |row| row.pack);
            if !away.back && !there.is_ok_and(|at| rows[at].there) {
                state.owed += 1;
                state.owed_bytes.0 += bytes;
            }
        }
        *away.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }
}

/// A name that tells nothing.
fn fresh_name() -> Result<String, DataError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        DataError::Body(std::io::Error::other(format!("no random numbers: {error}")))
    })?;
    Ok(hex::encode(bytes))
}
