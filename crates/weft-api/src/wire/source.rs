//! Sources of data and imports from them, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The note of an object that came from a source: what by, as JSON.
pub const ORIGIN: &str = "weft-origin";

/// A source of data as those see it who may use it. What its password is nobody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// What it is called: 1 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// The team that may use it, with the teams below.
    pub queue: String,
    /// Where it is, and how it is asked.
    pub at: SourceAt,
    /// Who declared it.
    pub by: String,
    /// When.
    pub at_ms: u64,
    /// Whether a password, a token or a secret key is kept for it.
    pub has_secret: bool,
}

/// Where a source is, and how it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceAt {
    /// `http`, `s3`, `postgres` or `mysql`.
    pub kind: String,
    /// Of `http` and `s3` an address of the web; of a database `host` or `host:port`.
    pub address: String,
    /// The database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The store's region; absent: `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Who asks: a user, or of `s3` the public part of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Without TLS: the password and the data go over the line as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
    /// Networks that it may reach although they are not public, as `10.1.0.0/16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Certificates that are trusted in place of the machine's, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

/// `PUT /api/v1/sources/{source}`: declares it, or changes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSource {
    /// The team that may use it; absent: the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Where it is, and how it is asked.
    pub at: SourceAt,
    /// The password, the token or the secret part of the key; kept under seal and never shown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

impl std::fmt::Debug for PutSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { queue, at, .. } = self;
        f.debug_struct("PutSource").field("queue", queue).field("at", at).finish_non_exhaustive()
    }
}

/// `POST /api/v1/datasets/{dataset}/imports`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartImport {
    /// `https://…`, `s3://bucket/prefix`, or a source and what of it: `crm:public.customers`,
    /// several tables with commas between, `files:2026/a.csv`, `lake:raw/`.
    pub from: String,
    /// Of a database: this query in place of tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Where in the dataset: a folder with a `/` behind it, or a file; absent: by its own name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Of a table: only the rows in which this column is greater than at the last import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why, kept with the version; absent: where it is from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Its number.
    pub id: u64,
    /// The source; absent: a public address of the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What of it, to those who may see what is in the dataset.
    pub what: String,
    /// Who wanted it.
    pub by: String,
    /// `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    /// Files that have come.
    pub files: u64,
    /// Bytes that have come.
    pub bytes: u64,
    /// The moment that the source says it is of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub snapshot: String,
    /// The dataset's version that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When it began.
    pub began_at_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
}
