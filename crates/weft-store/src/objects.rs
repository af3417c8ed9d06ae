//! Objects of datasets, from the change that put them to the one that ended them.
//!
//! What is under seal is kept here as it comes: notes, the manifest, and their key wrapped. Chunks
//! are counted in the transaction that puts an object, and released in the one that forgets it.
//! Lists of them are in `lists.rs`.

use crate::chunks::{ChunkKey, ChunkPlace};
use crate::column::{first, int, uint, uint_opt};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::{BTreeMap, BTreeSet};
use weft_types::{Bytes, Timestamp};

/// Longest path of an object, in bytes: S3's. Callers refuse longer ones; the table does, too.
pub const PATH_MAX: usize = 1_024;

/// Bytes of a chunk's id.
const ID: usize = size_of::<ChunkKey>();

/// Of which moment of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// As it is.
    Now,
    /// As it was after so many changes: a version's.
    Changes(u64),
    /// What this change put, whether it has ended or not: one version of one object.
    Put(u64),
}

/// What must be so for an object to be put or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Anything,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// The one that is there has this tag.
    Tag(Vec<u8>),
}

/// What is under seal, and what wraps its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the dataset's keys wraps `key`.
    pub key_number: u32,
    /// The key of what follows, wrapped by the dataset's.
    pub key: Vec<u8>,
    /// What was said of it.
    pub notes: Vec<u8>,
    /// What it is made of. Empty of an upload.
    pub manifest: Vec<u8>,
}

/// An object to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewObject {
    /// Where.
    pub path: String,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Of how many it was put together; none where it was put at once.
    pub parts: Option<u32>,
    /// What opens it.
    pub sealed: Sealed,
    /// Its chunks, and where those were appended that were not there.
    pub chunks: Vec<(ChunkKey, Option<ChunkPlace>)>,
}

/// An object as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Where it is.
    pub path: String,
    /// The change that put it.
    pub since: u64,
    /// The change that ended it.
    pub until: Option<u64>,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Of how many it was put together; none where it was put at once.
    pub parts: Option<u32>,
    /// When it was put.
    pub at: Timestamp,
}

/// An object with what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRow {
    /// As lists show it.
    pub entry: ObjectEntry,
    /// What opens it.
    pub sealed: Sealed,
}

/// The columns of an entry, as [`entry`] reads them.
macro_rules! entry_columns {
    () => {
        "path, since, until, bytes, tag, parts, put_at"
    };
}
pub(crate) use entry_columns;

/// A query over the objects of one moment: dataset ?1, the moment's change ?2. It selects `$what`
/// and goes on with `$rest`, the same words for each moment, of a dataset or a branch.
macro_rules! at_sql {
    ($branch:expr, $at:expr, $what:expr, $rest:literal) => {{
        use crate::branches::objects_sql;
        match $at {
            At::Now if !$branch => (
                concat!(
                    "SELECT ",
                    $what,
                    " FROM objects INDEXED BY objects_now
                     WHERE dataset = ?1 AND until IS NULL AND ?2 = 0 ",
                    $rest
                ),
                0,
            ),
            At::Now => (
                concat!(
                    "SELECT ",
                    $what,
                    " FROM branch_objects WHERE dataset = ?1 AND until IS NULL AND ?2 = 0 ",
                    $rest
                ),
                0,
            ),
            At::Changes(changes) => (
                objects_sql!(
                    $branch,
                    concat!("SELECT ", $what),
                    concat!(
                        "WHERE dataset = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2) ",
                        $rest
                    )
                ),
                int(changes),
            ),
            At::Put(change) => (
                objects_sql!(
                    $branch,
                    concat!("SELECT ", $what),
                    concat!("WHERE dataset = ?1 AND since = ?2 ", $rest)
                ),
                int(change),
            ),
        }
    }};
}
pub(crate) use at_sql;

impl Read<'_> {
    /// An object.
    pub fn object(
        &self,
        dataset: DatasetId,
        path: &str,
        at: At,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let (sql, change) = at_sql!(
            self.is_branch(dataset)?,
            at,
            concat!(entry_columns!(), ", key_number, key, notes, manifest"),
            "AND path = ?3"
        );
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query(params![int(dataset.0), change, path])?, |row| {
            Ok(ObjectRow { entry: entry(row)?, sealed: sealed(row)? })
        })
    }

    /// As [`Read::object`]; what opens it is read where its entry fits, and only then: it may be
    /// megabytes.
    pub fn object_where(
        &self,
        dataset: DatasetId,
        path: &str,
        at: At,
        fits: impl Fn(&ObjectEntry) -> bool,
    ) -> Result<Option<(ObjectEntry, Option<Sealed>)>, StoreError> {
        let (sql, change) = at_sql!(
            self.is_branch(dataset)?,
            at,
            concat!(entry_columns!(), ", key_number, key, notes, manifest"),
            "AND path = ?3"
        );
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query(params![int(dataset.0), change, path])?, |row| {
            let entry = entry(row)?;
            let sealed = fits(&entry).then(|| sealed(row)).transpose()?;
            Ok((entry, sealed))
        })
    }

    /// As [`Read::object`], without what opens it.
    pub fn object_entry(
        &self,
        dataset: DatasetId,
        path: &str,
        at: At,
    ) -> Result<Option<ObjectEntry>, StoreError> {
        let (sql, change) =
            at_sql!(self.is_branch(dataset)?, at, entry_columns!(), "AND path = ?3");
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query(params![int(dataset.0), change, path])?, entry)
    }
}

impl Write<'_> {
    /// The change that the next object of this dataset will be put by: its key is bound to it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn next_change(&self, dataset: DatasetId) -> Result<u64, StoreError> {
        Ok(self.changes(dataset)? + 1)
    }

    /// Puts an object in the place of the one that is there; the change that it was, or none where
    /// what was expected is not so.
    ///
    /// # Errors
    /// A chunk that is neither there nor appended, an unknown dataset, or more than the team may
    /// hold. Callers check the path.
    pub fn put_object(
        &mut self,
        dataset: DatasetId,
        new: &NewObject,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let put = self.put_object_again(dataset, new, expected, now)?;
        if put.is_some() {
            self.within_quota(dataset)?;
        }
        Ok(put)
    }

    /// As [`Write::put_object`], of what was there before: no quota keeps anybody from having back
    /// what is kept for it.
    pub(crate) fn put_object_again(
        &mut self,
        dataset: DatasetId,
        new: &NewObject,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let Some(change) = self.end_object(dataset, &new.path, expected, now)? else {
            return Ok(None);
        };
        // An object that has a chunk twice needs it once.
        let distinct: BTreeMap<_, _> = new.chunks.iter().copied().collect();
        self.use_chunks(dataset, distinct)?;
        self.insert_object(dataset, new, change, now)?;
        Ok(Some(change))
    }

    /// As [`Write::put_object`], where its chunks are counted already and it has ended what was.
    pub(crate) fn insert_object(
        &mut self,
        dataset: DatasetId,
        new: &NewObject,
        change: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO objects (dataset, path, since, bytes, tag, parts, put_at,
               key_number, key, notes, manifest, chunks)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?;
        insert.execute(params![
            int(dataset.0),
            new.path,
            int(change),
            int(new.bytes.0),
            new.tag,
            new.parts,
            int(now.0),
            new.sealed.key_number,
            new.sealed.key,
            new.sealed.notes,
            new.sealed.manifest,
            joined(&new.chunks),
        ])?;
        drop(insert);
        self.count_held(dataset, 0, 1)
    }

    /// Ends an object: the change that it was, none of them where there is none; nothing where what
    /// was expected is not so. Versions that have it keep it.
    pub fn delete_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<Option<u64>>, StoreError> {
        let there = self.object_entry(dataset, path, At::Now)?.is_some();
        if !there && matches!(expected, Expected::Anything | Expected::Absent) {
            // Nothing changes, so a version after it is the one before it.
            return Ok(Some(None));
        }
        Ok(self.end_object(dataset, path, expected, now)?.map(Some))
    }

    /// Counts a change, which ends what is there; none where what was expected is not so.
    pub(crate) fn end_object(
        &mut self,
        dataset: DatasetId,
        path: &str,
        expected: &Expected,
        now: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        let there = self.object_entry(dataset, path, At::Now)?;
        let fits = match (expected, &there) {
            (Expected::Anything, _) | (Expected::Absent, None) | (Expected::Present, Some(_)) => {
                true
            }
            (Expected::Tag(tag), Some(there)) => *tag == there.tag,
            _ => false,
        };
        if !fits {
            return Ok(None);
        }
        let change = self.next_change(dataset)?;
        let mut count =
            self.conn.prepare_cached("UPDATE datasets SET changes = ?2 WHERE id = ?1")?;
        count.execute(params![int(dataset.0), int(change)])?;
        let branch = self.branch(dataset)?;
        let of_version = |since: u64| branch.is_some_and(|branch| since <= branch.changes);
        if let Some(there) = &there
            && of_version(there.since)
        {
            self.leave_version(dataset, path, change, now)?;
        } else if let Some(there) = there {
            let mut end = self.conn.prepare_cached(
                "UPDATE objects SET until = ?4, ended_at = ?5
                 WHERE dataset = ?1 AND path = ?2 AND since = ?3",
            )?;
            let since = int(there.since);
            end.execute(params![int(dataset.0), path, since, int(change), int(now.0)])?;
        }
        Ok(Some(change))
    }
}

/// Chunks' ids as a column.
pub(crate) fn joined(chunks: &[(ChunkKey, Option<ChunkPlace>)]) -> Vec<u8> {
    let mut all = Vec::with_capacity(chunks.len() * ID);
    chunks.iter().for_each(|(id, _)| all.extend_from_slice(id));
    all
}

/// The ids in a column, in order.
pub(crate) fn ids(chunks: &[u8]) -> &[ChunkKey] {
    chunks.as_chunks::<ID>().0
}

/// The ids in a column, each once.
pub(crate) fn distinct(chunks: &[u8]) -> BTreeSet<ChunkKey> {
    ids(chunks).iter().copied().collect()
}

/// The first columns of a row, which are [`entry_columns`].
pub(crate) fn entry(row: &Row<'_>) -> Result<ObjectEntry, StoreError> {
    Ok(ObjectEntry {
        path: row.get(0)?,
        since: uint(row, 1)?,
        until: uint_opt(row, 2)?,
        bytes: Bytes(uint(row, 3)?),
        tag: row.get(4)?,
        parts: row.get(5)?,
        at: Timestamp(uint(row, 6)?),
    })
}

pub(crate) fn sealed(row: &Row<'_>) -> Result<Sealed, StoreError> {
    let (key_number, key) = (row.get("key_number")?, row.get("key")?);
    Ok(Sealed { key_number, key, notes: row.get("notes")?, manifest: row.get("manifest")? })
}
