//! Reading values out of the tree: each reader takes a field and gives a legal value, or notes
//! what is wrong and goes on, so that one run shows every error of a file.

use super::error::{Place, Rule, SpecError};
use super::keys::{Names, advice, nearest};
use super::yaml::{Entry, Node, Scalar, Value};

/// What was found wrong so far, and what was taken in a way worth saying.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<SpecError>,
    pub(super) notes: Vec<String>,
}

/// A key's value, with its path for messages.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) node: &'n Node,
}

/// The entries of a map.
#[derive(Debug, Clone)]
pub(super) struct Fields<'n> {
    pub(super) path: String,
    pub(super) at: Place,
    pub(super) entries: &'n [Entry],
}

impl Findings {
    pub(super) fn push(&mut self, error: SpecError) {
        self.errors.push(error);
    }

    /// A value that breaks a rule.
    pub(super) fn bad(&mut self, field: &Field<'_>, message: String, hint: &str) {
        self.beyond(Rule::Value, field, message, hint);
    }

    /// The same for another sort of rule.
    pub(super) fn beyond(&mut self, rule: Rule, field: &Field<'_>, message: String, hint: &str) {
        let error = SpecError::new(rule, field.node.at, message).field(&field.path);
        self.push(if hint.is_empty() { error } else { error.hint(hint) });
    }

    fn sort(&mut self, field: &Field<'_>, wanted: &str) {
        let message = match &field.node.value {
            Value::Scalar { kind: Scalar::Null, .. } => {
                return self.bad(
                    field,
                    format!("`{}` has no value", field.path),
                    &format!("give it {wanted} or remove the line"),
                );
            }
            _ => format!("`{}` is {}, it has to be {wanted}", field.path, field.node.sort()),
        };
        let quote = wanted.starts_with("text")
            && !matches!(field.node.value, Value::List(_) | Value::Map(_));
        let hint = match field.scalar() {
            Some((text, _)) if quote => format!("quote it: \"{text}\""),
            _ => String::new(),
        };
        self.bad(field, message, &hint);
    }

    /// The entries of a map whose keys are all known.
    pub(super) fn map<'n>(&mut self, field: &Field<'n>, known: &[Names]) -> Option<Fields<'n>> {
        let Value::Map(entries) = &field.node.value else {
            self.sort(field, "a map of keys and values");
            return None;
        };
        let fields = Fields { path: field.path.clone(), at: field.node.at, entries };
        for entry in entries {
            if !known.iter().any(|names| names.contains(&entry.key.as_str())) {
                let path = fields.join(&entry.key);
                let place = match fields.path.as_str() {
                    "" => String::new(),
                    path => format!(" under `{path}`"),
                };
                let message = format!("unknown key `{}`{place}", entry.key);
                let error = SpecError::new(Rule::UnknownKey, entry.at, message).field(&path);
                self.push(error.hint(advice(&entry.key, known)));
            }
        }
        Some(fields)
    }

    /// The value of a key under any of its names; an error where two of them are there.
    pub(super) fn take<'n>(&mut self, fields: &Fields<'n>, names: &[&str]) -> Option<Field<'n>> {
        let mut found = fields.entries.iter().filter(|e| names.contains(&e.key.as_str()));
        let first = found.next()?;
        if let Some(second) = found.next() {
            self.conflict(fields, first, second, "they mean the same; keep one");
        }
        Some(Field { path: fields.join(&first.key), node: &first.node })
    }

    /// Notes that two keys exclude one another, where both are there.
    pub(super) fn exclude(&mut self, fields: &Fields<'_>, keys: [&str; 2], hint: &str) {
        let entry = |key: &str| fields.entries.iter().find(|entry| entry.key == key);
        if let (Some(first), Some(second)) = (entry(keys[0]), entry(keys[1])) {
            self.conflict(fields, first, second, hint);
        }
    }

    fn conflict(&mut self, fields: &Fields<'_>, first: &Entry, second: &Entry, hint: &str) {
        let message = format!("`{}` and `{}` exclude one another", first.key, second.key);
        let error = SpecError::new(Rule::Conflict, second.at, message);
        self.push(error.field(&fields.join(&second.key)).hint(hint));
    }

    /// Text that is not empty.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        match field.scalar() {
            Some(("", Scalar::Text)) => {
                self.bad(field, format!("`{}` is empty", field.path), "remove the line");
                None
            }
            Some((text, Scalar::Text)) => Some(text),
            _ => {
                self.sort(field, "text");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, field: &Field<'_>, min: i64, max: i64) -> Option<i64> {
        let Some((text, Scalar::Int)) = field.scalar() else {
            self.sort(field, "a whole number");
            return None;
        };
        match text.parse() {
            Ok(value) if (min..=max).contains(&value) => Some(value),
            _ => {
                let message = format!("`{}` is {text}, allowed is {min} to {max}", field.path);
                self.bad(field, message, "");
                None
            }
        }
    }

    /// One of a closed list of words; the first of each pair is what is written.
    pub(super) fn word<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let message =
            format!("`{}` is `{text}`, which is none of {}", field.path, known.join(", "));
        let hint = nearest(&text.to_ascii_lowercase(), known.iter().copied())
            .map(|word| format!("did you mean `{word}`?"));
        self.bad(field, message, hint.as_deref().unwrap_or_default());
        None
    }

    /// The items of a list of at most `max`.
    pub(super) fn list<'n>(&mut self, field: &Field<'n>, max: usize) -> Option<Vec<Field<'n>>> {
        let Value::List(items) = &field.node.value else {
            self.sort(field, "a list");
            return None;
        };
        if items.len() > max {
            let message =
                format!("`{}` has {} entries, allowed are {max}", field.path, items.len());
            self.bad(field, message, "");
            return None;
        }
        let item = |(n, node)| Field { path: format!("{}[{n}]", field.path), node };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Texts that are not empty, as a list or as one.
    pub(super) fn texts(&mut self, field: &Field<'_>, max: usize) -> Vec<String> {
        if let Value::List(_) = field.node.value {
            let items = self.list(field, max).unwrap_or_default();
            return items.iter().filter_map(|i| self.text(i).map(str::to_owned)).collect();
        }
        match field.scalar() {
            Some((_, Scalar::Text)) => self.text(field).map(str::to_owned).into_iter().collect(),
            _ => {
                self.sort(field, "text or a list of texts");
                Vec::new()
            }
        }
    }

    /// A scalar of any sort but empty, as it is written.
    pub(super) fn written<'n>(&mut self, field: &Field<'n>, wanted: &str) -> Option<&'n str> {
        match field.scalar() {
            Some((text, Scalar::Text | Scalar::Int | Scalar::Float)) if !text.is_empty() => {
                Some(text)
            }
            _ => {
                self.sort(field, wanted);
                None
            }
        }
    }
}

impl<'n> Field<'n> {
    /// The text and sort of a scalar.
    pub(super) fn scalar(&self) -> Option<(&'n str, Scalar)> {
        match &self.node.value {
            Value::Scalar { text, kind } => Some((text, *kind)),
            _ => None,
        }
    }
}

impl Fields<'_> {
    pub(super) fn join(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}
