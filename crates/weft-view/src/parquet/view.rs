//! The view of a Parquet file: rows are chosen first, of the columns that choose them; then each
//! column that is shown is read, masked and written.

use super::chunk::{Budget, Column};
use super::kind::{Kind, Physical, Raw};
use super::meta::{Column as Described, Group, Meta};
use super::write::{Out, Table};
use crate::apply::Counts;
use crate::cell::Cell;
use crate::filter::Filter;
use crate::input::Ranges;
use crate::mask::{Mask, Masked};
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::sample::Hash;
use ring::hmac;
use std::io::Write;

/// Makes the view of a file.
pub(crate) fn apply(
    recipe: &Recipe,
    key: &hmac::Key,
    input: &dyn Ranges,
    output: &mut dyn Write,
) -> Result<Counts, Fault> {
    let meta = Meta::read(input)?;
    let layout = Layout::of(recipe, &meta)?;
    let mut making = Making { recipe, key, input, layout, budget: Budget::of(input) };
    // Rows that a footer claims cost something even where nothing of them is read.
    let nothing = |shown: &&Shown<'_>| matches!(shown.mask, Some(Mask::Null));
    let unread = 1 + making.layout.shown.iter().filter(nothing).count() as u64;
    making.budget.spend(meta.rows.saturating_mul(unread))?;
    let mut counts = Counts::default();
    let columns = making.layout.shown.iter().map(|shown| shown.out.clone()).collect();
    let mut table = Table::begin(output, columns)?;
    for group in &meta.groups {
        let taken = making.choose(group)?;
        let shown = taken.iter().filter(|taken| **taken).count() as u64;
        counts.rows += group.rows;
        counts.shown += shown;
        if shown > 0 {
            making.write(group, &taken, table.group(shown))?;
        }
    }
    table.end()?;
    Ok(counts)
}

/// Whether views are made of a file, or it is one of which a sample has all or nothing.
pub(crate) fn is_table(input: &dyn Ranges) -> Result<bool, Fault> {
    match Meta::read(input) {
        Ok(meta) => Ok(meta.columns.iter().all(|column| column.kind.is_known())),
        Err(Fault::LeftOut(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Where the recipe's columns are.
struct Layout<'a> {
    shown: Vec<Shown<'a>>,
    filtered: Vec<&'a Described>,
    by: Option<&'a Described>,
    /// Those of whose values a row's place in a sample is made.
    told: Vec<&'a Described>,
}

/// A column that is shown, and as what.
struct Shown<'a> {
    from: &'a Described,
    mask: Option<&'a Mask>,
    out: Out,
}

impl<'a> Layout<'a> {
    fn of(recipe: &'a Recipe, meta: &'a Meta) -> Result<Self, Reason> {
        let find = |name: &str| {
            let mut found = meta.columns.iter().filter(|column| column.name == name);
            match (found.next(), found.next()) {
                (Some(column), None) => Ok(column),
                (None, _) => Err(Reason::NoColumn(name.to_owned())),
                _ => Err(Reason::TwoColumns(name.to_owned())),
            }
        };
        for name in recipe.named() {
            find(name)?;
        }
        let compared = |name: &String| {
            let why = "is of no type that rows are chosen by: it is nested, binary or not known";
            let column = find(name)?;
            let odd = || Reason::Column { column: name.clone(), why };
            column.kind.is_plain().then_some(column).ok_or_else(odd)
        };
        let filtered = recipe.rows().map_or(&[][..], Filter::columns);
        let shown = meta.columns.iter().filter(|column| recipe.shows(&column.name));
        Ok(Self {
            shown: shown.map(|column| Shown::of(recipe, column)).collect::<Result<_, _>>()?,
            filtered: filtered.iter().map(compared).collect::<Result<_, _>>()?,
            by: recipe.by().map(|by| compared(&by.to_owned())).transpose()?,
            told: meta.columns.iter().filter(|column| column.kind.is_known()).collect(),
        })
    }
}

impl<'a> Shown<'a> {
    fn of(recipe: &'a Recipe, from: &'a Described) -> Result<Self, Reason> {
        let mask = recipe.masks().get(&from.name);
        let is_named = mask.is_some() || recipe.columns().is_some();
        let odd = |why, unnamed| match is_named {
            true => Reason::Column { column: from.name.clone(), why },
            // A reason names no column that the recipe does not.
            false => Reason::Malformed(unnamed),
        };
        let (physical, kind, optional) = match mask {
            None if from.kind.is_known() => (from.physical, from.kind, from.optional),
            None => {
                return Err(odd(
                    "is nested, or of a type that is not known",
                    "has a column that is nested or of a type that is not known: name the columns",
                ));
            }
            Some(Mask::Null) if from.kind.is_known() => (from.physical, from.kind, true),
            Some(Mask::Null) => (Physical::Bytes, Kind::Text, true),
            Some(_) if !from.kind.is_plain() => {
                return Err(odd("is nested, binary or not known: its mask may be `null`", ""));
            }
            Some(Mask::Year) => (Physical::I64, Kind::Integer { bits: 64, signed: true }, true),
            Some(Mask::Round(step)) => match from.kind {
                Kind::Integer { signed: true, .. } if step.is_whole() => {
                    (Physical::I64, Kind::Integer { bits: 64, signed: true }, true)
                }
                _ => (Physical::F64, Kind::Float, true),
            },
            Some(_) => (Physical::Bytes, Kind::Text, true),
        };
        Ok(Self { from, mask, out: Out { name: from.name.clone(), physical, kind, optional } })
    }
}

/// What is needed to make a view.
struct Making<'a> {
    recipe: &'a Recipe,
    key: &'a hmac::Key,
    input: &'a dyn Ranges,
    layout: Layout<'a>,
    budget: Budget,
}

impl<'a> Making<'a> {
    /// A column's values in a group, of which `among` are read side by side.
    fn column(&self, group: &Group, of: &Described, among: usize) -> Column<'a> {
        let chunk = group.chunks[of.leaf];
        Column::new(self.input, chunk, of.physical, of.optional, among)
    }

    /// Which rows of a group are in the view.
    fn choose(&mut self, group: &Group) -> Result<Vec<bool>, Fault> {
        let mut taken = vec![true; group.rows as usize];
        if let Some(rows) = self.recipe.rows() {
            self.filter(group, rows, &mut taken)?;
        }
        if self.recipe.sample().is_some() {
            self.sample(group, &mut taken)?;
        }
        Ok(taken)
    }

    fn filter(&mut self, group: &Group, rows: &Filter, taken: &mut [bool]) -> Result<(), Fault> {
        let kinds: Vec<Kind> = self.layout.filtered.iter().map(|column| column.kind).collect();
        let open = |of: &&Described| (self.column(group, of, kinds.len()), String::new());
        let mut columns: Vec<_> = self.layout.filtered.iter().map(open).collect();
        for taken in taken {
            let mut cells = Vec::with_capacity(kinds.len());
            for ((column, room), kind) in columns.iter_mut().zip(&kinds) {
                cells.push(match column.next(&mut self.budget)? {
                    Some(raw) => kind.cell(raw, room)?,
                    None => Cell::Null,
                });
            }
            *taken = rows.takes(&|column| cells[column]);
        }
        Ok(())
    }

    /// Leaves those that are not in the sample out: by the values of a column; where there is none,
    /// or NULL, by those of all columns that are no lists or structures.
    fn sample(&mut self, group: &Group, taken: &mut [bool]) -> Result<(), Fault> {
        let Some(fraction) = self.recipe.sample() else { return Ok(()) };
        let mut hashes = vec![0_u64; taken.len()];
        let mut by_row = taken.to_vec();
        if let Some(by) = self.layout.by {
            self.hash(group, by, 0, &mut |row, hash| {
                if let Some(hash) = hash {
                    (hashes[row], by_row[row]) = (hash, false);
                }
            })?;
        }
        if by_row.contains(&true) {
            for (place, column) in self.layout.told.clone().into_iter().enumerate() {
                self.hash(group, column, place, &mut |row, hash| {
                    if by_row[row] {
                        let hash = hash.unwrap_or_else(|| Hash::of_value(place, None));
                        hashes[row] = hashes[row].wrapping_add(hash);
                    }
                })?;
            }
        }
        for (taken, hash) in taken.iter_mut().zip(hashes) {
            *taken &= fraction.has(hash);
        }
        Ok(())
    }

    /// Tells the hash of each row's value; none of NULL.
    fn hash(
        &mut self,
        group: &Group,
        of: &Described,
        place: usize,
        each: &mut dyn FnMut(usize, Option<u64>),
    ) -> Result<(), Fault> {
        let (mut column, mut room) = (self.column(group, of, 1), String::new());
        for row in 0..group.rows as usize {
            let hash = match column.next(&mut self.budget)? {
                None => None,
                Some(Raw::Bytes(bytes)) if of.kind == Kind::Binary => {
                    Some(Hash::of_value(place, Some(bytes)))
                }
                Some(raw) => {
                    let text = of.kind.cell(raw, &mut room)?.text();
                    text.map(|text| Hash::of_value(place, Some(text.as_bytes())))
                }
            };
            each(row, hash);
        }
        Ok(())
    }

    fn write(
        &mut self,
        group: &Group,
        taken: &[bool],
        mut to: super::write::Group<'_, '_>,
    ) -> Result<(), Fault> {
        for at in 0..self.layout.shown.len() {
            let Shown { from, mask, out } = &self.layout.shown[at];
            let mut written = to.column();
            let mut room = String::new();
            if matches!(mask, Some(Mask::Null)) {
                let count = taken.iter().filter(|taken| **taken).count();
                (0..count).try_for_each(|_| written.value(None))?;
                written.end()?;
                continue;
            }
            let mut column = self.column(group, from, 1);
            for taken in taken {
                let value = column.next(&mut self.budget)?;
                if !taken {
                    continue;
                }
                let Some(mask) = mask else {
                    if let Some(raw) = value.filter(|_| from.kind.is_text()) {
                        // Text that is none has no place in a column of texts.
                        from.kind.cell(raw, &mut room)?;
                    }
                    written.value(value)?;
                    continue;
                };
                let cell = match value {
                    Some(raw) => from.kind.cell(raw, &mut room)?,
                    None => Cell::Null,
                };
                let masked = mask.of(cell, self.key);
                written.value(masked.raw(out.physical))?;
            }
            written.end()?;
        }
        to.end();
        Ok(())
    }
}

impl Masked {
    /// As a value of a column that lies so.
    fn raw(&self, physical: Physical) -> Option<Raw<'_>> {
        match (self, physical) {
            (Self::Text(text), Physical::Bytes) => Some(Raw::Bytes(text.as_bytes())),
            (Self::Integer(number), Physical::I64) => Some(Raw::Integer(*number)),
            (Self::Integer(number), Physical::F64) => Some(Raw::F64(*number as f64)),
            (Self::Number(number, _), Physical::F64) => Some(Raw::F64(*number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::thrift::Writer;
    use super::*;
    use crate::input::Bytes;

    #[test]
    fn rows_that_only_a_footer_has_are_not_written_for_ever() {
        const GROUPS: usize = 200;
        const ROWS: i64 = 32 << 20;
        let mut footer = Writer::new();
        footer.list_of_structures(2, 2);
        footer.element(|root| {
            root.text(4, "schema");
            root.i32(5, 1);
        });
        footer.element(|column| {
            column.i32(1, 2);
            column.i32(3, 1);
            column.text(4, "id");
        });
        footer.i64(3, GROUPS as i64 * ROWS);
        footer.list_of_structures(4, GROUPS);
        for _ in 0..GROUPS {
            footer.element(|group| {
                group.list_of_structures(1, 1);
                group.element(|chunk| {
                    chunk.structure(3, |of| {
                        of.i32(1, 2);
                        of.i32(4, 0);
                        of.i64(5, ROWS);
                        of.i64(7, 0);
                        of.i64(9, 4);
                    });
                });
                group.i64(3, ROWS);
            });
        }
        let footer = footer.end();
        let length = (footer.len() as u32).to_le_bytes();
        let file = [&b"PAR1"[..], &footer, &length, b"PAR1"].concat();
        let recipe = Recipe::parse(r#"{"masks":{"id":"null"}}"#).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let made = apply(&recipe, &key, &Bytes(&file), &mut std::io::sink());
        let why = made.unwrap_err().to_string();
        assert!(why.contains("far more values than bytes"), "{why}");
    }
}
