//! Writes an exported function for each symbol of the driver and of NVML, each one jump.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};
use weft_cuda_abi::{Class, class_of, management_symbols, revisions};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    let driver = revisions().iter().map(|revision| revision.symbol);
    let symbols: Vec<_> = driver.chain(management_symbols().iter().copied()).collect();
    let (mut source, mut exported, mut places) = (String::new(), String::new(), String::new());
    let _ = writeln!(source, "pub(crate) const COUNT: usize = {};", symbols.len());
    let _ = writeln!(source, "pub(crate) static SYMBOLS: [&CStr; COUNT] = [");
    for symbol in &symbols {
        let _ = writeln!(source, "c{symbol:?},");
    }
    source.push_str("];\n");
    for (place, symbol) in symbols.iter().enumerate() {
        let macro_name = if class_of(symbol) == Class::Launch { "launch" } else { "export" };
        let _ = writeln!(source, "{macro_name}!({symbol}, {place});");
        let _ = write!(exported, "{symbol},");
        let _ = writeln!(places, "pub(crate) const {symbol}: usize = {place};");
    }
    let counted = symbols.iter().map(|symbol| class_of(symbol) == Class::Launch);
    let counted: Vec<bool> = counted.collect();
    let _ = writeln!(source, "static LAUNCH: [bool; COUNT] = {counted:?};");
    let kind = "unsafe extern \"C\" fn()";
    let _ = writeln!(source, "static EXPORTED: [{kind}; COUNT] = [{exported}];");
    let allowed = "#[expect(non_upper_case_globals, dead_code, reason = \"the driver's names\")]";
    let _ = writeln!(source, "{allowed}\npub(crate) mod place {{\n{places}}}");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    let file = Path::new(&out).join("exports.rs");
    fs::write(&file, source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
