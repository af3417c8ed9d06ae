//! Requests and answers, by noun. Times are milliseconds since 1970, sizes are bytes.

mod access;
mod asked;
mod branches;
mod data;
mod lineage;
mod parts;
mod pool;
mod source;
mod usage;
mod views;
mod workload;

pub use access::{
    AuditCheck, AuditEntry, CreateDataKey, CreateToken, CreateUser, DataKey, NewToken, Role, Token,
    User, WhoAmI,
};
pub use asked::{
    ApproveRequest, AskAccess, AskEnd, DataGrant, DataKept, DataQuota, DataRequest, DataRotated,
    KeepDays, RotateData,
};
pub use branches::{BranchMerged, DatasetBranch, MakeBranch, MergeBranch};
pub use data::{
    ColumnProfile, DamagedObject, DataChange, DataChecked, DataCollected, DataObject, Dataset,
    DatasetRestored, DatasetVersion, FrequentValue, MODIFIED, MakeDataset, MakeVersion, ObjectPage,
    ObjectPut, PROFILE, RemovedData, RestoreDataset, ReviveDataset, SHA256, TableProfile,
    TableRows, TagVersion, UpdateDataset, VersionMade,
};
pub use lineage::{Lineage, LineageOrigin, LineageVersion};
pub use parts::{
    BeginUpload, DataUpload, FinishUpload, PART_BYTES, SHA256_PARTS, UploadedPart, part_bytes,
};
pub use pool::{
    DataStore, Device, DeviceShare, DeviceUpdate, Health, Image, Node, NodeUpdate, Offer,
    OfferBack, OfferMig, OfferRoom, OfferWhy, Offers, Queue, QueueOrder, QueueQuota, Rung,
    ServerInfo, ShareUse,
};
pub use source::{Import, ORIGIN, PutSource, Source, SourceAt, StartImport};
pub use usage::{CostLine, CostReport, DeviceUse, LedgerCheck, LedgerDevice, MetricPoint, Metrics};
pub use views::{AskLower, DatasetView, LeftOutFile, MakeView, ViewVersion};
pub use workload::{
    DryRun, Event, Exit, Expected, FieldChange, Help, LogLine, OutputFile, Page, PageQuery, Placed,
    Published, PublishedState, Stage, State, Stop, Submit, Suspended, UsageSummary, Wait, WaitKind,
    Workload,
};
