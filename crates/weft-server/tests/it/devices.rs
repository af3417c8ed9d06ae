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
