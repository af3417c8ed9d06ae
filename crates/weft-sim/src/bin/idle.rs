//! Prints on how few devices a recorded serving cluster would do if idle pods were suspended:
//! `cargo run --release -p weft-sim --bin idle -- --duty F --memory F --loads F`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::process::ExitCode;
use std::time::Instant;
use weft_sim::idle::{Burst, Outcome, Setup, bursts, loads, serve};
use weft_sim::options::{Given, program};

const HELP: &str = "\
Usage: idle --duty FILE --memory FILE --loads FILE [options]

  --duty FILE    samples of how busy each pod's device was, in percent, as CSV with the columns
                 timestamp_anon, value, container_ip (pod_gpu_duty_cycle_anon.csv, unpacked)
  --memory FILE  likewise, bytes of device memory held (pod_gpu_memory_used_bytes_anon.csv)
  --loads FILE   milliseconds that loads of models took, in the column value
                 (basemodel_update_latency_anon.csv)
  --devices N    devices; else 30 % of the pods
  --device-memory GIB  memory of a device; else 48, the least that holds what was recorded
  --linger S     seconds an idle pod stays where it is when nobody needs the place; else 15
  --link MBS     megabytes a second between a device and its host; else 12000
  --toggle MS    what a suspension or a return costs beside the copy; else 1400
  --seed N       when within a sample pods work; else 1";

/// The bar: devices over pods, in hundredths.
const BAR_PERCENT: usize = 30;

/// Times to linger that are tried, in seconds.
const LINGERS: [u64; 7] = [0, 15, 30, 60, 120, 300, 3600];

/// Times are seconds: from a request to the pod's memory being back, and to its work's begin.
const HEADING: &str = "\
devices  share  linger    hot   resume   resume    begin    begin    begin    used  host GiB
                     s           p50        p99      p50      p90      p99       %";

struct Options {
    files: [String; 3],
    devices: Option<u32>,
    setup: Setup,
    seed: u64,
}

fn main() -> ExitCode {
    program(HELP, &["--duty", "--memory", "--loads"], |given| run(&options(given)?))
}

fn options(all: Vec<Given>) -> Result<Options, String> {
    let setup = Setup { devices: 0, memory: 48 * 1024, linger: 15_000, link: 12_000, toggle: 1400 };
    let mut options = Options { files: Default::default(), devices: None, setup, seed: 1 };
    for given in all {
        let number = |most: u64| given.number::<u64>(0..=most);
        match given.name.as_str() {
            "--duty" => options.files[0] = given.value,
            "--memory" => options.files[1] = given.value,
            "--loads" => options.files[2] = given.value,
            "--devices" => options.devices = Some(given.number(0..=100_000)?),
            "--device-memory" => options.setup.memory = number(4096)? * 1024,
            "--linger" => options.setup.linger = number(1_000_000)? * 1000,
            // Megabytes to mebibytes.
            "--link" => options.setup.link = number(10_000_000)? * 1_000_000 / (1 << 20),
            "--toggle" => options.setup.toggle = number(600_000)?,
            "--seed" => options.seed = number(u64::MAX)?,
            _ => return Err(given.unknown()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let read =
        |file: &String| std::fs::read_to_string(file).map_err(|error| format!("`{file}`: {error}"));
    let [duty, memory, times] = &options.files;
    let (bursts, pods) =
        bursts(&read(duty)?, &read(memory)?, options.seed).map_err(|error| error.to_string())?;
    let loads = loads(&read(times)?).map_err(|error| format!("{times}: {error}"))?;
    let setup = Setup {
        devices: options.devices.unwrap_or((pods * BAR_PERCENT / 100) as u32),
        ..options.setup
    };
    let too_large = bursts.iter().filter(|burst| burst.memory > setup.memory).count();
    println!("{pods} pods, {} bursts of work, {too_large} larger than a device", bursts.len());
    let seconds = |time: u64| time as f64 / 1000.0;
    let load = |permille| seconds(Outcome::at(&loads, permille));
    println!("recorded loads of a model: p50 {:.1} s, p99 {:.1} s", load(500), load(990));
    println!("{HEADING}");
    let outcome = serve(&setup, &bursts, pods);
    print(&setup, &outcome, pods);
    let quick = Outcome::at(&outcome.resumes, 990) <= Outcome::at(&loads, 500);
    let few = setup.devices as usize * 100 <= pods * BAR_PERCENT;
    println!(
        "bar: at most {BAR_PERCENT} % of a device for each pod ({}), p99 of resumes within the \
         median load ({})",
        if few { "met" } else { "missed" },
        if quick { "met" } else { "missed" }
    );
    println!("linger, s, on as many devices:");
    for linger in LINGERS {
        let setup = Setup { linger: linger * 1000, ..setup };
        print(&setup, &serve(&setup, &bursts, pods), pods);
    }
    let began = Instant::now();
    let enough = fewest(&setup, &bursts, pods, Outcome::at(&loads, 500));
    println!("fewest devices with a p99 of resumes within the median load, and others:");
    for devices in [enough, 20, 30, 60, pods as u32] {
        let setup = Setup { devices, ..setup };
        print(&setup, &serve(&setup, &bursts, pods), pods);
    }
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn print(setup: &Setup, outcome: &Outcome, pods: usize) {
    let at = |times: &[u64], permille| Outcome::at(times, permille) as f64 / 1000.0;
    let percent = |part: u64, of: u64| 100.0 * part as f64 / of.max(1) as f64;
    println!(
        "{:>7} {:>5.1}% {:>7} {:>5.1}% {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>7.2} {:>9}  \
         {:016x}",
        setup.devices,
        percent(setup.devices.into(), pods as u64),
        setup.linger / 1000,
        percent(outcome.hot, outcome.delays.len() as u64),
        at(&outcome.resumes, 500),
        at(&outcome.resumes, 990),
        at(&outcome.delays, 500),
        at(&outcome.delays, 900),
        at(&outcome.delays, 990),
        outcome.utilisation() as f64 / 100.0,
        outcome.host / 1024,
        outcome.decisions,
    );
}

/// The fewest devices on which resumes are quick enough: they fall with every device, but for
/// chance, so that halving finds it.
fn fewest(setup: &Setup, bursts: &[Burst], pods: usize, limit: u64) -> u32 {
    let (mut too_few, mut enough) = (0, pods as u32);
    while enough - too_few > 1 {
        let devices = (too_few + enough) / 2;
        let outcome = serve(&Setup { devices, ..*setup }, bursts, pods);
        match Outcome::at(&outcome.resumes, 990) <= limit {
            true => enough = devices,
            false => too_few = devices,
        }
    }
    enough
}
