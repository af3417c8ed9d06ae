//! The linear program against brute force: its answer is optimal exactly when the demand is met,
//! no pattern is worth more than a device, and what is asked for is worth the devices needed.

use proptest::prelude::*;
use weft_sim::pack::cutting::{Demand, WORTH, solve};
use weft_sim::pack::{Class, Mix, Node, Prices, pressure};

/// The largest worth of any set of requests on one device, by trying all.
fn best_pattern(sizes: &[(u16, f64)], room: u16) -> f64 {
    let Some(((size, worth), rest)) = sizes.split_first() else { return 0.0 };
    let with = |count: u16| f64::from(count) * worth + best_pattern(rest, room - count * size);
    (0..=room / size).map(with).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn is_optimal(sizes in proptest::collection::btree_map(90_u16..=1000, 1_u64..500, 1..5)) {
        let demand: Vec<Demand> =
            sizes.into_iter().map(|(milli, count)| Demand { milli, count }).collect();
        let solution = solve(&demand);
        let priced: Vec<(u16, f64)> = demand
            .iter()
            .zip(&solution.worth)
            .map(|(size, worth)| (size.milli, *worth as f64 / WORTH as f64))
            .collect();
        prop_assert!(best_pattern(&priced, 1000) <= 1.0 + 1e-9, "{solution:?}");
        let worth: f64 = demand.iter().zip(&priced).map(|(size, (_, w))| size.count as f64 * w).sum();
        prop_assert!((worth - solution.devices).abs() < 0.01, "{worth} {solution:?}");
        prop_assert!(solution.bound <= 1.0 + 1e-9);
    }
}

#[test]
fn by_hand() {
    // 81 of a hundred beside 16: of 100 devices for the large ones 10 hold a small one too.
    let demand = [Demand { milli: 160, count: 10 }, Demand { milli: 810, count: 100 }];
    let solution = solve(&demand);
    assert!((solution.devices - 100.0).abs() < 1e-9, "{solution:?}");
    assert_eq!(solution.worth, [0, WORTH]);
    // Thirds waste a hundredth: three of 330 on a device.
    let solution = solve(&[Demand { milli: 330, count: 90 }]);
    assert!((solution.bound - 0.99).abs() < 1e-9, "{solution:?}");
    assert!(solve(&[]).worth.is_empty());
}

#[test]
fn leftovers_are_worth_what_fits() {
    let demand = [Demand { milli: 250, count: 1 }, Demand { milli: 600, count: 1 }];
    let prices = Prices::from_worth(&demand, &[200_000, 700_000]);
    assert_eq!(prices.loss(249, 100), 0);
    assert_eq!(prices.loss(500, 250), 200_000);
    assert_eq!(prices.loss(1000, 600), 700_000);
    assert_eq!(prices.loss(850, 250), 200_000);
}

#[test]
fn scarce_is_what_others_insist_on() {
    let any = Class { cpu: 0, memory: 0, devices: 1, milli: 1000, models: u64::MAX };
    let first = Class { models: 0b01, ..any };
    let pool = [Node::new(0, 1, 0, 0), Node::new(1, 3, 0, 0)];
    // A quarter insists on the first model, which is a quarter of the pool: exactly full.
    let mix = Mix::weighted(vec![(any, 3), (first, 1)]);
    assert_eq!(pressure(&mix, &pool)[..3], [1000, 0, 0]);
    // Half: twice as much as there is, which counts as 1.5.
    let mix = Mix::weighted(vec![(any, 1), (first, 1)]);
    assert_eq!(pressure(&mix, &pool)[..3], [1500, 0, 0]);
}
