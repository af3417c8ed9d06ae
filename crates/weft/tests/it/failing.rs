//! Devices that fail: who is moved, who is told, and what stays known; and MIG instances on a
//! driver that keeps them.
//!
//! The machine's driver is the stand-in, which tells the errors and the health that a test writes.
//! Time passes between two servers: what is stored of a device is made older.

use crate::{shared_time, stand_in, world};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use weft_lifecycle::{BURST, SUSPICION};
use weft_store::Store;
use weft_testkit::World;
use weft_types::{Millis, Timestamp};

/// A machine with the stand-in for a driver.
struct Machine {
    world: World,
    folder: PathBuf,
    devices: &'static str,
}

impl Machine {
    fn new(devices: &'static str) -> Self {
        let world = world();
        let folder = stand_in::folder(&world);
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
        shared_time::kill_server(&self.world);
        self.up();
    }

    /// Kills the server, and starts another so much later.
    fn later(&self, passed: Millis) {
        shared_time::kill_server(&self.world);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let earlier = move |at: &mut Timestamp| at.0 = at.0.saturating_sub(passed.0);
        runtime.block_on(async {
            let store = Store::open(&self.world.state()).expect("the store");
            let aged = store.write(move |w| {
                for mut row in w.devices()? {
                    let health = &mut row.health;
                    [&mut health.since, &mut health.troubled, &mut health.counted]
                        .into_iter()
                        .for_each(earlier);
                    w.put_device(&row)?;
                }
                Ok::<_, weft_store::StoreError>(())
            });
            aged.await.expect("written");
            store.close().await.expect("closed");
        });
        self.up();
    }

    /// The driver reports an error.
    fn xid(&self, device: u32, xid: u32) {
        let path = self.folder.join("xid");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("a file");
        writeln!(file, "{device} {xid}").expect("written");
    }

    /// What the devices say of themselves from now on.
    fn health(&self, lines: &str) {
        stand_in::put(&self.folder.join("health"), lines);
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
            (self.state_of(index) == state).then_some(())
        });
    }

    fn state_of(&self, index: usize) -> String {
        let devices = self.world.json(&["gpus"]);
        let state = devices[index]["health"]["state"].as_str();
        state.unwrap_or_else(|| panic!("no device {index}: {devices}")).to_owned()
    }

    /// Waits for an event of this word of one subject, a device or a run; its detail.
    fn told(&self, subject: &str, what: &str) -> String {
        self.world.until(&format!("{subject} is told {what}"), || {
            let events = self.world.json(&["events"]);
            let of = |event: &&Value| event["subject"] == subject && event["what"] == what;
            let event = events.as_array()?.iter().rev().find(of)?;
            Some(event["detail"].as_str()?.to_owned())
        })
    }

    fn id_of(&self, name: &str) -> String {
        self.world.until_state(name, "running")["id"].as_str().expect("an id").to_owned()
    }
}

/// A device's number on its machine.
fn number(device: &str) -> u32 {
    device.rsplit('/').next().and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn a_failing_device_is_drained_and_who_can_goes_elsewhere() {
    let machine = Machine::new("2xH100-80");
    let world = &machine.world;
    machine.submit("moves", &["--gpu", "1", "--retry", "3"]);
    let (device, moves) = (machine.device_of("moves"), machine.id_of("moves"));
    let index = number(&device);

    // A program's own fault is told to it, and takes nothing out.
    machine.xid(index, 31);
    let said = machine.told(&moves, "device-error");
    assert_eq!(said, format!("{device}: xid 31: a program touched an address that is not mapped"));
    assert_eq!(machine.device_of("moves"), device);

    machine.xid(index, 79);
    machine.until_device(index as usize, "quarantined");
    world.until("the run is on the other device", || {
        (machine.device_of("moves") != device).then_some(())
    });
    let fell = "xid 79: the device has fallen off the bus";
    assert_eq!(machine.told(&device, "drained"), fell);
    assert_eq!(machine.told(&device, "quarantined"), format!("nothing holds it any more; {fell}"));
    assert!(machine.told(&moves, "device-failing").contains("takes no new work: xid 79"));
    assert_eq!(machine.told(&moves, "moved"), "off a device that failed");
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
    assert!(gpus.contains(&format!("quarantined: {fell}")), "{gpus}");
    let back = format!("have a look at it, then `weft admin device return {device}`");
    assert!(gpus.contains(&back) && gpus.contains("of 1, 1 out"), "{gpus}");
    world.ok(&["stop", "--now", "both"]);
    world.ok(&["admin", "device", "return", &device]);
    machine.until_device(index as usize, "returned");
    // The other fails under one that cannot be moved: it is told, and goes on.
    machine.submit("stays", &["--gpu", "1"]);
    let held = machine.device_of("stays");
    machine.xid(number(&held), 48);
    machine.until_device(number(&held) as usize, "drained");
    let said = machine.told(&machine.id_of("stays"), "device-failing");
    assert!(said.ends_with("save what you have, this workload is not stopped for it"), "{said}");
    assert_eq!(machine.device_of("stays"), held);
    let refused = world.weft(&["admin", "device", "return", &held]);
    assert!(refused.code != 0 && refused.err.contains("is held by"), "{refused:?}");
    world.ok(&["stop", "--now", "--wait", "stays"]);
}

#[test]
fn what_is_slight_is_watched_and_forgiven_or_too_much() {
    let machine = Machine::new("2xH100-80");
    let world = &machine.world;
    machine.submit("moves", &["--gpu", "1", "--retry", "3"]);
    let device = machine.device_of("moves");
    let index = number(&device);
    // Nobody knows this number: no new work, and no more than that.
    let other = 1 - index;
    machine.xid(other, 998);
    machine.until_device(other as usize, "suspect");
    let unknown = "xid 998: an error this version does not know";
    let gpus = world.ok(&["gpus"]).out;
    assert!(gpus.contains(&format!("suspect: {unknown}")), "{gpus}");
    assert!(gpus.contains("takes work again when it was quiet"), "{gpus}");
    world.ok(&["run", "-d", "--no-env", "--name", "waits", "--gpu", "1", "--", "true"]);
    world.until("a reason", || {
        world.ok(&["why", "waits"]).out.contains("takes no new work").then_some(())
    });
    // Quiet for long enough it is believed, and whoever waits has it.
    machine.later(SUSPICION);
    world.until_state("waits", "succeeded");
    assert_eq!(machine.state_of(other as usize), "ok");
    let other = device.replace(&format!("/{index}"), &format!("/{other}"));
    assert_eq!(machine.told(&other, "suspect"), unknown);
    assert_eq!(machine.told(&other, "ok"), "nothing was wrong for a while");

    // One that the driver has no number for is no other.
    machine.xid(index, 999);
    machine.until_device(index as usize, "suspect");
    let said = machine.told(&device, "suspect");
    assert_eq!(said, "xid 999: an error that its driver has no number for");
    assert_eq!(machine.device_of("moves"), device, "who is there stays");
    machine.later(SUSPICION);
    machine.until_device(index as usize, "ok");

    // The same told twice is one trouble; three of them within a suspicion are too many.
    let replaced = "xid 63: a faulty memory row or page was noted for replacement";
    (0..2).for_each(|_| machine.xid(index, 63));
    machine.until_device(index as usize, "suspect");
    machine.later(BURST);
    machine.xid(index, 63);
    world.until("a second one is told", || {
        let said = machine.told(&device, "suspect");
        (said == format!("{replaced} (trouble 2 of 3)")).then_some(())
    });
    machine.later(BURST);
    assert_eq!(machine.state_of(index as usize), "suspect");
    machine.xid(index, 63);
    assert_eq!(machine.told(&device, "drained"), replaced);
    world.until("it goes elsewhere", || (machine.device_of("moves") != device).then_some(()));
    world.ok(&["stop", "--now", "--wait", "moves"]);
}

#[test]
fn what_devices_say_of_themselves_is_believed() {
    let machine = Machine::new("5xH100-80");
    let world = &machine.world;
    let faults = |machine: &Machine| -> Vec<String> {
        let devices = machine.world.json(&["gpus"]);
        let fault = |device: &Value| device["health"]["detail"].as_str().unwrap_or("ok").to_owned();
        devices.as_array().expect("devices").iter().map(fault).collect()
    };
    // A counter that grows is a slight trouble; each start asks the driver.
    machine.health("4 uncorrected 1\n");
    world.ok(&["run", "--gpu", "1", "--no-env", "--", "true"]);
    machine.until_device(4, "suspect");
    let uncorrected = "suspect: a memory error could not be corrected";
    assert_eq!(faults(&machine)[4], uncorrected);

    machine.health("0 hot\n1 action 1\n2 lost\n3 not-replaced\n4 uncorrected 1\n");
    machine.crash();
    let told = [
        "suspect: it is too hot and slowed down",
        "quarantined: its driver asks for a reset of the device",
        "quarantined: the device does not answer",
        "quarantined: a faulty memory row could not be replaced",
        uncorrected,
    ];
    let seen = faults(&machine);
    let said = seen.iter().zip(told).all(|(seen, told)| seen.starts_with(told));
    assert!(said, "{seen:#?}");
    let names = world.json(&["gpus"]);
    let lost = |name: &str| names[2][name].clone();
    assert_eq!((lost("class"), lost("simulated")), ("h100".into(), true.into()), "{names}");

    // Heat passes, and so does suspicion; what failed waits for a person although it answers.
    machine.health("1 action 0\n");
    machine.later(SUSPICION);
    for (index, state) in
        ["ok", "quarantined", "quarantined", "quarantined", "ok"].iter().enumerate()
    {
        machine.until_device(index, state);
    }
    let device = names[2]["id"].as_str().expect("a name");
    world.ok(&["admin", "device", "return", device]);
    assert_eq!(machine.state_of(2), "returned");
    world.ok(&["run", "--gpu", "3", "--no-env", "--", "true"]);
}

#[test]
fn who_holds_what_an_operator_takes_out_hears_his_reason() {
    let machine = Machine::new("2xH100-80");
    let world = &machine.world;
    machine.submit("moves", &["--gpu", "1", "--retry", "3"]);
    let device = machine.device_of("moves");
    let drain = ["admin", "device", "drain", &device, "--reason", "a new fan at noon"];
    world.ok(&drain);
    let (id, reason) = (machine.id_of("moves"), "a new fan at noon");
    let said = machine.told(&id, "device-leaving");
    assert!(said.contains("takes no new work: taken out by") && said.ends_with(reason), "{said}");
    assert_eq!(machine.told(&id, "moved"), "off a device that an operator takes out");
    machine.until_device(number(&device) as usize, "quarantined");
    let gpus = world.ok(&["gpus"]).out;
    let line = gpus.lines().find(|line| line.starts_with(&device)).expect("its line");
    assert!(line.contains(reason) && !line.contains(" all "), "nothing of it is free: {gpus}");
    // Who is not moved is told that nothing is wrong with his work.
    world.ok(&["stop", "--now", "--wait", "moves"]);
    machine.submit("stays", &["--gpu", "1"]);
    let held = machine.device_of("stays");
    world.ok(&["admin", "device", "drain", &held]);
    let said = machine.told(&machine.id_of("stays"), "device-leaving");
    assert!(said.ends_with("not stopped for it; the device goes when it has ended"), "{said}");
    world.ok(&["stop", "--now", "--wait", "stays"]);
    let refused = world.weft(&["admin", "device", "drain", &device, "--reason", " "]);
    assert!(refused.err.contains("one line of 1 to 200 characters"), "{refused:?}");
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
