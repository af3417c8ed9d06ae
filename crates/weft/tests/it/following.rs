//! Following: Ctrl-C detaches, attach follows again, a server that ends is waited for.

use crate::world;
use rustix::process::Signal;

#[test]
fn ctrl_c_detaches_and_the_run_goes_on() {
    let world = world();
    let script = "echo begun; until [ -e go ]; do sleep 0.05; done; echo done";
    let mut run = world.start(&["run", "--name", "long", "--", "sh", "-c", script]);
    run.read_until("begun");
    run.signal(Signal::INT);
    let answer = run.answer();
    assert_eq!(answer.code, 126, "{answer:?}");
    assert!(answer.err.contains("detached; the run goes on"), "{answer:?}");
    assert!(answer.err.contains("weft attach long"), "{answer:?}");

    let mut attached = world.start(&["attach", "long"]);
    attached.read_until("begun");
    // It ends with the run it ends, so it may not come to say how.
    world.weft(&["exec", "long", "--", "touch", "go"]);
    let answer = attached.answer();
    assert_eq!((answer.code, answer.out.as_str()), (0, "done\n"));
}

#[test]
fn a_server_that_is_killed_loses_nothing() {
    let world = world();
    let script = "echo begun; until [ -e go ]; do sleep 0.05; done; echo done; exit 5";
    let mut run = world.start(&["run", "--name", "long", "--", "sh", "-c", script]);
    run.read_until("begun");
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let pid = i32::try_from(note["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let socket = world.state().join("api.sock");
    let refused = || std::os::unix::net::UnixStream::connect(&socket).is_err();
    world.until("the server is gone", || refused().then_some(()));

    // The next command starts another server, which finds the run.
    world.weft(&["exec", "long", "--", "touch", "go"]);
    let answer = run.answer();
    assert_eq!((answer.code, answer.out.as_str()), (5, "done\n"), "{answer:?}");
}

#[test]
fn logs_are_followed_to_the_end() {
    let world = world();
    world.ok(&[
        "run",
        "-d",
        "--name",
        "talker",
        "--",
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; done",
    ]);
    assert_eq!(world.ok(&["logs", "-f", "talker"]).out, "1\n2\n3\n");
    let none = world.ok(&["logs", "talker", "--member", "0", "--since", "1ms"]);
    assert_eq!(none.out, "");
}
