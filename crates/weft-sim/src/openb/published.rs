//! The published results: `analysis_allo_discrete.csv` of the artifact.

use crate::trace::{Table, TraceError};
use std::collections::BTreeMap;

/// Mean allocation in hundredths over all seeds at 100 % and 130 % arrived, by list and policy.
pub type Published = BTreeMap<(String, String), (f64, f64)>;

/// Reads the artifact's table.
///
/// # Errors
///
/// The first line that is not of the table's form.
pub fn published(text: &str) -> std::result::Result<Published, TraceError> {
    let table = Table::read(text, ',')?;
    let mut sums = BTreeMap::<(String, String), (f64, f64, f64)>::new();
    for row in table.rows() {
        let row = row?;
        let key = (row.text("workload")?.to_owned(), row.text("sc_policy")?.to_owned());
        let sum = sums.entry(key).or_default();
        sum.0 += row.decimal("100")?;
        sum.1 += row.decimal("130")?;
        sum.2 += 1.0;
    }
    Ok(sums.into_iter().map(|(key, (a, b, count))| (key, (a / count, b / count))).collect())
}
