//! `weft data info` and `weft data set`: what a dataset is, and saying it.

use super::name::Named;
use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, age, clock, when};
use clap::Args;
use weft_api::wire::{Dataset, UpdateDataset};
use weft_client::Intent;
use weft_types::Bytes;

/// Show what a dataset is: size, tier, owner, newest version
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft data info claims")]
pub(crate) struct Info {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
}

/// Say what a dataset is about, or raise its tier
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data set claims --about 'claims of 2019 to 2026, one row each'
  weft data set claims --tier confidential

A tier is raised, and never lowered.")]
pub(crate) struct Set {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// What it is, for people
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// A tier above the one it has
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
}

impl Info {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("what is shown")?;
        self.what.now("shown of")?;
        let set = session.client()?.dataset(&self.what.dataset).await?;
        tell(&set, session);
        Ok(Code::Done.number())
    }
}

impl Set {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("what is said")?;
        self.what.now("said of")?;
        if self.about.is_none() && self.tier.is_none() {
            return Err(Failure::usage("nothing is to be said").hint("give --about or --tier"));
        }
        let update = UpdateDataset { about: self.about, tier: self.tier };
        let client = session.client()?;
        let set = client.update_dataset(&self.what.dataset, &update, &Intent::new()).await?;
        tell(&set, session);
        Ok(Code::Done.number())
    }
}

fn tell(set: &Dataset, session: &Session) {
    if session.json {
        show::json(set);
        return;
    }
    let now = clock();
    let version = match set.version_at_ms {
        None => "none yet: `weft data put` makes them".to_owned(),
        Some(at) => {
            let since = if set.changed { "; something came since" } else { "" };
            format!("v{}, made {} ago{since}", set.versions, age(at, now))
        }
    };
    let tier = match set.tier.as_str() {
        "public" => "for anybody",
        "internal" => "for everybody who works here",
        "confidential" => "for its team, in runs only",
        _ => "for its owner, in runs only",
    };
    let mut lines = vec![
        ("tier", format!("{}: {tier}", set.tier)),
        ("owner", format!("{}, of {}", set.owner, set.queue)),
        ("size", format!("{}, {}", Bytes(set.bytes), files(set.objects))),
        ("version", version),
        ("made", when(set.created_at_ms)),
    ];
    if !set.about.is_empty() {
        lines.insert(0, ("about", set.about.clone()));
    }
    show::out_line(&set.name);
    for (name, value) in lines {
        show::out_line(&format!("  {name:<8} {}", show::one_line(&value)));
    }
}
