//! `weft data diff`: which files were added, removed or changed between two versions.

use super::name::Named;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, Table, count, err_line};
use clap::Args;
use weft_types::Bytes;

/// Show how two versions of a dataset differ
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data diff claims@v1 claims@v2
  weft data diff claims@gold          from gold to how it is now")]
pub(crate) struct Diff {
    /// Before
    #[arg(value_name = "DATASET[@VERSION]")]
    from: Named,
    /// After; without one, as it is now
    #[arg(value_name = "DATASET[@VERSION]")]
    to: Option<Named>,
}

impl Diff {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let name = &self.from.dataset;
        self.from.whole("a comparison")?;
        if let Some(to) = &self.to {
            to.whole("a comparison")?;
            if to.dataset != *name {
                return Err(Failure::usage("two versions of one dataset are compared")
                    .hint(format!("as in `weft data diff {name}@v1 {name}@v2`")));
            }
        }
        let to = self.to.as_ref().and_then(|to| to.at.as_deref());
        let changes = session.client()?.diff(name, self.from.at.as_deref(), to).await?;
        if session.json {
            show::json(&changes);
            return Ok(Code::Done.number());
        }
        let mut table = Table::new(&["", ">BEFORE", ">AFTER", "PATH"]);
        let (mut added, mut removed, mut changed) = (0, 0, 0);
        let size = |bytes: Option<u64>| bytes.map(|n| Bytes(n).to_string()).unwrap_or_default();
        for change in &changes {
            let (sign, style, sum) = match (change.before, change.after) {
                (None, _) => ("+", Style::Good, &mut added),
                (_, None) => ("-", Style::Bad, &mut removed),
                _ => ("~", Style::Busy, &mut changed),
            };
            *sum += 1;
            let cells = [sign.to_owned(), size(change.before), size(change.after)];
            table.row(cells.into_iter().chain([change.path.clone()])).style(0, style);
        }
        if !changes.is_empty() {
            show::out(&table.render());
        }
        let [added, removed, changed] = [added, removed, changed].map(count);
        err_line(&format!("{added} added, {removed} removed, {changed} changed"));
        Ok(Code::Done.number())
    }
}
