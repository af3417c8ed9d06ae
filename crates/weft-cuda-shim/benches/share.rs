//! Two containers that saturate one device of the stand-in, in real time: what each has of it.
//!
//! Each launches kernels of its own length and waits for them, for ten seconds. The device computes
//! one after the other, whoever asks.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/it/container.rs"]
mod container;
#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../weft-fakecuda/tests/it/trial.rs"]
mod trial;

use container::Container;
use std::fs;

/// Seconds of a run: the window in which shares are judged.
const SECONDS: &str = "10.0";
/// How far from its share a container may be, in thousandths.
const BAR: u64 = 30;
const GIB: u64 = 1 << 30;

fn main() {
    let mut missed = 0;
    for (shares, kernels_us) in [([700, 300], [2000, 2000]), ([500, 500], [1000, 4000])] {
        let had = run(shares, kernels_us);
        let off = had.iter().zip(shares).map(|(had, share)| had.abs_diff(u64::from(share)));
        let off = off.max().unwrap_or(0);
        println!(
            "shares {shares:?}, kernels of {kernels_us:?} us: had {had:?}, off {off}, bar {BAR}"
        );
        missed += u32::from(off > BAR);
    }
    std::process::exit(i32::from(missed > 0));
}

/// Thousandths of the device that each had.
fn run(shares: [u32; 2], kernels_us: [u64; 2]) -> [u64; 2] {
    let containers = shares.map(|share| Container::with(&[GIB], share));
    let time = containers[0].path("time");
    fs::write(&time, [0; 8]).expect("written");
    std::thread::scope(|scope| {
        let runs = [0, 1].map(|which| {
            let (container, kernel) = (&containers[which], kernels_us[which].to_string());
            let settings = format!("devices=1xH100-80 clock=real shared={time} kernel={kernel}us");
            scope.spawn(move || container.trial.passes("busy.py", &settings, &[SECONDS, &kernel]))
        });
        runs.map(|run| {
            let said = run.join().expect("no panic");
            let mut figures = said.split_whitespace().filter_map(|n| n.parse::<u64>().ok());
            let (used, passed) = (figures.next(), figures.next());
            used.zip(passed).map_or(0, |(used, passed)| used * 1000 / passed)
        })
    })
}
