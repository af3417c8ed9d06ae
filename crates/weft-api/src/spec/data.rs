//! Datasets that a workload finds as folders: `data: claims@v7`.
//!
//! Which version is meant, whether there is one and whether it may be read is the server's to say;
//! where it may be mounted too, since that depends on the sandbox.

use super::error::Rule;
use super::field::{Field, Findings};
use super::keys;
use super::workload::DataSpec;
use super::yaml::Value;
use std::str::FromStr;
use weft_types::DatasetName;

/// Most datasets of a workload: each is a mount, and a thread that serves it.
pub const DATA_MAX: usize = 16;

/// Longest name of a version: as that of anything.
const MOMENT_MAX: usize = weft_types::NAME_MAX;

/// Longest part of all: more digits than any is made by.
const SAMPLE_BYTES_MAX: usize = 16;

const FROM: &str = "name a dataset, or a version of it, as in `claims@v7`";

pub(super) fn read(field: &Field<'_>, found: &mut Findings) -> Vec<DataSpec> {
    let items = match field.node.value {
        Value::List(_) => found.list(field, DATA_MAX).unwrap_or_default(),
        _ => vec![field.clone()],
    };
    let mut data: Vec<DataSpec> = Vec::new();
    for item in &items {
        let Some(entry) = entry(item, found) else { continue };
        if data.iter().any(|other| other.to == entry.to) {
            let message = format!("`{}` is mounted at `{}` like another", item.path, entry.to);
            found.beyond(Rule::Beyond, item, message, "give one of them another `to:`");
            continue;
        }
        data.push(entry);
    }
    data
}

fn entry(field: &Field<'_>, found: &mut Findings) -> Option<DataSpec> {
    let mut sample = None;
    let (from, to) = match field.node.value {
        Value::Map(_) => {
            let fields = found.map(field, keys::DATA)?;
            let to = found.take(&fields, &["to"]);
            let to = to.map(|to| place(&to, found));
            if let Some(mode) = found.take(&fields, &["mode"]) {
                mode_of(&mode, found);
            }
            sample = found.take(&fields, &["sample"]).map(|part| fraction(&part, found));
            let Some(from) = found.take(&fields, &["from"]) else {
                let message = format!("`{}` does not say which dataset", field.path);
                found.beyond(Rule::Missing, field, message, "add `from: claims@v7`");
                return None;
            };
            (from, to)
        }
        _ => (field.clone(), None),
    };
    let text = found.text(&from)?;
    if split(text).is_none() {
        let message = format!("`{}` is `{text}`, which is no dataset", from.path);
        found.bad(&from, message, FROM);
        return None;
    }
    let to = to.unwrap_or_else(|| Some(usual_place(text)))?;
    let sample = sample.map_or(Some(None), |part| part.map(Some))?;
    Some(DataSpec { from: text.to_owned(), to, sample, tier: None })
}

/// A part of all, as it is written: what it may be finer than is the server's to say.
fn fraction(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let text = found.written(field, "a part, such as `1%`")?;
    let digits = text.strip_suffix('%').unwrap_or(text);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    if text.len() > SAMPLE_BYTES_MAX || !number(whole) || !number(rest) {
        let message = format!("`{}` is `{text}`, which is no part of all", field.path);
        found.bad(field, message, "write `1%`, `0.5%` or `0.01`");
        return None;
    }
    Some(text.to_owned())
}

fn place(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let text = found.text(field)?;
    let part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control)
    };
    let legal = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    if !legal {
        let message = format!("`{}` is `{text}`, which is no absolute path", field.path);
        found.bad(field, message, "write it without `.`, `..` and empty parts, as in `/data/x`");
        return None;
    }
    Some(text.to_owned())
}

fn mode_of(field: &Field<'_>, found: &mut Findings) {
    if matches!(field.scalar(), Some(("ro", _))) {
        return;
    }
    let message = format!("`{}` is not `ro`: a version of a dataset never changes", field.path);
    let hint = "write results to the working directory, and keep them with `outputs:`";
    found.bad(field, message, hint);
}

/// Where a dataset is mounted unless said otherwise.
pub fn usual_place(from: &str) -> String {
    format!("/data/{}", from.split('@').next().unwrap_or(from))
}

/// The dataset, and what names its version; none: the text names no dataset.
pub fn split(from: &str) -> Option<(DatasetName, Option<&str>)> {
    let (name, moment) = match from.split_once('@') {
        Some((name, moment)) => (name, Some(moment)),
        None => (from, None),
    };
    let legal = |moment: &&str| {
        let mut bytes = moment.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        first
            && moment.len() <= MOMENT_MAX
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let name = DatasetName::from_str(name).ok()?;
    match moment {
        Some(moment) if !legal(&moment) => None,
        moment => Some((name, moment)),
    }
}
