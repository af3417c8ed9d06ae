//! `data:` end to end: a dataset that was put is a folder in a workload, and only there.

use super::world;
use weft_testkit::World;

/// A world with `claims@v1` of that tier: `a.csv` and a file of 6 MiB.
fn with_claims(tier: &str) -> World {
    let world = world();
    std::fs::create_dir(world.work().join("claims")).unwrap();
    world.write("claims/a.csv", "x,y\n1,2\n");
    std::fs::write(world.work().join("claims/big"), vec![7; 6 << 20]).unwrap();
    world.ok(&["data", "put", "claims", "claims", "--tier", tier]);
    world
}

#[test]
fn a_dataset_is_a_folder_of_the_version_that_was_newest() {
    let world = with_claims("internal");
    world.write(
        "x.weft.yaml",
        "name: reads\nresources: {disk: 1GB}\ndata: claims\nrun: cat /data/claims/a.csv\n",
    );
    let ran = world.ok(&["run", "x.weft.yaml"]);
    assert!(ran.out.contains("x,y\n1,2\n"), "{}", ran.out);
    let shown = world.json(&["ps", "-a"]);
    let text = shown.to_string();
    assert!(text.contains("claims@v1") && text.contains("\"tier\":\"internal\""), "{text}");
    // What comes later changes nothing for who says which version it wants.
    world.write("claims/a.csv", "x,y\n3,4\n");
    world.ok(&["data", "put", "claims", "claims"]);
    for (from, wanted) in [("claims@v1", "1,2"), ("claims@latest", "3,4")] {
        let spec = format!(
            "resources: {{disk: 1GB}}\ndata: {{from: {from}, to: /mnt/c}}\nrun: tail -n 1 /mnt/c/a.csv\n"
        );
        world.write("y.weft.yaml", &spec);
        let ran = world.ok(&["run", "y.weft.yaml"]);
        assert!(ran.out.contains(wanted), "{from}: {}", ran.out);
    }
}

#[test]
fn what_cannot_be_mounted_is_refused_with_what_to_do() {
    let world = with_claims("confidential");
    for (spec, said) in [
        ("data: nothing\nrun: x", "there is no dataset `nothing`"),
        ("data: claims@v9\nrun: x", "has no version `v9`"),
        ("data: {from: claims, to: /etc/claims}\nrun: x", "which the sandbox has itself"),
        ("data: [claims, {from: claims, to: /data/claims/x}]\nrun: x", "lie in each other"),
        ("data: claims\nnetwork: outbound\nrun: x", "may not reach the network"),
        ("type: service\ndata: claims\nports: 80\nrun: x", "may not publish ports"),
    ] {
        world.write("bad.weft.yaml", spec);
        let answer = world.weft(&["run", "bad.weft.yaml"]);
        assert!(answer.err.contains(said), "{spec}: {}", answer.err);
    }
    // Inside it can be read, and nothing in there reaches anything outside.
    let look = "resources: {disk: 1GB}\ndata: claims\nrun: |\n  cat /data/claims/a.csv\n  \
                ls /sys/class/net 2>/dev/null || true\n  cat /proc/net/dev | tail -n +3 | cut -d: -f1\n";
    world.write("in.weft.yaml", look);
    let ran = world.ok(&["run", "in.weft.yaml"]);
    assert!(ran.out.contains("x,y\n1,2\n"), "{}", ran.out);
    assert!(ran.out.contains("lo") && !ran.out.contains("eth"), "{}", ran.out);
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_waited_for() {
    let world = with_claims("internal");
    let script = "name: waits\nresources: {disk: 1GB}\ndata: claims\nrun: |\n  cat /data/claims/a.csv\n  \
                  while [ ! -e go ]; do sleep 0.05; done\n  \
                  tail -c 3000000 /data/claims/big | wc -c\n";
    world.write("x.weft.yaml", script);
    world.ok(&["run", "--detach", "x.weft.yaml"]);
    world.until_state("waits", "running");
    world.kill_servers();
    let runs = world.state().join("runs/w1-1-0/work/go");
    std::fs::write(runs, "").unwrap();
    let log = world.state().join("runs/w1-1-0/log");
    world.until("it waits", || {
        std::fs::read_to_string(&log).ok()?.contains("the server is away").then_some(())
    });
    world.ok(&["up", "--detach"]);
    world.until_state("waits", "succeeded");
    let logs = world.ok(&["logs", "waits"]);
    assert!(logs.out.contains("3000000"), "{}", logs.out);
}

#[test]
fn the_kernel_reads_ahead_a_whole_block_where_that_may_be_said() {
    let world = with_claims("internal");
    let script = "name: looks\nresources: {disk: 1GB}\ndata: claims\nrun: |\n  \
                  grep fuse.weft /proc/self/mountinfo\n  \
                  while [ ! -e go ]; do sleep 0.05; done\n  wc -c < /data/claims/big\n";
    world.write("x.weft.yaml", script);
    world.ok(&["run", "--detach", "x.weft.yaml"]);
    let device = world.until("it has seen its folder", || {
        let logs = world.weft(&["logs", "looks"]).out;
        let line = logs.lines().find(|line| line.contains(" fuse.weft "))?.to_owned();
        line.split(' ').find(|word| word.starts_with("0:")).map(str::to_owned)
    });
    let window = format!("/sys/class/bdi/{device}/read_ahead_kb");
    let may = std::fs::File::options().write(true).open(&window).is_ok();
    let kilobytes = std::fs::read_to_string(&window).unwrap();
    assert_eq!(kilobytes.trim(), if may { "1024" } else { "128" });
    std::fs::write(world.state().join("runs/w1-1-0/work/go"), "").unwrap();
    world.until_state("looks", "succeeded");
}
