//! What people say of datasets and are told of them: description, tier, size, newest version.

use crate::branches::objects_sql;
use crate::column::{first, int, uint, uint_opt};
use crate::datasets::DatasetId;
use crate::versions::DatasetVersionRow;
use crate::{Read, StoreError, Write};
use rusqlite::params;
use weft_types::{Bytes, Tier, Timestamp};

impl Read<'_> {
    /// How many objects a dataset has now, how much they are, and when the newest was put. Walks
    /// through all of them.
    pub fn dataset_size(
        &self,
        id: DatasetId,
    ) -> Result<(u64, Bytes, Option<Timestamp>), StoreError> {
        let mut query = self.conn.prepare_cached(objects_sql!(
            self.is_branch(id)?,
            "SELECT count(*) AS objects, ifnull(sum(bytes), 0) AS bytes, max(put_at) AS put_at",
            "WHERE dataset = ?1 AND until IS NULL"
        ))?;
        let sums = first(query.query([int(id.0)])?, |row| {
            let put_at = uint_opt(row, "put_at")?.map(Timestamp);
            Ok((uint(row, "objects")?, Bytes(uint(row, "bytes")?), put_at))
        })?;
        Ok(sums.unwrap_or_default())
    }

    /// The newest version of a dataset.
    pub fn newest_version(&self, id: DatasetId) -> Result<Option<DatasetVersionRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT max(number) AS number FROM dataset_versions
             WHERE dataset = ?1 AND removed_at IS NULL",
        )?;
        let newest = first(query.query([int(id.0)])?, |row| Ok(row.get("number")?))?;
        newest.flatten().map_or(Ok(None), |number| self.dataset_version(id, number))
    }
}

impl Write<'_> {
    /// Says what a dataset is about, and how sensitive it is. Where that is more than it was, what
    /// was asked of the lower tier is over, as if who asked had taken it back.
    pub fn describe_dataset(
        &mut self,
        id: DatasetId,
        about: &str,
        tier: Tier,
    ) -> Result<(), StoreError> {
        let mut update =
            self.conn.prepare_cached("UPDATE datasets SET about = ?2, tier = ?3 WHERE id = ?1")?;
        let was = self.dataset_by_id(id)?.map(|row| row.is.tier);
        update.execute(params![int(id.0), about, tier.as_str()])?;
        if was.is_some_and(|was| was < tier) {
            self.conn.execute(
                "UPDATE data_requests SET approved = 0, decided_by = asker, decided_at = asked_at
                 WHERE dataset = ?1 AND asks = 'lower' AND approved IS NULL",
                [int(id.0)],
            )?;
        }
        Ok(())
    }
}
