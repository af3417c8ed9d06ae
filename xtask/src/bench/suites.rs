//! The crates' own benches; they print promises as `what | measured | bar | ok`.

use super::table::Row;
use crate::process;

pub(super) fn measure(package: &str, bench: &str) -> Result<Vec<Row>, String> {
    let args = ["bench", "--locked", "-p", package, "--bench", bench];
    let printed = process::quiet(&mut process::cargo(&args))
        .ok_or_else(|| format!("`cargo bench -p {package} --bench {bench}` failed"))?;
    println!("{printed}");
    let rows: Vec<Row> = printed.lines().filter_map(Row::printed).collect();
    match rows.is_empty() {
        true => Err("it printed no line `what | measured | bar | ok`".to_owned()),
        false => Ok(rows),
    }
}
