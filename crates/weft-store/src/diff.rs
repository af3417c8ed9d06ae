//! What differs between two moments of a dataset, and putting back what was at one.
//!
//! Both are one walk by path over the rows that are in one of the moments and not in the other.

use crate::branches::objects_sql;
use crate::chunks::COUNTED_AT_ONCE;
use crate::column::{first, int};
use crate::datasets::{DatasetId, missing};
use crate::objects::{At, Expected, NewObject, ObjectEntry, Sealed, entry, entry_columns, ids};
use crate::{Read, StoreError, Write};
use rusqlite::params;
use weft_types::Timestamp;

/// A path at which two moments differ: added, removed, or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What was there at the one.
    pub before: Option<ObjectEntry>,
    /// What is there at the other.
    pub after: Option<ObjectEntry>,
}

impl Difference {
    /// Where.
    pub fn path(&self) -> &str {
        self.before.as_ref().or(self.after.as_ref()).map_or("", |entry| &entry.path)
    }

    /// Equal bytes that were put again are no difference.
    fn is_one(&self) -> bool {
        let content = |entry: &ObjectEntry| (entry.bytes, entry.tag.clone());
        self.before.as_ref().map(content) != self.after.as_ref().map(content)
    }
}

/// What was put back, so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Objects that are as they were.
    pub put: u64,
    /// Objects that were not there, and are not now.
    pub deleted: u64,
    /// Behind which of the given paths to go on; none where all of them are as they were.
    pub next: Option<String>,
}

impl Read<'_> {
    /// Where two moments differ, by path, behind this one; so many at most.
    pub fn differences(
        &self,
        dataset: DatasetId,
        (before, after): (At, At),
        behind: &str,
        limit: u32,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut query = self.conn.prepare_cached(objects_sql!(
            self.is_branch(dataset)?,
            concat!("SELECT ", entry_columns!(), ", since <= ?2 AND ifnull(until > ?2, 1)"),
            "WHERE dataset = ?1 AND path > ?4
             AND (since <= ?2 AND ifnull(until > ?2, 1)) <> (since <= ?3 AND ifnull(until > ?3, 1))
             ORDER BY path, since"
        ))?;
        let moments = [self.moment(dataset, before)?, self.moment(dataset, after)?];
        let key = params![int(dataset.0), moments[0], moments[1], behind];
        let (mut rows, mut found) = (query.query(key)?, Vec::<Difference>::new());
        while let Some(row) = rows.next()? {
            let (entry, was_before): (_, bool) = (entry(row)?, row.get(7)?);
            if found.last().is_none_or(|last| last.path() != entry.path) {
                // Only now is it known that the last one is whole.
                found.pop_if(|last| !last.is_one());
                if found.len() >= limit as usize {
                    return Ok(found);
                }
                found.push(Difference { before: None, after: None });
            }
            if let Some(last) = found.last_mut() {
                *(if was_before { &mut last.before } else { &mut last.after }) = Some(entry);
            }
        }
        found.pop_if(|last| !last.is_one());
        Ok(found)
    }

    /// The change of a moment.
    fn moment(&self, dataset: DatasetId, at: At) -> Result<i64, StoreError> {
        match at {
            At::Now => Ok(i64::MAX),
            At::Changes(change) | At::Put(change) => {
                self.whole(dataset, change).map(|()| int(change))
            }
        }
    }

    /// Whether all that was there after so many changes is known still.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: what ended before was forgotten, and it is no version.
    pub fn whole(&self, dataset: DatasetId, changes: u64) -> Result<(), StoreError> {
        let row = self.dataset_by_id(dataset)?.ok_or_else(|| missing(dataset))?;
        let versions = self.dataset_versions(dataset)?;
        let begun = self.branch(dataset)?.map_or(0, |branch| branch.changes);
        match changes == begun
            || changes >= row.forgotten.max(begun)
            || versions.iter().any(|v| v.changes == changes)
        {
            true => Ok(()),
            false => Err(StoreError::NotFound {
                what: "moment of a dataset, since some of it was forgotten: choose a version, not",
                id: changes.to_string(),
            }),
        }
    }
}

impl Write<'_> {
    /// Puts back what was after so many changes, as new changes: of what was found to differ from
    /// it (the second moment) by a read, which no writer has to wait for; it ends before the last
    /// where they have many chunks. `rewrap` binds an object's key to the change that puts it back.
    ///
    /// # Errors
    /// Not all of that moment is known still; and those of `rewrap`.
    pub fn restore_objects<E: From<StoreError>>(
        &mut self,
        dataset: DatasetId,
        changes: u64,
        found: &[Difference],
        now: Timestamp,
        mut rewrap: impl FnMut(&Self, &ObjectEntry, u64, Sealed) -> Result<Sealed, E>,
    ) -> Result<Restored, E> {
        // Since it was looked for, some of it may have been forgotten.
        self.whole(dataset, changes)?;
        let (mut restored, mut counted, mut behind) = (Restored::default(), 0, "");
        for difference in found {
            if counted >= COUNTED_AT_ONCE {
                restored.next = Some(behind.to_owned());
                break;
            }
            let path = difference.path();
            behind = path;
            match &difference.after {
                None => {
                    self.delete_object(dataset, path, &Expected::Anything, now)?;
                    restored.deleted += 1;
                }
                Some(was) => {
                    let row = self.object(dataset, path, At::Put(was.since))?.ok_or_else(|| {
                        StoreError::Damaged(format!("an object put by {} is gone", was.since))
                    })?;
                    let change = self.next_change(dataset)?;
                    let sealed = rewrap(self, was, change, row.sealed)?;
                    counted += self.put_again(dataset, was, sealed, now)?;
                    restored.put += 1;
                }
            }
        }
        Ok(restored)
    }

    /// Puts an object as it was, with its key wrapped anew; how many chunks it has.
    fn put_again(
        &mut self,
        dataset: DatasetId,
        was: &ObjectEntry,
        sealed: Sealed,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let new = self.as_it_was(dataset, was, sealed)?;
        self.put_object_again(dataset, &new, &Expected::Anything, now).map(|_| new.chunks.len())
    }

    /// Puts an object of another dataset, with its key wrapped anew: one that finds equal bytes as
    /// this one does.
    ///
    /// # Errors
    /// Its chunks are not there, or more than the team may hold.
    pub fn put_object_from(
        &mut self,
        from: DatasetId,
        to: DatasetId,
        was: &ObjectEntry,
        sealed: Sealed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let new = self.as_it_was(from, was, sealed)?;
        self.put_object(to, &new, &Expected::Anything, now).map(drop)
    }

    fn as_it_was(
        &self,
        dataset: DatasetId,
        was: &ObjectEntry,
        sealed: Sealed,
    ) -> Result<NewObject, StoreError> {
        let mut chunks = self.conn.prepare_cached(objects_sql!(
            self.is_branch(dataset)?,
            "SELECT chunks",
            "WHERE dataset = ?1 AND path = ?2 AND since = ?3"
        ))?;
        let key = params![int(dataset.0), was.path, int(was.since)];
        let chunks: Option<Vec<u8>> = first(chunks.query(key)?, |row| Ok(row.get(0)?))?;
        Ok(NewObject {
            path: was.path.clone(),
            bytes: was.bytes,
            tag: was.tag.clone(),
            parts: was.parts,
            sealed,
            chunks: ids(&chunks.unwrap_or_default()).iter().map(|id| (*id, None)).collect(),
        })
    }
}
