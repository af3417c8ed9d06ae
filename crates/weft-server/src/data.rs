//! The datasets of this state directory: their packs, and the key above all keys.
//!
//! Opened once, by [`Server::open`](crate::Server::open), after the state is this server's. What
//! ended leaves once an hour: the sampler calls [`housekeep`].

use crate::ServeError;
use std::path::Path;
use weft_gateway::{Also, Certificate, Data, DataError, PACK_BYTES, Packs, master};
use weft_store::{DatasetRow, Decision, NewAudit, Read, Store, StoreError};
use weft_types::Timestamp;

/// Where sealed chunks lie, below the state directory.
const PACKS: &str = "data";
/// The key above all keys, beside them.
const MASTER_KEY: &str = "master.key";

/// How long a request that is over is shown; its rows of the audit log stay.
const REQUESTS_KEPT: u64 = 90 * 24 * 3_600_000;

/// Opens them. The key is made where nothing is under seal yet.
pub(crate) async fn open(store: &Store, state_dir: &Path) -> Result<Data, ServeError> {
    // Datasets that were ended are under seal, too, and may be brought back.
    let empty = store.read(|r| Ok::<_, StoreError>(r.team_keys()?.is_empty())).await?;
    let (store, dir) = (store.clone(), state_dir.to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let broken = |error: &dyn std::fmt::Display| ServeError::Broken(error.to_string());
        let key = master(&dir.join(MASTER_KEY), empty).map_err(|e| broken(&e))?;
        let packs = Packs::open(&dir.join(PACKS), PACK_BYTES).map_err(|e| broken(&e))?;
        Ok(Data::new(store, packs, key))
    });
    opened.await.map_err(|panic| ServeError::Broken(panic.to_string()))?
}

/// Forgets what ended and was kept as long as it is to be, and collects what nobody needs then.
/// What fails is told in the log and tried again in the next round.
pub(crate) async fn housekeep(store: &Store, data: &Data, now: Timestamp) {
    let shredded = shred(store, data, now, |row| certified(row, now)).await;
    let before = Timestamp(now.0.saturating_sub(REQUESTS_KEPT));
    let asked = store.write(move |w| w.forget_requests(before)).await.map_err(DataError::from);
    // Whatever became of those: what is forgotten and collected is of others, too.
    let kept = data.housekeep(now).await;
    for error in [shredded.err(), asked.err(), kept.err()].into_iter().flatten() {
        tracing::warn!(%error, "data that ended is not cleared away now");
    }
}

/// Forgets the keys of datasets that were removed and kept as long as they are to be; how many
/// there were. `also` writes what is known of each into the audit log. One that cannot be (its key
/// does not open) is told in the log of the server and keeps none of the others.
pub(crate) async fn shred(
    store: &Store,
    data: &Data,
    now: Timestamp,
    also: impl Fn(&DatasetRow) -> Also<Certificate>,
) -> Result<u64, DataError> {
    let mut all = 0;
    loop {
        // With a dataset its views end, which are the next.
        match shred_these(store, data, now, &also).await? {
            0 => return Ok(all),
            some => all += some,
        }
    }
}

async fn shred_these(
    store: &Store,
    data: &Data,
    now: Timestamp,
    also: impl Fn(&DatasetRow) -> Also<Certificate>,
) -> Result<u64, DataError> {
    let over = move |r: &Read<'_>, row: &DatasetRow| -> Result<bool, StoreError> {
        let ended = row.ended_at.is_some_and(|ended| ended < row.keeps.until(now));
        Ok(ended || r.early_end(row.id, now)?.is_some() || r.source_is_gone(row.id)?)
    };
    let ended = move |r: &Read<'_>| -> Result<Vec<DatasetRow>, StoreError> {
        let mut ended = r.ended_datasets()?;
        let all: Result<Vec<bool>, _> = ended.iter().map(|row| over(r, row)).collect();
        let mut all = all?.into_iter();
        ended.retain(|_| all.next().unwrap_or_default());
        Ok(ended)
    };
    let mut shredded = 0;
    for row in store.read(ended).await? {
        match data.shred(row.id, also(&row), now).await {
            Ok(_) => shredded += 1,
            Err(error) => {
                let dataset = row.is.name.as_str();
                tracing::warn!(%error, dataset, "a dataset that ended keeps its keys for now");
            }
        }
    }
    Ok(shredded)
}

/// What the end of a dataset can be told by, for the audit log.
pub(crate) fn certificate(of: &Certificate) -> serde_json::Value {
    serde_json::json!({
        "shredded": of.of.was.is.name,
        "objects": of.of.objects,
        "bytes": of.of.bytes,
        "digest": hex::encode(of.of.digest),
        "keys": hex::encode(of.fingerprint),
    })
}

/// The row of the server itself: nobody asked for it now, the removal was somebody's.
fn certified(row: &DatasetRow, now: Timestamp) -> Also<Certificate> {
    let resource = format!("dataset {}", row.is.name);
    Box::new(move |w, of| {
        let entry = NewAudit {
            at: now,
            actor: "weft".to_owned(),
            verb: weft_policy::Verb::DataRemove.to_string(),
            resource,
            decision: Decision::Allowed,
            policies: Vec::new(),
            detail: certificate(of).to_string(),
        };
        w.append_audit(entry).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_store::{Asks, Decided, NewDataset, NewRequest};
    use weft_store::{DataHeld, ViewRow, ViewVersionRow};
    use weft_types::{Bytes, Tier};

    const DAY: u64 = 24 * 3_600_000;

    fn new(name: &str, queue: &str) -> NewDataset {
        NewDataset {
            name: name.parse().unwrap(),
            queue: queue.parse().unwrap(),
            owner: "ana".parse().unwrap(),
            tier: Tier::Restricted,
            about: String::new(),
            at: Timestamp(1),
        }
    }

    #[tokio::test]
    async fn what_was_removed_is_beyond_recovery_after_its_days_and_the_log_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = open(&store, dir.path()).await.unwrap();
        let made = data.make(new("claims", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        store.write(move |w| w.end_dataset(made.id, Timestamp(DAY))).await.unwrap();
        let rows = async || store.read(|r| r.audit(0, 10)).await.unwrap();
        housekeep(&store, &data, Timestamp(7 * DAY)).await;
        assert_eq!(
            (rows().await.len(), store.read(|r| r.ended_datasets()).await.unwrap().len()),
            (0, 1)
        );
        housekeep(&store, &data, Timestamp(9 * DAY)).await;
        let told = rows().await;
        assert_eq!((told.len(), told[0].entry.actor.as_str()), (1, "weft"));
        assert!(told[0].entry.detail.contains("\"shredded\":\"claims\""), "{:?}", told[0]);
        assert!(store.read(|r| r.ended_datasets()).await.unwrap().is_empty());
    }

    /// What two people agreed on is done when its time has come, not before, and is done then.
    #[tokio::test]
    async fn an_early_end_that_was_approved_comes_at_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = open(&store, dir.path()).await.unwrap();
        let whole = data.make(new("claims", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        let kept = data.make(new("notes", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        let (asked, due) = (Timestamp(DAY + 1), Timestamp(2 * DAY + 2));
        let of = kept.id;
        let ask = move |w: &mut weft_store::Write<'_>| -> Result<Vec<u64>, StoreError> {
            w.end_dataset(whole.id, Timestamp(DAY))?;
            let version = w.make_version(kept.id, "ana", "", Timestamp(DAY))?;
            w.remove_version(kept.id, version.number, Timestamp(DAY))?;
            let mut ids = Vec::new();
            for (row, version) in [(&whole, None), (&kept, Some(version.number))] {
                let (dataset, name) = (Some(row.id), row.is.name.clone());
                let (asks, asker) = (Asks::End(version), "ana".parse().unwrap());
                let (why, expires_at) = ("consent".to_owned(), Timestamp(9 * DAY));
                let new = NewRequest { dataset, name, asks, asker, why, at: asked, expires_at };
                let id = w.ask(&new)?;
                let (by, at) = ("lea".parse().unwrap(), Timestamp(DAY + 2));
                w.decide_request(id, &Decided { approved: true, by, at, due_at: Some(due) })?;
                ids.push(id);
            }
            Ok(ids)
        };
        let ids = store.write(ask).await.unwrap();
        let left = async || {
            let ids = ids.clone();
            let read = move |r: &Read<'_>| -> Result<_, StoreError> {
                let versions = r.removed_versions(of)?.len();
                let done = ids.iter().map(|id| Ok(r.data_request(*id)?.unwrap().done_at.is_some()));
                let done = done.collect::<Result<Vec<_>, StoreError>>()?;
                Ok((r.ended_datasets()?.len(), versions, done))
            };
            store.read(read).await.unwrap()
        };
        housekeep(&store, &data, Timestamp(due.0 - 1)).await;
        assert_eq!(left().await, (1, 1, vec![false, false]), "a moment too early");
        housekeep(&store, &data, due).await;
        assert_eq!(left().await, (0, 0, vec![true, true]));
        let told = store.read(|r| r.audit(0, 10)).await.unwrap();
        assert!(told[0].entry.detail.contains("\"shredded\":\"claims\""), "{:?}", told[0]);
    }

    /// What was made of a version ends with it, and all that was made of a dataset with that.
    #[tokio::test]
    async fn what_is_forgotten_in_a_source_is_forgotten_in_its_views() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = open(&store, dir.path()).await.unwrap();
        let whole = data.make(new("crown", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        let part = data.make(new("part", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        let of = |dataset: &DatasetRow, source: &DatasetRow| ViewRow {
            dataset: dataset.id,
            source: source.id,
            files: None,
            recipe: "{}".to_owned(),
            made_by: "ana".parse().unwrap(),
            sample: false,
        };
        let (view, source, id) = (of(&part, &whole), whole.id, part.id);
        let make = move |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
            let may = DataHeld { bytes: Bytes(1 << 20), objects: 10 };
            w.put_data_quota(&"lab".parse().unwrap(), may)?;
            w.make_view(&view)?;
            w.make_version(source, "ana", "", Timestamp(DAY)).map(drop)
        };
        store.write(make).await.unwrap();
        let mut replacing = data.replace(&part, weft_gateway::REPLACED_AT_ONCE);
        let staged = data.stage(&part, &b"a,b\n1,2\n"[..]).await.unwrap();
        replacing.put("a.csv", staged, &Default::default(), Timestamp(DAY)).await.unwrap();
        let made = Box::new(move |w: &mut weft_store::Write<'_>, _: &_| {
            let waits = w.view_version(id, 1)?.unwrap();
            w.save_view_version(&ViewVersionRow { version: Some(1), ..waits })
        });
        let said = ("ana".to_owned(), String::new());
        replacing.finish(said, made, Timestamp(DAY)).await.unwrap();
        let there = async |path: &str| {
            let version = store.read(move |r| r.dataset_version(id, 1)).await.unwrap();
            let object = data.object(&part, path, weft_store::At::Changes(1)).await.unwrap();
            (version.is_some(), object.is_some())
        };
        assert_eq!(there("a.csv").await, (true, true));
        store.write(move |w| w.remove_version(source, 1, Timestamp(2 * DAY))).await.unwrap();
        housekeep(&store, &data, Timestamp(3 * DAY)).await;
        assert_eq!(there("a.csv").await, (false, true), "it can be brought back with its source's");
        store.write(move |w| w.revive_version(source, 1)).await.unwrap();
        assert_eq!(there("a.csv").await, (true, true));
        store.write(move |w| w.remove_version(source, 1, Timestamp(4 * DAY))).await.unwrap();
        housekeep(&store, &data, Timestamp(12 * DAY)).await;
        assert_eq!(there("a.csv").await, (false, false), "at once, not days later");

        store.write(move |w| w.end_dataset(source, Timestamp(12 * DAY))).await.unwrap();
        housekeep(&store, &data, Timestamp(13 * DAY)).await;
        assert!(store.read(move |r| r.dataset_by_id(id)).await.unwrap().is_some());
        housekeep(&store, &data, Timestamp(20 * DAY)).await;
        assert!(store.read(move |r| r.dataset_by_id(id)).await.unwrap().is_none());
        let told = store.read(|r| r.audit(0, 10)).await.unwrap();
        let told: Vec<_> = told.iter().map(|row| row.entry.detail.as_str()).collect();
        assert!(told.len() == 2 && told[1].contains("\"shredded\":\"part\""), "{told:?}");
    }

    #[tokio::test]
    async fn a_dataset_whose_key_does_not_open_keeps_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = open(&store, dir.path()).await.unwrap();
        // Of a server with another key above all keys.
        let others = master(&dir.path().join("other.key"), true).unwrap();
        let packs = Packs::open(&dir.path().join("other"), PACK_BYTES).unwrap();
        let others = Data::new(store.clone(), packs, others);
        for (of, name, queue) in [(&others, "alien", "ops"), (&data, "claims", "lab")] {
            let made = of.make(new(name, queue), Box::new(|_, _| Ok(()))).await.unwrap();
            store.write(move |w| w.end_dataset(made.id, Timestamp(DAY))).await.unwrap();
        }
        let kept = data.make(new("notes", "lab"), Box::new(|_, _| Ok(()))).await.unwrap();
        let upload = data.begin_upload(
            &kept,
            "a",
            Default::default(),
            Box::new(|_, _| Ok(())),
            Timestamp(DAY),
        );
        let upload = upload.await.unwrap();
        housekeep(&store, &data, Timestamp(9 * DAY)).await;
        let left = store.read(|r| r.ended_datasets()).await.unwrap();
        let left: Vec<_> = left.iter().map(|row| row.is.name.as_str()).collect();
        assert_eq!(left, ["alien"]);
        assert!(data.upload(&kept, upload).await.unwrap().is_none(), "the rest is looked after");
    }
}
