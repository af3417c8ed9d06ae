//! `weft data rm` and `weft data restore`: what is to go, and what is to be as it was.

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

What is removed is kept for seven days, and is then beyond recovery.")]
pub(crate) struct Rm {
    /// Dataset, behind @ its version, behind a colon what of it
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    what: Named,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Make a dataset what a version was
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data restore claims@v3
  weft data restore claims@2026-11-01    as its newest version of that day or before was

No version is lost by it, and no byte is copied.")]
pub(crate) struct Restore {
    /// Dataset, behind @ the version
    #[arg(value_name = "DATASET@VERSION")]
    what: Named,
}

impl Rm {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
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

impl Restore {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("what is restored")?;
        let name = &self.what.dataset;
        let Some(at) = self.what.at.as_deref() else {
            return Err(Failure::usage("say which version it is to be again")
                .hint(format!("as in `weft data restore {name}@v1`")));
        };
        let restored = session.client()?.restore_dataset(name, at, &Intent::new()).await?;
        if session.json {
            show::json(&restored);
            return Ok(Code::Done.number());
        }
        let (put, gone) = (files(restored.put), files(restored.deleted));
        let was = restored.number;
        show::out_line(&format!("{name} is as {name}@v{was}: {put} put back, {gone} removed"));
        Ok(Code::Done.number())
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
