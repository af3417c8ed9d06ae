//! `weft data view`: a dataset that the server makes of another one, and keeps up to date.

use super::name::Named;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use weft_api::wire::MakeView;
use weft_client::Intent;

/// Make a view of a dataset: of each version of that the server makes a version of this
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data view claims-tables --of claims --files 'tables/*.csv'
  weft data info claims-tables     which version is of which, and what is left out
  weft data get claims-tables@of-v7

A view is its source's owner's, and as sensitive; nobody writes to it. It is read, searched, mounted
and removed as any dataset. What it is made by does not change: make another one.")]
pub(crate) struct View {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: Named,
    /// Dataset that it is a view of
    #[arg(long, value_name = "DATASET")]
    of: Named,
    /// Of the files that this names alone
    #[arg(long, value_name = "PATTERN")]
    files: Option<String>,
    /// What it is, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    about: String,
}

impl View {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        for (named, what) in [(&self.name, "made as"), (&self.of, "made a view of")] {
            named.whole("a view")?;
            named.now(what)?;
        }
        let make = MakeView { name: self.name.dataset, about: self.about, files: self.files };
        let of = &self.of.dataset;
        let made = session.client()?.make_view(of, &make, &Intent::new()).await?;
        match session.json {
            true => show::json(&made),
            false => err_line(&format!(
                "{} is a view of {of}; the server makes its versions: `weft data info {}`",
                made.name, made.name
            )),
        }
        Ok(Code::Done.number())
    }
}
