//! A Parquet file's columns: by the values of its first rows, which are read once all of it is on
//! the disk. What its writer says of them is not believed.

use super::{COLUMNS_MAX, Column, Table, told};
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::Handle;
use weft_api::wire::PROFILE;
use weft_gateway::{Arrived, DataError};
use weft_types::Tier;
use weft_view::{Cell, Describes, Parquet, Ranges};

/// Rows that are looked at.
const ROWS_MAX: u64 = 100_000;
/// And values at most, of all columns: as many as four megabytes of text may have.
const VALUES_MAX: u64 = 2 << 20;
/// Bytes and values that reading may cost; columns that are too much for that are not told.
const COST_MAX: u64 = 512 << 20;

/// Whether a path is that of a Parquet file.
pub(crate) fn is_parquet(path: &str) -> bool {
    weft_view::Format::of(path) == Some(weft_view::Format::Parquet)
}

/// The profile of a Parquet file that has arrived, as a note; none of another one, or of one that
/// cannot be read: it is kept all the same.
pub(crate) async fn note(
    path: &str,
    tier: Tier,
    arrived: impl FnOnce() -> Result<Arrived, DataError>,
) -> Option<(String, String)> {
    if !is_parquet(path) {
        return None;
    }
    let from =
        Reading { arrived: arrived().ok()?, handle: Handle::current(), last: Mutex::default() };
    let profiled = tokio::task::spawn_blocking(move || profile(&from, tier)).await;
    Some((PROFILE.to_owned(), profiled.ok()??))
}

fn profile(from: &dyn Ranges, tier: Tier) -> Option<String> {
    let mut file = Parquet::open(from).ok()?.costing(COST_MAX);
    let described: Vec<_> = file
        .columns()
        .take(COLUMNS_MAX)
        .map(|(name, describes)| (Column::new(name), describes))
        .collect();
    let all = file.rows();
    let rows = all.min(ROWS_MAX).min(VALUES_MAX / described.len().max(1) as u64);
    let mut table = Table { rows, columns: Vec::new() };
    for (at, (mut column, describes)) in described.into_iter().enumerate() {
        column.is = match describes {
            Describes::Bytes => Some("bytes"),
            Describes::Nested => Some("nested"),
            _ => None,
        };
        if column.is.is_some() {
            column.others = rows;
        } else {
            let is_number = describes == Describes::Numbers;
            let read = file.values(at, rows, &mut |cell| column.cell(cell, is_number));
            if read.is_err() {
                break;
            }
        }
        table.columns.push(column);
    }
    (!table.columns.is_empty()).then(|| told(table, "parquet", rows == all, tier)).flatten()
}

impl Column {
    fn cell(&mut self, cell: Cell<'_>, is_number: bool) {
        let Some(text) = cell.text() else { return };
        self.count(&text);
        match cell {
            Cell::Integer(number) => {
                self.integers += 1;
                self.widen(number as f64);
            }
            Cell::Number(number) => {
                self.numbers += 1;
                self.widen(number);
            }
            Cell::Text(text) if is_number => {
                self.numbers += 1;
                text.parse().into_iter().for_each(|number| self.widen(number));
            }
            Cell::Truth(_) => self.truths += 1,
            Cell::Text(text) | Cell::Nested(text) => {
                self.texts += 1;
                self.often(text);
            }
            Cell::Null => {}
        }
    }
}

/// What has arrived, from a thread that may wait: the last part that was read is kept.
struct Reading {
    arrived: Arrived,
    handle: Handle,
    /// Where it begins, and its bytes.
    last: Mutex<(u64, Vec<u8>)>,
}

impl Ranges for Reading {
    fn len(&self) -> u64 {
        self.arrived.bytes().0
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if at >= self.len() || into.is_empty() {
            return Ok(0);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if at < last.0 || at >= last.0 + last.1.len() as u64 {
            let read = self.arrived.read(at..self.len(), &self.handle);
            *last = (at, read.map_err(io::Error::other)?);
        }
        let from = last.1.get((at - last.0) as usize..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_api::wire::TableProfile;
    use weft_view::Bytes;

    fn read(file: &[u8], tier: Tier) -> Option<TableProfile> {
        Some(serde_json::from_str(&profile(&Bytes(file), tier)?).unwrap())
    }

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!("../../../../../weft-view/tests/it/parquet/", $name))
        };
    }

    #[test]
    fn columns_are_told_as_those_of_the_same_table_as_text() {
        let text = include_str!("../../../../../weft-view/tests/it/parquet/people.csv");
        let format = super::super::Format::of("people.csv").unwrap();
        let tell = |tier| super::super::profile(format, text.as_bytes(), true, tier).unwrap();
        for tier in [Tier::Internal, Tier::Confidential] {
            let mut wanted: TableProfile = serde_json::from_str(&tell(tier)).unwrap();
            wanted.format = "parquet".to_owned();
            let mut found = read(file!("snappy.parquet"), tier).unwrap();
            // An empty text is nothing in a profile of text, and one in Parquet.
            for profile in [&mut wanted, &mut found] {
                let city = &mut profile.columns[4];
                assert_eq!(city.name, "city");
                (city.empty, city.distinct) = (0, 0);
                city.frequent.retain(|frequent| !frequent.value.is_empty());
            }
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn types_are_told_and_what_cannot_be_read_has_no_profile() {
        let types = read(file!("types.parquet"), Tier::Public).unwrap();
        let kind = |name: &str| {
            let column = types.columns.iter().find(|column| column.name == name).unwrap();
            (column.kind.clone(), column.empty, column.least)
        };
        assert_eq!(kind("u64"), ("number".to_owned(), 1, Some(1.8e19)));
        assert_eq!(kind("small"), ("number".to_owned(), 1, Some(-1.05)));
        assert_eq!(kind("ns"), ("text".to_owned(), 1, None));
        assert_eq!(kind("bytes"), ("bytes".to_owned(), 0, None));
        assert_eq!(kind("none"), ("empty".to_owned(), 2, None));
        let nested = read(file!("nested.parquet"), Tier::Public).unwrap();
        let kinds: Vec<_> = nested.columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(kinds, ["integer", "nested", "nested", "integer"]);
        for odd in [&file!("page.parquet")[..], file!("brotli.parquet"), b"PAR1PAR1", b""] {
            assert_eq!(read(odd, Tier::Public), None);
        }
        // Of few bytes that are many no more is read than it may cost.
        assert_eq!(read(file!("again.parquet"), Tier::Public), None);
    }
}
