//! Running other programs, said aloud.

use crate::Outcome;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs it with its output shown; an exit status other than zero is an error.
pub(crate) fn show(command: &mut Command) -> Outcome {
    println!("$ {}", line(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` ended with {status}", line(command))),
        Err(error) => Err(format!("`{}` could not start: {error}", line(command))),
    }
}

/// Runs it with its output shown, and hands every line of it on as well.
pub(crate) fn show_lines(command: &mut Command, mut line_seen: impl FnMut(&str)) -> Outcome {
    println!("$ {}", line(command));
    let could_not = |error| format!("could not run: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(could_not)?;
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(could_not)?;
        println!("{line}");
        line_seen(&line);
    }
    match child.wait().map_err(could_not)? {
        status if status.success() => Ok(()),
        status => Err(format!("`{}` ended with {status}", line(command))),
    }
}

/// Runs it quietly and gives what it printed; none when it failed.
pub(crate) fn quiet(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Cargo itself, in the workspace's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::workspace::root());
    command
}

fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
}
