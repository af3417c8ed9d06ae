//! Where a version comes from, and what came of it: a walk through origins, both ways.
//!
//! What the caller may not know of stands there without a name, and the walk ends at it: that there
//! was something is part of the truth about what he sees, what it was is not.

use super::super::call::Call;
use super::super::fault::Fault;
use super::super::guard::of_dataset;
use super::super::reply::json;
use super::super::sources::is_known;
use super::super::state::App;
use super::imports::HIDDEN;
use super::moment::none;
use super::objects::{AtQuery, is_told};
use axum::response::Response;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use weft_api::problem::{Code, Problem};
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{Lineage, LineageOrigin, LineageVersion};
use weft_policy::{Principal, Resource, Verb};
use weft_store::{DatasetId, DatasetRow, OriginInput, OriginKind, OriginRow, Read, StoreError};

/// Versions that are shown at most.
const VERSIONS_MAX: usize = 500;
/// And what made them.
const ORIGINS_SHOWN: usize = 500;
/// What came of one version, at most.
const DERIVED_MAX: u32 = 200;

/// A version, wherever it is met.
type Key = (DatasetId, u32);

/// `GET /datasets/{dataset}/lineage`.
pub(crate) async fn show(call: Call) -> Result<Response, Fault> {
    let query: AtQuery = call.query()?;
    let row = call.dataset()?.clone();
    let at = query.at.unwrap_or_else(|| "latest".to_owned());
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<Lineage, Fault> {
        let named = super::moment::resolve(r, &row, "at", Some(&at));
        if r.newest_version(row.id)?.is_none() {
            let detail =
                format!("{} has no version yet, and a lineage is a version's", row.is.name);
            let hint = format!("make one: `weft data version {}`", row.is.name);
            return Err(Problem::new(Code::NotFound, detail).hint(hint).field("at").into());
        }
        let version = named?.1.ok_or_else(|| none(&row, "at", &at))?;
        let mut walk = Walk::new(r, &app, &who);
        walk.through((row.id, version.number))?;
        Ok(walk.told((row.id, version.number)))
    };
    json(&call.app.store.read(read).await?)
}

/// A walk under way.
struct Walk<'a> {
    r: &'a Read<'a>,
    app: &'a App,
    who: &'a Principal,
    versions: BTreeMap<Key, LineageVersion>,
    origins: Vec<OriginRow>,
    known: BTreeSet<u64>,
    whole: bool,
}

impl<'a> Walk<'a> {
    fn new(r: &'a Read<'a>, app: &'a App, who: &'a Principal) -> Self {
        let (versions, known) = (BTreeMap::new(), BTreeSet::new());
        Self { r, app, who, versions, origins: Vec::new(), known, whole: true }
    }

    /// Back from a version, then on from it: not to what else came of what it comes from.
    fn through(&mut self, of: Key) -> Result<(), StoreError> {
        self.meet(of)?;
        let back = |walk: &Self, key: Key| walk.r.origins(key.0, key.1);
        self.walk(of, back, |origin| origin.is.inputs.clone())?;
        let on = |walk: &Self, key: Key| walk.r.derived(key.0, key.1, DERIVED_MAX);
        let made = |origin: &OriginRow| {
            let (dataset, number, name) = (origin.dataset, origin.number, String::new());
            // What else was read for it, too.
            let mut met = origin.is.inputs.clone();
            met.insert(0, OriginInput { dataset, number, name });
            met
        };
        self.walk(of, on, made)
    }

    /// One way: from version to version, by origins.
    fn walk(
        &mut self,
        of: Key,
        step: impl Fn(&Self, Key) -> Result<Vec<OriginRow>, StoreError>,
        met: impl Fn(&OriginRow) -> Vec<OriginInput>,
    ) -> Result<(), StoreError> {
        let (mut ahead, mut behind) = (VecDeque::from([of]), BTreeSet::from([of]));
        while let Some(key) = ahead.pop_front() {
            for origin in step(self, key)? {
                if self.origins.len() >= ORIGINS_SHOWN {
                    self.whole = false;
                    return Ok(());
                }
                for (n, input) in met(&origin).into_iter().enumerate() {
                    if self.versions.len() >= VERSIONS_MAX {
                        self.whole = false;
                        return Ok(());
                    }
                    let met = (input.dataset, input.number);
                    let goes_on = self.meet(met)?;
                    // Of what else was read only that it was.
                    let aside =
                        origin.is.inputs.iter().any(|i| (i.dataset, i.number) == key) && n > 0;
                    if goes_on && !aside && behind.insert(met) {
                        ahead.push_back(met);
                    }
                }
                if self.known.insert(origin.id) {
                    self.origins.push(origin);
                }
            }
        }
        Ok(())
    }

    /// Whether the walk goes on through it.
    fn meet(&mut self, key: Key) -> Result<bool, StoreError> {
        if let Some(known) = self.versions.get(&key) {
            return Ok(known.seen);
        }
        let row = self.r.dataset_by_id(key.0)?;
        let may =
            |row: &DatasetRow| self.app.decide(self.who, Verb::DataInfo, of_dataset(row)).allow;
        let hidden = self.versions.values().filter(|version| !version.seen).count();
        let version = match row.filter(may) {
            None => LineageVersion {
                // Nor if all of it is forgotten: nobody can say any more who may know its name.
                id: format!("(not yours to see, {})", hidden + 1),
                seen: false,
                removed: false,
                tier: None,
                by: None,
                note: String::new(),
                at_ms: None,
                objects: None,
                bytes: None,
            },
            Some(row) => self.seen(&row, key.1)?,
        };
        let seen = version.seen;
        self.versions.insert(key, version);
        Ok(seen)
    }

    fn seen(&self, row: &DatasetRow, number: u32) -> Result<LineageVersion, StoreError> {
        let version = self.r.dataset_version(row.id, number)?;
        let removed = row.ended_at.is_some() || version.is_none();
        let mut id = format!("{}@v{number}", row.is.name);
        if row.ended_at.is_some() {
            // Another may have the name by now.
            id += &format!(" (removed, {})", row.id.0);
        }
        Ok(LineageVersion {
            id,
            seen: true,
            removed,
            tier: Some(row.is.tier.to_string()),
            by: version.as_ref().map(|version| version.by.clone()),
            note: version.as_ref().map(|version| version.note.clone()).unwrap_or_default(),
            at_ms: version.as_ref().map(|version| version.at.0),
            objects: version.as_ref().map(|version| version.objects),
            bytes: version.as_ref().map(|version| version.bytes.0),
        })
    }

    fn told(self, of: Key) -> Lineage {
        let id = |key: &Key| self.versions.get(key).map(|version| version.id.clone());
        let origins = self.origins.iter().filter_map(|origin| {
            let key = (origin.dataset, origin.number);
            let from = origin.is.inputs.iter().filter_map(|i| id(&(i.dataset, i.number)));
            // What made something that is not his to see is not, either.
            self.versions.get(&key).filter(|version| version.seen)?;
            Some(self.origin(origin, id(&key)?, from.collect()))
        });
        Lineage {
            of: id(&of).unwrap_or_default(),
            origins: origins.collect(),
            whole: self.whole,
            versions: self.versions.into_values().collect(),
        }
    }

    /// What made it; a source's name and what of it was read, to whom may read the dataset and
    /// knows the source.
    fn what(&self, row: &OriginRow, detail: &serde_json::Value) -> String {
        let told = || {
            let dataset = self.r.dataset_by_id(row.dataset).ok().flatten();
            dataset.is_some_and(|dataset| is_told(self.app, self.who, &dataset))
        };
        // An address has a `//`; before there was a name of it, a source stood before the colon.
        let what = row.is.what.as_str();
        let named = detail["source"].as_str().or_else(|| match what.starts_with("http") {
            true if what.contains("://") => None,
            _ => what.split_once(':').map(|(name, _)| name),
        });
        let known = || {
            let sources = self.r.sources().unwrap_or_default();
            row.is.actor == self.who.user || is_known(self.app, self.who, named, &sources)
        };
        match row.is.kind {
            OriginKind::Import if !told() || !known() => HIDDEN.to_owned(),
            _ => row.is.what.clone(),
        }
    }

    fn origin(&self, row: &OriginRow, of: String, from: Vec<String>) -> LineageOrigin {
        let origin = &row.is;
        let mut detail: serde_json::Value =
            serde_json::from_str(&origin.detail).unwrap_or_default();
        let spec = detail.get_mut("spec").map(serde_json::Value::take);
        let spec = spec.and_then(|spec| serde_json::from_value::<WorkloadSpec>(spec).ok());
        let carries = spec.as_ref().map(|spec| crate::auth::run::carries(&spec.data));
        let workload = Resource::Workload {
            owner: origin.actor.clone(),
            queue: origin.queue.clone(),
            carries: carries.unwrap_or_default(),
        };
        let told = self.app.decide(self.who, Verb::WorkloadLogs, workload).allow;
        let number = |name: &str| detail.get(name).and_then(serde_json::Value::as_u64);
        let ran = number("started_at_ms").zip(number("ended_at_ms"));
        LineageOrigin {
            of,
            from,
            kind: origin.kind.as_str().to_owned(),
            what: self.what(row, &detail),
            name: detail.get("name").and_then(|name| name.as_str()).map(str::to_owned),
            by: origin.actor.to_string(),
            at_ms: origin.at.0,
            ran_ms: ran.map(|(from, to)| to.saturating_sub(from)),
            spec: spec.filter(|_| told),
        }
    }
}
