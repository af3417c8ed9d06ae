//! Replays the jobs of Philly through the production planner and prints waits and completion times:
//! `cargo run --release -p weft-sim --bin replay -- --philly <philly.csv>`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::print_stderr, reason = "errors and progress go beside it")]

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;
use weft_sched::Order;
use weft_sim::replay::{Setup, Summary, Teams, replay};
use weft_sim::trace::{Job, philly};
use weft_types::{Millis, QueueName};

const HELP: &str = "\
Usage: replay --philly FILE [options]

  --philly FILE    jobs as `timestamp,duration,num_gpus,gpu_time,cluster`
  --machines N     machines with 8 devices; else 80
  --order ORDER    submission or service; else service
  --teams TEAMS    one, pooled or dedicated; else one
  --suspend S      seconds that a suspension costs; else 60
  --fixed PERCENT  jobs that cannot be suspended; else 0
  --true-times     the planner knows how long jobs run; else it is wrong by up to ten times
  --round S        plan at multiples of so many seconds; else 300
  --jobs N         the first so many jobs only
  --seed N         what is drawn; else 1";

/// Most machines: a hundred times the largest pool the planner is measured on; beyond it a typing
/// error would take all memory.
const MACHINES_MAX: u32 = 100_000;

struct Options {
    file: String,
    jobs: usize,
    setup: Setup,
}

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.is_empty() || asked.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match options(asked).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(asked: Vec<String>) -> Result<Options, String> {
    let setup = Setup {
        machines: 80,
        devices: 8,
        order: Order::Service,
        teams: Teams::One,
        suspend: Millis::from_secs(60),
        fixed_percent: 0,
        wrong: true,
        seed: 1,
        round: Millis::from_secs(300),
    };
    let mut options = Options { file: String::new(), jobs: usize::MAX, setup };
    let mut words = asked.into_iter();
    while let Some(word) = words.next() {
        let setup = &mut options.setup;
        if word == "--true-times" {
            setup.wrong = false;
            continue;
        }
        let value = words.next().ok_or(format!("`{word}` needs a value\n{HELP}"))?;
        let wrong = || format!("`{word} {value}` is not understood\n{HELP}");
        let number = || value.parse::<u32>().map_err(|_| wrong());
        match (word.as_str(), value.as_str()) {
            ("--philly", _) => options.file.clone_from(&value),
            ("--machines", _) => match number()? {
                machines @ 1..=MACHINES_MAX => setup.machines = machines,
                _ => return Err(format!("`--machines {value}`: 1 to {MACHINES_MAX}")),
            },
            ("--order", "submission") => setup.order = Order::Submission,
            ("--order", "service") => setup.order = Order::Service,
            ("--teams", "one") => setup.teams = Teams::One,
            ("--teams", "pooled") => setup.teams = Teams::Pooled,
            ("--teams", "dedicated") => setup.teams = Teams::Dedicated,
            ("--suspend", _) => setup.suspend = Millis::from_secs(number()?.into()),
            ("--fixed", _) => setup.fixed_percent = number()?.min(100),
            ("--round", _) => setup.round = Millis::from_secs(number()?.into()),
            ("--jobs", _) => options.jobs = number()? as usize,
            ("--seed", _) => setup.seed = number()?.into(),
            _ => return Err(wrong()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.file);
    let text = text.map_err(|error| format!("--philly {}: {error}", options.file))?;
    let trace = philly(&text).map_err(|error| format!("{}: {error}", options.file))?;
    let jobs: &[Job] = &trace.jobs[..options.jobs.min(trace.jobs.len())];
    let unnamed = jobs.iter().find_map(|job| Some((job, QueueName::new(&job.queue).err()?)));
    if let Some((job, error)) = unnamed.filter(|_| options.setup.teams != Teams::One) {
        return Err(format!("{}, {}: {error}; use --teams one", options.file, job.name));
    }
    let (began, watched) = (Instant::now(), std::io::stderr().is_terminal());
    let mut told = 0;
    let replayed = replay(&options.setup, jobs, |done| {
        if watched && done >= told + 2000 {
            told = done;
            eprint!("\r{done} of {} jobs, {:.0} s ", jobs.len(), began.elapsed().as_secs_f64());
        }
    });
    if watched {
        eprintln!();
    }
    print(&Summary::of(&replayed.jobs), jobs.len());
    println!("{} plans, decisions {:016x}", replayed.plans, replayed.decisions);
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn print(summary: &Summary, jobs: usize) {
    println!("{} of {jobs} jobs ended", summary.jobs);
    println!("hours        mean     p50     p90     p99      max");
    for (name, of) in [("completion", summary.completion), ("wait", summary.wait)] {
        println!(
            "{name:10} {:7.3} {:7.3} {:7.3} {:7.3} {:8.2}",
            of.mean, of.p50, of.p90, of.p99, of.max
        );
    }
    println!("bounded slowdown {:.2}", summary.slowdown);
    if summary.team_ratio.is_finite() {
        println!("worst team over best {:.2}", summary.team_ratio);
    }
    let each = summary.suspensions as f64 / summary.jobs.max(1) as f64;
    println!("suspensions {} ({each:.2} a job)", summary.suspensions);
    for (team, wait) in &summary.team_waits {
        println!("  {team:8} mean wait {wait:.3} h");
    }
}
