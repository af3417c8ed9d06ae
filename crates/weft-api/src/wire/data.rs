//! Datasets on the wire: what they are, their objects, versions, and how two versions differ.
//!
//! Bytes themselves are no JSON: they come and go as the bodies of `…/objects/{path}`.

use super::{DataGrant, DatasetBranch, DatasetView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Header of a put: when the file was last changed, in nanoseconds since 1970. Kept as the note of
/// the same name, so that a copy can tell later that it has the same.
pub const MODIFIED: &str = "weft-modified-ns";

/// The note that holds the SHA-256 of what was put, in lower-case hex.
pub const SHA256: &str = "weft-sha256";

/// The note that holds what a table is, as JSON.
pub const PROFILE: &str = "weft-profile";

/// A dataset as those see it who may know that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dataset {
    /// What it is called.
    pub name: String,
    /// The team whose it is.
    pub queue: String,
    /// The person who answers for it.
    pub owner: String,
    /// How sensitive it is: `public`, `internal`, `confidential` or `restricted`.
    pub tier: String,
    /// What it is, for people.
    pub about: String,
    /// The newest version; 0 where none was made.
    pub versions: u32,
    /// Objects of the newest version, or of now where none was made.
    pub objects: u64,
    /// What they are together.
    pub bytes: u64,
    /// Whether something was put or deleted since the newest version.
    pub changed: bool,
    /// When it was made.
    pub created_at_ms: u64,
    /// When its newest version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_at_ms: Option<u64>,
    /// When the newest object of now was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_at_ms: Option<u64>,
    /// How many days what ended is kept.
    #[serde(default)]
    pub keep_days: u32,
    /// Objects that were damaged when all of it was last read, which the server does each week.
    #[serde(default)]
    pub damaged: u64,
    /// Access that was given, where the caller may give it; else the caller's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<DataGrant>,
    /// What it is a view of; absent: people and runs write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<DatasetView>,
    /// Of one dataset alone: the views of it that the caller may know of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// What it is a branch of; absent: it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<DatasetBranch>,
    /// Of one dataset alone: the branches of it that the caller may know of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
}

/// `POST /api/v1/datasets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeDataset {
    /// 3 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// Whose it is to be; absent: the caller's team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Absent: `internal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What it is, for people; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
}

/// `PATCH /api/v1/datasets/{dataset}`; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateDataset {
    /// What it is, for people; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// A tier above the one it has: it is never lowered, but that of a view by two people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

/// A version: the dataset as it was. Nothing of it can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetVersion {
    /// Counts from 1; `claims@v3` is number 3 of `claims`.
    pub number: u32,
    /// Names that it was given.
    pub tags: Vec<String>,
    /// How many objects.
    pub objects: u64,
    /// What they are together.
    pub bytes: u64,
    /// SHA-256 over paths, sizes and tags of its objects: two versions that have it are equal.
    pub digest: String,
    /// Who made it.
    pub by: String,
    /// Why, for people.
    pub note: String,
    /// When.
    pub at_ms: u64,
}

/// `POST /api/v1/datasets/{dataset}/versions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeVersion {
    /// Why, for people; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What was made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionMade {
    /// The version.
    pub made: DatasetVersion,
    /// Whether it is new; else nothing had changed since this one.
    pub fresh: bool,
}

/// `PUT /api/v1/datasets/{dataset}/tags/{tag}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagVersion {
    /// The version's number.
    pub number: u32,
}

/// `POST /api/v1/datasets/{dataset}/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreDataset {
    /// What it is to be again: a version by `v3` or its name; or a moment, as `2026-11-01` (the end
    /// of that day) or `2026-11-01T14:05`, in UTC.
    pub at: String,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetRestored {
    /// The version that it is again; 0 where it was a moment.
    pub number: u32,
    /// The moment, where it was one: it is as it was before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment_ms: Option<u64>,
    /// Objects that are as they were.
    pub put: u64,
    /// Objects that were not there then, and are not now.
    pub deleted: u64,
}

/// What was removed and can be brought back: a dataset, or a version of one that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemovedData {
    /// What it was called.
    pub dataset: String,
    /// The version; absent: all of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The team whose it is.
    pub queue: String,
    /// The person who answers for it.
    pub owner: String,
    /// How sensitive it is.
    pub tier: String,
    /// How many objects.
    pub objects: u64,
    /// What they are together.
    pub bytes: u64,
    /// When it was removed.
    pub removed_at_ms: u64,
    /// Until when it can be brought back; then its keys are forgotten.
    pub until_ms: u64,
}

/// `POST /api/v1/datasets/{dataset}/revive`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviveDataset {
    /// Another name for it, where its own is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a table is, from its first megabytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TableProfile {
    /// `csv`, `tsv`, `jsonl` or `parquet`.
    pub format: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether those are all.
    pub whole: bool,
    /// Its columns, the first of them where there are many.
    pub columns: Vec<ColumnProfile>,
}

/// What a column of a table is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ColumnProfile {
    /// What it is called.
    pub name: String,
    /// `integer`, `number`, `boolean`, `text`, `bytes`, `nested` or `empty`.
    pub kind: String,
    /// Rows that have nothing in it.
    pub empty: u64,
    /// How many distinct values there are; above 256 about, to some per cent.
    pub distinct: u64,
    /// The least number; absent of confidential and restricted datasets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The greatest, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
    /// How many numbers lie in each tenth of the way from the least to the greatest, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenths: Vec<u64>,
    /// The most frequent texts, the first of them the most, likewise; none where nearly all differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frequent: Vec<FrequentValue>,
}

/// A value that stands in many rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrequentValue {
    /// The value.
    pub value: String,
    /// Rows that have it.
    pub rows: u64,
}

impl ColumnProfile {
    /// Forgets what are values of rows: of the upper tiers they are told to nobody.
    pub fn forget_values(&mut self) {
        (self.least, self.most) = (None, None);
        self.tenths.clear();
        self.frequent.clear();
    }
}

/// An object of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataObject {
    /// Where.
    pub path: String,
    /// Plain bytes.
    pub bytes: u64,
    /// Hex; two objects of one dataset that have it are equal.
    pub tag: String,
    /// When it was put.
    pub at_ms: u64,
    /// What was said of it when it was put, where that was asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// Of a table, what it is, where notes were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<TableProfile>,
}

/// A page of objects, in the order of their paths' bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObjectPage {
    /// Objects.
    pub items: Vec<DataObject>,
    /// What several, or one, begin with, up to the delimiter.
    pub prefixes: Vec<String>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a put came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectPut {
    /// Where.
    pub path: String,
    /// Plain bytes.
    pub bytes: u64,
    /// Bytes that were in no object of the dataset before.
    pub new_bytes: u64,
    /// Hex; two objects of one dataset that have it are equal.
    pub tag: String,
}

/// How one path differs between two moments of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataChange {
    /// Where.
    pub path: String,
    /// Bytes before; absent: it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Bytes after; absent: it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// One stretch of a check that what is stored can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataChecked {
    /// Objects that were read wholly.
    pub objects: u64,
    /// Their plain bytes.
    pub bytes: u64,
    /// Those of them that are not as they were put.
    pub damaged: Vec<DamagedObject>,
    /// Pass as `cursor` to go on; absent: all was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An object that is not as it was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedObject {
    /// Where.
    pub path: String,
    /// What is wrong with it.
    pub why: String,
}

/// `POST /api/v1/data/collect`: what the disk has again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataCollected {
    /// Objects that had ended long enough ago and are in no version.
    pub objects: u64,
    /// Datasets that had been removed long enough ago: their keys are gone.
    pub datasets: u64,
    /// Pieces of data that nobody needed any more.
    pub chunks: u64,
    /// Files that are gone.
    pub packs: u64,
    /// Bytes that the disk has again.
    pub freed_bytes: u64,
}

/// The first rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableRows {
    /// Of this file.
    pub path: String,
    /// Names of its columns: fifty at most.
    pub columns: Vec<String>,
    /// Values by column, as text; null where there is none. Long ones are cut.
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether there are more rows.
    pub more: bool,
    /// Columns that are not shown.
    pub left_out: u64,
}
