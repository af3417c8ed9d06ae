//! Writes an exported function for each symbol of the driver and of NVML.
//!
//! An export jumps through a table that is filled when the library is loaded. Its twin goes to one
//! place that notes the call or breaks it, and then on to the same target.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so.1");
    let driver = weft_cuda_abi::revisions().iter().map(|r| (r.symbol, r.parameters));
    let management = weft_cuda_abi::management_symbols().iter().map(|symbol| (*symbol, ""));
    let symbols: Vec<_> = driver.chain(management).collect();
    let (mut source, mut watched, mut exported) = (String::new(), String::new(), String::new());
    let _ = writeln!(source, "const COUNT: usize = {};", symbols.len());
    source.push_str("pub(crate) static SYMBOLS: [(&str, &str); COUNT] = [\n");
    for (symbol, parameters) in &symbols {
        let _ = writeln!(source, "({symbol:?}, {parameters:?}),");
    }
    source.push_str("];\n");
    for (index, (symbol, _)) in symbols.iter().enumerate() {
        let _ = writeln!(source, "export!({symbol}, watched_{index}, {index});");
        let _ = write!(watched, "watched_{index},");
        let _ = write!(exported, "{symbol},");
    }
    let kind = "unsafe extern \"C\" fn()";
    let _ = writeln!(source, "static WATCHED: [{kind}; COUNT] = [{watched}];");
    let _ = writeln!(source, "static EXPORTED: [{kind}; COUNT] = [{exported}];");
    let out = env::var_os("OUT_DIR").unwrap_or_default();
    let file = Path::new(&out).join("exports.rs");
    fs::write(&file, source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
