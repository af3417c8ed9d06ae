//! Who may: the verb of each request, decided by the policy on what the store has now.
//!
//! What a caller may not see is answered as what does not exist. Each refusal is on the audit log,
//! and so is who looks at what came of confidential data in somebody else's run.

use super::door::{Asked, Refused};
use crate::api::{DEFAULT_QUEUE, quoted};
use crate::auth::{self, Peer};
use serde_json::{Value, json};
use weft_policy::{Resource, Verb};
use weft_store::{
    Decision, ExperimentId, ExperimentRow, NewAudit, NewExperiment, Read, StoreError, TrackedRow,
};
use weft_tracking::{Code, Fault, check};
use weft_types::{QueueName, Tier, UserName};

/// The experiment that every team has: made when somebody first asks for it.
const DEFAULT: &str = "Default";

/// What clients call that one.
const DEFAULT_ID: u64 = 0;

/// A run, and the experiment in which it was tracked.
pub(super) struct Found {
    pub(super) row: TrackedRow,
    pub(super) experiment: ExperimentRow,
    /// By which policies it was found.
    pub(super) policies: Vec<String>,
}

/// An experiment to the policy.
pub(super) fn of_experiment(row: &ExperimentRow) -> Resource {
    let NewExperiment { owner, queue, tier, .. } = &row.is;
    Resource::Experiment { owner: owner.clone(), queue: queue.clone(), tier: *tier }
}

/// A run or a model to the policy.
pub(super) fn of_kept((owner, tier): (&UserName, Tier), queue: &QueueName) -> Resource {
    Resource::Experiment { owner: owner.clone(), queue: queue.clone(), tier }
}

impl Asked {
    /// The team whose experiments are meant: the caller's, or what people without one have.
    pub(super) fn team(&self) -> Result<QueueName, Fault> {
        let without = || QueueName::new(DEFAULT_QUEUE);
        let team = self.who.principal.queue.clone().map_or_else(without, Ok);
        team.map_err(|error| Fault::new(Code::InternalError, error.to_string()))
    }

    /// The tier of what the caller writes: of a workload, the highest that it may have read.
    pub(super) fn tier(&self) -> Tier {
        self.who.principal.carries.max(Tier::Internal)
    }

    /// Something that the caller makes, to the policy.
    pub(super) fn to_be(&self, queue: &QueueName) -> Resource {
        let owner = self.who.principal.user.clone();
        Resource::Experiment { owner, queue: queue.clone(), tier: self.tier() }
    }

    /// Lets the caller do it, by these policies, or says why not, which is on the audit log then.
    pub(super) async fn may(
        &self,
        verb: Verb,
        (resource, named): (Resource, String),
        unseen: impl FnOnce() -> Fault,
    ) -> Result<Vec<String>, Refused> {
        let decision = self.app.decide(&self.who.principal, verb, resource.clone());
        if decision.allow {
            return Ok(decision.policies.to_vec());
        }
        self.keep_out(verb, named, (&decision.policies, &decision.rule)).await?;
        let read = match verb {
            Verb::RunWrite | Verb::RunRead => Verb::RunRead,
            _ => Verb::ExperimentRead,
        };
        let makes = matches!(verb, Verb::ExperimentMake | Verb::RunMake);
        if !makes && !self.app.decide(&self.who.principal, read, resource).allow {
            return Err(unseen().into());
        }
        let who = &self.who.principal;
        let told = format!("{} ({}) may not {verb}: {}", who.user, who.role, decision.rule);
        Err(Fault::new(Code::PermissionDenied, told).into())
    }

    /// Notes a refusal: a person's as any other; a run's programs are anybody's code, and could
    /// fill the disk with rows, so that too many are not even looked at.
    async fn keep_out(
        &self,
        verb: Verb,
        named: String,
        (policies, why): (&[String], &str),
    ) -> Result<(), Refused> {
        let row = NewAudit {
            decision: Decision::Denied,
            ..self.row(verb, named, policies, json!({ "why": why }))
        };
        if let Peer::Run { .. } = self.peer {
            if !auth::may_fail(&self.app.throttle, self.peer) {
                let told = "too many requests of this run were refused: wait a minute";
                return Err(Fault::new(Code::RequestLimitExceeded, told).into());
            }
            return Ok(self.app.store.write(move |w| w.append_audit(row).map(drop)).await?);
        }
        Ok(self.app.refusals.note(row).await?)
    }

    /// The audit row of what was allowed.
    pub(super) fn row(
        &self,
        verb: Verb,
        resource: String,
        policies: &[String],
        mut detail: Value,
    ) -> NewAudit {
        detail["by"] = json!("mlflow");
        if let Some(token) = &self.who.token {
            detail["token"] = json!(token);
        }
        NewAudit {
            at: self.now,
            actor: self.who.principal.user.to_string(),
            verb: verb.to_string(),
            resource,
            decision: Decision::Allowed,
            policies: policies.to_vec(),
            detail: detail.to_string(),
        }
    }

    /// The experiment that clients call so, if the caller may do this to it, and by which policies.
    pub(super) async fn experiment(
        &self,
        verb: Verb,
        id: u64,
    ) -> Result<(ExperimentRow, Vec<String>), Refused> {
        let unseen = || {
            let told = format!("No Experiment with id={id} exists, or it is not yours to see");
            Fault::new(Code::ResourceDoesNotExist, told)
        };
        let row = match id {
            DEFAULT_ID => Some(self.default().await?),
            id => self.app.store.glance(|r| r.experiment(ExperimentId(id))).await?,
        };
        let Some(row) = row else {
            self.keep_out(verb, named(id), (&[], "not visible")).await?;
            return Err(unseen().into());
        };
        let policies = self.may(verb, (of_experiment(&row), named(row.id.0)), unseen).await?;
        Ok((row, policies))
    }

    /// The team's own experiment for what belongs to no other.
    async fn default(&self) -> Result<ExperimentRow, Refused> {
        let queue = self.team()?;
        let of = queue.clone();
        if let Some(row) = self.app.store.glance(|r| r.experiment_named(&of, DEFAULT)).await? {
            return Ok(row);
        }
        let owner = self.who.principal.user.clone();
        // Its name tells nothing of anybody.
        let (tier, at) = (Tier::Internal, self.now);
        let new = NewExperiment { queue, name: DEFAULT.to_owned(), owner, tier, at };
        let resource = Resource::Experiment {
            owner: new.owner.clone(),
            queue: new.queue.clone(),
            tier: self.tier(),
        };
        let unseen = || Fault::new(Code::ResourceDoesNotExist, "No Experiment with id=0 exists");
        let policies = self.may(Verb::ExperimentMake, (resource, named(0)), unseen).await?;
        let row = self.row(Verb::ExperimentMake, quoted(DEFAULT), &policies, json!({}));
        let made = move |w: &mut weft_store::Write<'_>| -> Result<_, StoreError> {
            // Another may have made it meanwhile.
            if let Some(row) = w.experiment_named(&new.queue, DEFAULT)? {
                return Ok(row);
            }
            w.append_audit(row)?;
            w.make_experiment(&new)
        };
        Ok(self.app.store.write(made).await?)
    }

    /// The run that clients call so, if the caller may do this to it.
    pub(super) async fn tracked(&self, verb: Verb, uuid: &str) -> Result<Found, Refused> {
        let unseen = || {
            let told = format!("Run with id={uuid} not found, or it is not yours to see");
            Fault::new(Code::ResourceDoesNotExist, told)
        };
        let found = self.app.store.glance(|r| found(r, uuid)).await?;
        let kept = found
            .as_ref()
            .map(|(row, experiment)| of_kept((&row.is.owner, row.is.tier), &experiment.is.queue));
        let policies = self.may_kept(verb, kept, &format!("run {uuid}"), unseen).await?;
        let (row, experiment) = found.ok_or_else(unseen)?;
        Ok(Found { row, experiment, policies })
    }

    /// Lets the caller do this to a run or a model, where there is one, by these policies. A look
    /// at what came of confidential data in somebody else's leaves a row.
    pub(super) async fn may_kept(
        &self,
        verb: Verb,
        kept: Option<Resource>,
        name: &str,
        unseen: impl FnOnce() -> Fault,
    ) -> Result<Vec<String>, Refused> {
        let Some(mut resource) = kept else {
            self.keep_out(verb, name.to_owned(), (&[], "not visible")).await?;
            return Err(unseen().into());
        };
        let is_looked_at = verb == Verb::RunRead && self.is_looked_at(&resource);
        if let (Verb::RunWrite, Resource::Experiment { tier, .. }) = (verb, &mut resource) {
            // What is more sensitive makes it so, by the same transaction.
            *tier = (*tier).max(self.who.principal.carries);
        }
        let policies = self.may(verb, (resource, name.to_owned()), unseen).await?;
        if is_looked_at {
            let row = self.row(verb, name.to_owned(), &policies, json!({}));
            self.app.store.write(move |w| w.append_audit(row).map(drop)).await?;
        }
        Ok(policies)
    }

    fn is_looked_at(&self, resource: &Resource) -> bool {
        let Resource::Experiment { owner, tier, .. } = resource else { return false };
        *tier >= Tier::Confidential && *owner != self.who.principal.user
    }

    /// Notes which of some that a search has found leave a row.
    pub(super) async fn looks_at<'a>(
        &self,
        found: impl Iterator<Item = (&'a UserName, Tier, &'a str)>,
    ) -> Result<(), Refused> {
        let user = &self.who.principal.user;
        let is_looked_at = |(owner, tier, _): &(&UserName, Tier, &str)| {
            *tier >= Tier::Confidential && *owner != user
        };
        let looked: Vec<&str> = found.filter(is_looked_at).map(|(.., uuid)| uuid).collect();
        if looked.is_empty() {
            return Ok(());
        }
        // A row of the log holds so many ids, and says how many there were.
        let named = &looked[..looked.len().min(100)];
        let detail = json!({ "found": looked.len(), "of_them": named });
        let row = self.row(Verb::RunRead, "a search".to_owned(), &[], detail);
        Ok(self.app.store.write(move |w| w.append_audit(row).map(drop)).await?)
    }

    /// The experiments that are looked through. Those that the caller may not see have nothing in
    /// them, and so have those that there are not.
    pub(super) async fn seen(&self, ids: &[String]) -> Result<Vec<ExperimentRow>, Refused> {
        let mut seen: Vec<ExperimentRow> = Vec::new();
        for id in ids {
            let id = check::experiment_id(Some(id))?;
            let row = match id {
                DEFAULT_ID => Some(self.experiment(Verb::ExperimentRead, id).await?.0),
                id => self.app.store.glance(|r| r.experiment(ExperimentId(id))).await?,
            };
            let who = &self.who.principal;
            let may = |row: &ExperimentRow| {
                self.app.decide(who, Verb::ExperimentRead, of_experiment(row)).allow
            };
            let is_new = |row: &ExperimentRow| seen.iter().all(|known| known.id != row.id);
            let row = row.filter(|row| is_new(row) && may(row));
            seen.extend(row);
        }
        Ok(seen)
    }

    /// The tier that a run has from now on, if it becomes another by what the caller writes.
    pub(super) fn raises(&self, row: &TrackedRow) -> Option<Tier> {
        let carries = self.who.principal.carries;
        (carries > row.is.tier).then_some(carries)
    }
}

fn found(r: &Read<'_>, uuid: &str) -> Result<Option<(TrackedRow, ExperimentRow)>, StoreError> {
    let Some(row) = r.tracked(uuid)? else { return Ok(None) };
    let experiment = r.experiment(row.is.experiment)?;
    Ok(experiment.map(|experiment| (row, experiment)))
}

/// An experiment, for the audit log.
pub(super) fn named(id: u64) -> String {
    format!("experiment {id}")
}
