//! Every small tree of queues, with every use of it: the planner starts one more workload exactly
//! where the rules of shares (`rules.rs`) do not refuse it, and the audit finds exactly the starts
//! that they refuse.
//!
//! Seven trees of three queues; each queue with 0 to 2 of its own, 0 or 1 to borrow, 0 or 1 to
//! lend and 0 to 3 in use; one more workload of 1 or 2 in each of them: 4,644,864 questions. One
//! resource stands for all three, because each is checked by itself with the same code; what runs
//! may not be taken back, so that a start depends on the shares alone.

use crate::laws::{asked, threads};
use crate::rules::{refused, used};
use weft_sched::case::{parse, print_snapshot};
use weft_sched::{Action, Finding, Placement, Plan, Quota, Snapshot, WorkloadState, audit, decide};
use weft_types::{Attempt, Member, MilliCpu, Timestamp, WorkloadId};

/// Three queues each: names and cohorts.
const TREES: [[&str; 3]; 7] = [
    ["a", "b", "c"],
    ["a cohort=k", "b cohort=k", "c"],
    ["a cohort=k", "b cohort=k", "c cohort=k"],
    ["a", "a/b", "a/c"],
    ["a", "a/b", "a/b/c"],
    ["a cohort=k", "a/b", "c cohort=k"],
    ["a cohort=k", "a/b", "a/c cohort=l"],
];
/// How many values own, borrowing, lending and use of a queue have.
const VALUES: [u64; 4] = [3, 2, 2, 4];
/// States of a queue, and of a tree with one more workload in one of its queues.
const QUEUE: u64 = VALUES[0] * VALUES[1] * VALUES[2] * VALUES[3];
const TREE: u64 = QUEUE * QUEUE * QUEUE * 3 * 2;
/// A plain test run tries one state in so many; a prime, so that it meets all values.
const STRIDE: u64 = 499;

/// A tree whose quotas and uses are set for each question.
struct Scene {
    snapshot: Snapshot,
    now: Timestamp,
}

/// The workload that waits; the others run, one in each queue.
const ONE_MORE: WorkloadId = WorkloadId(4);

impl Scene {
    fn new(tree: [&str; 3]) -> Self {
        let mut text = "node n cpu=1\n".to_owned();
        for (at, queue) in (1..).zip(tree) {
            let name = queue.split(' ').next().unwrap_or_default();
            text += &format!("queue {queue}\nrun w{at} {name} on=n fixed kept\n");
        }
        let case = parse(&(text + "want w4 a")).expect("a case");
        Self { snapshot: case.snapshot, now: case.now }
    }

    /// One of the states by its number.
    fn set(&mut self, mut number: u64) {
        let mut digit = |values: u64| {
            let digit = number % values;
            number /= values;
            digit
        };
        let names: Vec<_> = self.snapshot.queues.keys().cloned().collect();
        for (id, name) in (1..).zip(&names) {
            let [nominal, borrowing, lending, used] = VALUES.map(&mut digit);
            let quota = [nominal, borrowing, lending].map(MilliCpu);
            let queue = self.snapshot.queues.get_mut(name).expect("its name is from there");
            queue.cpu = Quota { nominal: quota[0], borrowing: quota[1], lending: quota[2] };
            let run = self.snapshot.workloads.get_mut(&WorkloadId(id)).expect("one in each");
            run.request.cpu = MilliCpu(used);
            if let WorkloadState::Running(running) = &mut run.state {
                running.placements[0].cpu = MilliCpu(used);
            }
        }
        let one = self.snapshot.workloads.get_mut(&ONE_MORE).expect("it waits");
        one.queue = names[digit(3) as usize].clone();
        one.request.cpu = MilliCpu(1 + digit(2));
    }

    /// What of the planner and the audit differs from the rules.
    fn differs(&self) -> Option<String> {
        let one = &self.snapshot.workloads[&ONE_MORE];
        let charge = [0, one.request.cpu.0.into(), 0];
        let rules = !refused(&self.snapshot.queues, &used(&self.snapshot), &one.queue, charge);
        let planner = !decide(&self.snapshot, self.now).actions.is_empty();
        let over = |finding: &Finding| matches!(finding, Finding::Over { .. });
        let audit = !audit(&self.snapshot, &self.start(), self.now).iter().any(over);
        (planner != rules || audit != rules).then(|| {
            let snapshot = print_snapshot(&self.snapshot, self.now);
            format!("the rules say {rules}, the planner {planner}, the audit {audit}\n{snapshot}")
        })
    }

    fn start(&self) -> Plan {
        let request = &self.snapshot.workloads[&ONE_MORE].request;
        let (cpu, memory, disk) = (request.cpu, request.memory, request.disk);
        let node = self.snapshot.nodes.keys().next().expect("there is one").clone();
        let placement = Placement { member: Member(0), node, cpu, memory, disk, grants: vec![] };
        let (workload, attempt, placements) = (ONE_MORE, Attempt(1), vec![placement]);
        let actions = vec![Action::Start { workload, attempt, placements }];
        Plan { actions, ..Plan::default() }
    }
}

#[test]
fn every_small_tree_of_queues_is_judged_by_the_rules() {
    let stride = asked("WEFT_PROVE_SHARES").unwrap_or(STRIDE).max(1);
    let tried = threads(TREES.len() as u64, |tree| {
        let mut scene = Scene::new(TREES[tree as usize]);
        let (mut tried, mut starts) = (0, 0);
        for number in (tree % stride..TREE).step_by(stride as usize) {
            scene.set(number);
            tried += 1;
            starts += u64::from(!decide(&scene.snapshot, scene.now).actions.is_empty());
            if let Some(what) = scene.differs() {
                panic!("state {number} of {:?}: {what}", TREES[tree as usize]);
            }
        }
        (tried, starts)
    });
    let (tried, starts) = tried.iter().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    println!("{tried} questions to small trees of queues, {starts} of them answered by a start");
    assert!(starts > tried / 20, "{starts} of {tried}");
}
