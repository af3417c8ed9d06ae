//! Where versions of datasets come from, and what came of them, on the wire.

use crate::spec::WorkloadSpec;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/datasets/{dataset}/lineage[?at=v3]`: a graph of versions and of what made one of
/// others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lineage {
    /// The version that was asked about, by its `id`.
    pub of: String,
    /// It, what it comes from, and what came of it, however far.
    pub versions: Vec<LineageVersion>,
    /// What made them.
    pub origins: Vec<LineageOrigin>,
    /// `false`: there is more than is shown.
    pub whole: bool,
}

/// A version in a lineage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineageVersion {
    /// `claims@v3`; of what is not the caller's to see, nothing that says what it is.
    pub id: String,
    /// `false`: it is not the caller's to see, and where it comes from is not told either.
    pub seen: bool,
    /// Whether it was removed since.
    pub removed: bool,
    /// How sensitive its dataset is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// How many objects it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// How much they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What made a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineageOrigin {
    /// The version, by its `id`.
    pub of: String,
    /// The versions that were read for it.
    pub from: Vec<String>,
    /// `run` or `import`.
    pub kind: String,
    /// The workload's id, `w12`, or the source.
    pub what: String,
    /// The workload's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For whom.
    pub by: String,
    /// When the version was made of it.
    pub at_ms: u64,
    /// How long the workload ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
    /// What was submitted, with the versions that it meant; told to those who may read its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<WorkloadSpec>,
}
