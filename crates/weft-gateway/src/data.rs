//! The datasets of a state directory: their keys, and what can go wrong with them.
//!
//! ```text
//! put   body ─► stage: chunks ─► new ones: sealed, appended ─► sync ─► commit: one transaction
//! get   path, moment ─► manifest ─► the parts of chunks that the range touches ─► bytes
//! ```
//!
//! What `commit` has answered is on the disk, chunks before the object that needs them. A writer
//! that dies leaves bytes that nothing needs. Keys are opened in the transaction that needs them,
//! so whoever rotates one waits for nobody. Absent on purpose: who may do it, and who is told.

use crate::away::Away;
use crate::bond::{of_content, of_dataset, of_object};
use crate::collect::Pins;
use crate::key::{Key, KeyError, wrapped};
use crate::manifest::Unreadable;
use crate::master::Master;
use crate::notes::NOTES_MAX;
use crate::pack::{PackError, Packs};
use crate::scrub::Damages;
use crate::seal::Tampered;
use std::sync::Arc;
use weft_store::{
    DatasetId, DatasetKeys, DatasetRow, NewDataset, ObjectEntry, PATH_MAX, Read, Sealed, Store,
    StoreError, Write,
};
use zeroize::Zeroizing;

/// Done in the same transaction as an effect: the audit row. It fails, nothing is done.
pub type Also<T> = Box<dyn FnOnce(&mut Write<'_>, &T) -> Result<(), StoreError> + Send>;

/// The datasets of a state directory.
#[derive(Clone)]
pub struct Data {
    pub(crate) store: Store,
    pub(crate) packs: Arc<Packs>,
    pub(crate) pins: Pins,
    pub(crate) damages: Damages,
    pub(crate) away: Option<Arc<Away>>,
    master: Master,
}

/// Why data cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The list of an object's chunks.
    #[error(transparent)]
    Manifest(#[from] Unreadable),
    /// What was said of an object.
    #[error("an object's notes do not open: they were changed, or are of another object")]
    NotesDamaged,
    /// Too much was said of an object.
    #[error("an object's notes are {0} bytes, at most {NOTES_MAX} are kept: say less")]
    Notes(usize),
    /// No path.
    #[error("a path has 1 to {PATH_MAX} bytes, not {0}: choose another")]
    Path(usize),
    /// A chunk that is not what was put.
    #[error("{chunk} of `{path}` is damaged: {why}")]
    Tampered {
        /// Of this object.
        path: String,
        /// The chunk, by the beginning of its id.
        chunk: String,
        /// What is wrong.
        why: Tampered,
    },
    /// A chunk that the index does not know.
    #[error(
        "a chunk of `{0}` is missing: the object was deleted meanwhile, or the index is damaged"
    )]
    Missing(String),
    /// Of an upload, a part that is not there, or not with this tag.
    #[error("part {0} is not there, or is not what was named: put it again, then finish")]
    Part(u32),
    /// Somebody else wrote to a dataset that was to be exactly what one puts into it.
    #[error("somebody else changes the dataset at the same time: no version of it was made")]
    Moved,
    /// A branch and its source were changed at the same paths.
    #[error("changed in both: {}{}", .paths.join(", "), and_more(*.count - .paths.len()))]
    Conflict {
        /// The first of them.
        paths: Vec<String>,
        /// How many.
        count: usize,
    },
    /// What was to be put could not be read.
    #[error("the body ended early: {0}")]
    Body(#[from] std::io::Error),
    /// A thread panicked.
    #[error("a thread of the gateway stopped: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

impl Data {
    /// Data in these packs, with its index in this store and all keys under this one.
    pub fn new(store: Store, packs: Packs, master: impl Into<Master>) -> Self {
        let (packs, master) = (Arc::new(packs), master.into());
        let (pins, damages) = (Pins::default(), Damages::default());
        Self { store, packs, pins, damages, away: None, master }
    }

    /// Makes a dataset with keys of its own; its team's is made with its first.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn make(
        &self,
        new: NewDataset,
        also: Also<DatasetRow>,
    ) -> Result<DatasetRow, DataError> {
        self.make_with(new, None, also).await
    }

    /// Makes a dataset in which equal bytes are found as in another one of its team: a branch of
    /// it, which `also` has to make it.
    ///
    /// # Errors
    /// The name is taken.
    ///
    /// # Panics
    /// It is to be another team's.
    pub async fn make_branch(
        &self,
        new: NewDataset,
        source: &DatasetRow,
        also: Also<DatasetRow>,
    ) -> Result<DatasetRow, DataError> {
        assert_eq!(new.queue, source.is.queue, "a branch is of its source's team");
        self.make_with(new, Some(source.id), also).await
    }

    async fn make_with(
        &self,
        new: NewDataset,
        source: Option<DatasetId>,
        also: Also<DatasetRow>,
    ) -> Result<DatasetRow, DataError> {
        let (master, fresh, key) = (self.master(), Key::fresh()?, Key::fresh()?);
        let made = self.store.write(move |w| {
            let content = match source {
                None => fresh,
                Some(source) => DatasetLock::open(w, &master, source)?.content,
            };
            let (team, wrapped_team) = master.team(w, &new.queue)?;
            let id = w.make_dataset(&new)?;
            let keys = DatasetKeys {
                queue: new.queue.clone(),
                team: wrapped_team,
                content: team.wrap(&content, &of_content(id))?.to_vec(),
                number: 1,
                key: team.wrap(&key, &of_dataset(id))?.to_vec(),
                old: None,
            };
            w.put_dataset_keys(id, &keys)?;
            let made = w.dataset_by_id(id)?;
            let made = made.ok_or_else(|| StoreError::Damaged("a dataset is gone".into()))?;
            also(w, &made)?;
            Ok::<_, DataError>(made)
        });
        made.await
    }

    /// The key of masks in a view, which stays what it is when others are rotated: what was masked
    /// alike in one version is in the next. It tells nothing of any other key.
    ///
    /// # Errors
    /// A key does not open.
    pub fn mask_key(
        &self,
        read: &Read<'_>,
        view: DatasetId,
    ) -> Result<Zeroizing<[u8; 32]>, DataError> {
        let lock = DatasetLock::open(read, &self.master, view)?;
        let key = blake3::derive_key("weft gateway 2026 mask", lock.content.bytes());
        Ok(Zeroizing::new(key))
    }

    pub(crate) fn master(&self) -> Master {
        self.master.clone()
    }

    /// A secret that follows from the master key: of this use, about this. Another use gives
    /// another, none says anything of a key, and all end when the master key is rotated.
    pub fn derived(&self, of_use: &'static str, about: &[u8]) -> Zeroizing<[u8; 32]> {
        self.master.derived(of_use, about)
    }
}

/// The keys of a dataset, opened.
pub(crate) struct DatasetLock {
    id: DatasetId,
    pub(crate) content: Key,
    number: u32,
    key: Key,
    old: Option<Key>,
    /// Of a branch: its source's keys, and up to which change they open its objects.
    source: Option<(u64, Box<DatasetLock>)>,
}

impl DatasetLock {
    /// As they are at this moment.
    pub(crate) fn open(read: &Read<'_>, master: &Master, id: DatasetId) -> Result<Self, DataError> {
        let keys = read.dataset_keys(id)?;
        let team = master.open_team(&keys.queue, &keys.team)?;
        let open = |key: &Vec<u8>| team.unwrap(&wrapped(key)?, &of_dataset(id));
        let content = team.unwrap(&wrapped(&keys.content)?, &of_content(id))?;
        let old = keys.old.as_ref().map(open).transpose()?;
        let (number, key) = (keys.number, open(&keys.key)?);
        let source = match read.branch(id)? {
            None => None,
            Some(branch) => {
                let source = Self::open(read, master, branch.source)?;
                Some((branch.changes, Box::new(source)))
            }
        };
        Ok(Self { id, content, number, key, old, source })
    }

    /// Opens the key of an object: of a branch it may be its source's.
    pub(crate) fn unwrap_object(
        &self,
        entry: &ObjectEntry,
        sealed: &Sealed,
    ) -> Result<Key, KeyError> {
        let source = self.source.as_ref().filter(|(changes, _)| entry.since <= *changes);
        let lock = source.map_or(self, |(_, source)| source);
        lock.unwrap(sealed, &of_object(lock.id, entry))
    }

    /// Which of the dataset's keys wraps now.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Tells whether a key that somebody has is one of these, and nothing else.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new_derive_key("weft gateway 2026 fingerprint");
        hash.update(self.content.bytes());
        hash.update(self.key.bytes());
        *hash.finalize().as_bytes()
    }

    /// Opens the key of what is sealed.
    pub(crate) fn unwrap(&self, sealed: &Sealed, about: &[u8]) -> Result<Key, KeyError> {
        let key = match sealed.key_number == self.number {
            true => &self.key,
            false => self.old.as_ref().ok_or(KeyError::DoesNotOpen)?,
        };
        key.unwrap(&wrapped(&sealed.key)?, about)
    }

    /// Wraps the key of what is sealed.
    pub(crate) fn wrap(
        &self,
        sealed: &mut Sealed,
        key: &Key,
        about: &[u8],
    ) -> Result<(), KeyError> {
        sealed.key_number = self.number;
        sealed.key = self.key.wrap(key, about)?.to_vec();
        Ok(())
    }
}
