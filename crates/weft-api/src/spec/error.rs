//! What is wrong in a workload file, where, and what would be right.
//!
//! The text is a product: a line that names key, value and rule, the source with the place
//! marked, and a hint that can be acted on.

use std::fmt::Write as _;

/// Something wrong in a workload file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// Where.
    pub at: Place,
    /// The sort of rule that is broken.
    pub rule: Rule,
    /// The key at fault as a dotted path, `resources.memory`; empty for the whole file.
    pub field: String,
    /// One lower-case sentence: key, value and rule.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column of its first character.
    pub column: u32,
    /// Characters, at least 1.
    pub length: u32,
}

/// The sort of rule that a file breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// It is not YAML, or YAML of a sort that is not read.
    Syntax,
    /// A limit on the file itself.
    Limit,
    /// A key nobody knows.
    UnknownKey,
    /// A value of another sort, out of bounds or not in the grammar.
    Value,
    /// A key that has to be there.
    Missing,
    /// Two keys that exclude one another.
    Conflict,
    /// A rule that needs arithmetic or memory of other parts; no JSON schema can say it.
    Beyond,
}

impl Place {
    /// The first character.
    pub const START: Place = Place { line: 1, column: 1, length: 1 };

    /// Just behind a text.
    pub(super) fn end_of(text: &str) -> Place {
        let line = text.matches('\n').count() as u32 + 1;
        let last = text.rsplit('\n').next().unwrap_or_default();
        Place { line, column: last.chars().count() as u32 + 1, length: 1 }
    }
}

impl SpecError {
    /// An error that was found outside of the parser, when what the file names was fetched.
    pub fn about(at: Place, field: &str, message: impl Into<String>, hint: &str) -> Self {
        Self::new(Rule::Beyond, at, message).field(field).hint(hint)
    }

    pub(super) fn new(rule: Rule, at: Place, message: impl Into<String>) -> Self {
        Self { at, rule, field: String::new(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(super) fn field(mut self, field: &str) -> Self {
        field.clone_into(&mut self.field);
        self
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As compilers show it: the sentence, the place, the source line marked, the hint.
    pub fn render(&self, file_name: &str, text: &str) -> String {
        let Place { line, column, length } = self.at;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let mut out = format!("error: {}\n", self.message);
        let _ = writeln!(out, "{gutter}--> {file_name}:{line}:{column}");
        if let Some(source) = text.lines().nth(line as usize - 1) {
            let (shown, before) = excerpt(source, column as usize - 1);
            let room = shown.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat((length as usize).clamp(1, room));
            let _ = writeln!(out, "{gutter} |");
            let _ = writeln!(out, "{number} | {}", shown.trim_end());
            let _ = writeln!(out, "{gutter} | {}{carets}", " ".repeat(before));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{gutter} = hint: {hint}");
        }
        out
    }
}

/// Longest part of a source line that is shown: half a page of a wide terminal.
const SHOWN_MAX: usize = 100;

/// The part of a line around a column, and where the column is in it. Control characters are
/// shown as a space, so that what is in a file never steers a terminal.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let start = if column > SHOWN_MAX * 3 / 4 { column - SHOWN_MAX / 2 } else { 0 };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown = line.chars().skip(start).take(SHOWN_MAX).map(clean).collect();
    (shown, column - start)
}

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_and_control_characters_are_tamed() {
        let at = Place { line: 1, column: 301, length: 500 };
        let text = format!("{}\u{1b}[31mx{}", "a".repeat(300), "b".repeat(300));
        let shown = SpecError::new(Rule::Value, at, "no").render("f", &text);
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        assert!(shown.contains(" ^"), "{shown}");
    }

    #[test]
    fn a_place_beyond_the_text_is_no_panic() {
        let at = Place { line: 9, column: 9, length: 9 };
        let shown = SpecError::new(Rule::Syntax, at, "no").render("f", "a");
        assert_eq!(shown, "error: no\n --> f:9:9\n");
    }
}
