//! `weft data restore`: what was removed is there again, and what changed is as it was.

use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, when};
use clap::Args;
use std::str::FromStr;
use weft_api::problem::Code::NotFound;
use weft_client::{Client, Intent};
use weft_types::{Bytes, DatasetName};

/// Bring back what was removed, or make a dataset what it was
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data restore claims                       a dataset that was removed
  weft data restore claims --as claims-old       the same, where its name is taken by now
  weft data restore claims@v2                    a version that was removed; of one that is there:
                                                 claims is again what it was
  weft data restore claims@2026-11-22            claims as it was at the end of that day (UTC)
  weft data restore claims@2026-11-23T14:05      and at that time

`weft data ls --removed` shows what can be brought back, and until when. No version is lost by a
restore, no byte is copied, and it can be undone the same way.")]
pub(crate) struct Restore {
    /// Dataset; behind @ a version, a day or a time of one
    #[arg(value_name = "DATASET[@WHEN]")]
    what: Was,
    /// Another name for a dataset that was removed
    #[arg(long = "as", value_name = "NAME")]
    to: Option<String>,
}

/// What is to be brought back: behind the `@` stands all the rest, since times have colons.
#[derive(Debug, Clone)]
struct Was {
    dataset: String,
    at: Option<String>,
}

impl FromStr for Was {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (dataset, at) = match text.split_once('@') {
            Some((_, "")) => return Err("write a version or a day behind the @".to_owned()),
            Some((dataset, at)) => (dataset, Some(at.to_owned())),
            None => (text, None),
        };
        DatasetName::new(dataset.to_owned()).map_err(|e| {
            let path = dataset.contains(':');
            let hint = if path { "; what is restored is a whole dataset" } else { "" };
            format!("`{dataset}` is no dataset's name: {e}{hint}")
        })?;
        Ok(Self { dataset: dataset.to_owned(), at })
    }
}

impl Restore {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let name = &self.what.dataset;
        match (&self.what.at, &self.to) {
            (None, to) => dataset(&client, name, to.as_deref(), session).await,
            (Some(_), Some(_)) => Err(Failure::usage("--as names a dataset that was removed")
                .hint("leave it out: a version is brought back where it was")),
            (Some(at), None) => match removed_version(&client, name, at).await? {
                Some(number) => version(&client, name, number, session).await,
                None => moment(&client, name, at, session).await,
            },
        }
    }
}

/// The number, if it is that of a version that was removed.
async fn removed_version(client: &Client, name: &str, at: &str) -> Result<Option<u32>, Failure> {
    let Ok(number) = at.strip_prefix('v').unwrap_or(at).parse::<u32>() else { return Ok(None) };
    let removed = client.removed_data().await?.into_iter();
    let mut its = removed.filter(|one| one.dataset == name && one.version == Some(number));
    Ok(its.next().map(|_| number))
}

async fn dataset(client: &Client, name: &str, to: Option<&str>, session: &Session) -> Outcome {
    let revived = match client.revive_dataset(name, to, &Intent::new()).await {
        Ok(revived) => revived,
        Err(error) => {
            // Where another has its name, the server says what to do.
            let none = error.problem().is_some_and(|problem| problem.code == NotFound);
            let is_there = none && client.dataset(name).await.is_ok();
            return Err(match is_there {
                true => Failure::usage(format!("{name} is there; say what it is to be again"))
                    .hint(format!("as in `weft data restore {name}@v1`, or {name}@2026-11-22")),
                false => error.into(),
            });
        }
    };
    match session.json {
        true => show::json(&revived),
        false => {
            let (all, bytes) = (files(revived.objects), Bytes(revived.bytes));
            show::out_line(&format!("{} is back: {all}, {bytes}", revived.name));
        }
    }
    Ok(Code::Done.number())
}

async fn version(client: &Client, name: &str, number: u32, session: &Session) -> Outcome {
    let revived = client.revive_version(name, number, &Intent::new()).await?;
    match session.json {
        true => show::json(&revived),
        false => show::out_line(&format!(
            "{name}@v{number} is back: {}, {}; what {name} is now stays",
            files(revived.objects),
            Bytes(revived.bytes)
        )),
    }
    Ok(Code::Done.number())
}

async fn moment(client: &Client, name: &str, at: &str, session: &Session) -> Outcome {
    let restored = client.restore_dataset(name, at, &Intent::new()).await?;
    if session.json {
        show::json(&restored);
        return Ok(Code::Done.number());
    }
    let (put, gone) = (files(restored.put), files(restored.deleted));
    let was = match restored.moment_ms {
        Some(moment) => format!("it was at {}", when(moment)),
        None => format!("{name}@v{}", restored.number),
    };
    show::out_line(&format!("{name} is as {was}: {put} put back, {gone} removed"));
    Ok(Code::Done.number())
}
