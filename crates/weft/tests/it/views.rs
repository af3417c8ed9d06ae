//! Views by the command line: made by the server in its own time, whatever happens to it.

use super::world;

const FILES: usize = 20;
const ROWS: usize = 5_000;

#[test]
fn a_view_in_the_making_outlives_servers_that_are_killed() {
    let world = world();
    let rows: String = (0..ROWS).map(|n| format!("{n},secret {n}\n")).collect();
    for file in 0..FILES {
        world.write(&format!("claims/{file}.csv"), &format!("n,name\n{rows}"));
    }
    world.ok(&["data", "put", "claims", "claims"]);
    let recipe = ["--columns", "n", "--rows", "n >= 4998"];
    world.ok(&[&["data", "view", "part", "--of", "claims"], &recipe[..]].concat());
    // Somewhere within making it, twice.
    world.kill_servers();
    world.ok(&["up", "--detach"]);
    let shown = || world.json(&["data", "info", "part"]);
    let there = |info: &serde_json::Value| {
        let objects = info["objects"].as_u64().unwrap();
        assert!(objects == 0 || objects == FILES as u64, "half of it is shown: {info}");
        info["view"]["versions"][0]["version"].as_u64()
    };
    there(&shown());
    world.kill_servers();
    world.ok(&["up", "--detach"]);
    let version = world.until("the view is made", || there(&shown()));
    assert_eq!(version, 1, "once");
    world.kill_servers();
    world.ok(&["up", "--detach"]);
    world.ok(&["data", "verify", "part"]);
    world.ok(&["data", "get", "part@of-v1", "out"]);
    for file in 0..FILES {
        let got = std::fs::read_to_string(world.work().join(format!("out/{file}.csv"))).unwrap();
        assert_eq!(got, "n\n4998\n4999\n", "{file}");
    }
}
