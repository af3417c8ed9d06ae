//! Large files that are put in parts: interrupted on either side, changed meanwhile.

use crate::data::noise;
use crate::world;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use weft_testkit::{Running, World};

/// As the guide says: what an interruption costs at most.
const PART: u64 = 16 << 20;
/// Three parts, the last of them short.
const BYTES: u64 = 2 * PART + 1_000_001;

fn file(seed: u64) -> Vec<u8> {
    noise(seed, usize::try_from(BYTES).unwrap())
}

/// Bytes of all files below a folder.
fn size(dir: &Path) -> u64 {
    let Ok(all) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        // It was renamed meanwhile.
        Err(_) => 0,
    };
    all.filter_map(Result::ok).map(size).sum()
}

/// Puts the file, and returns once its first part is on the disk and the second is on its way.
fn begun(world: &World) -> Running {
    let putting = world.start(&["data", "put", "big.bin", "scans"]);
    let packs = world.state().join("data");
    // The first part is answered before the second begins; a pack is up to 8 MiB ahead of them.
    let sure = PART + (9 << 20);
    world.until("a part and some of the next", || (size(&packs) > sure).then_some(()));
    putting
}

/// Puts it again: what was there already, and that the dataset has what the file has.
fn goes_on(world: &World, bytes: &[u8]) -> (bool, String) {
    let again = world.weft(&["data", "put", "big.bin", "scans"]);
    assert_eq!(again.code, 0, "{again:?}");
    let _ = fs::remove_dir_all(world.work().join("back"));
    world.ok(&["data", "get", "scans", "back"]);
    assert!(fs::read(world.work().join("back/big.bin")).unwrap() == bytes);
    let there = world.json(&["data", "put", "--checksum", "big.bin", "scans"]);
    assert_eq!((&there["sent"], &there["there"]), (&0.into(), &1.into()), "{there}");
    // big.bin went on: 16 MB of 34 MB were there already
    (again.err.contains(" went on: "), again.err)
}

#[test]
fn one_large_file_goes_on_in_its_middle() {
    let world = world();
    let bytes = file(1);
    fs::write(world.work().join("big.bin"), &bytes).unwrap();
    world.ok(&["data", "ls"]);
    let putting = begun(&world);
    putting.signal(Signal::KILL);
    drop(putting);
    // Half a put is no object.
    assert_eq!(world.json(&["data", "ls", "-r", "scans"])["objects"], Value::Array(Vec::new()));
    let (went_on, told) = goes_on(&world, &bytes);
    assert!(went_on, "{told}");
    let info = world.json(&["data", "info", "scans:big.bin"]);
    assert!(!info.to_string().contains("weft-sender"), "who sent it is the log's: {info}");
}

#[test]
fn a_server_that_is_killed_keeps_the_parts_it_has_answered() {
    let world = world();
    let bytes = file(3);
    fs::write(world.work().join("big.bin"), &bytes).unwrap();
    world.ok(&["data", "ls"]);
    let putting = begun(&world);
    let note = fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    let pid = i32::try_from(note["pid"].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let told = putting.answer();
    assert_eq!(told.code, 124, "{told:?}");
    let (went_on, told) = goes_on(&world, &bytes);
    assert!(went_on, "{told}");

    // Of a file that changed since, nothing of before is taken for it.
    let begin = json!({ "path": "big.bin", "bytes": BYTES, "modified_ns": "17" }).to_string();
    assert!(post(&world, "/api/v1/datasets/scans/uploads", &begin).contains(" 200 "));
    let mut other = bytes;
    other[0] ^= 1;
    fs::write(world.work().join("big.bin"), &other).unwrap();
    let (went_on, told) = goes_on(&world, &other);
    assert!(!went_on && told.contains("has changed since its put was interrupted"), "{told}");
    let checked = world.json(&["data", "verify", "scans"]);
    assert_eq!(checked["damaged"].as_array().unwrap().len(), 0, "{checked}");
}

#[test]
fn what_an_earlier_fetch_left_of_one_is_checked_too() {
    let world = world();
    let bytes = file(5);
    fs::write(world.work().join("big.bin"), &bytes).unwrap();
    world.ok(&["data", "put", "big.bin", "scans"]);
    let mut torn = bytes[..20_000_000].to_vec();
    aside(&world, "bad", &torn);
    world.ok(&["data", "get", "scans", "bad"]);
    assert!(fs::read(world.work().join("bad/big.bin")).unwrap() == bytes, "it goes on");
    fs::remove_file(world.work().join("bad/big.bin")).unwrap();
    torn[17] ^= 1;
    aside(&world, "bad", &torn);
    let bad = world.weft(&["data", "get", "scans", "bad"]);
    assert!(bad.code == 120 && bad.err.contains("damaged"), "{bad:?}");
    world.ok(&["data", "get", "scans", "bad"]);
    assert!(fs::read(world.work().join("bad/big.bin")).unwrap() == bytes, "it begins anew");

    // Equal content under another time is the file that is wanted.
    fs::write(world.work().join("bad/big.bin"), &bytes).unwrap();
    assert_eq!(world.json(&["data", "get", "scans", "bad"])["there"], 1);
}

/// Leaves what a fetch leaves that was killed.
fn aside(world: &World, dir: &str, bytes: &[u8]) {
    let listed = world.json(&["data", "ls", "-r", "scans"]);
    let tag = listed["objects"][0]["tag"].as_str().unwrap();
    let digest = Sha256::digest(format!("big.bin\0{tag}"));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let dir = world.work().join(dir);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!(".weft-{digest}.part")), bytes).unwrap();
}

/// Asks the server as a client of one's own could.
fn post(world: &World, path: &str, body: &str) -> String {
    let mut socket = UnixStream::connect(world.state().join("api.sock")).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: weft\r\nContent-Type: application/json\r\n\
         Idempotency-Key: of-a-test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}
