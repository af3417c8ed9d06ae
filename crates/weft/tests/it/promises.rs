//! What is stopped for somebody is theirs, whoever comes in between and whatever dies.

use crate::shared_time::{TWO_HOURS, age, kill_server, let_end, replays, up};
use crate::world;

/// Saves its state when it is asked to end, and takes as long for it as the test likes.
const HOLDS: &str = "\
suspend: checkpoint
stop_grace: 5m
resources: {gpu: 1, cpu: 0.1, memory: 64MB, disk: 500MB}
run: |
  cd $WEFT_CHECKPOINT_DIR
  trap 'while ! test -e go; do sleep 0.05; done; exit 0' TERM
  echo holds
  while :; do sleep 0.05 || true; done
";

/// Works until there is a file `go`.
const WORKS: &str = "\
resources: {gpu: 1, cpu: 0.1, memory: 64MB, disk: 500MB}
run: while ! test -e go; do sleep 0.05; done
";

#[test]
fn a_promise_outlives_the_server_and_its_beneficiary_starts_first() {
    let world = world();
    up(&world);
    world.write("low.weft.yaml", HOLDS);
    world.write("high.weft.yaml", &format!("priority: 10\n{WORKS}"));
    world.write("rival.weft.yaml", &format!("priority: 500\n{WORKS}"));
    world.ok(&["run", "-d", "low.weft.yaml"]);
    world
        .until("its first line", || world.ok(&["logs", "low"]).out.contains("holds").then_some(()));
    world.ok(&["run", "-d", "high.weft.yaml"]);
    // The minimum run time passes, and it is asked to make place.
    kill_server(&world);
    age(&world, 1, TWO_HOURS);
    up(&world);
    world.until_state("low", "stopping");
    // Who comes now has a higher priority, and the server dies.
    world.ok(&["run", "-d", "rival.weft.yaml"]);
    kill_server(&world);
    up(&world);
    assert_eq!(world.json(&["ps", "--state-is", "stopping"])[0]["name"], "low");
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "high"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    assert!(why.contains("w1"), "{why}");
    std::fs::write(world.state().join("kept/w1/0/go"), "").expect("a file");
    world.until_state("high", "running");
    let waiting = world.json(&["ps", "--state-is", "queued"]);
    let names: Vec<_> = waiting.as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert!(names.contains(&&"rival".into()), "{waiting}");
    let_end(&world, "high");
    world.until_state("high", "succeeded");
    world.until_state("rival", "running");
    replays(&world);
}
