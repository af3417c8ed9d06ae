//! Experiments: made, found, named otherwise, deleted and brought back.

use super::door::{Answer, Asked};
use super::rights::{named, of_experiment};
use super::search::{PageAsked, in_order};
use super::words::{Experiment, answer, done};
use crate::api::quoted;
use serde::Deserialize;
use serde_json::json;
use weft_policy::Verb;
use weft_store::{ExperimentRow, NewExperiment, Read, StoreError, Write};
use weft_tracking::check::{self, Kept};
use weft_tracking::wire::{Pair, list};
use weft_tracking::{Code, EXPERIMENTS, Entry, Fault, filter};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Create {
    name: Option<String>,
    #[serde(deserialize_with = "list")]
    tags: Vec<Pair>,
    artifact_location: Option<String>,
}

/// `experiments/create`
pub(super) async fn create(asked: &Asked) -> Answer {
    let said: Create = asked.said()?;
    let name = check::experiment_name(said.name.as_deref())?;
    if said.artifact_location.is_some_and(|place| !place.is_empty()) {
        let rule = "artifacts are kept by the platform: leave it out";
        return Err(Fault::value("artifact_location", "…", rule).into());
    }
    let tags: Vec<Kept> = said.tags.iter().map(check::experiment_tag).collect::<Result<_, _>>()?;
    let queue = asked.team()?;
    let unseen = || Fault::new(Code::ResourceDoesNotExist, "no such team");
    let resource = asked.to_be(&queue);
    let policies = asked.may(Verb::ExperimentMake, (resource, quoted(&name)), unseen).await?;
    let owner = asked.who.principal.user.clone();
    let new = NewExperiment { queue, name, owner, tier: asked.tier(), at: asked.now };
    let row = asked.row(Verb::ExperimentMake, quoted(&new.name), &policies, json!({}));
    let make = move |w: &mut Write<'_>| -> Result<ExperimentRow, StoreError> {
        let made = w.make_experiment(&new)?;
        for Kept { key, value } in &tags {
            w.tag_experiment(made.id, (key, value), new.at)?;
        }
        w.append_audit(row)?;
        Ok(made)
    };
    let made = asked.app.store.write(make).await?;
    answer(&json!({ "experiment_id": made.id.0.to_string() }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Which {
    experiment_id: Option<String>,
}

/// `experiments/get`
pub(super) async fn get(asked: &Asked) -> Answer {
    let said: Which = asked.said()?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let (row, _) = asked.experiment(Verb::ExperimentRead, id).await?;
    let words = asked.app.store.glance(|r| Experiment::of(r, &row)).await?;
    answer(&json!({ "experiment": words }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ByName {
    experiment_name: Option<String>,
}

/// `experiments/get-by-name`: of the caller's team.
pub(super) async fn get_by_name(asked: &Asked) -> Answer {
    let said: ByName = asked.said()?;
    let name = said.experiment_name.ok_or_else(|| Fault::missing("experiment_name"))?;
    let queue = asked.team()?;
    let found = asked.app.store.glance(|r| r.experiment_named(&queue, &name)).await?;
    let unseen = || {
        let told = format!("Could not find experiment with name '{name}'");
        Fault::new(Code::ResourceDoesNotExist, told)
    };
    let row = found.ok_or_else(unseen)?;
    let about = (of_experiment(&row), named(row.id.0));
    asked.may(Verb::ExperimentRead, about, unseen).await?;
    let words = asked.app.store.glance(|r| Experiment::of(r, &row)).await?;
    answer(&json!({ "experiment": words }))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Update {
    experiment_id: Option<String>,
    new_name: Option<String>,
}

/// `experiments/update`
pub(super) async fn update(asked: &Asked) -> Answer {
    let said: Update = asked.said()?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let (row, policies) = asked.experiment(Verb::ExperimentManage, id).await?;
    let Some(name) = said.new_name else { return done() };
    let name = check::experiment_name(Some(&name))?;
    if row.deleted_at.is_some() {
        return Err(inactive("experiment", &row.id.0.to_string()).into());
    }
    let (now, detail) = (asked.now, json!({ "name": name }));
    let audit = asked.row(Verb::ExperimentManage, named(row.id.0), &policies, detail);
    let rename = move |w: &mut Write<'_>| -> Result<(), StoreError> {
        w.append_audit(audit)?;
        w.rename_experiment(&row, &name, now)
    };
    asked.app.store.write(rename).await?;
    done()
}

/// `experiments/delete` and `experiments/restore`
pub(super) async fn delete(asked: &Asked, deletes: bool) -> Answer {
    let said: Which = asked.said()?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let (row, policies) = asked.experiment(Verb::ExperimentManage, id).await?;
    if row.deleted_at.is_some() == deletes {
        let (id, stage) = (row.id.0, if deletes { "deleted" } else { "active" });
        let told = format!("No Experiment with id={id} exists that is not {stage} already");
        return Err(Fault::new(Code::ResourceDoesNotExist, told).into());
    }
    let (now, detail) = (asked.now, json!({ "deletes": deletes }));
    let audit = asked.row(Verb::ExperimentManage, named(row.id.0), &policies, detail);
    let delete = move |w: &mut Write<'_>| -> Result<(), StoreError> {
        w.append_audit(audit)?;
        w.delete_experiment(row.id, deletes, now)
    };
    asked.app.store.write(delete).await?;
    done()
}

/// What clients look for where something was deleted.
pub(super) fn inactive(what: &str, id: &str) -> Fault {
    Fault::invalid(format!(
        "The {what} {id} must be in the 'active' state. Current state is deleted."
    ))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tag {
    experiment_id: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

/// `experiments/set-experiment-tag`
pub(super) async fn set_tag(asked: &Asked) -> Answer {
    let said: Tag = asked.said()?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let Kept { key, value } = check::experiment_tag(&Pair { key: said.key, value: said.value })?;
    let (row, _) = asked.experiment(Verb::ExperimentWrite, id).await?;
    if row.deleted_at.is_some() {
        return Err(inactive("experiment", &row.id.0.to_string()).into());
    }
    let now = asked.now;
    asked.app.store.write(move |w| w.tag_experiment(row.id, (&key, &value), now)).await?;
    done()
}

/// `experiments/delete-experiment-tag`
pub(super) async fn delete_tag(asked: &Asked) -> Answer {
    let said: Tag = asked.said()?;
    let id = check::experiment_id(said.experiment_id.as_deref())?;
    let key = said.key.ok_or_else(|| Fault::missing("key"))?;
    let (row, _) = asked.experiment(Verb::ExperimentWrite, id).await?;
    if row.deleted_at.is_some() {
        return Err(inactive("experiment", &row.id.0.to_string()).into());
    }
    let gone = key.clone();
    match asked.app.store.write(move |w| w.untag_experiment(row.id, &gone)).await? {
        true => done(),
        false => {
            let told = format!("No tag with name: {key} in experiment with id {id}");
            Err(Fault::new(Code::ResourceDoesNotExist, told).into())
        }
    }
}

/// An experiment as filters and orders see it.
struct Candidate {
    row: ExperimentRow,
    id: String,
    tags: Vec<(String, String)>,
}

impl Entry for Candidate {
    fn text(&self, attribute: &str) -> Option<&str> {
        match attribute {
            "name" => Some(&self.row.is.name),
            "experiment_id" => Some(&self.id),
            _ => None,
        }
    }

    fn number(&self, attribute: &str) -> Option<i64> {
        let at = match attribute {
            "creation_time" => self.row.is.at,
            _ => self.row.updated_at,
        };
        i64::try_from(at.0).ok()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn metric(&self, _: &str) -> Option<f64> {
        None
    }

    fn param(&self, _: &str) -> Option<&str> {
        None
    }

    fn any_dataset(&self, _: &str, _: &mut dyn FnMut(&str) -> bool) -> bool {
        false
    }
}

/// `experiments/search`: of the caller's team.
pub(super) async fn search(asked: &Asked) -> Answer {
    let said: PageAsked = asked.said()?;
    let clauses = filter::parse(said.filter.as_deref().unwrap_or_default(), &EXPERIMENTS)?;
    let mut orders = said.orders(&EXPERIMENTS)?;
    if orders.is_empty() {
        orders = PageAsked::ordered(&["creation_time DESC"], &EXPERIMENTS)?;
    }
    orders.extend(PageAsked::ordered(&["experiment_id ASC"], &EXPERIMENTS)?);
    let bounds = said.bounds()?;
    let (app, who, queue) = (asked.app.clone(), asked.who.principal.clone(), asked.team()?);
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let mut all = Vec::new();
        for row in r.experiments(&queue)? {
            let sees = || app.decide(&who, Verb::ExperimentRead, of_experiment(&row)).allow;
            if !said.views(row.deleted_at.is_some()) || !sees() {
                continue;
            }
            let (id, tags) = (row.id.0.to_string(), r.experiment_tags(row.id)?);
            let candidate = Candidate { row, id, tags };
            if clauses.iter().all(|clause| clause.holds(&candidate)) {
                all.push(candidate);
            }
        }
        let (found, next) = in_order(all, &orders, bounds);
        let words = found.iter().map(|found| Experiment::of(r, &found.row));
        Ok((words.collect::<Result<Vec<_>, _>>()?, next))
    };
    let (words, next) = asked.app.store.read(read).await?;
    answer(&match next {
        None => json!({ "experiments": words }),
        Some(next) => json!({ "experiments": words, "next_page_token": next }),
    })
}
