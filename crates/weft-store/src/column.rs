//! Between columns and values: integers, words, JSON.

use crate::StoreError;
use rusqlite::{Row, RowIndex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::str::FromStr;

/// A column: by its name, or by its place where a query returns very many rows (a name is
/// looked up in each).
pub(crate) trait Column: RowIndex + Display + Copy {}

impl Column for &str {}
impl Column for usize {}

/// As SQLite keeps it; what is beyond 2^63 is kept as 2^63 - 1, far beyond any size or time.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// An unsigned column.
pub(crate) fn uint(row: &Row<'_>, name: impl Column) -> Result<u64, StoreError> {
    let value: i64 = row.get(name)?;
    u64::try_from(value).map_err(|_| damaged(name, &value.to_string()))
}

/// An unsigned column that may be NULL.
pub(crate) fn uint_opt(row: &Row<'_>, name: impl Column) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.get(name)?;
    value.map(|v| u64::try_from(v).map_err(|_| damaged(name, &v.to_string()))).transpose()
}

/// A small unsigned column.
pub(crate) fn small<T: TryFrom<i64>>(row: &Row<'_>, name: impl Column) -> Result<T, StoreError> {
    let value: i64 = row.get(name)?;
    T::try_from(value).map_err(|_| damaged(name, &value.to_string()))
}

/// A text column read by its type.
pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, name: impl Column) -> Result<T, StoreError> {
    let text = row.get_ref(name)?.as_str().map_err(|e| damaged(name, &e.to_string()))?;
    text.parse().map_err(|_| damaged(name, text))
}

/// A JSON column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, name: impl Column) -> Result<T, StoreError> {
    let text = row.get_ref(name)?.as_str().map_err(|e| damaged(name, &e.to_string()))?;
    serde_json::from_str(text).map_err(|e| damaged(name, &e.to_string()))
}

/// A word of an enum that reads as a JSON string.
pub(crate) fn word<T: DeserializeOwned>(row: &Row<'_>, name: impl Column) -> Result<T, StoreError> {
    let text = row.get_ref(name)?.as_str().map_err(|e| damaged(name, &e.to_string()))?;
    let reader = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    T::deserialize(reader).map_err(|e| damaged(name, &e.to_string()))
}

/// What a JSON column holds.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Damaged(e.to_string()))
}

fn damaged(name: impl Display, what: &str) -> StoreError {
    StoreError::Damaged(format!("column `{name}` holds `{what}`"))
}

/// Every row of a query through `read`.
pub(crate) fn rows<T>(
    mut rows: rusqlite::Rows<'_>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// The first row of a query through `read`.
pub(crate) fn first<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    rows.next()?.map(read).transpose()
}
