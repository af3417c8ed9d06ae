//! What is removed comes back, what ends early takes two people, access is asked for, and teams
//! hold no more data than they may: as the people see it who do these things.

use crate::world;
use serde_json::Value;
use std::fs;
use weft_testkit::{Answer, World};

/// A server with people of a team, each with a token.
struct Team {
    world: World,
    address: String,
    tokens: Vec<(&'static str, String)>,
}

impl Team {
    fn new(people: &[(&'static str, &'static str)]) -> Team {
        let world = world();
        world.ok(&[
            "admin", "queue", "set", "lab", "--cpu", "1", "--memory", "1GB", "--data", "1GB",
        ]);
        let note = fs::read_to_string(world.state().join("server.json")).unwrap();
        let note: Value = serde_json::from_str(&note).unwrap();
        let address = note["address"].as_str().unwrap().to_owned();
        let mut team = Team { world, address, tokens: Vec::new() };
        people.iter().for_each(|(name, role)| team.joins(name, role));
        team
    }

    fn joins(&mut self, name: &'static str, role: &str) {
        self.joins_team(name, role, "lab");
    }

    fn joins_team(&mut self, name: &'static str, role: &str, queue: &str) {
        self.world.ok(&["admin", "user", "add", name, "--role", role, "--queue", queue]);
        let token = self.world.ok(&["admin", "token", "create", "--user", name]).out;
        self.tokens.push((name, token.trim().to_owned()));
    }

    fn by(&self, name: &str, args: &[&str]) -> Answer {
        let token = &self.tokens.iter().find(|(known, _)| *known == name).unwrap().1;
        fs::write(self.world.client_file(), format!("token = \"{token}\"\n")).unwrap();
        let args: Vec<_> = ["--server", &*self.address].iter().chain(args).copied().collect();
        self.world.weft(&args)
    }

    fn ok(&self, name: &str, args: &[&str]) -> Answer {
        let answer = self.by(name, args);
        assert_eq!(answer.code, 0, "{name}: weft {args:?}: {answer:?}");
        answer
    }

    fn json(&self, name: &str, args: &[&str]) -> Value {
        let args: Vec<_> = ["--json"].iter().chain(args).copied().collect();
        serde_json::from_str(&self.ok(name, &args).out).unwrap()
    }
}

/// What a file of a dataset is now.
fn content(world: &World, name: &str, file: &str) -> String {
    let to = format!("look-{}", fs::read_dir(world.work()).unwrap().count());
    world.ok(&["data", "get", name, &to]);
    fs::read_to_string(world.work().join(to).join(file)).unwrap()
}

#[test]
fn what_was_removed_comes_back() {
    let world = world();
    for (text, put) in [("first", "1"), ("second", "2")] {
        world.write("claims/a.txt", text);
        world.ok(&["data", "put", "claims", "claims", "-m", put]);
    }
    world.ok(&["data", "tag", "claims@v2", "gold"]);
    world.ok(&["data", "rm", "claims@v1", "--yes"]);
    let removed = world.json(&["data", "ls", "--removed"]);
    assert_eq!((&removed[0]["dataset"], &removed[0]["version"]), (&"claims".into(), &1.into()));
    let days =
        removed[0]["until_ms"].as_u64().unwrap() - removed[0]["removed_at_ms"].as_u64().unwrap();
    assert_eq!(days, 7 * 24 * 3_600_000);
    // The version is there again, and what is now stays; the next one makes it what it was.
    let back = world.ok(&["data", "restore", "claims@v1"]);
    assert!(back.out.contains("claims@v1 is back"), "{back:?}");
    assert_eq!(content(&world, "claims", "a.txt"), "second");
    world.ok(&["data", "restore", "claims@v1"]);
    assert_eq!(content(&world, "claims", "a.txt"), "first");

    world.ok(&["data", "rm", "claims", "--yes"]);
    assert_eq!(world.weft(&["data", "info", "claims"]).code, 121);
    // Another has its name now, so it comes back under another one.
    world.ok(&["data", "put", "claims", "claims"]);
    let taken = world.weft(&["data", "restore", "claims"]);
    assert!(taken.code == 123 && taken.err.contains("--as"), "{taken:?}");
    world.ok(&["data", "restore", "claims", "--as", "claims-old"]);
    assert_eq!(content(&world, "claims-old@gold", "a.txt"), "second");
    let there = world.weft(&["data", "restore", "claims"]);
    assert!(there.err.contains("claims is there; say what it is to be again"), "{there:?}");
    assert_eq!(world.weft(&["data", "restore", "never"]).code, 121);
    assert_eq!(world.json(&["admin", "audit", "verify"])["intact"], true);
}

#[test]
fn a_moment_is_had_back() {
    let world = world();
    world.write("claims/a.txt", "good");
    world.write("claims/b.txt", "kept");
    world.ok(&["data", "put", "--no-version", "claims", "claims"]);
    let list =
        || world.json(&["data", "ls", "-r", "claims"])["objects"].as_array().unwrap().clone();
    let second = list().iter().map(|o| o["at_ms"].as_u64().unwrap()).max().unwrap() / 1_000 + 1;
    // What came in the second after it is later: the clock is waited for, no version is made.
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    world.until("the next second", || (now().as_secs() > second).then_some(()));
    world.write("claims/a.txt", "ENCRYPTED, pay");
    world.write("claims/ransom.txt", "pay");
    world.ok(&["data", "put", "--no-version", "claims", "claims"]);
    world.ok(&["data", "rm", "claims:b.txt", "--yes"]);
    let moment = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{second}"), "+%Y-%m-%dT%H:%M:%S"])
        .output()
        .unwrap();
    let moment = String::from_utf8(moment.stdout).unwrap().trim().to_owned();
    let back = world.json(&["data", "restore", &format!("claims@{moment}")]);
    assert_eq!(
        (&back["number"], &back["put"], &back["deleted"]),
        (&0.into(), &2.into(), &1.into())
    );
    assert_eq!(content(&world, "claims", "a.txt"), "good");
    assert_eq!(list().len(), 2, "what came since is gone, what was deleted is there");
    for (wrong, why) in [
        ("claims@2099-01-01", "is not over"),
        ("claims@2020-01-01", "was made after"),
        ("claims@2026-13-01", "is no day"),
        ("claims@2026-11-01T25:00", "is no day"),
        ("claims@", "behind the @"),
        ("claims:a.txt", "whole dataset"),
    ] {
        let answer = world.weft(&["data", "restore", wrong]);
        assert!(answer.code != 0 && answer.err.contains(why), "{wrong}: {answer:?}");
    }
}

#[test]
fn what_ends_data_early_takes_two_people_and_a_day() {
    let mut team = Team::new(&[("ana", "member"), ("lea", "lead"), ("bo", "member")]);
    team.world.write("scans/a.dcm", "a patient");
    team.ok("ana", &["data", "put", "scans", "scans", "--tier", "restricted"]);
    // Longer is so at once; shorter is asked for, and its owner does not approve it.
    team.ok("ana", &["data", "set", "scans", "--keep", "30d"]);
    let empty = team.by("ana", &["data", "set", "scans", "--keep", "2d"]);
    assert!(empty.code == 124 || empty.err.contains("`why` is empty"), "{empty:?}");
    let less = team.ok("ana", &["data", "set", "scans", "--keep", "2d", "--why", "test data"]);
    assert!(less.err.contains("is request 1"), "{less:?}");
    assert_eq!(team.json("ana", &["data", "info", "scans"])["keep_days"], 30);
    let own = team.by("ana", &["data", "approve", "1"]);
    assert!(own.code == 122 && own.err.contains("not-its-owner-alone"), "{own:?}");
    assert_eq!(team.by("bo", &["data", "approve", "1"]).code, 121, "bo is not told of it");
    let yes = team.ok("lea", &["data", "approve", "1"]);
    assert!(yes.out.contains("fewer days from"), "{yes:?}");
    // As many days as before pass until then.
    assert_eq!(team.json("ana", &["data", "info", "scans"])["keep_days"], 30);
    assert_eq!(team.by("lea", &["data", "approve", "1"]).code, 123, "once");

    let asked = team.json("ana", &["data", "rm", "scans", "--early", "--why", "consent", "--yes"]);
    assert_eq!((&asked["id"], &asked["state"]), (&2.into(), &"asked".into()), "{asked}");
    // Somebody who was made for it does not count, and who asked does not.
    team.joins("mal", "lead");
    let made = team.by("mal", &["data", "approve", "2"]);
    assert!(made.code == 122 && made.err.contains("was made after"), "{made:?}");
    assert_eq!(team.by("ana", &["data", "approve", "2"]).code, 122);
    let yes = team.json("lea", &["data", "approve", "2"]);
    let delay = yes["due_at_ms"].as_u64().unwrap() - yes["decided_at_ms"].as_u64().unwrap();
    assert_eq!((&yes["state"], delay), (&"approved".into(), 24 * 3_600_000), "{yes}");
    // Until then nothing is forgotten, whoever asks, and who sees it can stop it.
    assert_eq!(team.world.json(&["data", "gc"])["datasets"], 0);
    team.ok("ana", &["data", "restore", "scans"]);
    let all = team.json("lea", &["data", "requests", "--all"]);
    assert_eq!(
        (&all[0]["state"], &all[0]["decided_by"]),
        (&"denied".into(), &"ana".into()),
        "{all}"
    );
    let log = team.world.json(&["admin", "audit", "list"]);
    let of = |verb: &str| {
        let rows = log.as_array().unwrap().iter();
        rows.filter(|row| row["verb"] == verb && row["resource"] == "dataset scans").count()
    };
    assert!(of("request-approve") >= 5, "refusals, too: {log}");
}

#[test]
fn one_person_alone_waits_out_the_days() {
    let world = world();
    world.write("set/a.txt", "mine");
    world.ok(&["data", "put", "set", "set"]);
    world.ok(&["data", "rm", "set", "--early", "--why", "it is mine", "--yes"]);
    let own = world.weft(&["data", "approve", "1"]);
    assert!(
        own.code == 122 && own.err.contains("not-its-owner-alone"),
        "the administrator: {own:?}"
    );
    world.ok(&["data", "deny", "1"]);
    world.ok(&["data", "restore", "set"]);
}

#[test]
fn access_is_asked_for_and_ends() {
    let team =
        Team::new(&[("ana", "member"), ("lea", "lead"), ("bo", "member"), ("eve", "member")]);
    team.world.write("scans/a.dcm", "a patient");
    team.ok("ana", &["data", "put", "scans", "scans", "--tier", "restricted"]);
    // Whoever asks is told the same, whether there is such a dataset or not.
    let ask = |name: &str| team.json("bo", &["data", "request-access", name, "--why", "a study"]);
    let told = |mut answer: Value| {
        for field in ["id", "dataset", "asked_at_ms", "expires_at_ms"] {
            answer.as_object_mut().unwrap().remove(field);
        }
        answer
    };
    let (real, none) = (ask("scans"), ask("nothing"));
    assert_eq!(told(real.clone()), told(none), "the answer tells nothing");
    assert_eq!(team.json("bo", &["data", "requests"]).as_array().unwrap().len(), 2);
    assert_eq!(team.by("bo", &["data", "info", "scans"]).code, 121, "it is not told yet");
    assert!(team.json("eve", &["data", "requests"]).as_array().unwrap().is_empty());
    let owner = team.json("ana", &["data", "requests"]);
    assert_eq!((owner.as_array().unwrap().len(), &owner[0]["yours"]), (1, &true.into()), "{owner}");
    let admin = team.world.weft(&["data", "approve", "1"]);
    assert!(admin.code == 122 && admin.err.contains("access-is-its-owners"), "{admin:?}");
    assert_eq!(team.by("bo", &["data", "approve", "1"]).code, 122);

    team.ok("ana", &["data", "approve", "1", "--for", "14d"]);
    let info = team.ok("ana", &["data", "info", "scans"]).out;
    assert!(info.contains("access") && info.contains("bo, until"), "{info}");
    assert_eq!(team.by("eve", &["data", "info", "scans"]).code, 121);
    // It may be used in runs, and still leaves for nobody.
    let got = team.by("bo", &["data", "get", "scans", "out"]);
    assert!(got.code == 122 && got.err.contains("data-stays-inside"), "{got:?}");
    assert!(!team.world.work().join("out").exists());
    assert_ne!(
        team.by("bo", &["data", "put", "scans", "scans"]).code,
        0,
        "to read is not to write"
    );
    let job = "type: job\nrun: [\"true\"]\nqueue: lab\nresources: {cpu: 0.1, memory: 20MB}\n\
               data: [{from: scans@v1, to: /data}]\n";
    team.world.write("job.weft.yaml", job);
    let runs = ["run", "--dry-run", "job.weft.yaml"];
    team.ok("bo", &runs);
    assert_ne!(team.by("eve", &runs).code, 0);

    team.ok("ana", &["data", "revoke", "scans", "bo"]);
    assert_eq!(team.by("bo", &["data", "info", "scans"]).code, 121);
    assert_ne!(team.by("bo", &runs).code, 0);
}

#[test]
fn a_team_holds_what_it_may() {
    let team = Team::new(&[("ana", "member")]);
    team.world.ok(&["admin", "queue", "set", "lab", "--data", "100kB"]);
    let noise = |seed: u32| -> String {
        let step = |word: u32| word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let words = std::iter::successors(Some(seed), |word| Some(step(*word)));
        words.take(7_500).map(|word| format!("{word:08x}")).collect()
    };
    team.world.write("set/a.txt", &noise(1));
    team.ok("ana", &["data", "put", "set", "set"]);
    let held = || {
        let queues = team.world.json(&["admin", "queue", "list"]);
        let lab = queues.as_array().unwrap().iter().find(|queue| queue["name"] == "lab").unwrap();
        lab["data"].clone()
    };
    let before = held();
    assert!((60_000..61_000).contains(&before["used_bytes"].as_u64().unwrap()), "{before}");
    // A second of sixty kilobytes is too much, and what was there is as it was.
    team.world.write("set/b.txt", &noise(2));
    let over = team.by("ana", &["data", "put", "set", "set"]);
    assert!(over.code == 120 && over.err.contains("may hold 100000"), "{over:?}");
    assert!(over.err.contains("--data SIZE"), "{over:?}");
    assert_eq!(held(), before, "nothing of it counts");
    // The same content takes none again; what was written over counts still.
    team.ok("ana", &["data", "put", "set/a.txt", "set:copy.txt"]);
    assert_eq!(held()["used_bytes"], before["used_bytes"]);
    team.ok("ana", &["data", "rm", "set", "--yes"]);
    assert_eq!(held()["used_bytes"], before["used_bytes"], "what was removed is kept, and counts");
    // To have it back takes no more.
    team.world.ok(&["admin", "queue", "set", "lab", "--data", "1kB"]);
    team.ok("ana", &["data", "restore", "set"]);
    team.ok("ana", &["data", "restore", "set@v1"]);
    // Who was given no room has none.
    team.world.ok(&["admin", "queue", "set", "guests", "--cpu", "1"]);
    team.world.ok(&["admin", "user", "add", "gus", "--role", "member", "--queue", "guests"]);
    let token = team.world.ok(&["admin", "token", "create", "--user", "gus"]).out;
    let team = Team { tokens: vec![("gus", token.trim().to_owned())], ..team };
    let none = team.by("gus", &["data", "put", "set", "other"]);
    assert!(none.code == 120 && none.err.contains("may hold 0"), "{none:?}");
}

/// Otherwise access until a day would be a copy for good.
#[test]
fn what_is_read_by_access_that_was_given_leaves_no_copy_elsewhere() {
    let mut team = Team::new(&[("ana", "member"), ("bo", "member")]);
    team.world
        .ok(&["admin", "queue", "set", "other", "--cpu", "1", "--memory", "1GB", "--data", "1GB"]);
    team.joins_team("eve", "member", "other");
    fs::create_dir(team.world.work().join("raw")).unwrap();
    team.world.write("raw/a.csv", "x\n");
    let given = [("1", "conf", "confidential", "eve"), ("2", "sec", "restricted", "bo")];
    for (number, name, tier, to) in given {
        team.ok("ana", &["data", "put", "raw", name, "--tier", tier]);
        team.ok(to, &["data", "request-access", name, "--why", "a study"]);
        team.ok("ana", &["data", "approve", number, "--for", "30d"]);
        let spec = |outputs: &str| {
            format!(
                "resources: {{disk: 1GB}}\ndata: {name}\n{outputs}run: cp -r /data/{name} out\n"
            )
        };
        team.world.write("reads.weft.yaml", &spec(""));
        team.ok(to, &["run", "--dry-run", "reads.weft.yaml"]);
        team.world.write("copies.weft.yaml", &spec("outputs:\n  - {from: out/, to: mine}\n"));
        let refused = team.by(to, &["run", "copies.weft.yaml"]);
        assert!(refused.code != 0 && refused.err.contains("copies of it"), "{}", refused.err);
    }
    // Whose it is may.
    let ran = team.ok("ana", &["run", "--dry-run", "copies.weft.yaml"]);
    assert!(!ran.out.contains("copies of it"), "{}", ran.out);
}
