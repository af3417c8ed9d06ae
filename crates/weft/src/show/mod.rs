//! What people see: lines, tables, colours, units. Programs take `--json` instead.
//!
//! Results go to the standard output, everything about them to the error output.

mod output;
mod spark;
mod table;
mod terminal;
mod units;

pub(crate) use output::{Style, err_line, json, out, out_line, paint, paint_err};
pub(crate) use spark::sparkline;
pub(crate) use table::Table;
pub(crate) use terminal::{err_is_terminal, glyphs, out_is_terminal, width};
pub(crate) use units::{age, clock, cores, percent, span, when};
