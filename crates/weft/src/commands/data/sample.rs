//! `weft data sample`: the first rows of a table.

use super::name::Named;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, err_line};
use clap::Args;
use weft_api::wire::TableRows;

/// Show the first rows of a table
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data sample claims                      the first table that is there
  weft data sample claims@v3:tables/a.parquet --rows 3

It is a read, as `weft data get` is: of data that stays in workloads nothing is shown. What columns
there are and what is in them on the whole shows `weft data info DATASET:PATH`.")]
pub(crate) struct Sample {
    /// Dataset, behind @ its version, behind : a table or a folder
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    what: Named,
    /// How many rows, up to 100
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    rows: u32,
}

impl Sample {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let Named { dataset, at, path } = &self.what;
        let client = session.client()?;
        let told = client.sample(dataset, path.as_deref(), at.as_deref(), self.rows).await?;
        match session.json {
            true => show::json(&told),
            false => print(dataset, told),
        }
        Ok(Code::Done.number())
    }
}

fn print(dataset: &str, told: TableRows) {
    let count = told.rows.len();
    let mut table = Table::of(&told.columns);
    for row in told.rows {
        table.row(row.into_iter().map(Option::unwrap_or_default));
    }
    show::out(&table.render());
    let left_out = match told.left_out {
        0 => String::new(),
        left => format!("; {left} columns more"),
    };
    let which = if told.more { "the first rows" } else { "all rows" };
    err_line(&format!("{which} of {dataset}:{} ({count}){left_out}", told.path));
}
