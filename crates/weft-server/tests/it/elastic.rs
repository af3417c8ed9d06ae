//! Gangs that take between so many and so many members: as many as have room, told so, and
//! smaller after something was taken back.

use crate::world::{World, gang, job};
use weft_api::spec::{SuspendBy, SuspendSpec, WorkloadSpec};
use weft_lifecycle::State;
use weft_runtime::MemberKey;
use weft_sched::{Queue, Quota};
use weft_store::NewWorkload;
use weft_types::{Attempt, Bytes, Member, MilliCpu, MilliGpu, Millis, QueueName, WorkloadId};

fn simulated() -> Option<World> {
    World::with(|config| config.simulate = Some("4xH200-141".to_owned()))
}

/// A gang of up to six members with a device for each.
fn elastic(name: &str, least: u32, script: &str) -> NewWorkload {
    let mut new = gang(name, least, script);
    new.gang_most = 6;
    new.request.gpu = "1".parse().unwrap();
    change(&mut new, |spec| spec.replicas_max = Some(6));
    new
}

fn change(new: &mut NewWorkload, change: impl FnOnce(&mut WorkloadSpec)) {
    let mut spec: WorkloadSpec = serde_json::from_str(&new.spec_json).unwrap();
    change(&mut spec);
    new.spec_json = serde_json::to_string(&spec).unwrap();
}

fn member(workload: WorkloadId, attempt: u32, member: u32) -> MemberKey {
    MemberKey { workload, attempt: Attempt(attempt), member: Member(member) }
}

#[test]
fn it_starts_with_as_many_as_have_room_and_each_knows_how_many() {
    let Some(world) = simulated() else { return };
    let mut one = job("one", "sleep 600");
    one.request.gpu = "1".parse().unwrap();
    let one = world.submit(one);
    world.until_state(one, State::Running);
    let some = world.submit(elastic("some", 2, "echo I am $WEFT_RANK of $WEFT_WORLD_SIZE."));
    let row = world.until_final(some);
    assert_eq!((row.record.state, row.gang, row.members), (State::Succeeded, 2, 3));
    for rank in 0..3 {
        let log = world.log(member(some, 1, rank));
        assert!(log.contains(&format!("I am {rank} of 3.")), "{log}");
    }
    assert_eq!(world.log(member(some, 1, 3)), "");
    let placed = world.detail(some, "placed");
    assert!(placed.starts_with("3 members of 2 to 6, each as the first: on "), "{placed}");
}

#[test]
fn with_room_for_fewer_than_its_least_it_waits() {
    let Some(world) = simulated() else { return };
    let mut three = job("three", "sleep 600");
    three.request.gpu = "3".parse().unwrap();
    let three = world.submit(three);
    world.until_state(three, State::Running);
    let some = world.submit(elastic("some", 2, "true"));
    let (sentence, _) = weft_sched::describe(&world.until_verdict(some).reason);
    assert!(sentence.starts_with("it needs 2 GPUs"), "{sentence}");
    assert_eq!((world.row(some).members, world.row(some).placements.len()), (2, 0));
}

/// It borrows what is idle, gives it back as a whole, and goes on with what then has room.
#[test]
fn what_it_borrowed_goes_back_and_it_goes_on_smaller() {
    let Some(world) = simulated() else { return };
    for (name, own) in [("mine", 2_000), ("theirs", 2_000)] {
        let gpu =
            Quota { nominal: MilliGpu(own), borrowing: MilliGpu(4_000), lending: MilliGpu(own) };
        let cpu = Quota { nominal: MilliCpu(4_000), ..Quota::default() };
        let memory = Quota { nominal: Bytes(4_000_000_000), ..Quota::default() };
        let cohort = Some("lab".to_owned());
        let queue = Queue { gpu, cpu, memory, cohort, ..Queue::default() };
        let name = QueueName::new(name).unwrap();
        world.write(move |w| w.put_queue(&name, &queue, None));
    }
    let saves = "trap 'exit 0' TERM; test $WEFT_ATTEMPT = 2 && exit; while :; do sleep 0.05; done";
    let mut some = elastic("some", 1, saves);
    some.queue = QueueName::new("mine").unwrap();
    some.suspend = Some(Millis(1_000));
    change(&mut some, |spec| {
        spec.suspend = Some(SuspendSpec { by: SuspendBy::Checkpoint, cost_ms: 1_000 });
    });
    let some = world.submit(some);
    assert_eq!(world.until_state(some, State::Running).members, 4);
    let mut owner = job("owner", "sleep 600");
    owner.queue = QueueName::new("theirs").unwrap();
    owner.request.gpu = "1".parse().unwrap();
    let owner = world.submit(owner);
    world.until_state(owner, State::Running);
    let row = world.until_final(some);
    let end = (row.record.state, row.record.attempt, row.members);
    assert_eq!(end, (State::Succeeded, Attempt(2), 3));
    let told = world.told(some);
    assert!(told.contains(&"reclaimed".to_owned()) && told.contains(&"requeued".to_owned()));
}
