//! `weft data view`: a dataset that the server makes of another one, and keeps up to date.

use super::name::Named;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use weft_api::wire::MakeView;
use weft_client::Intent;

/// Make a view of a dataset: of each version of that the server makes a version of this
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data view claims-tables --of claims --files 'tables/*.csv'
  weft data view claims-open --of claims --columns id,age,city --mask id=hash --rows 'age >= 18'
  weft data view claims-tenth --of claims --sample 10% --by patient
  weft data info claims-open       which version is of which, and what is left out
  weft data get claims-open@of-v7

Masks: hash, null, year, month, round:N, keep-first:N, keep-last:N, email. Rows: = != < <= > >= in
between like, is null, and, or, not. A file that lacks a column that is named is left out.

A view is its source's owner's, and as sensitive; nobody writes to it. It is read, searched, mounted
and removed as any dataset. What it is made by does not change: make another one.")]
pub(crate) struct View {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: Named,
    /// Dataset that it is a view of
    #[arg(long, value_name = "DATASET")]
    of: Named,
    /// Of the files that this names alone
    #[arg(long, value_name = "PATTERN")]
    files: Option<String>,
    /// Of tables these columns alone
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    columns: Vec<String>,
    /// What stands in the place of a column's values; may be given more than once
    #[arg(long = "mask", value_name = "COLUMN=MASK", value_parser = mask)]
    masks: Vec<(String, String)>,
    /// Rows of which this holds
    #[arg(long, value_name = "CONDITION")]
    rows: Option<String>,
    /// So much of the rows, the same each time; of what is no table, of the files
    #[arg(long, value_name = "SHARE")]
    sample: Option<String>,
    /// Take all rows of a value of this column into the sample, or none
    #[arg(long, value_name = "COLUMN", requires = "sample")]
    by: Option<String>,
    /// What it is, for people
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    about: String,
}

/// `id=hash`: the column may have a `=` in its name, the mask has none.
fn mask(text: &str) -> Result<(String, String), String> {
    let (column, mask) = text.rsplit_once('=').ok_or("a mask is COLUMN=MASK, as `id=hash`")?;
    Ok((column.to_owned(), mask.to_owned()))
}

impl View {
    /// What of each file; none: all of it.
    fn recipe(&self) -> Option<Value> {
        let mut recipe = Map::new();
        if !self.columns.is_empty() {
            recipe.insert("columns".to_owned(), json!(self.columns));
        }
        if !self.masks.is_empty() {
            let masks: BTreeMap<_, _> = self.masks.iter().cloned().collect();
            recipe.insert("masks".to_owned(), json!(masks));
        }
        for (key, said) in [("rows", &self.rows), ("sample", &self.sample), ("by", &self.by)] {
            if let Some(said) = said {
                recipe.insert(key.to_owned(), json!(said));
            }
        }
        (!recipe.is_empty()).then_some(Value::Object(recipe))
    }

    pub(crate) async fn run(self, session: &Session) -> Outcome {
        for (named, what) in [(&self.name, "made as"), (&self.of, "made a view of")] {
            named.whole("a view")?;
            named.now(what)?;
        }
        let recipe = self.recipe();
        let (name, about, files) = (self.name.dataset, self.about, self.files);
        let make = MakeView { name, about, files, recipe };
        let of = &self.of.dataset;
        let made = session.client()?.make_view(of, &make, &Intent::new()).await?;
        match session.json {
            true => show::json(&made),
            false => err_line(&format!(
                "{} is a view of {of}; the server makes its versions: `weft data info {}`",
                made.name, made.name
            )),
        }
        Ok(Code::Done.number())
    }
}
