//! The crates' own benches: each prints its figures and exits with 1 when it misses its bars.

use super::table::Row;
use crate::process;

pub(super) fn measure(package: &str, bench: &str, bars: &str) -> Result<Vec<Row>, String> {
    let args = ["bench", "--locked", "-p", package, "--bench", bench];
    // The bar for the store is a minute of writing; benches that know no length ignore it.
    let outcome = process::show(process::cargo(&args).env("SECS", "60"));
    Ok(vec![Row::judged(&format!("{package}, {bench}"), "printed above", bars, outcome.is_ok())])
}
