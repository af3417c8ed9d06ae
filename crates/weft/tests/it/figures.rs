//! What runs used of an accelerator, end to end on the stand-in for the driver: counted once,
//! whoever dies meanwhile, and shown with where it comes from.

use crate::parts::{kill, says, server, submit};
use crate::stand_in;
use serde_json::Value;
use std::path::Path;
use weft_testkit::World;

/// Counts what it does: so many launches at its first word, and as many again at its second.
const COUNTED: &str = include_str!("programs/counted.py");
const HOLDS: &str = "print('took', take(2048)); time.sleep(600)";

/// Launches of [`COUNTED`] in one go, each of a millisecond.
const LAUNCHES: u64 = 400;
const MIB: u64 = 1 << 20;

fn metrics(world: &World, name: &str) -> Value {
    world.json(&["metrics", name])["devices"][0].clone()
}

/// What is told of a run once so many launches are on the ledger.
fn counted(world: &World, name: &str, launches: u64) -> Value {
    world.until("its launches on the ledger", || {
        let told = metrics(world, name);
        (told["launches"] == launches).then_some(told)
    })
}

#[test]
fn each_use_is_on_the_ledger_once_and_says_who_says_so() {
    let world = stand_in::up("devices=1xH200-141 clock=real kernel=1ms");
    submit(&world, "counted", "0.3", COUNTED);
    submit(&world, "holds", "0.7", HOLDS);
    says(&world, "counted", "launched");
    let id = world.json(&["metrics", "counted"])["workload"].clone();
    let run = world.state().join(format!("runs/{}-1-0", id.as_str().unwrap()));
    says(&world, "holds", "took");
    let told = counted(&world, "counted", LAUNCHES);
    assert_eq!((&told["source"], &told["milli"]), (&"measured".into(), &300.into()), "{told}");
    assert_eq!(told["to_device_bytes"], 3 * MIB, "{told}");
    assert_eq!(told["from_device_bytes"], MIB, "{told}");
    let memory = ["memory_bytes", "memory_peak_bytes"].map(|name| told[name].as_u64().unwrap());
    assert!(of(1024).contains(&memory[0]) && of(1536).contains(&memory[1]), "{told}");
    // A millisecond each, as the device's own events tell; the first before it is known for one.
    let used = told["used_us"].as_u64().unwrap();
    assert!((LAUNCHES * 900..=LAUNCHES * 1_300).contains(&used), "{told}");
    assert!(told["active_at_ms"].is_u64(), "{told}");

    // Who dies loses nothing, and what was counted is not counted again.
    kill(server(&world));
    world.ok(&["up", "--detach", "--gpu-libraries", "driver"]);
    let same = counted(&world, "counted", LAUNCHES);
    assert_eq!(same["used_us"], used, "{same}");
    assert_eq!(same["active_at_ms"], told["active_at_ms"], "an idle one stays idle: {same}");
    let all = world.json(&["ps"]);
    let idle = |name: &str, field: &str| {
        all.as_array().unwrap().iter().find(|w| w["name"] == name).unwrap()[field].clone()
    };
    assert_eq!(idle("counted", "gpu_idle_since_ms"), told["active_at_ms"]);
    assert_eq!(idle("holds", "gpu_idle_since_ms"), idle("holds", "started_at_ms"), "{all}");
    kill(server(&world));
    // What is done while no server is there is counted as well.
    std::fs::write(run.join("work/again"), "").unwrap();
    log_says(&world, &run, "launched again");
    world.ok(&["up", "--detach", "--gpu-libraries", "driver"]);
    let more = counted(&world, "counted", 2 * LAUNCHES);
    assert_eq!(more["to_device_bytes"], 6 * MIB, "{more}");

    what_is_used_is_shown(&world);
    others_see_no_more_than_that_it_is_held(&world);
    // Its last word comes with its end.
    std::fs::write(run.join("work/go"), "").unwrap();
    world.until_state("counted", "succeeded");
    let last = counted(&world, "counted", 2 * LAUNCHES + 1);
    assert!(last["memory_bytes"].is_null(), "it holds none any more: {last}");
    let told = last["used_us"].as_u64().unwrap() / 1_000;
    world.until("all of it in the cost", || {
        let lines = world.json(&["cost"])["lines"].clone();
        let line = lines.as_array()?.first()?.clone();
        assert_eq!(line["gpu_sampled_ms"], 0, "{line}");
        let used = line["gpu_active_ms"].as_u64()?;
        assert!(used <= told + 1, "more than there was: {line}");
        (used + 1 >= told && line["gpu_measured_ms"].as_u64()? > 0).then_some(())
    });
    let cost = world.ok(&["cost"]).out;
    assert!(cost.contains("measured") && cost.contains("(simulated)"), "{cost}");
}

/// The bytes of a run that asked for so many MiB: beside them, its context and its code.
fn of(asked: u64) -> std::ops::Range<u64> {
    asked * MIB..(asked + 500) * MIB
}

/// By `weft gpus` and `weft metrics`, marked as of no hardware.
fn what_is_used_is_shown(world: &World) {
    let gpus = world.ok(&["gpus"]).out;
    assert!(gpus.contains("LAST USED") && gpus.contains("measured"), "{gpus}");
    let shares = world.json(&["gpus"])[0]["shares"].clone();
    let memory = |share: &Value| share["used"]["memory_bytes"].as_u64();
    let memory: Vec<_> = shares.as_array().unwrap().iter().filter_map(memory).collect();
    assert_eq!(memory.len(), 2, "{shares}");
    assert!(of(1024).contains(&memory[0]) && of(2048).contains(&memory[1]), "{shares}");
    let text = world.ok(&["metrics", "counted"]).out;
    assert!(text.contains("800 launches, 6.2 MB to it, 2 MB from it"), "{text}");
    assert!(text.contains("h200 (simulated)") && gpus.contains("h200 (simulated)"), "{text}{gpus}");
}

/// Who may not know of a workload is told what is free of a device, and not what is used of it.
fn others_see_no_more_than_that_it_is_held(world: &World) {
    world.ok(&["admin", "queue", "set", "other", "--gpu", "1", "--cpu", "1", "--memory", "1GB"]);
    world.ok(&["admin", "user", "add", "eve", "--role", "member", "--queue", "other"]);
    let token = world.ok(&["admin", "token", "create", "--user", "eve"]).out;
    let own = std::fs::read(world.client_file()).ok();
    std::fs::write(world.client_file(), format!("token = \"{}\"\n", token.trim())).unwrap();
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    let address = note["address"].as_str().unwrap();
    let seen = world.json(&["--server", address, "gpus"])[0]["shares"].clone();
    assert!(seen[0]["milli"].is_u64() && seen[0]["isolation"].is_string(), "{seen}");
    let hidden = |share: &Value| share["used"].is_null() && share["workload"].is_null();
    assert!(seen.as_array().unwrap().iter().all(hidden), "{seen}");
    assert_ne!(world.weft(&["--server", address, "metrics", "counted"]).code, 0);
    match own {
        Some(own) => std::fs::write(world.client_file(), own).unwrap(),
        None => std::fs::remove_file(world.client_file()).unwrap(),
    }
}

/// Waits for a line of a run's log as it lies: a command would start a server.
fn log_says(world: &World, run: &Path, line: &str) {
    let log = run.join("log");
    world.until(line, || std::fs::read_to_string(&log).ok()?.contains(line).then_some(()));
}
