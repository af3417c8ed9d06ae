//! Logs of a few jobs, whose course can be told beforehand.

use weft_sched::Order;
use weft_sim::replay::{JobOutcome, Setup, Summary, Teams, replay};
use weft_sim::trace::{Job, philly};
use weft_types::Millis;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// A large job, and a short one an hour later.
const TWO: &str = "timestamp,duration,num_gpus,gpu_time,cluster
2017-10-09 00:00:00,36000.0,8,0,team-a
2017-10-09 01:00:00,600.0,1,0,team-b
";

fn setup(order: Order) -> Setup {
    Setup {
        machines: 1,
        devices: 8,
        order,
        teams: Teams::One,
        suspend: Millis::from_secs(60),
        fixed_percent: 0,
        wrong: false,
        seed: 1,
        round: Millis::from_secs(60),
    }
}

fn jobs(text: &str) -> Vec<Job> {
    philly(text).expect("a log").jobs
}

fn run(setup: &Setup, text: &str) -> Vec<JobOutcome> {
    replay(setup, &jobs(text), |_| {}).jobs
}

fn took(job: &JobOutcome) -> u64 {
    job.end.since(job.submit).0
}

#[test]
fn in_the_order_of_submission_the_short_one_waits() {
    let done = run(&setup(Order::Submission), TWO);
    assert_eq!(took(&done[0]), 10 * HOUR);
    assert_eq!(done[1].start.since(done[1].submit).0, 9 * HOUR);
    assert_eq!(took(&done[1]), 9 * HOUR + 10 * MINUTE);
}

#[test]
fn where_time_is_shared_the_large_one_makes_place_and_goes_on() {
    let done = run(&setup(Order::Service), TWO);
    assert_eq!((done[1].start, done[1].suspensions), (done[1].submit, 0));
    assert_eq!(took(&done[1]), 10 * MINUTE);
    // Ten minutes away and one minute to come back.
    assert_eq!((took(&done[0]), done[0].suspensions), (10 * HOUR + 11 * MINUTE, 1));
}

#[test]
fn what_cannot_be_suspended_is_left_alone() {
    let fixed = Setup { fixed_percent: 100, ..setup(Order::Service) };
    let done = run(&fixed, TWO);
    assert_eq!((took(&done[0]), done[0].suspensions), (10 * HOUR, 0));
}

#[test]
fn a_job_larger_than_the_pool_is_left_out() {
    let text = TWO.replace(",8,", ",9,");
    assert_eq!(run(&setup(Order::Service), &text).len(), 1);
}

#[test]
fn a_team_that_lends_gets_its_devices_back() {
    // Each team used half of the device time, so each has four of the eight.
    let text = "timestamp,duration,num_gpus,gpu_time,cluster
2017-10-09 00:00:00,36000.0,8,0,team-a
2017-10-09 01:00:00,72000.0,4,0,team-b
";
    let pooled = Setup { teams: Teams::Pooled, ..setup(Order::Submission) };
    let done = run(&pooled, text);
    assert_eq!(done[1].start, done[1].submit);
    let dedicated = Setup { teams: Teams::Dedicated, ..pooled };
    assert_eq!(run(&dedicated, text).len(), 1, "eight devices are more than its own four");
}

#[test]
fn the_same_seed_gives_the_same_lives_and_figures() {
    let mut text = String::from("timestamp,duration,num_gpus,gpu_time,cluster\n");
    for job in 0..120 {
        let (gpus, team) = ([1, 1, 2, 4, 8, 12][job % 6], job % 3);
        let (hour, minute) = (job / 60, job % 60);
        let seconds = 300 + (job * job * 37) % 20_000;
        text += &format!("2017-10-09 0{hour}:{minute:02}:00,{seconds}.0,{gpus},0,t{team}\n");
    }
    let setup = Setup { machines: 2, wrong: true, fixed_percent: 30, ..setup(Order::Service) };
    let first = run(&setup, &text);
    assert_eq!(first.len(), 120);
    assert_eq!(first, run(&setup, &text));
    assert!(first.iter().all(|job| job.end.since(job.start).0 >= job.duration.0));
    let summary = Summary::of(&first);
    assert!(summary.suspensions > 0 && summary.wait.p50 <= summary.wait.max);
}
