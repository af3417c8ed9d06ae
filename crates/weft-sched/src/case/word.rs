//! One line of a case as words: names, pairs and flags, each taken at most once.

use super::CaseError;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

/// The words of a line that are not taken yet.
#[derive(Debug)]
pub(super) struct Words<'a> {
    /// Counted from 1.
    pub(super) line: u32,
    words: Vec<&'a str>,
    known: Vec<&'static str>,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: u32, text: &'a str) -> Self {
        let text = text.split('#').next().unwrap_or_default();
        Self { line, words: text.split_whitespace().collect(), known: Vec::new() }
    }

    /// The first word, whatever it is.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// The first word, read as what it has to be.
    pub(super) fn name<T: FromStr<Err: ToString>>(&mut self, what: &str) -> Result<T, CaseError> {
        match self.next() {
            Some(word) => word.parse().map_err(|error: T::Err| self.error(error.to_string())),
            None => Err(self.error(alloc::format!("expected {what}, found the end of the line"))),
        }
    }

    /// The value of a pair, where it is there.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        let value =
            |word: &&'a str| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v);
        let at = self.words.iter().position(|word| value(word).is_some())?;
        value(&self.words.remove(at))
    }

    /// The value of a pair, read as what it has to be.
    pub(super) fn value<T: FromStr<Err: ToString>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, CaseError> {
        match self.text(key).map(str::parse) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) => Err(self.error(alloc::format!("{key}: {}", error.to_string()))),
        }
    }

    /// Whether a flag is there.
    pub(super) fn flag(&mut self, flag: &'static str) -> bool {
        self.known.push(flag);
        let at = self.words.iter().position(|word| *word == flag);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// Nothing may be left over.
    pub(super) fn end(self) -> Result<(), CaseError> {
        let Some(left) = self.words.first() else { return Ok(()) };
        let word = left.split('=').next().unwrap_or_default();
        Err(self.error(unknown(word, &self.known)))
    }

    pub(super) fn error(&self, message: impl Into<String>) -> CaseError {
        CaseError { line: self.line, message: message.into() }
    }
}

/// That a word is not known, and which one is nearest.
pub(super) fn unknown(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().min_by_key(|known| (distance(word, known), **known));
    match nearest {
        Some(nearest) => alloc::format!("`{word}` is not known here; did you mean `{nearest}`?"),
        None => alloc::format!("`{word}` is not expected here"),
    }
}

/// Longest word that is compared: the known ones are shorter, and it bounds the work.
const COMPARED_MAX: usize = 32;

/// Edits between two words (Wagner and Fischer, 1974).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(COMPARED_MAX).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().take(COMPARED_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
