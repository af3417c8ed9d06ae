//! Runs from submission to removal: logs, exit codes, exec, stop, retry, files, outputs.

use crate::world;
use serde_json::json;

#[test]
fn a_run_is_followed_to_its_end() {
    let world = world();
    let answer = world.weft(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(answer.code, 7, "{answer:?}");
    assert_eq!(answer.out, "out\n");
    for said in ["started weft (state in ", "\nerr\n", "exit code 7", "next     weft logs job"] {
        assert!(answer.err.contains(said), "{said}: {answer:?}");
    }
    let ps = world.json(&["ps", "-a"]);
    assert_eq!((&ps[0]["state"], &ps[0]["exit"]["code"]), (&json!("failed"), &json!(7)));
    assert_eq!(world.json(&["ps"]), json!([]));
    let logs = world.json(&["logs", "job"]);
    let texts: Vec<_> = logs.as_array().unwrap().iter().map(|line| &line["text"]).collect();
    assert_eq!(texts.len(), 2, "{logs}");
    assert!(texts.contains(&&json!("out")) && texts.contains(&&json!("err")), "{logs}");
}

#[test]
fn a_signal_is_128_and_its_number() {
    let world = world();
    let answer = world.weft(&["run", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(answer.code, 137, "{answer:?}");
}

#[test]
fn json_is_the_last_word() {
    let world = world();
    let answer = world.weft(&["run", "--json", "--", "echo", "hi"]);
    let workload: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&workload["state"], answer.code), (&json!("succeeded"), 0));
    assert!(answer.err.contains("hi\n"), "{answer:?}");
}

#[test]
fn a_nameless_file_gives_its_own_name() {
    let world = world();
    world.write("greet.weft.yaml", "run: echo $WEFT_NAME\n");
    world.write("weft.yaml", "run: echo $WEFT_NAME\n");
    assert_eq!(world.ok(&["run", "greet.weft.yaml"]).out, "greet\n");
    assert_eq!(world.ok(&["run", "weft.yaml"]).out, "job\n");
}

#[test]
fn files_go_along_and_outputs_come_back() {
    let world = world();
    world.write("src/app.sh", "mkdir -p out/deep; cp data.txt out/deep/copy; echo $WHO\n");
    world.write("src/data.txt", "payload\n");
    world.write(
        "job.weft.yaml",
        "name: pack\nrun: sh app.sh\nworkdir: src\nenv: [WHO=me]\noutputs: [out]\n",
    );
    let answer = world.ok(&["run", "job.weft.yaml"]);
    assert_eq!(answer.out, "me\n");
    let kept = world.state().join("outputs/w1");
    assert!(answer.err.contains(&format!("outputs  {}", kept.display())), "{answer:?}");
    assert_eq!(std::fs::read_to_string(kept.join("out/deep/copy")).unwrap(), "payload\n");
    let files = world.json(&["outputs", "pack"]);
    assert_eq!(files, json!([{ "path": "out/deep/copy", "bytes": 8 }]));
    world.ok(&["outputs", "pack", "--to", "got"]);
    let got = world.work().join("got/out/deep/copy");
    assert_eq!(std::fs::read_to_string(got).unwrap(), "payload\n");
    let again = world.weft(&["outputs", "pack", "--to", "got"]);
    assert_eq!(again.code, 123, "nothing is overwritten: {again:?}");

    // Each run is one of its own, also under a name that is kept.
    world.ok(&["run", "job.weft.yaml"]);
    assert_eq!(world.json(&["ps", "-a"]).as_array().unwrap().len(), 2);
}

#[test]
fn what_runs_can_be_entered_stopped_and_forgotten() {
    let world = world();
    let name = world.ok(&["run", "--detach", "--name", "napper", "--", "sleep", "600"]).out;
    assert_eq!(name, "napper\n");
    let exec = world.ok(&["exec", "napper", "--env", "X=1", "--", "sh", "-c", "echo $X; pwd"]);
    assert!(exec.out.starts_with("1\n"), "{exec:?}");
    assert_eq!(world.weft(&["exec", "napper", "--", "sh", "-c", "exit 9"]).code, 9);
    let why = world.ok(&["why", "napper"]);
    assert!(why.out.contains("running, it does not wait"), "{why:?}");

    let early = world.weft(&["rm", "napper"]);
    assert_eq!(early.code, 123, "what runs is not forgotten: {early:?}");
    world.ok(&["stop", "--wait", "napper"]);
    assert_eq!(world.weft(&["exec", "napper", "--", "true"]).code, 123);
    assert_eq!(world.json(&["ps", "-a"])[0]["state"], "stopped");
    world.ok(&["rm", "napper"]);
    assert_eq!(world.weft(&["logs", "napper"]).code, 121);
    let what: Vec<_> = world.json(&["events"]).as_array().unwrap().clone();
    assert!(what.iter().any(|event| event["what"] == "stop-requested"), "{what:?}");
}

#[test]
fn a_run_that_fails_is_started_again() {
    let world = world();
    let answer =
        world.weft(&["run", "--json", "--retry", "1", "--", "sh", "-c", "echo try; exit 3"]);
    let workload: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&workload["attempt"], answer.code), (&json!(2), 3));
    assert_eq!(answer.err.matches("try\n").count(), 2, "{answer:?}");
}

#[test]
fn apply_does_it_once() {
    let world = world();
    world.write("svc.weft.yaml", "type: service\nname: svc\nrun: sleep 600\n");
    let first = world.ok(&["apply", "-f", "svc.weft.yaml"]);
    assert!(first.err.contains("submitted"), "{first:?}");
    let second = world.ok(&["apply", "-f", "svc.weft.yaml"]);
    assert!(second.err.contains("no change"), "{second:?}");
    world.write("svc.weft.yaml", "type: service\nname: svc\nrun: sleep 700\n");
    assert_eq!(world.weft(&["apply", "-f", "svc.weft.yaml"]).code, 123);
    assert_eq!(world.json(&["ps"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_can_never_run_is_said_at_once() {
    let world = world();
    let answer = world.weft(&["run", "--memory", "200TB", "--", "true"]);
    assert_eq!(answer.code, 125, "{answer:?}");
    let dry = world.ok(&["run", "--dry-run", "--", "true"]);
    assert!(dry.out.starts_with("it would start now:"), "{dry:?}");
    assert_eq!(world.json(&["ps", "-a"]), json!([]), "nothing was submitted");
}

#[test]
fn what_is_taken_from_the_environment_has_to_be_there() {
    let world = world();
    world.write("job.weft.yaml", "run: echo hi\nenv:\n  - TOKEN\n");
    let answer = world.weft(&["run", "job.weft.yaml"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.err.contains("job.weft.yaml:3:5"), "{answer:?}");
}

#[test]
fn a_python_nobody_has_is_refused_before_anything_waits() {
    let world = world();
    world.write("job.weft.yaml", "python: '3.99'\nrun: python3 -V\n");
    let answer = world.weft(&["run", "job.weft.yaml"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    let said = "python: 3.99 is not on this machine; it has 3.";
    assert!(answer.err.contains(said) && answer.err.contains("hint: name one of"), "{answer:?}");
    assert_eq!(world.json(&["ps", "-a"]), json!([]));
}

#[test]
fn a_file_that_is_not_there_is_said_in_a_sentence() {
    let world = world();
    world.write("job.weft.yaml", "files: [src, nothing]\nrun: ls\n");
    world.write("src/x", "");
    let answer = world.weft(&["run", "job.weft.yaml"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.err.contains("`nothing`: there is no file or folder /"), "{answer:?}");
    assert!(!answer.err.contains("os error"), "{answer:?}");
}

#[test]
fn nothing_is_accepted_while_everything_is_ended() {
    let world = world();
    let run = "stop_grace: 1m\nrun: trap '' TERM; echo up; while :; do sleep 1; done\n";
    world.write("job.weft.yaml", run);
    world.ok(&["run", "-d", "job.weft.yaml"]);
    world.until("it runs", || world.weft(&["logs", "job"]).out.contains("up").then_some(()));
    let down = world.start(&["down", "--all"]);
    world.until_state("job", "stopping");
    let answer = world.weft(&["run", "-d", "--name", "late", "--", "true"]);
    assert_eq!(answer.code, 120, "{answer:?}");
    assert!(answer.err.contains("the server is shutting down"), "{answer:?}");
    assert!(world.json(&["ps", "-a"]).as_array().unwrap().iter().all(|w| w["name"] != "late"));
    world.ok(&["stop", "--now", "job"]);
    let answer = down.answer();
    assert_eq!(answer.code, 0, "{answer:?}");
}
