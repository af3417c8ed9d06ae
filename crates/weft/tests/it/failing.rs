//! Devices that fail: who is moved, who is told, and what stays known; and MIG instances on a
//! driver that keeps them.
//!
//! The machine's driver is the stand-in, which tells the errors that a test writes.

use crate::world;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use weft_testkit::World;

/// A machine with the stand-in for a driver.
struct Machine {
    world: World,
    folder: PathBuf,
    devices: &'static str,
}

impl Machine {
    fn new(devices: &'static str) -> Self {
        let world = world();
        let folder = world.work().join("driver");
        fs::create_dir(&folder).expect("a folder");
        let library = std::env::current_exe().expect("this program");
        let library = library.with_file_name("libweft_fakecuda.so");
        for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
            std::os::unix::fs::symlink(&library, folder.join(name)).expect("a link");
        }
        let machine = Self { world, folder, devices };
        machine.up();
        machine
    }

    /// Starts the server, on the driver as it is.
    fn up(&self) {
        let settings = format!("devices={} state={}", self.devices, self.folder.display());
        let mut command = self.world.command(&["up", "--detach"]);
        command.env("LD_LIBRARY_PATH", &self.folder).env("WEFT_FAKECUDA", settings);
        let answer = command.output().expect("the binary runs");
        assert!(answer.status.success(), "{answer:?}");
    }

    /// Kills the server, and starts another on the same state.
    fn crash(&self) {
        crate::shared_time::kill_server(&self.world);
        self.up();
    }

    /// The driver reports an error.
    fn xid(&self, device: u32, xid: u32) {
        let path = self.folder.join("xid");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("a file");
        writeln!(file, "{device} {xid}").expect("written");
    }

    fn instances(&self) -> usize {
        fs::read_to_string(self.folder.join("mig")).unwrap_or_default().lines().count()
    }

    fn submit(&self, name: &str, more: &[&str]) {
        let line = ["run", "-d", "--name", name, "--cpu", "0.1", "--memory", "32MB"];
        let line = [&line[..], &["--disk", "100MB"], more, &["--", "sleep", "600"]].concat();
        self.world.ok(&line);
        self.world.until_state(name, "running");
    }

    fn device_of(&self, name: &str) -> String {
        let run = self.world.until_state(name, "running");
        run["placements"][0]["devices"][0]["device"].as_str().expect("a device").to_owned()
    }

    fn until_device(&self, index: usize, state: &str) {
        self.world.until(&format!("device {index} is {state}"), || {
            let devices = self.world.json(&["gpus"]);
            (devices[index]["health"]["state"] == state).then_some(())
        });
    }
}

#[test]
fn a_failing_device_is_drained_and_who_can_goes_elsewhere() {
    let machine = Machine::new("2xH100-80");
    let world = &machine.world;
    machine.submit("moves", &["--gpu", "1", "--retry", "3"]);
    let device = machine.device_of("moves");
    let number = |device: &str| device.rsplit('/').next().and_then(|n| n.parse::<u32>().ok());
    let index = number(&device).expect("a number");

    // A program's own fault is told to it, and takes nothing out.
    machine.xid(index, 31);
    let told = |what: &str| {
        world.until(&format!("an event {what}"), || {
            world.ok(&["events"]).out.contains(what).then_some(())
        });
    };
    told("device-error");
    assert_eq!(machine.device_of("moves"), device);

    machine.xid(index, 79);
    machine.until_device(index as usize, "quarantined");
    world.until("the run is on the other device", || {
        (machine.device_of("moves") != device).then_some(())
    });
    for what in ["drained", "device-failing", "moved", "quarantined"] {
        told(what);
    }
    world.ok(&["stop", "--now", "--wait", "moves"]);
    // Who needs both waits, and is told why.
    let line = ["run", "-d", "--name", "both", "--gpu", "2", "--", "true"];
    world.ok(&line);
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "both"]).out;
        why.contains("takes no new work").then_some(why)
    });
    assert!(why.contains("`weft gpus` says why"), "{why}");

    // A server that did not see it fail knows it; only a person gives it back.
    machine.crash();
    machine.until_device(index as usize, "quarantined");
    let gpus = world.ok(&["gpus"]).out;
    assert!(gpus.contains("quarantined: xid 79: the device has fallen off the bus"), "{gpus}");
    world.ok(&["stop", "--now", "both"]);
    world.ok(&["admin", "device", "return", &device]);
    machine.until_device(index as usize, "returned");
    // The other fails under one that cannot be moved: it is told, and goes on.
    machine.submit("stays", &["--gpu", "1"]);
    let held = machine.device_of("stays");
    machine.xid(number(&held).expect("a number"), 48);
    machine.until_device(number(&held).expect("a number") as usize, "drained");
    assert_eq!(machine.device_of("stays"), held);
    let refused = world.weft(&["admin", "device", "return", &held]);
    assert!(refused.code != 0 && refused.err.contains("is held by"), "{refused:?}");
    world.ok(&["stop", "--now", "--wait", "stays"]);
}

#[test]
fn instances_are_made_for_runs_and_ended_through_crashes() {
    let machine = Machine::new("1xH100-80:mig");
    let world = &machine.world;
    let gpus = world.json(&["gpus"]);
    let mig = &gpus[0]["isolation"][1];
    assert_eq!((&mig["isolation"], &mig["offered"]), (&"mig".into(), &true.into()), "{gpus}");
    assert_eq!(machine.instances(), 0, "what was tried is gone");
    let mig = &world.json(&["gpus", "--now"])["items"][0]["now"]["mig"];
    let large = serde_json::json!({ "profile": "3g.40gb", "count": 2 });
    assert!(mig.as_array().is_some_and(|all| all.contains(&large)), "{mig}");
    machine.submit("first", &["--gpu", "mig:3g.40gb"]);
    machine.submit("second", &["--gpu", "mig:1g.10gb"]);
    assert_eq!(machine.instances(), 2);
    let run = world.until_state("first", "running");
    assert_eq!(run["placements"][0]["isolation"], "mig", "{run}");
    machine.crash();
    assert_eq!(machine.instances(), 2, "those that run keep theirs");
    world.ok(&["stop", "--now", "--wait", "first"]);
    world.until("one instance is left", || (machine.instances() == 1).then_some(()));
    world.ok(&["stop", "--now", "--wait", "second"]);
    world.until("none is left", || (machine.instances() == 0).then_some(()));
}
