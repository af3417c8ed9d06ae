//! Turns the two tables into Rust, so that a look-up needs no parsing and no memory.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let rows = |file: &str| {
        println!("cargo::rerun-if-changed={file}");
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
        rows.collect::<Vec<String>>()
    };
    let mut source = String::from("pub(crate) static REVISIONS: &[Revision] = &[\n");
    for row in rows("driver.tsv") {
        let fields: Vec<&str> = row.split('\t').collect();
        let [name, since, symbol, parameters] = fields[..] else { panic!("driver.tsv: `{row}`") };
        let parameters = parameters.trim_matches('-');
        let stream = if symbol.ends_with("_ptds") || symbol.ends_with("_ptsz") {
            "Thread"
        } else {
            "Legacy"
        };
        let _ = writeln!(
            source,
            "Revision {{ name: {name:?}, since: {since}, stream: DefaultStream::{stream}, \
             symbol: {symbol:?}, parameters: {parameters:?} }},"
        );
    }
    source.push_str("];\npub(crate) static MANAGEMENT: &[&str] = &[\n");
    for row in rows("nvml.tsv") {
        let _ = writeln!(source, "{row:?},");
    }
    source.push_str("];\n");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    let file = Path::new(&out).join("tables.rs");
    fs::write(&file, source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
