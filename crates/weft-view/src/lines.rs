//! JSON lines: an object on each line, and the view of a file of them.
//!
//! A name that a line has not is NULL there; one that the recipe names and no line has leaves the
//! file out. Values that are shown stand as they stood, numbers to the last digit.

use crate::apply::Counts;
use crate::cell::{Cell, Number};
use crate::input::{Blocks, Ranges};
use crate::mask::Masked;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::sample::Hash;
use ring::hmac;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

/// Longest line, in bytes.
const LINE_MAX: usize = 16 << 20;

pub(crate) fn apply(
    recipe: &Recipe,
    key: &hmac::Key,
    input: &dyn Ranges,
    output: &mut dyn Write,
) -> Result<Counts, Fault> {
    let (mut blocks, mut line, mut number) = (Blocks::new(input), Vec::new(), 0);
    let named = recipe.named();
    let mut missing = named.clone();
    let (mut counts, mut hash, mut written) = (Counts::default(), Hash::default(), Vec::new());
    while next(&mut blocks, &mut line, &mut number)? {
        let text = std::str::from_utf8(&line);
        let text = text.map_err(|_| Fault::line(number, "it is not UTF-8"))?.trim();
        if text.is_empty() {
            continue;
        }
        let object: Object<'_> = serde_json::from_str(text)
            .map_err(|_| Fault::line(number, "it is no JSON object on a line of its own"))?;
        object.legal(&named)?;
        missing.retain(|name| !object.0.iter().any(|(known, _)| known == name));
        counts.rows += 1;
        if takes(recipe, &object, text, &mut hash) {
            counts.shown += 1;
            write(recipe, key, &object, &mut written);
            output.write_all(&written).map_err(Fault::Output)?;
            written.clear();
        }
    }
    match missing.first() {
        Some(name) if counts.rows > 0 => Err(Reason::NoColumn((*name).to_owned()).into()),
        _ => Ok(counts),
    }
}

/// Reads the next line; whether there is one.
fn next(blocks: &mut Blocks<'_>, line: &mut Vec<u8>, number: &mut u64) -> Result<bool, Fault> {
    line.clear();
    *number += 1;
    loop {
        let block = blocks.peek().map_err(Fault::Input)?;
        if block.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = block.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&block[..end.unwrap_or(block.len())]);
        let taken = end.map_or(block.len(), |end| end + 1);
        blocks.take(taken);
        if line.len() > LINE_MAX {
            return Err(Fault::line(*number, "it is longer than 16 MiB"));
        }
        if end.is_some() {
            if *number == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            return Ok(true);
        }
    }
}

fn takes(recipe: &Recipe, object: &Object<'_>, line: &str, hash: &mut Hash) -> bool {
    if let Some(rows) = recipe.rows() {
        let values: Vec<_> = rows.columns().iter().map(|name| object.value(name)).collect();
        if !rows.takes(&|column| values[column].cell()) {
            return false;
        }
    }
    let Some(fraction) = recipe.sample() else { return true };
    let by = recipe.by().map(|by| object.value(by));
    match by.as_ref().and_then(|by| by.cell().text()) {
        Some(value) => hash.value(Some(value.as_bytes())),
        None => hash.value(Some(line.as_bytes())),
    }
    fraction.has(hash.end())
}

fn write(recipe: &Recipe, key: &hmac::Key, object: &Object<'_>, to: &mut Vec<u8>) {
    to.push(b'{');
    for (name, value) in object.0.iter().filter(|(name, _)| recipe.shows(name)) {
        if to.len() > 1 {
            to.push(b',');
        }
        to.extend_from_slice(quoted(name).as_bytes());
        to.push(b':');
        match recipe.masks().get(name.as_ref()) {
            None => to.extend_from_slice(value.get().as_bytes()),
            Some(mask) => {
                let masked = mask.of(Read::of(value.get()).cell(), key);
                to.extend_from_slice(json(&masked).as_bytes());
            }
        }
    }
    to.extend_from_slice(b"}\n");
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn json(masked: &Masked) -> String {
    match masked {
        Masked::Text(text) => quoted(text),
        other => other.text().unwrap_or_else(|| "null".to_owned()),
    }
}

/// A line's object: names and values in order, each value as it stands.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Object<'_> {
    /// No name of the recipe is there twice: readers would take one or the other.
    fn legal(&self, named: &BTreeSet<&str>) -> Result<(), Reason> {
        let mut seen = BTreeSet::new();
        for (name, _) in &self.0 {
            if named.contains(name.as_ref()) && !seen.insert(name) {
                return Err(Reason::TwoColumns(name.to_string()));
            }
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Read<'_> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or(Read::Other(Cell::Null), |(_, value)| Read::of(value.get()))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            pairs.push((name, value));
        }
        Ok(Object(pairs))
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        from.deserialize_str(Text).map(Name)
    }
}

/// A value that was read: text without its escapes.
enum Read<'a> {
    Text(String),
    Other(Cell<'a>),
}

impl<'a> Read<'a> {
    fn of(raw: &'a str) -> Self {
        let nested = Self::Other(Cell::Nested(raw));
        match raw.bytes().next() {
            Some(b'"') => serde_json::from_str(raw).map_or(nested, Self::Text),
            Some(b'n') => Self::Other(Cell::Null),
            Some(b't') => Self::Other(Cell::Truth(true)),
            Some(b'f') => Self::Other(Cell::Truth(false)),
            Some(b'0'..=b'9' | b'-') => Self::Other(match Number::parse(raw) {
                Some(Number::Integer(number)) => Cell::Integer(number),
                Some(Number::Float(number)) => Cell::Number(number),
                None => Cell::Nested(raw),
            }),
            _ => nested,
        }
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Text(text) => Cell::Text(text),
            Self::Other(cell) => *cell,
        }
    }
}
