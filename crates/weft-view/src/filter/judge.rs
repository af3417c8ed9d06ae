//! Whether a row is taken: true, false or neither.

use super::{Comparison, Expression, Filter, Value};
use crate::cell::Cell;
use std::cmp::Ordering;

/// Steps that any `like` may take: more than texts of a line ever need.
const STEPS_AT_ALL: usize = 1 << 20;
/// And for each byte of the text.
const STEPS_A_BYTE: usize = 64;

impl Filter {
    /// Whether a row is taken; `cell` gives the value of a column by its place among
    /// [`Filter::columns`].
    pub(crate) fn takes<'a>(&self, cell: &dyn Fn(usize) -> Cell<'a>) -> bool {
        self.all.judge(cell) == Some(true)
    }
}

impl Expression {
    /// Its truth; none: it is not known.
    fn judge<'a>(&self, cell: &dyn Fn(usize) -> Cell<'a>) -> Option<bool> {
        match self {
            Self::Or(parts) => any(parts.iter().map(|part| part.judge(cell))),
            Self::And(parts) => any(parts.iter().map(|part| not(part.judge(cell)))).map(|any| !any),
            Self::Not(part) => not(part.judge(cell)),
            Self::Compare(column, by, value) => by.judge(cell(*column), value),
            Self::In(column, values) => {
                let cell = cell(*column);
                any(values.iter().map(|value| Comparison::Equal.judge(cell, value)))
            }
            Self::Between(column, least, most) => {
                let cell = cell(*column);
                let below = Comparison::Less.judge(cell, least);
                not(any([below, Comparison::Greater.judge(cell, most)].into_iter()))
            }
            Self::Like(column, pattern) => match cell(*column) {
                Cell::Text(text) => like(text, pattern),
                _ => None,
            },
            Self::IsNull(column) => Some(cell(*column) == Cell::Null),
        }
    }
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

/// True where one is true, false where all are, else not known.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(true) => return Some(true),
            Some(false) => {}
            None => known = false,
        }
    }
    known.then_some(false)
}

impl Comparison {
    fn judge(self, cell: Cell<'_>, value: &Value) -> Option<bool> {
        let equal = matches!(self, Self::Equal | Self::Unequal);
        let order = match (cell, value) {
            (Cell::Null | Cell::Nested(_), _) => return None,
            (cell, Value::Number(value)) => cell.number()?.compare(*value),
            (cell, Value::Truth(value)) if equal => cell.truth()?.cmp(value),
            (_, Value::Truth(_)) => return None,
            (cell, Value::Text(value, moment)) => match (cell, moment, cell.moment()) {
                (_, Some(value), Some(moment)) => moment.compare(*value),
                // No date is equal to a date; it is neither before nor after one.
                (Cell::Text(text), Some(_), None) if equal => text.cmp(value),
                (Cell::Text(text), None, _) => text.cmp(value),
                _ => return None,
            },
        };
        Some(match self {
            Self::Equal => order == Ordering::Equal,
            Self::Unequal => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::AtMost => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::AtLeast => order != Ordering::Less,
        })
    }
}

/// `%` is any text, `_` any letter. It may take as many steps as the two lengths multiplied; what
/// takes more than [`STEPS_AT_ALL`] and [`STEPS_A_BYTE`] is not known, so that whoever writes the
/// text and whoever writes the pattern do not keep a processor busy for hours.
fn like(text: &str, pattern: &str) -> Option<bool> {
    let mut steps = STEPS_AT_ALL + STEPS_A_BYTE * text.len();
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        steps = steps.checked_sub(1)?;
        let (was, mut rest) = (text.clone(), pattern.clone());
        match (rest.next(), text.next()) {
            (Some('%'), _) => {
                (text, pattern) = (was.clone(), rest.clone());
                again = Some((was, rest));
            }
            (None, None) => return Some(true),
            (Some(wanted), Some(letter)) if wanted == '_' || wanted == letter => pattern = rest,
            _ => {
                // What the last `%` stands for is one letter longer.
                let Some((from, after)) = &mut again else { return Some(false) };
                if from.next().is_none() {
                    return Some(false);
                }
                (text, pattern) = (from.clone(), after.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(filter: &str, value: Cell<'_>) -> Option<bool> {
        Filter::parse(filter).unwrap().all.judge(&|_| value)
    }

    #[test]
    fn a_pattern_that_takes_for_ever_is_neither_true_nor_false() {
        let (text, pattern) = ("a".repeat(600_000), format!("%{}b", "a".repeat(3_900)));
        assert_eq!(like(&text, &pattern), None);
        assert_eq!(like(&text, "%a"), Some(true));
        assert_eq!(like(&text, "%ab%"), Some(false));
    }

    #[test]
    fn null_is_neither_true_nor_false() {
        for filter in ["x = 1", "x != 1", "not (x = 1)", "x in (1)", "x not in (1)", "x like '%'"] {
            assert_eq!(truth(filter, Cell::Null), None, "{filter}");
        }
        assert_eq!(truth("x is null", Cell::Null), Some(true));
        assert_eq!(truth("x is not null", Cell::Null), Some(false));
        assert_eq!(truth("x = 1 or x is null", Cell::Null), Some(true));
        assert_eq!(truth("x = 1 and x is not null", Cell::Null), Some(false));
        assert_eq!(truth("x = 1 and x is null", Cell::Null), None);
        assert_eq!(truth("x between 1 and 2", Cell::Null), None);
    }

    #[test]
    fn values_are_compared_as_what_they_are_compared_with() {
        let cases = [
            ("x >= 18", "18", Some(true)),
            ("x >= 18", "9", Some(false)),
            ("x = 18", "18.0", Some(true)),
            ("x = 9007199254740993", "9007199254740992", Some(false)),
            ("x = -0.0", "0", Some(true)),
            ("x > 18", "old", None),
            ("not (x > 18)", "old", None),
            ("x > 18", "NaN", None),
            ("x >= '18'", "9", Some(true)),
            ("x = '007'", "7", Some(false)),
            ("x = true", "TRUE", Some(true)),
            ("x != true", "false", Some(true)),
            ("x = true", "yes", None),
            ("x < '2026-03-05'", "2026-03-04T23:59:59", Some(true)),
            ("x = '2026-03-05'", "2026-03-05 00:00:00", Some(true)),
            ("x < '2026-03-05'", "2026-03-05T00:30:00+01:00", Some(true)),
            ("x < '2026-03-05'", "04.03.2026", None),
            ("x != '2026-03-05'", "04.03.2026", Some(true)),
            ("x between 1 and 3", "3", Some(true)),
            ("x not between 1 and 3", "4", Some(true)),
            ("x in (1, 'a')", "a", Some(true)),
            ("x not in (1, 'a')", "b", None),
            ("x like 'Gr%z'", "Grazz", Some(true)),
            ("x like '_r%'", "Gr", Some(true)),
            ("x like '%a%b'", "aab", Some(true)),
            ("x like 'a'", "ab", Some(false)),
            ("x like ''", "", Some(true)),
            ("x like 'a%'", "", Some(false)),
        ];
        for (filter, value, wanted) in cases {
            assert_eq!(truth(filter, Cell::Text(value)), wanted, "{filter} of {value}");
        }
        assert_eq!(truth("x > 1", Cell::Integer(2)), Some(true));
        assert_eq!(truth("x = 'a'", Cell::Nested("[1]")), None);
        assert_eq!(truth("x = '2'", Cell::Integer(2)), None, "text is no number");
    }
}
