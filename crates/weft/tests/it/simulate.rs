//! `weft simulate` as its users meet it: a log goes in, a report comes out, or a way out is said.

use crate::{golden, world};
use rustix::process::Signal;
use std::io::Read as _;

/// Three teams, busy in turns; lines end as other systems end them.
fn log(jobs: u64) -> String {
    let mut text = String::from("submit,duration,gpus,queue,user\r\n");
    for job in 0..jobs {
        let (team, hour) = (job % 3, job / 40 % 3 * 2 + job % 3);
        let submit = 1_767_225_600 + hour * 3600 + job * 60;
        let (ran, gpus) = (900 + job % 11 * 300, 1 + job % 4);
        text += &format!("{submit},{ran},{gpus},team-{team},u{}\r\n", job % 7);
    }
    text
}

#[test]
fn a_log_becomes_a_report_and_the_same_bytes_again() {
    let world = world();
    world.write("mine.csv", &log(90));
    let line = ["simulate", "--trace", "mine.csv", "--machines", "4x8:h100", "--round", "60s"];
    let files = ["--report", "out.html", "--data", "out.json"];
    let run = || {
        let answer = world.ok(&[&line[..], &files].concat());
        let read = |name: &str| std::fs::read_to_string(world.work().join(name)).expect(name);
        (answer.out, read("out.html"), read("out.json"))
    };
    let (out, page, data) = run();
    assert!(out.starts_with("90 jobs of 3 teams compared, 32 GPUs (4x8:h100)"), "{out}");
    assert!(out.contains("goals") && out.contains("best-sized silos"), "{out}");
    for heading in ["In short", "Team by team", "What was assumed", "How to repeat it"] {
        assert!(page.contains(heading), "{heading}");
    }
    assert!(page.contains("weft simulate --trace mine.csv --machines 4x8:h100"), "the command");
    let found: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!(found["schema"], "weft.simulate/1");
    assert_eq!((&found["trace"]["compared"], &found["interrupted"]), (&90.into(), &false.into()));
    // All figures are equal at every repeat.
    assert_eq!(run(), (out, page, data));
    let left: Vec<_> = std::fs::read_dir(world.work()).expect("files").collect();
    assert_eq!(left.len(), 3, "nothing else is left: {left:?}");
}

#[test]
fn the_standard_input_is_a_log_too() {
    let world = world();
    world.write("mine.csv", &log(60));
    let line = ["--json", "simulate", "--brief", "--machines", "2x8", "--trace"];
    let mut command = world.command(&[&line[..], &["-"]].concat());
    command.stdin(std::fs::File::open(world.work().join("mine.csv")).expect("the log"));
    let piped = command.output().expect("it runs");
    let piped: serde_json::Value = serde_json::from_slice(&piped.stdout).expect("JSON");
    let args: Vec<&str> = line[1..].iter().copied().chain(["mine.csv"]).collect();
    let file = world.json(&args);
    assert_eq!((&piped["runs"], &piped["trace"]["hash"]), (&file["runs"], &file["trace"]["hash"]));
}

#[test]
fn what_is_wrong_with_a_log_is_said_with_its_place_and_a_way_out() {
    let world = world();
    world.write("empty.csv", " \n");
    world.write("odd.csv", "when,how long,how many\n1,2,3\n");
    world.write("gpus.csv", "submit,duration,gpus,queue\n0,60,1,a\n0,60,1.5,\"b, c\"\n");
    world.write("short.csv", "submit,duration,gpus\n0,60,1\n0,60\n");
    world.write("none.csv", "submit,duration,gpus\n0,60,0\n0,,1\n");
    world.write("jobs.txt", "JobID|JobName|Submit|Start|End|AllocTRES\n1|a|b|1|2|3|gres/gpu=1\n");
    world.write("times.txt", "JobID|Submit|Start|End|AllocTRES\n1|yesterday|1|2|gres/gpu=1\n");
    world.write("tres.txt", "JobID|Submit|Start|End\n1|1|1|2\n");
    world.write("jobs.json", "{\"jobs\": [\n  {\"job_id\": \"x\"}\n]}\n");
    std::fs::write(world.work().join("packed.gz"), b"\x1f\x8b\x08\x00").expect("a file");
    std::fs::write(world.work().join("latin.csv"), b"submit,duration,gpus,queue\n0,60,1,K\xf6ln\n")
        .expect("a file");
    world.write("mine.csv", &log(3));
    world.write("bad.yaml", "sharing: pooled\nsuspendable: 170%\n");
    let mut said = String::new();
    let machines = ["--machines", "2x8"];
    let names = [
        "missing.csv",
        "empty.csv",
        "odd.csv",
        "gpus.csv",
        "short.csv",
        "none.csv",
        "jobs.txt",
        "times.txt",
        "tres.txt",
        "jobs.json",
        "packed.gz",
        "latin.csv",
    ];
    let mut lines: Vec<Vec<&str>> =
        names.iter().map(|name| [&["--trace", *name][..], &machines].concat()).collect();
    let mine = ["--trace", "mine.csv"];
    for more in [
        &["--machines", "eighty"][..],
        &["--machines", "0x8"],
        &[],
        &["--pool"],
        &["--machines", "2x8", "--compare", "today,tody"],
        &["--machines", "2x8", "--compare", "today,bad.yaml"],
        &["--machines", "2x8", "--report", "nowhere/out.html"],
        &["--machines", "2x8", "--round", "10"],
        &["--machines", "2x8", "--failures", "mtbf=1s,repair=1h"],
    ] {
        lines.push([&mine[..], more].concat());
    }
    let place = format!("{}/", world.work().display());
    for line in lines {
        let answer = world.weft(&[&["simulate"][..], &line].concat());
        let code = if line.contains(&"--pool") { 124 } else { 2 };
        assert_eq!((answer.code, answer.out.as_str()), (code, ""), "{line:?}: {answer:?}");
        let err = answer.err.replace(&place, "");
        said += &format!("$ weft simulate {}\n{err}\n", line.join(" "));
    }
    golden("simulate-refusals", &said);
}

/// Whenever it is left, it says what it has and what it has not, and its files are whole.
#[test]
fn ctrl_c_keeps_what_there_is() {
    let world = world();
    world.write("mine.csv", &log(20_000));
    let line = ["simulate", "--trace", "mine.csv", "--machines", "8x8"];
    let mut command = world.command(&[&line[..], &["--report", "out.html"]].concat());
    let mut child = command.spawn().expect("it starts");
    let mut errors = child.stderr.take().expect("its errors");
    let mut said = Vec::new();
    while !said.ends_with(b"with what it has)\n") {
        let mut byte = [0];
        assert_eq!(errors.read(&mut byte).expect("it is read"), 1, "it ended before");
        said.push(byte[0]);
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).expect("it is there");
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("its errors");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{rest}");
    assert!(rest.contains("left early.") && rest.contains("Missing: "), "{rest}");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("LEFT EARLY."), "{out}");
    let page = std::fs::read_to_string(world.work().join("out.html")).expect("a page");
    assert!(page.contains("This was left early") && page.ends_with("</html>\n"));
    let left: Vec<_> = std::fs::read_dir(world.work()).expect("files").collect();
    assert_eq!(left.len(), 2, "nothing else is left: {left:?}");
}

#[test]
fn the_machines_of_the_pool_are_taken() {
    let world = world();
    world.write(
        "mine.csv",
        "submit,duration,gpus,queue,models\n0,60,1,a,h200\n5,60,3,b,\n9,60,1,a,v100\n",
    );
    world.ok(&["up", "--detach", "--simulate", "4xH200-141"]);
    let line = ["simulate", "--trace", "mine.csv", "--pool", "--brief"];
    let found = world.json(&line);
    assert_eq!((&found["devices"], &found["trace"]["compared"]), (&4.into(), &2.into()), "{found}");
    assert_eq!(found["trace"]["without_model"], 1, "{}", found["trace"]);
    assert!(found["cluster"].as_str().is_some_and(|it| it.contains("1x4:")), "{found}");
    // What is given by hand finds the same.
    let cluster = found["cluster"].as_str().expect("machines");
    let by_hand =
        world.json(&["simulate", "--trace", "mine.csv", "--machines", cluster, "--brief"]);
    assert_eq!(found["runs"], by_hand["runs"]);
    let out = world.ok(&line).out;
    assert!(out.starts_with("2 jobs of 2 teams compared, 4 GPUs (1x4:"), "{out}");
}
