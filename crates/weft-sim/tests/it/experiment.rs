//! The openb experiment on an excerpt: it repeats, and the order of its files does not matter.

use weft_sim::openb::{Learned, PolicyName, Pool, arrivals, published, run};
use weft_sim::trace::{Job, Machine, openb_machines, openb_requests};

fn excerpt() -> (Vec<Machine>, Vec<Job>) {
    let machines = openb_machines(include_str!("../data/openb_nodes.csv")).expect("machines");
    let trace = openb_requests(include_str!("../data/openb_pods.csv")).expect("requests");
    (machines, trace.jobs)
}

fn decisions(machines: &[Machine], jobs: &[Job], policy: PolicyName) -> (u64, Option<f64>) {
    let pool = Pool::new(machines).expect("a pool");
    let requests = pool.requests(jobs).expect("requests");
    let learned = Learned::of(&requests, &pool);
    let result = run(policy, &pool, &learned, &arrivals(&requests, pool.capacity(), 42), 42);
    (result.decisions, (90..=100).rev().find_map(|percent| result.allocated(percent)))
}

#[test]
fn every_policy_repeats_whatever_the_order_of_the_files() {
    let (mut machines, mut jobs) = excerpt();
    let before = PolicyName::ALL.map(|policy| decisions(&machines, &jobs, policy));
    machines.reverse();
    jobs.reverse();
    let after = PolicyName::ALL.map(|policy| decisions(&machines, &jobs, policy));
    assert_eq!(before.map(|(_, allocated)| allocated.is_some()), [true; 7]);
    assert_eq!(before, after);
}

#[test]
fn arrivals_stop_at_1_3_times_the_pool() {
    let (machines, jobs) = excerpt();
    let pool = Pool::new(&machines).expect("a pool");
    let requests = pool.requests(&jobs).expect("requests");
    let order = arrivals(&requests, pool.capacity(), 7);
    let demand: u64 = order.iter().map(|class| u64::from(class.total())).sum();
    let target = pool.capacity() * 13 / 10;
    // The last may exceed it by what the artifact's test leaves out, seven devices of eight.
    assert!(demand > target - 8000 && demand <= target + 7000, "{demand} of {target}");
    assert_ne!(order, arrivals(&requests, pool.capacity(), 8));
}

#[test]
fn published_results_are_means_over_seeds() {
    let text = "workload,sc_policy,tune,seed,100,130\nl,p,1.3,42,90.0,91\nl,p,1.3,43,92,93.5\n";
    let means = published(text).expect("a table");
    assert_eq!(means.get(&("l".to_owned(), "p".to_owned())), Some(&(91.0, 92.25)));
}

#[test]
fn what_is_too_large_is_refused_by_name() {
    let (mut machines, _) = excerpt();
    machines[0].devices = 17;
    let said = Pool::new(&machines).expect_err("17 devices");
    assert_eq!(said, "machine `openb-node-0000`: 17 devices; at most 16");
}
