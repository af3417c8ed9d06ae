//! `weft data branch` and `merge`: a dataset to change at will, and its changes given back.

use super::name::Named;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use weft_api::wire::{MakeBranch, MergeBranch};
use weft_client::Intent;

/// Make a branch of a dataset: what is changed in it is not in the dataset until it is merged
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data branch claims@v7 claims-clean
  weft data put ./mended claims-clean:2026/
  weft data diff claims-clean@v1 claims-clean    what was changed in it
  weft data merge claims-clean -m 'ages mended'  claims has it, as a version
  weft data rm claims-clean                      or it is given up

A branch copies nothing, takes space for what is changed in it alone, and is read, written,
mounted and removed as any dataset; its first version is the one that it is of. It is its source's
owner's, and as sensitive. The version that it is of stays as long as it does.")]
pub(crate) struct Branch {
    /// Dataset, behind @ its version; without one the newest
    #[arg(value_name = "DATASET[@VERSION]")]
    of: Named,
    /// What the branch is called
    #[arg(value_name = "NAME")]
    name: Named,
    /// What it is, for people; what the dataset is, where nothing is said
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
}

/// Give a branch's changes to the dataset that it is a branch of
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data merge claims-clean -m 'ages mended'

What the branch is becomes a version of it, and its changes a version of the dataset. What was
changed in both is merged by nobody: the paths are named, and nothing is done. The branch goes on,
and may be merged again.")]
pub(crate) struct Merge {
    /// Branch
    #[arg(value_name = "BRANCH")]
    branch: Named,
    /// Why, kept with the version
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
}

impl Branch {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.name.whole("a branch")?;
        self.name.now("made as")?;
        self.of.whole("a branch")?;
        let make = MakeBranch { name: self.name.dataset, at: self.of.at, about: self.about };
        let of = &self.of.dataset;
        let made = session.client()?.make_branch(of, &make, &Intent::new()).await?;
        match session.json {
            true => show::json(&made),
            false => {
                let version = made.branch.map_or(0, |branch| branch.version);
                err_line(&format!("{} is a branch of {of}@v{version}", made.name));
            }
        }
        Ok(Code::Done.number())
    }
}

impl Merge {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.branch.whole("a merge")?;
        self.branch.now("merged")?;
        let merge = MergeBranch { note: self.note };
        let name = &self.branch.dataset;
        let merged = session.client()?.merge_branch(name, &merge, &Intent::new()).await?;
        if session.json {
            show::json(&merged);
            return Ok(Code::Done.number());
        }
        let (into, number) = (&merged.into, merged.number);
        match merged.put + merged.deleted {
            0 => err_line(&format!("{into}@v{number} has all of {name} already")),
            _ => err_line(&format!(
                "{into}@v{number} has {name}@v{}: {} put, {} deleted",
                merged.of, merged.put, merged.deleted
            )),
        }
        Ok(Code::Done.number())
    }
}
