//! Views: datasets that are made of another one, and what became of each version of that.
//!
//! ```text
//! a version of the source is made ─► waiting ─► made: a version of the view, found as `of-v7` too
//!    … removed: the view's is removed with it   … back: so is the view's   … forgotten: at once
//! ```
//!
//! What ends in the source ends in its views by the same transaction. Absent on purpose: what a
//! recipe means, and who may have one.

use crate::column::{first, int, json, parsed, rows, to_json, uint, word};
use crate::datasets::{DatasetId, DatasetRow};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{QueueName, Tier, Timestamp, UserName};

/// Files of one version that are named as left out: more are counted.
pub const LEFT_OUT_MAX: usize = 200;

/// What a version of a view is called by: which version of the source it is of.
const OF: &str = "of-v";

/// A view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// The dataset that it is.
    pub dataset: DatasetId,
    /// Of this one.
    pub source: DatasetId,
    /// Of the files that this names; none: of all.
    pub files: Option<String>,
    /// What of each, as JSON.
    pub recipe: String,
    /// Whose rights are asked for each version.
    pub made_by: UserName,
    /// Whether workloads alone find it that declared it.
    pub sample: bool,
}

/// What became of a version of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewVersionRow {
    /// The view.
    pub view: DatasetId,
    /// The version of the source.
    pub source: u32,
    /// The version that was made of it; none: it waits.
    pub version: Option<u32>,
    /// Why it waits.
    pub why: String,
    /// What is not in it.
    pub left_out: LeftOut,
}

/// Files that are not in a version of a view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first of them, each with its reason.
    pub files: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Waiting,
    Made,
}

impl Read<'_> {
    /// What a dataset is a view of; none where it is no view.
    pub fn view(&self, dataset: DatasetId) -> Result<Option<ViewRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM data_views WHERE dataset = ?1")?;
        first(query.query([int(dataset.0)])?, view)
    }

    /// The views of a dataset, and its samples, but those that were ended.
    pub fn views_of(&self, source: DatasetId) -> Result<Vec<ViewRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT v.* FROM data_views v JOIN datasets d ON d.id = v.dataset
             WHERE v.source = ?1 AND d.ended_at IS NULL ORDER BY d.name",
        )?;
        rows(query.query([int(source.0)])?, view)
    }

    /// The samples of a dataset, each with what of it.
    pub fn samples_of(&self, source: DatasetId) -> Result<Vec<ViewRow>, StoreError> {
        Ok(self.views_of(source)?.into_iter().filter(|view| view.sample).collect())
    }

    /// What became of the source's versions, the newest first; so many at most.
    pub fn view_versions(
        &self,
        dataset: DatasetId,
        limit: u32,
    ) -> Result<Vec<ViewVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM data_view_versions WHERE dataset = ?1 ORDER BY source DESC LIMIT ?2",
        )?;
        rows(query.query(params![int(dataset.0), limit])?, view_version)
    }

    /// What became of one version of the source; none where nobody wants it.
    pub fn view_version(
        &self,
        dataset: DatasetId,
        source: u32,
    ) -> Result<Option<ViewVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM data_view_versions WHERE dataset = ?1 AND source = ?2",
        )?;
        first(query.query(params![int(dataset.0), source])?, view_version)
    }

    /// Of each view the first version that waits, with its team: they are made in their order.
    pub fn open_views(&self) -> Result<Vec<(QueueName, ViewVersionRow)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT w.*, d.queue, min(w.source) FROM data_view_versions w
             JOIN data_views v ON v.dataset = w.dataset
             JOIN datasets d ON d.id = v.dataset AND d.ended_at IS NULL
             JOIN datasets s ON s.id = v.source AND s.ended_at IS NULL
             JOIN dataset_versions sv ON sv.dataset = v.source AND sv.number = w.source
               AND sv.removed_at IS NULL
             WHERE w.state = 'waiting' GROUP BY w.dataset",
        )?;
        rows(query.query([])?, |row| Ok((parsed(row, "queue")?, view_version(row)?)))
    }

    /// The names that say of which version of its source each version of a view is.
    pub(crate) fn view_tags(&self, dataset: DatasetId) -> Result<Vec<(String, u32)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT source, version FROM data_view_versions
             WHERE dataset = ?1 AND state = 'made' ORDER BY source",
        )?;
        rows(query.query([int(dataset.0)])?, |row| {
            Ok((format!("{OF}{}", row.get::<_, u32>("source")?), row.get("version")?))
        })
    }

    /// The version of a view that such a name says.
    pub(crate) fn view_tagged(
        &self,
        dataset: DatasetId,
        name: &str,
    ) -> Result<Option<u32>, StoreError> {
        let Some(Ok(source)) = name.strip_prefix(OF).map(str::parse) else { return Ok(None) };
        Ok(self.view_version(dataset, source)?.and_then(|row| row.version))
    }

    /// Whether all of what it is a view or a branch of is forgotten.
    pub fn source_is_gone(&self, dataset: DatasetId) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT count(*) AS gone FROM (SELECT dataset, source FROM data_views
               UNION ALL SELECT dataset, source FROM data_branches) v
             WHERE v.dataset = ?1 AND NOT EXISTS (
               SELECT 1 FROM datasets s WHERE s.id = v.source AND s.key <> x'')",
        )?;
        let gone = first(query.query([int(dataset.0)])?, |row| uint(row, "gone"))?;
        Ok(gone.unwrap_or_default() > 0)
    }
}

impl Write<'_> {
    /// Makes a dataset a view. Of the source's versions each waits to be made; of a sample those
    /// that are [wanted](Write::want_view_version).
    pub fn make_view(&mut self, new: &ViewRow) -> Result<(), StoreError> {
        let mut insert =
            self.conn.prepare_cached("INSERT INTO data_views VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        let ViewRow { dataset, source, files, recipe, made_by, sample } = new;
        let (id, of, by) = (int(dataset.0), int(source.0), made_by.as_str());
        insert.execute(params![id, of, files, recipe, by, sample])?;
        if !sample {
            let mut all = self.conn.prepare_cached(
                "INSERT INTO data_view_versions
                 SELECT ?1, number, 'waiting', NULL, '', '{\"count\":0,\"files\":[]}'
                 FROM dataset_versions WHERE dataset = ?2 AND removed_at IS NULL",
            )?;
            all.execute([id, of])?;
        }
        Ok(())
    }

    /// Notes that a version of the source is to be made a version of the view.
    pub fn want_view_version(&mut self, view: DatasetId, source: u32) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT OR IGNORE INTO data_view_versions
             VALUES (?1, ?2, 'waiting', NULL, '', '{\"count\":0,\"files\":[]}')",
        )?;
        insert.execute(params![int(view.0), source])?;
        Ok(())
    }

    /// Keeps what became of one.
    pub fn save_view_version(&mut self, row: &ViewVersionRow) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE data_view_versions SET state = ?3, version = ?4, why = ?5, left_out = ?6
             WHERE dataset = ?1 AND source = ?2",
        )?;
        let ViewVersionRow { view, source, version, why, left_out } = row;
        let state = if version.is_some() { "made" } else { "waiting" };
        let left_out = to_json(left_out)?;
        update.execute(params![int(view.0), source, state, version, why, left_out])?;
        Ok(())
    }

    /// A dataset has another version: its views are to have one.
    pub(crate) fn version_for_views(
        &mut self,
        source: DatasetId,
        number: u32,
    ) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO data_view_versions
             SELECT dataset, ?2, 'waiting', NULL, '', '{\"count\":0,\"files\":[]}'
             FROM data_views WHERE source = ?1 AND sample = 0",
        )?;
        insert.execute(params![int(source.0), number])?;
        Ok(())
    }

    /// A version of the source is removed, or there again: so is what was made of it, where it was
    /// made of no other that is there.
    pub(crate) fn follow_in_views(
        &mut self,
        source: DatasetId,
        number: u32,
        removed: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut follow = self.conn.prepare_cached(
            "UPDATE dataset_versions SET removed_at = ?3
             WHERE (?3 IS NULL) <> (removed_at IS NULL) AND (dataset, number) IN (
               SELECT w.dataset, w.version FROM data_view_versions w
               JOIN data_views v ON v.dataset = w.dataset
               WHERE v.source = ?1 AND w.source = ?2 AND w.state = 'made'
               AND NOT EXISTS (
                 SELECT 1 FROM data_view_versions o JOIN dataset_versions s
                 ON s.dataset = v.source AND s.number = o.source
                 WHERE o.dataset = w.dataset AND o.version = w.version AND o.source <> ?2
                 AND s.removed_at IS NULL))",
        )?;
        follow.execute(params![int(source.0), number, removed.map(|at| int(at.0))])?;
        Ok(())
    }

    /// Versions of a dataset are forgotten: what was made of them alone is forgotten, at once.
    pub(crate) fn forget_in_views(&mut self, source: DatasetId) -> Result<(), StoreError> {
        let mut gone = self.conn.prepare_cached(
            "SELECT w.dataset, w.source, w.version FROM data_view_versions w
             JOIN data_views v ON v.dataset = w.dataset
             WHERE v.source = ?1 AND NOT EXISTS (
               SELECT 1 FROM dataset_versions s WHERE s.dataset = ?1 AND s.number = w.source)",
        )?;
        let gone = rows(gone.query([int(source.0)])?, |row| {
            let of: u32 = row.get("source")?;
            Ok((DatasetId(uint(row, "dataset")?), of, row.get::<_, Option<u32>>("version")?))
        })?;
        for (view, of, version) in gone {
            let mut forget = self.conn.prepare_cached(
                "DELETE FROM data_view_versions WHERE dataset = ?1 AND source = ?2",
            )?;
            forget.execute(params![int(view.0), of])?;
            let mut forget = self.conn.prepare_cached(
                "DELETE FROM dataset_versions WHERE dataset = ?1 AND number = ?2 AND NOT EXISTS (
                   SELECT 1 FROM data_view_versions WHERE dataset = ?1 AND version = ?2)",
            )?;
            forget.execute(params![int(view.0), version])?;
            self.end_stale(view)?;
        }
        Ok(())
    }

    /// Ends what a view is, unless that is a version; and lets all that has ended in it be
    /// forgotten: it can be made again of a source that has it still.
    fn end_stale(&mut self, view: DatasetId) -> Result<(), StoreError> {
        let changes = self.changes(view)?;
        let kept = self.conn.prepare_cached(
            "SELECT count(*) AS kept FROM dataset_versions WHERE dataset = ?1 AND changes = ?2",
        );
        let kept = first(kept?.query([int(view.0), int(changes)])?, |row| uint(row, "kept"))?;
        if kept.unwrap_or_default() == 0 {
            let next = int(changes + 1);
            self.conn.execute(
                "UPDATE objects SET until = ?2, ended_at = 0 WHERE dataset = ?1 AND until IS NULL",
                [int(view.0), next],
            )?;
            let sql = "UPDATE datasets SET changes = ?2 WHERE id = ?1";
            self.conn.execute(sql, [int(view.0), next])?;
        }
        let sql = "UPDATE objects SET ended_at = 0 WHERE dataset = ?1 AND until IS NOT NULL";
        self.conn.execute(sql, [int(view.0)])?;
        Ok(())
    }

    /// All of a dataset is forgotten: its views end with it.
    pub(crate) fn end_views(
        &mut self,
        source: DatasetId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut end = self.conn.prepare_cached(
            "UPDATE datasets SET ended_at = ?2 WHERE ended_at IS NULL
             AND id IN (SELECT dataset FROM data_views WHERE source = ?1)",
        )?;
        end.execute([int(source.0), int(now.0)])?;
        Ok(())
    }

    /// A dataset is more sensitive: so are its views and branches, and theirs, also those that two
    /// people had lowered, and those that were removed and may come back; which they were.
    pub fn raise_views(
        &mut self,
        source: DatasetId,
        tier: Tier,
    ) -> Result<Vec<DatasetRow>, StoreError> {
        let mut raised = Vec::new();
        let mut query = self.conn.prepare_cached(
            "SELECT dataset FROM data_views WHERE source = ?1
             UNION ALL SELECT dataset FROM data_branches WHERE source = ?1",
        )?;
        let below = rows(query.query([int(source.0)])?, |row| Ok(DatasetId(uint(row, 0)?)))?;
        drop(query);
        for id in below {
            let Some(row) = self.dataset_by_id(id)? else { continue };
            if row.is.tier < tier {
                self.describe_dataset(row.id, &row.is.about, tier)?;
                raised.push(row);
            }
            raised.extend(self.raise_views(id, tier)?);
        }
        Ok(raised)
    }
}

fn view(row: &Row<'_>) -> Result<ViewRow, StoreError> {
    Ok(ViewRow {
        dataset: DatasetId(uint(row, "dataset")?),
        source: DatasetId(uint(row, "source")?),
        files: row.get("files")?,
        recipe: row.get("recipe")?,
        made_by: parsed(row, "made_by")?,
        sample: row.get("sample")?,
    })
}

fn view_version(row: &Row<'_>) -> Result<ViewVersionRow, StoreError> {
    let version = match word(row, "state")? {
        State::Waiting => None,
        State::Made => row.get("version")?,
    };
    Ok(ViewVersionRow {
        view: DatasetId(uint(row, "dataset")?),
        source: row.get("source")?,
        version,
        why: row.get("why")?,
        left_out: json(row, "left_out")?,
    })
}
