//! The planner that is told what machines hold has less brought to them, and nobody waits for it.

use weft_sim::near::{Setup, near};

#[test]
fn less_is_brought_where_the_planner_is_told() {
    let told = Setup {
        machines: 16,
        jobs: 300,
        load: 800,
        versions: 40,
        cache_gb: 1_000,
        seed: 1,
        told: true,
    };
    let with = near(&told).unwrap();
    let without = near(&Setup { told: false, ..told.clone() }).unwrap();
    assert_eq!(with, near(&told).unwrap(), "the same seed, the same run");
    assert_eq!((with.started, with.read), (without.started, without.read));
    assert!(with.moved * 100 < without.moved * 97, "{with:?}\n{without:?}");
    // A minute each is within what another order of equals does.
    assert!(with.waited <= without.waited + 300 * 60_000, "{with:?}\n{without:?}");
}
