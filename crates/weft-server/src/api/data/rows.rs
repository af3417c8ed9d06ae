//! The first rows of a table, for people who want to see what is in it. A read like any other:
//! judged, and on the record with the bytes that it took.

use super::super::call::Call;
use super::super::fault::{Fault, at, internal, quoted};
use super::super::reply::json;
use super::moment::moment;
use super::objects::{none, noted};
use super::profile::records;
use super::refused;
use crate::views::Ahead;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::wire::TableRows;
use weft_gateway::Object;
use weft_store::{At, DatasetRow, Listing};
use weft_view::{Describes, Format, Parquet, Ranges};

/// Rows that are shown where nothing is said, and at most.
const ROWS: (u32, u32) = (10, 100);
/// Columns that are shown: wider tables are matrices.
const COLUMNS_MAX: usize = 50;
/// Characters of a value that are shown.
const VALUE_MAX: usize = 200;
/// Bytes of text that the rows are looked for in.
const HEAD: usize = 1 << 20;
/// Bytes and values that reading a Parquet file may cost.
const COST_MAX: u64 = 64 << 20;
/// Files among which a table is looked for.
const LOOKED_AT: u32 = 1_000;

/// Of which table.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct SampleQuery {
    /// Its path; a folder, with a `/` at its end, or absent: the first table that is there.
    path: Option<String>,
    /// Of which version: `v3`, a name, a day; absent: as it is.
    at: Option<String>,
    /// How many rows at most, 1 to 100; absent: 10.
    rows: Option<u32>,
}

/// `GET /datasets/{dataset}/sample`.
pub(crate) async fn sample(call: Call) -> Result<Response, Fault> {
    let query: SampleQuery = call.query()?;
    let rows = query.rows.unwrap_or(ROWS.0);
    if !(1..=ROWS.1).contains(&rows) {
        return Err(at(Code::BadRequest, "rows", format!("{rows} is not 1 to {}", ROWS.1)));
    }
    let row = call.dataset()?.clone();
    let (then, _) = moment(&call, query.at).await?;
    let path = table(&call, &row, then, query.path.unwrap_or_default()).await?;
    let object = call.app.data.object(&row, &path, then).await.map_err(refused)?;
    let Some(object) = object else { return Err(none(&row, &path)) };
    let from = object.clone();
    let read = move || {
        let from = Counted { from: Ahead::of(from), bytes: AtomicU64::new(0) };
        let told = first_rows(&from, rows as usize);
        (told, from.bytes.into_inner())
    };
    let (told, bytes) = tokio::task::spawn_blocking(read).await.map_err(internal)?;
    call.app.reads.note(noted(&call, &row, &object, bytes)).await?;
    json(&told.map_err(|why| {
        let hint = "tables are CSV, TSV, JSON lines and Parquet; `weft data get` brings any file";
        let detail = format!("{} cannot be shown: {why}", quoted(&path));
        Problem::new(Code::BadRequest, detail).hint(hint).field("path")
    })?)
}

/// The table that is meant.
async fn table(call: &Call, row: &DatasetRow, at: At, path: String) -> Result<String, Fault> {
    if !path.is_empty() && !path.ends_with('/') {
        return Ok(path);
    }
    let listing = Listing { prefix: path.clone(), limit: LOOKED_AT, ..Listing::default() };
    let page = call.app.data.list(row, at, listing, false).await.map_err(refused)?;
    let mut paths = page.entries.into_iter().map(|listed| listed.entry.path);
    paths.find(|path| Format::of(path).is_some()).ok_or_else(|| {
        let detail = format!("{} has no table among its first {LOOKED_AT} files", row.is.name);
        let hint = "name one: `weft data ls` shows what there is";
        Problem::new(Code::NotFound, detail).hint(hint).field("path").into()
    })
}

/// An object whose bytes that are read are counted.
struct Counted {
    from: Ahead,
    bytes: AtomicU64,
}

impl Counted {
    fn object(&self) -> &Object {
        self.from.object()
    }
}

impl Ranges for Counted {
    fn len(&self) -> u64 {
        self.from.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read_at(at, into)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// # Errors
/// Why there are none to be shown.
fn first_rows(from: &Counted, rows: usize) -> Result<TableRows, String> {
    let path = from.object().entry.path.clone();
    let table = match Format::of(&path) {
        Some(Format::Parquet) => of_parquet(from, rows)?,
        Some(Format::Separated(by)) => {
            let text = head(from)?;
            let mut records = records(&text, by);
            let names = records.next().ok_or("it is empty")?;
            let full = |record: &Vec<String>| record.iter().any(|value| !value.is_empty());
            let rows = records.filter(full).take(rows + 1);
            Table { names, rows: rows.map(|row| row.into_iter().map(Some).collect()).collect() }
        }
        Some(Format::JsonLines) => of_lines(&head(from)?, rows)?,
        _ => return Err("it is no table by its name".to_owned()),
    };
    Ok(table.told(path, rows))
}

/// A table's names, and one row more than is to be shown, if there is one.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    fn told(mut self, path: String, rows: usize) -> TableRows {
        let (more, left_out) = (self.rows.len() > rows, self.names.len());
        self.rows.truncate(rows);
        self.names.truncate(COLUMNS_MAX);
        self.names.iter_mut().for_each(shorten);
        for row in &mut self.rows {
            row.resize(self.names.len(), None);
            row.iter_mut().flatten().for_each(shorten);
        }
        let left_out = left_out - self.names.len();
        TableRows { path, columns: self.names, rows: self.rows, more, left_out: left_out as u64 }
    }
}

fn shorten(value: &mut String) {
    if let Some((end, _)) = value.char_indices().nth(VALUE_MAX) {
        value.truncate(end);
        value.push('…');
    }
}

/// Whole lines of text, from the beginning.
fn head(from: &dyn Ranges) -> Result<String, String> {
    let all = usize::try_from(from.len()).unwrap_or(usize::MAX);
    let mut head = vec![0; all.min(HEAD)];
    let mut there = 0;
    while there < head.len() {
        match from.read_at(there as u64, &mut head[there..]).map_err(|e| e.to_string())? {
            0 => return Err("it ends early".to_owned()),
            count => there += count,
        }
    }
    if head.len() < all {
        let end = head.iter().rposition(|byte| *byte == b'\n');
        head.truncate(end.ok_or(format!("its first line has more than {HEAD} bytes"))? + 1);
    }
    String::from_utf8(head).map_err(|_| "it is not UTF-8".to_owned())
}

fn of_lines(text: &str, rows: usize) -> Result<Table, String> {
    let mut table = Table { names: Vec::new(), rows: Vec::new() };
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(rows + 1) {
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|_| "a line of it is no JSON object")?;
        let new = object.keys().filter(|name| !table.names.contains(name)).cloned();
        let new: Vec<String> = new.collect();
        table.names.extend(new);
        let value = |name: &String| match object.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        table.rows.push(table.names.iter().map(value).collect());
    }
    Ok(table)
}

fn of_parquet(from: &dyn Ranges, rows: usize) -> Result<Table, String> {
    let said = |fault: weft_view::Fault| fault.to_string();
    let mut file = Parquet::open(from).map_err(said)?.costing(COST_MAX);
    let described: Vec<_> = file.columns().map(|(name, is)| (name.to_owned(), is)).collect();
    let count = file.rows().min(rows as u64 + 1);
    let mut table = Table { names: Vec::new(), rows: vec![Vec::new(); count as usize] };
    for (at, (name, is)) in described.into_iter().enumerate() {
        table.names.push(name);
        if at >= COLUMNS_MAX {
            continue;
        }
        let unshown = match is {
            Describes::Bytes => Some("(bytes)"),
            Describes::Nested => Some("(nested)"),
            _ => None,
        };
        if let Some(unshown) = unshown {
            table.rows.iter_mut().for_each(|row| row.push(Some(unshown.to_owned())));
            continue;
        }
        let mut next = table.rows.iter_mut();
        let mut each = |cell: weft_view::Cell<'_>| {
            if let Some(row) = next.next() {
                row.push(cell.text().map(|text| text.into_owned()));
            }
        };
        file.values(at, count, &mut each).map_err(said)?;
    }
    Ok(table)
}
