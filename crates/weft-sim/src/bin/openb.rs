//! Prints the standard packing experiment beside what was published:
//! `cargo run --release -p weft-sim --bin openb -- --traces <folder of openb>`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use weft_sim::openb::{
    Learned, PolicyName, Pool, Published, arrivals, decision_times, published, run, run_planner,
};
use weft_sim::options::{Given, program};
use weft_sim::pack::{Class, Terms};
use weft_sim::trace::{openb_machines, openb_requests};

const HELP: &str = "\
Usage: openb --traces DIR [OPTIONS]

  --traces DIR    folder with openb_node_list_gpu_node.csv, openb_pod_list_*.csv and
                  expected_results/analysis_allo_discrete.csv
  --lists a,b     these lists only, as in default,gpuspec33; else all in the folder
  --policies a,b  these policies only, as in Fgd,Weft; else all
  --seeds N       how many seeds from 42 on, 1 to 1000; else 10, as published
  --planner yes   also through the production planner, and how many decisions a second that is
  --times N       a pool of so many times the machines, 1 to 100; else 1
  --clock yes     also how long each decision of Weft's score takes
  --without a,b   Weft's score without these terms: strand, tight, scarce, bid";
/// First seed of the published runs.
const FIRST_SEED: u64 = 42;

struct Options {
    traces: PathBuf,
    lists: Option<Vec<String>>,
    policies: Vec<PolicyName>,
    seeds: u64,
    planner: bool,
    times: usize,
    clock: bool,
    terms: Terms,
}

fn main() -> ExitCode {
    program(HELP, &["--traces"], |given| experiment(&options(given)?))
}

fn options(all: Vec<Given>) -> Result<Options, String> {
    let mut options = Options {
        traces: PathBuf::new(),
        lists: None,
        policies: PolicyName::ALL.to_vec(),
        seeds: 10,
        planner: false,
        times: 1,
        clock: false,
        terms: Terms::default(),
    };
    for given in all {
        let mut parts = given.parts();
        match (given.name.as_str(), given.value.as_str()) {
            ("--traces", folder) => options.traces = folder.into(),
            ("--lists", _) => options.lists = Some(parts.map(str::to_owned).collect()),
            ("--policies", _) => options.policies = parts.map(policy).collect::<Result<_, _>>()?,
            ("--planner", "yes") => options.planner = true,
            ("--planner", _) => return Err(given.wrong("yes, or leave it out")),
            ("--clock", "yes") => options.clock = true,
            ("--clock", _) => return Err(given.wrong("yes, or leave it out")),
            ("--times", _) => options.times = given.number(1..=100)?,
            ("--without", _) => parts.try_for_each(|term| drop_term(&mut options.terms, term))?,
            ("--seeds", _) => options.seeds = given.number(1..=1000)?,
            _ => return Err(given.unknown()),
        }
    }
    Ok(options)
}

fn drop_term(terms: &mut Terms, name: &str) -> Result<(), String> {
    match name {
        "strand" => terms.strand = 0,
        "tight" => terms.tight = 0,
        "scarce" => terms.scarce = 0,
        "bid" => terms.bid = 0,
        _ => return Err(format!("`--without {name}`: strand, tight, scarce or bid")),
    }
    Ok(())
}

fn policy(name: &str) -> Result<PolicyName, String> {
    let called = |policy: &PolicyName| format!("{policy:?}").eq_ignore_ascii_case(name);
    let known = PolicyName::ALL.map(|policy| format!("{policy:?}")).join(", ");
    let found = PolicyName::ALL.into_iter().find(called);
    found.ok_or(format!("policy `{name}` is not known; there are: {known}"))
}

fn experiment(options: &Options) -> Result<(), String> {
    let machines = read(&options.traces.join("openb_node_list_gpu_node.csv"), openb_machines)?;
    let pool = Pool::new(&machines)?.times(options.times);
    let results = options.traces.join("expected_results/analysis_allo_discrete.csv");
    let published = read(&results, published)?;
    println!(
        "{:<12} {:<14} {:>15} {:>15} {:>13} {:>8} {:>8} {:>8} decisions",
        "list",
        "policy",
        "ours 100/130 %",
        "published",
        "difference",
        "LP bound",
        "cpu only",
        "seconds"
    );
    let began = Instant::now();
    for list in lists(options)? {
        let trace =
            read(&options.traces.join(format!("openb_pod_list_{list}.csv")), openb_requests)?;
        let requests = pool.requests(&trace.jobs)?;
        let mut learned = Learned::of(&requests, &pool);
        learned.terms = options.terms;
        for policy in &options.policies {
            print_line(options, &pool, &learned, &requests, &published, &list, *policy);
        }
        if options.planner {
            print_planner(options, &pool, &learned, &requests, &list)?;
        }
        if options.clock {
            print_times(&pool, &learned, &requests, &list);
        }
    }
    println!("{:.1} s in all", began.elapsed().as_secs_f64());
    Ok(())
}

fn print_line(
    options: &Options,
    pool: &Pool,
    learned: &Learned,
    requests: &[Class],
    published: &Published,
    list: &str,
    policy: PolicyName,
) {
    let began = Instant::now();
    let (mut at_100, mut at_130, mut decisions, mut cpu) = (0.0, 0.0, 0_u64, (0, 0));
    for seed in FIRST_SEED..FIRST_SEED + options.seeds {
        let order = arrivals(requests, pool.capacity(), seed);
        let result = run(policy, pool, learned, &order, seed);
        at_100 += result.allocated(100).unwrap_or(f64::NAN) / options.seeds as f64;
        at_130 += result.allocated(130).unwrap_or(f64::NAN) / options.seeds as f64;
        decisions = decisions.rotate_left(1) ^ result.decisions;
        cpu = (cpu.0 + result.without_devices.0, cpu.1 + result.without_devices.1);
    }
    // Ours has no published figure of its own; the best that was published is FGD's.
    let known = match policy {
        PolicyName::Weft => PolicyName::Fgd.published(),
        other => other.published(),
    };
    let known = published.get(&(format!("openb_pod_list_{list}"), known.to_owned()));
    let (was, differs) = match known {
        Some((a, b)) => {
            (format!("{a:.2} / {b:.2}"), format!("{:+.2} / {:+.2}", at_100 - a, at_130 - b))
        }
        None => ("-".to_owned(), "-".to_owned()),
    };
    println!(
        "{list:<12} {:<14} {:>15} {was:>15} {differs:>13} {:>8.2} {:>8.2} {:>8.2} {decisions:016x}",
        format!("{policy:?}"),
        format!("{at_100:.2} / {at_130:.2}"),
        100.0 * learned.bound,
        100.0 * cpu.1 as f64 / cpu.0.max(1) as f64,
        began.elapsed().as_secs_f64()
    );
}

/// The production planner's line, beside the score in an engine of its own: the same decisions.
fn print_planner(
    options: &Options,
    pool: &Pool,
    learned: &Learned,
    requests: &[Class],
    list: &str,
) -> Result<(), String> {
    let (mut at_100, mut at_130, mut took, mut made, mut same) = (0.0, 0.0, 0.0, 0, 0);
    for seed in FIRST_SEED..FIRST_SEED + options.seeds {
        let order = arrivals(requests, pool.capacity(), seed);
        let (result, seconds) = run_planner(pool, learned, &order)?;
        at_100 += result.allocated(100).unwrap_or(f64::NAN) / options.seeds as f64;
        at_130 += result.allocated(130).unwrap_or(f64::NAN) / options.seeds as f64;
        (took, made) = (took + seconds, made + order.len());
        let alone = run(PolicyName::Weft, pool, learned, &order, seed);
        same += u64::from(alone.decisions == result.decisions);
    }
    println!(
        "{list:<12} {:<14} {:>15} in one plan each: {:.0} decisions a second; {same} of {} plans \
         decide as the score alone",
        "Planner",
        format!("{at_100:.2} / {at_130:.2}"),
        made as f64 / took,
        options.seeds
    );
    Ok(())
}

/// How long each decision takes: of the first seed.
fn print_times(pool: &Pool, learned: &Learned, requests: &[Class], list: &str) {
    let mut times = decision_times(pool, learned, &arrivals(requests, pool.capacity(), FIRST_SEED));
    times.sort_unstable();
    let all: Duration = times.iter().sum();
    let micros = |per_mille: usize| {
        let at = (times.len() * per_mille / 1000).min(times.len().saturating_sub(1));
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    println!(
        "{list:<12} {:<14} {} decisions, one at a time: {:.0} a second; p50 {:.1}, p99 {:.1}, \
         longest {:.1} µs",
        "Weft",
        times.len(),
        times.len() as f64 / all.as_secs_f64(),
        micros(500),
        micros(990),
        micros(1000),
    );
}

fn lists(options: &Options) -> Result<Vec<String>, String> {
    if let Some(lists) = &options.lists {
        return Ok(lists.clone());
    }
    let folder = std::fs::read_dir(&options.traces);
    let folder = folder.map_err(|error| format!("{}: {error}", options.traces.display()))?;
    let name = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_prefix("openb_pod_list_")?.strip_suffix(".csv")?.to_owned())
    };
    let mut lists: Vec<String> = folder.flatten().filter_map(name).collect();
    lists.sort();
    Ok(lists)
}

fn read<T, E: std::fmt::Display>(
    path: &Path,
    reader: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    reader(&text).map_err(|error| format!("{}: {error}", path.display()))
}
