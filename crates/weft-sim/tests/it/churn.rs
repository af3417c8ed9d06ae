//! A pool in its steady state: packings starve large requests, drain plans do not, equal runs are
//! equal.

use weft_sim::churn::drain::{Drains, Held, Settings};
use weft_sim::churn::{Ends, LIFE, Outcome, Setup, Size, churn};
use weft_sim::openb::{Learned, PolicyName, Pool};
use weft_sim::pack::{Class, Node};
use weft_sim::trace::Machine;
use weft_types::{Bytes, MilliCpu};

const DRAIN: Settings =
    Settings { large: 8, spare: 500, life: LIFE, patience: LIFE / 20, moves: 0 };

fn class(devices: u8, milli: u16) -> Class {
    Class { cpu: 1000, memory: 0, devices, milli, models: u64::MAX }
}

/// Thirty machines of eight, three tenths of whose load asks for all eight.
fn run(drain: Option<Settings>, ends: Ends) -> Outcome {
    let machine = |number| Machine {
        name: format!("m{number}"),
        cpu: MilliCpu(96_000),
        memory: Bytes(1 << 40),
        devices: 8,
        model: "m".to_owned(),
    };
    let pool = Pool::new(&(0..30).map(machine).collect::<Vec<_>>()).expect("a pool");
    let mut requests = vec![class(1, 1000); 20];
    requests.extend([class(1, 500); 20]);
    requests.extend([class(8, 1000); 2]);
    let learned = Learned::of(&requests, &pool);
    let setup = Setup {
        policy: PolicyName::Weft,
        events: 12_000,
        warm_up: 3_000,
        load: 1000,
        seed: 3,
        ends,
        drain,
    };
    churn(&setup, &pool, &learned, &requests)
}

#[test]
fn drain_plans_serve_what_a_packing_starves() {
    let (alone, drained) = (run(None, Ends::Wrong), run(Some(DRAIN), Ends::Wrong));
    let wait = |outcome: &Outcome| outcome.of(Size::Eight).mean_of_all();
    assert!(wait(&drained) * 3 < wait(&alone), "{} of {}", wait(&drained), wait(&alone));
    assert!(drained.allocation() > 8_500, "{}", drained.allocation());
    assert_eq!((alone.moves, drained.moves), (0, 0));
    assert_eq!(drained, run(Some(DRAIN), Ends::Wrong), "equal runs");
}

#[test]
fn moves_stay_within_their_budget_and_help() {
    let moving = Settings { moves: 40, ..DRAIN };
    let moved = run(Some(moving), Ends::Unknown);
    assert!(moved.moves > 0);
    // What was earned while nothing was counted may be spent when it is.
    assert!(moved.moves * 1000 <= 40 * (moved.placements + 3_000), "{}", moved.moves);
    let still = run(Some(DRAIN), Ends::Unknown);
    assert!(moved.of(Size::Eight).mean() < still.of(Size::Eight).mean());
}

#[test]
fn a_group_keeps_what_its_large_request_left_and_small_ones_stay_off() {
    let empty = vec![Node::new(0, 8, 96_000, 0); 3];
    let (large, small) = (class(8, 1000), class(1, 500));
    let mut drains = Drains::new(DRAIN, &empty, &[large, small]);
    let group = drains.group(&large).expect("large");
    assert_eq!((drains.group(&small), drains.admits(&small, 0)), (None, Some(false)));
    drains.came(group, 0);
    drains.runs_on(group, 1);
    assert_eq!((drains.admits(&small, 1), drains.admits(&large, 1)), (None, Some(true)));
    // Demand was one for a lifetime, so that one machine and a half of its root are kept.
    drains.settle(LIFE, |_| Vec::new());
    drains.ended(group, LIFE);
    drains.settle(LIFE, |_| Vec::new());
    let kept = (0..3).filter(|at| drains.admits(&small, *at).is_none()).count();
    assert_eq!(kept, 2);
    // Forgotten after many lifetimes without demand.
    drains.settle(LIFE * 200, |_| Vec::new());
    assert!((0..3).all(|at| drains.admits(&small, at) == Some(false)));
}

#[test]
fn the_machine_that_is_empty_soonest_is_drained() {
    let empty = vec![Node::new(0, 8, 96_000, 0); 3];
    let large = class(8, 1000);
    let held = |at: usize| {
        let remaining = [LIFE, LIFE / 10, LIFE / 2][at];
        vec![Held { milli: 1000, remaining }; 8]
    };
    let mut drains = Drains::new(DRAIN, &empty, &[large]);
    drains.came(0, 0);
    drains.settle(0, held);
    assert_eq!([0, 1, 2].map(|at| drains.drains(at)), [false, true, false]);
    assert_eq!(drains.admits(&large, 1), None, "not before it is empty");
    drains.is_empty(1);
    assert_eq!(drains.admits(&large, 1), Some(true));
}
