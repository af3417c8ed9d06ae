//! `weft data verify` and `weft data gc`: whether all can be read, and the space of what is not
//! needed.

use super::name::Named;
use super::progress::Progress;
use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, count, err_line};
use clap::Args;
use serde_json::json;
use weft_api::wire::{DamagedObject, DataChecked};
use weft_client::{Client, Intent};
use weft_types::Bytes;

/// Read all of a dataset and tell what is damaged
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data verify claims       as it is now
  weft data verify claims@v1    as it was
  weft data verify              every dataset")]
pub(crate) struct Verify {
    /// Dataset, behind @ its version; without one, all that you may check
    #[arg(value_name = "DATASET[@VERSION]")]
    what: Option<Named>,
}

/// Free the space of what nothing needs any more
///
/// What was deleted or written over is kept for some days, and in versions for as long as these
/// are kept. What is neither is freed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft data gc")]
pub(crate) struct Gc {}

impl Verify {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let all = match &self.what {
            Some(what) => {
                what.whole("a check")?;
                vec![what.clone()]
            }
            None => {
                let sets = client.datasets().await?.into_iter();
                sets.map(|set| Named { dataset: set.name, at: None, path: None }).collect()
            }
        };
        let (mut objects, mut bytes, mut damaged) = (0, 0, Vec::new());
        for what in &all {
            let checked = check(&client, what, session.json).await?;
            objects += checked.objects;
            bytes += checked.bytes;
            let of = |damaged: DamagedObject| (what.to_string(), damaged);
            damaged.extend(checked.damaged.into_iter().map(of));
        }
        if session.json {
            let mut shown = Vec::new();
            for (dataset, DamagedObject { path, why }) in &damaged {
                shown.push(json!({ "dataset": dataset, "path": path, "why": why }));
            }
            let damaged = shown;
            show::json(&json!({ "objects": objects, "bytes": bytes, "damaged": damaged }));
        } else {
            for (dataset, object) in &damaged {
                show::out_line(&format!("{dataset}:{}  {}", object.path, object.why));
            }
            let whole = if damaged.is_empty() { ": all as they were put" } else { "" };
            err_line(&format!("read {}, {}{whole}", files(objects), Bytes(bytes)));
        }
        if damaged.is_empty() {
            return Ok(Code::Done.number());
        }
        let message = format!("{} damaged", files(damaged.len() as u64));
        Err(Failure::new(Code::Failed, message)
            .hint("put them again from where they came; see the server's disk and its log"))
    }
}

async fn check(client: &Client, what: &Named, json: bool) -> Result<DataChecked, Failure> {
    let (objects, bytes) = match &what.at {
        Some(at) if at != "now" => {
            let version = client.dataset_version(&what.dataset, at).await?;
            (version.objects, version.bytes)
        }
        _ => {
            let set = client.dataset(&what.dataset).await?;
            (set.objects, set.bytes)
        }
    };
    let progress = Progress::new("reading", objects, bytes, json);
    let (mut all, mut next) = (DataChecked::default(), None::<String>);
    loop {
        let part = client.verify(&what.dataset, what.at.as_deref(), next.as_deref()).await?;
        (0..part.objects).for_each(|_| progress.file());
        progress.bytes(part.bytes);
        all.objects += part.objects;
        all.bytes += part.bytes;
        all.damaged.extend(part.damaged);
        next = part.next;
        if next.is_none() {
            progress.finish();
            return Ok(all);
        }
    }
}

impl Gc {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let collected = session.client()?.collect(&Intent::new()).await?;
        if session.json {
            show::json(&collected);
            return Ok(Code::Done.number());
        }
        let (freed, gone) = (Bytes(collected.freed_bytes), files(collected.objects));
        let sets = match collected.datasets {
            0 => String::new(),
            1 => "1 dataset, ".to_owned(),
            many => format!("{} datasets, ", count(many)),
        };
        let chunks = count(collected.chunks);
        show::out_line(&format!("freed {freed}: {sets}{gone} and {chunks} pieces of data gone"));
        Ok(Code::Done.number())
    }
}
