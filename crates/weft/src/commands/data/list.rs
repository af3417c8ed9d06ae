//! `weft data ls` and `weft data search`: datasets there are; in one of them, folders and files.

use super::name::Named;
use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, Table, count, err_line, when};
use clap::Args;
use serde_json::json;
use weft_api::wire::Dataset;
use weft_client::{Client, ObjectQuery};
use weft_types::Bytes;

/// List datasets, or what is in one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data ls                     the datasets that you may know of
  weft data ls claims              folders and files of claims, as it is now
  weft data ls claims@v2:raw/      what was below raw/ in version 2
  weft data ls -r claims           all files, whatever folder they are in
  weft data ls --removed           what was removed and can be brought back, and until when")]
pub(crate) struct Ls {
    /// Dataset, behind @ its version, behind a colon a folder of it
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    what: Option<Named>,
    /// All files, those in folders too
    #[arg(short, long)]
    recursive: bool,
    /// What was removed and can be brought back
    #[arg(long, conflicts_with_all = ["what", "recursive"])]
    removed: bool,
}

/// Find datasets by words: name, description, owner, team, tier, columns of tables
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data search claims amount    datasets in which both words stand")]
pub(crate) struct Search {
    /// Words that all stand somewhere in what is known of it
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

impl Ls {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match &self.what {
            None if self.removed => removed(&client, session).await,
            None => datasets(&client, session).await,
            Some(what) => self.objects(&client, what, session).await,
        }
    }

    async fn objects(&self, client: &Client, what: &Named, session: &Session) -> Outcome {
        let which = ObjectQuery {
            at: what.at.clone(),
            prefix: what.prefix().to_owned(),
            folders: !self.recursive,
            notes: false,
        };
        let (mut objects, mut folders) = client.all_objects(&what.dataset, &which).await?;
        // A folder that is named without its slash is meant as one.
        let folder = format!("{}/", what.prefix());
        if !self.recursive && objects.is_empty() && folders == [folder.clone()] {
            let inside = ObjectQuery { prefix: folder, ..which };
            (objects, folders) = client.all_objects(&what.dataset, &inside).await?;
        }
        if session.json {
            show::json(&json!({ "folders": folders, "objects": objects }));
            return Ok(Code::Done.number());
        }
        if objects.is_empty() && folders.is_empty() {
            if what.prefix().is_empty() {
                let hint = format!("to put files there: `weft data put DIR {}`", what.dataset);
                err_line(&format!("{what} is empty; {hint}"));
                return Ok(Code::Done.number());
            }
            let message = format!("there is no `{}` in {what}", what.prefix());
            return Err(Failure::new(Code::NotFound, message)
                .hint(format!("`weft data ls {what}` shows what there is")));
        }
        let mut table = Table::new(&[">SIZE", "PUT", "PATH"]);
        for folder in &folders {
            table.row([String::new(), String::new(), folder.clone()]).style(2, Style::Strong);
        }
        let mut bytes = 0;
        for object in &objects {
            bytes += object.bytes;
            let size = Bytes(object.bytes).to_string();
            table.row([size, when(object.at_ms), object.path.clone()]);
        }
        show::out(&table.render());
        let folders = match folders.len() as u64 {
            0 => String::new(),
            1 => "1 folder, ".to_owned(),
            many => format!("{} folders, ", count(many)),
        };
        err_line(&format!("{folders}{}, {}", files(objects.len() as u64), Bytes(bytes)));
        Ok(Code::Done.number())
    }
}

impl Search {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let words = self.words.join(" ");
        let found = session.client()?.search_datasets(&words).await?;
        if !session.json && found.is_empty() {
            err_line(&format!("no dataset that you may know of has `{words}`"));
        }
        tell(&found, session)
    }
}

async fn removed(client: &Client, session: &Session) -> Outcome {
    let all = client.removed_data().await?;
    if session.json {
        show::json(&all);
        return Ok(Code::Done.number());
    }
    if all.is_empty() {
        err_line("nothing was removed that can still be brought back");
        return Ok(Code::Done.number());
    }
    let heads = ["WHAT", ">FILES", ">SIZE", "TIER", "OWNER", "REMOVED", "KEPT UNTIL"];
    let mut table = Table::new(&heads);
    for one in &all {
        let version = one.version.map(|number| format!("@v{number}")).unwrap_or_default();
        table.row([
            format!("{}{version}", one.dataset),
            count(one.objects),
            Bytes(one.bytes).to_string(),
            one.tier.clone(),
            one.owner.clone(),
            when(one.removed_at_ms),
            when(one.until_ms),
        ]);
    }
    show::out(&table.render());
    err_line("to bring one back: `weft data restore WHAT`");
    Ok(Code::Done.number())
}

async fn datasets(client: &Client, session: &Session) -> Outcome {
    let all = client.datasets().await?;
    if !session.json && all.is_empty() {
        err_line("there are no datasets; to make one: `weft data put DIR NAME`");
    }
    tell(&all, session)
}

fn tell(all: &[Dataset], session: &Session) -> Outcome {
    if session.json || all.is_empty() {
        if session.json {
            show::json(&all);
        }
        return Ok(Code::Done.number());
    }
    let heads = ["NAME", "VERSION", ">FILES", ">SIZE", "TIER", "OWNER", "TEAM", "ABOUT"];
    let mut table = Table::new(&heads);
    for set in all {
        // With what came since: what is there now is in no version yet.
        let version = match (set.versions, set.changed) {
            (0, _) => "-".to_owned(),
            (number, false) => format!("v{number}"),
            (number, true) => format!("v{number}+"),
        };
        let about = set.about.lines().next().unwrap_or_default().to_owned();
        table.row([
            set.name.clone(),
            version,
            count(set.objects),
            Bytes(set.bytes).to_string(),
            set.tier.clone(),
            set.owner.clone(),
            set.queue.clone(),
            about,
        ]);
    }
    show::out(&table.render());
    Ok(Code::Done.number())
}
