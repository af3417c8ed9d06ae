//! `weft data rotate`: other keys for datasets and teams.

use super::name::Named;
use super::progress::Progress;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, count};
use clap::Args;
use serde_json::json;
use weft_api::wire::RotateData;
use weft_client::{Client, Intent};
use weft_types::QueueName;

/// Put another key in the place of a dataset's, or of a team's and all its datasets'
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data rotate claims
  weft data rotate --team lab    the team's key, then those of its datasets

No data is touched, and reading and writing go on. One that was interrupted goes on when it is given
again. The key above all keys: `weft admin key rotate`.")]
pub(crate) struct Rotate {
    /// Dataset
    #[arg(value_name = "DATASET", required_unless_present = "team", conflicts_with = "team")]
    what: Option<Named>,
    /// Team
    #[arg(long, value_name = "TEAM")]
    team: Option<QueueName>,
}

impl Rotate {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let mut names = Vec::new();
        if let Some(what) = &self.what {
            what.whole("a key")?;
            what.now("rotated of")?;
            names.push(what.dataset.clone());
        }
        if let Some(team) = &self.team {
            let rotate = RotateData { team: Some(team.to_string()), ..RotateData::default() };
            client.rotate_data(&rotate, &Intent::new()).await?;
            let its = client.datasets().await?.into_iter();
            names.extend(its.filter(|set| set.queue == team.as_str()).map(|set| set.name));
        }
        let mut keys = 0;
        for name in &names {
            keys += dataset(&client, name, session.json).await?;
        }
        let sets = names.len() as u64;
        match session.json {
            true => show::json(&json!({ "datasets": sets, "keys": keys })),
            false => {
                let sets =
                    if sets == 1 { "1 dataset".to_owned() } else { format!("{sets} datasets") };
                show::out_line(&format!("{sets} with a new key, {} wrapped anew", count(keys)));
            }
        }
        Ok(Code::Done.number())
    }
}

async fn dataset(client: &Client, name: &str, json: bool) -> Result<u64, Failure> {
    let objects = client.dataset(name).await?.objects;
    let progress = Progress::new("wrapping", objects, 0, json);
    let rotate = RotateData { dataset: Some(name.to_owned()), ..RotateData::default() };
    let mut keys = 0;
    loop {
        let part = client.rotate_data(&rotate, &Intent::new()).await?;
        (keys..(keys + part.keys).min(objects)).for_each(|_| progress.file());
        keys += part.keys;
        if part.done {
            progress.finish();
            return Ok(keys);
        }
    }
}
