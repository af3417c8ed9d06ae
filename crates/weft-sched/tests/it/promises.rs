//! What fairness promises of one plan: more of one's own is never less to use, and neither names
//! nor the order of machines decide who starts.
//!
//! On pools where any device is as good as another, so that no choice of a place can be in the
//! way: there the promises hold without exception. Where machines differ, packing has the last
//! word, and a larger share can start a larger workload instead of two small ones.

use crate::laws::laws;
use crate::pools::starts;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use weft_sched::case::{parse, print_plan, print_snapshot};
use weft_sched::{Action, Plan, Reason, Snapshot, Verdict, WorkloadState, apply, plan};
use weft_types::{MilliGpu, Millis, NodeId, QueueName, Timestamp, WorkloadId};

const TEAMS: [&str; 3] = ["a", "b", "c"];

/// Machines of equal devices, teams that share them, workloads that ask for devices alone; some
/// run already, none has waited long.
fn pool() -> impl Strategy<Value = (Snapshot, Timestamp)> {
    let team = (0..6u32, 0..9u32, 0..6u32, select(vec!["cohort=k", "cohort=k", ""]));
    let workload = (select(TEAMS.to_vec()), 1..4u32, 0..3i32, 0..9u32);
    let workloads = prop::collection::vec(workload, 1..16);
    let policy = select(vec!["", "fixed", "kept"]);
    (1..4u32, prop::collection::vec(team, 3), workloads, policy, any::<bool>()).prop_map(
        |(machines, teams, workloads, policy, lived)| {
            let mut text = String::new();
            (0..machines).for_each(|at| text += &format!("node n{at} a100-80 x4\n"));
            for (name, (own, more, lend, cohort)) in TEAMS.iter().zip(teams) {
                text += &format!("queue {name} gpu={own}+{more}-{lend} {cohort}\n");
            }
            let early = if lived { workloads.len() / 2 } else { 0 };
            let line = |(at, (team, gang, priority, age)): (usize, &(&str, u32, i32, u32))| {
                format!(
                    "want w{at} {team} gpu=1 gang={gang} priority={priority} waited={age}m \
                     min-run=0s {policy}\n"
                )
            };
            let lines: Vec<String> = workloads.iter().enumerate().map(line).collect();
            let case =
                parse(&(text + &lines[..early].concat())).expect("the generator writes cases");
            let mut snapshot = apply(&case.snapshot, &plan(&case.snapshot, case.now), case.now);
            let late = parse(&lines[early..].concat()).expect("the generator writes cases");
            snapshot.workloads.extend(late.snapshot.workloads);
            (snapshot, case.now.after(Millis(1000)))
        },
    )
}

/// Which of a team's workloads a plan leaves running, starts or has others stopped for, in the
/// order of their turns.
fn gets(snapshot: &Snapshot, plan: &Plan, team: &QueueName) -> Vec<bool> {
    let mut of_team: Vec<_> =
        snapshot.workloads.iter().filter(|(_, it)| it.queue == *team).collect();
    of_team.sort_by_key(|(id, it)| (std::cmp::Reverse(it.priority), it.submitted_at, **id));
    of_team.iter().map(|(id, it)| gets_one(plan, **id, &it.state)).collect()
}

fn gets_one(plan: &Plan, id: WorkloadId, state: &WorkloadState) -> bool {
    let stops =
        |action: &Action| matches!(action, Action::Stop { workload, .. } if *workload == id);
    let handover = |verdict: &Verdict| matches!(*verdict.reason, Reason::Handover { .. });
    match state {
        WorkloadState::Running(running) => !running.stopping && !plan.actions.iter().any(stops),
        WorkloadState::Pending(_) => {
            starts(&plan.actions, id) || plan.verdicts.get(&id).is_some_and(handover)
        }
    }
}

fn case(snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> String {
    print_snapshot(snapshot, now) + "--- plan\n" + &print_plan(snapshot, plan, now)
}

laws! {
    /// The first of a team's workloads for which a larger share makes a difference is served by
    /// it, and not turned away. But for this: what a team does not borrow any more, because it is
    /// its own, another may borrow before the first has its next turn.
    fn more_of_its_own_never_gives_a_team_less(
        400 but 3, ((snapshot, now), team, more) in (pool(), select(TEAMS.to_vec()), 1..5u64)
    ) {
        let team = QueueName::new(team).expect("a name");
        let before = plan(&snapshot, now);
        let mut raised = snapshot.clone();
        let queue = raised.queues.get_mut(&team).expect("it is there");
        queue.gpu.nominal = MilliGpu(queue.gpu.nominal.0 + more * 1000);
        let after = plan(&raised, now);
        let (was, is) = (gets(&snapshot, &before, &team), gets(&raised, &after, &team));
        prop_assert!(
            is >= was,
            "{team} gets {is:?} and got {was:?} with less\n{}with {more} more\n{}",
            case(&snapshot, &before, now), case(&raised, &after, now)
        );
    }

    /// Machines may be named as one likes; where all else is the same, the name is the last to
    /// tell two apart, and rarely one choice leads to more than the other.
    fn names_of_equal_machines_do_not_matter(
        400 but 1, ((snapshot, now), turn) in (pool(), 1..4usize)
    ) {
        let names: Vec<NodeId> = snapshot.nodes.keys().cloned().collect();
        let turned = |name: &NodeId| {
            let at = names.iter().position(|other| other == name).expect("it is there");
            names[(at + turn) % names.len()].clone()
        };
        let mut other = snapshot.clone();
        other.nodes = snapshot.nodes.iter().map(|(name, it)| (turned(name), it.clone())).collect();
        for workload in other.workloads.values_mut() {
            let WorkloadState::Running(running) = &mut workload.state else { continue };
            for placement in &mut running.placements {
                placement.node = turned(&placement.node);
                for grant in &mut placement.grants {
                    if let weft_sched::Grant::Whole { device } = grant {
                        device.node = turned(&device.node);
                    }
                }
            }
        }
        let (one, two) = (plan(&snapshot, now), plan(&other, now));
        let who = |plan: &Plan| -> BTreeMap<WorkloadId, bool> {
            let all = snapshot.workloads.iter();
            all.map(|(id, it)| (*id, gets_one(plan, *id, &it.state))).collect()
        };
        let cases = || case(&snapshot, &one, now) + &case(&other, &two, now);
        prop_assert_eq!(who(&one), who(&two), "{}", cases());
    }
}

/// What `text` adds to a snapshot.
fn with(snapshot: &Snapshot, text: &str) -> Snapshot {
    let mut with = snapshot.clone();
    with.workloads.extend(parse(text).expect("a case").snapshot.workloads);
    with
}

fn handed_over_by(plan: &Plan, id: u64) -> Vec<u64> {
    match plan.verdicts.get(&WorkloadId(id)).map(|verdict| &*verdict.reason) {
        Some(Reason::Handover { victims }) => victims.iter().map(|id| id.0).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_one_within_its_share_waits_for_is_not_taken_by_the_next() {
    let case = parse(
        "node n1 a100-80 x1\n\
         node n2 a100-80 x1\n\
         queue a gpu=1-1 cohort=k\n\
         queue b gpu=1-1 cohort=k\n\
         queue c gpu=0+2 cohort=k\n\
         run w1 c gpu=1 on=n1/0 stopping\n\
         run w2 c gpu=1 on=n2/0 ran=1h min-run=0s\n\
         want w3 b gpu=1\n",
    )
    .expect("a case");
    let first = plan(&case.snapshot, case.now);
    assert_eq!((first.actions.len(), handed_over_by(&first, 3)), (0, vec![1]));
    assert!(!first.is_idle(), "that it goes first is noted");
    // The turn of `a` comes before that of `b`.
    let noted = apply(&case.snapshot, &first, case.now);
    let later = case.now.after(Millis(1000));
    let second = plan(&with(&noted, "want w4 a gpu=1\n"), later);
    assert_eq!((handed_over_by(&second, 3), handed_over_by(&second, 4)), (vec![1], vec![2]));
}

#[test]
fn the_older_promise_comes_first_when_what_stopped_for_it_is_gone() {
    let case = parse(
        "node n1 a100-80 x2\n\
         node n2 a100-80 x1\n\
         queue a gpu=2-2 cohort=k\n\
         queue b gpu=2+1-2 cohort=k\n\
         queue c gpu=0+4 cohort=k\n\
         run w1 c gpu=1 on=n2/0 stopping for=w3\n\
         want w2 a gpu=2 owed=1s\n\
         want w3 b gpu=2 owed=2s\n",
    )
    .expect("a case");
    let plan = plan(&case.snapshot, case.now);
    assert!(starts(&plan.actions, WorkloadId(2)), "{plan:?}");
}
