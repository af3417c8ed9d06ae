//! Views: each version of a dataset becomes a version of the views of it.
//!
//! ```text
//! a version of the source waits ─ may who made the view still? ─► each file that it is of: staged
//!        ▲                     │ no: it waits, and says why                          │
//!        └── again, later ─────┴◄── failed ── one version, with origin and audit row ◄┘
//! ```
//!
//! What is to be done stands in the store, by the transaction that made the source's version: a
//! server that was killed goes on with it. Contents are made once and lie under the view's own
//! keys, so all ways of reading a dataset are those of a view. Rights are asked for
//! each version, once more with the transaction that makes it.

mod file;
pub(crate) mod sample;

use crate::api::{App, of_dataset};
use crate::control::closed;
pub(crate) use file::Ahead;
use file::Made;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use weft_agent::now;
use weft_gateway::{Also, DataError, REPLACED_AT_ONCE, Replacing};
use weft_policy::{Principal, Role, Scope, Source, Verb};
use weft_store::{
    At, DatasetId, DatasetRow, DatasetVersionRow, Decision as Allowed, LEFT_OUT_MAX, LeftOut,
    Listing, NewAudit, NewOrigin, OriginInput, OriginKind, Read, StoreError, ViewRow,
    ViewVersionRow,
};
use weft_types::{QueueName, Tier, UserName};
use weft_view::Recipe;

/// Views that are made at once: each reads, seals and writes.
const AT_ONCE: usize = 4;
/// Of one team: what its files cost to read stops no other's.
const AT_ONCE_OF_A_TEAM: usize = 2;
/// Before something that failed is tried again for the first time.
const AGAIN: Duration = Duration::from_secs(30);
/// Then each time so many times as long.
const LONGER: u32 = 4;
/// And at most.
const AGAIN_MOST: Duration = Duration::from_secs(3_600);
/// Files of the source that are looked up at once: a page of a list.
const PAGE: u32 = 1_000;
/// Longest text of why one waits.
const WHY_MAX: usize = 1_000;

/// Why one waits that two people lowered.
const WHOLE_AND_LOWERED: &str = "its tier was lowered as it was, and it does not name its columns, \
    so nothing more comes into it: make another view";

/// Why a version of a view is not made. All are tried again: rights come back, disks are freed.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error("{0}")]
    Data(#[from] DataError),
    #[error("{0}")]
    Other(String),
}

impl From<StoreError> for Unmade {
    fn from(error: StoreError) -> Self {
        Self::Data(error.into())
    }
}

/// What failed: when it is tried again, and how long that was.
type Later = BTreeMap<DatasetId, (Instant, Duration)>;

/// Makes what there is to make, until the server ends.
pub(crate) async fn run(app: App) {
    let (mut heads, mut ending) = (app.store.watch(), app.control.closing());
    let (mut later, mut going, mut busy) = (Later::new(), JoinSet::new(), HashMap::new());
    loop {
        heads.borrow_and_update();
        match app.store.read(|r| r.open_views()).await {
            Ok(open) => begin(&app, open, &later, &mut going, &mut busy),
            Err(error) => tracing::warn!(%error, "views wait"),
        }
        tokio::select! {
            () = closed(&mut ending) => return,
            Some(done) = going.join_next_with_id(), if !going.is_empty() => {
                let (task, made) = match done {
                    Ok((task, made)) => (task, made),
                    Err(panic) => (panic.id(), false),
                };
                if let Some((_, view)) = busy.remove(&task) {
                    put_off(&mut later, view, made);
                }
            }
            changed = heads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Begins with those that are due, as far as there is room: a view that is slow stops no other.
fn begin(
    app: &App,
    open: Vec<(QueueName, ViewVersionRow)>,
    later: &Later,
    going: &mut JoinSet<bool>,
    busy: &mut HashMap<tokio::task::Id, (QueueName, DatasetId)>,
) {
    let waits = |view: &DatasetId| later.get(view).is_some_and(|(due, _)| Instant::now() < *due);
    for (team, row) in open {
        let view = row.view;
        let of_it = busy.values().filter(|(other, _)| *other == team).count();
        let has_room = busy.len() < AT_ONCE && of_it < AT_ONCE_OF_A_TEAM;
        if has_room && !waits(&view) && busy.values().all(|(_, other)| *other != view) {
            let task = going.spawn(one(app.clone(), row));
            busy.insert(task.id(), (team, view));
        }
    }
}

fn put_off(later: &mut Later, view: DatasetId, made: bool) {
    let before = later.remove(&view);
    if !made {
        let wait = before.map_or(AGAIN, |(_, wait)| (LONGER * wait).min(AGAIN_MOST));
        later.insert(view, (Instant::now() + wait, wait));
    }
}

/// Whether it is made; where not, why is kept for who looks.
async fn one(app: App, row: ViewVersionRow) -> bool {
    let Err(error) = make(&app, &row).await else { return true };
    let mut why = error.to_string();
    why.truncate(why.floor_char_boundary(WHY_MAX));
    tracing::warn!(view = row.view.0, of = row.source, %error, "a version of a view waits");
    if why != row.why {
        let kept = ViewVersionRow { why, ..row };
        if let Err(error) = app.store.write(move |w| w.save_view_version(&kept)).await {
            tracing::warn!(%error, "why it waits is not kept");
        }
        // Of a sample workloads wait for it, and say why.
        app.control.wake();
    }
    false
}

/// What is needed to make one.
#[derive(Clone)]
struct Making {
    view: ViewRow,
    /// What of each file; none: all of it.
    recipe: Option<Arc<Recipe>>,
    row: ViewVersionRow,
    into: DatasetRow,
    source: DatasetRow,
    version: DatasetVersionRow,
}

impl Making {
    /// As things are now.
    fn read(r: &Read<'_>, row: &ViewVersionRow) -> Result<Option<Self>, StoreError> {
        let Some(view) = r.view(row.view)? else { return Ok(None) };
        let there = |found: Option<DatasetRow>| found.filter(|row| row.ended_at.is_none());
        let into = there(r.dataset_by_id(view.dataset)?);
        let source = there(r.dataset_by_id(view.source)?);
        let version = r.dataset_version(view.source, row.source)?;
        let recipe = match view.recipe.as_str() {
            "{}" => None,
            text => Some(Arc::new(
                Recipe::parse(text).map_err(|e| StoreError::Damaged(format!("a view: {e}")))?,
            )),
        };
        let all = into.zip(source).zip(version);
        Ok(all.map(|((into, source), version)| {
            let row = row.clone();
            Self { view, recipe, row, into, source, version }
        }))
    }

    /// Whether who made the view may still: the policies that say so.
    fn allowed(&self, app: &App, r: &Read<'_>) -> Result<Vec<String>, Unmade> {
        // Of a sample it is asked at each read who may.
        if self.view.sample {
            return Ok(Vec::new());
        }
        let by = &self.view.made_by;
        let who = maker(r, by)?.ok_or_else(|| Unmade::Other(format!("{by} is gone")))?;
        let decision = app.decide(&who, Verb::DataView, of_dataset(&self.source));
        if !decision.allow {
            return Err(Unmade::Other(format!("{by} may not data-view: {}", decision.rule)));
        }
        // What may come later two people have not seen: they agreed on columns, or on what was.
        let names_columns = self.recipe.as_ref().is_some_and(|recipe| recipe.columns().is_some());
        if self.into.is.tier < self.source.is.tier && !names_columns {
            return Err(Unmade::Other(WHOLE_AND_LOWERED.to_owned()));
        }
        Ok(decision.policies.to_vec())
    }
}

/// Who made a view, as they are now.
fn maker(r: &Read<'_>, user: &UserName) -> Result<Option<Principal>, StoreError> {
    let Some(user) = r.user(user)? else { return Ok(None) };
    let role = user.role.as_str().parse::<Role>();
    Ok(Some(Principal {
        role: role.map_err(|e| StoreError::Damaged(e.to_string()))?,
        user: user.name,
        queue: user.queue,
        scope: Scope::Write,
        by: Source::Socket,
        disabled: user.disabled,
        carries: Tier::Public,
    }))
}

/// Makes a version of a view. One that nobody needs any more is made by nobody.
async fn make(app: &App, row: &ViewVersionRow) -> Result<(), Unmade> {
    let (of, asks) = (row.clone(), app.clone());
    let read = move |r: &Read<'_>| -> Result<Option<Making>, Unmade> {
        let Some(making) = Making::read(r, &of)? else { return Ok(None) };
        making.allowed(&asks, r).map(|_| Some(making))
    };
    let Some(making) = app.store.read(read).await? else { return Ok(()) };
    let mut replacing = app.data.replace(&making.into, REPLACED_AT_ONCE);
    let made = async {
        let left_out = files(app, &making, &mut replacing).await?;
        let said = (making.view.made_by.to_string(), note(making.row.source));
        let making = Making { row: ViewVersionRow { left_out, ..making.row.clone() }, ..making };
        replacing.finish(said, told(app, &making), now()).await?;
        if making.view.sample {
            // Who waits for it can start.
            app.control.wake();
        }
        Ok(())
    };
    let made: Result<(), Unmade> = made.await;
    if made.is_err() {
        replacing.undo(now()).await?;
    }
    made
}

/// What is said of a version of a view. Its readers may not know of the source: it has no name.
fn note(of: u32) -> String {
    format!("of v{of} of its source")
}

/// Puts the view of each file that it is of; which are left out.
async fn files(app: &App, making: &Making, replacing: &mut Replacing) -> Result<LeftOut, Unmade> {
    let (at, mut after) = (At::Changes(making.version.changes), String::new());
    let mut left_out = LeftOut::default();
    loop {
        let listing = Listing { after, limit: PAGE, ..Listing::default() };
        let page = app.data.list(&making.source, at, listing, false).await?;
        for listed in page.entries {
            let path = listed.entry.path;
            let named = making.view.files.as_ref().is_none_or(|files| names(files, &path));
            if !named {
                continue;
            }
            let object = app.data.object(&making.source, &path, at).await?;
            let object = object.ok_or_else(|| DataError::Missing(path.clone()))?;
            match file::make(app, making, object).await? {
                Made::Whole(staged, notes) => {
                    replacing.put(&path, staged, &notes, now()).await?;
                }
                Made::LeftOut(why) => {
                    left_out.count += 1;
                    if left_out.files.len() < LEFT_OUT_MAX {
                        left_out.files.push((path, why));
                    }
                }
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(left_out),
        }
    }
}

/// Whether a pattern names a file, as it would an output.
pub(crate) fn names(files: &str, path: &str) -> bool {
    weft_runtime::outputs::place_below(files, Path::new(path)).is_some()
}

/// What stands beside the version: that it is made, its origin, the audit row. Making it took its
/// time: whether it may be is asked once more, in the same transaction.
fn told(app: &App, making: &Making) -> Also<DatasetVersionRow> {
    let (app, making) = (app.clone(), making.clone());
    Box::new(move |w, version| {
        let meanwhile = || StoreError::InUse {
            what: "dataset",
            id: making.into.is.name.to_string(),
            by: "it, its source, or who may make it, has changed meanwhile".to_owned(),
        };
        let again = Making::read(w, &making.row)?.ok_or_else(meanwhile)?;
        let policies = again.allowed(&app, w).map_err(|_| meanwhile())?;
        let ViewRow { made_by, files, .. } = &making.view;
        let of = &again.source.is;
        let origin = NewOrigin {
            kind: OriginKind::View,
            what: "a view".to_owned(),
            actor: made_by.clone(),
            queue: of.queue.clone(),
            bundle: None,
            detail: json!({ "files": files, "recipe": making.recipe }).to_string(),
            inputs: vec![OriginInput {
                dataset: again.source.id,
                number: making.row.source,
                name: of.name.to_string(),
            }],
            at: now(),
        };
        // Of a version that nothing differs from it is an origin more. Of a sample nobody asks:
        // who read it names its source.
        if !making.view.sample {
            w.put_origin(making.into.id, version.number, &origin)?;
        }
        let detail = json!({
            "of": format!("{}@v{}", of.name, making.row.source),
            "version": version.number,
            "objects": version.objects,
            "bytes": version.bytes,
        });
        w.append_audit(NewAudit {
            at: now(),
            actor: made_by.to_string(),
            verb: Verb::DataView.to_string(),
            resource: match making.view.sample {
                true => format!("a sample of dataset {}", of.name),
                false => format!("dataset {}", making.into.is.name),
            },
            decision: Allowed::Allowed,
            policies,
            detail: detail.to_string(),
        })?;
        let (version, why) = (Some(version.number), String::new());
        w.save_view_version(&ViewVersionRow { version, why, ..making.row })
    })
}
