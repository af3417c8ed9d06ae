//! The table of commands: what each is called, which panel of the help it stands in.
//!
//! A command is one file in `commands/`: its arguments, their help with examples, and what it
//! does. To add one: the file, a row of [`Command`], a word in [`PANELS`].

use crate::commands::{
    admin, apply, attach, bench, completion, cost, data, doctor, down, events, exec, gpus, image,
    logs, metrics, outputs, ps, rm, run, schema, simulate, source, stop, up, why,
};
use crate::exit::{self, Code};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::words;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::process::ExitCode;

/// Runs machine-learning work on a shared pool
#[derive(Debug, Parser)]
#[command(
    name = "weft",
    bin_name = "weft",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    session: Session,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Down(down::Down),
    Run(Box<run::Run>),
    Apply(apply::Apply),
    Ps(ps::Ps),
    Logs(logs::Logs),
    Attach(attach::Attach),
    Exec(exec::Exec),
    Stop(stop::Stop),
    Rm(rm::Rm),
    Why(why::Why),
    Gpus(gpus::Gpus),
    Metrics(metrics::Metrics),
    Events(events::Events),
    Cost(cost::Cost),
    Simulate(Box<simulate::Simulate>),
    Outputs(outputs::Outputs),
    Data(Box<data::Data>),
    Source(source::Source),
    Image(image::ImageCommand),
    Admin(admin::Admin),
    Doctor(doctor::Doctor),
    Bench(bench::Bench),
    Schema(schema::Schema),
    Completion(completion::Completion),
}

/// The panels of the help.
const PANELS: &[(&str, &[&str])] = &[
    ("Start and stop", &["up", "down"]),
    ("Run", &["run", "apply", "stop", "rm"]),
    ("Follow", &["ps", "logs", "attach", "exec", "outputs"]),
    ("Understand", &["why", "gpus", "metrics", "events", "cost", "simulate"]),
    ("Inventory", &["data", "source", "image", "admin"]),
    ("Help yourself", &["doctor", "bench", "schema", "completion"]),
];

/// Letters that may be wrong in a command that was meant.
const SLIP: usize = 2;

/// What stands below the panels.
const EXAMPLES: &str = "\
Examples:
  weft run train.weft.yaml               run what a file describes, follow it to its end
  weft run --gpu 1 -- python3 train.py   run a command, without a file
  weft ps                                what runs and waits
  weft why NAME                          why it waits, and when it may start
";

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = match command().try_get_matches().and_then(|m| Cli::from_arg_matches(&m)) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(refuse(&error)),
    };
    let json = cli.session.json;
    let outcome = match cli.command {
        // The server brings its own, with a thread for each core.
        Command::Up(up) => up.run(&cli.session),
        command => on_one_thread(dispatch(command, &cli.session)),
    };
    ExitCode::from(outcome.unwrap_or_else(|failure| failure.report(json)))
}

/// A client waits more than it computes: one thread, so that it starts in no time.
fn on_one_thread(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::local("starting", e))?.block_on(work)
}

async fn dispatch(command: Command, session: &Session) -> Outcome {
    match command {
        Command::Up(up) => up.run(session),
        Command::Down(down) => down.run(session).await,
        Command::Run(run) => run.run(session).await,
        Command::Apply(apply) => apply.run(session).await,
        Command::Ps(ps) => ps.run(session).await,
        Command::Logs(logs) => logs.run(session).await,
        Command::Attach(attach) => attach.run(session).await,
        Command::Exec(exec) => exec.run(session).await,
        Command::Stop(stop) => stop.run(session).await,
        Command::Rm(rm) => rm.run(session).await,
        Command::Why(why) => why.run(session).await,
        Command::Gpus(gpus) => gpus.run(session).await,
        Command::Metrics(metrics) => metrics.run(session).await,
        Command::Events(events) => events.run(session).await,
        Command::Cost(cost) => cost.run(session).await,
        Command::Simulate(simulate) => simulate.run(session).await,
        Command::Outputs(outputs) => outputs.run(session).await,
        Command::Data(data) => data.run(session).await,
        Command::Source(source) => source.run(session).await,
        Command::Image(image) => image.run(session).await,
        Command::Admin(admin) => admin.run(session).await,
        Command::Doctor(doctor) => doctor.run(session).await,
        Command::Bench(bench) => bench.run(session).await,
        Command::Schema(schema) => schema.run(),
        Command::Completion(completion) => completion.run(),
    }
}

/// The command line as clap sees it, with the help in panels.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let panels = panels(&command);
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{panels}\n{EXAMPLES}\nExit codes:\n{}\n\
         {{options}}\n\nMore on a command: weft COMMAND --help\n",
        exit::table()
    ))
}

fn panels(command: &clap::Command) -> String {
    let about = |name: &str| {
        let sub = command.find_subcommand(name);
        sub.and_then(|sub| sub.get_about()).map(ToString::to_string).unwrap_or_default()
    };
    let line = |name: &&str| format!("  {name:<11} {}\n", about(name));
    let panel = |(title, names): &(&str, &[&str])| {
        format!("{title}:\n{}", names.iter().map(line).collect::<String>())
    };
    PANELS.iter().map(panel).collect::<Vec<_>>().join("\n")
}

/// Shows why the command line is not understood, or the help that was asked for.
fn refuse(error: &clap::Error) -> u8 {
    // What is not understood may still be understood as this much.
    let words = std::env::args().skip(1).take_while(|word| word != "--");
    let json = error.use_stderr() && words.into_iter().any(|word| word == "--json");
    let word = error.get(ContextKind::InvalidSubcommand);
    let top = std::env::args().nth(1);
    if let (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) = (error.kind(), word)
        && top.as_ref() == Some(word)
    {
        return no_command(word).report(json);
    }
    if json {
        return Failure::usage(error.render().to_string()).report(json);
    }
    let _ = error.print();
    if error.use_stderr() { Code::Usage.number() } else { Code::Done.number() }
}

/// A word that is no command: what was meant, by its meaning elsewhere or by its letters.
fn no_command(word: &str) -> Failure {
    let near = || {
        let commands = PANELS.iter().flat_map(|(_, names)| names.iter());
        let near = commands.filter(|name| strsim::osa_distance(word, name) <= SLIP);
        let nearest = near.min_by_key(|name| strsim::osa_distance(word, name));
        nearest.map(|name| format!("weft {name}"))
    };
    let failure = Failure::usage(format!("there is no command `{word}`"));
    match words::meant(word).map(str::to_owned).or_else(near) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure.hint("`weft --help` lists the commands"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_panel() {
        let command = command();
        let mut shown: Vec<_> =
            PANELS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut known: Vec<_> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name()).collect();
        shown.sort_unstable();
        known.sort_unstable();
        assert_eq!(shown, known);
    }

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn foreign_words_lead_to_commands_that_exist() {
        for word in ["squeue", "sbatch", "scancel", "delete", "describe", "launch", "sinfo"] {
            let meant = words::meant(word).unwrap();
            let name = meant.split(' ').nth(1).unwrap();
            assert!(command().find_subcommand(name).is_some(), "{meant}");
            assert!(command().find_subcommand(word).is_none(), "{word}");
        }
    }
}
