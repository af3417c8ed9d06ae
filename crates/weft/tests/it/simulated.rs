//! Simulated accelerators: the whole path on a machine without one, and shown as simulated.

use crate::world;

#[test]
fn a_run_gets_its_devices_and_the_next_one_waits() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "2xH200-141"]);
    let gpus = world.ok(&["gpus"]);
    assert_eq!(gpus.out.matches("(simulated)").count(), 2, "{gpus:?}");

    let submit = |name: &str, gpu: &str| {
        let args =
            ["run", "-d", "--name", name, "--gpu", gpu, "--cpu", "0.1", "--memory", "32MB", "--"];
        world.ok(&args.iter().chain(&["sleep", "600"]).copied().collect::<Vec<_>>())
    };
    submit("both", "2");
    let both = world.until_state("both", "running");
    let devices = both["placements"][0]["devices"].as_array().unwrap();
    assert!(devices.iter().all(|d| d["simulated"] == true && d["isolation"] == "exclusive"));
    assert_eq!(devices.len(), 2, "{both}");

    submit("half", "0.5");
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "half"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    assert!(why.contains("half is queued #1"), "{why}");
    assert_eq!(world.json(&["why", "half"])["position"], 1);

    world.ok(&["stop", "--now", "--wait", "both"]);
    let half = world.until_state("half", "running");
    assert_eq!(half["placements"][0]["devices"][0]["isolation"], "shared", "{half}");
    world.ok(&["stop", "--now", "--wait", "half"]);
    // The ledger is written with the next sample.
    world.until("simulated device time in the cost", || {
        world.ok(&["cost"]).out.contains("(simulated)").then_some(())
    });
    world.ok(&["admin", "ledger", "check"]);
}
