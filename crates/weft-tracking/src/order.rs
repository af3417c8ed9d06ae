//! In which order what is found comes.

use crate::lexer::words;
use crate::{Entry, Fault, Field, Kind, Searched};
use std::cmp::Ordering;

/// One key of an order: `metrics.loss DESC`.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// By this.
    pub field: Field,
    /// The smallest first.
    pub ascending: bool,
}

/// Reads one key of an order.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE`, with what is wrong.
pub fn parse(text: &str, searched: &Searched) -> Result<Order, Fault> {
    let invalid = |rule: &str| Fault::invalid(format!("Invalid order_by clause '{text}': {rule}"));
    let words = words(text).map_err(|rule| invalid(&rule))?;
    let (name, ascending) = match &words[..] {
        [name] => (name, true),
        [name, way] if way.is("asc") => (name, true),
        [name, way] if way.is("desc") => (name, false),
        [_, _] => return Err(invalid("the second word is ASC or DESC")),
        _ => return Err(invalid("one key, and ASC or DESC: metrics.loss DESC")),
    };
    let Some((entity, key)) = name.name() else {
        return Err(invalid("a key is a name: metrics.loss"));
    };
    let field = searched.field(entity, key).map_err(|rule| invalid(&rule))?;
    match field {
        Field::Dataset(_) => Err(invalid("runs have many datasets, and no order by them")),
        field => Ok(Order { field, ascending }),
    }
}

impl Order {
    /// Which of two comes first: those without a value are last, and NaN before them, in both ways.
    pub fn compare(&self, a: &dyn Entry, b: &dyn Entry) -> Ordering {
        let turned = |ordering: Ordering| match self.ascending {
            true => ordering,
            false => ordering.reverse(),
        };
        match &self.field {
            Field::Metric(key) => {
                let rank = |value: Option<f64>| match value {
                    Some(value) if value.is_nan() => 1,
                    Some(_) => 0,
                    None => 2,
                };
                let (a, b) = (a.metric(key), b.metric(key));
                let values = || turned(a.partial_cmp(&b).unwrap_or(Ordering::Equal));
                rank(a).cmp(&rank(b)).then_with(values)
            }
            Field::Attribute(name, Kind::Number) => {
                let (a, b) = (a.number(name), b.number(name));
                a.is_none().cmp(&b.is_none()).then_with(|| turned(a.cmp(&b)))
            }
            field => {
                let (a, b) = (text(a, field), text(b, field));
                a.is_none().cmp(&b.is_none()).then_with(|| turned(a.cmp(&b)))
            }
        }
    }
}

fn text<'a>(entry: &'a dyn Entry, field: &Field) -> Option<&'a str> {
    match field {
        Field::Attribute(name, _) => entry.text(name),
        Field::Param(key) => entry.param(key),
        Field::Tag(key) => entry.tag(key),
        Field::Metric(_) | Field::Dataset(_) => None,
    }
}
