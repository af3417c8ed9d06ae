//! Looks for damage before somebody needs what is damaged: every chunk is opened once, however many
//! objects have it, and each object that is damaged is told.
//!
//! What reading finds is told likewise ([`Data::damages`]). Absent on purpose: repair, which takes
//! a copy that this state does not have.

use crate::bond::{of_object, of_part};
use crate::commit::MANIFEST;
use crate::data::{Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::{Manifest, Piece};
use crate::notes;
use crate::seal::{ChunkId, Secret, Tampered};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use weft_store::{ChunkPlace, DatasetId, Read, ScrubPlace, ScrubRow, StoreError};
use weft_types::Bytes;

/// Rows that are read at a time.
const PAGE: u32 = 200;
/// Of what is not on the disk, so many times as much as is read by one scrub.
const PARTS: u64 = 16;
/// Milliseconds of a week: the next part is read by the next week's scrub.
const WEEK: u128 = 7 * 24 * 3_600_000;
/// Damages that are kept of those that reading found: enough to see how far it goes.
const KEPT: usize = 1_000;

/// An object, or a part of an upload, that is not whole any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Of this dataset.
    pub dataset: DatasetId,
    /// Where it is.
    pub path: String,
    /// The change that put it; 0 of a part of an upload.
    pub change: u64,
    /// The first chunk that is damaged; none where what says which it has does not open.
    pub chunk: Option<ChunkId>,
    /// What is wrong.
    pub why: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Objects as they are and as they were, and parts of uploads.
    pub objects: u64,
    /// Chunks, each once.
    pub chunks: u64,
    /// Plain bytes of these.
    pub bytes: Bytes,
    /// Objects that are damaged.
    pub damaged: u64,
}

/// What reading has found, one for each object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damages(Arc<Mutex<BTreeMap<Named, Damage>>>);

/// An object as a change put it.
type Named = (DatasetId, String, u64);

impl Damages {
    pub(crate) fn note(&self, damage: Damage) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KEPT {
            all.insert((damage.dataset, damage.path.clone(), damage.change), damage);
        }
    }
}

impl Data {
    /// What reading has found damaged since this was opened: one for each object, so many at most
    /// as are some.
    pub fn damages(&self) -> Vec<Damage> {
        let all = self.damages.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().cloned().collect()
    }

    /// Opens every chunk of a dataset, of what was and of what is, and gives what is damaged to
    /// `tell`; it goes on whatever it finds. One thread is busy with it.
    ///
    /// # Errors
    /// The state cannot be read, or the dataset's key does not open.
    pub async fn scrub(
        &self,
        dataset: DatasetId,
        tell: impl FnMut(Damage) + Send + 'static,
    ) -> Result<Scrubbed, DataError> {
        Ok(self.scrub_from(dataset, None, tell, |_| true).await?.unwrap_or_default())
    }

    /// As [`Data::scrub`], from a place on that it had come to, as long as `go_on` says so: it is
    /// asked before each chunk, told the last object that was looked at (parts of uploads come
    /// after all of those), and may take its time. Nothing where it was ended.
    ///
    /// # Errors
    /// As of that.
    pub async fn scrub_from(
        &self,
        dataset: DatasetId,
        from: Option<ScrubPlace>,
        tell: impl FnMut(Damage) + Send + 'static,
        go_on: impl FnMut(Option<&ScrubPlace>) -> bool + Send + 'static,
    ) -> Result<Option<Scrubbed>, DataError> {
        let (data, handle) = (self.clone(), Handle::current());
        let look = move || {
            let checked = HashMap::new();
            let damaged = from.as_ref().map_or(0, |from| from.damaged);
            let so_far = Scrubbed { damaged, ..Scrubbed::default() };
            let (tell, go_on, place) = (Box::new(tell), Box::new(go_on), from);
            let (part, ended) = (this_week(), false);
            Scrub { data, handle, dataset, checked, tell, go_on, so_far, part, place, ended }.run()
        };
        tokio::task::spawn_blocking(look).await?
    }
}

/// Whether to go on, told how far it has come.
type GoesOn = dyn FnMut(Option<&ScrubPlace>) -> bool + Send;

/// One that goes on.
struct Scrub {
    data: Data,
    handle: Handle,
    dataset: DatasetId,
    /// What each chunk was found to be: nothing, where it is whole.
    checked: HashMap<ChunkId, Option<String>>,
    tell: Box<dyn FnMut(Damage) + Send>,
    go_on: Box<GoesOn>,
    so_far: Scrubbed,
    /// Of what is not on the disk, the part that is read.
    part: u64,
    /// The last object that was looked at.
    place: Option<ScrubPlace>,
    /// Whether it is not to go on.
    ended: bool,
}

/// A row, opened, and where its chunks lie.
struct Opened {
    row: ScrubRow,
    manifest: Result<Manifest, DataError>,
    places: Vec<Option<ChunkPlace>>,
}

impl Scrub {
    fn run(mut self) -> Result<Option<Scrubbed>, DataError> {
        let mut behind = None;
        loop {
            let (page, content) = self.page(behind.take())?;
            let Some(last) = page.last() else { return Ok(Some(self.so_far)) };
            behind = Some(last.row.clone());
            for opened in page {
                self.look(&opened, &content)?;
                if self.ended {
                    return Ok(None);
                }
                if let ScrubRow::Object(row) = &opened.row {
                    let (path, since) = (row.entry.path.clone(), row.entry.since);
                    self.place = Some(ScrubPlace { path, since, damaged: self.so_far.damaged });
                }
            }
        }
    }

    /// The next rows, opened.
    fn page(&self, behind: Option<ScrubRow>) -> Result<(Vec<Opened>, Key), DataError> {
        let (id, master, place) = (self.dataset, self.data.master(), self.place.clone());
        let read = move |r: &Read<'_>| {
            let lock = DatasetLock::open(r, &master, id)?;
            let rows = match (&behind, place) {
                (None, Some(from)) => r.scrub_rows_behind(id, (&from.path, from.since), PAGE)?,
                _ => r.scrub_rows(id, behind.as_ref(), PAGE)?,
            };
            let rows = rows.into_iter();
            let opened = rows.map(|row| {
                let manifest = manifest(id, &row, &lock);
                let ids = manifest.iter().flat_map(Manifest::ids);
                let places = ids.map(|id| r.chunk(&id.0)).collect::<Result<_, StoreError>>()?;
                Ok(Opened { row, manifest, places })
            });
            Ok::<_, DataError>((opened.collect::<Result<_, StoreError>>()?, lock.content))
        };
        self.data.store.read_here(&self.handle, read)
    }

    fn look(&mut self, opened: &Opened, content: &Key) -> Result<(), DataError> {
        self.so_far.objects += 1;
        let found = match &opened.manifest {
            Err(error) => Some((None, error.to_string())),
            Ok(manifest) => {
                let mut first = None;
                for (piece, place) in manifest.pieces().iter().zip(&opened.places) {
                    self.ended = self.ended || !(self.go_on)(self.place.as_ref());
                    if self.ended {
                        return Ok(());
                    }
                    let found = self.chunk(piece, *place, content)?;
                    first = first.or(found.map(|why| (Some(piece.secret.id()), why)));
                }
                first
            }
        };
        // What was forgotten meanwhile may have lost its chunks, as it should.
        let Some((chunk, why)) = found.filter(|_| self.is_there(&opened.row)) else {
            return Ok(());
        };
        let (path, change) = opened.row.named();
        self.so_far.damaged += 1;
        (self.tell)(Damage { dataset: self.dataset, path, change, chunk, why });
        Ok(())
    }

    /// What is wrong with a chunk; nothing, where it is whole.
    fn chunk(
        &mut self,
        piece: &Piece,
        place: Option<ChunkPlace>,
        content: &Key,
    ) -> Result<Option<String>, DataError> {
        let id = piece.secret.id();
        if let Some(found) = self.checked.get(&id) {
            return Ok(found.clone());
        }
        // What lies elsewhere is paid for when it is read: each week another part of it is.
        let here = place.is_none_or(|place| self.data.is_here(place.pack));
        if !here && u64::from(id.0[0]) % PARTS != self.part {
            return Ok(None);
        }
        let all = 0..piece.length as usize;
        let found = match self.data.open_chunk(piece, all, place, &self.handle) {
            Ok(plain) if Secret::of(content, &plain) == piece.secret => None,
            Ok(_) => Some(Tampered { segment: 0 }.to_string()),
            Err(why) if why.says_nothing() => return Err(why.into()),
            Err(why) => Some(why.to_string()),
        };
        self.so_far.chunks += 1;
        self.so_far.bytes.0 += u64::from(piece.length);
        self.checked.insert(id, found.clone());
        Ok(found)
    }

    fn is_there(&self, row: &ScrubRow) -> bool {
        let (id, store) = (self.dataset, &self.data.store);
        // Where the index cannot be read, the next page says so.
        store.read_here(&self.handle, |r| r.scrub_row_is_there(id, row)).unwrap_or(true)
    }
}

/// The part of this week.
fn this_week() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let week = now.unwrap_or_default().as_millis() / WEEK;
    u64::try_from(week).unwrap_or_default() % PARTS
}

/// What a row's object is made of, if all that is sealed of it opens.
fn manifest(id: DatasetId, row: &ScrubRow, lock: &DatasetLock) -> Result<Manifest, DataError> {
    let (sealed, about) = match row {
        ScrubRow::Object(row) => (&row.sealed, of_object(id, &row.entry)),
        ScrubRow::Part(upload, part) => {
            (&part.sealed, of_part(upload.id, part.number, part.bytes.0, &part.tag))
        }
    };
    let key = lock.unwrap(sealed, &about)?;
    notes::open(&key, &sealed.notes)?;
    Ok(Manifest::open(&key, MANIFEST, &sealed.manifest)?)
}
