//! Another key in the place of one, while all goes on: the layer below is wrapped anew, and no data
//! is touched.
//!
//! | key | wraps | how |
//! |--|--|--|
//! | master | teams' | the file has both until one transaction has wrapped them all |
//! | team's | its datasets', and its sources' | one transaction |
//! | dataset's | its objects' and uploads' | in batches; each row says which of two wraps its key |
//!
//! What does not rotate: the key by which equal bytes of a dataset are found, since chunks' secrets
//! are made of it (docs/adr/0016), and objects' own, which are new with each put.

use crate::bond::{of_content, of_dataset, of_object, of_part, of_upload};
use crate::data::{Also, Data, DataError, DatasetLock};
use crate::key::{Key, KeyError, wrapped};
use crate::master::Master;
use crate::secret;
use std::time::{Duration, Instant};
use weft_store::failpoint::hit;
use weft_store::{DatasetId, DatasetKeys, DatasetRow, SealedRow, StoreError, Write};
use weft_types::QueueName;

/// Keys that are wrapped anew in one transaction: others wait for it.
const WRAPPED_AT_ONCE: u32 = 500;

impl Data {
    /// Puts another master key in the place of the one that is, or goes on where that was cut off.
    /// The safe copy of the file is to be made anew: the old one opens nothing any more.
    ///
    /// # Errors
    /// The file or the state cannot be written; the file that is there opens everything.
    pub async fn rotate_master(&self, also: Also<()>) -> Result<(), DataError> {
        let master = self.master();
        let _rotating = master.rotating().await;
        let file = self.master();
        tokio::task::spawn_blocking(move || file.begin()).await??;
        let wrap = self.master();
        let rewrap = move |w: &mut Write<'_>| {
            for (queue, key) in w.team_keys()? {
                let team = wrap.open_team(&queue, &key)?;
                w.put_team_key(&queue, &wrap.wrap_team(&queue, &team)?)?;
            }
            also(w, &())?;
            Ok::<_, DataError>(())
        };
        self.store.write(rewrap).await?;
        hit("gateway.master.rewrapped").map_err(StoreError::from)?;
        let file = self.master();
        Ok(tokio::task::spawn_blocking(move || file.end()).await??)
    }

    /// Puts another key in the place of a team's.
    ///
    /// # Errors
    /// The team has none, one does not open, or the state cannot be written; all is as it was.
    pub async fn rotate_team(
        &self,
        queue: &QueueName,
        also: Also<QueueName>,
    ) -> Result<(), DataError> {
        let (master, queue, fresh) = (self.master(), queue.clone(), Key::fresh()?);
        let rotate = move |w: &mut Write<'_>| {
            let key = w.team_key(&queue)?;
            let key = key.ok_or_else(|| missing(&queue))?;
            let team = master.open_team(&queue, &key)?;
            for id in w.datasets_of(&queue)? {
                let keys = rewrapped(&w.dataset_keys(id)?, id, &team, &fresh)?;
                w.put_dataset_keys(id, &keys)?;
            }
            for source in secret::rewrapped(w, &queue, (&team, &fresh))? {
                w.put_source(&source)?;
            }
            w.put_team_key(&queue, &master.wrap_team(&queue, &fresh)?)?;
            also(w, &queue)?;
            Ok::<_, DataError>(())
        };
        self.store.write(rotate).await?;
        self.fold().await.map(drop)
    }

    /// Puts another key in the place of the one that wraps a dataset's objects' keys, or goes on
    /// where that was cut off; how many were wrapped anew. Writers go on meanwhile.
    ///
    /// # Errors
    /// A key does not open, or the state cannot be written: ask again, and it goes on.
    pub async fn rotate_dataset(
        &self,
        dataset: &DatasetRow,
        also: Also<DatasetId>,
    ) -> Result<u64, DataError> {
        self.rotate_some(dataset, also, Duration::MAX).await.map(|(count, _)| count)
    }

    /// As [`Data::rotate_dataset`], for about so long: whether it is done is the second of what is
    /// given. Asked again, it goes on.
    ///
    /// # Errors
    /// As of that.
    pub async fn rotate_some(
        &self,
        dataset: &DatasetRow,
        also: Also<DatasetId>,
        stretch: Duration,
    ) -> Result<(u64, bool), DataError> {
        let begun = Instant::now();
        let (id, master, fresh) = (dataset.id, self.master(), Key::fresh()?);
        let begin = move |w: &mut Write<'_>| {
            let keys = w.dataset_keys(id)?;
            also(w, &id)?;
            if keys.old.is_some() {
                return Ok(());
            }
            let team = master.open_team(&keys.queue, &keys.team)?;
            let (number, old) = (keys.number + 1, Some(keys.key.clone()));
            let key = team.wrap(&fresh, &of_dataset(id))?.to_vec();
            w.put_dataset_keys(id, &DatasetKeys { number, key, old, ..keys })?;
            Ok::<_, DataError>(())
        };
        self.store.write(begin).await?;
        let (mut all, mut behind) = (0, None);
        loop {
            hit("gateway.dataset.rewrap").map_err(StoreError::from)?;
            let (master, from) = (self.master(), behind.take());
            let some = self.store.write(move |w| rewrap_some(w, &master, id, from));
            let (count, last) = some.await?;
            all += count;
            match last {
                Some(_) if begun.elapsed() >= stretch => return Ok((all, false)),
                Some(last) => behind = Some(last),
                None => break,
            }
        }
        self.fold().await?;
        Ok((all, true))
    }
}

/// Where a walk over objects goes on.
type Behind = (String, u64);

/// Wraps some objects' keys anew; where to go on. The last of it wraps those of uploads, and ends
/// the old key.
fn rewrap_some(
    w: &mut Write<'_>,
    master: &Master,
    id: DatasetId,
    behind: Option<Behind>,
) -> Result<(u64, Option<Behind>), DataError> {
    let lock = DatasetLock::open(w, master, id)?;
    let from = behind.unwrap_or_default();
    let some = w.objects_below(id, lock.number(), (&from.0, from.1), WRAPPED_AT_ONCE)?;
    let last = some.last().map(|(entry, _)| (entry.path.clone(), entry.since));
    let mut count = some.len() as u64;
    for (entry, mut sealed) in some {
        let about = of_object(id, &entry);
        let key = lock.unwrap(&sealed, &about)?;
        lock.wrap(&mut sealed, &key, &about)?;
        w.put_sealed_key(id, SealedRow::Object(&entry.path, entry.since), &sealed)?;
    }
    if last.is_some() {
        return Ok((count, last));
    }
    for (upload, part, mut sealed) in w.uploads_below(id, lock.number())? {
        let (about, row) = match &part {
            None => (of_upload(id, upload.id, &upload.path), SealedRow::Upload(upload.id)),
            Some(part) => (
                of_part(upload.id, part.number, part.bytes.0, &part.tag),
                SealedRow::Part(upload.id, part.number),
            ),
        };
        let key = lock.unwrap(&sealed, &about)?;
        lock.wrap(&mut sealed, &key, &about)?;
        w.put_sealed_key(id, row, &sealed)?;
        count += 1;
    }
    let keys = w.dataset_keys(id)?;
    w.put_dataset_keys(id, &DatasetKeys { old: None, ..keys })?;
    Ok((count, None))
}

/// A dataset's keys under another team key.
fn rewrapped(
    keys: &DatasetKeys,
    id: DatasetId,
    team: &Key,
    fresh: &Key,
) -> Result<DatasetKeys, KeyError> {
    let rewrap = |key: &Vec<u8>, about: &[u8]| {
        Ok::<_, KeyError>(fresh.wrap(&team.unwrap(&wrapped(key)?, about)?, about)?.to_vec())
    };
    let about = of_dataset(id);
    Ok(DatasetKeys {
        content: rewrap(&keys.content, &of_content(id))?,
        key: rewrap(&keys.key, &about)?,
        old: keys.old.as_ref().map(|old| rewrap(old, &about)).transpose()?,
        ..keys.clone()
    })
}

fn missing(queue: &QueueName) -> StoreError {
    StoreError::NotFound { what: "key of the team", id: queue.to_string() }
}
