//! The one binary: command line and assembly.
fn main() {}
