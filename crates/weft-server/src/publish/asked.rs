//! Who asks to write what a run leaves, and whether it may go there.
//!
//! Beside the policy's tiers one rule holds, which needs to know the inputs: what was read of
//! confidential data stays with the team whose it is, of restricted data with its owner. Otherwise
//! whoever was given access until a day would have a copy for good, and give it to others.

use super::origin::{carries_now, read_of};
use super::tier_of;
use crate::api::{App, of_dataset};
use weft_api::spec::WorkloadSpec;
use weft_policy::{Decision, Principal, Resource, Role, Scope, Source, Verb};
use weft_store::{DatasetRow, Read, StoreError, WorkloadRow};
use weft_types::{QueueName, Tier, UserName};

/// The rule's name on the audit log.
const STAYS: &str = "copies-stay-with-whose-they-are";

/// A run that asks to write, with what it read.
pub(crate) struct Asked {
    /// As the policy sees it.
    pub(crate) who: Principal,
    /// What it read of the upper tiers.
    inputs: Vec<DatasetRow>,
}

/// Why it may not: what it asked for, by which rules, in words.
pub(crate) type Refusal = (Verb, Vec<String>, String);

impl Asked {
    /// As things are now; none: its user is gone.
    pub(super) fn read(
        r: &Read<'_>,
        workload: &WorkloadRow,
        spec: &WorkloadSpec,
    ) -> Result<Option<Self>, StoreError> {
        let Some(user) = r.user(&workload.user)? else { return Ok(None) };
        let damaged = |e: &dyn std::fmt::Display| StoreError::Damaged(e.to_string());
        let who = Principal {
            user: user.name,
            role: user.role.as_str().parse::<Role>().map_err(|e| damaged(&e))?,
            queue: user.queue,
            scope: Scope::Write,
            by: Source::Run,
            disabled: user.disabled,
            carries: carries_now(r, workload, spec)?,
        };
        Ok(Some(Self::of(who, read_of(r, spec, workload.submitted_at)?)))
    }

    /// A run to be, of somebody who submits it.
    pub(crate) fn of(who: Principal, mut inputs: Vec<DatasetRow>) -> Self {
        inputs.retain(|row| row.is.tier >= Tier::Confidential);
        Self { who, inputs }
    }

    /// Whether it may write there, or make a dataset in that queue.
    pub(crate) fn decide(
        &self,
        app: &App,
        queue: &QueueName,
        there: Option<&DatasetRow>,
    ) -> Result<(Verb, Decision), Refusal> {
        let (verb, resource) = match there {
            Some(there) => (Verb::DataWrite, of_dataset(there)),
            None => {
                let (owner, tier) = (self.who.user.clone(), tier_of(self.who.carries));
                let (queue, granted) = (queue.clone(), std::sync::Arc::default());
                (Verb::DataMake, Resource::Dataset { owner, queue, tier, granted, view: false })
            }
        };
        let (owner, queue) = match there {
            Some(there) => (&there.is.owner, &there.is.queue),
            None => (&self.who.user, queue),
        };
        let decision = app.decide(&self.who, verb, resource);
        if !decision.allow {
            return Err((verb, decision.policies.to_vec(), decision.rule.to_string()));
        }
        match self.strays(owner, queue) {
            Some(why) => Err((verb, vec![STAYS.to_owned()], why)),
            None => Ok((verb, decision)),
        }
    }

    /// Why a dataset of that owner and queue is no place for what was read.
    fn strays(&self, owner: &UserName, queue: &QueueName) -> Option<String> {
        self.inputs.iter().map(|row| &row.is).find_map(|is| {
            let (tier, team) = (is.tier, &is.queue);
            if !within(team, queue) {
                let whose = format!("it reads {tier} data of the team {team}, which keeps copies");
                return Some(format!("{whose} of it: run it in that queue"));
            }
            let anothers = is.tier >= Tier::Restricted && is.owner != *owner;
            let whose = format!("it reads {tier} data of {}, who alone keeps copies", is.owner);
            anothers.then(|| format!("{whose} of it"))
        })
    }
}

/// Whether what is in `to` is read by no more people than what is in `from`: itself, or above it.
fn within(from: &QueueName, to: &QueueName) -> bool {
    let rest = from.as_str().strip_prefix(to.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
