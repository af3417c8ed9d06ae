//! What a table's columns are: profiled when it is put, from its first megabytes or rows.
//!
//! CSV, tab-separated text, JSON lines and Parquet (`profile/parquet.rs`), by the ending of the
//! path. Types, empty values, how many distinct ones there are about; for numbers the least, the
//! most and how many lie where between; for texts the most frequent. Those are data: they are left
//! out of the upper tiers. Kept with the object's notes, under the same seal. Absent on purpose:
//! any guess at what is no table.

mod parquet;

pub(crate) use parquet::{is_parquet, note as note_of_parquet};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use weft_api::wire::{ColumnProfile, FrequentValue, PROFILE, TableProfile};
use weft_types::{Bytes, Tier};

/// Bytes that are looked at: enough for the types, parsed in tens of milliseconds.
pub(crate) const HEAD: usize = 4 << 20;
/// Columns that are profiled; wider tables are matrices.
const COLUMNS_MAX: usize = 200;
/// Longest name of a column that is kept, in bytes.
const NAME_MAX: usize = 100;
/// Smallest hashes that are kept to tell how many distinct ones there are: 6 % of error (Bar-Yossef
/// et al., Counting distinct elements in a data stream, RANDOM 2002).
const SMALLEST: usize = 256;
/// Parts of the way from the least to the greatest number that are counted.
const TENTHS: usize = 10;
/// Frequent texts that are told.
const FREQUENT: usize = 10;
/// Distinct texts that are counted; a column of more of them has names or numbers of things.
const TEXTS_MAX: usize = 256;
/// Longest text that is counted, in bytes: longer ones are remarks.
const TEXT_MAX: usize = 40;
/// Largest profile, in bytes: half of what may be said of an object.
const PROFILE_MAX: usize = 8 << 10;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Separated by this byte, the first line has the names.
    Separated(u8),
    /// A JSON object on each line.
    JsonLines,
}

impl Format {
    /// By the path's ending; none: it is no table.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let ending = path.rsplit_once('.')?.1.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Separated(b',')),
            "tsv" => Some(Self::Separated(b'\t')),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Separated(b',') => "csv",
            Self::Separated(_) => "tsv",
            Self::JsonLines => "jsonl",
        }
    }
}

/// How many of an object's first bytes its profile is made of; none where it is no table.
pub(crate) fn head_of(path: &str) -> usize {
    Format::of(path).map_or(0, |_| HEAD)
}

/// The profile of an object by its first bytes, as a note; none where it is no table.
///
/// # Errors
/// The server ends.
pub(crate) async fn note(
    path: &str,
    head: Vec<u8>,
    all: Bytes,
    tier: Tier,
) -> Result<Option<(String, String)>, tokio::task::JoinError> {
    let Some(format) = Format::of(path) else { return Ok(None) };
    let whole = head.len() as u64 == all.0;
    let profiled = move || profile(format, &head, whole, tier);
    let profiled = tokio::task::spawn_blocking(profiled).await?;
    Ok(profiled.map(|profile| (PROFILE.to_owned(), profile)))
}

/// The profile of a table by its beginning; `whole` says whether that is all of it. As JSON; none
/// where it is no such table.
fn profile(format: Format, head: &[u8], whole: bool, tier: Tier) -> Option<String> {
    // Of a record that was cut nothing is known.
    let end = if whole { head.len() } else { head.iter().rposition(|b| *b == b'\n')? + 1 };
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let table = match format {
        Format::Separated(by) => separated(text, by)?,
        Format::JsonLines => json_lines(text)?,
    };
    told(table, format.word(), whole, tier)
}

/// What is known of a table, as a note.
fn told(mut table: Table, format: &str, whole: bool, tier: Tier) -> Option<String> {
    if tier >= Tier::Confidential {
        table.columns.iter_mut().for_each(Column::forget_values);
    }
    let mut profile = TableProfile {
        format: format.to_owned(),
        rows: table.rows,
        whole,
        columns: table.columns.into_iter().map(|column| column.told(table.rows)).collect(),
    };
    loop {
        let json = serde_json::to_string(&profile).ok()?;
        if json.len() <= PROFILE_MAX {
            return Some(json);
        }
        // Names are of more use than values, so those go first.
        let has = |c: &ColumnProfile| !c.tenths.is_empty() || !c.frequent.is_empty();
        if profile.columns.iter().any(has) {
            profile.columns.iter_mut().for_each(|c| (c.tenths, c.frequent) = Default::default());
        } else {
            profile.columns.truncate(profile.columns.len() / 2);
        }
    }
}

#[derive(Default)]
struct Table {
    rows: u64,
    columns: Vec<Column>,
}

/// What is known of a column so far.
#[derive(Default)]
struct Column {
    name: String,
    integers: u64,
    numbers: u64,
    truths: u64,
    texts: u64,
    others: u64,
    range: Option<(f64, f64)>,
    /// All numbers: of four megabytes of text at most two million.
    seen: Vec<f64>,
    /// How often each text is there; none any more where there are too many.
    frequent: Option<HashMap<String, u64>>,
    smallest: BTreeSet<u64>,
    full: bool,
    /// What it is, where its values are not looked at.
    is: Option<&'static str>,
}

impl Column {
    fn new(name: &str) -> Self {
        let name = name.trim();
        Self {
            name: name[..name.floor_char_boundary(NAME_MAX)].to_owned(),
            frequent: Some(HashMap::new()),
            ..Self::default()
        }
    }

    fn text(&mut self, value: &str) {
        let value = value.trim();
        if matches!(value, "" | "NA" | "NaN" | "null" | "NULL" | "None") {
            return;
        }
        self.count(value);
        if value.parse::<i64>().is_ok() {
            self.integers += 1;
        } else if value.parse::<f64>().is_ok() {
            self.numbers += 1;
        } else if matches!(value, "true" | "false" | "True" | "False" | "TRUE" | "FALSE") {
            self.truths += 1;
        } else {
            self.texts += 1;
            self.often(value);
        }
        if let Ok(number) = value.parse() {
            self.widen(number);
        }
    }

    fn json(&mut self, value: &serde_json::Value) {
        match value {
            serde_json::Value::Null => return,
            serde_json::Value::Bool(_) => self.truths += 1,
            serde_json::Value::Number(number) => {
                *(if number.is_f64() { &mut self.numbers } else { &mut self.integers }) += 1;
                number.as_f64().into_iter().for_each(|number| self.widen(number));
            }
            serde_json::Value::String(text) => {
                self.texts += 1;
                self.often(text);
            }
            _ => self.others += 1,
        }
        self.count(&value.to_string());
    }

    fn widen(&mut self, number: f64) {
        if number.is_finite() {
            let (least, most) = self.range.unwrap_or((number, number));
            self.range = Some((least.min(number), most.max(number)));
            self.seen.push(number);
        }
    }

    fn often(&mut self, text: &str) {
        let Some(texts) = &mut self.frequent else { return };
        if let Some(count) = texts.get_mut(text) {
            *count += 1;
        } else if texts.len() < TEXTS_MAX && text.len() <= TEXT_MAX {
            texts.insert(text.to_owned(), 1);
        } else {
            self.frequent = None;
        }
    }

    /// How many numbers lie in each tenth of their range; none where there is one number.
    fn tenths(&self) -> Vec<u64> {
        let Some((least, most)) = self.range.filter(|(least, most)| least < most) else {
            return Vec::new();
        };
        let mut tenths = vec![0; TENTHS];
        for number in &self.seen {
            // Halved first: the way from the least to the greatest may be no number.
            let share = (number / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0);
            tenths[((share * TENTHS as f64) as usize).min(TENTHS - 1)] += 1;
        }
        tenths
    }

    /// The most frequent texts; none where none is there twice.
    fn frequent(&self) -> Vec<FrequentValue> {
        let texts = self.frequent.iter().flatten().filter(|(_, rows)| **rows > 1);
        let told =
            |(value, rows): (&String, &u64)| FrequentValue { value: value.clone(), rows: *rows };
        let mut texts: Vec<_> = texts.map(told).collect();
        texts.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.value.cmp(&b.value)));
        texts.truncate(FREQUENT);
        texts
    }

    fn count(&mut self, value: &str) {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        self.smallest.insert(hasher.finish());
        if self.smallest.len() > SMALLEST {
            self.smallest.pop_last();
            self.full = true;
        }
    }

    fn forget_values(&mut self) {
        (self.range, self.frequent) = (None, None);
        self.seen.clear();
    }

    fn told(self, rows: u64) -> ColumnProfile {
        let Self { integers, numbers, truths, texts, others, .. } = self;
        let kind = match (integers, numbers, truths, texts, others) {
            (0, 0, 0, 0, 0) => "empty",
            (_, 0, 0, 0, 0) => "integer",
            (_, _, 0, 0, 0) => "number",
            (0, 0, _, 0, 0) => "boolean",
            (0, 0, 0, 0, _) => "nested",
            _ => "text",
        };
        let kind = self.is.unwrap_or(kind);
        let there = integers + numbers + truths + texts + others;
        let distinct = match (self.full, self.smallest.last()) {
            // As far apart as the smallest stand, all of them do.
            (true, Some(last)) => {
                let share = *last as f64 / u64::MAX as f64;
                ((SMALLEST - 1) as f64 / share) as u64
            }
            _ => self.smallest.len() as u64,
        };
        let is_number = matches!(kind, "integer" | "number");
        let range = self.range.filter(|_| is_number);
        let tenths = if is_number { self.tenths() } else { Vec::new() };
        let frequent = if kind == "text" { self.frequent() } else { Vec::new() };
        ColumnProfile {
            name: self.name,
            kind: kind.to_owned(),
            empty: rows - there.min(rows),
            distinct: distinct.min(there),
            least: range.map(|(least, _)| least),
            most: range.map(|(_, most)| most),
            tenths,
            frequent,
        }
    }
}

fn separated(text: &str, by: u8) -> Option<Table> {
    let mut records = records(text, by);
    let names = records.next()?;
    let columns = names.iter().take(COLUMNS_MAX).map(|name| Column::new(name)).collect();
    let mut table = Table { rows: 0, columns };
    for record in records.filter(|record| record.iter().any(|value| !value.is_empty())) {
        table.rows += 1;
        table.columns.iter_mut().zip(&record).for_each(|(column, value)| column.text(value));
    }
    Some(table)
}

/// The records of separated text (RFC 4180): a value in quotes may hold anything, `""` is a quote.
pub(super) fn records(text: &str, by: u8) -> impl Iterator<Item = Vec<String>> {
    let mut left = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    std::iter::from_fn(move || {
        left.peek()?;
        let (mut record, mut value, mut quoted) = (Vec::new(), String::new(), false);
        while let Some(letter) = left.next() {
            match letter {
                '"' if quoted && left.peek() == Some(&'"') => value.extend(left.next()),
                '"' if quoted => quoted = false,
                '"' if value.is_empty() => quoted = true,
                '\n' if !quoted => break,
                '\r' if !quoted && left.peek() == Some(&'\n') => {}
                letter if !quoted && letter == char::from(by) => {
                    record.push(std::mem::take(&mut value));
                }
                letter => value.push(letter),
            }
        }
        record.push(value);
        Some(record)
    })
}

fn json_lines(text: &str) -> Option<Table> {
    let mut table = Table::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        table.rows += 1;
        for (name, value) in &object {
            let new = Column::new(name);
            if let Some(column) = table.columns.iter_mut().find(|column| column.name == new.name) {
                column.json(value);
            } else if table.columns.len() < COLUMNS_MAX {
                table.columns.push(new);
                table.columns.last_mut()?.json(value);
            }
        }
    }
    (table.rows > 0).then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, text: &str, whole: bool, tier: Tier) -> Option<TableProfile> {
        let profile = profile(Format::of(path)?, text.as_bytes(), whole, tier)?;
        Some(serde_json::from_str(&profile).unwrap())
    }

    fn shown(profile: &TableProfile) -> Vec<String> {
        let show = |c: &ColumnProfile| {
            let range = c.least.zip(c.most).map(|(a, b)| format!(" {a}..{b}")).unwrap_or_default();
            format!("{} {} empty {} distinct {}{range}", c.name, c.kind, c.empty, c.distinct)
        };
        profile.columns.iter().map(show).collect()
    }

    #[test]
    fn columns_of_separated_text() {
        let text = "\u{feff}id,amount,ok,\"who, where\",none\r\n1,2.5,true,\"a \"\"b\"\"\nc\",\r\n\
                    2,-1,false,d,\r\n3,,true,d,\r\n";
        let profile = read("raw/A.CSV", text, true, Tier::Internal).unwrap();
        assert_eq!((profile.rows, profile.whole, profile.format.as_str()), (3, true, "csv"));
        let wanted = [
            "id integer empty 0 distinct 3 1..3",
            "amount number empty 1 distinct 2 -1..2.5",
            "ok boolean empty 0 distinct 2",
            "who, where text empty 0 distinct 2",
            "none empty empty 3 distinct 0",
        ];
        assert_eq!(shown(&profile), wanted);
        let hidden = read("a.csv", text, true, Tier::Confidential).unwrap();
        assert!(hidden.columns.iter().all(|column| column.least.is_none()), "ranges are data");
    }

    #[test]
    fn how_numbers_lie_and_which_texts_are_frequent() {
        let rows: String = (0..100).map(|n| format!("{n},{},r{n}\n", n % 3 == 0)).collect();
        let rows = rows.replace("true", "Graz").replace("false", "Wien");
        let text = format!("n,city,name\n{rows}");
        let profile = read("a.csv", &text, true, Tier::Internal).unwrap();
        assert_eq!(profile.columns[0].tenths, [10; 10]);
        let frequent = |value: &str, rows| FrequentValue { value: value.to_owned(), rows };
        assert_eq!(profile.columns[1].frequent, [frequent("Wien", 66), frequent("Graz", 34)]);
        assert_eq!(profile.columns[2].frequent, [], "nobody's name is told");
        let hidden = read("a.csv", &text, true, Tier::Restricted).unwrap();
        let told = |c: &ColumnProfile| c.tenths.is_empty() && c.frequent.is_empty();
        assert!(hidden.columns.iter().all(told), "values are data");
        // Numbers as far apart as there are.
        let wide = read("a.csv", "x\n-1.7e308\n1.7e308\n0\n", true, Tier::Public).unwrap();
        assert_eq!(wide.columns[0].tenths, [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn columns_of_json_lines_and_what_is_no_table() {
        let text = "{\"a\":1,\"b\":\"x\"}\n{\"a\":2.5,\"c\":[1]}\n";
        let profile = read("a.jsonl", text, true, Tier::Public).unwrap();
        let wanted = [
            "a number empty 0 distinct 2 1..2.5",
            "b text empty 1 distinct 1",
            "c nested empty 1 distinct 1",
        ];
        assert_eq!(shown(&profile), wanted);
        assert_eq!(read("a.jsonl", "[1]\n", true, Tier::Public), None);
        assert_eq!(read("a.png", "a,b\n", true, Tier::Public), None);
        assert!(profile_of_bytes(b"\xff\xfe,\n").is_none(), "no text");
        // A last record that was cut does not count.
        let cut = read("a.csv", "a\n1\n2\n3", false, Tier::Public).unwrap();
        assert_eq!((cut.rows, cut.whole), (2, false));
    }

    fn profile_of_bytes(bytes: &[u8]) -> Option<String> {
        profile(Format::Separated(b','), bytes, true, Tier::Public)
    }

    #[test]
    fn many_are_counted_about_and_wide_ones_stay_small() {
        let rows: String = (0..20_000).map(|n| format!("{n},{}\n", n % 7)).collect();
        let profile = read("a.csv", &format!("n,week\n{rows}"), true, Tier::Public).unwrap();
        let distinct = profile.columns[0].distinct;
        assert!((16_000..=20_000).contains(&distinct), "{distinct} of 20,000");
        assert_eq!(profile.columns[1].distinct, 7);
        let names: Vec<_> = (0..5_000).map(|n| format!("{n}-{}", "x".repeat(300))).collect();
        let wide = profile_of_bytes(format!("{}\n", names.join(",")).as_bytes()).unwrap();
        assert!(wide.len() <= PROFILE_MAX, "{}", wide.len());
        // Also within one line: a name is looked for among those that are kept.
        let names: Vec<_> = (0..5_000).map(|n| format!("\"{n}\":1")).collect();
        let table = json_lines(&format!("{{{}}}\n", names.join(","))).unwrap();
        assert_eq!(table.columns.len(), COLUMNS_MAX);
        assert!(table.columns.capacity() < 2 * COLUMNS_MAX, "{}", table.columns.capacity());
    }
}
