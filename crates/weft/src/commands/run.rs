//! `weft run`: from a file or a command to its end, in five steps.
//!
//! This is where the main job begins: what the file says is read and completed here, submitted
//! to the server, and followed until it ends.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::follow::{self, How};
use crate::session::Session;
use crate::show::{self, err_line, out};
use crate::submission::{self, Changes, Source};
use clap::Args;
use std::path::PathBuf;
use weft_api::problem;
use weft_api::spec::{WorkloadSpec, to_file};
use weft_api::wire::{DryRun, Workload};
use weft_client::{Client, ClientError, Intent};

/// Run a file or a command and follow it to its end
///
/// Ctrl-C detaches: the run goes on. The exit code is the run's own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft run train.weft.yaml
  weft run -- python3 -c 'print(6 * 7)'
  weft run --gpu A100:2 --memory 64GB --files . -- python3 train.py
  weft run train.weft.yaml --detach
  weft run --print-spec -- python3 train.py > train.weft.yaml")]
pub(crate) struct Run {
    /// Workload file; without it and without a command the one `*.weft.yaml` that is here
    file: Option<PathBuf>,
    /// Program and arguments, instead of what the file runs
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Do not follow it
    #[arg(short, long)]
    detach: bool,
    /// Print the file that says the same, and run nothing
    #[arg(long)]
    print_spec: bool,
    /// Say what would become of it now, and run nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    changes: Changes,
}

impl Run {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        // 1. What is to run: the file, the command, and what the flags change.
        let mut source = Source::read(self.file.as_deref(), self.command, &self.changes)?;
        if self.print_spec {
            out(&to_file(&source.file));
            return Ok(Code::Done.number());
        }
        source.name_after_file();
        // 2. The server, started where none runs.
        let client = session.client()?;
        // 3. What the file only names: environment, requirements, files.
        let spec = submission::complete(&client, source).await?;
        if self.dry_run {
            return dry_run(&client, &spec, session.json).await;
        }
        // 4. Submit it: from here on it is durable.
        let workload = submit(&client, spec).await?;
        if self.detach {
            submitted(&workload, session.json);
            return Ok(Code::Done.number());
        }
        // 5. Follow it: stages, log, closing box.
        follow::to_the_end(&client, workload, How { json: session.json, raw: false }).await
    }
}

/// Submits a run. Each is one of its own: where its name is kept by an earlier one, it gets a
/// suffix.
async fn submit(client: &Client, mut spec: WorkloadSpec) -> Result<Workload, Failure> {
    let taken = |error: &ClientError| {
        error.problem().is_some_and(|p| p.code == problem::Code::AlreadyExists)
    };
    match client.submit(&spec, &Intent::new()).await {
        Err(error) if taken(&error) && spec.name.is_some() => {
            spec.name = spec.name.as_deref().map(numbered);
            Ok(client.submit(&spec, &Intent::new()).await?)
        }
        other => Ok(other?),
    }
}

/// The name with a few random letters behind it, within the length of names.
fn numbered(name: &str) -> String {
    const SUFFIX: usize = 5;
    let room = weft_types::NAME_MAX - SUFFIX - 1;
    let kept: String = name.chars().take(room).collect();
    let random = Intent::new().to_string();
    format!("{}-{}", kept.trim_end_matches('-'), &random[..SUFFIX])
}

fn submitted(workload: &Workload, json: bool) {
    if json {
        return show::json(workload);
    }
    show::out_line(&workload.name);
    err_line(&format!("submitted; follow it with `weft attach {}`", workload.name));
}

/// Says what the plan would do.
pub(super) async fn dry_run(client: &Client, spec: &WorkloadSpec, json: bool) -> Outcome {
    let answer: DryRun = client.dry_run(spec, &Intent::new()).await?;
    if json {
        show::json(&answer);
        return Ok(Code::Done.number());
    }
    match &answer.wait {
        None => {
            let members = u32::try_from(answer.placements.len()).unwrap_or(u32::MAX);
            let size = follow::size(members, &answer.spec).map(|size| format!(", {size}"));
            show::out_line(&format!("it would start now{}:", size.unwrap_or_default()));
            for placed in &answer.placements {
                show::out_line(&format!("  {}", follow::holds(placed)));
            }
        }
        Some(wait) => {
            show::out_line(&format!("it would wait, {}", follow::waits(wait, show::clock())));
            follow::helps(wait, show::clock()).iter().for_each(|line| show::out_line(line));
            if let Some(hint) = &wait.hint {
                err_line(&format!("{}: {hint}", show::paint_err("hint", show::Style::Hint)));
            }
        }
    }
    Ok(Code::Done.number())
}
