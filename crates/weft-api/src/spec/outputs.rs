//! What is kept of a workload: `outputs: model/` as files, `- {from: model/, to: digits-model}` as
//! a version of a dataset.
//!
//! Whether that dataset may be written is the server's to say.

use super::error::Rule;
use super::field::{Field, Findings};
use super::keys;
use super::workload::PublishSpec;
use super::yaml::Value;
use std::str::FromStr;
use weft_types::DatasetName;

/// Most entries: what the server takes, of both sorts together.
pub(super) const OUTPUTS_MAX: usize = 64;

/// The paths that are kept as files, and what goes into datasets.
pub(super) fn read(field: &Field<'_>, found: &mut Findings) -> (Vec<String>, Vec<PublishSpec>) {
    let items = match field.node.value {
        Value::List(_) => found.list(field, OUTPUTS_MAX).unwrap_or_default(),
        _ => vec![field.clone()],
    };
    let (mut kept, mut published) = (Vec::new(), Vec::<PublishSpec>::new());
    for item in &items {
        if !matches!(item.node.value, Value::Map(_)) {
            kept.extend(found.text(item).map(|path| inside(item, path, found)));
            continue;
        }
        let Some(entry) = entry(item, found) else { continue };
        if published.iter().any(|other| other.to == entry.to) {
            let message = format!("`{}` goes into `{}` like another", item.path, entry.to);
            let hint = "a version is of one entry: write a pattern, or another dataset";
            found.beyond(Rule::Beyond, item, message, hint);
            continue;
        }
        published.push(entry);
    }
    (kept, published)
}

fn entry(field: &Field<'_>, found: &mut Findings) -> Option<PublishSpec> {
    let fields = found.map(field, keys::OUTPUT)?;
    let [from, to] = ["from", "to"].map(|key| found.take(&fields, &[key]));
    let (Some(from), Some(to)) = (from, to) else {
        let message = format!("`{}` does not say what goes where", field.path);
        found.bad(field, message, "write both, as in `{from: model/, to: digits-model}`");
        return None;
    };
    let path = found.text(&from).map(|path| inside(&from, path, found));
    let dataset = found.text(&to)?;
    if DatasetName::from_str(dataset).is_err() {
        let message = format!("`{}` is `{dataset}`, which is no name of a dataset", to.path);
        let hint = "3 to 63 of a-z, 0-9 and `-`; a version gets its number when it is made";
        found.bad(&to, message, hint);
        return None;
    }
    Some(PublishSpec { from: path?, to: dataset.to_owned() })
}

fn inside(field: &Field<'_>, path: &str, found: &mut Findings) -> String {
    if !is_inside(path) {
        let message = format!("`{}` is `{path}`, outside of the working directory", field.path);
        found.bad(field, message, "write a relative path without `..`");
    }
    path.to_owned()
}

/// Whether a relative path stays inside the directory it starts from.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != "..")
}
