//! A file's footer: which columns it has, and where their values lie.
//!
//! Statistics, indexes, filters and what writers say beside are not read: nothing of a file is
//! believed that its pages do not say. A file that is encrypted, or in pieces, is left out.

use super::kind::{Kind, Physical, Said, Unit};
use super::thrift::{Field, Reader, broken};
use crate::input::Ranges;
use crate::reason::{Fault, Reason};

/// Longest footer: ten thousand columns in a hundred groups have less.
const FOOTER_MAX: u32 = 32 << 20;
/// Most columns, as of separated text.
const COLUMNS_MAX: usize = 100_000;
/// Most rows of a group: what is known of each row of one is kept in memory.
const ROWS_MAX: u64 = 32 << 20;
const MAGIC: &[u8; 4] = b"PAR1";

/// A footer.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) rows: u64,
    pub(super) columns: Vec<Column>,
    pub(super) groups: Vec<Group>,
    /// Columns at the ends of what is nested.
    leaves: usize,
    encrypted: bool,
}

/// A column of the table, nested ones as a whole.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) physical: Physical,
    pub(super) kind: Kind,
    pub(super) optional: bool,
    /// Which of a group's chunks is its own.
    pub(super) leaf: usize,
}

/// Rows that lie together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) rows: u64,
    pub(super) chunks: Vec<Chunk>,
}

/// A column's values of one group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) at: u64,
    pub(super) end: u64,
    pub(super) values: u64,
    pub(super) codec: i64,
    physical: i64,
}

/// Reads bytes that are there.
pub(super) fn exactly(input: &dyn Ranges, at: u64, into: &mut [u8]) -> Result<(), Fault> {
    let mut done = 0;
    while done < into.len() {
        match input.read_at(at + done as u64, &mut into[done..]).map_err(Fault::Input)? {
            0 => return Err(Fault::Input(std::io::ErrorKind::UnexpectedEof.into())),
            count => done += count,
        }
    }
    Ok(())
}

impl Meta {
    pub(super) fn read(input: &dyn Ranges) -> Result<Self, Fault> {
        let none = Reason::Malformed("is no Parquet file: it does not begin and end as one does");
        let length = input.len();
        if length < 12 {
            return Err(none.into());
        }
        let (mut head, mut tail) = ([0; 4], [0; 8]);
        exactly(input, 0, &mut head)?;
        exactly(input, length - 8, &mut tail)?;
        let [a, b, c, d, magic @ ..] = tail;
        if &magic == b"PARE" {
            return Err(Reason::Malformed("is encrypted").into());
        }
        let footer = u32::from_le_bytes([a, b, c, d]);
        if &head != MAGIC || &magic != MAGIC || u64::from(footer) > length - 12 {
            return Err(none.into());
        }
        if footer > FOOTER_MAX {
            return Err(Reason::Malformed("has a footer of more than 32 MiB").into());
        }
        let mut bytes = vec![0; footer as usize];
        exactly(input, length - 8 - u64::from(footer), &mut bytes)?;
        let mut meta = Self::default();
        meta.parse(&bytes)?;
        meta.check(length - 8 - u64::from(footer))?;
        Ok(meta)
    }

    fn parse(&mut self, footer: &[u8]) -> Result<(), Reason> {
        let mut elements = Vec::new();
        let mut reader = Reader::new(footer);
        reader.fields(&mut |reader, field| {
            match field.id {
                2 if elements.is_empty() => {
                    reader.list(field, &mut |reader| {
                        if elements.len() > 2 * COLUMNS_MAX {
                            return Err(Reason::Malformed("has more than 100,000 columns"));
                        }
                        elements.push(Element::read(reader)?);
                        Ok(())
                    })?;
                    self.columns_of(&elements)?;
                }
                3 => self.rows = reader.count(field)?,
                4 if self.groups.is_empty() => reader.list(field, &mut |reader| {
                    let group = Group::read(reader, self.leaves)?;
                    self.groups.push(group);
                    Ok(())
                })?,
                8 => {
                    self.encrypted = true;
                    return Ok(false);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// The columns at the top of the tree of which the list tells, a parent before its children.
    fn columns_of(&mut self, elements: &[Element]) -> Result<(), Reason> {
        let Some((root, rest)) = elements.split_first() else { return broken() };
        let mut at = 0;
        for _ in 0..root.children {
            let Some(top) = rest.get(at) else { return broken() };
            let leaf = self.leaves;
            // How many elements of this column are still to come.
            let mut open = 1_u64;
            while open > 0 {
                let Some(element) = rest.get(at) else { return broken() };
                open = open - 1 + element.children;
                self.leaves += usize::from(element.children == 0);
                at += 1;
            }
            self.columns.push(top.column(leaf));
        }
        if at == rest.len() { Ok(()) } else { broken() }
    }

    fn check(&self, footer_at: u64) -> Result<(), Reason> {
        if self.encrypted {
            return Err(Reason::Malformed("is encrypted"));
        }
        let rows = self.groups.iter().try_fold(0_u64, |all, group| all.checked_add(group.rows));
        if rows != Some(self.rows) || self.columns.is_empty() {
            return Err(Reason::Malformed("says of its rows what its groups do not"));
        }
        for group in &self.groups {
            if group.rows > ROWS_MAX {
                return Err(Reason::Malformed("has a group of more than 33 million rows"));
            }
            for column in self.columns.iter().filter(|column| column.kind.is_known()) {
                let chunk = group.chunks[column.leaf];
                let of_column = chunk.physical == i64::from(column.physical.code());
                let within = chunk.at >= 4 && chunk.at <= chunk.end && chunk.end <= footer_at;
                if !of_column || !within || chunk.values != group.rows {
                    return Err(Reason::Malformed("says of a column what its groups do not"));
                }
            }
        }
        Ok(())
    }
}

/// A line of the schema.
#[derive(Debug, Default)]
struct Element {
    name: String,
    physical: Option<i64>,
    length: i64,
    repetition: i64,
    children: u64,
    said: Said,
}

impl Element {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        let mut element = Self::default();
        reader.fields(&mut |reader, field| {
            match field.id {
                1 => element.physical = Some(reader.int(field)?),
                2 => element.length = reader.int(field)?,
                3 => element.repetition = reader.int(field)?,
                4 => reader.text(field)?.clone_into(&mut element.name),
                5 => element.children = reader.count(field)?,
                6 => element.said.converted = Some(reader.int(field)?),
                7 => element.said.scale = reader.int(field)?,
                8 => element.said.precision = reader.int(field)?,
                10 => logical(reader, field, &mut element.said)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if element.children > 2 * COLUMNS_MAX as u64 { broken() } else { Ok(element) }
    }

    fn column(&self, leaf: usize) -> Column {
        let physical = self.physical.map(|code| Physical::of(code, self.length));
        let (physical, kind) = match physical {
            // 0 is required, 1 is optional, 2 is a list.
            Some(Some(physical)) if self.children == 0 && (0..=1).contains(&self.repetition) => {
                (physical, Kind::of(physical, self.said))
            }
            _ if self.children > 0 || self.repetition == 2 => (Physical::Bytes, Kind::Nested),
            _ => (Physical::Bytes, Kind::Unknown),
        };
        let optional = self.repetition == 1;
        Column { name: self.name.clone(), physical, kind, optional, leaf }
    }
}

/// What values mean, in the newer words.
fn logical(reader: &mut Reader<'_>, field: Field, said: &mut Said) -> Result<(), Reason> {
    reader.structure(field, &mut |reader, of| {
        said.logical = Some(of.id);
        if !matches!(of.id, 5 | 7 | 8 | 10) {
            return Ok(false);
        }
        reader.structure(of, &mut |reader, field| {
            match (of.id, field.id) {
                (5, 1) => said.scale = reader.int(field)?,
                (5, 2) => said.precision = reader.int(field)?,
                (7 | 8, 1) => said.utc = reader.truth(field)?,
                (7 | 8, 2) => reader.structure(field, &mut |_, unit| {
                    said.unit = match unit.id {
                        1 => Some(Unit::Millis),
                        2 => Some(Unit::Micros),
                        3 => Some(Unit::Nanos),
                        _ => None,
                    };
                    Ok(false)
                })?,
                (10, 1) => said.bits = reader.int(field)?,
                (10, 2) => said.signed = reader.truth(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(true)
    })
}

impl Group {
    fn read(reader: &mut Reader<'_>, leaves: usize) -> Result<Self, Reason> {
        let mut group = Self::default();
        reader.fields(&mut |reader, field| {
            match field.id {
                1 if group.chunks.is_empty() => reader.list(field, &mut |reader| {
                    group.chunks.push(Chunk::read(reader)?);
                    Ok(())
                })?,
                3 => group.rows = reader.count(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if group.chunks.len() == leaves { Ok(group) } else { broken() }
    }
}

impl Chunk {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reason> {
        let mut found = None;
        reader.fields(&mut |reader, field| {
            match field.id {
                1 => return Err(Reason::Malformed("has columns in other files")),
                3 => found = Some(Self::described(reader, field)?),
                8 | 9 => return Err(Reason::Malformed("has columns that are encrypted")),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        found.map_or_else(broken, Ok)
    }

    fn described(reader: &mut Reader<'_>, field: Field) -> Result<Self, Reason> {
        let (mut physical, mut codec, mut values) = (None, None, None);
        let (mut bytes, mut data, mut dictionary) = (None, None, None);
        reader.structure(field, &mut |reader, field| {
            match field.id {
                1 => physical = Some(reader.int(field)?),
                4 => codec = Some(reader.int(field)?),
                5 => values = Some(reader.count(field)?),
                7 => bytes = Some(reader.count(field)?),
                9 => data = Some(reader.count(field)?),
                // Some writers say 0 where there is none.
                11 => dictionary = Some(reader.count(field)?).filter(|at| *at > 0),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(physical), Some(codec), Some(values)) = (physical, codec, values) else {
            return broken();
        };
        let (Some(bytes), Some(data)) = (bytes, data) else { return broken() };
        let at = dictionary.map_or(data, |dictionary| dictionary.min(data));
        let Some(end) = at.checked_add(bytes) else { return broken() };
        Ok(Self { at, end, values, codec, physical })
    }
}
