//! What is said to help, helps: checked by changing the snapshot and planning again, which shares
//! nothing with the search but the planner itself.

use crate::laws::laws;
use crate::pools::{pool, starts};
use proptest::prelude::*;
use std::path::PathBuf;
use weft_sched::case::{parse, print_plan, print_snapshot};
use weft_sched::{
    Engine, May, Reason, Relaxation, Snapshot, Then, Why, WorkloadState, apply, describe,
    describe_change, describe_relaxation, impossible, plan, possible_with,
};
use weft_types::{Timestamp, WorkloadId};

fn waiting(snapshot: &Snapshot) -> Vec<WorkloadId> {
    let waits = |state: &WorkloadState| matches!(state, WorkloadState::Pending(_));
    let workloads = snapshot.workloads.iter();
    workloads.filter(|(_, workload)| waits(&workload.state)).map(|(id, _)| *id).collect()
}

fn why(snapshot: &Snapshot, id: WorkloadId, now: Timestamp, may: &May) -> Option<Why> {
    Engine::new(snapshot.clone()).why(id, now, may)
}

fn anything(snapshot: &Snapshot) -> May {
    May { queues: snapshot.queues.keys().cloned().collect(), priority: 6 }
}

laws! {
    fn what_is_said_to_help_helps(
        80, ((snapshot, now), quiet) in (pool(), any::<bool>())
    ) {
        // Before what can start has started, or after.
        let snapshot = match quiet {
            true => apply(&snapshot, &plan(&snapshot, now), now),
            false => snapshot,
        };
        for id in waiting(&snapshot) {
            let Some(said) = why(&snapshot, id, now, &anything(&snapshot)) else { continue };
            for relaxation in &said.relaxations {
                let mut changed = snapshot.clone();
                let workload = changed.workloads.get_mut(&id).expect("it waits");
                *workload = relaxation.apply(workload);
                if let Then::Ends { workloads, .. } = &relaxation.then {
                    workloads.iter().for_each(|id| _ = changed.workloads.remove(id));
                }
                let again = plan(&changed, now);
                let helped = match &relaxation.then {
                    Then::Now | Then::Ends { .. } => starts(&again.actions, id),
                    Then::After(_) => starts(&again.actions, id) || again.verdicts.get(&id)
                        .is_some_and(|v| matches!(*v.reason, Reason::Handover { .. })),
                };
                prop_assert!(
                    helped,
                    "{id}: {}\n{}{}\nchanged\n{}",
                    describe_relaxation(relaxation),
                    print_snapshot(&snapshot, now),
                    print_plan(&snapshot, &plan(&snapshot, now), now),
                    print_plan(&changed, &again, now),
                );
            }
        }
    }

    fn what_could_run_of_the_impossible_is_possible(80, (snapshot, _) in pool()) {
        for id in waiting(&snapshot) {
            let workload = &snapshot.workloads[&id];
            let changes = possible_with(&snapshot, &workload.request, workload.gang);
            let never = impossible(&snapshot, &workload.request, workload.gang).is_some();
            prop_assert!(never || changes.is_empty(), "{}: {:?}", id, changes);
            let relaxation = Relaxation { changes, given_up: 0, then: Then::Now };
            let changed = relaxation.apply(workload);
            let still = impossible(&snapshot, &changed.request, changed.gang).is_some();
            prop_assert!(!still || relaxation.changes.is_empty(), "{}: {:?}", id, relaxation);
        }
    }

    fn asking_leaves_nothing(80, (snapshot, now) in pool()) {
        let (fresh, mut engine) = (plan(&snapshot, now), Engine::new(snapshot.clone()));
        for id in waiting(&snapshot) {
            engine.why(id, now, &anything(&snapshot));
            prop_assert_eq!(&engine.plan(now), &fresh, "{}", id);
        }
    }

    fn why_is_what_the_plan_says(80, (snapshot, now) in pool()) {
        let plan = plan(&snapshot, now);
        for id in waiting(&snapshot) {
            let said = why(&snapshot, id, now, &May::default());
            let verdict = plan.verdicts.get(&id).map(|v| (v.reason.clone(), v.position));
            prop_assert_eq!(said.map(|said| (said.reason, said.position)), verdict, "{}", id);
        }
    }
}

/// The case with why each waits and what would help, as they are now. Whoever asks may use every
/// queue, and a priority up to 1000.
fn render(text: &str) -> String {
    let input = text.split("--- why").next().unwrap_or(text).trim_end();
    let case = parse(input).expect("a case");
    let queues = case.snapshot.queues.keys().cloned().collect();
    let may = May { queues, priority: 1000 };
    let mut out = format!("{input}\n--- why\n");
    for id in waiting(&case.snapshot) {
        let Some(said) = why(&case.snapshot, id, case.now, &may) else { continue };
        out += &format!("{id}  #{}  {}\n", said.position, describe(&said.reason).0);
        for relaxation in &said.relaxations {
            let fields = relaxation.changes.iter().map(|change| {
                let (field, value, _) = describe_change(change);
                format!("  {field}: {value}")
            });
            let at = match relaxation.then {
                Then::Ends { at, .. } => format!("  at +{}", at.since(case.now)),
                _ => String::new(),
            };
            let (words, fields) = (describe_relaxation(relaxation), fields.collect::<String>());
            out += &format!("  {:4}  {words}{fields}{at}\n", relaxation.given_up);
        }
    }
    out
}

/// `UPDATE_CASES=1` writes them anew; read the difference.
#[test]
fn every_answer_is_as_it_was() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases/why");
    let mut wrong = Vec::new();
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).expect("cases/why is there") {
        let file = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&file).expect("a case is text");
        let now = render(&text);
        all += &now;
        if now == text {
            continue;
        }
        match std::env::var_os("UPDATE_CASES") {
            Some(_) => std::fs::write(&file, now).expect("cases can be written"),
            None => wrong.push(format!("{}: now\n{now}", file.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for field in ["gpu", "cpu", "memory", "disk"] {
        assert!(all.contains(&format!("  resources.{field}: ")), "no case lowers {field}");
    }
    for word in ["replicas: ", "queue: ", "priority: ", "takes the place of ", "starts when "] {
        assert!(all.contains(word), "no case shows `{word}`");
    }
}
