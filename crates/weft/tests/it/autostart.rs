//! The server: started by any command, once, found by the next, ended by `down`.

use crate::world;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

#[test]
fn of_two_commands_at_once_one_starts_the_server() {
    let world = world();
    let commands: Vec<_> = (0..4).map(|_| world.start(&["ps"])).collect();
    let answers: Vec<_> = commands.into_iter().map(weft_testkit::Running::answer).collect();
    assert!(answers.iter().all(|answer| answer.code == 0), "{answers:?}");
    let started = answers.iter().filter(|answer| answer.err.contains("started weft")).count();
    assert_eq!(started, 1, "{answers:?}");
    let servers = world.processes();
    assert_eq!(servers.len(), 1, "{servers:?}");
}

/// The socket of a server that was killed takes connections until its process is gone.
#[test]
fn a_server_on_its_way_out_is_none() {
    let world = world();
    let dying = UnixListener::bind(world.state().join("api.sock")).unwrap();
    let gone = std::thread::spawn(move || drop(dying.accept()));
    let up = world.ok(&["up", "--detach", "--simulate", "1xH200-141"]);
    assert!(up.err.contains("started weft"), "{up:?}");
    gone.join().unwrap();
    assert_eq!(world.json(&["gpus"]).as_array().unwrap().len(), 1, "as was said with `up`");
}

#[test]
fn the_first_start_keeps_its_token_privately() {
    let world = world();
    world.ok(&["ps"]);
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.client_file()), 0o600);
    assert_eq!(mode(world.state()), 0o700);
    let file = std::fs::read_to_string(world.client_file()).unwrap();
    let token = file.lines().find_map(|line| line.strip_prefix("token = ")).unwrap();
    let token = token.trim_matches('"');
    let log = std::fs::read_to_string(world.state().join("server.log")).unwrap();
    assert!(!token.is_empty() && !log.contains(token), "the token is in the log");

    // The token is good over TCP.
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let answer = world.ok(&["--server", note["address"].as_str().unwrap(), "ps"]);
    assert!(answer.out.contains("nothing runs"), "{answer:?}");
}

#[test]
fn up_in_the_foreground_and_down() {
    let world = world();
    let mut up = world.start(&["up", "--json"]);
    let said = up.read_until("}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["token"].is_string(), "{said}");
    let second = world.ok(&["up"]);
    assert!(second.err.contains("runs already"), "{second:?}");
    assert!(!second.err.contains("started anew"), "{second:?}");
    let asking = world.ok(&["up", "--simulate", "1xH200-141"]);
    assert!(asking.err.contains("started anew"), "{asking:?}");
    let detached = world.ok(&["up", "--detach"]);
    assert!(detached.err.contains("runs already"), "{detached:?}");
    world.ok(&["down"]);
    assert_eq!(up.answer().code, 0);
    let none = world.ok(&["down"]);
    assert!(none.err.contains("no server runs"), "{none:?}");
}

#[test]
fn runs_outlive_the_server_unless_they_are_ended_with_it() {
    let world = world();
    world.ok(&["run", "-d", "--name", "napper", "--", "sleep", "600"]);
    world.until_state("napper", "running");
    world.ok(&["down"]);
    assert!(!world.processes().is_empty(), "the run goes on");
    let state = world.until_state("napper", "running");
    assert_eq!(state["attempt"], 1, "{state}");
    world.ok(&["down"]);
    // Without a server, too.
    world.ok(&["down", "--all"]);
    assert_eq!(world.processes(), []);
    assert_eq!(world.json(&["ps", "-a"])[0]["state"], "stopped");
}
