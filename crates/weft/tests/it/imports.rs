//! Imports as their user sees them: what is waited for, and what Ctrl-C ends.

use crate::world;
use rustix::process::Signal;
use std::net::TcpListener;

/// Two imports into a dataset run; who interrupts one ends that one.
#[test]
fn an_interrupt_ends_the_import_that_was_waited_for_and_no_other() {
    let world = world();
    // A source that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let add = ["source", "add", "slow", "http", "--address", &address, "--plain"];
    world.ok(&[&add[..], &["--allow", "127.0.0.1/32"]].concat());
    world.ok(&["data", "import", "slow:a.csv", "set", "--detach"]);
    let (_first, _) = silent.accept().unwrap();
    let waiting = world.start(&["data", "import", "slow:b.csv", "set"]);
    let (_second, _) = silent.accept().unwrap();
    // It is waited for once it is on the list: the source was asked by it.
    waiting.signal(Signal::INT);
    let answer = waiting.answer();
    assert!(answer.code != 0 && answer.err.contains("cancelled"), "{answer:?}");
    let rows = world.json(&["data", "imports", "set"]);
    let rows = rows.as_array().unwrap();
    let state = |id: u64| &rows.iter().find(|row| row["id"] == id).unwrap()["state"];
    assert_eq!((state(1), state(2)), (&"running".into(), &"cancelled".into()), "{rows:?}");
}
