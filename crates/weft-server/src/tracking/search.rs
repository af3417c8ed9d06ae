//! Searches: the runs of experiments that match, in order, a page at a time.

use super::door::{Answer, Asked};
use super::rights::of_kept;
use super::words::{Run, answer, artifact_uri};
use serde::{Deserialize, Deserializer, Serialize};
use std::cmp::Ordering;
use std::collections::HashMap;
use weft_policy::{Principal, Verb};
use weft_store::{Read, StoreError, TrackedInput, TrackedRow};
use weft_tracking::filter::{self, Clause};
use weft_tracking::order::{self, Order};
use weft_tracking::wire::{list, whole};
use weft_tracking::{Entry, Fault, Field, RUNS, Searched};
use weft_types::{QueueName, Tier, UserName};

use crate::api::App;

/// Found at once where nobody says how many, and at most.
const FOUND: i64 = 1_000;
pub(super) const FOUND_MAX: i64 = 50_000;

/// What every search says.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct PageAsked {
    pub(super) filter: Option<String>,
    #[serde(deserialize_with = "one_or_more")]
    order_by: Vec<String>,
    #[serde(deserialize_with = "whole")]
    max_results: Option<i64>,
    page_token: Option<String>,
    #[serde(alias = "run_view_type")]
    view_type: View,
}

/// A list, of which a query may say just one.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Said {
        None,
        One(String),
        More(Vec<String>),
    }
    Ok(match Said::deserialize(from)? {
        Said::None => Vec::new(),
        Said::One(one) => vec![one],
        Said::More(all) => all,
    })
}

/// Which of those that are there and those that were deleted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(from = "serde_json::Value")]
enum View {
    #[default]
    Active,
    Deleted,
    All,
}

impl From<serde_json::Value> for View {
    fn from(said: serde_json::Value) -> Self {
        match (said.as_str(), said.as_i64()) {
            (Some("DELETED_ONLY" | "2"), _) | (_, Some(2)) => Self::Deleted,
            (Some("ALL" | "3"), _) | (_, Some(3)) => Self::All,
            _ => Self::Active,
        }
    }
}

impl PageAsked {
    /// Whether something that was deleted, or was not, is looked for.
    pub(super) fn views(&self, is_deleted: bool) -> bool {
        match self.view_type {
            View::Active => !is_deleted,
            View::Deleted => is_deleted,
            View::All => true,
        }
    }

    /// The orders, the first first.
    pub(super) fn orders(&self, searched: &Searched) -> Result<Vec<Order>, Fault> {
        let texts: Vec<&str> = self.order_by.iter().map(String::as_str).collect();
        Self::ordered(&texts, searched)
    }

    pub(super) fn ordered(texts: &[&str], searched: &Searched) -> Result<Vec<Order>, Fault> {
        texts.iter().map(|text| order::parse(text, searched)).collect()
    }

    /// How many at most, and how many are passed over.
    pub(super) fn bounds(&self) -> Result<(usize, usize), Fault> {
        let most = self.max_results.unwrap_or(FOUND);
        bounds((most, FOUND_MAX), self.page_token.as_deref())
    }
}

/// How many at most, and how many are passed over.
pub(super) fn bounds(
    (most, allowed): (i64, i64),
    token: Option<&str>,
) -> Result<(usize, usize), Fault> {
    if !(1..=allowed).contains(&most) {
        let rule = format!("It must be at least 1 and at most {allowed}.");
        return Err(Fault::value("max_results", &most.to_string(), &rule));
    }
    let offset = token.filter(|token| !token.is_empty()).map_or(Ok(0), |token| {
        let rule = "It must be the next_page_token of an answer.";
        token.parse().map_err(|_| Fault::value("page_token", token, rule))
    })?;
    Ok((usize::try_from(most).unwrap_or(usize::MAX), offset))
}

/// A page of them in order, and where the next one begins if there is one.
pub(super) fn in_order<T: Entry>(
    mut all: Vec<T>,
    orders: &[Order],
    (most, offset): (usize, usize),
) -> (Vec<T>, Option<String>) {
    let compare = |a: &T, b: &T| {
        let each = orders.iter().map(|order| order.compare(a, b));
        each.fold(Ordering::Equal, Ordering::then)
    };
    let (count, end) = (all.len(), offset.saturating_add(most));
    // Only what is shown has to be in order.
    if end < count {
        all.select_nth_unstable_by(end, compare);
        all.truncate(end);
    }
    all.sort_unstable_by(compare);
    let found = all.into_iter().skip(offset).collect();
    (found, (end < count).then(|| end.to_string()))
}

/// A run as filters and orders see it: with what they ask for.
struct Candidate {
    row: TrackedRow,
    artifact_uri: String,
    metrics: Vec<Option<f64>>,
    params: Vec<Option<String>>,
    tags: Vec<Option<String>>,
    inputs: Vec<TrackedInput>,
    wanted: std::sync::Arc<Wanted>,
}

/// What filters and orders ask for.
#[derive(Default)]
struct Wanted {
    metrics: Vec<String>,
    params: Vec<String>,
    tags: Vec<String>,
    artifact_uri: bool,
    inputs: bool,
}

impl Wanted {
    fn of(clauses: &[Clause], orders: &[Order]) -> Self {
        let mut wanted = Self::default();
        let fields = clauses.iter().map(|clause| &clause.field);
        for field in fields.chain(orders.iter().map(|order| &order.field)) {
            let (keys, key) = match field {
                Field::Metric(key) => (&mut wanted.metrics, key),
                Field::Param(key) => (&mut wanted.params, key),
                Field::Tag(key) => (&mut wanted.tags, key),
                Field::Dataset(_) => {
                    wanted.inputs = true;
                    continue;
                }
                Field::Attribute(name, _) => {
                    wanted.artifact_uri |= *name == "artifact_uri";
                    continue;
                }
            };
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        wanted
    }
}

impl Candidate {
    fn of(
        r: &Read<'_>,
        row: TrackedRow,
        wanted: &std::sync::Arc<Wanted>,
    ) -> Result<Self, StoreError> {
        let (id, all) = (row.id, &**wanted);
        let metrics = all.metrics.iter().map(|key| r.tracked_metric(id, key));
        let params = all.params.iter().map(|key| r.tracked_param(id, key));
        let tags = all.tags.iter().map(|key| r.tracked_tag(id, key));
        Ok(Self {
            artifact_uri: if all.artifact_uri { artifact_uri(&row) } else { String::new() },
            metrics: metrics.collect::<Result<_, _>>()?,
            params: params.collect::<Result<_, _>>()?,
            tags: tags.collect::<Result<_, _>>()?,
            inputs: if all.inputs { r.tracked_inputs(id)? } else { Vec::new() },
            wanted: wanted.clone(),
            row,
        })
    }
}

impl Entry for Candidate {
    fn text(&self, attribute: &str) -> Option<&str> {
        Some(match attribute {
            "run_id" => &self.row.is.uuid,
            "run_name" => &self.row.is.name,
            "status" => self.row.status.as_str(),
            "user_id" => self.row.is.owner.as_str(),
            "artifact_uri" => &self.artifact_uri,
            _ => return None,
        })
    }

    fn number(&self, attribute: &str) -> Option<i64> {
        match attribute {
            "start_time" => Some(self.row.is.started_at),
            _ => self.row.ended_at,
        }
    }

    fn metric(&self, key: &str) -> Option<f64> {
        let at = self.wanted.metrics.iter().position(|wanted| wanted == key)?;
        self.metrics[at]
    }

    fn param(&self, key: &str) -> Option<&str> {
        let at = self.wanted.params.iter().position(|wanted| wanted == key)?;
        self.params[at].as_deref()
    }

    fn tag(&self, key: &str) -> Option<&str> {
        let at = self.wanted.tags.iter().position(|wanted| wanted == key)?;
        self.tags[at].as_deref()
    }

    fn any_dataset(&self, field: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.inputs.iter().any(|input| match field {
            "name" => test(&input.name),
            "digest" => test(&input.digest),
            _ => {
                let contexts = input.tags.iter().filter(|(key, _)| key == "mlflow.data.context");
                contexts.into_iter().any(|(_, value)| test(value))
            }
        })
    }
}

/// Which runs the caller sees: asked of the policy once for each owner and tier.
struct Sight {
    app: App,
    who: Principal,
    known: HashMap<(UserName, Tier), bool>,
}

impl Sight {
    fn sees(&mut self, row: &TrackedRow, queue: &QueueName) -> bool {
        let key = (row.is.owner.clone(), row.is.tier);
        let Self { app, who, known } = self;
        let decide =
            || app.decide(who, Verb::RunRead, of_kept((&row.is.owner, row.is.tier), queue)).allow;
        *known.entry(key).or_insert_with(decide)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Experiments {
    #[serde(deserialize_with = "list")]
    experiment_ids: Vec<String>,
}

#[derive(Serialize)]
struct Found {
    runs: Vec<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `runs/search`
pub(super) async fn runs(asked: &Asked) -> Answer {
    let (said, of): (PageAsked, Experiments) = (asked.said()?, asked.said()?);
    let clauses = filter::parse(said.filter.as_deref().unwrap_or_default(), &RUNS)?;
    let mut orders = said.orders(&RUNS)?;
    orders.extend(PageAsked::ordered(&["start_time DESC", "run_id ASC"], &RUNS)?);
    let bounds = said.bounds()?;
    let experiments = asked.seen(&of.experiment_ids).await?;
    let (app, who) = (asked.app.clone(), asked.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let mut sight = Sight { app, who, known: HashMap::new() };
        let wanted = std::sync::Arc::new(Wanted::of(&clauses, &orders));
        let mut all = Vec::new();
        for experiment in &experiments {
            sight.known.clear();
            for row in r.tracked_in(experiment.id)? {
                let is_seen = sight.sees(&row, &experiment.is.queue);
                if !said.views(row.deleted_at.is_some()) || !is_seen {
                    continue;
                }
                let candidate = Candidate::of(r, row, &wanted)?;
                if clauses.iter().all(|clause| clause.holds(&candidate)) {
                    all.push(candidate);
                }
            }
        }
        let (found, next_page_token) = in_order(all, &orders, bounds);
        let runs = found.iter().map(|found| Run::of(r, &found.row));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<TrackedRow> = found.into_iter().map(|found| found.row).collect();
        Ok((Found { runs, next_page_token }, rows))
    };
    let (found, rows) = asked.app.store.read(read).await?;
    let kept = rows.iter().map(|row| (&row.is.owner, row.is.tier, row.is.uuid.as_str()));
    asked.looks_at(kept).await?;
    answer(&found)
}
