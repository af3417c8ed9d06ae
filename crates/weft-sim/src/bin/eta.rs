//! Prints what waiting jobs were told of their start beside what happened:
//! `cargo run --release -p weft-sim --bin eta -- --philly <philly.csv>`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::print_stderr, reason = "errors and progress go beside it")]

use std::process::ExitCode;
use std::time::Instant;
use weft_sched::Order;
use weft_sim::eta::{Setup, Summary, guesses};
use weft_sim::options::{Given, program};
use weft_sim::trace::philly;
use weft_types::Millis;

const HELP: &str = "\
Usage: eta --philly FILE [options]

  --philly FILE    jobs as `timestamp,duration,num_gpus,gpu_time,cluster`
  --machines N     machines with 8 devices; else 80
  --order ORDER    submission or service; else submission
  --suspend S      jobs can be suspended, and it costs so many seconds; else they cannot be
  --wrong TENTHS   run times are wrong by up to 10 to the power of so many tenths; else 10
  --round S        plan at multiples of so many seconds; else 300
  --every N        ask for estimates at every so many moments at which jobs come; else 64
  --jobs N         the first so many jobs only
  --seed N         what is drawn; else 1";

/// The bar, in thousandths of the wait.
const BAR: u64 = 250;

/// Most machines: beyond it a typing error would take all memory.
const MACHINES_MAX: u64 = 100_000;

struct Options {
    file: String,
    jobs: usize,
    setup: Setup,
}

fn main() -> ExitCode {
    program(HELP, &["--philly"], |given| run(&options(given)?))
}

fn options(all: Vec<Given>) -> Result<Options, String> {
    let setup = Setup {
        machines: 80,
        devices: 8,
        order: Order::Submission,
        suspend: None,
        wrong_tenths: 10,
        round: Millis::from_secs(300),
        every: 64,
        seed: 1,
    };
    let mut options = Options { file: String::new(), jobs: usize::MAX, setup };
    for given in all {
        let number = || given.number::<u32>(0..=u32::MAX.into());
        let setup = &mut options.setup;
        match (given.name.as_str(), given.value.as_str()) {
            ("--philly", file) => file.clone_into(&mut options.file),
            ("--machines", _) => setup.machines = given.number(1..=MACHINES_MAX)?,
            ("--order", "submission") => setup.order = Order::Submission,
            ("--order", "service") => setup.order = Order::Service,
            ("--order", _) => return Err(given.wrong("submission or service")),
            ("--suspend", _) => setup.suspend = Some(Millis::from_secs(number()?.into())),
            ("--wrong", _) => setup.wrong_tenths = given.number(0..=30)?,
            ("--round", _) => setup.round = Millis::from_secs(number()?.into()),
            ("--every", _) => setup.every = number()?.max(1) as usize,
            ("--jobs", _) => options.jobs = number()? as usize,
            ("--seed", _) => setup.seed = number()?.into(),
            _ => return Err(given.unknown()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.file);
    let text = text.map_err(|error| format!("--philly {}: {error}", options.file))?;
    let trace = philly(&text).map_err(|error| format!("{}: {error}", options.file))?;
    let jobs = &trace.jobs[..options.jobs.min(trace.jobs.len())];
    let began = Instant::now();
    let mut told = 0;
    let all = guesses(&options.setup, jobs, |done| {
        if done >= told + 2000 {
            told = done;
            eprint!("\r{done} of {} jobs, {:.0} s ", jobs.len(), began.elapsed().as_secs_f64());
        }
    });
    eprintln!();
    print(&Summary::of(&all, options.setup.round), all.len(), options.setup.round);
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn print(summary: &Summary, asked: usize, round: Millis) {
    let Summary { jobs, untold, .. } = summary;
    println!(
        "{asked} asked; {jobs} waited longer than {} s, {untold} were told nothing",
        round.0 / 1000
    );
    let percent = |error: Option<u64>| match error {
        Some(error) => format!("{:.1} %", error as f64 / 10.0),
        None => "none".to_owned(),
    };
    println!(
        "median absolute error {} of the wait (bar {}); quartiles {} and {}",
        percent(summary.error),
        percent(Some(BAR)),
        percent(summary.quartiles[0]),
        percent(summary.quartiles[1]),
    );
    let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
    println!(
        "within a quarter of the wait {:.1} %; started before the estimate {:.1} %",
        share(summary.close, *jobs),
        share(summary.early, *jobs)
    );
    println!("told at most, h   jobs    waited, h: p10    p50    p90   by then");
    for bucket in &summary.buckets {
        let hours = |span: Millis| span.0 as f64 / 3_600_000.0;
        let told = match bucket.told.0 {
            u64::MAX => "more".to_owned(),
            _ => format!("{:.2}", hours(bucket.told)),
        };
        println!(
            "{told:>15} {:>6} {:>17.2} {:>6.2} {:>6.2} {:>7.1} %",
            bucket.jobs,
            hours(bucket.spread.0),
            hours(bucket.p50),
            hours(bucket.spread.1),
            share(bucket.in_time, bucket.jobs)
        );
    }
}
