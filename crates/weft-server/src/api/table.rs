//! The table of routes: every way into the server, on one page.
//!
//! The router, the description and the generated authorisation test are made from it; a route
//! that is not here does not exist. Each row: method, path, what it is, what it needs, handler;
//! then its query, body and answer.

use super::data::{
    branches, check, diff, imports, keys, lineage, objects, removed, requests, rotate, rows, sets,
    uploads, versions, views,
};
use super::route::Access::{Chooses, Needs, Open};
use super::route::{Guard, Key, Route};
use super::{
    admin, audit, bundles, events, exec, health, images, logs, metrics, offers, openapi, outputs,
    pool, queues, sources, tokens, usage, users, watch, workloads,
};
use axum::http::Method;
use weft_api::wire;
use weft_policy::Verb;

/// Routes by noun.
pub(crate) fn routes() -> Vec<Route> {
    [
        server(),
        workload(),
        workload_data(),
        datasets(),
        dataset_versions(),
        uploads_in_parts(),
        elsewhere(),
        kept_data(),
        data_requests(),
        pooled(),
        access(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A route as a test or a document sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Method.
    pub method: &'static str,
    /// Path with its parameters.
    pub path: &'static str,
    /// The verbs it needs one of; none: anyone may ask.
    pub verbs: Vec<Verb>,
    /// Whether it must carry an `Idempotency-Key`.
    pub key: bool,
}

/// Every route.
pub fn listed() -> Vec<Listed> {
    let list = |route: Route| Listed {
        method: route.method_name(),
        path: route.path,
        verbs: match route.access {
            Open => Vec::new(),
            Needs(verb, _) => vec![verb],
            Chooses(verbs, _) => verbs.to_vec(),
        },
        key: route.key != Key::None,
    };
    routes().into_iter().map(list).collect()
}

fn get<F, Fut>(path: &'static str, says: &'static str, access: super::route::Access, f: F) -> Route
where
    F: Fn(super::call::Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = super::route::Answer> + Send + 'static,
{
    Route::new(Method::GET, path, says, access, f)
}

fn post<F, Fut>(path: &'static str, says: &'static str, access: super::route::Access, f: F) -> Route
where
    F: Fn(super::call::Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = super::route::Answer> + Send + 'static,
{
    Route::new(Method::POST, path, says, access, f)
}

fn delete<F, Fut>(
    path: &'static str,
    says: &'static str,
    access: super::route::Access,
    f: F,
) -> Route
where
    F: Fn(super::call::Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = super::route::Answer> + Send + 'static,
{
    Route::new(Method::DELETE, path, says, access, f).status(204)
}

#[rustfmt::skip]
fn server() -> Vec<Route> {
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        get("/healthz", "Whether the process answers",
            Open, health::alive).gives_bytes("text/plain"),
        get("/readyz", "Whether the state can be read and the loop turns", Open, health::ready)
            .gives_bytes("text/plain"),
        get("/api/v1/openapi.json", "This description",
            Open, openapi::serve).gives_bytes("application/json"),
        get("/metrics", "Counters in the Prometheus text format",
            pool(Verb::ServerMetrics), metrics::scrape)
            .gives_bytes("text/plain"),
        get("/api/v1/info", "What this server is", pool(Verb::ServerInfo), admin::info)
            .gives::<wire::ServerInfo>(),
        get("/api/v1/whoami", "Who the caller is to it", pool(Verb::ServerInfo), users::whoami)
            .gives::<wire::WhoAmI>(),
        post("/api/v1/admin/backup", "Copy the state to a file of the server's machine",
             pool(Verb::ServerBackup), admin::backup)
            .json::<admin::Backup>().gives::<admin::BackupMade>().status(201).unbounded(),
        post("/api/v1/admin/shutdown", "End the server",
             pool(Verb::ServerShutdown), admin::shutdown)
            .maybe_json::<admin::Shutdown>().status(202),
    ]
}

#[rustfmt::skip]
fn workload() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Workload);
    vec![
        post("/api/v1/workloads", "Submit a workload",
             Needs(Verb::WorkloadSubmit, Guard::Asked(workloads::to_be)), workloads::submit)
            .json::<wire::Submit>().gives::<wire::Workload>().status(201),
        get("/api/v1/workloads", "Workloads the caller sees, newest first",
            Needs(Verb::WorkloadList, Guard::Pool), workloads::list)
            .query::<workloads::ListQuery>().page::<wire::Workload>(),
        get("/api/v1/workloads/{id}", "One workload", on(Verb::WorkloadRead), workloads::show)
            .gives::<wire::Workload>(),
        delete("/api/v1/workloads/{id}", "Forget an ended workload, its log and its outputs",
               on(Verb::WorkloadRemove), workloads::remove),
        post("/api/v1/workloads/{id}/stop", "End a workload",
             on(Verb::WorkloadStop), workloads::stop)
            .maybe_json::<wire::Stop>().gives::<wire::Workload>(),
        get("/api/v1/workloads/{id}/why", "Why it waits", on(Verb::WorkloadRead), workloads::why)
            .gives::<wire::Wait>(),
        get("/api/v1/workloads/{id}/events", "What happened to it",
            on(Verb::WorkloadRead), workloads::events)
            .query::<events::PageQuery>().page::<wire::Event>(),
        get("/api/v1/workloads/{id}/watch", "It, at each change, until it has ended",
            on(Verb::WorkloadRead), watch::watch)
            .events::<wire::Workload>(),
        get("/api/v1/workloads/{id}/metrics", "Its use over time",
            on(Verb::WorkloadRead), usage::metrics)
            .query::<usage::MetricsQuery>().gives::<wire::Metrics>(),
    ]
}

#[rustfmt::skip]
fn workload_data() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Workload);
    vec![
        get("/api/v1/workloads/{id}/logs", "Its log; with `follow` as server-sent events",
            on(Verb::WorkloadLogs), logs::read)
            .query::<logs::LogQuery>().page::<wire::LogLine>(),
        get("/api/v1/workloads/{id}/outputs", "The files it left",
            on(Verb::WorkloadOutputs), outputs::list)
            .list::<wire::OutputFile>(),
        get("/api/v1/workloads/{id}/outputs/{*path}", "One of the files it left",
            on(Verb::WorkloadOutputs), outputs::read)
            .gives_bytes("application/octet-stream"),
        post("/api/v1/workloads/{id}/exec", "A command inside it, over the upgraded connection",
             on(Verb::WorkloadExec), exec::exec)
            .json::<exec::Exec>().status(101).key(Key::None),
        Route::new(Method::HEAD, "/api/v1/bundles/{sha256}", "Whether a bundle is here",
                   Needs(Verb::BundlePut, Guard::Pool), bundles::has),
        Route::new(Method::PUT, "/api/v1/bundles/{sha256}", "Send the files of a workload to be",
                   Needs(Verb::BundlePut, Guard::Pool), bundles::put)
            .bytes(weft_runtime::BUNDLE_BYTES_MAX).status(201).key(Key::None),
    ]
}

#[rustfmt::skip]
fn datasets() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Dataset);
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        get("/api/v1/datasets", "Datasets the caller may know of, by name",
            pool(Verb::DataList), sets::list)
            .query::<sets::ListQuery>().list::<wire::Dataset>(),
        post("/api/v1/datasets", "Make a dataset",
             Needs(Verb::DataMake, Guard::Asked(sets::to_be)), sets::make)
            .json::<wire::MakeDataset>().gives::<wire::Dataset>().status(201),
        get("/api/v1/datasets/{dataset}", "One dataset", on(Verb::DataInfo), sets::show)
            .gives::<wire::Dataset>(),
        Route::new(Method::PATCH, "/api/v1/datasets/{dataset}",
                   "Say what a dataset is about, or raise its tier",
                   on(Verb::DataUpdate), sets::update)
            .json::<wire::UpdateDataset>().gives::<wire::Dataset>(),
        delete("/api/v1/datasets/{dataset}", "Remove a dataset; its keys are forgotten days later",
               on(Verb::DataRemove), sets::remove),
        post("/api/v1/datasets/{dataset}/restore",
             "Make it what it was, at a version or a moment, by new changes",
             on(Verb::DataWrite), versions::restore)
            .json::<wire::RestoreDataset>().gives::<wire::DatasetRestored>().unbounded(),
        post("/api/v1/datasets/{dataset}/branches", "Make a branch of a version: it copies nothing",
             on(Verb::DataWrite), branches::make)
            .json::<wire::MakeBranch>().gives::<wire::Dataset>().status(201),
        post("/api/v1/datasets/{dataset}/merge", "Give a branch's changes to its source",
             on(Verb::DataWrite), branches::merge)
            .json::<wire::MergeBranch>().gives::<wire::BranchMerged>().unbounded(),
        post("/api/v1/datasets/{dataset}/views", "Make a view, which the server keeps up to date",
             on(Verb::DataView), views::make)
            .json::<wire::MakeView>().gives::<wire::Dataset>().status(201),
        get("/api/v1/datasets/{dataset}/objects", "Its objects, by path",
            on(Verb::DataInfo), objects::list)
            .query::<objects::ListQuery>().gives::<wire::ObjectPage>(),
        get("/api/v1/datasets/{dataset}/objects/{*path}", "The bytes of an object, or a range",
            on(Verb::DataRead), objects::read)
            .query::<objects::AtQuery>().gives_bytes("application/octet-stream"),
        Route::new(Method::PUT, "/api/v1/datasets/{dataset}/objects/{*path}", "Put an object",
                   on(Verb::DataWrite), objects::put)
            .bytes(objects::OBJECT_BYTES_MAX).gives::<wire::ObjectPut>().status(201)
            .key(Key::None).if_match(),
        delete("/api/v1/datasets/{dataset}/objects/{*path}",
               "End an object; versions that have it keep it",
               on(Verb::DataWrite), objects::delete).if_match(),
    ]
}

#[rustfmt::skip]
fn dataset_versions() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Dataset);
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        get("/api/v1/datasets/{dataset}/sample", "The first rows of a table",
            on(Verb::DataRead), rows::sample)
            .query::<rows::SampleQuery>().gives::<wire::TableRows>(),
        get("/api/v1/datasets/{dataset}/versions", "Its versions, newest first",
            on(Verb::DataInfo), versions::list).list::<wire::DatasetVersion>(),
        post("/api/v1/datasets/{dataset}/versions", "Keep it as it is as a version",
             on(Verb::DataWrite), versions::make)
            .json::<wire::MakeVersion>().gives::<wire::VersionMade>().status(201),
        get("/api/v1/datasets/{dataset}/versions/{at}",
            "The version that a number, a name or a day says",
            on(Verb::DataInfo), versions::show).gives::<wire::DatasetVersion>(),
        delete("/api/v1/datasets/{dataset}/versions/{at}", "Remove a version that has no name",
               on(Verb::DataRemove), versions::remove),
        Route::new(Method::PUT, "/api/v1/datasets/{dataset}/tags/{tag}", "Name a version",
                   on(Verb::DataWrite), versions::tag)
            .json::<wire::TagVersion>().gives::<wire::DatasetVersion>(),
        delete("/api/v1/datasets/{dataset}/tags/{tag}", "Take a name away from a version",
               on(Verb::DataWrite), versions::untag),
        get("/api/v1/datasets/{dataset}/lineage", "Where a version comes from, and what came of it",
            on(Verb::DataInfo), lineage::show)
            .query::<objects::AtQuery>().gives::<wire::Lineage>(),
        get("/api/v1/datasets/{dataset}/diff", "How it differs between two versions, by path",
            on(Verb::DataInfo), diff::diff)
            .query::<diff::DiffQuery>().page::<wire::DataChange>(),
        get("/api/v1/datasets/{dataset}/verify", "Read a stretch of it and tell what is damaged",
            on(Verb::DataVerify), check::verify)
            .query::<check::CheckQuery>().gives::<wire::DataChecked>().unbounded(),
        post("/api/v1/data/keys", "Make a key for S3 clients; its secret is shown this once",
             Needs(Verb::DataCredential, Guard::Asked(keys::to_be)), keys::create)
            .json::<wire::CreateDataKey>().gives::<wire::DataKey>().status(201).key(Key::Once),
        post("/api/v1/data/collect", "Free the space of what nothing needs any more",
             pool(Verb::DataCollect), check::collect)
            .gives::<wire::DataCollected>().unbounded(),
    ]
}

#[rustfmt::skip]
fn uploads_in_parts() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Dataset);
    vec![
        post("/api/v1/datasets/{dataset}/uploads",
             "Put a file in parts, or go on behind those that are there",
             on(Verb::DataWrite), uploads::begin)
            .json::<wire::BeginUpload>().gives::<wire::DataUpload>(),
        Route::new(Method::PUT, "/api/v1/datasets/{dataset}/uploads/{upload}/parts/{number}",
                   "Put one of its parts", on(Verb::DataWrite), uploads::part)
            .bytes(objects::OBJECT_BYTES_MAX).gives::<wire::UploadedPart>().status(201)
            .key(Key::None),
        post("/api/v1/datasets/{dataset}/uploads/{upload}/finish",
             "Make its parts an object", on(Verb::DataWrite), uploads::finish)
            .json::<wire::FinishUpload>().gives::<wire::ObjectPut>().status(201),
    ]
}

#[rustfmt::skip]
fn elsewhere() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Dataset);
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        get("/api/v1/sources", "Sources of data that the caller may see, by name",
            pool(Verb::SourceList), sources::list)
            .list::<wire::Source>(),
        Route::new(Method::PUT, "/api/v1/sources/{source}",
                   "Declare a source, or change it; its secret is kept under seal",
                   Needs(Verb::SourceWrite, Guard::Asked(sources::to_be)), sources::put)
            .json::<wire::PutSource>().gives::<wire::Source>().key(Key::None),
        delete("/api/v1/sources/{source}", "Remove a source and its secret",
               Needs(Verb::SourceWrite, Guard::Source), sources::remove),
        get("/api/v1/datasets/{dataset}/imports", "The last imports into it, newest first",
            on(Verb::DataInfo), imports::list)
            .list::<wire::Import>(),
        post("/api/v1/datasets/{dataset}/imports", "Import from a source; it goes on behind",
             on(Verb::DataWrite), imports::start)
            .json::<wire::StartImport>().gives::<wire::Import>().status(201),
        get("/api/v1/datasets/{dataset}/imports/{id}", "One import",
            on(Verb::DataInfo), imports::show)
            .gives::<wire::Import>(),
        delete("/api/v1/datasets/{dataset}/imports/{id}", "End an import; it makes no version",
               on(Verb::DataWrite), imports::cancel),
    ]
}

#[rustfmt::skip]
fn kept_data() -> Vec<Route> {
    let on = |verb| Needs(verb, Guard::Dataset);
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        Route::new(Method::PUT, "/api/v1/datasets/{dataset}/keep",
                   "Keep what ended longer, or ask to keep it shorter",
                   on(Verb::DataRemove), requests::keep)
            .json::<wire::KeepDays>().gives::<wire::DataKept>(),
        post("/api/v1/datasets/{dataset}/lower", "Ask that a view is less sensitive than it is",
             on(Verb::DataUpdate), requests::lower)
            .json::<wire::AskLower>().gives::<wire::DataRequest>().status(202),
        delete("/api/v1/datasets/{dataset}/grants/{user}", "Take back access that was given",
               on(Verb::DataUpdate), requests::revoke),
        post("/api/v1/datasets/{dataset}/end",
             "Ask to forget a removed dataset before its days are over",
             Needs(Verb::DataRemove, Guard::Removed), requests::end)
            .json::<wire::AskEnd>().gives::<wire::DataRequest>().status(202),
        post("/api/v1/datasets/{dataset}/versions/{at}/end",
             "Ask to forget a removed version before its days are over",
             on(Verb::DataRemove), requests::end_version)
            .json::<wire::AskEnd>().gives::<wire::DataRequest>().status(202),
        get("/api/v1/data/removed", "What was removed and can be brought back",
            pool(Verb::DataList), removed::list)
            .list::<wire::RemovedData>(),
        post("/api/v1/datasets/{dataset}/revive", "Bring a removed dataset back",
             Needs(Verb::DataRemove, Guard::Removed), removed::revive)
            .maybe_json::<wire::ReviveDataset>().gives::<wire::Dataset>(),
        post("/api/v1/datasets/{dataset}/versions/{at}/revive", "Bring a removed version back",
             on(Verb::DataRemove), removed::revive_version)
            .gives::<wire::DatasetVersion>(),
    ]
}

#[rustfmt::skip]
fn data_requests() -> Vec<Route> {
    let pool = |verb| Needs(verb, Guard::Pool);
    let on = |verb| Needs(verb, Guard::Request);
    vec![
        post("/api/v1/data/rotate", "Put another key in the place of a dataset's or a team's",
             pool(Verb::DataRotate), rotate::rotate)
            .json::<wire::RotateData>().gives::<wire::DataRotated>().unbounded(),
        post("/api/v1/admin/master-key", "Put another key in the place of the one above all keys",
             pool(Verb::MasterRotate), rotate::rotate_master)
            .gives::<wire::DataRotated>().unbounded(),
        post("/api/v1/data/access", "Ask for access to a dataset, whether there is one or not",
             pool(Verb::DataAsk), requests::ask)
            .json::<wire::AskAccess>().gives::<wire::DataRequest>().status(202),
        get("/api/v1/data/requests", "What the caller asked about datasets, or may see of others'",
            pool(Verb::DataList), requests::list)
            .list::<wire::DataRequest>(),
        post("/api/v1/data/requests/{id}/approve", "Say yes to what another asked",
             on(Verb::RequestApprove), requests::approve)
            .maybe_json::<wire::ApproveRequest>().gives::<wire::DataRequest>(),
        post("/api/v1/data/requests/{id}/deny", "Say no to it, or take it back",
             on(Verb::RequestDeny), requests::deny)
            .gives::<wire::DataRequest>(),
    ]
}

#[rustfmt::skip]
fn pooled() -> Vec<Route> {
    let pool = |verb| Needs(verb, Guard::Pool);
    let queue = |verb| Needs(verb, Guard::Asked(queues::of_path));
    vec![
        get("/api/v1/events", "What happened; with `follow` as server-sent events",
            pool(Verb::WorkloadList), events::list)
            .query::<events::EventQuery>().page::<wire::Event>(),
        get("/api/v1/devices", "The accelerators", pool(Verb::DeviceList), pool::devices)
            .list::<wire::Device>(),
        Route::new(Method::PATCH, "/api/v1/devices/{node}/{index}",
                   "Take an accelerator out of the pool, or give it back after a look",
                   pool(Verb::NodeUpdate), pool::update_device)
            .json::<wire::DeviceUpdate>().gives::<wire::Health>(),
        get("/api/v1/offers", "What a new workload could have now, by kind of accelerator",
            Needs(Verb::QueueOffers, Guard::Asked(offers::of_query)), offers::list)
            .query::<offers::OfferQuery>().gives::<wire::Offers>(),
        get("/api/v1/nodes", "The machines",
            pool(Verb::NodeList), pool::nodes).list::<wire::Node>(),
        Route::new(Method::PATCH, "/api/v1/nodes/{name}",
                   "Keep new work off a machine, or let it come",
                   pool(Verb::NodeUpdate), pool::update)
            .json::<wire::NodeUpdate>().gives::<wire::Node>().if_match(),
        get("/api/v1/queues", "The teams' shares", pool(Verb::QueueList), queues::list)
            .list::<wire::Queue>(),
        Route::new(Method::PUT, "/api/v1/queues/{*path}", "Make or change a queue",
                   queue(Verb::QueueWrite), queues::put)
            .json::<wire::Queue>().gives::<wire::Queue>().if_match(),
        delete("/api/v1/queues/{*path}", "Remove a queue that nothing uses",
               queue(Verb::QueueRemove), queues::remove).if_match(),
        get("/api/v1/images", "The images of the machine", pool(Verb::ImageList), images::list)
            .list::<wire::Image>(),
        post("/api/v1/images", "Import an image: an OCI layout as a tar archive",
             pool(Verb::ImageImport), images::import)
            .query::<images::ImportQuery>().bytes(images::IMAGE_BYTES_MAX)
            .gives::<wire::Image>().status(201).key(Key::None),
        delete("/api/v1/images/{digest}", "Remove an image that nothing uses, with all its names",
               pool(Verb::ImageImport), images::remove),
        get("/api/v1/cost", "What teams held and used",
            Chooses(&[Verb::CostRead, Verb::CostReadAll], usage::asked), usage::cost)
            .query::<usage::CostQuery>().gives::<wire::CostReport>(),
        get("/api/v1/ledger/check", "Whether the ledger's sums agree",
            pool(Verb::LedgerCheck), usage::check)
            .gives::<wire::LedgerCheck>(),
    ]
}

#[rustfmt::skip]
fn access() -> Vec<Route> {
    let pool = |verb| Needs(verb, Guard::Pool);
    vec![
        get("/api/v1/users", "The users", pool(Verb::UserList), users::list).list::<wire::User>(),
        post("/api/v1/users", "Make a user",
             Needs(Verb::UserCreate, Guard::Asked(users::to_be)), users::create)
            .json::<wire::CreateUser>().gives::<wire::User>().status(201),
        delete("/api/v1/users/{name}", "Shut a user out, with every token",
               Needs(Verb::UserRemove, Guard::Asked(users::of_path)), users::remove),
        get("/api/v1/tokens", "Tokens, without their secrets",
            Chooses(&[Verb::TokenList, Verb::TokenListAll], tokens::asked), tokens::list)
            .query::<tokens::ListQuery>().list::<wire::Token>(),
        post("/api/v1/tokens", "Make a token; its secret is shown this once",
             Needs(Verb::TokenCreate, Guard::Asked(tokens::to_be)), tokens::create)
            .json::<wire::CreateToken>().gives::<wire::NewToken>().status(201).key(Key::Once),
        delete("/api/v1/tokens/{id}", "Revoke a token",
               Needs(Verb::TokenRevoke, Guard::Token), tokens::revoke),
        get("/api/v1/audit", "The audit log, oldest first", pool(Verb::AuditRead), audit::list)
            .query::<audit::ListQuery>().page::<wire::AuditEntry>(),
        get("/api/v1/audit/verify", "Check the audit log's chain",
            pool(Verb::AuditVerify), audit::verify)
            .gives::<wire::AuditCheck>().unbounded(),
    ]
}
