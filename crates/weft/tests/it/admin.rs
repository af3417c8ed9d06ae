//! Shares, people, tokens, machines, audit, backup and restore, by the command line.

use crate::world;
use serde_json::json;

#[test]
fn people_tokens_and_rights() {
    let world = world();
    world.ok(&["admin", "queue", "set", "vision", "--cpu", "2", "--memory", "4GB"]);
    let queues = world.json(&["admin", "queue", "list"]);
    let vision = queues.as_array().unwrap().iter().find(|q| q["name"] == "vision").unwrap();
    assert_eq!(vision["cpu_milli"]["nominal"], 2000, "{vision}");
    world.ok(&["admin", "queue", "set", "vision", "--cpu", "1"]);
    let queues = world.json(&["admin", "queue", "list"]);
    let vision = queues.as_array().unwrap().iter().find(|q| q["name"] == "vision").unwrap();
    assert_eq!(vision["memory_bytes"]["nominal"], 4_000_000_000_u64, "what is not named stays");

    world.ok(&["admin", "user", "add", "ada", "--role", "member", "--queue", "vision"]);
    let token = world.ok(&["admin", "token", "create", "--user", "ada"]).out;
    let address = world.json(&["admin", "node", "list"]);
    assert_eq!(address[0]["ready"], true, "{address}");

    // As ada, over TCP.
    let note = std::fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let address = note["address"].as_str().unwrap();
    std::fs::write(world.client_file(), format!("token = \"{}\"\n", token.trim())).unwrap();
    let ran = world.weft(&["--server", address, "run", "--json", "--", "true"]);
    let workload: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&workload["user"], &workload["queue"]), (&json!("ada"), &json!("vision")));
    let denied = world.weft(&["--server", address, "admin", "user", "list"]);
    assert_eq!(denied.code, 122, "{denied:?}");

    let id = world.json(&["admin", "token", "list"]);
    let id = id.as_array().unwrap().iter().find(|t| t["user"] == "ada").unwrap()["id"].clone();
    world.ok(&["admin", "token", "revoke", id.as_str().unwrap()]);
    assert_eq!(world.weft(&["--server", address, "ps"]).code, 122, "revoked");
    let audit = world.json(&["admin", "audit", "list"]);
    assert!(audit.as_array().unwrap().iter().any(|e| e["decision"] == "denied"), "{audit}");
    let verified = world.json(&["admin", "audit", "verify"]);
    assert_eq!(verified["intact"], true);
}

#[test]
fn a_drained_machine_takes_no_work() {
    let world = world();
    let name = world.json(&["admin", "node", "list"])[0]["name"].as_str().unwrap().to_owned();
    world.ok(&["admin", "node", "drain", &name]);
    world.ok(&["run", "-d", "--name", "waits", "--", "true"]);
    world.until_state("waits", "queued");
    world.ok(&["admin", "node", "undrain", &name]);
    world.until_state("waits", "succeeded");
}

#[test]
fn a_backup_is_brought_back() {
    let world = world();
    world.ok(&["run", "--name", "kept", "--", "true"]);
    let copy = world.work().join("copy.db");
    let copy = copy.to_str().unwrap();
    world.ok(&["admin", "backup", copy]);
    world.ok(&["rm", "kept"]);
    assert_eq!(world.weft(&["admin", "restore", copy]).code, 123, "a server has the state");
    world.ok(&["down"]);
    world.ok(&["admin", "restore", copy]);
    assert_eq!(world.json(&["ps", "-a"])[0]["name"], "kept");
}
