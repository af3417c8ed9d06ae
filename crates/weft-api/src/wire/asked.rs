//! What is asked about datasets on the wire, what was granted, and how much a team may hold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/data/access`. The answer is the same whether there is such a dataset or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskAccess {
    /// The dataset's name.
    pub dataset: String,
    /// Why, for who decides; 1 to 1,000 bytes.
    pub why: String,
    /// For how many days, 1 to 365; absent: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// `POST …/end`: what was removed is to be forgotten before its days are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskEnd {
    /// Why, for who decides; 1 to 1,000 bytes.
    pub why: String,
}

/// `PUT /api/v1/datasets/{dataset}/keep`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepDays {
    /// What ended is to be kept so many days, 1 to 3,650. More are so at once; fewer are asked for.
    pub days: u32,
    /// Why, for who decides on fewer; 1 to 1,000 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How long a dataset keeps what ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataKept {
    /// So many days, now.
    pub days: u32,
    /// What was asked for, where that is not so until another has agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<DataRequest>,
}

/// `POST /api/v1/data/requests/{id}/approve`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// Of access: for how many days, 1 to 365; absent: as was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// What somebody asked about a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataRequest {
    /// Its number.
    pub id: u64,
    /// The dataset, as it was asked for.
    pub dataset: String,
    /// `access`; `keep`: what ended fewer days; `end`: what was removed before its days are over;
    /// `lower`: that a view is less sensitive.
    pub asks: String,
    /// Who asked.
    pub asker: String,
    /// Why.
    pub why: String,
    /// Days of access, or for which what ended is to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Of an end: this version alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Of a view: that this is its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// `asked`, `approved`, `done`, `denied` or `expired`.
    pub state: String,
    /// When it was asked.
    pub asked_at_ms: u64,
    /// Until when it may be decided on.
    pub expires_at_ms: u64,
    /// Who said yes or no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at_ms: Option<u64>,
    /// Of a yes: when it is done, not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at_ms: Option<u64>,
    /// Whether the caller may approve it.
    pub yours: bool,
}

/// Access to a dataset that was given somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataGrant {
    /// To whom.
    pub user: String,
    /// By whom.
    pub by: String,
    /// When.
    pub at_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

/// What a team's datasets may be together, and are: on the disk, with history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataQuota {
    /// Bytes they may be.
    #[serde(default)]
    pub bytes: u64,
    /// Objects they may be, as they are and as they were.
    #[serde(default)]
    pub objects: u64,
    /// Bytes they are.
    #[serde(default)]
    pub used_bytes: u64,
    /// Objects they are.
    #[serde(default)]
    pub used_objects: u64,
}

/// `POST /api/v1/data/rotate`: of a dataset or of a team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateData {
    /// The dataset whose key is to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The team whose key is to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// What a stretch of a rotation came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataRotated {
    /// Keys that were wrapped anew.
    pub keys: u64,
    /// Whether that is all; if not, ask again, and it goes on.
    pub done: bool,
}
