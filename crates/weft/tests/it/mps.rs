//! Shares that MPS keeps, end to end: tried when the server starts, offered, given, kept, ended;
//! by the stand-in for the driver and for its control program.

use crate::parts::{HOLDS, kill, says, server, submit};
use crate::{stand_in, world};
use std::path::Path;
use weft_testkit::World;

/// A world whose machine has the stand-in with a control program; `fault`: how that misbehaves.
fn with_control(devices: &str, fault: &str) -> World {
    let world = world();
    let folder = stand_in::folder(&world);
    let control = "nvidia-cuda-mps-control";
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-fakecuda/control/");
    std::fs::copy(Path::new(source).join(control), folder.join(control)).unwrap();
    world.write("driver/weft-fakecuda", devices);
    world.write("driver/mps-fault", fault);
    world
}

fn up(world: &World) {
    world.ok(&["up", "--detach", "--gpu-libraries", "driver", "--mps"]);
}

/// What is said of the rung on the first device.
fn rung(world: &World) -> (bool, String) {
    let gpus = world.json(&["gpus"]);
    let all = gpus[0]["isolation"].as_array().unwrap();
    let mps = all.iter().find(|rung| rung["isolation"] == "mps").unwrap();
    (mps["offered"] == true, mps["why"].as_str().unwrap().to_owned())
}

/// Processes of the control program.
fn daemons(world: &World) -> usize {
    let program = world.work().join("driver/nvidia-cuda-mps-control");
    let program = program.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|word| word == program)).count()
}

#[test]
fn shares_are_given_by_it_where_it_was_tried_and_works() {
    let world = with_control("devices=1xH200-141", "");
    up(&world);
    let (offered, why) = rung(&world);
    assert!(offered && why.contains("two runs were served at once"), "{why}");
    assert_eq!(daemons(&world), 0, "nobody needs it");
    let doctor = world.weft(&["doctor"]).out;
    assert!(doctor.contains("mps") && doctor.contains(&why), "{doctor}");
    world.ok(&["admin", "queue", "set", "main", "--isolation", "mps"]);
    submit(&world, "large", "0.7,40GB", HOLDS);
    submit(&world, "small", "0.3,10GB", HOLDS);
    for name in ["small", "large"] {
        assert_eq!(says(&world, name, "took all of it, and then "), "2", "out of memory");
    }
    assert_eq!(daemons(&world), 2, "one for the device, and its server");
    let placed = world.until_state("small", "running");
    assert_eq!(placed["placements"][0]["devices"][0]["isolation"], "mps", "{placed}");
    for name in ["small", "large"] {
        // The run may see it, and be over, before the program that made it is.
        world.weft(&["exec", name, "--", "touch", "/work/go"]);
        world.until_state(name, "succeeded");
    }
    world.until("MPS is ended", || (daemons(&world) == 0).then_some(()));
}

#[test]
fn a_server_that_was_killed_leaves_it_to_the_next_which_ends_it_with_its_last_run() {
    let world = with_control("devices=1xH100-80", "");
    up(&world);
    submit(&world, "first", "0.5,10GB", HOLDS);
    says(&world, "first", "took all of it, and then ");
    kill(server(&world));
    world.until("the server is gone", || {
        let there = world.processes().iter().any(|(_, line)| line.contains("--background"));
        (!there).then_some(())
    });
    assert_eq!(daemons(&world), 2, "what runs goes on");
    // Nobody asks for it now; what keeps the parts of a device is one thing for all of them.
    world.ok(&["up", "--detach", "--gpu-libraries", "driver"]);
    let (offered, why) = rung(&world);
    assert!(offered && why == "runs are there whose parts it keeps", "{why}");
    submit(&world, "second", "0.5,10GB", HOLDS);
    assert_eq!(says(&world, "second", "took all of it, and then "), "2");
    let placed = world.until_state("second", "running");
    assert_eq!(placed["placements"][0]["devices"][0]["isolation"], "mps", "{placed}");
    assert_eq!(daemons(&world), 2);
    for name in ["first", "second"] {
        // The run may see it, and be over, before the program that made it is.
        world.weft(&["exec", name, "--", "touch", "/work/go"]);
        world.until_state(name, "succeeded");
    }
    world.until("MPS is ended", || (daemons(&world) == 0).then_some(()));
    world.ok(&["down"]);
    world.ok(&["up", "--detach", "--gpu-libraries", "driver"]);
    let (offered, why) = rung(&world);
    assert!(!offered && why.contains("weft up --mps"), "{why}");
}

#[test]
fn what_is_not_as_it_should_be_is_not_offered_and_shares_are_the_librarys() {
    let refused = |devices: &str, fault: &str, reason: &str| {
        let world = with_control(devices, fault);
        up(&world);
        let (offered, why) = rung(&world);
        assert!(!offered && why.contains(reason), "{fault}: {why}");
        assert_eq!(daemons(&world), 0, "{fault}");
        world
    };
    // No daemon; a device that has no room to tell a limit by; a server that keeps no limits.
    refused("devices=1xH100-80", "usage", "usage: nvidia-cuda-mps-control [-d | -f]");
    refused("devices=1xL4-24 neighbour=22000MiB", "", "are free, too few to try");
    let above = "1 GiB above the limit of 1 GiB was given";
    let world = refused("devices=1xH100-80", "unlimited", above);
    submit(&world, "small", "0.3,10GB", HOLDS);
    assert_eq!(says(&world, "small", "took all of it, and then "), "2");
    let placed = world.until_state("small", "running");
    assert_eq!(placed["placements"][0]["devices"][0]["isolation"], "shared", "{placed}");
    world.ok(&["stop", "--now", "--wait", "small"]);
}
