//! The datasets that a submission declares: whether each is there and may be read by who submits,
//! which version is meant, and where it is found.
//!
//! What a name means is decided once, here: the workload keeps the number of the version, so that
//! each of its starts reads the same. Whether it may still be read is asked again at each read.

use super::super::call::Call;
use super::super::fault::{Fault, at, quoted};
use super::super::guard::{of_dataset, row_of};
use super::super::spec::Legal;
use super::moment;
use crate::views::sample::{self, Unwanted};
use std::path::Path;
use weft_api::problem::{Code, Problem};
use weft_api::spec::{DataSpec, NetworkMode, split_data};
use weft_policy::{Decision, Principal, Source, Verb};
use weft_runtime::{Runtime, check_place};
use weft_store::{DatasetRow, DatasetVersionRow, Read};
use weft_types::{Kind, Tier};
use weft_view::Fraction;

/// Most datasets of a workload.
const DATA_MAX: usize = weft_api::spec::DATA_MAX;
/// Longest name of a dataset with its version.
const FROM_BYTES_MAX: usize = 128;

/// What a name turned out to mean, and whether it may be read.
struct Found {
    row: DatasetRow,
    version: DatasetVersionRow,
}

/// Looks each up, and writes the version and the tier into the spec.
pub(crate) async fn pin(call: &Call, legal: &mut Legal) -> Result<(), Fault> {
    let declared = std::mem::take(&mut legal.spec.data);
    if declared.is_empty() {
        return Ok(());
    }
    check(&declared)?;
    if let Some(why) = Runtime::data_refused() {
        let detail = "data: this machine cannot mount datasets";
        return Err(Problem::new(Code::Impossible, detail).hint(why).field("spec.data").into());
    }
    for (n, data) in declared.into_iter().enumerate() {
        let field = format!("spec.data[{n}].from");
        let Found { row, version } = look(call, &field, &data.from).await?;
        let from = format!("{}@v{}", row.is.name, version.number);
        let tier = Some(row.is.tier.to_string());
        let sample = part(n, &data)?;
        let other = |other: &&DataSpec| other.from == from;
        let same = sample.map(|part| part.to_string());
        if legal.spec.data.iter().find(other).is_some_and(|other| other.sample != same) {
            let rule = format!("data[{n}].sample: another part of {from} is declared before it");
            return Err(at(Code::InvalidSpec, &format!("spec.data[{n}].sample"), rule));
        }
        if let Some(part) = sample.filter(|_| !call.dry_run) {
            have_made(call, n, &row, version.number, part).await?;
        }
        legal.spec.data.push(DataSpec { from, tier, sample: same, ..data });
    }
    contain(legal)
}

/// What part of a version is meant; none: all of it.
fn part(n: usize, data: &DataSpec) -> Result<Option<Fraction>, Fault> {
    let Some(text) = &data.sample else { return Ok(None) };
    let rule = |rule| format!("data[{n}].sample: `{}` {rule}", quoted(text));
    let part = Fraction::parse(text);
    let part =
        part.map_err(|e| at(Code::InvalidSpec, &format!("spec.data[{n}].sample"), rule(e)))?;
    Ok(Some(part).filter(|part| !part.is_all()))
}

/// Has a sample made, which the workload then waits for.
async fn have_made(
    call: &Call,
    n: usize,
    row: &DatasetRow,
    number: u32,
    part: Fraction,
) -> Result<(), Fault> {
    let wanted =
        sample::want(&call.app, row, number, part, &call.who.principal.user, call.now).await;
    wanted.map_err(|error| match error {
        Unwanted::Data(error) => super::refused(error),
        too_many => {
            let detail = format!("data[{n}].sample: of {} {too_many}", row.is.name);
            let hint = "take one of these, or make a view: `weft data view NAME --of DATASET`";
            let problem = Problem::new(Code::LimitReached, detail).hint(hint);
            problem.field(format!("spec.data[{n}].sample")).into()
        }
    })
}

/// What is sensitive has no way out: no network, and no port that others reach.
fn contain(legal: &Legal) -> Result<(), Fault> {
    let spec = &legal.spec;
    let carries = crate::auth::run::carries(&spec.data);
    if carries < Tier::Confidential {
        return Ok(());
    }
    let refused = |field: &str, what: &str, hint: &str| {
        let detail = format!("{field}: it reads {carries} data, and may not {what}");
        Err(Problem::new(Code::InvalidSpec, detail)
            .hint(hint)
            .field(format!("spec.{field}"))
            .into())
    };
    if !spec.outputs.is_empty() {
        let hint = "keep them as a dataset: under `outputs:` write `- {from: model/, to: name}`";
        return refused("outputs", "leave files that anybody fetches", hint);
    }
    if spec.network == NetworkMode::Outbound {
        let hint = "write `network: none`; what it needs from outside goes into its image, its \
                    requirements or a dataset";
        return refused("network", "reach the network", hint);
    }
    if legal.kind == Kind::Service && !spec.ports.is_empty() {
        return refused("ports", "publish ports", "remove `ports:`, or make it a job");
    }
    Ok(())
}

/// What can be said of them without the store.
fn check(declared: &[DataSpec]) -> Result<(), Fault> {
    let broken =
        |field: String, rule: String| at(Code::InvalidSpec, &format!("spec.{field}"), rule);
    if declared.len() > DATA_MAX {
        let rule = format!("data: has {} entries, at most {DATA_MAX}", declared.len());
        return Err(broken("data".to_owned(), rule));
    }
    for (n, data) in declared.iter().enumerate() {
        let field = format!("data[{n}].to");
        check_place(&data.to).map_err(|rule| broken(field.clone(), format!("{field}: {rule}")))?;
        let to = Path::new(&data.to);
        let over =
            |other: &DataSpec| to.starts_with(&other.to) || Path::new(&other.to).starts_with(to);
        if let Some(other) = declared[..n].iter().find(|other| over(other)) {
            let rule = format!("{field}: `{}` and `{}` lie in each other", data.to, other.to);
            return Err(broken(field, rule));
        }
    }
    Ok(())
}

/// The version of a dataset that a text names, if the caller may read it in a workload.
async fn look(call: &Call, field: &str, from: &str) -> Result<Found, Fault> {
    let unknown = || {
        let name = quoted(from);
        let detail = format!("there is no dataset `{name}`, or it is not yours to see");
        let hint = "`weft data ls` shows those there are";
        Fault::from(Problem::new(Code::InvalidSpec, detail).hint(hint).field(field))
    };
    let split = split_data(from).filter(|_| from.len() <= FROM_BYTES_MAX);
    let (name, named) = split.ok_or_else(unknown)?;
    let (named, where_) = (named.unwrap_or("latest").to_owned(), field.to_owned());
    let read = move |r: &Read<'_>| -> Result<_, Fault> {
        let Some(row) = r.dataset(&name)? else { return Ok(None) };
        let version = moment::resolve(r, &row, &where_, Some(&named));
        Ok(Some((row, version)))
    };
    let (row, version) = call.app.store.read(read).await?.ok_or_else(unknown)?;
    let decision = may_read(call, &row);
    if !decision.allow {
        let why = &decision.rule;
        call.app.refusals.note(row_of(call, Verb::DataRead, &row, &decision)).await?;
        let sees = call.app.decide(&call.who.principal, Verb::DataInfo, of_dataset(&row)).allow;
        if !sees {
            return Err(unknown());
        }
        let detail = format!("{} may not read the dataset `{}`", call.user(), row.is.name);
        return Err(Problem::new(Code::Forbidden, detail)
            .hint(why.to_string())
            .field(field)
            .into());
    }
    let (_, version) = version?;
    let name = &row.is.name;
    let version = version.ok_or_else(|| {
        let detail = format!("`{name}` as it is now changes; a workload reads a version of it");
        let hint = format!("make one with `weft data version {name}`, or write `{name}@latest`");
        Fault::from(Problem::new(Code::InvalidSpec, detail).hint(hint).field(field))
    })?;
    Ok(Found { row, version })
}

/// Whether the caller may read it inside a workload that declares it.
fn may_read(call: &Call, row: &DatasetRow) -> Decision {
    let who = &call.who.principal;
    let inside = Principal { by: Source::Run, carries: row.is.tier, ..who.clone() };
    call.app.decide(&inside, Verb::DataRead, of_dataset(row))
}
