//! Objects that are put in parts (S3's multipart uploads): in any order, with gaps, and again.
//!
//! Each part is sealed under a key of its own; finishing puts their manifests together under a new
//! one and moves no byte. What is neither finished nor given up ends with age.

use crate::arrived::Arrived;
use crate::bond::{of_part, of_upload};
use crate::commit::{MANIFEST, Put, Unwrapped, checked, seal};
use crate::data::{Also, Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::Manifest;
use crate::master::Master;
use crate::notes::{self, Notes};
use crate::stage::{Staged, TAG_BYTES};
use std::collections::BTreeMap;
use weft_store::{
    DatasetId, DatasetRow, Expected, NewPart, PartRow, Read, StoreError, UploadId, UploadRow, Write,
};
use weft_types::{Bytes, Timestamp};

/// Parts of an upload at most: S3's.
pub const PARTS_MAX: u32 = 10_000;
/// The note of an upload that says how many bytes come from whom (`20 ana`): S3 clients do
/// not see it, and the object has it not.
pub const SENDER: &str = "weft-sender";
/// Uploads that are given up in one transaction, fewer where they have many chunks: others wait for
/// it.
const GIVEN_UP_AT_ONCE: u32 = 10;

/// An upload that is neither finished nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its number.
    pub id: UploadId,
    /// Where its object will be.
    pub path: String,
    /// When it was begun.
    pub at: Timestamp,
    /// What was said of the object.
    pub notes: Notes,
}

/// A part that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// Its number.
    pub number: u32,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// When it was kept.
    pub at: Timestamp,
    /// What was said of it.
    pub notes: Notes,
}

/// How an upload is finished.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The parts, in order, with the tags that they are expected to have.
    pub parts: Vec<(u32, Vec<u8>)>,
    /// What is said of the object besides what was said as it was begun.
    pub notes: Notes,
    /// What must be so.
    pub expected: Expected,
}

impl Data {
    /// Begins an upload to a path.
    ///
    /// # Errors
    /// No path, too many notes, or the state cannot be written.
    pub async fn begin_upload(
        &self,
        dataset: &DatasetRow,
        path: &str,
        notes: Notes,
        also: Also<UploadId>,
        now: Timestamp,
    ) -> Result<UploadId, DataError> {
        let (id, path, master) = (dataset.id, checked(path)?, self.master());
        let (key, mut sealed) = seal(&Manifest::default(), &notes)?;
        let begin = move |w: &mut Write<'_>| {
            let upload = w.begin_upload(id, &path, now)?;
            let about = of_upload(id, upload, &path);
            DatasetLock::open(w, &master, id)?.wrap(&mut sealed, &key, &about)?;
            w.put_upload_notes(upload, &sealed)?;
            also(w, &upload)?;
            Ok::<_, DataError>(upload)
        };
        self.store.write(begin).await
    }

    /// Keeps what was staged as a part, in the place of the one of its number.
    ///
    /// # Errors
    /// The upload is not there (any more), too many notes, or the state cannot be written.
    ///
    /// # Panics
    /// It was staged for another dataset: its chunks could not be found there.
    #[expect(clippy::too_many_arguments, reason = "what is kept, where, with what is said of it")]
    pub async fn keep_part(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
        number: u32,
        staged: Staged,
        notes: Notes,
        also: Also<KeptPart>,
        now: Timestamp,
    ) -> Result<KeptPart, DataError> {
        assert_eq!(staged.dataset, dataset.id, "it was staged for another dataset");
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(DataError::Part(number));
        }
        let (id, master) = (dataset.id, self.master());
        let (key, sealed) = seal(&staged.manifest, &notes)?;
        let (bytes, tag) = (staged.bytes(), staged.tag.clone());
        let kept = KeptPart { number, bytes, tag: tag.clone(), at: now, notes };
        let mut part = NewPart { number, bytes, tag, sealed, chunks: staged.chunks() };
        let (store, writing) = (self.store.clone(), staged.writing);
        let keep = move |w: &mut Write<'_>| {
            of_dataset(w, id, upload)?;
            let about = of_part(upload, number, part.bytes.0, &part.tag);
            DatasetLock::open(w, &master, id)?.wrap(&mut part.sealed, &key, &about)?;
            w.keep_part(upload, &part, now)?;
            also(w, &kept)?;
            Ok::<_, DataError>(kept)
        };
        // As of an object: what is pinned has to be so until the index says that it is needed.
        let kept = tokio::spawn(async move {
            let kept = store.write(keep).await;
            drop(writing);
            kept
        });
        kept.await?
    }

    /// What the parts are together, by ranges.
    ///
    /// # Errors
    /// The upload or a part is not there (any more), a part has another tag or does not open.
    pub async fn arrived_as(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
        parts: Vec<(u32, Vec<u8>)>,
    ) -> Result<Arrived, DataError> {
        let (id, master) = (dataset.id, self.master());
        let joined = self.store.read(move |r| join(r, &master, id, upload, &parts)).await?;
        Ok(self.arrived_in_parts(joined.manifest))
    }

    /// Puts the object that the parts are together, and ends the upload; none where what was
    /// expected is not so. It moves no byte.
    ///
    /// # Errors
    /// The upload or a part is not there (any more), a part has another tag or does not open.
    pub async fn finish_upload(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
        finish: Finish,
        also: Also<Put>,
        now: Timestamp,
    ) -> Result<Option<Put>, DataError> {
        let (id, master, parts) = (dataset.id, self.master(), finish.parts);
        let (expected, chosen) = (finish.expected, parts.clone());
        let join = move |r: &Read<'_>| join(r, &master, id, upload, &parts);
        let joined = self.store.read(join).await?;
        let mut notes: Notes = joined.notes.into_iter().chain(finish.notes).collect();
        notes.remove(SENDER);
        let tag = (joined.tag, Some(u32::try_from(chosen.len()).unwrap_or(u32::MAX)));
        let mut object = Unwrapped::seal(&joined.path, &joined.manifest, tag, &notes)?;
        let master = self.master();
        let put = move |w: &mut Write<'_>| {
            object.wrap(w, &master, id, now)?;
            let put = w.finish_upload(upload, &chosen, &object.new, &expected, now)?;
            let Some(change) = put else { return Ok(None) };
            let put = object.put(change, Bytes(0));
            also(w, &put)?;
            Ok::<_, DataError>(Some(put))
        };
        self.store.write(put).await
    }

    /// Gives an upload up; what only its parts needed is collected.
    ///
    /// # Errors
    /// The upload is not there (any more), or the state cannot be written.
    pub async fn give_up_upload(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
        also: Also<UploadId>,
        now: Timestamp,
    ) -> Result<(), DataError> {
        let id = dataset.id;
        let give_up = move |w: &mut Write<'_>| {
            of_dataset(w, id, upload)?;
            w.give_up_upload(upload, now)?;
            also(w, &upload)
        };
        Ok(self.store.write(give_up).await?)
    }

    /// Gives up all uploads that were begun before a moment; how many there were.
    ///
    /// # Errors
    /// The state cannot be written; what was given up is.
    pub async fn give_up_uploads(
        &self,
        begun_before: Timestamp,
        now: Timestamp,
    ) -> Result<u64, DataError> {
        let mut all = 0;
        loop {
            let give_up =
                move |w: &mut Write<'_>| w.give_up_uploads(begun_before, GIVEN_UP_AT_ONCE, now);
            let given_up = self.store.write(give_up).await?;
            all += given_up;
            if given_up == 0 {
                return Ok(all);
            }
        }
    }

    /// An upload; none where it is not there (any more).
    ///
    /// # Errors
    /// Its notes or a key do not open.
    pub async fn upload(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
    ) -> Result<Option<Upload>, DataError> {
        let (id, master) = (dataset.id, self.master());
        let read = move |r: &Read<'_>| {
            let Some(row) = r.upload(upload)?.filter(|row| row.dataset == id) else {
                return Ok(None);
            };
            Ok(Some(opened(row, &DatasetLock::open(r, &master, id)?)?))
        };
        self.store.read(read).await
    }

    /// The uploads to paths that begin so, behind this path and upload; so many at most.
    ///
    /// # Errors
    /// Notes or a key do not open.
    pub async fn uploads(
        &self,
        dataset: &DatasetRow,
        prefix: &str,
        (path, after): (&str, UploadId),
        limit: u32,
    ) -> Result<Vec<Upload>, DataError> {
        let (id, master) = (dataset.id, self.master());
        let (prefix, path) = (prefix.to_owned(), path.to_owned());
        let read = move |r: &Read<'_>| {
            let lock = DatasetLock::open(r, &master, id)?;
            let found = r.uploads(id, &prefix, (&path, after), limit)?;
            found.into_iter().map(|row| opened(row, &lock)).collect()
        };
        self.store.read(read).await
    }

    /// The parts of an upload that stand behind this number; so many at most.
    ///
    /// # Errors
    /// The upload is not there (any more); notes or a key do not open.
    pub async fn parts(
        &self,
        dataset: &DatasetRow,
        upload: UploadId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<KeptPart>, DataError> {
        let (id, master) = (dataset.id, self.master());
        let read = move |r: &Read<'_>| {
            of_dataset(r, id, upload)?;
            let lock = DatasetLock::open(r, &master, id)?;
            let parts = r.upload_parts(upload, after, limit)?.into_iter();
            let parts = parts.map(|row| {
                let notes = notes::open(&part_key(upload, &row, &lock)?, &row.sealed.notes)?;
                let PartRow { number, bytes, tag, at, .. } = row;
                Ok(KeptPart { number, bytes, tag, at, notes })
            });
            parts.collect()
        };
        self.store.read(read).await
    }
}

/// What an object will be that is put together.
struct Joined {
    path: String,
    notes: Notes,
    manifest: Manifest,
    tag: Vec<u8>,
}

/// Puts the manifests of parts together.
fn join(
    read: &Read<'_>,
    master: &Master,
    dataset: DatasetId,
    upload: UploadId,
    chosen: &[(u32, Vec<u8>)],
) -> Result<Joined, DataError> {
    let lock = DatasetLock::open(read, master, dataset)?;
    let upload = opened(of_dataset(read, dataset, upload)?, &lock)?;
    let parts = read.upload_parts(upload.id, 0, PARTS_MAX)?.into_iter();
    let parts: BTreeMap<_, _> = parts.map(|part| (part.number, part)).collect();
    let mut manifest = Manifest::default();
    // The tag is of the parts' tags, as S3's is: under no key, since these are.
    let mut tag = blake3::Hasher::new_derive_key("weft gateway 2026 tag of parts");
    for (number, expected) in chosen {
        let part = parts.get(number).filter(|part| part.tag == *expected);
        let part = part.ok_or(DataError::Part(*number))?;
        let key = part_key(upload.id, part, &lock)?;
        let pieces = Manifest::open(&key, MANIFEST, &part.sealed.manifest)?;
        pieces.pieces().iter().for_each(|piece| manifest.push(piece.clone()));
        tag.update(&part.tag);
    }
    let tag = tag.finalize().as_bytes()[..TAG_BYTES].to_vec();
    Ok(Joined { path: upload.path, notes: upload.notes, manifest, tag })
}

/// An upload that is of this dataset.
fn of_dataset(
    read: &Read<'_>,
    dataset: DatasetId,
    upload: UploadId,
) -> Result<UploadRow, StoreError> {
    let found = read.upload(upload)?.filter(|row| row.dataset == dataset);
    found.ok_or_else(|| StoreError::NotFound { what: "upload", id: upload.0.to_string() })
}

fn opened(row: UploadRow, lock: &DatasetLock) -> Result<Upload, DataError> {
    let key = lock.unwrap(&row.sealed, &of_upload(row.dataset, row.id, &row.path))?;
    let notes = notes::open(&key, &row.sealed.notes)?;
    Ok(Upload { id: row.id, path: row.path, at: row.at, notes })
}

fn part_key(upload: UploadId, part: &PartRow, lock: &DatasetLock) -> Result<Key, DataError> {
    let about = of_part(upload, part.number, part.bytes.0, &part.tag);
    Ok(lock.unwrap(&part.sealed, &about)?)
}
