//! Runs: begun, found, ended, deleted and brought back.

use super::door::{Answer, Asked, Refused};
use super::experiments::inactive;
use super::words::{Info, Run, answer, done};
use serde::Deserialize;
use serde_json::json;
use weft_policy::Verb;
use weft_store::{NewTracked, Read, StoreError, TrackedChange, TrackedId, TrackedRow, Write};
use weft_tracking::check::{self, Kept};
use weft_tracking::wire::{Pair, list, whole};
use weft_tracking::{Code, Fault, Status};
use weft_types::{Bytes, QueueName};

/// The tag by which clients name a run, too.
pub(super) const NAME_TAG: &str = "mlflow.runName";

/// Tags that the platform sets, of which people can be sure.
const OURS: &str = "weft.";

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
    experiment_id: Option<String>,
    run_name: Option<String>,
    #[serde(deserialize_with = "whole")]
    start_time: Option<i64>,
    #[serde(deserialize_with = "list")]
    tags: Vec<Pair>,
}

/// `runs/create`
pub(super) async fn create(asked: &Asked) -> Answer {
    let said: Create = asked.said()?;
    let place = |at: usize| format!("tags[{at}].");
    let tags = said.tags.iter().enumerate().map(|(at, tag)| check::tag(tag, &place(at)));
    let mut tags: Vec<Kept> = tags.collect::<Result<_, _>>()?;
    tags.iter().try_for_each(|tag| not_ours(&tag.key))?;
    let name = name(said.run_name, &mut tags)?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let (experiment, _) = asked.experiment(Verb::ExperimentRead, id).await?;
    let queue = experiment.is.queue.clone();
    let unseen = || inactive("experiment", &id.to_string());
    let resource = asked.to_be(&queue);
    let about = (resource, format!("experiment {}", experiment.id.0));
    let policies = asked.may(Verb::RunMake, about, unseen).await?;
    tags.extend(provenance(asked));
    let new = NewTracked {
        uuid: hex::encode(random()?),
        experiment: experiment.id,
        name,
        owner: asked.who.principal.user.clone(),
        started_at: said.start_time.unwrap_or_default(),
        tier: asked.tier(),
        workload: asked.run.map(|key| (key.workload, key.attempt)),
    };
    let detail = json!({ "experiment": experiment.id.0 });
    let audit = asked.row(Verb::RunMake, format!("run {}", new.uuid), &policies, detail);
    let may = asked.app.about.limits.tracking_bytes_per_queue;
    let make = move |w: &mut Write<'_>| -> Result<Run, Refused> {
        let known = w.experiment(experiment.id)?;
        if known.is_none_or(|row| row.deleted_at.is_some()) {
            return Err(inactive("experiment", &id.to_string()).into());
        }
        let row = w.track(&new)?;
        let mut grown = NEW_BYTES;
        for tag in &tags {
            grown += w.keep_tag(row.id, tag)?;
        }
        grew(w, (row.id, &queue), grown, may)?;
        w.append_audit(audit)?;
        Ok(Run::of(w, &row)?)
    };
    let made = asked.app.store.write(make).await?;
    answer(&json!({ "run": made }))
}

/// What a run costs by itself.
pub(super) const NEW_BYTES: i64 = 200;

/// A run grew, within what its team may hold.
pub(super) fn grew(
    w: &mut Write<'_>,
    (run, queue): (TrackedId, &QueueName),
    bytes: i64,
    may: Bytes,
) -> Result<(), Refused> {
    w.tracked_grew((run, queue), bytes, may.0).map_err(full)
}

/// What a team is told that may hold no more.
pub(super) fn full(error: StoreError) -> Refused {
    match error {
        StoreError::OverQuota { queue, held, may, .. } => {
            let told = format!(
                "the experiments of team {queue} would hold {held} bytes with this, and may hold \
                 {may}: delete runs, or have an operator raise --limit tracking-bytes-per-queue"
            );
            Fault::new(Code::ResourceExhausted, told).into()
        }
        other => other.into(),
    }
}

/// The name of a run to be, which is also in its tags from then on.
fn name(said: Option<String>, tags: &mut Vec<Kept>) -> Result<String, Refused> {
    let said = said.filter(|name| !name.is_empty());
    let tagged = tags.iter().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.clone());
    if let (Some(name), Some(tag)) = (&said, &tagged)
        && name != tag
    {
        let told = format!(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different \
             values (run_name='{name}', mlflow.runName='{tag}')."
        );
        return Err(Fault::invalid(told).into());
    }
    let had_tag = tagged.is_some();
    let name = match said.or(tagged) {
        Some(name) => name,
        None => invented()?,
    };
    let name: String = name.chars().take(check::KEY_MAX).collect();
    if !had_tag {
        tags.push(Kept { key: NAME_TAG.to_owned(), value: name.clone() });
    }
    Ok(name)
}

/// A name for a run that nobody named.
pub(super) fn invented() -> Result<String, Refused> {
    const HOW: [&str; 16] = [
        "bright", "calm", "deft", "early", "fine", "gentle", "keen", "late", "lively", "mellow",
        "neat", "plain", "quiet", "ready", "swift", "warm",
    ];
    const WHAT: [&str; 16] = [
        "bobbin", "carder", "distaff", "felt", "heddle", "jacquard", "loom", "pattern", "reed",
        "selvage", "shuttle", "spindle", "thread", "treadle", "warp", "yarn",
    ];
    let [how, what, high, low, ..] = random()?;
    let number = u16::from_be_bytes([high, low]) % 1_000;
    Ok(format!("{}-{}-{number}", HOW[usize::from(how) % 16], WHAT[usize::from(what) % 16]))
}

pub(super) fn random() -> Result<[u8; 16], Refused> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        Refused(Fault::new(Code::InternalError, "the server failed"))
    })?;
    Ok(bytes)
}

/// Refuses a tag that only the platform sets.
pub(super) fn not_ours(key: &str) -> Result<(), Fault> {
    match key.starts_with(OURS) {
        true => Err(Fault::value("key", key, "tags of `weft.…` are set by the platform alone")),
        false => Ok(()),
    }
}

/// Where a run is tracked from: the workload, and the data that it declared.
fn provenance(asked: &Asked) -> Vec<Kept> {
    let tag = |name: &str, value: String| Kept { key: format!("{OURS}{name}"), value };
    let Some(run) = asked.run else { return Vec::new() };
    let mut tags = vec![tag("workload", run.workload.to_string())];
    if let Some(declared) = &asked.who.run {
        let data: Vec<&str> = declared.data.iter().map(|data| data.from.as_str()).collect();
        if !data.is_empty() {
            let text = data.join(", ");
            tags.push(tag("data", text.chars().take(check::TAG_MAX).collect()));
        }
    }
    tags
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Which {
    run_id: Option<String>,
    run_uuid: Option<String>,
}

impl Which {
    /// The id, under the name that it has today or had.
    pub(super) fn id(&self) -> Result<String, Fault> {
        let said = [&self.run_id, &self.run_uuid].into_iter().flatten().find(|id| !id.is_empty());
        check::run_id(said.map(String::as_str))
    }
}

/// `runs/get`
pub(super) async fn get(asked: &Asked) -> Answer {
    let id = asked.said::<Which>()?.id()?;
    let found = asked.tracked(Verb::RunRead, &id).await?;
    let run = asked.app.store.glance(|r| Run::of(r, &found.row)).await?;
    answer(&json!({ "run": run }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Update {
    #[serde(flatten)]
    which: Which,
    status: Option<String>,
    #[serde(deserialize_with = "whole")]
    end_time: Option<i64>,
    run_name: Option<String>,
}

/// `runs/update`
pub(super) async fn update(asked: &Asked) -> Answer {
    let said: Update = asked.said()?;
    let id = said.which.id()?;
    let status = said.status.map(|word| {
        let rule = "It must be RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.";
        word.parse::<Status>().map_err(|()| Fault::value("status", &word, rule))
    });
    let name = said.run_name.filter(|name| !name.is_empty());
    let change = TrackedChange {
        status: status.transpose()?,
        ended_at: said.end_time,
        name: name.map(|name| name.chars().take(check::KEY_MAX).collect()),
    };
    let info = change_run(asked, &id, move |w, row| {
        w.change_tracked(row.id, &change)?;
        match change.name {
            None => Ok(0),
            Some(name) => Ok(w.keep_tag(row.id, &Kept { key: NAME_TAG.to_owned(), value: name })?),
        }
    });
    answer(&json!({ "run_info": info.await? }))
}

/// Changes a run that is there, in one transaction, and what it is then. What the caller carries it
/// is from then on; `change` says by how many bytes it grew.
pub(super) async fn change_run<F>(asked: &Asked, id: &str, change: F) -> Result<Info, Refused>
where
    F: FnOnce(&mut Write<'_>, &TrackedRow) -> Result<i64, Refused> + Send + 'static,
{
    let found = asked.tracked(Verb::RunWrite, id).await?;
    let raises = asked.raises(&found.row);
    let (queue, uuid) = (found.experiment.is.queue, found.row.is.uuid);
    let may = asked.app.about.limits.tracking_bytes_per_queue;
    let write = move |w: &mut Write<'_>| -> Result<Info, Refused> {
        let row = there(w, &uuid)?;
        if let Some(tier) = raises.filter(|tier| *tier > row.is.tier) {
            w.raise_tracked(row.id, tier)?;
        }
        let grown = change(w, &row)?;
        grew(w, (row.id, &queue), grown, may)?;
        let now = w.tracked(&uuid)?;
        Ok(Info::of(now.as_ref().unwrap_or(&row)))
    };
    asked.app.store.write(write).await
}

/// The run, which is not deleted.
fn there(r: &Read<'_>, uuid: &str) -> Result<TrackedRow, Refused> {
    let gone = || Fault::new(Code::ResourceDoesNotExist, format!("Run with id={uuid} not found"));
    let row = r.tracked(uuid)?.ok_or_else(gone)?;
    match row.deleted_at {
        None => Ok(row),
        Some(_) => Err(inactive("run", uuid).into()),
    }
}

/// `runs/delete` and `runs/restore`
pub(super) async fn delete(asked: &Asked, deletes: bool) -> Answer {
    let id = asked.said::<Which>()?.id()?;
    let found = asked.tracked(Verb::RunWrite, &id).await?;
    let detail = json!({ "deletes": deletes });
    let audit = asked.row(Verb::RunWrite, format!("run {id}"), &found.policies, detail);
    let deleted_at = deletes.then_some(asked.now);
    let delete = move |w: &mut Write<'_>| -> Result<(), StoreError> {
        w.append_audit(audit)?;
        w.delete_tracked(found.row.id, deleted_at)
    };
    asked.app.store.write(delete).await?;
    done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_name() {
        let tag = |value: &str| Kept { key: NAME_TAG.to_owned(), value: value.to_owned() };
        let mut tags = vec![tag("a")];
        assert_eq!(name(None, &mut tags).unwrap(), "a");
        assert_eq!(name(Some("a".to_owned()), &mut tags).unwrap(), "a");
        assert!(name(Some("b".to_owned()), &mut tags).is_err());
        let mut tags = Vec::new();
        let invented = name(Some(String::new()), &mut tags).unwrap();
        assert_eq!(tags, [tag(&invented)]);
    }

    #[test]
    fn what_the_platform_says_nobody_else_does() {
        assert!(not_ours("weft.workload").is_err());
        assert!(not_ours("weftless").is_ok());
    }
}
