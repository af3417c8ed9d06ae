//! Outputs that go into datasets: what a run left becomes a version, with where it came from.
//!
//! ```text
//! a workload has ended ─ not well: dropped
//!         │ well
//! may its user write there? ─► make the dataset if need be ─► stage each file ─► one version,
//!         │ no: refused                   with origin, audit row and event ─► the files go
//! ```
//!
//! After the end, so that the run's capacity is free while its outputs are on their way; from the
//! copy that its supervisor made, which is whole or not there. What is to be done stands in the
//! store: a server that was killed goes on with it. What fails is tried again, and said meanwhile.
//! The dataset is as sensitive as what the run read, and is asked for anew: rights and tiers change
//! while a run trains.

mod asked;
mod files;
mod origin;

pub(crate) use asked::Asked;
pub(crate) use origin::{carries_now, read_of};

use crate::api::{App, Watched};
use crate::control::closed;
use files::{File, Nameless};
use futures_util::FutureExt as _;
use serde_json::json;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use weft_agent::now;
use weft_api::spec::WorkloadSpec;
use weft_gateway::{Also, DataError, REPLACED_AT_ONCE};
use weft_lifecycle::State;
use weft_policy::{Decision, Verb};
use weft_store::{
    DatasetRow, DatasetVersionRow, Decision as Allowed, NewAudit, NewDataset, NewEvent,
    PublicationRow, Published, Read, StoreError, WorkloadRow,
};
use weft_types::{DatasetName, Kind, QueueName, Tier, WorkloadId};

/// Before something that failed is tried again for the first time.
const AGAIN: Duration = Duration::from_secs(30);
/// Then each time so many times as long: what is staged in vain lies on the disk until it is
/// collected.
const LONGER: u32 = 4;
/// And at most.
const AGAIN_MOST: Duration = Duration::from_secs(3_600);
/// Outputs that are read at once.
const PAGE: u32 = 64;
/// Outputs that are published at once: each reads a run's files and writes to the disk.
const AT_ONCE: usize = 4;
/// Of one team: what others left is not behind all of it.
const OF_A_TEAM: usize = 2;
/// How often a version is begun anew where others write to its dataset.
const TRIES: u32 = 5;

/// Why an output is not a version.
#[derive(Debug, thiserror::Error)]
enum Unpublished {
    /// It may not be one, or has nothing in it: to try again is of no use.
    #[error("{0}")]
    Refused(String),
    /// Not now.
    #[error("{0}")]
    Data(#[from] DataError),
    /// Not now.
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for Unpublished {
    fn from(error: StoreError) -> Self {
        Self::Data(error.into())
    }
}

impl From<tokio::task::JoinError> for Unpublished {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Other(error.to_string())
    }
}

/// Whether a workload that ended like this leaves versions: a job that did its work, and what runs
/// until somebody stops it.
pub(crate) fn leaves(kind: Kind, state: State) -> bool {
    match state {
        State::Succeeded => true,
        State::Stopped => kind != Kind::Job,
        _ => false,
    }
}

/// Publishes what there is to publish, until the server ends.
pub(crate) async fn run(app: App) {
    let (mut heads, mut ending) = (app.store.watch(), app.control.closing());
    let (mut later, mut going, mut tasks) = (Later::new(), Going::default(), JoinSet::new());
    loop {
        heads.borrow_and_update();
        if let Err(error) = round(&app, &later, &mut going, &mut tasks).await {
            tracing::warn!(%error, "outputs on their way into datasets wait");
        }
        tokio::select! {
            // What goes on is cut off: it is as after a crash, and the next server's.
            () = closed(&mut ending) => return,
            Some(Ok((key, done))) = tasks.join_next() => {
                going.0.remove(&key);
                settle(&mut later, key, done);
            }
            changed = heads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// An output: whose, and which.
type Key = (WorkloadId, u32);

/// What failed: when it is tried again, and how long that was.
type Later = BTreeMap<Key, (Instant, Duration)>;

/// What is published now: of which team, into which dataset.
#[derive(Debug, Default)]
struct Going(BTreeMap<Key, (QueueName, DatasetName)>);

impl Going {
    /// Whether one more may begin: not two of a workload, whose files they share, nor two into a
    /// dataset, which would have to begin anew.
    fn has_room(&self, row: &PublicationRow, team: &QueueName) -> bool {
        let apart = |(key, (_, dataset)): (&Key, &(QueueName, DatasetName))| {
            key.0 != row.workload && *dataset != row.dataset
        };
        let of_team = self.0.values().filter(|(queue, _)| queue == team).count();
        !self.is_full() && of_team < OF_A_TEAM && self.0.iter().all(apart)
    }

    fn is_full(&self) -> bool {
        self.0.len() >= AT_ONCE
    }
}

/// Begins what is due. One that fails, or takes long, keeps none of the others.
async fn round(
    app: &App,
    later: &Later,
    going: &mut Going,
    tasks: &mut JoinSet<(Key, bool)>,
) -> Result<(), StoreError> {
    let mut after = None;
    while !going.is_full() {
        let page = app.store.read(move |r| r.open_publications(after, PAGE)).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some((last.workload, last.entry));
        for (row, team) in page {
            let key = (row.workload, row.entry);
            let waits = later.get(&key).is_some_and(|(due, _)| Instant::now() < *due);
            if waits || !going.has_room(&row, &team) {
                continue;
            }
            going.0.insert(key, (team, row.dataset.clone()));
            let app = app.clone();
            tasks.spawn(async move {
                let done = AssertUnwindSafe(one(&app, row)).catch_unwind().await;
                let done = done.unwrap_or_else(|_| Err(StoreError::Damaged("a panic".to_owned())));
                if let Err(error) = &done {
                    tracing::warn!(workload = %key.0, %error, "an output waits");
                }
                (key, done.unwrap_or(false))
            });
        }
    }
    Ok(())
}

/// What is not done is tried again, later each time.
fn settle(later: &mut Later, key: Key, done: bool) {
    if done {
        later.remove(&key);
        return;
    }
    let before = later.get(&key).map(|(_, wait)| *wait);
    let wait = before.map_or(AGAIN, |wait| (LONGER * wait).min(AGAIN_MOST));
    later.insert(key, (Instant::now() + wait, wait));
}

/// Whether there is nothing more to do about it.
async fn one(app: &App, row: PublicationRow) -> Result<bool, StoreError> {
    let id = row.workload;
    let workload = app.store.read(move |r| r.workload(id)).await?;
    let spec = workload.as_ref().map(crate::control::spec);
    let (Some(workload), Some(Ok(spec))) = (workload, spec) else {
        let gone = PublicationRow { state: Published::Dropped, files: false, ..row };
        app.store.write(move |w| w.save_publication(&gone)).await?;
        return Ok(true);
    };
    let mut row = row;
    if row.state == Published::Waiting {
        if !leaves(workload.kind, workload.record.state) {
            row.state = Published::Dropped;
            row.why = format!("the workload {}", workload.record.state.as_str());
            // What it wrote of what must not leave is not kept as files.
            let (of, spec) = (workload.clone(), spec.clone());
            let carries = app.store.read(move |r| carries_now(r, &of, &spec)).await?;
            row.files = carries >= Tier::Confidential;
            row = keep(app, row, &workload, "not-published").await?;
        } else if let Err(error) = publish(app, &row, &workload, &spec).await {
            return failed(app, row, &workload, error).await;
        } else {
            row = again(app, row).await?;
        }
    }
    if !row.files {
        return Ok(true);
    }
    let cleared = files::clear(app, &workload, &spec).await;
    if let Err(error) = &cleared {
        tracing::warn!(workload = %id, %error, "files that are a version lie there yet");
        return Ok(false);
    }
    let cleared = PublicationRow { files: false, ..row };
    app.store.write(move |w| w.save_publication(&cleared)).await?;
    Ok(true)
}

/// As the transaction that made the version left it.
async fn again(app: &App, row: PublicationRow) -> Result<PublicationRow, StoreError> {
    let (id, entry) = (row.workload, row.entry);
    let rows = app.store.read(move |r| r.publications(id)).await?;
    Ok(rows.into_iter().find(|row| row.entry == entry).unwrap_or(row))
}

/// Keeps why it is no version, and says so once.
async fn failed(
    app: &App,
    row: PublicationRow,
    workload: &WorkloadRow,
    error: Unpublished,
) -> Result<bool, StoreError> {
    let refused = matches!(
        error,
        Unpublished::Refused(_) | Unpublished::Data(DataError::Path(_) | DataError::Notes(_))
    );
    let why = error.to_string();
    if row.why == why && !refused {
        return Ok(false);
    }
    let state = if refused { Published::Refused } else { Published::Waiting };
    let what = if refused { "not-published" } else { "publishing-waits" };
    // What was refused can be fetched as files, where it may leave at all.
    let saved = PublicationRow { state, why, files: !refused, ..row };
    keep(app, saved, workload, what).await?;
    Ok(refused)
}

/// Keeps what became of one, with the event that tells of it.
async fn keep(
    app: &App,
    row: PublicationRow,
    workload: &WorkloadRow,
    what: &str,
) -> Result<PublicationRow, StoreError> {
    let detail = format!("{} into {}: {}", row.path, row.dataset, row.why);
    let (saved, event) = (row.clone(), event(workload, what, detail));
    let saved = app.store.write(move |w| {
        w.save_publication(&saved)?;
        w.append_event(event).map(drop)
    });
    saved.await.map(|()| row)
}

/// Makes a version of what a workload left.
async fn publish(
    app: &App,
    row: &PublicationRow,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
) -> Result<(), Unpublished> {
    let found = files::named(app, workload, &row.path).await.map_err(|e| match e {
        Nameless::Path => Unpublished::Refused(e.to_string()),
        Nameless::Io(_) => Unpublished::Other(e.to_string()),
    })?;
    if found.is_empty() {
        let why = format!("there is no file at `{}`", row.path);
        return Err(Unpublished::Refused(why));
    }
    let mut tries = 0;
    loop {
        let dataset = dataset(app, row, workload, spec).await?;
        match version(app, row, workload, spec, &dataset, &found).await {
            Err(Unpublished::Data(DataError::Moved)) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

/// Stages each file, and makes the version with everything that tells of it.
async fn version(
    app: &App,
    row: &PublicationRow,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
    dataset: &DatasetRow,
    found: &[File],
) -> Result<(), Unpublished> {
    let mut replacing = app.data.replace(dataset, REPLACED_AT_ONCE);
    let made = async {
        for file in found {
            let opened = files::open(app, workload, file).await;
            let opened = opened.map_err(|error| Unpublished::Other(files::reason(error)))?;
            let (body, seen) = Watched::new(opened, &file.to);
            let staged = app.data.stage(dataset, body).await?;
            let notes = seen.content().notes(&app.data, &staged, dataset.is.tier).await?;
            replacing.put(&file.to, staged, &notes, now()).await?;
        }
        let note = format!("left by {} ({})", workload.name, workload.id);
        let also = told(app, row, workload, spec, dataset);
        replacing.finish((workload.user.to_string(), note), also, now()).await?;
        Ok(())
    };
    let made: Result<(), Unpublished> = made.await;
    if made.is_err() {
        replacing.undo(now()).await?;
    }
    made
}

/// What stands beside the version: its origin, the audit row, the event, and that it is made.
/// Staging took its time: whether it may be written is asked once more, in the same transaction.
fn told(
    app: &App,
    row: &PublicationRow,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
    dataset: &DatasetRow,
) -> Also<DatasetVersionRow> {
    let (app, row, dataset) = (app.clone(), row.clone(), dataset.clone());
    let (workload, spec) = (workload.clone(), spec.clone());
    Box::new(move |w, version| {
        let at = now();
        let meanwhile = || StoreError::InUse {
            what: "dataset",
            id: dataset.is.name.to_string(),
            by: "it, or who may write to it, has changed meanwhile".to_owned(),
        };
        let there = w.dataset(&dataset.is.name)?.filter(|there| there.id == dataset.id);
        let there = there.ok_or_else(meanwhile)?;
        let asked = Asked::read(w, &workload, &spec)?.ok_or_else(meanwhile)?;
        let policies = match asked.decide(&app, &workload.queue, Some(&there)) {
            Ok((_, decision)) => decision.policies.to_vec(),
            Err(_) => return Err(meanwhile()),
        };
        let origin = origin::of(w, &workload, &spec, at)?;
        w.put_origin(dataset.id, version.number, &origin)?;
        let name = format!("{}@v{}", dataset.is.name, version.number);
        let detail = json!({
            "run": workload.id.to_string(),
            "version": version.number,
            "objects": version.objects,
            "bytes": version.bytes,
        });
        w.append_audit(NewAudit {
            at,
            actor: workload.user.to_string(),
            verb: Verb::DataWrite.to_string(),
            resource: format!("dataset {}", dataset.is.name),
            decision: Allowed::Allowed,
            policies,
            detail: detail.to_string(),
        })?;
        let many = if version.objects == 1 { "" } else { "s" };
        let told = format!("{name}, {} file{many}, {}", version.objects, version.bytes);
        w.append_event(event(&workload, "published", told))?;
        w.save_publication(&PublicationRow {
            state: Published::Made,
            version: Some(version.number),
            why: String::new(),
            ..row
        })
    })
}

/// The dataset that a workload writes to, made where there is none.
async fn dataset(
    app: &App,
    row: &PublicationRow,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
) -> Result<DatasetRow, Unpublished> {
    let (name, of, spec) = (row.dataset.clone(), workload.clone(), spec.clone());
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        Ok((r.dataset(&name)?, Asked::read(r, &of, &spec)?))
    };
    let (there, asked) = app.store.read(read).await?;
    let asked = asked.ok_or_else(|| Unpublished::Refused("its user is gone".to_owned()))?;
    let decision = match asked.decide(app, &workload.queue, there.as_ref()) {
        Ok((_, decision)) => decision,
        Err((verb, policies, why)) => {
            let detail = json!({ "run": workload.id.to_string(), "why": why });
            let refused = NewAudit {
                at: now(),
                actor: asked.who.user.to_string(),
                verb: verb.to_string(),
                resource: format!("dataset {}", row.dataset),
                decision: Allowed::Denied,
                policies,
                detail: detail.to_string(),
            };
            app.store.write(move |w| w.append_audit(refused).map(drop)).await?;
            let who = &asked.who.user;
            return Err(Unpublished::Refused(format!("{who} may not {verb}: {why}")));
        }
    };
    if let Some(there) = there {
        return Ok(there);
    }
    let new = NewDataset {
        name: row.dataset.clone(),
        queue: workload.queue.clone(),
        tier: tier_of(asked.who.carries),
        owner: asked.who.user,
        about: String::new(),
        at: now(),
    };
    Ok(app.data.make(new, made(workload.id, decision)).await?)
}

/// How sensitive what a run writes is: as what it read, and never known outside of the house unless
/// somebody says so.
fn tier_of(carries: Tier) -> Tier {
    carries.max(Tier::default())
}

/// The audit row of a dataset that a run made.
fn made(run: WorkloadId, decision: Decision) -> Also<DatasetRow> {
    Box::new(move |w, row: &DatasetRow| {
        let detail = json!({ "run": run.to_string(), "tier": row.is.tier, "queue": row.is.queue });
        let entry = NewAudit {
            at: row.is.at,
            actor: row.is.owner.to_string(),
            verb: Verb::DataMake.to_string(),
            resource: format!("dataset {}", row.is.name),
            decision: Allowed::Allowed,
            policies: decision.policies.to_vec(),
            detail: detail.to_string(),
        };
        w.append_audit(entry).map(drop)
    })
}

fn event(workload: &WorkloadRow, what: &str, detail: String) -> NewEvent {
    NewEvent {
        at: now(),
        actor: "weft".to_owned(),
        kind: "workload".to_owned(),
        subject: workload.id.to_string(),
        queue: Some(workload.queue.clone()),
        what: what.to_owned(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: u64, entry: u32, dataset: &str) -> PublicationRow {
        PublicationRow {
            workload: WorkloadId(workload),
            entry,
            path: "model/".to_owned(),
            dataset: dataset.parse().unwrap(),
            state: Published::Waiting,
            version: None,
            why: String::new(),
            files: true,
        }
    }

    #[test]
    fn several_are_published_at_once_and_a_team_has_its_part() {
        let mut going = Going::default();
        let mut begins = |workload, entry, dataset: &str, team: &str| {
            let (row, team) = (row(workload, entry, dataset), team.parse().unwrap());
            let room = going.has_room(&row, &team);
            if room {
                going.0.insert((row.workload, row.entry), (team, row.dataset));
            }
            room
        };
        assert!(begins(1, 0, "first", "lab"));
        assert!(!begins(1, 0, "first", "lab"), "it goes on already");
        assert!(!begins(1, 1, "second", "lab"), "two share their files");
        assert!(!begins(2, 0, "first", "ops"), "two would be in each other's way");
        assert!(begins(3, 0, "third", "lab"));
        assert!(!begins(4, 0, "fourth", "lab"), "a team has two");
        assert!(begins(5, 0, "fifth", "ops") && begins(6, 0, "sixth", "ops"));
        assert!(!begins(7, 0, "seventh", "rest"), "all have four");
    }

    #[test]
    fn what_fails_is_tried_later_each_time() {
        let (mut later, key) = (Later::new(), (WorkloadId(1), 0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            settle(&mut later, key, false);
            waits.push(later[&key].1);
        }
        assert_eq!((waits[0], waits[1], waits[5]), (AGAIN, LONGER * AGAIN, AGAIN_MOST));
        settle(&mut later, key, true);
        assert!(later.is_empty());
    }
}
