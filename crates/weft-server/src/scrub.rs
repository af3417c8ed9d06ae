//! Looks for damage while nobody asks: each dataset is read wholly about once a week.
//!
//! The sampler calls it each hour. It rests three times as long as it works, so that it costs a
//! quarter of a core at most, and ends when the server does: the next one goes on where it was, or
//! a minute before where it was killed. What was removed and may come back is read, too. What is
//! damaged is told in the log of the server and, of datasets that are there, in its metrics and by
//! `weft doctor`. Absent on purpose: repair, which takes a copy that this state does not have.

use std::time::{Duration, Instant};
use tokio::sync::watch;
use weft_gateway::{Damage, Data};
use weft_store::{DatasetRow, Read, ScrubPlace, Store, StoreError};
use weft_types::Timestamp;

/// Between two looks at the same dataset, in milliseconds: latent errors of disks are found by
/// looking, and a week's are few (Bairavasundaram et al., SIGMETRICS 2007).
const WEEK: u64 = 7 * 24 * 3_600_000;
/// It works so long at a time.
const WORKS: Duration = Duration::from_millis(50);
/// And rests so many times as long.
const RESTS: u32 = 3;
/// How often its place is kept.
const KEPT_EVERY: Duration = Duration::from_secs(60);
/// But never longer than this: the server that ends waits for it.
const REST_MAX: Duration = Duration::from_secs(1);

/// Reads those datasets that nobody has read for a week, one after another.
pub(crate) async fn scrub(
    store: &Store,
    data: &Data,
    closing: &watch::Receiver<bool>,
    now: Timestamp,
) {
    let before = Timestamp(now.0.saturating_sub(WEEK));
    let all = |r: &Read<'_>| -> Result<Vec<DatasetRow>, StoreError> {
        Ok(r.datasets()?.into_iter().chain(r.ended_datasets()?).collect())
    };
    let mut due = match store.read(all).await {
        Ok(all) => all,
        Err(error) => return tracing::warn!(%error, "data is not looked at for damage now"),
    };
    due.retain(|row| row.scrubbed_at < before);
    due.sort_by_key(|row| row.scrubbed_at);
    for row in due {
        if !one(store, data, closing, &row).await {
            return;
        }
    }
}

/// Whether the server goes on.
async fn one(
    store: &Store,
    data: &Data,
    closing: &watch::Receiver<bool>,
    row: &DatasetRow,
) -> bool {
    let (id, name, closing) = (row.id, row.is.name.clone(), closing.clone());
    let told = name.clone();
    let tell = move |damage: Damage| {
        let Damage { path, change, why, .. } = damage;
        tracing::error!(dataset = %told, path, change, why, "data is damaged");
    };
    let from = match store.read(move |r| r.scrub_place(id)).await {
        Ok(from) => from,
        Err(error) => {
            tracing::warn!(%error, "data is not looked at for damage now");
            return true;
        }
    };
    let (mut since, mut kept) = (Instant::now(), Instant::now());
    let (places, handle) = (store.clone(), tokio::runtime::Handle::current());
    let go_on = move |place: Option<&ScrubPlace>| {
        let worked = since.elapsed();
        if worked >= WORKS {
            std::thread::sleep((worked * RESTS).min(REST_MAX));
            since = Instant::now();
        }
        let ends = *closing.borrow();
        if let Some(place) = place.filter(|_| ends || kept.elapsed() >= KEPT_EVERY) {
            kept = Instant::now();
            let place = place.clone();
            let keep = places.write(move |w| w.scrubbed_up_to(id, &place));
            if let Err(error) = handle.block_on(keep) {
                tracing::warn!(%error, "where a look for damage was is not kept");
            }
        }
        !ends
    };
    let found = match data.scrub_from(id, from, tell, go_on).await {
        Ok(Some(found)) => found,
        Ok(None) => return false,
        Err(error) => {
            tracing::warn!(%error, dataset = %name, "a dataset is not looked at for damage now");
            return true;
        }
    };
    let at = weft_agent::now();
    if let Err(error) = store.write(move |w| w.scrubbed(id, found.damaged, at)).await {
        tracing::warn!(%error, dataset = %name, "what a look for damage found is not kept");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_store::{DataHeld, Expected, NewDataset};
    use weft_types::{Bytes, Tier};

    #[tokio::test]
    async fn what_a_disk_changed_is_found_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = crate::data::open(&store, dir.path()).await.unwrap();
        let new = NewDataset {
            name: "claims".parse().unwrap(),
            queue: "lab".parse().unwrap(),
            owner: "ana".parse().unwrap(),
            tier: Tier::Internal,
            about: String::new(),
            at: Timestamp(1),
        };
        let room = DataHeld { bytes: Bytes(1 << 30), objects: 9 };
        let lab = new.queue.clone();
        store.write(move |w| w.put_data_quota(&lab, room)).await.unwrap();
        let row = data.make(new, Box::new(|_, _| Ok(()))).await.unwrap();
        for path in ["a", "b"] {
            let staged = data.stage(&row, path.repeat(50_000).as_bytes()).await.unwrap();
            let notes = Default::default();
            let also: weft_gateway::Also<weft_gateway::Put> = Box::new(|_, _| Ok(()));
            let put =
                data.commit(&row, path, staged, notes, Expected::Anything, also, Timestamp(1));
            put.await.unwrap();
        }
        let (_server, closing) = watch::channel(false);
        let look = async |now| {
            scrub(&store, &data, &closing, Timestamp(now)).await;
            let row = store.read(|r| r.datasets()).await.unwrap().remove(0);
            (row.scrubbed_at.0 > 0, row.damaged)
        };
        assert_eq!(look(weft_agent::now().0).await, (true, 0));
        let pack = std::fs::read_dir(dir.path().join("data")).unwrap().next().unwrap().unwrap();
        let mut bytes = std::fs::read(pack.path()).unwrap();
        bytes[1_000] ^= 1;
        std::fs::write(pack.path(), bytes).unwrap();
        assert_eq!(look(weft_agent::now().0).await.1, 0, "not again within a week");
        assert_eq!(look(weft_agent::now().0 + 2 * WEEK).await.1, 1);
        // What was removed and may come back is looked at, too.
        let id = row.id;
        let end = move |w: &mut weft_store::Write<'_>| {
            w.scrubbed(id, 0, Timestamp(1))?;
            w.end_dataset(id, weft_agent::now())
        };
        store.write(end).await.unwrap();
        scrub(&store, &data, &closing, weft_agent::now()).await;
        assert_eq!(store.read(|r| r.ended_datasets()).await.unwrap()[0].damaged, 1);
    }
}
