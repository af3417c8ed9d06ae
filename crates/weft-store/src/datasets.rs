//! Datasets and their keys, wrapped. Absent on purpose: what is in a dataset (`objects.rs`), and
//! what any key opens.

use crate::column::{first, int, json, parsed, rows, uint, uint_opt};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::{DatasetName, QueueName, Tier, Timestamp, UserName};

/// A dataset, by a number that is never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetId(pub u64);

/// A dataset to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDataset {
    /// What it is called.
    pub name: DatasetName,
    /// The team whose it is.
    pub queue: QueueName,
    /// The person who answers for it.
    pub owner: UserName,
    /// How sensitive it is.
    pub tier: Tier,
    /// What it is, for people.
    pub about: String,
    /// When.
    pub at: Timestamp,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRow {
    /// Its number.
    pub id: DatasetId,
    /// What was said when it was made, and since.
    pub is: NewDataset,
    /// How often an object was put or deleted.
    pub changes: u64,
    /// Moments before this change are not whole any more, but those that are versions.
    pub forgotten: u64,
    /// How long what ended is kept.
    pub keeps: Keeps,
    /// When it was ended: it is found by its number alone.
    pub ended_at: Option<Timestamp>,
    /// When all of it was last read for damage; never, of 0.
    pub scrubbed_at: Timestamp,
    /// How many of its objects were damaged then, as they are and as they were.
    pub damaged: u64,
    /// To whom access was given, and until when.
    pub granted: Vec<(UserName, Timestamp)>,
    /// What it is a view of; none: people and runs write to it.
    pub view_of: Option<DatasetId>,
}

/// How long what ended cannot be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    /// So many days.
    pub days: u32,
    /// More days, until a moment: those that it was before somebody shortened it.
    pub longer: Option<(u32, Timestamp)>,
}

/// Milliseconds of a day.
pub(crate) const DAY: u64 = 24 * 3_600_000;

impl Keeps {
    /// Days, as of a moment.
    pub fn days(self, now: Timestamp) -> u32 {
        let longer = self.longer.filter(|(_, until)| now < *until);
        self.days.max(longer.map_or(0, |(days, _)| days))
    }

    /// Until when what ended then is kept.
    pub fn end(self, ended: Timestamp) -> Timestamp {
        let after = |days: u32| ended.0.saturating_add(u64::from(days) * DAY);
        let longer = self.longer.map_or(0, |(days, until)| after(days).min(until.0));
        Timestamp(after(self.days).max(longer))
    }

    /// What ended before this may be forgotten now.
    pub fn until(self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(u64::from(self.days(now)) * DAY))
    }
}

/// The keys of a dataset, each wrapped by its team's, which is with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetKeys {
    /// The team.
    pub queue: QueueName,
    /// The team's key, wrapped by the master key.
    pub team: Vec<u8>,
    /// Equal bytes are found by this one; never rotated.
    pub content: Vec<u8>,
    /// Counts rotations of `key`.
    pub number: u32,
    /// Wraps objects' keys.
    pub key: Vec<u8>,
    /// The one before, while objects still have it.
    pub old: Option<Vec<u8>>,
}

/// A query over datasets with what was granted of each.
macro_rules! sets_sql {
    ($rest:literal) => {
        concat!(
            "SELECT *, (SELECT json_group_array(json_array(user, until_at)) FROM data_grants
             WHERE dataset = datasets.id) AS granted,
             (SELECT source FROM data_views WHERE dataset = datasets.id) AS view_of FROM datasets ",
            $rest
        )
    };
}

impl Read<'_> {
    /// A team's key, wrapped.
    pub fn team_key(&self, queue: &QueueName) -> Result<Option<Vec<u8>>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT key FROM team_keys WHERE queue = ?1")?;
        first(query.query([queue.as_str()])?, |row| Ok(row.get("key")?))
    }

    /// A dataset.
    pub fn dataset(&self, name: &DatasetName) -> Result<Option<DatasetRow>, StoreError> {
        let sql = sets_sql!(
            "WHERE name = ?1 AND ended_at IS NULL AND id NOT IN (
               SELECT dataset FROM data_views WHERE sample = 1)"
        );
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query([name.as_str()])?, dataset)
    }

    /// A dataset, by its number.
    pub fn dataset_by_id(&self, id: DatasetId) -> Result<Option<DatasetRow>, StoreError> {
        let mut query = self.conn.prepare_cached(sets_sql!("WHERE id = ?1"))?;
        first(query.query([int(id.0)])?, dataset)
    }

    /// The keys of a dataset.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset, or its keys were forgotten.
    pub fn dataset_keys(&self, id: DatasetId) -> Result<DatasetKeys, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT d.queue, t.key AS team, content_key, key_number, d.key, old_key
             FROM datasets d JOIN team_keys t ON t.queue = d.queue
             WHERE d.id = ?1 AND d.key <> x''",
        )?;
        let found = first(query.query([int(id.0)])?, |row| {
            Ok(DatasetKeys {
                queue: parsed(row, "queue")?,
                team: row.get("team")?,
                content: row.get("content_key")?,
                number: row.get("key_number")?,
                key: row.get("key")?,
                old: row.get("old_key")?,
            })
        })?;
        found.ok_or_else(|| missing(id))
    }

    /// All datasets, by name, but those that were ended, and samples of them.
    pub fn datasets(&self) -> Result<Vec<DatasetRow>, StoreError> {
        let sql = sets_sql!(
            "WHERE ended_at IS NULL AND id NOT IN (
               SELECT dataset FROM data_views WHERE sample = 1) ORDER BY name"
        );
        let mut query = self.conn.prepare_cached(sql)?;
        rows(query.query([])?, dataset)
    }

    /// The same, and samples.
    pub fn datasets_and_samples(&self) -> Result<Vec<DatasetRow>, StoreError> {
        let sql = sets_sql!("WHERE ended_at IS NULL ORDER BY name");
        let mut query = self.conn.prepare_cached(sql)?;
        rows(query.query([])?, dataset)
    }

    /// The datasets that were ended, by when, and may still be brought back.
    pub fn ended_datasets(&self) -> Result<Vec<DatasetRow>, StoreError> {
        let sql = sets_sql!("WHERE ended_at IS NOT NULL AND key <> x'' ORDER BY ended_at");
        let mut query = self.conn.prepare_cached(sql)?;
        rows(query.query([])?, dataset)
    }
}

impl Write<'_> {
    /// Keeps a team's key, wrapped; another one takes its place when keys are rotated.
    pub fn put_team_key(&mut self, queue: &QueueName, key: &[u8]) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO team_keys VALUES (?1, ?2) ON CONFLICT (queue) DO UPDATE SET key = ?2",
        )?;
        put.execute(params![queue.as_str(), key])?;
        Ok(())
    }

    /// Makes a dataset. Its keys, which are bound to its number, are to be put next.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: the name is taken.
    pub fn make_dataset(&mut self, new: &NewDataset) -> Result<DatasetId, StoreError> {
        if self.dataset(&new.name)?.is_some() {
            return Err(StoreError::Exists { what: "dataset", id: new.name.to_string() });
        }
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO datasets (name, queue, owner, tier, about, created_at, content_key, key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'', x'')",
        )?;
        insert.execute(params![
            new.name.as_str(),
            new.queue.as_str(),
            new.owner.as_str(),
            new.tier.as_str(),
            new.about,
            int(new.at.0),
        ])?;
        Ok(DatasetId(self.conn.last_insert_rowid().unsigned_abs()))
    }

    /// What ends from now on, and what has ended, is kept so many days. Fewer than before are so
    /// only when as many have passed as it was before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn set_keep_days(
        &mut self,
        id: DatasetId,
        days: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.dataset_by_id(id)?.ok_or_else(|| missing(id))?;
        let long = row.keeps.days(now);
        let until = now.0.saturating_add(u64::from(long) * DAY);
        let (long, until) = if days < long { (long, until) } else { (0, 0) };
        let mut set = self.conn.prepare_cached(
            "UPDATE datasets SET keep_days = ?2, long_days = ?3, long_until = ?4 WHERE id = ?1",
        )?;
        set.execute(params![int(id.0), days, long, int(until)])?;
        Ok(())
    }

    /// Keeps what reading all of a dataset has found.
    pub fn scrubbed(
        &mut self,
        id: DatasetId,
        damaged: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE datasets SET scrubbed_at = ?2, damaged = ?3, scrub_path = '',
                 scrub_since = 0, scrub_damaged = 0 WHERE id = ?1",
        )?;
        put.execute(params![int(id.0), int(now.0), int(damaged)])?;
        Ok(())
    }

    /// Keeps how far reading all of a dataset has come.
    pub fn scrubbed_up_to(
        &mut self,
        id: DatasetId,
        place: &crate::ScrubPlace,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE datasets SET scrub_path = ?2, scrub_since = ?3, scrub_damaged = ?4
             WHERE id = ?1",
        )?;
        put.execute(params![int(id.0), place.path, int(place.since), int(place.damaged)])?;
        Ok(())
    }

    /// Ends a dataset: its name is free, and it is found by its number alone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is none, or it was ended before; [`StoreError::InUse`]: it
    /// has branches.
    pub fn end_dataset(&mut self, id: DatasetId, now: Timestamp) -> Result<(), StoreError> {
        self.no_branches_of(id)?;
        let mut end = self.conn.prepare_cached(
            "UPDATE datasets SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
        )?;
        match end.execute(params![int(id.0), int(now.0)])? {
            0 => Err(missing(id)),
            _ => Ok(()),
        }
    }

    /// Brings back a dataset that was ended, under the name that it had or another.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: none was ended, or it was forgotten; [`StoreError::Exists`]:
    /// another has that name now; [`StoreError::InUse`]: what it is a branch of is ended.
    pub fn revive_dataset(
        &mut self,
        id: DatasetId,
        name: Option<&DatasetName>,
    ) -> Result<(), StoreError> {
        let ended = self.ended_datasets()?.into_iter().find(|row| row.id == id);
        let ended = ended.ok_or_else(|| missing(id))?;
        // Of a view whose source is forgotten nothing is left in a moment.
        if self.source_is_gone(id)? {
            return Err(missing(id));
        }
        if let Some(branch) = self.branch(id)? {
            let source = self.dataset_by_id(branch.source)?.filter(|row| row.ended_at.is_some());
            if let Some(source) = source {
                let by = format!("it is a branch of `{}`, which is removed", source.is.name);
                let id = ended.is.name.to_string();
                return Err(StoreError::InUse { what: "dataset", id, by });
            }
        }
        let name = name.unwrap_or(&ended.is.name);
        if self.dataset(name)?.is_some() {
            return Err(StoreError::Exists { what: "dataset", id: name.to_string() });
        }
        let mut revive = self
            .conn
            .prepare_cached("UPDATE datasets SET ended_at = NULL, name = ?2 WHERE id = ?1")?;
        revive.execute(params![int(id.0), name.as_str()])?;
        Ok(())
    }

    /// Keeps a dataset's keys in the place of those that it had; its team and the team's key are
    /// not looked at.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is no such dataset.
    pub fn put_dataset_keys(
        &mut self,
        id: DatasetId,
        keys: &DatasetKeys,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "UPDATE datasets SET content_key = ?2, key_number = ?3, key = ?4, old_key = ?5
             WHERE id = ?1",
        )?;
        let key = params![int(id.0), keys.content, keys.number, keys.key, keys.old];
        match put.execute(key)? {
            0 => Err(missing(id)),
            _ => Ok(()),
        }
    }
}

impl Read<'_> {
    /// How often an object of a dataset was put or deleted.
    pub(crate) fn changes(&self, id: DatasetId) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT changes FROM datasets WHERE id = ?1")?;
        let found = first(query.query([int(id.0)])?, |row| uint(row, "changes"))?;
        found.ok_or_else(|| missing(id))
    }
}

pub(crate) fn missing(id: DatasetId) -> StoreError {
    StoreError::NotFound { what: "dataset", id: id.0.to_string() }
}

fn dataset(row: &Row<'_>) -> Result<DatasetRow, StoreError> {
    let is = NewDataset {
        name: parsed(row, "name")?,
        queue: parsed(row, "queue")?,
        owner: parsed(row, "owner")?,
        tier: parsed(row, "tier")?,
        about: row.get("about")?,
        at: Timestamp(uint(row, "created_at")?),
    };
    let (id, changes) = (DatasetId(uint(row, "id")?), uint(row, "changes")?);
    let until = Timestamp(uint(row, "long_until")?);
    let longer = (until.0 > 0).then_some((row.get("long_days")?, until));
    let keeps = Keeps { days: row.get("keep_days")?, longer };
    let (forgotten, ended_at) = (uint(row, "forgotten")?, uint_opt(row, "ended_at")?);
    let granted: Vec<(UserName, u64)> = json(row, "granted")?;
    let granted = granted.into_iter().map(|(user, until)| (user, Timestamp(until))).collect();
    let ended_at = ended_at.map(Timestamp);
    let (scrubbed_at, damaged) = (Timestamp(uint(row, "scrubbed_at")?), uint(row, "damaged")?);
    let view_of = uint_opt(row, "view_of")?.map(DatasetId);
    Ok(DatasetRow {
        id,
        is,
        changes,
        forgotten,
        keeps,
        ended_at,
        scrubbed_at,
        damaged,
        granted,
        view_of,
    })
}
