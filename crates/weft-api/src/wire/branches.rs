//! Branches: datasets that begin as a version of another one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/datasets/{dataset}/branches`: of that dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeBranch {
    /// What it is called: 3 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// Of which version: `v7`, a name, a day; absent: of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What it is, for people; at most 1,000 bytes. Absent: what its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// `POST /api/v1/datasets/{dataset}/merge`: that branch, into what it is a branch of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeBranch {
    /// Why, kept with the version; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A branch was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BranchMerged {
    /// The dataset that it was merged into.
    pub into: String,
    /// The version that that is now.
    pub number: u32,
    /// The version of the branch that was merged.
    pub of: u32,
    /// Objects that were put.
    pub put: u64,
    /// Objects that were deleted.
    pub deleted: u64,
}

/// What a dataset is a branch of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetBranch {
    /// The source, where the caller may know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of this version.
    pub version: u32,
}
