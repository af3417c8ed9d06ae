//! The audit can fail: each rule broken once, by a plan that was sound before.

use weft_sched::case::parse;
use weft_sched::{Action, Finding, Grant, Placement, Plan, Snapshot, StopCause, audit, plan};
use weft_types::{Attempt, Bytes, Member, MilliCpu, MilliGpu, Timestamp, WorkloadId};

const POOL: &str = "
node n1 a100-80 x11 cpu=8 memory=64GB
node n2 a100-80 x4 cpu=8 memory=64GB
node m1 a100-80:mig x1
node c1 closed a100-80 x1
sick n2/3
queue vision gpu=4+4 cpu=64+0 memory=99GB cohort=lab
queue speech gpu=12-4 cpu=64 memory=99GB cohort=lab
run w1 vision gpu=2 on=n1/0+1 ran=2h priority=1
run w2 vision gpu=4 cpu=1 on=n2/0+1+2+3 ran=2h
want w3 vision gpu=1 gang=2 cpu=1
want w4 speech gpu=0.5
want w5 speech gpu=mig:3g.40gb
want w6 vision gpu=1 backoff=1m
want w7 speech gpu=6 priority=3
want w9 speech gpu=8 priority=-1
";

struct Scene {
    snapshot: Snapshot,
    plan: Plan,
    now: Timestamp,
}

fn scene() -> Scene {
    let case = parse(POOL).expect("a case");
    let plan = plan(&case.snapshot, case.now);
    let scene = Scene { snapshot: case.snapshot, plan, now: case.now };
    assert_eq!(scene.findings(), [], "the scene is sound before it is broken");
    scene
}

impl Scene {
    fn findings(&self) -> Vec<Finding> {
        audit(&self.snapshot, &self.plan, self.now)
    }

    /// The start of a workload.
    fn start(&mut self, number: u64) -> (&mut Attempt, &mut Vec<Placement>) {
        let actions = self.plan.actions.iter_mut();
        let mut found = actions.filter_map(|action| match action {
            Action::Start { workload, attempt, placements } if workload.0 == number => {
                Some((attempt, placements))
            }
            _ => None,
        });
        found.next().unwrap_or_else(|| panic!("w{number} starts"))
    }

    fn stop(&mut self, number: u64, cause: StopCause) {
        let workload = WorkloadId(number);
        self.plan.actions.push(Action::Stop { workload, attempt: Attempt(1), cause });
    }

    #[track_caller]
    fn expect(&self, words: &str) {
        let findings = format!("{:?}", self.findings());
        assert!(findings.contains(words), "`{words}` is not among {findings}");
    }
}

#[test]
fn a_device_given_twice() {
    let mut scene = scene();
    let (_, placements) = scene.start(3);
    placements[1].grants = placements[0].grants.clone();
    scene.expect("given twice");
}

#[test]
fn a_share_on_a_whole_device() {
    let mut scene = scene();
    let (_, placements) = scene.start(4);
    if let Grant::Share { device, .. } = &mut placements[0].grants[0] {
        device.index = 0;
    }
    scene.expect("given twice");
}

#[test]
fn shares_beyond_the_device() {
    let mut scene = scene();
    let (_, placements) = scene.start(4);
    if let Grant::Share { milli, memory, .. } = &mut placements[0].grants[0] {
        *milli = MilliGpu(1001);
        *memory = Bytes(81_000_000_000);
    }
    scene.expect("more than its compute in shares");
    scene.expect("more than its memory in shares");
    scene.expect("is not given as requested");
}

#[test]
fn a_promise_to_what_runs() {
    let mut scene = scene();
    scene.plan.kept.push((WorkloadId(1), scene.now));
    scene.expect("does not wait");
}

#[test]
fn a_promise_where_nothing_stops() {
    let mut scene = scene();
    scene.plan.actions.retain(|action| matches!(action, Action::Start { .. }));
    scene.plan.kept.push((WorkloadId(6), scene.now));
    scene.expect("where nothing stops");
}

#[test]
fn a_gang_in_part() {
    let mut scene = scene();
    scene.start(3).1.pop();
    scene.expect("starts 1 of 2 members");
}

#[test]
fn a_member_doubled() {
    let mut scene = scene();
    scene.start(3).1[1].member = Member(0);
    scene.expect("out of order, left out or doubled");
}

#[test]
fn a_placement_that_is_not_what_was_asked() {
    let mut scene = scene();
    scene.start(3).1[0].cpu = MilliCpu(1);
    scene.expect("processor, memory or disk differ");
    let (_, placements) = scene.start(3);
    placements[0].cpu = MilliCpu(1000);
    placements[0].grants.clear();
    scene.expect("0 devices for 1");
}

#[test]
fn a_machine_that_takes_nothing() {
    let mut scene = scene();
    scene.start(4).1[0].node = "c1".parse().expect("a name");
    scene.expect("c1 takes no new work");
    scene.start(4).1[0].node = "gone".parse().expect("a name");
    scene.expect("gone is not there");
}

#[test]
fn a_sick_device() {
    let mut scene = scene();
    scene.snapshot.workloads.remove(&WorkloadId(2));
    let (_, placements) = scene.start(4);
    placements[0].node = "n2".parse().expect("a name");
    if let Grant::Share { device, .. } = &mut placements[0].grants[0] {
        device.node = "n2".parse().expect("a name");
        device.index = 3;
    }
    scene.expect("n2/3 takes no new work");
}

#[test]
fn a_machine_over_its_processor() {
    let mut scene = scene();
    let node = scene.start(3).1[0].node.clone();
    scene.snapshot.nodes.get_mut(&node).expect("there").cpu = MilliCpu(500);
    scene.expect("CPU cores given, it has 0.5");
}

#[test]
fn an_instance_that_overlaps_or_is_no_place() {
    let mut scene = scene();
    let twin = scene.start(5).1.clone();
    let workload = WorkloadId(8);
    let waiting = scene.snapshot.workloads[&WorkloadId(5)].clone();
    scene.snapshot.workloads.insert(workload, waiting);
    let attempt = Attempt(1);
    scene.plan.actions.push(Action::Start { workload, attempt, placements: twin });
    scene.expect("given twice");
    if let Grant::Mig { placement, .. } = &mut scene.start(5).1[0].grants[0] {
        placement.start = 2;
    }
    scene.expect("is not given as requested");
}

#[test]
fn a_queue_over_its_share() {
    let mut scene = scene();
    let queue = scene.snapshot.queues.get_mut(&"vision".parse().expect("a name")).expect("there");
    queue.gpu.borrowing = MilliGpu(3000);
    scene.expect("queue vision");
}

#[test]
fn a_group_that_borrows_what_nobody_lends() {
    let mut scene = scene();
    let queue = scene.snapshot.queues.get_mut(&"speech".parse().expect("a name")).expect("there");
    queue.gpu.lending = MilliGpu(3000);
    scene.expect("borrows 4000 with its group");
}

#[test]
fn starts_of_what_does_not_wait() {
    let mut scene = scene();
    let placements = scene.start(4).1.clone();
    for (number, words) in [
        (1, "holds capacity"),
        (6, "before its back-off ends"),
        (4, "started twice"),
        (99, "not there"),
    ] {
        let (workload, placements) = (WorkloadId(number), placements.clone());
        scene.plan.actions.push(Action::Start { workload, attempt: Attempt(1), placements });
        scene.expect(words);
    }
    *scene.start(4).0 = Attempt(7);
    scene.expect("another attempt than its next");
}

#[test]
fn stops_that_are_not_allowed() {
    let (w3, w7) = (WorkloadId(3), WorkloadId(7));
    let broken = [
        (1, StopCause::MaxDuration, "has not run as long as it may"),
        (3, StopCause::MaxDuration, "does not run"),
        (1, StopCause::Preempt { beneficiary: w3 }, "may not be preempted for it"),
        (2, StopCause::Preempt { beneficiary: w7 }, "may not be preempted for it"),
        (2, StopCause::Reclaim { beneficiary: WorkloadId(99) }, "what is not there"),
    ];
    for (number, cause, words) in broken {
        let mut scene = scene();
        scene.stop(number, cause);
        scene.expect(words);
    }
}

#[test]
fn a_stop_too_early_or_twice() {
    let mut scene = scene();
    scene.snapshot.workloads.get_mut(&WorkloadId(2)).expect("there").reclaim.min_run_ms =
        weft_types::Millis::from_secs(3 * 3600);
    scene.stop(2, StopCause::Reclaim { beneficiary: WorkloadId(7) });
    scene.expect("has not run its minimum");
    scene.stop(2, StopCause::Reclaim { beneficiary: WorkloadId(7) });
    scene.expect("was being stopped");
}

#[test]
fn a_stop_in_vain() {
    let mut scene = scene();
    // Taking back w2 frees the devices of n2, of which one is sick; eight on a machine are asked.
    scene.plan.actions.retain(|action| !matches!(action, Action::Stop { .. }));
    scene.stop(2, StopCause::Reclaim { beneficiary: WorkloadId(9) });
    scene.expect("does not fit afterwards");
}

#[test]
fn a_reclaim_from_who_has_not_borrowed() {
    let mut scene = scene();
    scene.plan.actions.clear();
    let queue = scene.snapshot.queues.get_mut(&"vision".parse().expect("a name")).expect("there");
    queue.gpu.nominal = MilliGpu(8000);
    scene.stop(2, StopCause::Reclaim { beneficiary: WorkloadId(7) });
    scene.expect("has not borrowed");
}

#[test]
fn an_elastic_gang_beyond_its_bounds() {
    let text = "node n1 a100-80 x8\nqueue a gpu=4+4 cohort=uni\nqueue b gpu=4-4 cohort=uni\n";
    let case = parse(&format!("{text}want w1 a gpu=1 gang=2..6")).expect("a case");
    let sound = plan(&case.snapshot, case.now);
    let grown = |members: usize, pliant: bool| {
        let mut scene =
            Scene { snapshot: case.snapshot.clone(), plan: sound.clone(), now: case.now };
        let workload = scene.snapshot.workloads.get_mut(&WorkloadId(1)).expect("it is there");
        workload.suspend = pliant.then_some(weft_types::Millis::from_secs(30));
        let (_, placements) = scene.start(1);
        for at in placements.len()..members {
            let mut next = placements[0].clone();
            next.member = Member(at as u32);
            let [Grant::Whole { device }] = &mut next.grants[..] else { panic!("a device") };
            device.index = at as u32;
            placements.push(next);
        }
        placements.truncate(members);
        scene
    };
    assert_eq!(grown(4, false).findings(), []);
    assert_eq!(grown(6, true).findings(), []);
    grown(5, false).expect("grows on what is not its queue's, and cannot give it back");
    grown(7, true).expect("starts 7 of 2 to 6 members");
    grown(1, true).expect("starts 1 of 2 to 6 members");
}
