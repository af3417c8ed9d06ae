//! `weft data rm`: what is to go.

use super::name::Named;
use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use serde_json::json;
use std::io::{BufRead as _, IsTerminal as _};
use weft_client::{Client, Intent, ObjectQuery};
use weft_types::Bytes;

/// Remove files, a version or all of a dataset
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data rm claims:raw/a.csv    one file; versions that have it keep it
  weft data rm claims:raw/         all below raw/
  weft data rm claims@v2           a version that has no name
  weft data rm claims              the dataset, with all its versions
  weft data rm claims --early --why 'consent withdrawn'
                                   removed, and a second person is asked to end it in a day

What is removed is kept for seven days (`weft data ls --removed`, `weft data restore`), and is then
beyond recovery.")]
pub(crate) struct Rm {
    /// Dataset, behind @ its version, behind a colon what of it
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    what: Named,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Ask for it to be beyond recovery before its days are over: the team's lead or an
    /// administrator has to agree, and a day passes then
    #[arg(long, requires = "why")]
    early: bool,
    /// Why so early, for who decides
    #[arg(long, value_name = "TEXT", requires = "early")]
    why: Option<String>,
}

impl Rm {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        if let Some(why) = &self.why {
            return self.early(&client, why, session).await;
        }
        match (&self.what.at, self.what.prefix()) {
            (None, "") => self.dataset(&client, session).await,
            (None, path) => self.files(&client, path, session).await,
            (Some(at), "") => self.version(&client, at, session).await,
            (Some(at), path) => {
                let message = format!("nothing is removed from a version, and @{at} is one");
                let hint = format!("from how it is now: `{}:{path}`", self.what.dataset);
                Err(Failure::usage(message).hint(hint))
            }
        }
    }

    /// Removes it, if it is there still, and asks for the rest.
    async fn early(&self, client: &Client, why: &str, session: &Session) -> Outcome {
        self.what.whole("what is ended early")?;
        let (name, quiet) = (&self.what.dataset, Intent::new());
        let removed = client.removed_data().await?;
        let number = |at: &str| at.strip_prefix('v').unwrap_or(at).parse::<u32>().ok();
        let version = match &self.what.at {
            None => None,
            Some(at) => match removed.iter().find(|one| {
                one.dataset == *name && one.version.is_some() && one.version == number(at)
            }) {
                Some(gone) => gone.version,
                None => {
                    let version = client.dataset_version(name, at).await?.number;
                    self.confirm(&format!("remove {name}@v{version}, and ask to end it early?"))?;
                    client.remove_version(name, &format!("v{version}"), &quiet).await?;
                    Some(version)
                }
            },
        };
        let gone = removed.iter().any(|one| one.dataset == *name && one.version.is_none());
        if version.is_none() && !gone {
            client.dataset(name).await?;
            self.confirm(&format!("remove {name}, and ask to end it early?"))?;
            client.remove_dataset(name, &quiet).await?;
        }
        let asked = client.ask_end(name, version, why, &Intent::new()).await?;
        match session.json {
            true => show::json(&asked),
            false => err_line(&format!(
                "removed {}; to end it early is request {}: the team's lead or an administrator \
                 has to approve it",
                self.what, asked.id
            )),
        }
        Ok(Code::Done.number())
    }

    async fn dataset(&self, client: &Client, session: &Session) -> Outcome {
        let name = &self.what.dataset;
        let set = client.dataset(name).await?;
        let (all, bytes) = (files(set.objects), Bytes(set.bytes));
        let versions = match set.versions {
            0 => "no version".to_owned(),
            1 => "its version".to_owned(),
            _ => "all its versions".to_owned(),
        };
        self.confirm(&format!("remove {name}, {all}, {bytes}, with {versions}?"))?;
        client.remove_dataset(name, &Intent::new()).await?;
        match session.json {
            true => show::json(&set),
            false => err_line(&format!("removed {name}: {all}, {bytes}")),
        }
        Ok(Code::Done.number())
    }

    async fn version(&self, client: &Client, at: &str, session: &Session) -> Outcome {
        let name = &self.what.dataset;
        let version = client.dataset_version(name, at).await?;
        let number = version.number;
        self.confirm(&format!("remove {name}@v{number}, {}?", files(version.objects)))?;
        client.remove_version(name, &format!("v{number}"), &Intent::new()).await?;
        match session.json {
            true => show::json(&version),
            false => err_line(&format!("removed {name}@v{number}; what others have too stays")),
        }
        Ok(Code::Done.number())
    }

    async fn files(&self, client: &Client, path: &str, session: &Session) -> Outcome {
        let name = &self.what.dataset;
        let which = ObjectQuery { prefix: path.to_owned(), ..ObjectQuery::default() };
        let (mut objects, _) = client.all_objects(name, &which).await?;
        if !path.ends_with('/') {
            objects.retain(|object| object.path == path);
        }
        if objects.is_empty() {
            let message = format!("there is no `{path}` in {name}");
            let hint = "a folder is named with its slash, as in `raw/`";
            return Err(Failure::new(Code::NotFound, message).hint(hint));
        }
        let bytes = Bytes(objects.iter().map(|object| object.bytes).sum());
        let all = files(objects.len() as u64);
        self.confirm(&format!("remove {all}, {bytes}, from {name}? its versions keep them"))?;
        for object in &objects {
            client.delete_object(name, &object.path, &Intent::new()).await?;
        }
        match session.json {
            true => show::json(&json!({ "objects": objects.len(), "bytes": bytes.0 })),
            false => err_line(&format!("removed {all}, {bytes}; versions of {name} keep them")),
        }
        Ok(Code::Done.number())
    }

    fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.yes { Ok(()) } else { confirm(question) }
    }
}

/// Asks a person; where there is none, `--yes` has to be said.
fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("nobody is there to be asked").hint("say --yes"));
    }
    err_line(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|e| Failure::local("the terminal", e))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Conflict, "nothing was removed")),
    }
}
