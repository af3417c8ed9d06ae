//! The tables' text: one line a function, fields apart by tabs, so that a change is a line's.

use super::header::Revision;
use std::collections::BTreeSet;
use std::fmt::Write;

/// The driver's table.
pub(crate) fn driver(revisions: &[Revision]) -> String {
    let mut text = String::from(
        "# Functions of the CUDA driver, by `cargo xtask abi --write` from its public headers.\n\
         # name\tsince\tsymbol\tparameters: p address, h handle or callback, l 64 bits, w 32 bits \
         or fewer, f float, m structure by value\n",
    );
    for Revision { name, since, symbol, parameters, .. } in revisions {
        let parameters = if parameters.is_empty() { "-" } else { parameters };
        let _ = writeln!(text, "{name}\t{since}\t{symbol}\t{parameters}");
    }
    text
}

/// NVML's table.
pub(crate) fn management(symbols: &BTreeSet<String>) -> String {
    let mut text =
        String::from("# Functions of NVML, by `cargo xtask abi --write` from its public header.\n");
    for symbol in symbols {
        let _ = writeln!(text, "{symbol}");
    }
    text
}
