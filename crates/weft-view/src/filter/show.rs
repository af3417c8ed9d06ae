//! A filter as text that reads back as the same filter.

use super::parse::{is_bare, is_word};
use super::{Comparison, Expression, Filter, Value};
use crate::cell::Number;
use serde::{Serialize, Serializer};
use std::fmt;

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { columns: &self.columns, of: &self.all }.fmt(f)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

struct Shown<'a> {
    columns: &'a [String],
    of: &'a Expression,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |of| Shown { columns: self.columns, of };
        let name = |column: &usize| Name(&self.columns[*column]);
        match self.of {
            Expression::Or(parts) => list(f, " or ", parts.iter().map(part)),
            Expression::And(parts) => list(f, " and ", parts.iter().map(|of| Part(part(of)))),
            Expression::Not(of) => match &**of {
                Expression::In(column, values) => {
                    write!(f, "{} not in (", name(column))?;
                    list(f, ", ", values.iter())?;
                    write!(f, ")")
                }
                Expression::Between(column, least, most) => {
                    write!(f, "{} not between {least} and {most}", name(column))
                }
                Expression::Like(column, like) => {
                    write!(f, "{} not like {}", name(column), Quoted(like, '\''))
                }
                Expression::IsNull(column) => write!(f, "{} is not null", name(column)),
                of => write!(f, "not ({})", part(of)),
            },
            Expression::Compare(column, by, value) => write!(f, "{} {by} {value}", name(column)),
            Expression::In(column, values) => {
                write!(f, "{} in (", name(column))?;
                list(f, ", ", values.iter())?;
                write!(f, ")")
            }
            Expression::Between(column, least, most) => {
                write!(f, "{} between {least} and {most}", name(column))
            }
            Expression::Like(column, like) => {
                write!(f, "{} like {}", name(column), Quoted(like, '\''))
            }
            Expression::IsNull(column) => write!(f, "{} is null", name(column)),
        }
    }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    between: &str,
    parts: impl Iterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (number, part) in parts.enumerate() {
        let before = if number == 0 { "" } else { between };
        write!(f, "{before}{part}")?;
    }
    Ok(())
}

/// A part of `and`: what binds less stands in parentheses.
struct Part<'a>(Shown<'a>);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.of {
            Expression::Or(_) => write!(f, "({})", self.0),
            _ => self.0.fmt(f),
        }
    }
}

struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare(self.0) && !is_word(self.0) {
            return f.write_str(self.0);
        }
        Quoted(self.0, '"').fmt(f)
    }
}

/// Text between quotes; a quote in it is doubled.
struct Quoted<'a>(&'a str, char);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, quote) = self;
        write!(f, "{quote}{}{quote}", text.replace(*quote, &format!("{quote}{quote}")))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(Number::Integer(number)) => write!(f, "{number}"),
            // With a point or an exponent, so that it reads back as what it is.
            Self::Number(Number::Float(number)) => write!(f, "{number:?}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Text(text, _) => Quoted(text, '\'').fmt(f),
        }
    }
}
