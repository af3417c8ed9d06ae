//! `weft data version`, `versions` and `tag`: what a dataset is is kept, what it was, and names for
//! it.

use super::name::Named;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, count, err_line, when};
use clap::Args;
use weft_client::Intent;
use weft_types::Bytes;

/// Make a version of a dataset as it is now
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data version claims -m 'as loaded from S3'

`weft data put` makes one by itself; what comes by S3 or with --no-version does not.")]
pub(crate) struct Version {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// Why, kept with the version
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
}

/// List the versions of a dataset
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft data versions claims")]
pub(crate) struct Versions {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
}

/// Give a version a name
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data tag claims@v3 gold        from now on claims@gold is claims@v3
  weft data tag claims gold           the newest version
  weft data tag claims gold --remove  nothing is claims@gold any more")]
pub(crate) struct Tag {
    /// Dataset, behind @ its version; without one the newest
    #[arg(value_name = "DATASET[@VERSION]")]
    what: Named,
    /// The name: a letter, then letters, digits, `-`, `_` and `.`
    #[arg(value_name = "NAME")]
    tag: String,
    /// Take the name away
    #[arg(long)]
    remove: bool,
}

impl Version {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("a version")?;
        self.what.now("made a version of")?;
        let name = &self.what.dataset;
        let version = session.client()?.make_version(name, &self.note, &Intent::new()).await?;
        if session.json {
            show::json(&version);
            return Ok(Code::Done.number());
        }
        if !version.fresh {
            err_line("nothing has changed since");
        }
        let made = &version.made;
        let (objects, size) = (super::put::files(made.objects), Bytes(made.bytes));
        show::out_line(&format!("{name}@v{}  {objects}  {size}", made.number));
        Ok(Code::Done.number())
    }
}

impl Versions {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("the list")?;
        self.what.now("listed of")?;
        let name = &self.what.dataset;
        let versions = session.client()?.dataset_versions(name).await?;
        if session.json {
            show::json(&versions);
            return Ok(Code::Done.number());
        }
        if versions.is_empty() {
            err_line(&format!("{name} has no version yet; `weft data put` makes one"));
            return Ok(Code::Done.number());
        }
        let heads = ["VERSION", ">FILES", ">SIZE", "MADE", "BY", "TAGS", "NOTE"];
        let mut table = Table::new(&heads);
        for version in &versions {
            table.row([
                format!("v{}", version.number),
                count(version.objects),
                Bytes(version.bytes).to_string(),
                when(version.at_ms),
                version.by.clone(),
                version.tags.join(" "),
                version.note.clone(),
            ]);
        }
        show::out(&table.render());
        Ok(Code::Done.number())
    }
}

impl Tag {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("a name")?;
        let (client, name, tag) = (session.client()?, &self.what.dataset, &self.tag);
        if self.remove {
            if self.what.at.is_some() {
                return Err(Failure::usage("a name is taken away from whatever version has it")
                    .hint(format!("as in `weft data tag {name} {tag} --remove`")));
            }
            client.untag_version(name, tag, &Intent::new()).await?;
            if !session.json {
                err_line(&format!("nothing is {name}@{tag} any more"));
            }
            return Ok(Code::Done.number());
        }
        let at = self.what.at.as_deref().unwrap_or("latest");
        let number = client.dataset_version(name, at).await?.number;
        let version = client.tag_version(name, tag, number, &Intent::new()).await?;
        match session.json {
            true => show::json(&version),
            false => show::out_line(&format!("{name}@{tag} is {name}@v{}", version.number)),
        }
        Ok(Code::Done.number())
    }
}
