//! Prints the bytes that had to be brought to machines, with the planner told what they hold and
//! not told: `cargo run --release -p weft-sim --bin near`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::print_stderr, reason = "errors go beside it")]

use std::process::ExitCode;
use weft_sim::near::{Outcome, Setup, near};

/// Seeds of each line.
const SEEDS: u64 = 3;

fn main() -> ExitCode {
    println!("32 machines of 8 devices, 100 versions of 10 to 500 GB, 1,000 jobs, {SEEDS} seeds");
    println!("load  kept    told  read TB  moved TB  of read   near  mean wait");
    for (load, cache_gb) in [(300, 2_000), (600, 2_000), (900, 2_000), (900, 8_000)] {
        for told in [false, true] {
            let setup =
                Setup { machines: 32, jobs: 1_000, load, versions: 100, cache_gb, seed: 0, told };
            if let Err(error) = line(&setup) {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn line(setup: &Setup) -> Result<(), String> {
    let runs = (1..=SEEDS).map(|seed| near(&Setup { seed, ..setup.clone() }));
    let runs = runs.collect::<Result<Vec<Outcome>, String>>()?;
    let sum = |of: &dyn Fn(&Outcome) -> u128| runs.iter().map(of).sum::<u128>() as f64;
    let (read, moved) = (sum(&|run| run.read), sum(&|run| run.moved));
    let started = sum(&|run| run.started.into());
    println!(
        "{:>4}  {:>4} TB  {:<4} {:>8.1}  {:>8.1}  {:>5.1} %  {:>4.1} %  {:>6.1} min",
        setup.load,
        setup.cache_gb / 1000,
        if setup.told { "yes" } else { "no" },
        read / 1e12 / SEEDS as f64,
        moved / 1e12 / SEEDS as f64,
        100.0 * moved / read,
        100.0 * sum(&|run| run.near.into()) / started,
        sum(&|run| run.waited) / started / 60_000.0,
    );
    Ok(())
}
