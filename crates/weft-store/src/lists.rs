//! Lists of objects: a page by prefix and delimiter, and what there was at each path.
//!
//! A page costs what it shows: what stands below a common prefix is passed by one seek, however
//! much it is.

use crate::branches::objects_sql;
use crate::column::{int, uint_opt};
use crate::datasets::DatasetId;
use crate::objects::{At, ObjectEntry, Sealed, at_sql, entry, entry_columns};
use crate::{Read, StoreError};
use rusqlite::{Row, params};
use weft_types::{Bytes, Timestamp};

/// What of a dataset is to be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Paths that begin so.
    pub prefix: String,
    /// What stands behind the prefix up to the first of this is one entry.
    pub delimiter: Option<String>,
    /// What stands behind this path, or behind all that is below this common prefix.
    pub after: String,
    /// So many entries and common prefixes at most.
    pub limit: u32,
}

/// A page of a list, in the order of the paths' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Objects.
    pub entries: Vec<T>,
    /// What several, or one, begin with, up to the delimiter.
    pub prefixes: Vec<String>,
    /// The next page's `after`, where there is more.
    pub next: Option<String>,
}

/// An entry, and what opens its notes.
pub type SealedEntry = (ObjectEntry, Option<Sealed>);

/// A page of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Moments, by path and the newest first.
    pub entries: Vec<HistoryEntry>,
    /// What several paths, or one, begin with, up to the delimiter.
    pub prefixes: Vec<String>,
    /// Where there is more: the next page's `after`, and the change of it that was told last; none
    /// where it is a common prefix.
    pub next: Option<(String, Option<u64>)>,
}

/// One moment in the life of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Where.
    pub path: String,
    /// The change that it was.
    pub change: u64,
    /// Nothing later is known of the path.
    pub is_latest: bool,
    /// When.
    pub at: Timestamp,
    /// What was put; none where what was there was deleted.
    pub put: Option<PutThen>,
}

/// What was put at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutThen {
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Of how many it was put together; none where it was put at once.
    pub parts: Option<u32>,
}

impl Read<'_> {
    /// A page of the objects of a dataset; with what opens their notes, where that is wanted.
    pub fn list_objects(
        &self,
        dataset: DatasetId,
        at: At,
        listing: &Listing,
        with_notes: bool,
    ) -> Result<Page<SealedEntry>, StoreError> {
        let branch = self.is_branch(dataset)?;
        let (bare, change) = at_sql!(branch, at, entry_columns!(), "AND path >= ?3 ORDER BY path");
        let (whole, _) = at_sql!(
            branch,
            at,
            concat!(entry_columns!(), ", key_number, key, notes"),
            "AND path >= ?3 ORDER BY path"
        );
        let mut query = self.conn.prepare_cached(if with_notes { whole } else { bare })?;
        let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
        let mut seek = listing.start();
        while let Some(from) = seek.take() {
            let mut found = query.query(params![int(dataset.0), change, from])?;
            while let Some(row) = found.next()? {
                let path = row.get_ref(0)?.as_str().map_err(unreadable)?;
                // Paths that begin alike stand together.
                let Some(rest) = path.strip_prefix(&*listing.prefix) else { break };
                if path == listing.after {
                    continue;
                }
                if page.is_full(listing.limit) {
                    page.next = page.last();
                    break;
                }
                if let Some(length) = listing.common(rest) {
                    let common = path[..listing.prefix.len() + length].to_owned();
                    seek = beyond(&common);
                    page.prefixes.push(common);
                    break;
                }
                page.entries.push((entry(row)?, with_notes.then(|| notes(row)).transpose()?));
            }
        }
        Ok(page)
    }

    /// What there was at each path, by path and the newest first: what stands behind the listing's
    /// `after` and this change of it; behind all of it, where that is 0.
    pub fn object_history(
        &self,
        dataset: DatasetId,
        listing: &Listing,
        change: u64,
    ) -> Result<History, StoreError> {
        let mut query = self.conn.prepare_cached(objects_sql!(
            self.is_branch(dataset)?,
            "SELECT path, since, until, bytes, tag, parts, put_at, ended_at",
            "WHERE dataset = ?1 AND path >= ?2 ORDER BY path, since DESC"
        ))?;
        let mut all = Vec::new();
        // The path, and the last change of it that was told.
        let mut told = (listing.after.clone(), Some(change));
        let mut seek = listing.start();
        while let Some(from) = seek.take() {
            let mut found = query.query(params![int(dataset.0), from])?;
            while let Some(row) = found.next()? {
                let path = row.get_ref(0)?.as_str().map_err(unreadable)?;
                let Some(rest) = path.strip_prefix(&*listing.prefix) else { break };
                if all.len() > listing.limit as usize {
                    break;
                }
                if let Some(length) = listing.common(rest) {
                    let common = path[..listing.prefix.len() + length].to_owned();
                    seek = beyond(&common);
                    all.push(Told::Prefix(common));
                    break;
                }
                if path != told.0 {
                    told = (path.to_owned(), None);
                }
                let (is, ended) = (entry(row)?, uint_opt(row, 7)?);
                if told.1.is_none_or(|told| is.since < told) {
                    tell(&mut all, &is, ended, told.1);
                    told.1 = Some(is.since);
                }
            }
        }
        Ok(History::of(all, listing.limit as usize))
    }
}

/// One line of a history.
enum Told {
    Moment(HistoryEntry),
    Prefix(String),
}

impl History {
    /// So many lines of these, and where the next page goes on.
    fn of(mut all: Vec<Told>, limit: usize) -> Self {
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().filter(|_| more).map(|last| match last {
            Told::Moment(entry) => (entry.path.clone(), Some(entry.change)),
            Told::Prefix(prefix) => (prefix.clone(), None),
        });
        let mut history = Self { entries: Vec::new(), prefixes: Vec::new(), next };
        for line in all {
            match line {
                Told::Moment(entry) => history.entries.push(entry),
                Told::Prefix(prefix) => history.prefixes.push(prefix),
            }
        }
        history
    }
}

/// Adds what one row says: that it was deleted, where nothing was put in its place, and that it was
/// put.
fn tell(history: &mut Vec<Told>, is: &ObjectEntry, ended: Option<u64>, newer: Option<u64>) {
    let path = || is.path.clone();
    let deleted = is.until.filter(|until| newer.is_none_or(|newer| *until < newer));
    if let Some((change, at)) = deleted.zip(ended.map(Timestamp)) {
        let is_latest = newer.is_none();
        let deleted = HistoryEntry { path: path(), change, is_latest, at, put: None };
        history.push(Told::Moment(deleted));
    }
    let put = PutThen { bytes: is.bytes, tag: is.tag.clone(), parts: is.parts };
    let is_latest = newer.is_none() && is.until.is_none();
    let (change, at) = (is.since, is.at);
    let was_put = HistoryEntry { path: path(), change, is_latest, at, put: Some(put) };
    history.push(Told::Moment(was_put));
}

impl Listing {
    /// The first path that may be shown; none where there is none.
    fn start(&self) -> Option<String> {
        let rest = self.after.strip_prefix(&*self.prefix);
        if rest.is_some_and(|rest| self.common(rest) == Some(rest.len())) {
            return beyond(&self.after);
        }
        Some(self.prefix.as_str().max(&self.after).to_owned())
    }

    /// Bytes up to the end of the first delimiter.
    fn common(&self, rest: &str) -> Option<usize> {
        let delimiter = self.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        rest.find(delimiter).map(|at| at + delimiter.len())
    }
}

impl Page<SealedEntry> {
    fn is_full(&self, limit: u32) -> bool {
        self.entries.len() + self.prefixes.len() >= limit as usize
    }

    /// What was added last.
    fn last(&self) -> Option<String> {
        let entry = self.entries.last().map(|(entry, _)| &entry.path);
        entry.max(self.prefixes.last()).cloned()
    }
}

/// The first text behind all that begin so: the bytes of UTF-8 are in the order of its characters.
fn beyond(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = (last..=char::MAX).nth(1);
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

fn notes(row: &Row<'_>) -> Result<Sealed, StoreError> {
    let (key_number, key) = (row.get(7)?, row.get(8)?);
    Ok(Sealed { key_number, key, notes: row.get(9)?, manifest: Vec::new() })
}

fn unreadable(error: rusqlite::types::FromSqlError) -> StoreError {
    StoreError::Damaged(format!("a path of an object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Write, schema};
    use rusqlite::{Connection, StatementStatus};

    /// However much stands below a common prefix, or was there before, it is not walked.
    #[test]
    fn what_begins_alike_is_passed_by_one_seek() {
        let conn = Connection::open_in_memory().unwrap();
        schema::migrate(&conn).unwrap();
        conn.execute_batch(
            "INSERT INTO datasets (name, queue, owner, tier, about, created_at, content_key, key)
             VALUES ('claims', 'lab', 'ann', 'internal', '', 0, x'', x'');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
             INSERT INTO objects (dataset, path, since, until, bytes, tag, put_at, ended_at,
               key_number, key, notes, manifest, chunks)
             SELECT 1, iif(i % 3, 'folder/' || i, 'z'), i, iif(i % 3 OR i = 3000, NULL, i + 1), 1,
               x'', 1, iif(i % 3 OR i = 3000, NULL, 1), 1, x'', x'', x'', x'' FROM n;",
        )
        .unwrap();
        let write = Write::new(&conn);
        let listing = Listing { delimiter: Some("/".into()), limit: 10, ..Listing::default() };
        let page = write.list_objects(DatasetId(1), At::Now, &listing, false).unwrap();
        assert_eq!((&*page.prefixes, page.entries.len()), (&["folder/".to_owned()][..], 1));
        let (sql, _) = at_sql!(false, At::Now, entry_columns!(), "AND path >= ?3 ORDER BY path");
        let steps = conn.prepare_cached(sql).unwrap().get_status(StatementStatus::VmStep);
        assert!((10..200).contains(&steps), "{steps} steps of SQLite's machine");
    }
}
