//! Prints waits by size in a pool's steady state beside what was measured of published packings:
//! `cargo run --release -p weft-sim --bin churn -- --traces <folder of openb>`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::print_stderr, reason = "errors go beside it")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use weft_sim::churn::{Ends, LIFE, Outcome, Setup, Size, churn, plan_churn};
use weft_sim::openb::{Learned, PolicyName, Pool};
use weft_sim::trace::{openb_machines, openb_requests};

const HELP: &str = "\
Usage: churn --traces DIR [options]

  --traces DIR     folder with openb_node_list_gpu_node.csv and openb_pod_list_*.csv
  --list NAME      which list; else default
  --policies a,b   these packings only, as in Fgd,Weft; else Random,BestFit,Packing,Fgd,Weft
  --load PERMILLE  devices asked for over devices there are; else 1000
  --events N       arrivals and departures, 1,000 to 10,000,000; else 220000
  --warm-up N      events before anything is counted; else 60000
  --seeds N        how many seeds from 1 on; else 1
  --ends WHAT      unknown, wrong or true: what the planner is told of lifetimes; else wrong
  --without-planner packings alone; else the production planner, too, keeping machines for large
                   requests and not";

/// What was measured before with the same rules and one seed: waits of shares, whole devices and
/// eight devices in lifetimes, allocation in hundredths of a percent. From the project's notes.
const NOTED: [(PolicyName, [f64; 3], f64); 4] = [
    (PolicyName::Random, [0.026, 0.093, 4.09], 95.72),
    (PolicyName::BestFit, [0.026, 0.074, 2.43], 95.48),
    (PolicyName::Packing, [0.046, 0.124, 1.98], 95.83),
    (PolicyName::Fgd, [0.065, 0.198, 1.47], 95.82),
];

struct Options {
    traces: PathBuf,
    list: String,
    policies: Vec<PolicyName>,
    seeds: u64,
    planner: bool,
    setup: Setup,
}

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    if asked.is_empty() || asked.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match options(asked).and_then(|options| experiment(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn defaults() -> Options {
    let setup = Setup {
        policy: PolicyName::Weft,
        events: 220_000,
        warm_up: 60_000,
        load: 1000,
        seed: 1,
        ends: Ends::Wrong,
    };
    let mut policies: Vec<PolicyName> = NOTED.iter().map(|(policy, _, _)| *policy).collect();
    policies.push(PolicyName::Weft);
    let (traces, list) = (PathBuf::new(), "default".to_owned());
    Options { traces, list, policies, seeds: 1, planner: true, setup }
}

fn options(asked: Vec<String>) -> Result<Options, String> {
    let mut options = defaults();
    let mut words = asked.into_iter();
    while let Some(word) = words.next() {
        if word == "--without-planner" {
            options.planner = false;
            continue;
        }
        let value = words.next().ok_or(format!("`{word}` needs a value\n{HELP}"))?;
        let wrong = || format!("`{word} {value}` is not understood\n{HELP}");
        let number = |least: u64, most: u64| {
            let number = value.parse().ok().filter(|n: &u64| (least..=most).contains(n));
            number.ok_or(format!("`{word} {value}`: {least} to {most}"))
        };
        let setup = &mut options.setup;
        match word.as_str() {
            "--traces" => options.traces = value.into(),
            "--list" => options.list = value,
            "--policies" => {
                options.policies = value.split(',').map(policy).collect::<Result<_, _>>()?;
            }
            "--load" => setup.load = number(1, 10_000)?,
            "--events" => setup.events = number(1_000, 10_000_000)?,
            "--warm-up" => setup.warm_up = number(0, 10_000_000)?,
            "--seeds" => options.seeds = number(1, 1000)?,
            "--ends" => {
                setup.ends = match value.as_str() {
                    "unknown" => Ends::Unknown,
                    "wrong" => Ends::Wrong,
                    "true" => Ends::True,
                    _ => return Err(wrong()),
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(options)
}

fn policy(name: &str) -> Result<PolicyName, String> {
    let called = |policy: &PolicyName| format!("{policy:?}").eq_ignore_ascii_case(name);
    let known = PolicyName::ALL.map(|policy| format!("{policy:?}")).join(", ");
    let found = PolicyName::ALL.into_iter().find(called);
    found.ok_or(format!("policy `{name}` is not known; there are: {known}"))
}

fn experiment(options: &Options) -> Result<(), String> {
    let read = |name: String| {
        let path = options.traces.join(name);
        let text = std::fs::read_to_string(&path);
        text.map_err(|error| format!("{}: {error}", path.display()))
    };
    let machines = openb_machines(&read("openb_node_list_gpu_node.csv".to_owned())?);
    let pool = Pool::new(&machines.map_err(|error| error.to_string())?)?;
    let trace = openb_requests(&read(format!("openb_pod_list_{}.csv", options.list))?);
    let requests = pool.requests(&trace.map_err(|error| error.to_string())?.jobs)?;
    let learned = Learned::of(&requests, &pool);
    println!(
        "{:<16} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6} {:>5} {:>7} decisions",
        "lifetimes",
        "cpu",
        "share",
        "whole",
        "eight",
        "all 8",
        "p90 8",
        "max 8",
        "alloc %",
        "moves",
        "left",
        "seconds"
    );
    for policy in &options.policies {
        let alone = Setup { policy: *policy, ..options.setup.clone() };
        print_run(options, &alone, format!("{policy:?}"), |setup| {
            Ok(churn(setup, &pool, &learned, &requests))
        })?;
        let noted = NOTED.iter().find(|(name, _, _)| name == policy);
        if let Some((_, [share, whole, eight], allocated)) = noted {
            println!(
                "{:<23} {share:>6.3} {whole:>6.3} {eight:>6.2} {:>20} {allocated:>7.2}",
                "  noted", ""
            );
        }
    }
    if options.planner {
        for (name, keeps) in [("planner", false), ("and keeps", true)] {
            print_run(options, &options.setup, name.to_owned(), |setup| {
                plan_churn(setup, &pool, &requests, keeps)
            })?;
        }
        println!("bar: eight at most 0.20 at an allocation of at least 95 %, moves at most 0.05");
    }
    Ok(())
}

fn print_run(
    options: &Options,
    setup: &Setup,
    name: String,
    run: impl Fn(&Setup) -> Result<Outcome, String>,
) -> Result<(), String> {
    let began = Instant::now();
    let seeds = (1..=options.seeds).map(|seed| run(&Setup { seed, ..setup.clone() }));
    let runs = seeds.collect::<Result<Vec<Outcome>, String>>()?;
    let mean = |of: &dyn Fn(&Outcome) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let lives = |ticks: u64| ticks as f64 / LIFE as f64;
    let waits = |size: Size| mean(&|run| lives(run.of(size).mean()));
    let decisions = runs.iter().fold(0_u64, |hash, run| hash.rotate_left(1) ^ run.decisions);
    println!(
        "{name:<16} {:>6.3} {:>6.3} {:>6.3} {:>6.2} {:>6.2} {:>6.2} {:>6.2} {:>7.2} {:>6.3} \
         {:>5.0} {:>7.1} {decisions:016x}",
        waits(Size::None),
        waits(Size::Share),
        waits(Size::Whole),
        waits(Size::Eight),
        mean(&|run| lives(run.of(Size::Eight).mean_of_all())),
        mean(&|run| lives(run.of(Size::Eight).at(900))),
        mean(&|run| lives(run.of(Size::Eight).at(1000))),
        mean(&|run| run.allocation() as f64 / 100.0),
        mean(&|run| run.moves as f64 / run.placements.max(1) as f64),
        mean(&|run| run.left_waiting as f64),
        began.elapsed().as_secs_f64() / options.seeds as f64,
    );
    Ok(())
}
