//! People, tokens and the audit log on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a person may do, by and large; the policies say it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything but reading users' data.
    Admin,
    /// Machines and queues, no users' data.
    Operator,
    /// A team's workloads, all of them.
    Lead,
    /// One's own workloads, and seeing one's team's.
    Member,
    /// Reading the audit log and nothing else.
    Auditor,
}

/// `GET /api/v1/whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// Name.
    pub user: String,
    /// Role.
    pub role: Role,
    /// Team's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How the caller was recognised: `socket` or `token`.
    pub by: String,
}

/// A person or service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Team's queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Since when.
    pub created_at_ms: u64,
    /// Whether the user is shut out.
    pub disabled: bool,
}

/// `POST /api/v1/users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Team's queue; needed for leads and members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// `POST /api/v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Whose; absent: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `read` or `write`.
    pub scope: String,
    /// Lifetime, at most 90 days; a token made with another ends with that one, at the latest.
    pub expires_in_ms: u64,
}

/// A key for S3 clients to be made, for oneself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDataKey {
    /// `read` or `write`.
    pub scope: String,
    /// Lifetime, at most 90 days; a key made with a token ends with that one, at the latest.
    pub expires_in_ms: u64,
}

/// A key for S3 clients, and where they use it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataKey {
    /// Public part: `AWS_ACCESS_KEY_ID`. It is listed and revoked as a token.
    pub access_key_id: String,
    /// The secret, shown this once: `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `read` or `write`.
    pub scope: String,
    /// Until when, in milliseconds since 1970.
    pub expires_at_ms: u64,
    /// Where the server is: `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    /// `AWS_REGION`: any will do, clients want one.
    pub region: String,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Public part.
    pub id: String,
    /// Whose.
    pub user: String,
    /// `read` or `write`.
    pub scope: String,
    /// Since when.
    pub created_at_ms: u64,
    /// Until when.
    pub expires_at_ms: u64,
    /// Last use, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at_ms: Option<u64>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Public part of the token it was made with: it ends with that one, at the latest. Absent:
    /// it was made at the server's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A token just made; the only time its secret is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token.
    pub token: Token,
    /// What to send as a bearer.
    pub secret: String,
}

/// One row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counted from 1 without a gap.
    pub seq: u64,
    /// When.
    pub at_ms: u64,
    /// Who; empty where nobody was recognised.
    pub actor: String,
    /// What was asked: a verb of the policy.
    pub verb: String,
    /// Of what.
    pub resource: String,
    /// `allowed` or `denied`.
    pub decision: String,
    /// Which policies decided.
    pub policies: Vec<String>,
    /// Details, as JSON.
    pub detail: String,
    /// SHA-256 over the row before and this one, in hex.
    pub hash: String,
}

/// `GET /api/v1/audit/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditCheck {
    /// Whether every row follows from the one before.
    pub intact: bool,
    /// Rows checked.
    pub rows: u64,
    /// The first row that does not, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// Hash of the last row: keep it elsewhere to notice a rewritten log.
    pub head: String,
}
