//! Kept scores give what a scan of all machines gives, and no machine gives more than it has.

use proptest::prelude::*;
use weft_sim::pack::{Class, Engine, Mix, Node, Policy, Prices, Terms, WHOLE, Weft, pressure};

fn class() -> impl Strategy<Value = Class> {
    let devices = prop_oneof![
        Just((0, 0)),
        (1..1000_u16).prop_map(|m| (1, m)),
        Just((1, 1000)),
        Just((2, 1000)),
        Just((4, 1000))
    ];
    (1..9_u32, 0..9_u64, devices, prop_oneof![Just(u64::MAX), 1..4_u64]).prop_map(
        |(cpu, memory, (devices, milli), models)| Class {
            cpu: cpu * 1000,
            memory,
            devices,
            milli,
            models,
        },
    )
}

fn node() -> impl Strategy<Value = Node> {
    (0..3_u8, 1..9_u8, 1..65_u32, 1..65_u64)
        .prop_map(|(model, devices, cpu, memory)| Node::new(model, devices, cpu * 1000, memory))
}

fn weft(classes: &[Class], nodes: &[Node]) -> Weft {
    let mix = Mix::of(classes);
    let pressure = pressure(&mix, nodes);
    Weft::new(mix, Prices::of(classes).0, pressure, Terms::default())
}

proptest! {
    #[test]
    fn kept_scores_are_those_of_a_scan(
        nodes in proptest::collection::vec(node(), 1..8),
        classes in proptest::collection::vec(class(), 1..6),
        order in proptest::collection::vec(0..6_usize, 1..60),
    ) {
        let mut engine = Engine::new(weft(&classes, &nodes), nodes.clone(), &classes);
        let mut scan = weft(&classes, &nodes);
        let mut model = nodes.clone();
        model.iter().enumerate().for_each(|(at, node)| scan.changed(at, node));
        for class in order.into_iter().map(|at| at % classes.len()) {
            let wanted = &classes[class];
            let room = (0..model.len()).filter(|at| model[*at].fits(wanted));
            let best = room.max_by_key(|at| (scan.score(wanted, *at, &model[*at]), usize::MAX - at));
            let best = best.map(|at| (at, scan.devices(wanted, at, &model[at])));
            prop_assert_eq!(engine.place(class), best);
            if let Some((at, devices)) = best {
                model[at].take(wanted, devices);
                scan.changed(at, &model[at]);
            }
            prop_assert_eq!(engine.nodes(), model.as_slice());
        }
        prop_assert!(model.iter().all(|node| node.frees().iter().all(|free| *free <= WHOLE)));
    }
}
