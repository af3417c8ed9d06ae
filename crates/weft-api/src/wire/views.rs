//! Views: datasets that the server makes of another one.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST /api/v1/datasets/{dataset}/views`: of that dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeView {
    /// What it is called: 3 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// What it is, for people; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Files that this names, as `tables/*.csv`; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// What of each file: `columns`, `masks`, `rows`, `sample` and `by`; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub recipe: Option<Value>,
}

/// What a dataset is a view of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetView {
    /// The source, where the caller may know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of the files that this names; absent: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// What of each file; absent: all of it, or not for the caller to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub recipe: Option<Value>,
    /// Who made it.
    pub by: String,
    /// What became of the source's versions, the newest first; of one dataset alone, and to whom
    /// may know of the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<ViewVersion>,
}

/// What became of a version of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViewVersion {
    /// The version of the source.
    pub of: u32,
    /// The version of the view; absent: it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How many files are not in it that the view is of.
    pub left_out: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LeftOutFile>,
}

/// A file that is not in a version of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutFile {
    /// Where it is in the source.
    pub path: String,
    /// Why.
    pub why: String,
}

/// `POST /api/v1/datasets/{dataset}/lower`: of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskLower {
    /// A tier below the one it has.
    pub tier: String,
    /// Why, for who decides; 1 to 1,000 bytes.
    pub why: String,
}
