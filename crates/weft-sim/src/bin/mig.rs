//! Prints how many MIG instances the production planner gets onto a pool beside first fit, and
//! beside one who may move everything: `cargo run --release -p weft-sim --bin mig`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::process::ExitCode;
use std::time::Instant;
use weft_sim::mig::{Accepted, Load, MIXES, Mix, Who, fill, run, together};
use weft_sim::options::{Given, program};

/// The bar: accepted instances at saturation, in percent of those of first fit.
const BAR_PERCENT: f64 = 110.0;

/// Saturation is where a pool refuses this part of what comes, in hundredths of a percent.
const REFUSED: u64 = 100;

/// Steps that halve the loads between which a pool saturates: the last is 2 permille.
const STEPS: u32 = 9;

/// A request is refused so often before a pool counts as full.
const FULL: u64 = 10;

/// Requests per device that wait together: more than any mix has room for.
const WAITING: u64 = 8;

const HELP: &str = "\
Usage: mig [options]

  --devices N   devices; else 100
  --requests N  requests; else 20000
  --seed N      what is drawn; else 42";

fn main() -> ExitCode {
    program(HELP, &[], |given| {
        print(options(given)?);
        Ok(())
    })
}

fn print(load: Load) {
    let began = Instant::now();
    let Load { devices, requests, seed, .. } = load;
    println!(
        "{devices} devices of 7 compute and 8 memory slices, {requests} requests, seed {seed}"
    );
    held(load);
    accepted(Load { permille: 1000, ..load });
    accepted(Load { permille: 1300, ..load });
    filled(load);
    waiting(load);
    println!("\n{:.0} s", began.elapsed().as_secs_f64());
}

fn held(load: Load) {
    println!("\nInstances held while 1 % are refused, first fit = 100; bar {BAR_PERCENT}\n");
    println!("| mix | load of first fit | planner | may move all | the bar can be had |");
    println!("|--|--|--|--|--|");
    for mix in &MIXES {
        let [first, planner, mover] = all(|who| saturation(who, mix, load) as f64);
        let percent = |load: f64| 100.0 * load / first;
        let (planner, mover) = (percent(planner), percent(mover));
        // Who may move all is the ceiling, as long as nobody is refused who fits.
        let had = match (planner >= BAR_PERCENT, mover >= BAR_PERCENT) {
            (true, _) => "is had",
            (false, true) => "by moving",
            (false, false) => "by nobody",
        };
        println!("| {} | {:.3} | {planner:.1} | {mover:.1} | {had} |", mix.name, first / 1000.0);
    }
}

fn accepted(load: Load) {
    let at = load.permille as f64 / 1000.0;
    println!("\nAccepted of all requests at load {at}, in percent; more than by first fit\n");
    println!("| mix | first fit | planner | may move all | instances | compute slices |");
    println!("|--|--|--|--|--|--|");
    for mix in &MIXES {
        let each = all(|who| run(who, mix, load));
        let [first, planner, mover] = each.map(|it| 100.0 - it.refused() as f64 / 100.0);
        let (instances, slices) = (more(each, |it| it.accepted), more(each, |it| it.slice_ticks));
        println!(
            "| {} | {first:.1} | {planner:.1} | {mover:.1} | {instances} | {slices} |",
            mix.name
        );
    }
}

fn filled(load: Load) {
    println!("\nAccepted until the {FULL}th is refused, nothing ends\n");
    println!("| mix | first fit | planner | may move all |\n|--|--|--|--|");
    for mix in &MIXES {
        let [first, planner, mover] = all(|who| fill(who, mix, load.devices, FULL, load.seed));
        println!("| {} | {first} | {planner} | {mover} |", mix.name);
    }
}

fn waiting(load: Load) {
    println!("\nAccepted of {WAITING} a device that wait together on empty devices\n");
    println!("| mix | first fit | planner | may move all | instances | compute slices |");
    println!("|--|--|--|--|--|--|");
    for mix in &MIXES {
        let requests = u64::from(load.devices) * WAITING;
        let each = all(|who| together(who, mix, Load { requests, ..load }));
        let [first, planner, mover] = each.map(|it| it.accepted);
        let (instances, slices) = (more(each, |it| it.accepted), more(each, |it| it.slice_ticks));
        println!("| {} | {first} | {planner} | {mover} | {instances} | {slices} |", mix.name);
    }
}

fn all<T>(each: impl Fn(Who) -> T) -> [T; 3] {
    [Who::FirstFit, Who::Planner, Who::Mover].map(each)
}

/// What the planner has more than first fit, and in brackets the mover.
fn more(of: [Accepted; 3], figure: impl Fn(&Accepted) -> u64) -> String {
    let [first, planner, mover] = [0, 1, 2].map(|who| figure(&of[who]) as f64);
    let percent = |other: f64| 100.0 * (other / first - 1.0);
    format!("{:+.1} % ({:+.1})", percent(planner), percent(mover))
}

/// The highest load, in thousandths, at which no more than [`REFUSED`] are refused.
fn saturation(who: Who, mix: &Mix, load: Load) -> u64 {
    let (mut low, mut high) = (400, 1424);
    for _ in 0..STEPS {
        let permille = (low + high) / 2;
        match run(who, mix, Load { permille, ..load }).refused() > REFUSED {
            true => high = permille,
            false => low = permille,
        }
    }
    (low + high) / 2
}

fn options(all: Vec<Given>) -> Result<Load, String> {
    let mut load = Load { devices: 100, permille: 1000, requests: 20_000, seed: 42 };
    for given in all {
        match given.name.as_str() {
            "--devices" => load.devices = given.number(1..=10_000)?,
            "--requests" => load.requests = given.number(0..=u64::MAX)?,
            "--seed" => load.seed = given.number(0..=u64::MAX)?,
            _ => return Err(given.unknown()),
        }
    }
    Ok(load)
}
