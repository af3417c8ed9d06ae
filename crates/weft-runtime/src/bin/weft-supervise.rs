//! The supervisor alone: what tests and benches of this crate start instead of the `weft` binary.

use std::path::Path;

fn main() {
    let mut args = std::env::args_os().skip(1);
    match (args.next(), args.next()) {
        (Some(word), Some(dir)) if word == "__supervise" => weft_runtime::supervise(Path::new(&dir)),
        _ => std::process::exit(2),
    }
}
