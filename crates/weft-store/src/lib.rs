//! Durable state in SQLite: one writer with group commit, readers beside it.
//!
//! [`Store::read`] gives a closure one consistent view; [`Store::write`] runs a closure in a
//! transaction that is on disk when the call returns. The typed methods stand on [`Read`] and
//! [`Write`], one noun per file. Acknowledged is durable; a closure that fails leaves nothing;
//! a server that was replaced is refused ([`StoreError::Fenced`]); no device unit is given
//! twice (a trigger, see `migrations/`); the audit log is a hash chain.
//!
//! | to | read |
//! |--|--|
//! | follow a write to the disk | `store.rs`, `writer.rs` |
//! | see the tables | `migrations/` |
//! | build what the planner reads | `snapshot.rs` |
//! | account device time | `ledger.rs` and `weft-meter` |
//! | copy the state while it runs, and bring it back | `backup.rs` |
//!
//! Absent on purpose: clocks (every time is given by the caller), decisions, wire types. No
//! other crate holds SQL.

mod artifacts;
mod audit;
mod away;
mod backup;
mod branches;
mod chunks;
mod column;
mod commits;
mod cost;
mod datasets;
mod described;
mod device_use;
mod diff;
mod durations;
mod error;
mod events;
mod experiments;
pub mod failpoint;
mod forget;
mod holders;
mod housekeep;
mod idempotency;
mod invariants;
mod layout;
mod ledger;
mod limits;
mod lineage;
mod lists;
mod meta;
mod models;
mod nodes;
mod objects;
mod placements;
mod points;
mod publications;
mod queues;
mod quotas;
mod readers;
mod recent;
mod requests;
mod rewrap;
mod schema;
mod scrub;
mod snapshot;
mod sources;
mod store;
mod tokens;
mod tracked;
mod tx;
mod uploads;
mod usage;
mod users;
mod versions;
mod views;
mod workloads;
mod writer;

pub use audit::{AuditCheck, AuditRow, Decision, NewAudit};
pub use away::PackAway;
pub use backup::{BackupReport, restore};
pub use branches::BranchRow;
pub use chunks::{ChunkKey, ChunkPlace, PackUse};
pub use commits::Commits;
pub use cost::CostLine;
pub use datasets::{DatasetId, DatasetKeys, DatasetRow, Keeps, NewDataset};
pub use device_use::{DeviceHeld, DeviceUseRow};
pub use diff::{Difference, Restored};
pub use durations::Learned;
pub use error::StoreError;
pub use events::{EventFilter, EventRow, NewEvent};
pub use experiments::{ExperimentId, ExperimentRow, NewExperiment};
pub use forget::{Ended, ForgottenDataset};
pub use holders::Holding;
pub use idempotency::{RequestKey, Seen, StoredResponse};
pub use ledger::LedgerDevice;
pub use limits::{
    AUDIT_DETAIL_MAX, EVENT_DETAIL_MAX, IDEMPOTENCY_BODY_MAX, KEEP_RESPONSES, PAGE_MAX, SPEC_MAX,
};
pub use lineage::{NewOrigin, OriginInput, OriginKind, OriginRow};
pub use lists::{History, HistoryEntry, Listing, Page, PutThen, SealedEntry};
pub use meta::Meta;
pub use models::{ModelId, ModelRow, ModelUse, NewModel};
pub use nodes::{DeviceRow, NodeReport, NodeRow};
pub use objects::{At, Expected, NewObject, ObjectEntry, ObjectRow, PATH_MAX, Sealed};
pub use points::PointMark;
pub use publications::{PublicationRow, Published};
pub use queues::QueueRow;
pub use quotas::DataHeld;
pub use recent::HeldLately;
pub use requests::{Asks, Decided, GrantRow, NewRequest, REQUESTS_OPEN_MAX, RequestRow};
pub use rewrap::{SealedRow, SealedUpload};
pub use scrub::{ScrubPlace, ScrubRow};
pub use sources::{Came, IMPORTS_KEPT, ImportRow, ImportState, NewImport, SourceKind, SourceRow};
pub use store::{Heads, Store};
pub use tokens::{Scope, TokenRow};
pub use tracked::{NewTracked, TrackedChange, TrackedId, TrackedInput, TrackedRow};
pub use tx::{Read, Write};
pub use uploads::{NewPart, PartRow, UploadId, UploadRow};
pub use usage::UsageTotals;
pub use users::{Role, UserRow};
pub use versions::{DatasetVersionRow, Summed, VERSION_NAME_MAX, VersionName, moment_of};
pub use views::{LEFT_OUT_MAX, LeftOut, ViewRow, ViewVersionRow};
pub use weft_meter::Point;
pub use workloads::{Namesake, NewWorkload, Whose, WorkloadFilter, WorkloadRow};
