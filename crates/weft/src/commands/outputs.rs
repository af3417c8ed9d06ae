//! `weft outputs`: the files a run left.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, err_line};
use clap::Args;
use std::path::{Component, Path, PathBuf};
use weft_api::wire::{OutputFile, Workload};
use weft_client::Client;
use weft_types::Bytes;

/// List the files a run left, or fetch them
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft outputs digits\n  weft outputs digits --to ./digits")]
pub(crate) struct Outputs {
    /// Name or id
    name: String,
    /// Fetch them into this directory; what is there is never overwritten
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Outputs {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let files = client.outputs(&self.name).await?;
        if let Some(dir) = &self.to {
            fetch(&client, &self.name, &files, dir).await?;
        }
        if session.json {
            show::json(&files);
        } else if files.is_empty() {
            err_line(&nothing(&client.workload(&self.name).await?));
        } else if let Some(dir) = &self.to {
            let bytes = Bytes(files.iter().map(|file| file.bytes).sum());
            err_line(&format!("fetched {} files, {bytes}, into {}", files.len(), dir.display()));
        } else {
            let mut table = Table::new(&["PATH", ">SIZE"]);
            for file in &files {
                table.row([file.path.clone(), Bytes(file.bytes).to_string()]);
            }
            show::out(&table.render());
        }
        Ok(Code::Done.number())
    }
}

/// Why there are no files.
fn nothing(workload: &Workload) -> String {
    let made = workload.published.iter().find_map(|output| Some((&output.to, output.version?)));
    match made {
        Some((dataset, version)) => {
            let name = format!("{dataset}@v{version}");
            format!("what it left is {name}: `weft data get {name} DIR` fetches it")
        }
        None => "it left no files; name what is to be kept under `outputs:`".to_owned(),
    }
}

async fn fetch(
    client: &Client,
    name: &str,
    files: &[OutputFile],
    dir: &Path,
) -> Result<(), Failure> {
    for file in files {
        // The run chose these names: they must not lead out of the directory.
        let path = Path::new(&file.path);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("`{}` is not a path below the outputs", file.path);
            return Err(Failure::new(Code::Failed, message));
        }
        let to = dir.join(path);
        if to.symlink_metadata().is_ok() {
            return Err(Failure::new(Code::Conflict, format!("{} is there already", to.display()))
                .hint("name another directory with --to"));
        }
        let parent = to.parent().unwrap_or(dir);
        std::fs::create_dir_all(parent).map_err(|e| Failure::local(parent.display(), e))?;
        client.download(name, &file.path, &to).await?;
    }
    Ok(())
}
