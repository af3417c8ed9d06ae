//! `weft data import` and `imports`: what comes from elsewhere becomes a version of a dataset.
//!
//! The server does it: who waits may go away, and it goes on. Ctrl-C here ends the import.

use super::name::Named;
use super::put::{files, there};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, count, err_line, out_line, when};
use clap::Args;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use weft_api::wire::{Import as Row, MakeDataset, StartImport};
use weft_client::{Client, Intent};
use weft_types::Bytes;

/// How often is asked how far it is: at first, and at most.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(2);

/// Bring data from the web, an object store or a database into a dataset
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data import https://host/prices.csv.gz prices      a file of the web
  weft data import crm:public.customers customers         a table of the source crm
  weft data import crm:public.orders orders --since updated_at
                                                          only rows since the last import
  weft data import crm customers --query 'SELECT …'       what a query gives
  weft data import s3://bucket/raw/ raw                   all below a prefix

Again later, what has not changed does not come again. Sources: `weft source --help`.
A folder of this machine is put: `weft data put`.")]
pub(crate) struct Import {
    /// https://…, s3://BUCKET/PREFIX, or SOURCE:WHAT
    #[arg(value_name = "FROM")]
    from: String,
    /// Dataset, made where there is none; behind a colon, where in it
    #[arg(value_name = "DATASET[:PATH]")]
    target: Named,
    /// Of a database: what this query gives, in place of tables
    #[arg(long, value_name = "SQL", conflicts_with = "since")]
    query: Option<String>,
    /// Of a table: only rows in which this column is greater than at the last import
    #[arg(long, value_name = "COLUMN")]
    since: Option<String>,
    /// Why, kept with the version
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Tier of a new dataset: public, internal, confidential or restricted
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
}

/// List the last imports of a dataset
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data imports customers
  weft data imports customers --cancel 12   end one that runs")]
pub(crate) struct Imports {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// End this one
    #[arg(long, value_name = "NUMBER")]
    cancel: Option<u64>,
}

impl Import {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.target.now("imported into")?;
        let client = session.client()?;
        let dataset = &self.target.dataset;
        let make = MakeDataset {
            name: dataset.clone(),
            queue: None,
            tier: self.tier.clone(),
            about: String::new(),
        };
        there(&client, session, &make).await?;
        let start = StartImport {
            from: self.from.clone(),
            query: self.query.clone(),
            to: self.target.prefix().to_owned(),
            since: self.since.clone(),
            note: self.note.clone(),
        };
        // Before it begins: an interrupt while it does would leave it running with nobody waiting.
        let interrupts = signal(SignalKind::interrupt());
        let mut interrupts =
            interrupts.map_err(|e| Failure::new(Code::Failed, format!("signals: {e}")))?;
        let started = client.start_import(dataset, &start, &Intent::new()).await?;
        if self.detach {
            match session.json {
                true => show::json(&started),
                false => out_line(&format!(
                    "import {} runs; `weft data imports {dataset}` shows it",
                    started.id
                )),
            }
            return Ok(Code::Done.number());
        }
        let id = started.id;
        let ended = tokio::select! {
            ended = follow(&client, dataset, started, session.json) => ended?,
            _ = interrupts.recv() => return self.cancelled(&client, session, id).await,
        };
        self.tell(&client, session, &ended).await
    }

    /// Ends the one that was started here, and no other of the dataset's.
    async fn cancelled(&self, client: &Client, session: &Session, id: u64) -> Outcome {
        let dataset = &self.target.dataset;
        let running = client.imports(dataset).await?;
        if running.iter().any(|row| row.id == id && row.state == "running") {
            client.cancel_import(dataset, id, &Intent::new()).await?;
        }
        if !session.json {
            err_line("cancelled; no version was made");
        }
        Ok(Code::Failed.number())
    }

    async fn tell(&self, client: &Client, session: &Session, ended: &Row) -> Outcome {
        let dataset = &self.target.dataset;
        if ended.state != "done" {
            let why = if ended.why.is_empty() { &ended.state } else { &ended.why };
            return Err(Failure::new(Code::Failed, format!("nothing was imported: {why}")));
        }
        if session.json {
            show::json(ended);
            return Ok(Code::Done.number());
        }
        let number = ended.version.unwrap_or(0);
        let version = client.dataset_version(dataset, &format!("v{number}")).await?;
        let (all, size) = (files(version.objects), Bytes(version.bytes));
        let came = match ended.files {
            0 => "nothing new".to_owned(),
            came => format!("{} came, {}", files(came), Bytes(ended.bytes)),
        };
        out_line(&format!("{dataset}@v{number}  {all}  {size} ({came})"));
        if !ended.snapshot.is_empty() {
            err_line(&format!("as of {}", ended.snapshot));
        }
        Ok(Code::Done.number())
    }
}

/// Asks until it has ended.
async fn follow(client: &Client, dataset: &str, mut row: Row, json: bool) -> Result<Row, Failure> {
    let (mut wait, mut said) = (FIRST, 0);
    while row.state == "running" {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST);
        row = client.import(dataset, row.id).await?;
        // A line for each time as much has come as before: few, however much it is.
        if !json && row.state == "running" && row.bytes > 2 * said && wait == LAST {
            said = row.bytes;
            err_line(&format!("{} so far, {}", files(row.files), Bytes(row.bytes)));
        }
    }
    Ok(row)
}

impl Imports {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("an import")?;
        let (client, dataset) = (session.client()?, &self.what.dataset);
        if let Some(id) = self.cancel {
            client.cancel_import(dataset, id, &Intent::new()).await?;
        }
        let rows = client.imports(dataset).await?;
        if session.json {
            show::json(&rows);
            return Ok(Code::Done.number());
        }
        let mut table = Table::new(&["NUMBER", "STATE", "BEGAN", "FILES", "SIZE", "BY", "FROM"]);
        for row in &rows {
            let source = row.source.as_deref().unwrap_or("the web");
            let version = row.version.map(|number| format!(" v{number}"));
            table.row([
                row.id.to_string(),
                format!("{}{}", row.state, version.unwrap_or_default()),
                when(row.began_at_ms),
                count(row.files),
                Bytes(row.bytes).to_string(),
                row.by.clone(),
                format!("{source}: {}{}", row.what, why(row)),
            ]);
        }
        show::out(&table.render());
        Ok(Code::Done.number())
    }
}

fn why(row: &Row) -> String {
    if row.why.is_empty() { String::new() } else { format!(" ({})", row.why) }
}
