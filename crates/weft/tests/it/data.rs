//! Datasets as people meet them: put, versions, get; interrupted, refused, hostile, full, killed.

use crate::world;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use weft_testkit::World;

/// Bytes that are like no others, the same for the same seed (SplitMix64).
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Every file below a folder with what is in it.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let name = entry.path().strip_prefix(dir).unwrap().display().to_string();
                    all.insert(name, fs::read(entry.path()).unwrap());
                }
            }
        }
    }
    all
}

/// A folder of files below the working directory: so many, of so many bytes each.
fn folder(world: &World, name: &str, files: u64, bytes: usize) {
    for n in 0..files {
        let path = world.work().join(name).join(format!("part-{}", n % 3));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(format!("{n:03}.bin")), noise(n, bytes)).unwrap();
    }
}

/// Files that are in a dataset now.
fn objects(world: &World, name: &str) -> Vec<Value> {
    let list = world.json(&["data", "ls", "-r", name]);
    list["objects"].as_array().unwrap().clone()
}

#[test]
fn a_folder_becomes_versions_and_comes_back() {
    let world = world();
    folder(&world, "claims", 7, 3_000);
    world.write("claims/about.txt", "first");
    let first = tree(&world.work().join("claims"));
    let put = world.ok(&["data", "put", "claims", "claims", "-m", "as it came"]);
    assert!(put.out.starts_with("claims@v1  8 files  21 kB (new 21 kB)"), "{put:?}");
    assert!(put.err.contains("made claims: internal"), "{put:?}");
    let again = world.json(&["data", "put", "claims", "claims"]);
    assert_eq!(
        (&again["sent"], &again["there"], &again["fresh"]),
        (&0.into(), &8.into(), &false.into())
    );

    world.write("claims/about.txt", "second");
    fs::remove_file(world.work().join("claims/part-0/000.bin")).unwrap();
    let second = world.json(&["data", "put", "claims", "claims", "--delete"]);
    assert_eq!((&second["sent"], &second["deleted"]), (&1.into(), &1.into()), "{second}");
    let diff = world.ok(&["data", "diff", "claims@v1", "claims@v2"]);
    assert!(diff.err.contains("0 added, 1 removed, 1 changed"), "{diff:?}");

    // What a version was, it is, by number, name and day.
    world.ok(&["data", "tag", "claims@v1", "gold"]);
    for at in ["v1", "gold"] {
        world.ok(&["data", "get", &format!("claims@{at}"), at]);
        assert!(tree(&world.work().join(at)) == first, "{at} is what was put");
    }
    world.ok(&["data", "get", "claims@latest:part-1/", "one"]);
    assert_eq!(tree(&world.work().join("one")).len(), 2);
    let known = world.json(&["data", "versions", "claims"]);
    assert_eq!(known[1]["tags"][0], "gold", "{known}");
    assert_eq!(world.weft(&["data", "rm", "claims@v1", "--yes"]).code, 123, "it has a name");

    // A fetched copy is known for what it is; a changed one is kept.
    let same = world.json(&["data", "get", "claims@v1", "gold"]);
    assert_eq!((&same["fetched"], &same["there"]), (&0.into(), &8.into()), "{same}");
    world.write("gold/about.txt", "mine!");
    let kept = world.weft(&["data", "get", "claims@v1", "gold"]);
    assert!(kept.code == 123 && kept.err.contains("`about.txt`"), "{kept:?}");
    world.ok(&["data", "get", "claims@v1", "gold", "--force"]);
    assert!(tree(&world.work().join("gold")) == first);

    let restored = world.ok(&["data", "restore", "claims@v1"]);
    assert!(restored.out.contains("claims is as claims@v1: 2 files put back"), "{restored:?}");
    world.ok(&["data", "get", "claims", "now"]);
    assert!(tree(&world.work().join("now")) == first);
    let checked = world.json(&["data", "verify", "claims@v2"]);
    assert_eq!((&checked["objects"], checked["damaged"].as_array().unwrap().len()), (&7.into(), 0));
    world.ok(&["data", "rm", "claims", "--yes"]);
    assert_eq!(world.weft(&["data", "info", "claims"]).code, 121);
    assert_eq!(world.json(&["admin", "audit", "verify"])["intact"], true);
}

#[test]
fn tables_are_known_by_their_columns() {
    let world = world();
    let remark = |n: u32| if n.is_multiple_of(3) { "" } else { "x" };
    let rows: String = (1..=300).map(|n| format!("{n},{}.5,{}\n", n % 9, remark(n))).collect();
    world.write("sales/2026.csv", &format!("id,turnover,remark\n{rows}"));
    world.ok(&["data", "put", "sales", "sales", "--about", "what the shops sold"]);
    let shown = world.ok(&["data", "info", "sales:2026.csv"]).out;
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let (turnover, remark) = (line("turnover"), line("remark"));
    assert_eq!(turnover[..6], ["turnover", "number", "0", "9", "0.5", "8.5"], "{shown}");
    // Nine values in ten tenths: one of them is empty.
    assert_eq!(turnover[6..].concat().chars().count(), 9, "{shown}");
    assert_eq!(remark[..], ["remark", "text", "100", "1", "x", "100", "%"], "{shown}");
    let search = |words: &str| {
        let args: Vec<_> = ["data", "search"].into_iter().chain(words.split(' ')).collect();
        world.json(&args).as_array().unwrap().clone()
    };
    for words in ["turnover", "SHOPS", "sales internal remark"] {
        assert_eq!(search(words)[0]["name"], "sales", "{words}");
    }
    assert!(search("turnover nothing").is_empty(), "all the words must be there");
    // Once the tier is raised they are not told any more.
    world.ok(&["data", "set", "sales", "--tier", "confidential"]);
    let told = world.json(&["data", "info", "sales:2026.csv"]);
    assert!(told["profile"].is_null() && told["bytes"] == 2811, "columns are data: {told}");
}

#[test]
fn content_is_compared_where_time_says_nothing() {
    let world = world();
    folder(&world, "set", 3, 2_000);
    world.ok(&["data", "put", "set", "set"]);
    let touched = world.work().join("set/part-0/000.bin");
    fs::File::open(&touched).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let content = world.json(&["data", "put", "--checksum", "set", "set"]);
    assert_eq!((&content["sent"], &content["there"]), (&0.into(), &3.into()), "{content}");
    let time = world.json(&["data", "put", "set", "set"]);
    assert_eq!((&time["sent"], &time["new_bytes"]), (&1.into(), &0.into()), "{time}");
    // The same size and the same time, but other bytes.
    fs::write(&touched, noise(99, 2_000)).unwrap();
    fs::File::open(&touched).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let content = world.json(&["data", "put", "--checksum", "set", "set"]);
    assert_eq!((&content["sent"], &content["there"]), (&1.into(), &2.into()), "{content}");
}

#[test]
fn what_is_there_now_is_made_a_version() {
    let world = world();
    world.write("set/a.txt", "a");
    world.ok(&["data", "put", "--no-version", "set", "set"]);
    let made = world.json(&["data", "version", "set", "-m", "as loaded"]);
    assert_eq!(made["fresh"], true, "{made}");
    assert_eq!((&made["made"]["number"], &made["made"]["note"]), (&1.into(), &"as loaded".into()));
    assert_eq!(world.ok(&["data", "version", "set"]).out, "set@v1  1 file  1 B\n");
}

#[test]
fn a_put_that_was_killed_goes_on_where_it_was() {
    let world = world();
    folder(&world, "scans", 40, 250_000);
    world.ok(&["data", "ls"]);
    let putting = world.start(&["data", "put", "-j", "1", "scans", "scans"]);
    world.until("some of them", || {
        let list = world.weft(&["--json", "data", "ls", "-r", "scans"]);
        let list: Value = serde_json::from_str(&list.out).ok()?;
        (list["objects"].as_array()?.len() >= 5).then_some(())
    });
    putting.signal(Signal::KILL);
    drop(putting);
    let before = objects(&world, "scans").len() as u64;
    assert!((5..40).contains(&before), "{before} had arrived");
    let again = world.json(&["data", "put", "scans", "scans"]);
    // One was perhaps on its way, and arrived after the look.
    let there = again["there"].as_u64().unwrap();
    assert!((before..=before + 1).contains(&there), "{before} had arrived: {again}");
    assert_eq!(again["sent"], 40 - there, "{again}");
    assert_eq!(again["sent_bytes"], (40 - there) * 250_000, "only the rest was sent: {again}");
    assert_eq!(again["version"]["objects"], 40);
    world.ok(&["data", "get", "scans@v1", "back"]);
    assert!(tree(&world.work().join("back")) == tree(&world.work().join("scans")));
}

#[test]
fn a_get_that_was_interrupted_goes_on_where_it_was() {
    let world = world();
    fs::create_dir(world.work().join("set")).unwrap();
    let all = noise(1, 900_000);
    fs::write(world.work().join("set/a.bin"), &all).unwrap();
    world.ok(&["data", "put", "set", "set"]);
    world.ok(&["data", "get", "set", "whole"]);
    assert!(fs::read(world.work().join("whole/a.bin")).unwrap() == all);
    // As one that was killed leaves it: what is aside is found by name and content.
    let aside = |dir: &str, bytes: &[u8]| {
        let tag = objects(&world, "set")[0]["tag"].as_str().unwrap().to_owned();
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(format!("a.bin\0{tag}"));
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let dir = world.work().join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!(".weft-{digest}.part")), bytes).unwrap();
    };
    aside("half", &all[..500_000]);
    world.ok(&["data", "get", "set", "half"]);
    assert!(fs::read(world.work().join("half/a.bin")).unwrap() == all);
    assert_eq!(fs::read_dir(world.work().join("half")).unwrap().count(), 1, "nothing is left");
    // Reads are summed; a server that ends writes what it has of them.
    world.ok(&["down"]);
    let log = world.json(&["admin", "audit", "list"]);
    let rows = log.as_array().unwrap().iter();
    let rows =
        rows.filter(|row| row["resource"] == "dataset set/a.bin" && row["verb"] == "data-read");
    let details: Vec<Value> =
        rows.map(|row| serde_json::from_str(row["detail"].as_str().unwrap()).unwrap()).collect();
    let sum = |name: &str| details.iter().map(|detail| detail[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("reads"), sum("bytes")), (2, 1_300_000), "only the rest was read again: {log}");
    // What the disk made of it meanwhile is not given out as what was put.
    aside("bad", &noise(2, 500_000));
    let bad = world.weft(&["data", "get", "set", "bad"]);
    assert!(bad.code == 120 && bad.err.contains("damaged"), "{bad:?}");
    assert!(!world.work().join("bad/a.bin").exists());
    world.ok(&["data", "get", "set", "bad"]);
    assert!(fs::read(world.work().join("bad/a.bin")).unwrap() == all);
}

#[test]
fn what_is_restricted_leaves_for_nobody() {
    let world = world();
    world.write("scans/a.dcm", "a patient");
    world.ok(&["admin", "queue", "set", "lab", "--cpu", "1", "--data", "1GB"]);
    let note = fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    let address = note["address"].as_str().unwrap().to_owned();
    let by = |token: &str, args: &[&str]| {
        fs::write(world.client_file(), format!("token = \"{token}\"\n")).unwrap();
        let args: Vec<_> = ["--server", &*address].iter().chain(args).copied().collect();
        world.weft(&args)
    };
    let people = [("ana", "member"), ("lea", "lead"), ("bo", "member"), ("oz", "operator")];
    let tokens = people.map(|(name, role)| {
        let team = if role == "operator" { &[][..] } else { &["--queue", "lab"][..] };
        let add = [&["admin", "user", "add", name, "--role", role], team].concat();
        world.ok(&add);
        let token = world.ok(&["admin", "token", "create", "--user", name]).out;
        token.trim().to_owned()
    });
    for (tier, name) in [("restricted", "scans"), ("confidential", "notes")] {
        let put = by(&tokens[0], &["data", "put", "scans", name, "--tier", tier]);
        assert_eq!(put.code, 0, "{put:?}");
        let own = by(&tokens[0], &["data", "get", name, "out"]);
        assert!(own.code == 122 && own.err.contains("under `data:`"), "its owner: {own:?}");
        for (person, token) in people.iter().zip(&tokens) {
            let got = by(token, &["data", "get", &format!("{name}@v1"), "out"]);
            assert!(matches!(got.code, 121 | 122), "{person:?} of {name}: {got:?}");
        }
        assert_eq!(world.weft(&["data", "get", name, "out"]).code, 122, "the administrator");
        assert!(!world.work().join("out").exists(), "nothing was made for it");
        let lower = by(&tokens[0], &["data", "set", name, "--tier", "internal"]);
        assert_eq!(lower.code, 123, "no tier is lowered: {lower:?}");
    }
    // Another of the team sees that the confidential one is there, and not the restricted one.
    let seen = by(&tokens[2], &["data", "ls"]).out;
    assert!(seen.contains("notes") && !seen.contains("scans"), "{seen}");
    let denied = world.json(&["admin", "audit", "list"]);
    let rows = denied.as_array().unwrap().iter();
    let of = |row: &&Value| row["verb"] == "data-read" && row["decision"] == "denied";
    assert!(rows.filter(of).count() >= 9, "each attempt is in the log: {denied}");
}

#[test]
fn hostile_names_stay_in_the_folder() {
    let world = world();
    world.write("set/good.txt", "good");
    world.ok(&["data", "put", "set", "set"]);
    let hostile = ["../../evil", "a/../../evil", "/evil", "a//evil", "./evil", "dir/.weft-0.part"];
    for path in hostile {
        assert!(put_raw(&world, "set", path, b"evil").contains(" 201 "), "{path}");
    }
    let got = world.weft(&["data", "get", "set", "out"]);
    assert_eq!(got.code, 120, "{got:?}");
    assert!(hostile.iter().all(|path| got.err.contains(path)), "each is named: {got:?}");
    assert_eq!(tree(&world.work().join("out")).into_keys().collect::<Vec<_>>(), ["good.txt"]);

    // Links that wait in the folder lead nowhere.
    let outside = world.work().join("outside");
    fs::create_dir(&outside).unwrap();
    assert!(put_raw(&world, "set", "link/x", b"x").contains(" 201 "));
    fs::create_dir(world.work().join("trap")).unwrap();
    symlink(&outside, world.work().join("trap/link")).unwrap();
    let trapped = world.weft(&["data", "get", "set:link/x", "trap/link/../link2"]);
    assert_eq!(trapped.code, 0, "a folder of one's own choice: {trapped:?}");
    let trapped = world.weft(&["data", "get", "set:link", "trap"]);
    assert_eq!(trapped.code, 0, "{trapped:?}");
    let trapped = world.weft(&["data", "get", "--force", "set", "trap"]);
    assert!(trapped.code == 123 && trapped.err.contains("link/x"), "{trapped:?}");
    assert_eq!(
        fs::read_dir(&outside)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name() != "link2")
            .count(),
        0
    );

    // Names that steer a terminal are shown, not obeyed, where people read; JSON has them whole.
    let steers = "\x1b]0;title\x07";
    assert!(put_raw(&world, "set", steers, b"x").contains(" 201 "));
    let shown = world.ok(&["data", "ls", "set"]).out;
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert!(objects(&world, "set").iter().any(|object| object["path"] == steers));
}

/// Puts an object under any name at all, as a client of one's own could.
fn put_raw(world: &World, dataset: &str, path: &str, body: &[u8]) -> String {
    let path: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut socket = UnixStream::connect(world.state().join("api.sock")).unwrap();
    let head = format!(
        "PUT /api/v1/datasets/{dataset}/objects/{path} HTTP/1.1\r\nHost: weft\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_is_killed_loses_nothing_it_has_answered() {
    let world = world();
    folder(&world, "scans", 40, 250_000);
    world.ok(&["data", "ls"]);
    let putting = world.start(&["data", "put", "-j", "2", "scans", "scans"]);
    world.until("some of them", || {
        let list = world.weft(&["--json", "data", "ls", "-r", "scans"]);
        let list: Value = serde_json::from_str(&list.out).ok()?;
        (list["objects"].as_array()?.len() >= 5).then_some(())
    });
    let note = fs::read_to_string(world.state().join("server.json")).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    let pid = i32::try_from(note["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let told = putting.answer();
    assert_eq!(told.code, 124, "{told:?}");
    // `12 of 40 files are in scans; no version was made`
    let line = told.err.lines().find(|line| line.contains("files are in scans")).unwrap();
    let acknowledged: u64 = line.split(' ').next().unwrap().parse().unwrap();
    assert!(acknowledged >= 4 && told.out.is_empty(), "{told:?}");

    // The next command starts the next server.
    let there = objects(&world, "scans").len() as u64;
    assert!(there >= acknowledged, "{there} of {acknowledged} that were acknowledged");
    let again = world.json(&["data", "put", "scans", "scans"]);
    assert_eq!(again["there"], there, "{again}");
    assert_eq!(again["sent"], 40 - there, "{again}");
    let checked = world.json(&["data", "verify", "scans"]);
    assert_eq!(
        (&checked["objects"], checked["damaged"].as_array().unwrap().len()),
        (&40.into(), 0)
    );
    world.ok(&["data", "get", "scans@v1", "back"]);
    assert!(tree(&world.work().join("back")) == tree(&world.work().join("scans")));
}

/// A small disk under a folder, unmounted whatever happens.
struct Small<'w>(&'w Path);

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let world = world();
    let state = world.state();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=40m", "weft-test"]).arg(&state);
    if !mount.output().is_ok_and(|output| output.status.success()) {
        let skipped = b"SKIPPED a test of a full disk: mounting a tmpfs needs root\n";
        let _ = std::io::stderr().write_all(skipped);
        return;
    }
    let small = Small(&state);
    folder(&world, "set", 12, 3_000_000);
    let full = world.weft(&["data", "put", "-j", "2", "set", "set"]);
    assert_eq!(full.code, 120, "{full:?}");
    assert!(full.err.contains("disk is full") && full.err.contains("hint:"), "{full:?}");
    let line = full.err.lines().find(|line| line.contains("files are in set")).unwrap();
    let acknowledged: usize = line.split(' ').next().unwrap().parse().unwrap();
    assert!((2..12).contains(&acknowledged), "{full:?}");
    let there = objects(&world, "set");
    assert!(there.len() >= acknowledged, "{} of {acknowledged}", there.len());
    let checked = world.json(&["data", "verify"]);
    assert_eq!(checked["damaged"].as_array().unwrap().len(), 0, "{checked}");
    // With more room it goes on by itself.
    let more = Command::new("mount").args(["-o", "remount,size=100m"]).arg(&state).status();
    assert!(more.unwrap().success());
    let again = world.json(&["data", "put", "set", "set"]);
    assert_eq!(again["there"], there.len(), "{again}");
    assert_eq!(again["version"]["objects"], 12, "{again}");
    world.ok(&["down", "--all"]);
    drop(small);
}
