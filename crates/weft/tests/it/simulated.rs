//! Simulated accelerators: the whole path on a machine without one, and shown as simulated.

use crate::{golden, world};

#[test]
fn a_run_gets_its_devices_and_the_next_one_waits() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "2xH200-141"]);
    let gpus = world.ok(&["gpus"]);
    assert_eq!(gpus.out.matches("(simulated)").count(), 3, "{gpus:?}");

    let submit = |name: &str, gpu: &str| {
        let args = [
            "run", "-d", "--name", name, "--gpu", gpu, "--cpu", "0.1", "--memory", "32MB",
            "--disk", "100MB", "--",
        ];
        world.ok(&args.iter().chain(&["sleep", "600"]).copied().collect::<Vec<_>>())
    };
    submit("both", "2");
    let both = world.until_state("both", "running");
    let devices = both["placements"][0]["devices"].as_array().unwrap();
    assert!(devices.iter().all(|d| d["simulated"] == true && d["isolation"] == "exclusive"));
    assert_eq!(devices.len(), 2, "{both}");

    submit("half", "0.5");
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "half"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    assert!(why.contains("half is queued #1"), "{why}");
    assert_eq!(world.json(&["why", "half"])["position"], 1);

    world.ok(&["stop", "--now", "--wait", "both"]);
    let half = world.until_state("half", "running");
    assert_eq!(half["placements"][0]["devices"][0]["isolation"], "shared", "{half}");
    world.ok(&["stop", "--now", "--wait", "half"]);
    // The ledger is written with the next sample.
    world.until("simulated device time in the cost", || {
        world.ok(&["cost"]).out.contains("(simulated)").then_some(())
    });
    world.ok(&["admin", "ledger", "check"]);
}

/// Two teams of four each, of which one has taken what the other lends.
#[test]
fn what_could_be_had_now_is_what_starts() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "8xH200-141"]);
    for team in ["vision", "speech"] {
        let share = [
            ["--gpu", "4", "--gpu-borrow", "4", "--gpu-lend", "4"],
            ["--cpu", "8", "--cpu-borrow", "8", "--cpu-lend", "8"],
            ["--memory", "64GB", "--memory-borrow", "64GB", "--memory-lend", "64GB"],
        ]
        .concat();
        let line = ["admin", "queue", "set", team, "--cohort", "lab"];
        world.ok(&[&line[..], &share].concat());
    }
    let submit = |queue: &str, name: &str, gpu: &str, code: i32| {
        let line = ["run", "-d", "--queue", queue, "--name", name, "--gpu", gpu, "--cpu", "0.1"];
        let answer = world.weft(
            &[&line[..], &["--memory", "32MB", "--disk", "100MB", "--", "sleep", "600"]].concat(),
        );
        assert_eq!(answer.code, code, "{answer:?}");
    };
    let now = |queue: &str| world.ok(&["gpus", "--now", "--queue", queue]).out;
    let mut said = format!("idle\n{}", now("vision"));
    submit("vision", "big", "6", 0);
    world.until_state("big", "running");
    said += &format!("\nvision has six\n{}\n{}", now("vision"), now("speech"));
    // A team that has used up its processor, and no accelerator.
    world.ok(&["admin", "queue", "set", "tiny", "--gpu", "2", "--cpu", "0.1", "--memory", "1GB"]);
    submit("tiny", "prepares", "none", 0);
    world.until_state("prepares", "running");
    said += &format!("\ntiny has used up its processor\n{}", now("tiny"));
    golden("gpus-now", &said);

    let why = world.json(&["gpus", "--now", "--queue", "tiny"])["items"][0]["why"].clone();
    assert_eq!((&why["kind"], &why["word"]), (&"quota".into(), &"cpu share of tiny".into()));

    // Each figure is what the next submission gets.
    let items = &world.json(&["gpus", "--now", "--queue", "vision"])["items"];
    let offer = items[0].clone();
    assert_eq!((&offer["now"]["devices"], &offer["own"]["devices"]), (&2.into(), &0.into()));
    let dry = |queue: &str, gpu: &str| {
        let line = ["run", "--dry-run", "--queue", queue, "--gpu", gpu, "--", "true"];
        world.ok(&line).out
    };
    assert!(dry("vision", "2").starts_with("it would start"), "{}", dry("vision", "2"));
    assert!(dry("vision", "3").starts_with("it would wait"), "{}", dry("vision", "3"));
    // Until the loan has run its minimum time, nothing is taken back for who wants four.
    let back = &world.json(&["gpus", "--now", "--queue", "speech"])["items"][0]["taking_back"];
    assert!(back.is_null() && dry("speech", "4").starts_with("it would wait"), "{back}");
    // Both tables, and what they were before as JSON.
    let both = world.ok(&["gpus"]).out;
    assert!(both.contains("HELD BY") && both.contains("STARTS NOW"), "{both}");
    assert_eq!(world.json(&["gpus"]).as_array().map(Vec::len), Some(8));
    let none = world.weft(&["gpus", "--queue", "none"]);
    assert_eq!(none.code, 121, "{none:?}");
}

/// Of several kinds, what each counts when teams take turns is told; of one kind there is nothing
/// to tell.
#[test]
fn what_accelerators_are_worth_is_shown() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "1xH100-80,3xT4-16"]);
    let gpus = world.json(&["gpus"]);
    let worth = |name: &str| {
        let of = |device: &&serde_json::Value| device["class"] == name;
        gpus.as_array().unwrap().iter().find(of).unwrap()["worth_milli"].as_u64().unwrap()
    };
    assert_eq!((worth("h100") + 3 * worth("t4")).abs_diff(4_000), 0, "four mean devices: {gpus}");
    assert!(worth("h100") > 1_000, "{gpus}");
    let table = world.ok(&["gpus"]).out;
    assert!(table.lines().next().unwrap().contains("WORTH"), "{table}");
    let offers = world.json(&["gpus", "--now"]);
    let of = |item: &&serde_json::Value| item["class"] == "h100";
    let offered = offers["items"].as_array().unwrap().iter().find(of).unwrap();
    assert_eq!(offered["worth_milli"], worth("h100"));
}

#[test]
fn what_would_help_is_said_before_and_after_submission() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "2xH200-141"]);
    let small = "  cpu: 0.1\n  memory: 32MB\n  disk: 100MB\n";
    let file = |name: &str, gpu: u32, more: &str| {
        let text = format!("name: {name}\nrun: sleep 600\n{more}resources:\n  gpu: {gpu}\n{small}");
        world.write(&format!("{name}.weft.yaml"), &text);
    };
    file("one", 1, "max_duration: 20m\n");
    file("two", 2, "");
    file("eight", 8, "");
    world.ok(&["run", "-d", "one.weft.yaml"]);
    world.until_state("one", "running");

    let less = "- with 1 GPU instead of 2 it starts now  (resources.gpu: 1)\n";
    let dry = world.ok(&["run", "--dry-run", "two.weft.yaml"]);
    assert!(dry.out.starts_with("it would wait, #1"), "{dry:?}");
    assert!(dry.out.contains(less) && dry.out.contains("- it starts when w1 ends, in"), "{dry:?}");

    world.ok(&["run", "-d", "two.weft.yaml"]);
    let why = world.ok(&["why", "two"]);
    assert!(why.out.contains(less) && why.out.contains("- it starts when w1 ends, in"), "{why:?}");
    let helps = &world.json(&["why", "two"])["helps"];
    assert_eq!(helps[0]["changes"][0]["value"], "1", "{helps}");
    assert_eq!(helps[1]["ends"][0], "w1", "{helps}");
    // What is said is so: written into the file, it starts.
    file("less", 1, "");
    world.ok(&["run", "-d", "less.weft.yaml"]);
    world.until_state("less", "running");

    let never = world.weft(&["run", "--dry-run", "eight.weft.yaml"]);
    let hint = "hint: it could run with 2 GPUs instead of 8: `resources.gpu: 2`";
    assert!(never.code == 125 && never.err.contains(hint), "{never:?}");
}

#[test]
fn a_gang_says_how_many_of_how_many_it_has() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "3xH200-141"]);
    let run = |name: &str, more: &[&str]| {
        let args = [
            "run", "--name", name, "--gpu", "1", "--cpu", "0.1", "--memory", "32MB", "--disk",
            "100MB",
        ];
        let all = [&args[..], more, &["--", "sleep", "600"]].concat();
        world.ok(&all)
    };
    let dry = run("some", &["--replicas", "2..8", "--dry-run"]);
    assert!(dry.out.starts_with("it would start now, 3 of 2 to 8 members:\n"), "{dry:?}");
    assert_eq!(dry.out.lines().count(), 4, "{dry:?}");
    run("some", &["--replicas", "2..8", "-d"]);
    let some = world.until_state("some", "running");
    assert_eq!((&some["members"], &some["spec"]["replicas_max"]), (&3.into(), &8.into()));
    let ps = world.ok(&["ps"]).out;
    assert!(ps.contains("3 of 2 to 8 members") && ps.contains("3 x h200"), "{ps}");
    let why = world.ok(&["why", "some"]).out;
    assert!(why.contains("  it has 3 of 2 to 8 members\n"), "{why}");

    run("next", &["--replicas", "2..8", "-d"]);
    let why = world.until("a reason", || {
        let why = world.ok(&["why", "next"]).out;
        (!why.contains("next plan")).then_some(why)
    });
    let starts = "  it starts once 2 of its members have room, and with up to 8\n";
    assert!(why.contains("queued #1") && why.contains(starts), "{why}");
    let wrong = world.weft(&["run", "--replicas", "8..2", "--", "true"]);
    assert!(wrong.err.contains("write the smaller bound first"), "{wrong:?}");
}

/// Once two hundred members have shown what is usual, a part goes where least is given up of it:
/// the half that is left is kept for another half.
#[test]
fn what_is_usual_decides_where_a_part_is_placed() {
    let world = world();
    let up = || world.ok(&["up", "--detach", "--simulate", "2xH100-80"]);
    up();
    let small = "  cpu: 0.01\n  memory: 16MB\n  disk: 20MB\n";
    let file = |name: &str, gpu: &str, replicas: u32| {
        let text =
            format!("run: sleep 600\nreplicas: {replicas}\nresources:\n  gpu: {gpu}\n{small}");
        world.write(&format!("{name}.weft.yaml"), &text);
    };
    let run = |name: &str, gpu: &str| {
        file(name, gpu, 1);
        world.ok(&["run", "-d", "--name", name, &format!("{name}.weft.yaml")]);
        world.until_state(name, "running");
    };
    // The first device has 0.6 left, the second a half.
    run("first", "0.4");
    run("between", "0.6");
    run("second", "0.5");
    world.ok(&["stop", "--now", "--wait", "between"]);
    file("third", "0.3", 1);
    let device = || {
        let dry = world.json(&["run", "--dry-run", "third.weft.yaml"]);
        dry["placements"][0]["devices"][0]["device"].as_str().unwrap_or_default().to_owned()
    };
    let fullest = device();
    assert!(fullest.ends_with("/1"), "the fullest that holds it: {fullest}");
    // People ask for halves, now and then for less; none of these can start.
    for (name, gpu, replicas, times) in [("half", "0.5", 4, 45), ("less", "0.3", 6, 4)] {
        file(name, gpu, replicas);
        for _ in 0..times {
            world.ok(&["run", "-d", &format!("{name}.weft.yaml")]);
        }
    }
    let waiting = world.json(&["ps", "--state-is", "queued"]);
    let ids = waiting.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
    let ids: Vec<&str> = ids.collect();
    assert_eq!(ids.len(), 49);
    world.ok(&[&["stop", "--now"][..], &ids].concat());
    // What is usual is learned when a server starts, and every ten minutes.
    world.ok(&["down"]);
    up();
    world.until_state("second", "running");
    let kept = device();
    assert!(kept.ends_with("/0"), "the half is kept for another half: {kept}");
    // And so it is placed.
    world.ok(&["run", "-d", "--name", "third", "third.weft.yaml"]);
    let third = world.until_state("third", "running");
    assert_eq!(third["placements"][0]["devices"][0]["device"], kept, "{third}");
}

#[test]
fn who_asks_for_what_is_never_given_is_told_what_is() {
    let world = world();
    world.ok(&["up", "--detach", "--simulate", "H200-141:mig"]);
    let small = ["--cpu", "0.1", "--memory", "32MB", "--disk", "100MB", "--no-env"];
    let run = |more: &[&str]| {
        let line = [&["run"], &small[..], more, &["--", "true"]].concat();
        world.weft(&line)
    };
    let share = run(&["--gpu", "0.3"]);
    assert!(share.err.contains("those there are divided into MIG instances"), "{share:?}");
    assert!(share.err.contains("hint: ask for a MIG instance"), "{share:?}");
    let apart = run(&["--gpu", "mig:1g.18gb", "--isolation", "exclusive"]);
    assert!(apart.err.contains("hint: ask for a whole GPU, `gpu: 1`"), "{apart:?}");
    let unknown = run(&["--gpu", "0.3", "--isolation", "strong"]);
    assert!(unknown.err.contains("possible values: exclusive, mig, kernel"), "{unknown:?}");
    let kept = run(&["--gpu", "mig:1g.18gb", "--isolation", "mig", "--name", "kept"]);
    assert_eq!(kept.code, 0, "{kept:?}");
}
