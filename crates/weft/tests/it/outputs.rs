//! Outputs that go into datasets: a version with where it came from, or nothing.

use super::world;
use weft_testkit::World;

/// A run that reads `claims` and leaves two files for `sums`.
const SUMS: &str = "name: sums\nresources: {disk: 1GB}\ndata: claims\noutputs:\n  \
                    - {from: out/, to: sums}\nrun: |\n  mkdir -p out/more\n  \
                    wc -l < /data/claims/a.csv > out/lines\n  echo kept > out/more/note\n";

fn with_claims(tier: &str) -> World {
    let world = world();
    std::fs::create_dir(world.work().join("claims")).unwrap();
    world.write("claims/a.csv", "x,y\n1,2\n");
    world.ok(&["data", "put", "claims", "claims", "--tier", tier]);
    world
}

#[test]
fn what_a_run_leaves_is_a_version_that_says_where_it_comes_from() {
    let world = with_claims("internal");
    world.write("sums.weft.yaml", SUMS);
    let ran = world.ok(&["run", "sums.weft.yaml"]);
    assert!(ran.err.contains("sums@v1, of out/"), "{}", ran.err);
    world.ok(&["data", "get", "sums@v1", "got"]);
    let read = |path: &str| std::fs::read_to_string(world.work().join(path)).unwrap();
    assert_eq!((read("got/lines").trim(), read("got/more/note").as_str()), ("2", "kept\n"));
    // The copy in clear is gone with it.
    let left = world.json(&["outputs", "sums"]);
    assert_eq!(left.as_array().map(Vec::len), Some(0), "{left}");

    let told = world.ok(&["data", "lineage", "sums"]);
    for said in ["sums@v1  2 files", "left by run sums (w1)", "wc -l", "claims@v1  1 file"] {
        assert!(told.out.contains(said), "{said}: {}", told.out);
    }
    let told = world.ok(&["data", "lineage", "claims@v1"]);
    assert!(told.out.contains("what came of it") && told.out.contains("sums@v1"), "{}", told.out);

    // The run can be removed, and done again from what is known of it: equal is the same version.
    world.ok(&["rm", "sums"]);
    let again = world.ok(&["data", "lineage", "sums@v1", "--spec"]).out;
    assert!(again.contains("claims@v1") && again.contains("to: sums"), "{again}");
    world.write("again.weft.yaml", &again);
    let ran = world.ok(&["run", "again.weft.yaml"]);
    assert!(ran.err.contains("sums@v1, of out/"), "{}", ran.err);
    let graph = world.json(&["data", "lineage", "sums@v1"]);
    assert_eq!(graph["origins"].as_array().map(Vec::len), Some(2), "{graph}");
    // What is not left any more is not in the next version.
    world.write("less.weft.yaml", &SUMS.replace("echo kept > out/more/note", "true"));
    let ran = world.ok(&["run", "less.weft.yaml"]);
    assert!(ran.err.contains("sums@v2, of out/"), "{}", ran.err);
    let listed = world.ok(&["data", "ls", "sums@v2"]).out;
    assert!(listed.contains("lines") && !listed.contains("more"), "{listed}");
}

#[test]
fn what_was_read_in_confidence_leaves_as_such_or_not_at_all() {
    let world = with_claims("confidential");
    world.write("claims/a.csv", "x,y\n");
    world.ok(&["data", "put", "claims", "plain"]);
    for (outputs, said) in [
        ("outputs: out/\n", "may not leave files that anybody fetches"),
        ("outputs:\n  - {from: out/, to: plain}\n", "no data below the tier of what it read"),
    ] {
        let (head, tail) = SUMS.split_once("outputs:").unwrap();
        let rest = tail.split_once("run:").unwrap().1;
        world.write("bad.weft.yaml", &format!("{head}{outputs}run:{rest}"));
        let refused = world.weft(&["run", "bad.weft.yaml"]);
        assert!(refused.code != 0 && refused.err.contains(said), "{outputs}: {}", refused.err);
    }
    world.write("sums.weft.yaml", SUMS);
    world.ok(&["run", "sums.weft.yaml"]);
    let made = world.json(&["data", "info", "sums"]);
    assert_eq!(made["tier"], "confidential", "{made}");
    for refused in [&["outputs", "sums"][..], &["data", "get", "sums", "got"]] {
        let answer = world.weft(refused);
        assert!(answer.code != 0, "{refused:?}: {}", answer.out);
    }
    // Nor does it lie anywhere in clear.
    assert!(!world.state().join("outputs/w1").exists());
}

#[test]
fn a_run_that_fails_leaves_no_version() {
    let world = with_claims("internal");
    world.write("fails.weft.yaml", &format!("{SUMS}  false\n"));
    let ran = world.weft(&["run", "fails.weft.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("out/ did not go into sums: the workload failed"), "{}", ran.err);
    assert!(world.weft(&["data", "info", "sums"]).code != 0, "there is no dataset");
    let left = world.ok(&["outputs", "sums"]).out;
    assert!(left.contains("out/lines"), "it can be looked at: {left}");

    // One that leaves nothing says so, and a script sees it.
    world.write("empty.weft.yaml", &SUMS.replace("{from: out/,", "{from: other/,"));
    let ran = world.weft(&["run", "empty.weft.yaml"]);
    assert_eq!(ran.code, 120, "{}", ran.err);
    assert!(ran.err.contains("there is no file at `other/`"), "{}", ran.err);
}

#[test]
fn a_server_that_is_killed_before_it_publishes_does_it_when_it_is_back() {
    let world = with_claims("internal");
    // What it reads it has read: that would wait for the server.
    let waits = SUMS.replace("  echo", "  while [ ! -e go ]; do sleep 0.05; done\n  echo");
    world.write("sums.weft.yaml", &waits);
    world.ok(&["run", "--detach", "sums.weft.yaml"]);
    world.until_state("sums", "running");
    let lines = world.state().join("runs/w1-1-0/work/out/lines");
    world.until("it has read", || std::fs::read(&lines).ok().filter(|text| !text.is_empty()));
    world.kill_servers();
    let run = world.state().join("runs/w1-1-0");
    std::fs::write(run.join("work/go"), "").unwrap();
    world.until("the run is over", || run.join("exit.json").exists().then_some(()));
    world.ok(&["up", "--detach"]);
    world.until("it is a version", || {
        let seen = world.json(&["ps", "-a"]).to_string();
        seen.contains("\"state\":\"made\"").then_some(())
    });
    assert!(world.ok(&["data", "ls", "sums@v1"]).out.contains("lines"));
}

#[test]
fn why_it_is_no_version_says_nothing_of_what_is_in_it() {
    let world = with_claims("confidential");
    let named =
        SUMS.replace("echo kept >", "echo kept > \"out/can\"\"ary$(printf '\\377')\"; echo >");
    world.write("sums.weft.yaml", &named);
    let ran = world.weft(&["run", "sums.weft.yaml"]);
    assert_eq!(ran.code, 120, "{}", ran.err);
    assert!(ran.err.contains("rename it") && !ran.err.contains("canary"), "{}", ran.err);
    for told in [&["ps", "-a"][..], &["events", "sums"]] {
        let told = world.json(told).to_string();
        assert!(told.contains("no UTF-8") && !told.contains("canary"), "{told}");
    }
}

#[test]
fn what_is_too_much_for_the_team_waits_for_room_and_is_not_lost() {
    let world = with_claims("internal");
    world.ok(&["admin", "queue", "set", "default", "--data", "3kB"]);
    let large = SUMS.replace("echo kept >", "head -c 100000 /dev/urandom >");
    world.write("sums.weft.yaml", &large);
    let ran = world.weft(&["run", "sums.weft.yaml"]);
    assert_eq!(ran.code, 120, "{}", ran.err);
    assert!(ran.err.contains("out/ is not in sums yet"), "{}", ran.err);
    // It can be fetched, or given up.
    assert!(world.ok(&["outputs", "sums"]).out.contains("out/more/note"));
    world.ok(&["rm", "sums"]);
}
