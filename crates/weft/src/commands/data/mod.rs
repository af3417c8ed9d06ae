//! `weft data`: datasets: put files, make versions of them, see and fetch them.
//!
//! | to | read |
//! |--|--|
//! | see how a dataset, a version and a path in it are named | `name.rs` |
//! | follow a folder into a dataset | `walk.rs`, then `put.rs` |
//! | follow a dataset into a folder | `get.rs`, with `place.rs` for where each file may go |

mod branch;
mod check;
mod diff;
mod get;
mod import;
mod info;
mod key;
mod lineage;
mod list;
mod name;
mod parts;
mod place;
mod progress;
mod put;
mod remove;
mod requests;
mod restore;
mod rotate;
mod sample;
mod versions;
mod view;
mod walk;

use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, Subcommand};

/// Put files into datasets, make versions of them, see and fetch them
#[derive(Debug, Args)]
pub(crate) struct Data {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Put(put::Put),
    Import(import::Import),
    Imports(import::Imports),
    Get(get::Get),
    Ls(list::Ls),
    Search(list::Search),
    Info(info::Info),
    Sample(sample::Sample),
    Version(versions::Version),
    Versions(versions::Versions),
    Diff(diff::Diff),
    Lineage(lineage::Lineage),
    View(view::View),
    Branch(branch::Branch),
    Merge(branch::Merge),
    Tag(versions::Tag),
    Set(info::Set),
    Rm(remove::Rm),
    Restore(restore::Restore),
    RequestAccess(requests::RequestAccess),
    Requests(requests::Requests),
    Approve(requests::Approve),
    Deny(requests::Deny),
    Revoke(requests::Revoke),
    Key(key::Key),
    Rotate(rotate::Rotate),
    Gc(check::Gc),
    Verify(check::Verify),
}

impl Data {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.action {
            Action::Put(put) => put.run(session).await,
            Action::Import(import) => import.run(session).await,
            Action::Imports(imports) => imports.run(session).await,
            Action::Get(get) => get.run(session).await,
            Action::Ls(ls) => ls.run(session).await,
            Action::Search(search) => search.run(session).await,
            Action::Info(info) => info.run(session).await,
            Action::Sample(sample) => sample.run(session).await,
            Action::Version(version) => version.run(session).await,
            Action::Versions(versions) => versions.run(session).await,
            Action::Diff(diff) => diff.run(session).await,
            Action::Lineage(lineage) => lineage.run(session).await,
            Action::View(view) => view.run(session).await,
            Action::Branch(branch) => branch.run(session).await,
            Action::Merge(merge) => merge.run(session).await,
            Action::Tag(tag) => tag.run(session).await,
            Action::Set(set) => set.run(session).await,
            Action::Rm(rm) => rm.run(session).await,
            Action::Restore(restore) => restore.run(session).await,
            Action::RequestAccess(ask) => ask.run(session).await,
            Action::Requests(requests) => requests.run(session).await,
            Action::Approve(approve) => approve.run(session).await,
            Action::Deny(deny) => deny.run(session).await,
            Action::Revoke(revoke) => revoke.run(session).await,
            Action::Key(key) => key.run(session).await,
            Action::Rotate(rotate) => rotate.run(session).await,
            Action::Gc(gc) => gc.run(session).await,
            Action::Verify(verify) => verify.run(session).await,
        }
    }
}
