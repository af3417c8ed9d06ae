//! Moments of a dataset: what stands behind `@`, as a version or as it is now.
//!
//! ```text
//! now          as it is, with what came since the newest version     (also where nothing is said)
//! latest       the newest version
//! v3, 3        that version
//! 2026-11-01   the newest version that was made on that day or before, in UTC
//! gold         the version that was given this name
//! ```

use super::super::call::Call;
use super::super::fault::{Fault, at, quoted};
use weft_api::problem::{Code, Problem};
use weft_store::{At, DatasetRow, DatasetVersionRow, Read, StoreError, VersionName};

/// What stands behind `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Moment {
    Now,
    Latest,
    Version(VersionName),
}

/// The moment that the query parameter `at` names.
pub(super) async fn moment(
    call: &Call,
    at: Option<String>,
) -> Result<(At, Option<DatasetVersionRow>), Fault> {
    let row = call.dataset()?.clone();
    // In a sample a version is called by what it is of.
    let at = match call.samples {
        true => at.map(|version| format!("of-{version}")),
        false => at,
    };
    call.app.store.read(move |r| resolve(r, &row, "at", at.as_deref())).await
}

/// The moment that a text names; `field` is where it stood.
pub(super) fn resolve(
    r: &Read<'_>,
    row: &DatasetRow,
    field: &str,
    text: Option<&str>,
) -> Result<(At, Option<DatasetVersionRow>), Fault> {
    let text = text.unwrap_or("now");
    let found = match read(field, text)? {
        Moment::Now => return Ok((now(r, row)?, None)),
        Moment::Latest => r.newest_version(row.id)?,
        Moment::Version(name) => r.version_named(row.id, &name)?,
    };
    match found {
        Some(version) => Ok((At::Changes(version.changes), Some(version))),
        None => Err(none(row, field, text)),
    }
}

/// A dataset as it is. A view is its newest version: what it was made of may have ended since.
pub(crate) fn now(r: &Read<'_>, row: &DatasetRow) -> Result<At, StoreError> {
    if row.view_of.is_none() {
        return Ok(At::Now);
    }
    let newest = r.newest_version(row.id)?;
    Ok(At::Changes(newest.map_or(0, |newest| newest.changes)))
}

/// That there is no such version, and where to look.
pub(super) fn none(row: &DatasetRow, field: &str, text: &str) -> Fault {
    let name = &row.is.name;
    let detail = format!("{name} has no version `{}`", quoted(text));
    let hint = format!("`weft data versions {name}` shows those it has");
    Problem::new(Code::NotFound, detail).hint(hint).field(field).into()
}

/// A name that a version may be given: none that means something else behind `@`.
pub(super) fn tag_name(text: &str) -> Result<String, Fault> {
    match read("tag", text)? {
        Moment::Version(VersionName::Tag(tag)) => Ok(tag),
        _ => {
            let detail = format!("`{}` says already which version is meant", quoted(text));
            Err(at(Code::BadRequest, "tag", detail))
        }
    }
}

fn read(field: &str, text: &str) -> Result<Moment, Fault> {
    match text {
        "now" => return Ok(Moment::Now),
        "latest" => return Ok(Moment::Latest),
        _ => {}
    }
    // The number alone is not mistaken for a day.
    if let Ok(number) = text.parse() {
        return Ok(Moment::Version(VersionName::Number(number)));
    }
    let named = text.parse().map_err(|rule: String| at(Code::BadRequest, field, quoted(&rule)))?;
    Ok(Moment::Version(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_at() {
        let number = |text| read("at", text).unwrap() == Moment::Version(VersionName::Number(3));
        assert!(number("v3") && number("3"));
        assert_eq!(read("at", "now").unwrap(), Moment::Now);
        assert!(matches!(read("at", "2026-11-01"), Ok(Moment::Version(VersionName::Before(_)))));
        for bad in ["", "@", "a/b", "2026-13-01", "ä"] {
            assert!(read("at", bad).is_err(), "{bad}");
        }
        assert_eq!(tag_name("gold").unwrap(), "gold");
        for taken in ["latest", "now", "v7", "7", "2026-11-01"] {
            assert!(tag_name(taken).is_err(), "{taken}");
        }
    }
}
