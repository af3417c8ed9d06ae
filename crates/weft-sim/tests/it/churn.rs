//! A pool in its steady state: packings starve large requests, the planner that keeps machines for
//! them does not, equal runs are equal.

use weft_sim::churn::{Ends, Outcome, Setup, Size, churn, plan_churn};
use weft_sim::openb::{Learned, PolicyName, Pool};
use weft_sim::pack::Class;
use weft_sim::trace::Machine;
use weft_types::{Bytes, MilliCpu};

fn class(devices: u8, milli: u16) -> Class {
    Class { cpu: 1000, memory: 0, devices, milli, models: u64::MAX }
}

/// Forty-eight machines of eight, three tenths of whose load asks for all eight.
fn pool() -> (Pool, Vec<Class>) {
    let machine = |number| Machine {
        name: format!("m{number}"),
        cpu: MilliCpu(96_000),
        memory: Bytes(1 << 40),
        devices: 8,
        model: "m".to_owned(),
    };
    let pool = Pool::new(&(0..48).map(machine).collect::<Vec<_>>()).expect("a pool");
    let mut requests = vec![class(1, 1000); 20];
    requests.extend([class(1, 500); 20]);
    requests.extend([class(8, 1000); 2]);
    (pool, requests)
}

fn setup(events: u64) -> Setup {
    Setup {
        policy: PolicyName::Weft,
        events,
        warm_up: events / 3,
        load: 1000,
        seed: 3,
        ends: Ends::Wrong,
    }
}

fn wait(outcome: &Outcome) -> u64 {
    outcome.of(Size::Eight).mean_of_all()
}

#[test]
fn the_planner_serves_what_a_packing_starves() {
    let ((pool, requests), setup) = (pool(), setup(8_000));
    let run = |keeps| plan_churn(&setup, &pool, &requests, keeps).expect("a pool");
    let (alone, keeps) = (run(false), run(true));
    assert!(wait(&keeps) * 2 < wait(&alone), "{} of {}", wait(&keeps), wait(&alone));
    assert!(keeps.allocation() > 8_500, "{}", keeps.allocation());
    assert_eq!((alone.moves, keeps.moves), (0, 0));
}

#[test]
fn equal_runs_are_equal() {
    let ((pool, requests), setup) = (pool(), setup(2_000));
    let run = || plan_churn(&setup, &pool, &requests, true).expect("a pool");
    assert_eq!(run(), run());
    let learned = Learned::of(&requests, &pool);
    let run = || churn(&setup, &pool, &learned, &requests);
    assert_eq!(run(), run());
}
