//! Parts of one accelerator, end to end: `weft run` on the stand-in for the driver.
//!
//! What a program sees, what it is refused and how fast it may launch is kept by the library that
//! `weft up` delivers; the program is an ordinary one, that opens the driver by its name.

use crate::stand_in;
use std::path::Path;
use weft_testkit::World;

/// What each program begins with.
pub(crate) const DRIVER: &str = include_str!("programs/driver.py");
pub(crate) const HOLDS: &str = include_str!("programs/holds.py");
const BUSY: &str = include_str!("programs/busy.py");

/// Runs a program in the background on so much of a device.
pub(crate) fn submit(world: &World, name: &str, gpu: &str, program: &str) {
    let args = ["run", "-d", "--no-env", "--name", name, "--gpu", gpu, "--cpu", "0.1"];
    let program = format!("{DRIVER}\n{program}");
    let command = ["--memory", "64MB", "--disk", "100MB", "--", "python3", "-c", &program];
    world.ok(&[&args[..], &command].concat());
}

/// Waits for a line of a workload's output that begins so; what stands behind.
pub(crate) fn says(world: &World, name: &str, begins: &str) -> String {
    world.until(&format!("{name} says {begins}"), || {
        let out = world.weft(&["logs", name]).out;
        let ended = world.json(&["ps", "-a"]).as_array()?.iter().any(|w| {
            w["name"] == name && ["failed", "lost"].iter().any(|state| w["state"] == *state)
        });
        assert!(!ended, "{name} failed: {out}");
        out.lines().find_map(|line| Some(line.strip_prefix(begins)?.trim().to_owned()))
    })
}

#[test]
fn each_has_its_part_of_one_device_and_is_refused_more() {
    let world = stand_in::up("devices=1xH200-141");
    let gpus = world.json(&["gpus"]);
    assert_eq!(gpus[0]["class"], "h200", "{gpus}");
    submit(&world, "large", "0.7,40GB", HOLDS);
    submit(&world, "small", "0.3,10GB", HOLDS);
    // As it was given, of 143,771 MiB.
    let mib = |name: &str| says(&world, name, "sees ").parse::<u64>().unwrap();
    assert_eq!((mib("small"), mib("large")), (10_000_000_000 >> 20, 40_000_000_000 >> 20));
    // The other holds all it may have, and neither is in the way of the other.
    for name in ["small", "large"] {
        assert_eq!(says(&world, name, "took all of it, and then "), "2", "out of memory");
        assert_eq!(says(&world, name, "without variables "), "2");
    }
    let placed = world.until_state("small", "running");
    assert_eq!(placed["placements"][0]["devices"][0]["isolation"], "shared", "{placed}");
    for name in ["small", "large"] {
        // The run may see it, and be over, before the program that made it is.
        world.weft(&["exec", name, "--", "touch", "/work/go"]);
        assert_eq!(says(&world, name, "still has "), "it");
        world.until_state(name, "succeeded");
    }
}

#[test]
fn what_the_other_leaves_is_used_until_the_server_is_gone() {
    let world = stand_in::up("devices=1xH100-80 clock=real kernel=500us");
    submit(&world, "alone", "0.2", BUSY);
    let id = world.json(&["ps"])[0]["id"].as_str().unwrap().to_owned();
    let log = world.state().join(format!("runs/{id}-1-0/log"));
    let uses = |what: &str, enough: &dyn Fn(&[u64]) -> bool| move_on(&world, what, &log, enough);
    let more = |used: &[u64]| used.iter().any(|used| *used >= 500);
    // Alone on its device it is given what nobody else uses.
    uses("more than its share", &more);
    kill(server(&world));
    // Nobody gives any more: it has its share, and keeps it.
    let seen = uses("its share", &|_| true);
    let seen = uses("no more than its share", &|used| {
        used[seen..].windows(3).any(|three| three.iter().all(|used| *used <= 350))
    });
    // The next server finds it, and what it left.
    world.ok(&["up", "--detach", "--gpu-libraries", "driver"]);
    uses("more again", &|used| more(&used[seen..]));
    world.ok(&["stop", "--now", "--wait", "alone"]);
}

#[test]
fn two_that_want_all_of_it_have_no_more_than_all_of_it() {
    let world = stand_in::up("devices=1xH100-80 clock=real kernel=500us");
    let shares = [("less", "0.3"), ("more", "0.7")];
    shares.iter().for_each(|(name, share)| submit(&world, name, share, BUSY));
    let log = |name: &str| {
        let run = world.until_state(name, "running");
        world.state().join(format!("runs/{}-1-0/log", run["id"].as_str().unwrap()))
    };
    let logs = shares.map(|(name, _)| log(name));
    // The first windows are those of one of them alone.
    let windows = |used: &[u64]| used.len() >= 25;
    for log in &logs {
        move_on(&world, "a while of both", log, &windows);
    }
    let middle = logs.map(|log| {
        let log = std::fs::read_to_string(log).unwrap();
        let used = log.lines().filter_map(|line| line.split(" out used ").nth(1)?.parse().ok());
        let mut used: Vec<u64> = used.skip(10).take(15).collect();
        used.sort_unstable();
        used[used.len() / 2]
    });
    // What one is kept from using by a busy machine the other may have: only the sum is sure.
    assert!(middle[0] + middle[1] <= 1_100, "{middle:?} of 300 and 700 thousandths");
    assert!(middle.iter().all(|used| *used > 0), "{middle:?}");
    for (name, _) in shares {
        world.ok(&["stop", "--now", "--wait", name]);
    }
}

/// Waits until what a program says it used, in thousandths and in each window, is enough; how many
/// windows there were. The log is read as it lies: a command would start a server.
fn move_on(world: &World, what: &str, log: &Path, enough: &dyn Fn(&[u64]) -> bool) -> usize {
    world.until(what, || {
        let log = std::fs::read_to_string(log).ok()?;
        let used = log.lines().filter_map(|line| line.split(" out used ").nth(1)?.parse().ok());
        let used: Vec<u64> = used.collect();
        enough(&used).then_some(used.len())
    })
}

/// The server of this world.
pub(crate) fn server(world: &World) -> i32 {
    let found = world.processes().into_iter().find(|(_, line)| line.contains("--background"));
    found.expect("it was started").0
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

#[test]
fn nothing_is_given_of_a_device_whose_part_cannot_be_kept() {
    let world = stand_in::up("devices=1xL4-24");
    let env = ["--env", "LD_LIBRARY_PATH=/run/weft/gpu/driver"];
    let args = ["run", "--name", "round", "--gpu", "0.5", "--cpu", "0.1", "--memory", "64MB"];
    let command = ["--disk", "100MB", "--", "echo", "ESCAPED"];
    let refused = world.weft(&[&args[..], &env, &command].concat());
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(!refused.out.contains("ESCAPED"), "{refused:?}");
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("does not answer for the driver"), "{said}");
    world.ok(&["down"]);
    let wrong = world.weft(&["up", "--gpu-libraries", "nowhere"]);
    assert_ne!(wrong.code, 0, "{wrong:?}");
    assert!(wrong.err.contains("nowhere"), "{wrong:?}");
}
