//! PyTorch on parts of one accelerator, as a user runs it: the example's file, its packages brought
//! and checked by `weft run`, on the stand-in for the driver. `cargo xtask test --full`.

use crate::parts::says;
use crate::stand_in;
use weft_testkit::World;

const EXAMPLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/imitate/train.weft.yaml");
const HOLDS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/programs/torch_holds.py:holds.py");

/// Seconds over which shares are judged.
const WINDOW: usize = 10;
/// How far from its share one may be over them, in thousandths.
const BAR: u64 = 30;

#[test]
#[ignore = "gigabytes of packages: cargo xtask test --full"]
fn stack_trains_on_two_parts_of_one_device() {
    // Kernels that take longer than launching them does, so that both want more than there is.
    let world = stand_in::up("devices=1xH200-141 clock=real kernel=2ms");
    let example = world.ok(&["run", EXAMPLE, "--env", "STEPS=20"]).out;
    assert!(example.contains("NVIDIA H200, 10.0 GB"), "{example}");
    assert!(example.contains("step   20") && example.contains("model written"), "{example}");

    let parts = [("small", "0.3,10GB", 300), ("large", "0.7,40GB", 700)];
    for (name, gpu, _) in parts {
        let flags = ["run", "-d", EXAMPLE, "--name", name, "--gpu", gpu, "--cpu", "0.5"];
        world.ok(&[&flags[..], &["--files", HOLDS, "--", "python", "holds.py"]].concat());
    }
    let mib = |name: &str| says(&world, name, "sees ").parse::<u64>().unwrap();
    assert_eq!((mib("small"), mib("large")), (10_000_000_000 >> 20, 40_000_000_000 >> 20));
    parts.iter().for_each(|(name, ..)| {
        says(&world, name, "steps ");
    });
    let both = now(&world);
    for (name, _, share) in parts {
        let had = world.until(&format!("{WINDOW} s of {name}"), || share_of(&world, name, both));
        assert!(had.abs_diff(share) <= BAR, "{name} had {had} thousandths of the time");
    }

    // One takes all that it has and is refused more; the other goes on as before.
    let before = steps(&world, "large");
    world.ok(&["exec", "small", "--", "touch", "/work/fill"]);
    let refused = says(&world, "small", "took ");
    // Of 9,536 MiB, less what the context and the code of the kernels take.
    assert!(refused.contains("36 quarters") && refused.contains("out of memory"), "{refused}");
    world.until("steps of the other", || (steps(&world, "large") > before + 30).then_some(()));
    let had = share_of(&world, "large", both).expect("it has run for long");
    assert!(had.abs_diff(700) <= BAR, "large had {had} thousandths while small was refused");

    shown(&world);
    for (name, ..) in parts {
        world.ok(&["exec", name, "--", "touch", "/work/go"]);
        world.until_state(name, "succeeded");
    }
    let cost = world.json(&["cost"])["lines"][0].clone();
    assert!(cost["gpu_measured_ms"].as_u64().unwrap() > 10_000, "{cost}");
    assert_eq!(cost["gpu_sampled_ms"], 0, "{cost}");
}

/// What both have is shown as measured, and the peak of the one that was refused.
fn shown(world: &World) {
    let gpus = world.json(&["gpus"])[0]["shares"].clone();
    let sources = gpus.as_array().unwrap().iter().map(|share| share["used"]["source"].as_str());
    assert_eq!(sources.collect::<Vec<_>>(), [Some("measured"); 2], "{gpus}");
    let peak = world.json(&["metrics", "small"])["devices"][0]["memory_peak_bytes"].clone();
    assert!((9 << 30..=10_000_000_000).contains(&peak.as_u64().unwrap()), "{peak}");
}

/// When the last point of the metrics is from, in milliseconds.
fn now(world: &World) -> u64 {
    let points = world.json(&["metrics", "small"])["points"].clone();
    points.as_array().unwrap().last().unwrap()["at_ms"].as_u64().unwrap()
}

/// Thousandths of the device's time that it had over the last [`WINDOW`], all of it since then.
fn share_of(world: &World, name: &str, since_ms: u64) -> Option<u64> {
    let points = world.json(&["metrics", name])["points"].clone();
    let later = points.as_array()?.iter().filter(|p| p["at_ms"].as_u64() > Some(since_ms));
    let active: Vec<u64> = later.filter_map(|p| p["gpu_active_milli"].as_u64()).collect();
    // The first of them began before.
    let last = active.len().checked_sub(WINDOW).filter(|before| *before > 0)?;
    Some(active[last..].iter().sum::<u64>() / WINDOW as u64)
}

/// How many steps it has said that it did.
fn steps(world: &World, name: &str) -> u64 {
    let log = world.ok(&["logs", name]).out;
    let last = log.lines().filter_map(|line| line.strip_prefix("steps ")?.parse().ok()).next_back();
    last.unwrap_or(0)
}
