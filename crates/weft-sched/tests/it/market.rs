//! Packing by what is usually asked for: the rules hold as without it, and it packs better.

use crate::laws::laws;
use crate::pools::pool;
use proptest::prelude::*;
use weft_sched::case::{parse, print_plan};
use weft_sched::{Action, Engine, Market, Snapshot, apply, audit, plan};

/// The snapshot with a market learned from its own workloads.
fn priced(mut snapshot: Snapshot) -> Snapshot {
    let asked = snapshot.workloads.values();
    let asked = asked.map(|it| (it.request.clone(), it.phase, u64::from(it.gang)));
    snapshot.market = Market::learn(&snapshot, asked.collect::<Vec<_>>());
    snapshot
}

laws! {
    fn a_market_changes_no_rule(200, (snapshot, now) in pool()) {
        let snapshot = priced(snapshot);
        let first = plan(&snapshot, now);
        let findings = audit(&snapshot, &first, now);
        prop_assert!(findings.is_empty(), "{findings:?}\n{}", print_plan(&snapshot, &first, now));
        let after = apply(&snapshot, &first, now);
        let again = plan(&after, now);
        prop_assert!(again.actions.is_empty(), "{}", print_plan(&after, &again, now));
        let mut engine = Engine::new(snapshot);
        prop_assert_eq!(engine.plan(now), first.clone());
        engine.replace(after);
        prop_assert_eq!(engine.plan(now), again);
    }
}

#[test]
fn leftovers_are_used_where_least_is_given_up() {
    let text = "node n h100-80 x2\nqueue q gpu=2 cpu=64 memory=512GB\n\
                run w1 q gpu=0.4 on=n/0:0.4:32GB\nrun w2 q gpu=0.5 on=n/1:0.5:40GB\n\
                want w3 q gpu=0.3\n";
    let case = parse(text).expect("a case");
    let place = |snapshot: &Snapshot| match &plan(snapshot, case.now).actions[..] {
        [Action::Start { placements, .. }] => placements[0].grants[0].device().index,
        other => panic!("{other:?}"),
    };
    assert_eq!(place(&case.snapshot), 1, "the fullest");
    let usual = |words: &str, times: u64| {
        let text = format!("queue q\nwant w1 q {words}\n");
        let one = parse(&text).expect("a case").snapshot.workloads.into_values().next();
        let one = one.expect("one");
        (one.request, one.phase, times)
    };
    // Two halves fill a device, and three of 0.3 nearly do: what is left of 0.5 is worth 1/2, of
    // 0.6 it is 2/3, of 0.3 it is 1/3, of 0.2 nothing.
    let asked = [usual("gpu=0.5", 90), usual("gpu=0.3", 10)];
    let mut snapshot = case.snapshot.clone();
    snapshot.market = Market::learn(&snapshot, asked);
    assert_eq!(place(&snapshot), 0, "the half is kept for another half");
}

#[test]
fn a_market_without_devices_is_none() {
    let case = parse("node n cpu=8\nqueue q\nwant w1 q cpu=1\n").expect("a case");
    let one = case.snapshot.workloads.values().next().expect("one");
    let asked = [(one.request.clone(), one.phase, 7)];
    assert_eq!(Market::learn(&case.snapshot, asked), None);
    assert_eq!(Market::learn(&case.snapshot, []), None);
}
