//! `weft bench overhead` on the stand-in for the driver: what is there is measured and marked as
//! simulated, what is not there is said, and the figures are kept.

use crate::{stand_in, world};
use std::fs;

#[test]
fn every_way_that_is_there_is_measured_and_the_others_are_said() {
    let world = stand_in::up("devices=1xH100-80");
    let report = world.json(&["bench", "overhead", "--rounds", "2", "--driver", "driver"]);
    assert_eq!((&report["simulated"], &report["against"]), (&true.into(), &"direct".into()));
    assert_eq!(report["fingerprint"]["device"], "NVIDIA H100 80GB HBM3", "{report}");
    let ways = report["ways"].as_object().expect("ways");
    let measured: Vec<_> = ways.keys().map(String::as_str).collect();
    assert_eq!(measured, ["direct", "exclusive", "shared"], "{report}");
    for (name, figures) in ways {
        for figure in ["start", "pass", "launch", "memory", "copy"] {
            assert!(figures[figure]["mean"].as_f64() > Some(0.0), "{name} {figure}: {report}");
        }
    }
    let missing = |way: &str| report["missing"][way].as_str().expect("said").to_owned();
    assert!(missing("mig").contains("MIG mode is off"), "{report}");
    assert!(missing("mps").contains("nvidia-cuda-mps-control"), "{report}");
    let kept = fs::read_dir(world.state().join("bench")).expect("kept").count();
    assert_eq!((kept, world.json(&["ps", "-a"])), (1, serde_json::json!([])), "and nothing else");
}

#[test]
fn it_fails_where_nothing_was_measured() {
    let world = world();
    world.write("driver/libcuda.so.1", "no library");
    let nothing = world.weft(&["bench", "overhead", "--rounds", "2", "--driver", "driver"]);
    assert_eq!(nothing.code, 120, "{nothing:?}");
    assert!(nothing.err.contains("round 1 of 2: direct"), "{nothing:?}");
    assert!(nothing.out.contains("not there: direct: "), "{nothing:?}");
    assert!(nothing.out.contains("not there: shared: the pool has no accelerator"), "{nothing:?}");
    assert!(!world.state().join("bench").exists(), "nothing to keep");
}
