//! What people see: lines, tables, colours, units. Programs take `--json` instead.
//!
//! Results go to the standard output, everything about them to the error output.

mod harmless;
mod output;
mod spark;
mod table;
mod terminal;
mod units;
mod wrap;

pub(crate) use harmless::one_line;
pub(crate) use output::{
    Style, err_line, err_line_raw, json, out, out_line, out_line_raw, paint, paint_err,
};
pub(crate) use spark::sparkline;
pub(crate) use table::Table;
pub(crate) use terminal::{err_is_terminal, glyphs, out_is_terminal, width};
pub(crate) use units::{age, clock, cores, count, last, percent, span, when};
pub(crate) use wrap::{columns, cut, wrap};
