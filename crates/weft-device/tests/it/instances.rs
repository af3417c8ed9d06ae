//! MIG instances: whose they are, through crashes, and beside those of others.
//!
//! The stand-in keeps its instances as a driver does, so dropping what notes them and opening it
//! again is a crash of the server.

use crate::stand_in_with;
use std::path::Path;
use std::sync::Arc;
use weft_device::{DeviceDriver, DeviceInfo, InstanceError, Instances, Nvml, Simulated};
use weft_sched::{DeviceMode, MigPlacement};
use weft_types::Isolation;

const DEVICE: &str = "GPU-1";

struct Machine {
    _folder: tempfile::TempDir,
    driver: Arc<dyn DeviceDriver>,
    notes: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let (folder, library) = stand_in_with(&["-DQUIET"]);
        let driver = Arc::new(Nvml::load_from(library.as_os_str()));
        Self { _folder: folder, driver, notes: tempfile::tempdir().expect("a folder") }
    }

    /// As a server that has just started sees it.
    fn started(&self) -> Instances {
        Instances::new(self.driver.clone(), self.notes.path())
    }

    fn there(&self) -> usize {
        self.driver.instances(DEVICE).expect("asked").len()
    }
}

fn places(device: &DeviceInfo) -> Vec<MigPlacement> {
    match &device.mode {
        DeviceMode::Mig { geometry, .. } => geometry.clone(),
        DeviceMode::Whole => panic!("not in MIG mode: {device:?}"),
    }
}

fn small(start: u8) -> MigPlacement {
    let memory = weft_types::Bytes(9_728 << 20);
    MigPlacement { profile: "1g.10gb".parse().expect("a profile"), start, size: 1, memory }
}

fn rung(device: &DeviceInfo, isolation: Isolation) -> (bool, &str) {
    let rung = device.rungs.iter().find(|rung| rung.isolation == isolation).expect("spoken of");
    (rung.offered, &rung.why)
}

#[test]
fn the_rung_is_offered_once_an_instance_was_made_and_ended() {
    let machine = Machine::new();
    let devices = machine.started().inventory();
    let (offered, why) = rung(&devices[1], Isolation::Mig);
    assert!(offered && why.contains("1g.10gb was made, opened as MIG-0 and ended"), "{why}");
    assert_eq!((machine.there(), places(&devices[1]).len()), (0, 10));
    let (offered, why) = rung(&devices[0], Isolation::Mig);
    assert!(!offered && why == "this kind has no MIG mode", "{why}");
    for isolation in [Isolation::Kernel, Isolation::Mps, Isolation::Shared] {
        assert!(!rung(&devices[0], isolation).0, "{isolation}: nothing was tried");
    }
}

#[test]
fn an_instance_is_its_holders_until_it_is_ended() {
    let machine = Machine::new();
    let instances = machine.started();
    let first = instances.make("w1-1-0.0", DEVICE, &small(0)).expect("made");
    assert_eq!(instances.make("w1-1-0.0", DEVICE, &small(0)).expect("found"), first);
    let other = instances.make("w2-1-0.0", DEVICE, &small(3)).expect("made");
    assert_ne!(first.uuid, other.uuid);
    instances.end("w1-1-0.0").expect("ended");
    instances.end("w1-1-0.0").expect("ended before");
    assert_eq!((machine.there(), instances.holders()), (1, vec!["w2-1-0.0".to_owned()]));
}

#[test]
fn what_a_crash_left_is_found_again_or_ended() {
    let machine = Machine::new();
    let before = machine.started();
    let kept = before.make("w1-1-0.0", DEVICE, &small(0)).expect("made");
    before.make("w2-1-0.0", DEVICE, &small(1)).expect("made");
    drop(before);
    let after = machine.started();
    assert_eq!(after.make("w1-1-0.0", DEVICE, &small(0)).expect("found"), kept);
    assert!(after.keep_only(|holder| holder == "w1-1-0.0").is_empty());
    assert_eq!((machine.there(), after.holders()), (1, vec!["w1-1-0.0".to_owned()]));
}

/// The note as it stands when the server dies between making an instance and noting its number.
fn intent(notes: &Path, holder: &str, start: u8) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    let text = format!("boot {}\ndevice {DEVICE}\nplace {start} 1\nbefore 0\n", boot.trim());
    std::fs::write(notes.join(holder), text).expect("written");
}

#[test]
fn what_was_made_and_not_noted_is_ours_and_what_others_made_is_not() {
    let machine = Machine::new();
    let foreign = machine.driver.make_instance(DEVICE, &small(0)).expect("made by hand");
    intent(machine.notes.path(), "w1-1-0.0", 4);
    machine.driver.make_instance(DEVICE, &small(4)).expect("made, then the server died");
    // Another server's crash came before anything was made; somebody took the place and uses it.
    intent(machine.notes.path(), "w2-1-0.0", 5);
    let theirs = machine.driver.make_instance(DEVICE, &small(5)).expect("made by hand");
    machine.driver.open_instance(DEVICE, theirs).expect("opened by hand");

    let after = machine.started();
    assert!(after.keep_only(|_| false).is_empty());
    let left: Vec<u32> =
        machine.driver.instances(DEVICE).expect("asked").iter().map(|slot| slot.id).collect();
    assert_eq!(left, [foreign, theirs]);
    assert_eq!(after.holders(), Vec::<String>::new());
}

#[test]
fn the_places_of_others_are_not_given() {
    let machine = Machine::new();
    let id = machine.driver.make_instance(DEVICE, &small(2)).expect("made by hand");
    let instances = machine.started();
    let devices = instances.inventory();
    assert!(
        places(&devices[1]).iter().all(|place| place.start > 2 || place.start + place.size <= 2)
    );
    assert!(rung(&devices[1], Isolation::Mig).0);
    assert!(!rung(&devices[1], Isolation::Exclusive).0, "no place for all of it is left");
    let refused = instances.make("w1-1-0.0", DEVICE, &small(2)).expect_err("it is another's");
    assert!(
        matches!(refused, InstanceError::Foreign { id: found, .. } if found == id),
        "{refused}"
    );
    assert_eq!(machine.there(), 1);
}

#[test]
fn who_gets_a_place_ends_what_was_left_there() {
    let machine = Machine::new();
    let instances = machine.started();
    instances.make("w1-1-0.0", DEVICE, &small(0)).expect("made");
    instances.make("w2-1-0.0", DEVICE, &small(0)).expect("made in its place");
    assert_eq!((machine.there(), instances.holders()), (1, vec!["w2-1-0.0".to_owned()]));
}

#[test]
fn a_note_of_an_earlier_boot_ends_nothing() {
    let machine = Machine::new();
    let note = format!("boot earlier\ndevice {DEVICE}\nplace 0 1\nbefore \nid 0\n");
    std::fs::write(machine.notes.path().join("w1-1-0.0"), note).expect("written");
    assert_eq!(machine.driver.make_instance(DEVICE, &small(0)), Ok(0));
    let after = machine.started();
    assert!(after.keep_only(|_| false).is_empty());
    assert_eq!((machine.there(), after.holders()), (1, Vec::new()));
}

#[test]
fn declared_devices_have_instances_too() {
    let driver: Simulated = "1xH200-141:mig".parse().expect("a declaration");
    let notes = tempfile::tempdir().expect("a folder");
    let instances = Instances::new(Arc::new(driver), notes.path());
    let device = instances.inventory().remove(0);
    assert!(rung(&device, Isolation::Mig).0);
    let place = places(&device).remove(0);
    assert!(instances.make("w1-1-0.0", &device.uuid, &place).is_ok());
    instances.end("w1-1-0.0").expect("ended");
}
