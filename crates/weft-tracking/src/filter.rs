//! The filter language of searches.
//!
//! ```text
//! filter  = { clause | "AND" }
//! clause  = name test
//! name    = [ "metrics" | "params" | "tags" | "attributes" | "datasets" "." ] key
//! test    = sign number | ( "=" | "!=" | "LIKE" | "ILIKE" ) text
//!         | [ "NOT" ] "IN" "(" text { "," text } ")" | "IS" [ "NOT" ] "NULL"
//! ```
//!
//! All clauses hold, or it is no match; there is no `OR`. A clause about something that is not
//! there holds for nothing but `IS NULL`. `AND` may be left out, doubled, or stand at an end, as
//! MLflow has it.

use crate::lexer::{Spanned, Word, words};
use crate::{Entry, Fault, Field, Kind, Searched};
use std::cmp::Ordering;

/// Clauses of one filter at most: each may be a lookup of its own.
pub const CLAUSES_MAX: usize = 100;

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Sign {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether it holds between two that compare so; those that do not compare (NaN) are unequal.
    fn holds(self, compared: Option<Ordering>) -> bool {
        match self {
            Self::Equal => compared == Some(Ordering::Equal),
            Self::NotEqual => compared != Some(Ordering::Equal),
            Self::Less => compared == Some(Ordering::Less),
            Self::LessOrEqual => compared.is_some_and(Ordering::is_le),
            Self::Greater => compared == Some(Ordering::Greater),
            Self::GreaterOrEqual => compared.is_some_and(Ordering::is_ge),
        }
    }
}

/// A number of a filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Without a point, and in 64 bits.
    Whole(i64),
    /// Any other.
    Real(f64),
}

/// What must be so of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It compares so with a number.
    Number(Sign, Number),
    /// It is this text.
    Is(String),
    /// It is there, and another text.
    IsNot(String),
    /// It looks like this: `%` is any text, `_` any one character.
    Like(String),
    /// The same, whatever the case.
    LikeAnyCase(String),
    /// It is one of these.
    In(Vec<String>),
    /// It is there, and none of these.
    NotIn(Vec<String>),
    /// It is not there.
    Absent,
    /// It is there.
    Present,
}

/// One clause of a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// What it is about.
    pub field: Field,
    /// What must be so.
    pub test: Test,
}

/// Reads a filter; an empty one has no clauses, and all match.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`, with what is wrong and where.
pub fn parse(text: &str, searched: &Searched) -> Result<Vec<Clause>, Fault> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let words = words(text).map_err(|rule| invalid(&rule))?;
    if words.is_empty() {
        return Err(Fault::invalid(format!("Invalid filter '{text}'. Could not be parsed.")));
    }
    let (mut rest, mut clauses) = (&words[..], Vec::new());
    while let [first, ..] = rest {
        // A clause's first word may not be this one: keys that are called so have another before.
        if first.is("and") {
            rest = &rest[1..];
            continue;
        }
        if clauses.len() == CLAUSES_MAX {
            return Err(Fault::invalid(format!("a filter has {CLAUSES_MAX} clauses at most")));
        }
        let (clause, used) = clause(rest, searched)?;
        clauses.push(clause);
        rest = &rest[used..];
    }
    Ok(clauses)
}

fn invalid(rule: &str) -> Fault {
    Fault::invalid(format!("Invalid clause(s) in filter string: {rule}"))
}

fn unexpected(word: &Spanned<'_>, rule: &str) -> Fault {
    invalid(&format!("'{}' at character {}: {rule}", word.text, word.at))
}

/// The clause that words begin with, and how many it takes.
fn clause(words: &[Spanned<'_>], searched: &Searched) -> Result<(Clause, usize), Fault> {
    let name = &words[0];
    let Some((entity, key)) = name.name() else {
        return Err(unexpected(name, "a name was expected, such as metrics.loss"));
    };
    if words.get(1).is_some_and(|next| next.is("or")) || name.is("or") {
        return Err(unexpected(name, "there is no OR: search twice"));
    }
    let field = searched.field(entity, key).map_err(Fault::invalid)?;
    let (test, used) = match (words.get(1), words.get(2), words.get(3)) {
        (Some(is), Some(null), _) if is.is("is") && null.is("null") => (Test::Absent, 3),
        (Some(is), Some(not), Some(null)) if is.is("is") && not.is("not") && null.is("null") => {
            (Test::Present, 4)
        }
        (Some(is_in), ..) if is_in.is("in") => {
            let (texts, used) = list(&words[2..], name)?;
            (Test::In(texts), 2 + used)
        }
        (Some(not), Some(is_in), _) if not.is("not") && is_in.is("in") => {
            let (texts, used) = list(&words[3..], name)?;
            (Test::NotIn(texts), 3 + used)
        }
        (Some(sign), Some(value), _) => (compared(&field, sign, value)?, 3),
        _ => return Err(unexpected(name, "a comparison follows a name: metrics.loss < 0.1")),
    };
    is_possible(&field, &test, name)?;
    Ok((Clause { field, test }, used))
}

/// A list of texts in parentheses, and how many words it takes.
fn list(words: &[Spanned<'_>], name: &Spanned<'_>) -> Result<(Vec<String>, usize), Fault> {
    let rule = "a list is written as ('a', 'b'), with one text at least";
    let [open, ..] = words else { return Err(unexpected(name, rule)) };
    if open.word != Word::Open {
        return Err(unexpected(open, rule));
    }
    let (mut texts, mut at, mut needs_comma) = (Vec::new(), 1, false);
    loop {
        let word = words.get(at).ok_or_else(|| unexpected(open, "the list does not end"))?;
        at += 1;
        match (&word.word, word.quoted()) {
            (Word::Close, _) if !texts.is_empty() => return Ok((texts, at)),
            (Word::Comma, _) if needs_comma => needs_comma = false,
            (_, Some(text)) if !needs_comma => {
                texts.push(text);
                needs_comma = true;
            }
            _ => return Err(unexpected(word, rule)),
        }
    }
}

/// A comparison with one value.
fn compared(field: &Field, sign: &Spanned<'_>, value: &Spanned<'_>) -> Result<Test, Fault> {
    let is_number = matches!(field, Field::Metric(_) | Field::Attribute(_, Kind::Number));
    if is_number {
        let Word::Number(text) = value.word else {
            return Err(unexpected(value, "it is compared with a number, without quotes"));
        };
        let Some(sign) = (match sign.word {
            Word::Sign(text) => Sign::of(text),
            _ => None,
        }) else {
            return Err(unexpected(sign, "numbers are compared with =, !=, <, <=, > or >="));
        };
        let real = || text.parse().map(Number::Real);
        let number = text.parse().map(Number::Whole).or_else(|_| real());
        return match number {
            Ok(number) => Ok(Test::Number(sign, number)),
            Err(_) => Err(unexpected(value, "a number is written as -1.5e3")),
        };
    }
    let Some(text) = value.quoted() else {
        return Err(unexpected(value, "it is compared with a text, in quotes: 'adam'"));
    };
    match sign.word {
        Word::Sign("=") => Ok(Test::Is(text)),
        Word::Sign("!=") => Ok(Test::IsNot(text)),
        _ if sign.is("like") => Ok(Test::Like(text)),
        _ if sign.is("ilike") => Ok(Test::LikeAnyCase(text)),
        _ => Err(unexpected(sign, "texts are compared with =, !=, LIKE or ILIKE")),
    }
}

/// Whether a field can be asked this.
fn is_possible(field: &Field, test: &Test, name: &Spanned<'_>) -> Result<(), Fault> {
    match (field, test) {
        (Field::Tag(_) | Field::Param(_), Test::Absent | Test::Present) => Ok(()),
        (_, Test::Absent | Test::Present) => {
            Err(unexpected(name, "IS NULL is asked of tags and params only"))
        }
        (Field::Attribute(_, Kind::Listed) | Field::Dataset(_), Test::In(_) | Test::NotIn(_)) => {
            Ok(())
        }
        (_, Test::In(_) | Test::NotIn(_)) => {
            Err(unexpected(name, "it is compared with no list: only ids and datasets are"))
        }
        _ => Ok(()),
    }
}

impl Clause {
    /// Whether it holds.
    pub fn holds(&self, entry: &dyn Entry) -> bool {
        match &self.field {
            Field::Metric(key) => self.of_number(entry.metric(key).map(Number::Real)),
            Field::Attribute(name, Kind::Number) => {
                self.of_number(entry.number(name).map(Number::Whole))
            }
            Field::Attribute(name, _) => self.of_text(entry.text(name)),
            Field::Param(key) => self.of_text(entry.param(key)),
            Field::Tag(key) => self.of_text(entry.tag(key)),
            Field::Dataset(name) => entry.any_dataset(name, &mut |text| self.of_text(Some(text))),
        }
    }

    fn of_number(&self, value: Option<Number>) -> bool {
        let (Some(value), Test::Number(sign, than)) = (value, &self.test) else { return false };
        sign.holds(value.compare(*than))
    }

    fn of_text(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return self.test == Test::Absent };
        match &self.test {
            Test::Is(text) => value == text,
            Test::IsNot(text) => value != text,
            Test::Like(pattern) => is_like(value, pattern),
            Test::LikeAnyCase(pattern) => is_like(&value.to_lowercase(), &pattern.to_lowercase()),
            Test::In(texts) => texts.iter().any(|text| text == value),
            Test::NotIn(texts) => texts.iter().all(|text| text != value),
            Test::Present => true,
            Test::Absent | Test::Number(..) => false,
        }
    }
}

impl Number {
    /// Two whole numbers are compared exactly, any other two as 64-bit floats.
    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "as Python compares them")]
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

/// Whether a text looks like a pattern of SQL: `%` is any text, `_` any one character, and nothing
/// escapes them. In time of the product of both lengths at most: after a `%` that did not do, the
/// one before it is not tried again.
fn is_like(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text.chars(), pattern.chars());
    // Where to go on after a mismatch: behind the last `%`, at one more character of the text.
    let mut again: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let here = text.clone();
        let does = match (pattern.next(), text.next()) {
            (Some('%'), _) => {
                text = here.clone();
                again = Some((here, pattern.clone()));
                continue;
            }
            (Some('_'), Some(_)) => true,
            (Some(p), Some(t)) => p == t,
            (None, None) => return true,
            (Some(_), None) => return false,
            (None, Some(_)) => false,
        };
        if does {
            continue;
        }
        let Some((from, behind)) = &mut again else { return false };
        if from.next().is_none() {
            return false;
        }
        (text, pattern) = (from.clone(), behind.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::is_like;
    use proptest::prelude::*;

    /// By the definition, in exponential time.
    fn by_definition(text: &[char], pattern: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['%', rest @ ..], _) => {
                (0..=text.len()).any(|from| by_definition(&text[from..], rest))
            }
            ([p, rest @ ..], [t, tail @ ..]) => (*p == '_' || p == t) && by_definition(tail, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn likeness_is_what_sql_says(text in "[abé]{0,8}", pattern in "[abé%_]{0,7}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = by_definition(&chars(&text), &chars(&pattern));
            prop_assert_eq!(is_like(&text, &pattern), expected);
        }
    }

    #[test]
    fn a_pattern_that_nearly_matches_often_takes_no_time() {
        let (text, pattern) = ("a".repeat(8_000), "%a".repeat(3_000) + "b");
        assert!(!is_like(&text, &pattern));
    }
}
