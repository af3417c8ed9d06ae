//! Writing to the standard and error output, with colour where people read.
//!
//! Everything that goes to a terminal is made harmless here: much of it quotes what others wrote.

use super::harmless::harmless;
use super::terminal;
use serde::Serialize;
use std::io::Write as _;

/// What a piece of text is, so that colours have one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// Something to do.
    Hint,
    /// In progress, waiting.
    Busy,
    /// Headings and names.
    Strong,
    /// What is there for completeness.
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Hint => "36",
            Style::Busy => "33",
            Style::Strong => "1",
            Style::Faint => "2",
        }
    }
}

/// Text for the standard output.
pub(crate) fn paint(text: &str, style: Style) -> String {
    painted(text, style, terminal::out_has_colour())
}

/// Text for the error output.
pub(crate) fn paint_err(text: &str, style: Style) -> String {
    painted(text, style, terminal::err_has_colour())
}

fn painted(text: &str, style: Style, colour: bool) -> String {
    if colour && !text.is_empty() {
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// Writes to the standard output. A reader that has gone away ends the program quietly, as it
/// does for every other tool in a pipe.
pub(crate) fn out(text: &str) {
    match terminal::out_is_shown() {
        true => out_raw(&harmless(text)),
        false => out_raw(text),
    }
}

fn out_raw(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if written.is_err() {
        std::process::exit(crate::exit::Code::Failed.number().into());
    }
}

/// Writes a line to the standard output.
pub(crate) fn out_line(text: &str) {
    out(&format!("{text}\n"));
}

/// Writes a line to the standard output as it is, whatever it would do to a terminal.
pub(crate) fn out_line_raw(text: &str) {
    out_raw(&format!("{text}\n"));
}

/// Writes a line to the error output. That it cannot be written is no reason to fail.
pub(crate) fn err_line(text: &str) {
    match terminal::err_is_shown() {
        true => err_line_raw(&harmless(text)),
        false => err_line_raw(text),
    }
}

/// Writes a line to the error output as it is, whatever it would do to a terminal.
pub(crate) fn err_line_raw(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a value of the API as JSON.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => out_line(&text),
        Err(error) => err_line(&format!("error: {error}")),
    }
}
