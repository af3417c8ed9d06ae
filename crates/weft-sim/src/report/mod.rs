//! A study as a page that needs nothing else, as JSON, and as a few lines of text.
//!
//! | file | what it has |
//! |--|--|
//! | `page.rs` | the page: sections in order, its styles |
//! | `summary.rs` | in plain words; where a difference comes from |
//! | `distributions.rs` | the use of the pool, waits and completion times |
//! | `groups.rs` | teams and sizes of jobs; who gains, who would lose |
//! | `machines.rs` | machines that need not be bought; what if an assumption does not hold |
//! | `small_print.rs` | how sizes were chosen, assumptions, limits, how to repeat it |
//! | `checks.rs` | goals beside what was found |
//! | `plot.rs` | scales, axes, lines |
//! | `words.rs` | times and numbers as people read them; text from a log made harmless |
//! | `text.rs` | the lines for a terminal |
//!
//! Everything is made from [`Findings`] and from nothing else, so that no figure of a page is
//! missing in the JSON. Absent on purpose: scripts, fonts, pictures, anything fetched.

mod checks;
mod distributions;
mod groups;
mod machines;
mod page;
mod plot;
mod small_print;
mod summary;
mod text;
mod words;

pub use page::page;
pub use text::text;
pub use words::left;

use crate::study::Findings;

/// The findings as JSON, of the schema that it names.
///
/// # Panics
///
/// Never: every map in it has text for keys.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let mut text = serde_json::to_string_pretty(findings).expect("maps with text for keys");
    text.push('\n');
    text
}
