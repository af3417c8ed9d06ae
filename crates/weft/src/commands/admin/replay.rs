//! `weft admin replay`: makes recorded plans again and compares.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, out_line};
use clap::Args;
use std::path::PathBuf;
use weft_server::replay;

/// Make again what `weft up --record` wrote down, and compare
///
/// Needs no server. That every plan comes out again shows that what decided is what is written
/// down, and nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft up --record plans\n  weft admin replay plans")]
pub(super) struct Replay {
    /// The folder they were recorded in
    dir: PathBuf,
}

impl Replay {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        let named = self.dir.display().to_string();
        let done = replay(&self.dir).map_err(|error| Failure::local(&named, error))?;
        if session.json {
            show::json(&serde_json::json!({
                "plans": done.plans,
                "acting": done.acting,
                "torn": done.torn,
                "different": done.different.iter().map(|(file, line)| {
                    serde_json::json!({ "file": file, "line": line })
                }).collect::<Vec<_>>(),
            }));
        } else {
            let torn = match done.torn {
                0 => String::new(),
                torn => format!(", {torn} lines were cut off by an end of the server"),
            };
            let (plans, acting) = (done.plans, done.acting);
            out_line(&format!("{plans} plans, {acting} of them with something to do{torn}"));
        }
        let Some((file, line)) = done.different.first() else { return Ok(Code::Done.number()) };
        let (count, file) = (done.different.len(), file.display());
        let message = format!("{count} come out otherwise, the first in line {line} of {file}");
        let hint = "a plan changes with the version of Weft; with the one that made it, report it";
        Err(Failure::new(Code::Failed, message).hint(hint))
    }
}
