//! Versions of datasets. A version is a count of changes: it copies nothing, and nothing of it can
//! change.

use crate::branches::objects_sql;
use crate::column::{first, int, rows, uint, uint_opt};
use crate::datasets::{DAY, DatasetId};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use sha2::{Digest as _, Sha256};
use weft_types::{Bytes, Timestamp};

/// A version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetVersionRow {
    /// Counts from 1.
    pub number: u32,
    /// The changes that are in it.
    pub changes: u64,
    /// How many objects.
    pub objects: u64,
    /// How much they are.
    pub bytes: Bytes,
    /// SHA-256 over paths, sizes and tags of its objects, in order of their paths.
    pub digest: [u8; 32],
    /// Who made it.
    pub by: String,
    /// Why, for people.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// Which version somebody means: what stands behind the `@` of `claims@v7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionName {
    /// `v7`.
    Number(u32),
    /// `2026-11-01`: the newest that was made before that day ended (UTC), which is given.
    Before(Timestamp),
    /// `golden`: what the name points to.
    Tag(String),
}

/// Longest name of a version, in bytes.
pub const VERSION_NAME_MAX: usize = 63;

impl std::str::FromStr for VersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('v').filter(|digits| is_digits(digits));
        if let Some(number) = number {
            let number = number.parse().map_err(|_| format!("version `{text}` is too large"))?;
            return Ok(Self::Number(number));
        }
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let end = end_of_day(text).ok_or_else(|| {
                format!("version `{text}` is no day: write it as 2026-11-01, or v7, or a name")
            })?;
            return Ok(Self::Before(end));
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        match !text.is_empty() && text.len() <= VERSION_NAME_MAX && text.chars().all(fits) {
            true => Ok(Self::Tag(text.to_owned())),
            false => Err(format!(
                "version name `{text}` is not 1 to {VERSION_NAME_MAX} of a-z, 0-9, `-`, `_`, `.`: \
                 choose another"
            )),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// When a day ends, as `2026-11-01`.
fn end_of_day(text: &str) -> Option<Timestamp> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let fits = [(year, 4), (month, 2), (day, 2)].iter().all(|(t, n)| t.len() == *n && is_digits(t));
    let (year, month, day): (u64, u64, u64) = match fits {
        true => (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?),
        false => return None,
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    let leaps = |until: u64| until / 4 - until / 100 + until / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: u64 = lengths[..month as usize - 1].iter().sum();
    Some(Timestamp((years + months + day) * DAY))
}

/// The moment that a day or a time of one names, in UTC: what came before it is meant. A day is
/// its end. None where the text is neither: `2026-11-01`, `2026-11-01T14:05`, `…:30`, `…Z`.
pub fn moment_of(text: &str) -> Option<Timestamp> {
    let Some((day, time)) = text.split_once('T') else { return end_of_day(text) };
    let midnight = end_of_day(day)?.0 - DAY;
    let parts: Vec<&str> = time.strip_suffix('Z').unwrap_or(time).split(':').collect();
    let number = |text: &&str, below: u64| {
        let number = text.parse().ok().filter(|number| *number < below);
        number.filter(|_| text.len() == 2 && is_digits(text))
    };
    let (hour, minute, second) = match &parts[..] {
        [hour, minute] => (number(hour, 24)?, number(minute, 60)?, 0),
        [hour, minute, second] => (number(hour, 24)?, number(minute, 60)?, number(second, 60)?),
        _ => return None,
    };
    Some(Timestamp(midnight + ((hour * 60 + minute) * 60 + second) * 1_000))
}

impl Read<'_> {
    /// After how many changes a dataset was as it was before a moment; none where some of that was
    /// forgotten. Walks all of its objects: about a second for a million.
    pub fn changes_before(
        &self,
        id: DatasetId,
        moment: Timestamp,
    ) -> Result<Option<u64>, StoreError> {
        // A change puts an object or ends one; what was put and forgotten counts in `whole`.
        let mut query = self.conn.prepare_cached(objects_sql!(
            self.is_branch(id)?,
            "SELECT max(CASE WHEN ended_at < ?2 THEN until ELSE since END) AS changes",
            "WHERE dataset = ?1 AND put_at < ?2"
        ))?;
        let moment = int(moment.0);
        let last = first(query.query(params![int(id.0), moment])?, |row| uint_opt(row, "changes"))?;
        let begun = self.branch(id)?.map_or(0, |branch| branch.changes);
        let changes = last.flatten().unwrap_or_default().max(begun);
        match self.whole(id, changes) {
            Ok(()) => Ok(Some(changes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The versions that were removed and may still be brought back, and when they were.
    pub fn removed_versions(
        &self,
        id: DatasetId,
    ) -> Result<Vec<(DatasetVersionRow, Timestamp)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM dataset_versions WHERE dataset = ?1 AND removed_at IS NOT NULL
             ORDER BY number DESC",
        )?;
        let removed_at = |row: &Row<'_>| uint(row, "removed_at").map(Timestamp);
        rows(query.query([int(id.0)])?, |row| Ok((version(row)?, removed_at(row)?)))
    }

    /// The versions of a dataset, the newest first, but those that were removed.
    pub fn dataset_versions(&self, id: DatasetId) -> Result<Vec<DatasetVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM dataset_versions WHERE dataset = ?1 AND removed_at IS NULL
             ORDER BY number DESC",
        )?;
        rows(query.query([int(id.0)])?, version)
    }

    /// One version.
    pub fn dataset_version(
        &self,
        id: DatasetId,
        number: u32,
    ) -> Result<Option<DatasetVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM dataset_versions
             WHERE dataset = ?1 AND number = ?2 AND removed_at IS NULL",
        )?;
        first(query.query(params![int(id.0), number])?, version)
    }

    /// The version that somebody means; none where there is no such version.
    pub fn version_named(
        &self,
        id: DatasetId,
        name: &VersionName,
    ) -> Result<Option<DatasetVersionRow>, StoreError> {
        match name {
            VersionName::Number(number) => self.dataset_version(id, *number),
            VersionName::Before(end) => {
                let mut query = self.conn.prepare_cached(
                    "SELECT * FROM dataset_versions
                     WHERE dataset = ?1 AND made_at < ?2 AND removed_at IS NULL
                     ORDER BY number DESC LIMIT 1",
                )?;
                first(query.query(params![int(id.0), int(end.0)])?, version)
            }
            VersionName::Tag(tag) => {
                let mut query = self.conn.prepare_cached(
                    "SELECT v.* FROM dataset_tags t JOIN dataset_versions v
                     ON v.dataset = t.dataset AND v.number = t.number
                     WHERE t.dataset = ?1 AND t.name = ?2 AND v.removed_at IS NULL",
                )?;
                let found = first(query.query(params![int(id.0), tag])?, version)?;
                match (found, self.view_tagged(id, tag)?) {
                    (None, Some(number)) => self.dataset_version(id, number),
                    (found, _) => Ok(found),
                }
            }
        }
    }

    /// The names of a dataset's versions, and the number that each points to, by name.
    pub fn version_tags(&self, id: DatasetId) -> Result<Vec<(String, u32)>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM dataset_tags WHERE dataset = ?1 ORDER BY name")?;
        let named = |row: &Row<'_>| Ok((row.get("name")?, row.get("number")?));
        let mut tags = rows(query.query([int(id.0)])?, named)?;
        tags.extend(self.view_tags(id)?);
        Ok(tags)
    }
}

impl Write<'_> {
    /// Keeps the dataset as it is now as a version; the last one again, where nothing has changed.
    /// Writers wait while its objects are summed: see [`Write::make_version_of`].
    pub fn make_version(
        &mut self,
        id: DatasetId,
        by: &str,
        note: &str,
        at: Timestamp,
    ) -> Result<DatasetVersionRow, StoreError> {
        self.make_version_of(id, None, (by, note), at)
    }

    /// As [`Write::make_version`], of what was summed before, which no writer has to wait for; it
    /// is summed again where something has changed since.
    pub fn make_version_of(
        &mut self,
        id: DatasetId,
        summed: Option<Summed>,
        (by, note): (&str, &str),
        at: Timestamp,
    ) -> Result<DatasetVersionRow, StoreError> {
        let changes = self.changes(id)?;
        let last = self.dataset_versions(id)?.into_iter().next();
        if let Some(last) = last.filter(|last| last.changes == changes) {
            return Ok(last);
        }
        let summed = match summed.filter(|summed| summed.changes == changes) {
            Some(summed) => summed,
            None => self.sum_objects(id)?,
        };
        let mut count = self.conn.prepare_cached(
            "UPDATE datasets SET versions = versions + 1 WHERE id = ?1 RETURNING versions",
        )?;
        let number = count.query_row([int(id.0)], |row| row.get(0))?;
        let Summed { objects, bytes, digest, .. } = summed;
        let (by, note) = (by.to_owned(), note.to_owned());
        let row = DatasetVersionRow { number, changes, objects, bytes, digest, by, note, at };
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO dataset_versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL)",
        )?;
        insert.execute(params![
            int(id.0),
            row.number,
            int(row.changes),
            int(row.objects),
            int(row.bytes.0),
            row.digest,
            row.by,
            row.note,
            int(row.at.0),
        ])?;
        self.version_for_views(id, number)?;
        Ok(row)
    }

    /// Lets a name point to a version, and to no other any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such version.
    pub fn tag_version(
        &mut self,
        id: DatasetId,
        name: &str,
        number: u32,
    ) -> Result<(), StoreError> {
        self.dataset_version(id, number)?.ok_or_else(|| missing_version(number))?;
        let mut tag = self.conn.prepare_cached(
            "INSERT INTO dataset_tags VALUES (?1, ?2, ?3)
             ON CONFLICT (dataset, name) DO UPDATE SET number = ?3",
        )?;
        tag.execute(params![int(id.0), name, number])?;
        Ok(())
    }

    /// Takes a name away; whether there was one.
    pub fn untag_version(&mut self, id: DatasetId, name: &str) -> Result<bool, StoreError> {
        let mut untag = self
            .conn
            .prepare_cached("DELETE FROM dataset_tags WHERE dataset = ?1 AND name = ?2")?;
        Ok(untag.execute(params![int(id.0), name])? == 1)
    }

    /// Removes a version: nobody finds it, and what it alone holds is forgotten when the dataset's
    /// window has passed. No other ever has its number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such version; [`StoreError::InUse`]: a name points to
    /// it, or a branch is of it.
    pub fn remove_version(
        &mut self,
        id: DatasetId,
        number: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT name FROM dataset_tags WHERE dataset = ?1 AND number = ?2")?;
        let name = first(query.query(params![int(id.0), number])?, |row| Ok(row.get("name")?))?;
        let name: Option<String> = name;
        if let Some(name) = name {
            let by = format!("`{name}` points to it");
            return Err(StoreError::InUse { what: "version", id: format!("v{number}"), by });
        }
        self.no_branch_of(id, number)?;
        let mut remove = self.conn.prepare_cached(
            "UPDATE dataset_versions SET removed_at = ?3
             WHERE dataset = ?1 AND number = ?2 AND removed_at IS NULL",
        )?;
        match remove.execute(params![int(id.0), number, int(now.0)])? {
            0 => Err(missing_version(number)),
            _ => self.follow_in_views(id, number, Some(now)),
        }
    }

    /// Brings back a version that was removed and not forgotten.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: none was removed.
    pub fn revive_version(&mut self, id: DatasetId, number: u32) -> Result<(), StoreError> {
        let mut revive = self.conn.prepare_cached(
            "UPDATE dataset_versions SET removed_at = NULL
             WHERE dataset = ?1 AND number = ?2 AND removed_at IS NOT NULL",
        )?;
        match revive.execute(params![int(id.0), number])? {
            0 => Err(missing_version(number)),
            _ => self.follow_in_views(id, number, None),
        }
    }
}

/// A dataset as it is, in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summed {
    /// After so many changes.
    pub changes: u64,
    /// How many objects.
    pub objects: u64,
    /// How much they are.
    pub bytes: Bytes,
    /// SHA-256 over paths, sizes and tags of its objects, in order of their paths.
    pub digest: [u8; 32],
}

impl Read<'_> {
    /// What a version made now would say. Walks all objects: about a second for a million.
    pub fn sum_objects(&self, id: DatasetId) -> Result<Summed, StoreError> {
        self.sum(id, self.is_branch(id)?)
    }

    /// As [`Read::sum_objects`], of a branch what is in no version of its source.
    pub fn sum_own_objects(&self, id: DatasetId) -> Result<Summed, StoreError> {
        self.sum(id, false)
    }

    fn sum(&self, id: DatasetId, with_version: bool) -> Result<Summed, StoreError> {
        let changes = self.changes(id)?;
        let mut query = self.conn.prepare_cached(objects_sql!(
            with_version,
            "SELECT path, bytes, tag",
            "WHERE dataset = ?1 AND until IS NULL ORDER BY path"
        ))?;
        let (mut objects, mut all, mut digest) = (0, 0, Sha256::new());
        let mut found = query.query([int(id.0)])?;
        while let Some(row) = found.next()? {
            let (path, bytes, tag) = (row.get_ref(0)?, uint(row, 1)?, row.get_ref(2)?);
            let parts = [path.as_bytes(), tag.as_blob()].map(|part| part.unwrap_or_default());
            // Each with its length before it, so that none can be taken for a part of another.
            digest.update((parts[0].len() as u64).to_le_bytes());
            digest.update(parts[0]);
            digest.update(bytes.to_le_bytes());
            digest.update((parts[1].len() as u64).to_le_bytes());
            digest.update(parts[1]);
            objects += 1;
            all += bytes;
        }
        Ok(Summed { changes, objects, bytes: Bytes(all), digest: digest.finalize().into() })
    }
}

fn missing_version(number: u32) -> StoreError {
    StoreError::NotFound { what: "version", id: format!("v{number}") }
}

fn version(row: &Row<'_>) -> Result<DatasetVersionRow, StoreError> {
    Ok(DatasetVersionRow {
        number: row.get("number")?,
        changes: uint(row, "changes")?,
        objects: uint(row, "objects")?,
        bytes: Bytes(uint(row, "bytes")?),
        digest: row.get("digest")?,
        by: row.get("made_by")?,
        note: row.get("note")?,
        at: Timestamp(uint(row, "made_at")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_meant_by_number_day_or_name() {
        let named = |text: &str| text.parse::<VersionName>();
        assert_eq!(named("v7"), Ok(VersionName::Number(7)));
        assert_eq!(named("golden-2.1"), Ok(VersionName::Tag("golden-2.1".into())));
        assert_eq!(named("v7a"), Ok(VersionName::Tag("v7a".into())));
        // As `date -u -d <day>` says of the next one.
        for (day, end) in [
            ("1970-01-01", 86_400),
            ("2000-02-29", 951_868_800),
            ("2026-11-01", 1_793_577_600),
            ("2100-12-31", 4_133_980_800),
        ] {
            assert_eq!(named(day), Ok(VersionName::Before(Timestamp(end * 1000))), "{day}");
        }
        // As `date -u -d <moment>` says.
        for (text, moment) in [
            ("2026-11-01", 1_793_577_600),
            ("2026-11-01T00:00", 1_793_491_200),
            ("2026-11-01T23:59:59Z", 1_793_577_599),
        ] {
            assert_eq!(moment_of(text), Some(Timestamp(moment * 1000)), "{text}");
        }
        for wrong in
            ["T14:05", "2026-11-01T", "2026-11-01T24:00", "2026-11-01T1:05", "2026-11-01T+1:05"]
        {
            assert_eq!(moment_of(wrong), None, "{wrong}");
        }
        for wrong in ["", "2026-2-1", "2026-02-29", "2026-13-01", "26", "1969-12-31", "Gold", "a/b"]
        {
            assert!(named(wrong).is_err(), "{wrong}");
        }
        assert!(named(&"a".repeat(VERSION_NAME_MAX + 1)).is_err());
        assert!(named("v99999999999").unwrap_err().contains("too large"));
    }
}
