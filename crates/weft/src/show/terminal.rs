//! What the terminal can do: colour, width, characters beyond ASCII.

use std::io::IsTerminal as _;
use std::sync::LazyLock;

/// Characters for drawing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glyphs {
    /// From one stage to the next.
    pub(crate) arrow: &'static str,
    /// Top left, side and bottom left of a box, and its horizontal line.
    pub(crate) frame: [&'static str; 4],
    /// Bars from low to high.
    pub(crate) bars: &'static [&'static str],
    /// Frames of the wheel that turns while something goes on; the last is shown at the end.
    pub(crate) wheel: &'static str,
    /// A bar's full part, its end and its empty part.
    pub(crate) filling: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    arrow: "→",
    frame: ["╭", "│", "╰", "─"],
    bars: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    wheel: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ",
    filling: "━╸─",
};

const ASCII: Glyphs = Glyphs {
    arrow: "->",
    frame: ["+", "|", "+", "-"],
    bars: &["_", ".", ":", "-", "=", "+", "*", "#"],
    wheel: "|/-\\ ",
    filling: "#>-",
};

/// Characters that this terminal shows: by the locale, in the order POSIX reads it.
pub(crate) fn glyphs() -> &'static Glyphs {
    static UTF8: LazyLock<bool> = LazyLock::new(|| {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    if *UTF8 { &UNICODE } else { &ASCII }
}

/// Columns to write in: those that `COLUMNS` says, else of the terminal that the error output
/// is, else 80.
pub(crate) fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    if let Some(columns) = said.filter(|columns| *columns > 0) {
        return columns;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    match size.map(|size| usize::from(size.ws_col)) {
        Ok(columns) if columns > 0 => columns,
        _ => 80,
    }
}

/// Whether the error output is a terminal, able or not.
pub(super) fn err_is_shown() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| std::io::stderr().is_terminal());
    *IS
}

/// Whether the standard output is a terminal, able or not.
pub(super) fn out_is_shown() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| std::io::stdout().is_terminal());
    *IS
}

/// Whether a person reads the error output.
pub(crate) fn err_is_terminal() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| err_is_shown() && !dumb());
    *IS
}

/// Whether a person reads the standard output.
pub(crate) fn out_is_terminal() -> bool {
    static IS: LazyLock<bool> = LazyLock::new(|| out_is_shown() && !dumb());
    *IS
}

pub(super) fn out_has_colour() -> bool {
    out_is_terminal() && !no_colour()
}

pub(super) fn err_has_colour() -> bool {
    err_is_terminal() && !no_colour()
}

/// The convention of no-color.org: present and not empty.
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
