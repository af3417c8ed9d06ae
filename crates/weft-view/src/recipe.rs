//! What a view is: columns, masks, rows and a sample, as canonical JSON.
//!
//! ```json
//! {"columns": ["id", "age", "email"], "masks": {"email": "hash"},
//!  "rows": "age >= 18 and city = 'Graz'", "sample": "1%", "by": "id"}
//! ```
//!
//! Each key may be absent. Without `columns` all are shown, also ones that come later; masks,
//! `rows` and `by` name columns that each file must have. Two recipes that say the same are the
//! same bytes.

use crate::filter::Filter;
use crate::mask::Mask;
use crate::sample::Fraction;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Columns that a recipe may name: wider tables are matrices.
const COLUMNS_MAX: usize = 1000;
/// Longest name of a column, in bytes.
const NAME_MAX: usize = 256;
/// Longest value that an error repeats, in letters.
const TOLD_MAX: usize = 60;

/// What a view shows of a dataset's tables.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Recipe {
    /// Of whose values the sample is: all rows of one are in it, or none. Rows without a value, and
    /// all rows where this is absent, are chosen one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    masks: BTreeMap<String, Mask>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Filter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Fraction>,
}

/// Why a value is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: `{value}` {rule}")]
pub struct RecipeError {
    /// Where it stands: `masks.email`.
    pub field: String,
    /// What stands there, shortened.
    pub value: String,
    /// The rule that it breaks, and what to write.
    pub rule: String,
}

fn wrong(field: impl Into<String>, value: impl AsRef<str>, rule: impl Into<String>) -> RecipeError {
    let short: String = value.as_ref().chars().take(TOLD_MAX).collect();
    let value = if short.len() < value.as_ref().len() { format!("{short}…") } else { short };
    RecipeError { field: field.into(), value, rule: rule.into() }
}

impl Recipe {
    /// A sample of rows, or of files that are no tables, and nothing else.
    pub fn of_sample(fraction: Fraction) -> Self {
        Self { sample: Some(fraction), ..Self::default() }
    }

    /// Reads a recipe from JSON.
    ///
    /// # Errors
    /// The field, its value and the rule that it breaks.
    pub fn parse(json: &str) -> Result<Self, RecipeError> {
        let value = serde_json::from_str(json);
        Self::from_value(&value.map_err(|e| wrong("recipe", json, format!("is no JSON: {e}")))?)
    }

    /// As [`Recipe::parse`], of JSON that has been read.
    ///
    /// # Errors
    /// The field, its value and the rule that it breaks.
    pub fn from_value(value: &Value) -> Result<Self, RecipeError> {
        let rule = "is no recipe: it has `columns`, `masks`, `rows`, `sample` and `by`";
        let of = value.as_object().ok_or_else(|| wrong("recipe", value.to_string(), rule))?;
        for (key, value) in of {
            if !["columns", "masks", "rows", "sample", "by"].contains(&key.as_str()) {
                let rule = "is of no use: there are `columns`, `masks`, `rows`, `sample`, `by`";
                return Err(wrong(key, value.to_string(), rule));
            }
        }
        let recipe = Self {
            by: by(of)?,
            columns: columns(of)?,
            masks: masks(of)?,
            rows: rows(of)?,
            sample: sample(of)?,
        };
        recipe.agree()?;
        Ok(recipe)
    }

    fn agree(&self) -> Result<(), RecipeError> {
        if *self == Self::default() {
            let rule = "says nothing: name `columns`, `masks`, `rows` or a `sample`";
            return Err(wrong("recipe", "{}", rule));
        }
        if let (Some(by), None) = (&self.by, self.sample) {
            return Err(wrong("by", by, "needs a `sample`: say how much, as `1%`"));
        }
        let hidden = |name: &&String| !self.shows(name);
        if let Some(name) = self.masks.keys().find(hidden) {
            let rule = "is for a column that is not among `columns`: add it there, or leave it out";
            return Err(wrong(format!("masks.{name}"), self.masks[name].to_string(), rule));
        }
        Ok(())
    }

    /// The columns that are shown; none: all.
    pub fn columns(&self) -> Option<&BTreeSet<String>> {
        self.columns.as_ref()
    }

    /// What stands in the place of columns' values.
    pub fn masks(&self) -> &BTreeMap<String, Mask> {
        &self.masks
    }

    /// Which rows are shown; none: all.
    pub fn rows(&self) -> Option<&Filter> {
        self.rows.as_ref()
    }

    /// How much of that is shown; none: all.
    pub fn sample(&self) -> Option<Fraction> {
        self.sample
    }

    /// Of which column's values the sample is.
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// All columns that it names: what a file has to have.
    pub fn named(&self) -> BTreeSet<&str> {
        let shown = self.columns.iter().flatten().chain(self.masks.keys());
        let filtered = self.rows.iter().flat_map(Filter::columns);
        shown.chain(filtered).chain(&self.by).map(String::as_str).collect()
    }

    /// Whether it is about whole files as well as about tables.
    pub(crate) fn is_sample_only(&self) -> bool {
        self.sample.is_some_and(|fraction| *self == Self::of_sample(fraction))
    }

    pub(crate) fn shows(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.contains(column))
    }
}

/// The same for who has a recipe among other values.
impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(from)?).map_err(de::Error::custom)
    }
}

fn text<'a>(of: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, RecipeError> {
    match of.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(key, other.to_string(), "is no text")),
    }
}

fn by(of: &Map<String, Value>) -> Result<Option<String>, RecipeError> {
    text(of, "by")?.map(|by| name("by", by)).transpose()
}

fn columns(of: &Map<String, Value>) -> Result<Option<BTreeSet<String>>, RecipeError> {
    let rule = "is no list of columns: write `[\"id\", \"age\"]`";
    let list = match of.get("columns") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(wrong("columns", other.to_string(), rule)),
    };
    if list.is_empty() {
        let rule = "shows no column: name one, or leave `columns` out to show all";
        return Err(wrong("columns", "[]", rule));
    }
    let mut columns = BTreeSet::new();
    for (at, column) in list.iter().enumerate() {
        let field = format!("columns[{at}]");
        let text = column.as_str();
        let text = text.ok_or_else(|| wrong(&field, column.to_string(), "is no text"))?;
        if !columns.insert(name(&field, text)?) {
            return Err(wrong(field, text, "is there twice"));
        }
    }
    if columns.len() > COLUMNS_MAX {
        let count = columns.len().to_string();
        return Err(wrong("columns", count, "columns are more than 1000"));
    }
    Ok(Some(columns))
}

fn masks(of: &Map<String, Value>) -> Result<BTreeMap<String, Mask>, RecipeError> {
    let masks = match of.get("masks") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(masks)) => masks,
        Some(other) => {
            let rule = "is no map of columns to masks: write `{\"email\": \"hash\"}`";
            return Err(wrong("masks", other.to_string(), rule));
        }
    };
    if masks.len() > COLUMNS_MAX {
        let rule = "masks are more than 1000";
        return Err(wrong("masks", masks.len().to_string(), rule));
    }
    let read = |(column, mask): (&String, &Value)| {
        let field = format!("masks.{column}");
        let text = mask.as_str().ok_or_else(|| {
            wrong(&field, mask.to_string(), "is no text: write `\"hash\"`, `\"null\"`, …")
        })?;
        let mask = Mask::parse(text).map_err(|rule| wrong(&field, text, rule))?;
        Ok((name(&field, column)?, mask))
    };
    masks.iter().map(read).collect()
}

fn rows(of: &Map<String, Value>) -> Result<Option<Filter>, RecipeError> {
    let Some(text) = text(of, "rows")? else { return Ok(None) };
    let filter = Filter::parse(text).map_err(|e| wrong("rows", text, format!("is wrong {e}")))?;
    for column in filter.columns() {
        name("rows", column)?;
    }
    Ok(Some(filter))
}

fn sample(of: &Map<String, Value>) -> Result<Option<Fraction>, RecipeError> {
    let text = match of.get("sample") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => return Err(wrong("sample", other.to_string(), "is no fraction: `1%`")),
    };
    Fraction::parse(&text).map(Some).map_err(|rule| wrong("sample", text, rule))
}

fn name(field: &str, name: &str) -> Result<String, RecipeError> {
    let rule = if name.is_empty() || name != name.trim() {
        "is no name of a column: it is empty, or begins or ends with space"
    } else if name.len() > NAME_MAX {
        "is longer than a column's name, 256 bytes"
    } else if name.contains(char::is_control) {
        "has control characters"
    } else {
        return Ok(name.to_owned());
    };
    Err(wrong(field, name, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_say_the_same_are_the_same_bytes() {
        let a = r#"{"sample":0.01,"columns":["b","a"],"masks":{"b":"round:10.0","a":"hash"},
                    "rows":"x>=1","by":"p"}"#;
        let b = r#"{"by":"p","columns":["a","b"],"masks":{"a":"hash","b":"round:10"},
                    "rows":"x >= 1","sample":"1%"}"#;
        let (a, b) = (Recipe::parse(a).unwrap(), Recipe::parse(b).unwrap());
        let json = serde_json::to_string(&a).unwrap();
        assert_eq!(json, serde_json::to_string(&b).unwrap());
        assert_eq!(Recipe::parse(&json), Ok(a.clone()));
        assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), a);
        assert_eq!(a.named().into_iter().collect::<Vec<_>>(), ["a", "b", "p", "x"]);
    }

    #[test]
    fn errors_name_the_field_the_value_and_the_rule() {
        let cases = [
            ("[]", "recipe: `[]` is no recipe"),
            ("{", "recipe: `{` is no JSON"),
            ("{}", "recipe: `{}` says nothing"),
            (r#"{"collumns":["a"]}"#, "collumns: `[\"a\"]` is of no use"),
            (r#"{"columns":[]}"#, "columns: `[]` shows no column"),
            (r#"{"columns":["a","a"]}"#, "columns[1]: `a` is there twice"),
            (r#"{"columns":[" a"]}"#, "columns[0]: ` a` is no name of a column"),
            (r#"{"masks":{"a":"sha"}}"#, "masks.a: `sha` is no mask"),
            (r#"{"masks":{"a":"hash"},"columns":["b"]}"#, "masks.a: `hash` is for a column"),
            (r#"{"rows":"a >"}"#, "rows: `a >` is wrong at letter 4, the end: a value is expected"),
            (r#"{"sample":2}"#, "sample: `2` may be 1 % or all of it"),
            (r#"{"by":"a"}"#, "by: `a` needs a `sample`"),
        ];
        for (json, wanted) in cases {
            let error = Recipe::parse(json).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{json}: {error}");
        }
    }
}
