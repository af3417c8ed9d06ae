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

/// A part of a version is the same each time, in the folder and over S3, and the rest is nowhere.
#[test]
fn a_sample_is_read_in_the_place_of_all_of_it() {
    let world = world();
    let rows: String = (0..1_000).map(|n| format!("{n},{}\n", n % 7)).collect();
    world.write("claims/rows.csv", &format!("n,canary\n{rows}"));
    for n in 0..100 {
        world.write(&format!("claims/images/{n}"), &n.to_string());
    }
    world.ok(&["data", "put", "claims", "claims", "--tier", "confidential"]);
    world.write("claims/rows.csv", "n,canary\n1,2\n");
    world.ok(&["data", "put", "claims", "claims"]);
    world.write("s3.py", include_str!("programs/inside/s3.py"));
    world.write("sampled.py", include_str!("programs/inside/sampled.py"));
    let spec = "resources: {disk: 1GB}\ndata: {from: claims@v1, sample: 0.1}\n\
                files: [s3.py, sampled.py]\nrun: python3 sampled.py\n\
                outputs:\n  - {from: out, to: made}\n";
    world.write(
        "x.weft.yaml",
        &spec.replace("python3 sampled.py", "python3 sampled.py && date > out"),
    );
    let seen: Vec<_> = (0..2).map(|_| world.ok(&["run", "x.weft.yaml"]).out).collect();
    let told = |out: &String| out.lines().find(|line| line.starts_with("rows ")).map(str::to_owned);
    assert!(told(&seen[0]).is_some() && told(&seen[0]) == told(&seen[1]), "{seen:?}");

    // It has no name of its own, and what came of it says of what it is.
    for args in [["data", "ls"], ["data", "search"], ["admin", "audit"]] {
        let more = if args[1] == "search" { "sample" } else { "" };
        let more = if args[1] == "audit" { "list" } else { more };
        let all: Vec<_> = args.into_iter().chain((!more.is_empty()).then_some(more)).collect();
        let out = world.weft(&all).out;
        assert!(!out.contains("sample-"), "{all:?}: {out}");
    }
    let lineage = world.ok(&["data", "lineage", "made@v1", "--spec"]).out;
    assert!(
        lineage.contains("from: claims@v1") && lineage.contains("sample: \"10%\""),
        "{lineage}"
    );

    for (data, said) in [
        ("{from: claims@v1, sample: 0%}", "is nothing"),
        ("{from: claims@v1, sample: 200%}", "more than all"),
        (
            "[{from: claims@v1, sample: 1%}, {from: claims@v1, to: /mnt/x}]",
            "another part of claims@v1",
        ),
    ] {
        world.write("bad.weft.yaml", &format!("data: {data}\nrun: x\n"));
        let answer = world.weft(&["run", "bad.weft.yaml"]);
        assert!(answer.err.contains(said), "{data}: {}", answer.err);
    }
}

/// What cannot be made holds nothing: the workload waits in the queue and says for what.
#[test]
fn who_waits_for_a_sample_says_so() {
    let world = with_claims("internal");
    world.ok(&["admin", "queue", "set", "default", "--data", "6.5MB"]);
    let spec =
        "name: waits\nresources: {disk: 1GB}\ndata: {from: claims, sample: 100.0%}\nrun: x\n";
    world.write("x.weft.yaml", &spec.replace("100.0%", "99.9%"));
    world.ok(&["run", "--detach", "x.weft.yaml"]);
    world.until("it says why", || {
        let why = world.weft(&["why", "waits"]).out;
        (why.contains("99.9% of claims@v1") && why.contains("may hold")).then_some(())
    });
    world.ok(&["admin", "queue", "set", "default", "--data", "1GB"]);
    world.ok(&["stop", "waits"]);
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
