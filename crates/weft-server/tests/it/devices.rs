//! Accelerators, simulated: given, seen by the workload, accounted for and given back.

use crate::world::{World, first, gang, job};
use weft_lifecycle::State;
use weft_types::{GpuRequest, MilliGpu};

/// Parts per million: the bar of 0.1 %.
const LEDGER_BOUND_PPM: u64 = 1_000;

fn simulated() -> Option<World> {
    World::with(|config| config.simulate = Some("2xH200-141".to_owned()))
}

#[test]
fn a_workload_sees_what_it_was_given_and_nothing_else() {
    let Some(world) = simulated() else { return };
    let script = "echo sees=$CUDA_VISIBLE_DEVICES=";
    let mut two = job("two", script);
    two.request.gpu = "2".parse().unwrap();
    let (two, none) = (world.submit(two), world.submit(job("none", script)));
    assert_eq!(world.until_final(two).record.state, State::Succeeded);
    assert_eq!(world.until_final(none).record.state, State::Succeeded);
    let log = world.log(first(two));
    let seen = log.split('=').nth(1).unwrap();
    assert_eq!(seen.split(',').filter(|uuid| uuid.starts_with("SIM-")).count(), 2, "{log}");
    assert!(world.log(first(none)).contains("sees=="), "{}", world.log(first(none)));
}

#[test]
fn device_time_adds_up_and_comes_back() {
    let Some(world) = simulated() else { return };
    let mut half = gang("half", 3, "sleep 1.5");
    half.request.gpu = GpuRequest::Share { milli: MilliGpu(500), filter: Default::default() };
    let half = world.submit(half);
    assert_eq!(world.until_final(half).record.state, State::Succeeded);
    let mut all = job("all", "true");
    all.request.gpu = "2".parse().unwrap();
    let all = world.submit(all);
    assert_eq!(world.until_final(all).record.state, State::Succeeded);
    let read = world.server().store().read(move |r| {
        Ok::<_, weft_store::StoreError>((r.ledger_check()?, r.usage(half, weft_agent::now())?))
    });
    let (devices, used) = world.block_on(read).unwrap();
    assert_eq!(devices.len(), 2);
    for device in &devices {
        assert!(device.balance.wall > 0, "{device:?}");
        assert!(device.balance.error_ppm() <= LEDGER_BOUND_PPM, "{device:?}");
    }
    // Three halves for a second and a half.
    assert!(used.gpu_allocated_ms >= 2_250, "{used:?}");
    assert_eq!(used.gpu_active_ms, None, "what does not exist is not used");
}

#[test]
fn an_instance_is_made_for_its_run_and_ended_with_it() {
    let Some(world) = World::with(|config| config.simulate = Some("H200-141:mig".to_owned()))
    else {
        return;
    };
    let mut one = gang("one", 2, "echo sees=$CUDA_VISIBLE_DEVICES=; sleep 0.2");
    one.request.gpu = "mig:1g.18gb".parse().unwrap();
    let one = world.submit(one);
    assert_eq!(world.until_final(one).record.state, State::Succeeded);
    let first = world.log(first(one));
    assert!(first.contains("sees=SIM-00000000/"), "{first}");
    let notes = world.state_dir().join("instances");
    let left: Vec<_> = std::fs::read_dir(notes).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn nothing_weaker_is_given_than_a_queue_demands() {
    let Some(world) = World::with(|config| config.simulate = Some("H200-141:mig".to_owned()))
    else {
        return;
    };
    let demand = |w: &mut weft_store::Write<'_>| -> Result<u64, weft_store::StoreError> {
        let name = weft_types::QueueName::new("default").unwrap();
        let mut row = w.queue(&name)?.unwrap();
        row.queue.isolation = weft_types::Isolation::Exclusive;
        w.put_queue(&name, &row.queue, None)
    };
    world.block_on(world.server().store().write(demand)).unwrap();
    let mut one = job("one", "true");
    one.request.gpu = "mig:1g.18gb".parse().unwrap();
    let (one, whole) = (world.submit(one), {
        let mut whole = job("whole", "true");
        whole.request.gpu = "1".parse().unwrap();
        world.submit(whole)
    });
    assert_eq!(world.until_final(whole).record.state, State::Succeeded);
    let said = weft_sched::describe(&world.until_verdict(one).reason).0;
    assert!(said.contains("isolation exclusive is a whole GPU"), "{said}");
    assert_eq!(world.row(one).record.state, State::Queued);
}
