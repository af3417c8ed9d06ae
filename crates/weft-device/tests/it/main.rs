//! The NVML driver against a stand-in library, so that its structures are read on any machine.

mod instances;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use weft_device::{DeviceDriver, Nvml, ProcessUse, XidBlame};
use weft_sched::DeviceMode;
use weft_types::Bytes;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// The stand-in, compiled; the folder lives as long as the library is needed.
fn stand_in() -> (tempfile::TempDir, PathBuf) {
    stand_in_with(&[])
}

/// Likewise; `-DQUIET` is one whose devices never fail.
pub(crate) fn stand_in_with(flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libnvidia-ml.so.1");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/stand_in.c");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .args(flags)
        .status()
        .expect("a C compiler, which building Weft needs anyway");
    assert!(status.success());
    (folder, library)
}

#[test]
fn devices_are_read_as_the_driver_tells_them() {
    let (_folder, library) = stand_in();
    let driver = Nvml::load_from(library.as_os_str());
    assert_eq!(driver.warning(), None);
    assert!(!driver.simulated());

    let devices = driver.inventory();
    assert_eq!(devices.len(), 3);
    let whole = &devices[0];
    assert_eq!((whole.uuid.as_str(), whole.class.name.as_str()), ("GPU-0", "h100"));
    assert_eq!(
        whole.class.memory,
        Bytes((81_559 - 551) * MIB),
        "the driver's reserve is taken off"
    );
    assert_eq!(whole.mode, DeviceMode::Whole);

    let DeviceMode::Mig { geometry, compute_slices: 7 } = &devices[1].mode else {
        panic!("not in MIG mode: {:?}", devices[1]);
    };
    let count = |profile: &str| {
        geometry.iter().filter(|place| place.profile.to_string() == profile).count()
    };
    assert_eq!((count("1g.10gb"), count("3g.40gb"), count("7g.80gb")), (7, 2, 1));
    assert_eq!(geometry.len(), 10, "the media variant is left out");
    let half = geometry.iter().filter(|place| place.profile.slices == 3);
    let half: Vec<_> = half.map(|place| (place.start, place.size, place.memory)).collect();
    assert_eq!(half, [(0, 4, Bytes(40_192 * MIB)), (4, 4, Bytes(40_192 * MIB))]);

    assert!(!devices[2].health.is_healthy(), "a lost device is shown, and takes no work");
}

#[test]
fn samples_say_what_is_known() {
    let (_folder, library) = stand_in();
    let samples = Nvml::load_from(library.as_os_str()).sample();
    assert_eq!(samples.len(), 3);
    assert_eq!((samples[0].active_permille, samples[0].memory_used), (Some(370), Bytes(GIB)));
    let process = |pid, gib| ProcessUse { pid, memory: Bytes(gib * GIB) };
    assert_eq!(samples[0].processes, [process(100, 1), process(101, 2)]);
    assert_eq!(samples[1].active_permille, None, "the driver does not tell in MIG mode");
    assert_eq!(samples[2].active_permille, None, "a lost device tells nothing");
}

#[test]
fn errors_are_told_once_with_who_is_to_blame() {
    let (_folder, library) = stand_in();
    let driver = Nvml::load_from(library.as_os_str());
    let (mut errors, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(20));
    while errors.len() < 2 {
        errors.extend(driver.errors());
        assert!(Instant::now() < deadline, "told {errors:?}");
        std::thread::yield_now();
    }
    let told: Vec<_> = errors.iter().map(|e| (e.uuid.as_str(), e.xid, e.blame)).collect();
    assert_eq!(
        told,
        [("GPU-0", Some(31), XidBlame::Program), ("GPU-1", Some(79), XidBlame::Device)]
    );
    assert!(driver.errors().is_empty(), "told once");
}
