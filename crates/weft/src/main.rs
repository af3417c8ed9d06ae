//! The one binary: command line and assembly.
//!
//! `cli.rs` is the table of commands, `commands/` has one file for each. The server starts in
//! `commands/up.rs`, a workload's way begins in `commands/run.rs`. Absent on purpose: anything a
//! client could not do over the API, but starting a server and restoring its state.

mod autostart;
mod cli;
mod commands;
mod exit;
mod failure;
mod follow;
mod memory;
mod place;
mod session;
mod show;
mod submission;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A supervisor is one thread that owns a sandbox: it comes before anything that could
    // start another thread or read an argument.
    let mut args = std::env::args_os().skip(1);
    if std::env::args_os().nth(1).is_some_and(|first| first == "__measure") {
        return ExitCode::from(commands::bench::measure());
    }
    if let (Some(first), Some(dir)) = (args.next(), args.next())
        && first == "__supervise"
    {
        weft_runtime::supervise(dir.as_ref());
    }
    cli::main()
}
