//! `weft apply`: makes sure that what a file describes is there.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, err_line};
use crate::submission::{self, Changes, Source};
use clap::Args;
use std::path::PathBuf;
use weft_api::problem;
use weft_api::spec::WorkloadSpec;
use weft_api::wire::Workload;
use weft_client::{Client, Intent};

/// Submit what a file describes, once
///
/// A workload of the same name that says the same is left as it is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weft apply -f serve.weft.yaml\n  weft apply -f serve.weft.yaml \
     --dry-run"
)]
pub(crate) struct Apply {
    /// Workload file
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Say what would become of it now, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let source = Source::read(Some(&self.file), Vec::new(), &Changes::default())?;
        let client = session.client()?;
        let spec = submission::complete(&client, source).await?;
        let existing = existing(&client, &spec).await?;
        if let Some(workload) = &existing
            && same(&spec, &workload.spec)
            && !workload.state.is_final()
        {
            return told(workload, session.json, "no change");
        }
        if self.dry_run {
            return super::run::dry_run(&client, &spec, session.json).await;
        }
        if let Some(workload) = existing {
            let name = &workload.name;
            let message =
                format!("`{name}` is there, {}, and says something else", workload.state.as_str());
            return Err(Failure::new(Code::Conflict, message).hint(format!(
                "end it with `weft stop {name}` and `weft rm {name}`, or rename it"
            )));
        }
        let workload = client.submit(&spec, &Intent::new()).await?;
        told(&workload, session.json, "submitted")
    }
}

/// The workload of the same name, where there is one.
async fn existing(client: &Client, spec: &WorkloadSpec) -> Result<Option<Workload>, Failure> {
    let Some(name) = &spec.name else { return Ok(None) };
    match client.workload(name).await {
        Ok(workload) => Ok(Some(workload)),
        Err(error) if error.problem().is_some_and(|p| p.code == problem::Code::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a file says what was submitted: what it leaves open is as the server filled it in.
fn same(file: &WorkloadSpec, submitted: &WorkloadSpec) -> bool {
    let mut file = file.clone();
    file.queue = file.queue.or_else(|| submitted.queue.clone());
    file.phase = file.phase.or_else(|| submitted.phase.clone());
    file == *submitted
}

fn told(workload: &Workload, json: bool, what: &str) -> Outcome {
    if json {
        show::json(workload);
    } else {
        show::out_line(&workload.name);
        err_line(&format!("{what}: {} is {}", workload.name, workload.state.as_str()));
    }
    Ok(Code::Done.number())
}
