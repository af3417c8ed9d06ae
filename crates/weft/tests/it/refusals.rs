//! What goes wrong, and what is said of it; none of these needs a server.

use crate::{golden, world};

#[test]
fn a_file_is_shown_with_every_error() {
    let world = world();
    world.write(
        "train.weft.yaml",
        "type: jbo\ncomands: [python train.py]\nresources: {memory: 16XB, gpu: 'A100:'}\n",
    );
    let answer = world.weft(&["run", "train.weft.yaml"]);
    assert_eq!((answer.code, answer.out.as_str()), (2, ""));
    golden("bad-file", &answer.err);
    assert!(!world.state().join("weft.db").exists(), "no server for a file that is wrong");
}

#[test]
fn command_lines_are_refused_with_a_way_out() {
    let world = world();
    let mut said = String::new();
    let lines: &[&[&str]] = &[
        &["squeue"],
        &["sbatch"],
        &["delete"],
        &["pss"],
        &["run"],
        &["run", "missing.yaml"],
        &["run", "--memory", "16XB", "--", "true"],
        &["run", "--gpu", "A100:", "--", "true"],
        &["run", "--priority", "5000", "--", "true"],
        &["run", "--name", "My_Run", "--", "true"],
        &["run", "--files", "nothing", "--print-spec", "--", "true"],
        &["run", "--env", "1X=2", "--print-spec", "--", "true"],
        &["logs", "x", "--since", "10"],
        &["--server", "nowhere", "ps"],
        &["up", "--simulate", "8xB999"],
    ];
    for line in lines {
        let answer = world.weft(line);
        assert_eq!(answer.code, 2, "{line:?}: {answer:?}");
        said += &format!("$ weft {}\n{}\n", line.join(" "), answer.err);
    }
    golden("refusals", &said);
}

#[test]
fn tokens_never_go_over_the_wire_in_clear() {
    let world = world();
    let answer = world.weft(&["up", "--listen", "0.0.0.0:0"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.err.contains("hint: add --tls-cert and --tls-key"), "{answer:?}");
    assert_eq!(std::fs::read_dir(world.state()).unwrap().count(), 0, "nothing was touched");
}

#[test]
fn nobody_answers() {
    let world = world();
    let answer = world.weft(&["--server", "unix:/nonexistent/api.sock", "ps"]);
    assert_eq!(answer.code, 124, "{answer:?}");
    assert!(answer.err.contains("hint: start one with `weft up`"), "{answer:?}");
    let answer = world.weft(&["--server", "http://127.0.0.1:1", "ps"]);
    assert_eq!(answer.code, 122, "no token: {answer:?}");
}

#[test]
fn a_client_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let path = world.client_file();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "token = \"sesame\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let answer = world.weft(&["--server", "http://127.0.0.1:1", "ps"]);
    assert_eq!(answer.code, 122, "{answer:?}");
    assert!(answer.err.contains("chmod 600") && !answer.err.contains("sesame"), "{answer:?}");
}

#[test]
fn specs_are_printed_and_read_back() {
    let world = world();
    world.write("train.py", "print(1)\n");
    let args = [
        "run",
        "--print-spec",
        "--gpu",
        "A100:2",
        "--memory",
        "64GB",
        "--cpu",
        "0.5",
        "--files",
        "train.py",
        "--env",
        "LR=0.1",
        "--env",
        "TOKEN",
        "--max-duration",
        "90m",
        "--retry",
        "2",
        "--network",
        "outbound",
        "--name",
        "sft",
        "--",
        "python3",
        "train.py",
        "a b",
        "",
    ];
    let printed = world.ok(&args).out;
    golden("print-spec", &printed);
    world.write("again.weft.yaml", &printed);
    assert_eq!(world.ok(&["run", "--print-spec", "again.weft.yaml"]).out, printed);
    let less = world.ok(&["run", "--print-spec", "again.weft.yaml", "--gpu", "none"]).out;
    assert!(!less.contains("gpu"), "{less}");
}

#[test]
fn programs_get_errors_as_json() {
    let world = world();
    let error = |line: &[&str]| {
        let answer = world.weft(line);
        let last = answer.err.lines().last().unwrap_or_default().to_owned();
        let value: serde_json::Value = serde_json::from_str(&last).unwrap_or_else(|_| {
            panic!("{line:?}: {answer:?}");
        });
        (answer.code, value["error"].clone())
    };
    let (code, said) = error(&["--json", "run", "missing.yaml"]);
    assert_eq!((code, said["code"].as_str()), (2, Some("usage")));
    assert_eq!(said["detail"], "there is no file `missing.yaml`");
    assert!(said["hint"].as_str().unwrap().contains("weft run --"), "{said}");
    let (code, said) = error(&["pss", "--json"]);
    assert_eq!((code, said["code"].as_str()), (2, Some("usage")));
    let (code, said) = error(&["logs", "x", "--since", "10", "--json"]);
    assert_eq!((code, said["code"].as_str()), (2, Some("usage")));
    let (code, said) = error(&["--server", "unix:/nonexistent/api.sock", "--json", "ps"]);
    assert_eq!((code, said["code"].as_str()), (124, Some("unreachable")));
    let (code, said) = error(&["--json", "why", "nothing"]);
    assert_eq!((code, said["code"].as_str()), (121, Some("not-found")));
    world.weft(&["down"]);
}
