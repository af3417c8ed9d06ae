//! What waiting jobs are told, on logs whose course can be told beforehand.

use weft_sched::Order;
use weft_sim::eta::{Setup, Summary, guesses};
use weft_sim::trace::{Job, philly};
use weft_types::Millis;

const HOUR: u64 = 3_600_000;

fn setup(wrong_tenths: usize) -> Setup {
    Setup {
        machines: 1,
        devices: 8,
        order: Order::Submission,
        suspend: None,
        wrong_tenths,
        round: Millis::from_secs(60),
        every: 1,
        seed: 1,
    }
}

fn jobs(lines: &[String]) -> Vec<Job> {
    let text = format!("timestamp,duration,num_gpus,gpu_time,cluster\n{}", lines.join("\n"));
    philly(&text).expect("a log").jobs
}

fn at(hour: u64, minute: u64, seconds: u64, gpus: u64) -> String {
    format!("2017-10-09 {hour:02}:{minute:02}:00,{seconds}.0,{gpus},0,team")
}

#[test]
fn where_run_times_are_known_the_wait_is() {
    let log = jobs(&[at(0, 0, 36_000, 8), at(1, 0, 600, 1), at(2, 0, 7200, 8)]);
    let told = guesses(&setup(0), &log, |_| {});
    let waits: Vec<u64> = told.iter().map(|guess| guess.start.since(guess.submit).0).collect();
    assert_eq!(waits, [9 * HOUR, 8 * HOUR + HOUR / 6]);
    assert!(told.iter().all(|guess| guess.eta == Some(guess.start)), "{told:?}");
    let summary = Summary::of(&told, Millis(60_000));
    assert_eq!((summary.jobs, summary.error, summary.close), (2, Some(0), 2));
}

#[test]
fn nobody_is_told_now_because_something_runs_longer_than_was_thought() {
    // A day's work each, one after the other: whatever was thought of it, nothing ends soon.
    let log = jobs(&[at(0, 0, 86_400, 8), at(20, 0, 600, 8)]);
    for seed in 1..30 {
        let told = guesses(&Setup { seed, ..setup(10) }, &log, |_| {});
        let eta = told[0].eta.expect("an estimate");
        // At least a sixteenth of the least that it may run still.
        assert!(eta.since(told[0].submit).0 > 20 * HOUR / 40, "seed {seed}: {told:?}");
    }
}

#[test]
fn equal_runs_tell_the_same() {
    let line = |n: u64| at(n / 60, n % 60, 300 + n * n * 37 % 20_000, [1, 2, 4, 8][n as usize % 4]);
    let log = jobs(&(0..80).map(line).collect::<Vec<_>>());
    let setup = Setup { suspend: Some(Millis::from_secs(60)), ..setup(10) };
    for order in [Order::Submission, Order::Service] {
        let setup = Setup { order, ..setup.clone() };
        let told = guesses(&setup, &log, |_| {});
        assert_eq!(told, guesses(&setup, &log, |_| {}));
        assert!(!told.is_empty());
    }
}
