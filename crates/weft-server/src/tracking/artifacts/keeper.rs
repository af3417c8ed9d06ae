//! What keeps files: a run or a model, and the datasets in which its files lie.

use super::place::{Of, Place};
use super::told;
use crate::api;
use crate::tracking::door::{Asked, Refused};
use crate::tracking::experiments::inactive;
use crate::tracking::models;
use crate::tracking::rights::{self, of_kept};
use serde_json::json;
use weft_policy::{Resource, Verb};
use weft_store::{
    DatasetRow, ExperimentRow, ModelId, NewDataset, NewModel, NewTracked, Read, StoreError,
    TrackedId, Write,
};
use weft_tracking::{Code, Fault};
use weft_types::{DatasetName, Tier, UserName};

/// What keeps files, if the caller may do with it what was asked.
pub(super) struct Keeper {
    pub(super) experiment: ExperimentRow,
    pub(super) id: Id,
    /// As clients call it, and what its files' names begin with.
    pub(super) uuid: String,
    pub(super) owner: UserName,
    pub(super) tier: Tier,
    /// By which policies it was found.
    pub(super) policies: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Id {
    Run(TrackedId),
    Model(ModelId),
}

impl Keeper {
    /// The run or the model of this place; to be written to, it must not be deleted.
    pub(super) async fn of(asked: &Asked, verb: Verb, place: &Place) -> Result<Self, Refused> {
        let keeper = match &place.of {
            Of::Run(uuid) => {
                let found = asked.tracked(verb, uuid).await?;
                if verb == Verb::RunWrite && found.row.deleted_at.is_some() {
                    return Err(inactive("run", uuid).into());
                }
                Self::of_run(found)
            }
            Of::Model(uuid) => Self::of_model(models::found(asked, verb, uuid).await?),
        };
        match keeper.experiment.id.0 == place.experiment {
            true => Ok(keeper),
            false => {
                let Self { uuid, .. } = keeper;
                let told = format!("{uuid} is not of experiment {}", place.experiment);
                Err(Fault::new(Code::ResourceDoesNotExist, told).into())
            }
        }
    }

    pub(super) fn of_run(found: rights::Found) -> Self {
        let rights::Found { row, experiment, policies } = found;
        let NewTracked { uuid, owner, tier, .. } = row.is;
        Self { experiment, id: Id::Run(row.id), uuid, owner, tier, policies }
    }

    pub(super) fn of_model(found: models::Found) -> Self {
        let models::Found { row, experiment, policies } = found;
        let NewModel { uuid, owner, tier, .. } = row.is;
        Self { experiment, id: Id::Model(row.id), uuid, owner, tier, policies }
    }

    /// The tier of what the caller writes to it now.
    pub(super) fn written(&self, asked: &Asked) -> Tier {
        self.tier.max(asked.who.principal.carries)
    }

    /// It, as of a tier, to the policy.
    pub(super) fn resource(&self, tier: Tier) -> Resource {
        of_kept((&self.owner, tier), &self.experiment.is.queue)
    }

    /// The dataset in which files are kept now: made, where there is none.
    pub(super) async fn keeps(&self, asked: &Asked) -> Result<DatasetRow, Refused> {
        let (owner, tier) = (self.owner.clone(), self.written(asked));
        let experiment = self.experiment.id;
        // Whoever makes one at the same time has made it.
        for _ in 0..8 {
            let of = owner.clone();
            let known = asked.app.store.read(move |r| r.artifact_places(experiment, &of)).await?;
            if let Some((_, row)) = known.into_iter().find(|(known, _)| *known == tier) {
                return Ok(row);
            }
            let queue = self.experiment.is.queue.clone();
            let name = asked.app.store.read(move |r| free(r, experiment.0)).await?;
            let about = format!("artifacts of {owner}'s runs in experiment {}", experiment.0);
            let (of, at) = (owner.clone(), asked.now);
            let new = NewDataset { name, queue, owner: owner.clone(), tier, about, at };
            let resource = format!("dataset {}", new.name);
            let detail = json!({ "tier": tier, "queue": new.queue });
            let row = asked.row(Verb::DataMake, resource, &self.policies, detail);
            let also = Box::new(move |w: &mut Write<'_>, made: &DatasetRow| {
                w.append_audit(row)?;
                w.keep_artifacts_in((experiment, &of, tier), made.id)
            });
            match asked.app.data.make(new, also).await {
                Ok(row) => return Ok(row),
                Err(weft_gateway::DataError::Store(StoreError::Exists { .. })) => {}
                Err(error) => return Err(told(api::data::refused(error))),
            }
        }
        Err(Fault::new(Code::TemporarilyUnavailable, "try again").into())
    }

    /// The datasets with its files that the caller may read, the most sensitive last.
    pub(super) async fn readable(&self, asked: &Asked) -> Result<Vec<DatasetRow>, Refused> {
        let (experiment, owner) = (self.experiment.id, self.owner.clone());
        let places = asked.app.store.read(move |r| r.artifact_places(experiment, &owner)).await?;
        let who = &asked.who.principal;
        let may = |tier| asked.app.decide(who, Verb::RunArtifacts, self.resource(tier)).allow;
        let readable = places.into_iter().filter(|(tier, _)| may(*tier));
        Ok(readable.map(|(_, row)| row).collect())
    }
}

/// A name for a dataset that nobody has.
fn free(r: &Read<'_>, experiment: u64) -> Result<DatasetName, Refused> {
    let mut number = 1_u64;
    loop {
        let text = match number {
            1 => format!("artifacts-{experiment}"),
            number => format!("artifacts-{experiment}-{number}"),
        };
        let name = DatasetName::new(&text).map_err(|e| StoreError::Damaged(e.to_string()))?;
        if r.dataset(&name)?.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}
