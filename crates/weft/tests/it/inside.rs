//! Datasets in S3's words within a workload: by plain signed requests, and by nobody else.

use super::{golden, world};
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Command;
use weft_testkit::World;

const S3: &str = include_str!("programs/inside/s3.py");

/// A world with `claims@v1` of that tier, `claims@v2`, `other@v1`, and what signs requests.
fn with_claims(tier: &str) -> World {
    let world = world();
    std::fs::create_dir(world.work().join("claims")).unwrap();
    world.write("claims/a.csv", "x,canary\n1,2\n");
    std::fs::write(world.work().join("claims/big"), vec![7; 6 << 20]).unwrap();
    world.ok(&["data", "put", "claims", "claims", "--tier", tier]);
    world.ok(&["data", "put", "claims/a.csv", "other", "--tier", tier]);
    world.write("claims/a.csv", "x,canary\n3,4\n");
    world.write("claims/later.csv", "x,canary\n");
    world.ok(&["data", "put", "claims", "claims"]);
    world.write("s3.py", S3);
    world
}

/// Runs a program of `programs/inside` with `claims@v1`, and gives what it printed.
fn run(world: &World, name: &str, program: &str, more: &str) -> String {
    world.write("program.py", program);
    let spec = format!(
        "name: {name}\nresources: {{disk: 1GB}}\ndata: claims@v1\nfiles: [s3.py, program.py]\n{more}\
         run: python3 program.py\n"
    );
    world.write("x.weft.yaml", &spec);
    world.ok(&["run", "x.weft.yaml"]).out
}

/// Begins one that prints its key and reads when it may, which says `go`.
fn begin(world: &World, name: &str) -> [String; 2] {
    let program = "import os, time, s3\nmine = s3.key()\nprint('key', *mine)\n\
                   while not os.path.exists('go'):\n    time.sleep(0.02)\n\
                   print('then', s3.ask('GET', '/claims/a.csv', by=mine))\n";
    world.write("program.py", program);
    let spec = format!(
        "name: {name}\nresources: {{disk: 1GB}}\ndata: claims@v1\nfiles: [s3.py, program.py]\n\
         run: python3 program.py\n"
    );
    world.write("x.weft.yaml", &spec);
    world.ok(&["run", "--detach", "x.weft.yaml"]);
    world.until("it has a key", || {
        let logs = world.weft(&["logs", name]).out;
        let line = logs.lines().find_map(|line| line.split_once("key "))?.1.to_owned();
        let mut words = line.split(' ').map(str::to_owned);
        Some([words.next()?, words.next()?])
    })
}

/// Reads over the server's port with a key, as another process of the machine: status and code.
fn outside(world: &World, key: &[String; 2]) -> String {
    let told = world.json(&["data", "key"]);
    let address = told["endpoint"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    let program = "import s3\nprint(*s3.ask('GET', '/claims.v1/a.csv'))";
    let mut python = Command::new("python3");
    python.args(["-c", program]).current_dir(world.work());
    python.env("AWS_ENDPOINT_URL", address).env("AWS_REGION", "us-weft-1");
    python.env("AWS_ACCESS_KEY_ID", &key[0]).env("AWS_SECRET_ACCESS_KEY", &key[1]);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The audit log's rows with this word in their detail.
fn told(world: &World, word: &str) -> Vec<serde_json::Value> {
    let audit = world.json(&["admin", "audit", "list"]);
    let rows = audit.as_array().unwrap().iter();
    rows.filter(|row| row["detail"].to_string().contains(word)).cloned().collect()
}

#[test]
fn a_run_reads_in_s3_s_words_what_it_declared_and_without_a_network() {
    let world = with_claims("confidential");
    let out = run(&world, "reads", include_str!("programs/inside/reads.py"), "");
    assert!(out.contains("read as declared"), "{out}");
    let rows = told(&world, "run w1-1-0");
    let reads = |path: &str| {
        let is = |row: &&serde_json::Value| row["resource"] == format!("dataset claims/{path}");
        rows.iter().filter(is).count()
    };
    assert_eq!(reads("a.csv"), 3, "each has its row, and a look at what is said of it: {rows:?}");
    assert!(rows.iter().all(|row| row["actor"] == "admin"), "{rows:?}");
    world.ok(&["admin", "audit", "verify"]);
    let logs = world.ok(&["logs", "reads"]);
    let said = format!("{}{}", logs.out, logs.err);
    assert!(said.contains("data: 6.2 MB were read over S3"), "{said}");
    assert!(!said.contains("of claims@v1 were read"), "nothing came by its folder: {said}");
}

#[test]
fn what_a_run_may_not_do_it_is_told() {
    let world = with_claims("restricted");
    let program = include_str!("programs/inside/refusals.py");
    let mut lines = Vec::new();
    for half in ["first", "second"] {
        let out = run(&world, half, program, &format!("env: {{HALF: {half}}}\n"));
        let told = |line: &&str| line.contains(": 4") || line.contains(": 5");
        lines.extend(out.lines().filter(told).map(str::to_owned));
    }
    golden("inside_refusals", &format!("{}\n", lines.join("\n")));
}

#[test]
fn a_run_that_tries_and_tries_does_not_fill_the_audit_log() {
    let world = with_claims("internal");
    let program = "import s3\nmine = s3.key()\n\
                   print('all', {s3.ask('GET', '/other/a.csv', by=mine)[:2] for _ in range(60)})\n\
                   print('own', s3.ask('GET', '/claims/a.csv', by=mine)[:2])\n";
    let out = run(&world, "tries", program, "");
    assert!(out.contains("(404, 'NoSuchBucket')") && out.contains("'SlowDown')"), "{out}");
    assert!(out.contains("own (200, '')"), "what it may read it still reads: {out}");
    let refused = told(&world, "not visible").len();
    assert!((1..=25).contains(&refused), "{refused} rows of 60");
}

#[test]
fn a_key_that_is_carried_out_is_worth_nothing() {
    let world = with_claims("internal");
    let key = begin(&world, "one");
    assert!(outside(&world, &key).starts_with("403 AccessDenied"), "on the port, while it runs");
    let program = format!(
        "import s3\nprint(s3.ask('GET', '/claims/a.csv', by=('{}', '{}', None)))\n",
        key[0], key[1]
    );
    let other = run(&world, "two", &program, "");
    assert!(other.contains("(403, 'AccessDenied'"), "in another run: {other}");
    // Nobody but its supervisor is the run, even of the same user and on the same socket.
    let mut socket = UnixStream::connect(world.state().join("run.sock")).unwrap();
    socket.write_all(b"w1-1-0\nGET /credentials HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert_eq!(answer, b"", "{}", String::from_utf8_lossy(&answer));
    std::fs::write(world.state().join("runs/w1-1-0/work/go"), "").unwrap();
    world.until_state("one", "succeeded");
    let logs = world.ok(&["logs", "one"]).out;
    assert!(logs.contains("then (200, '', b'x,canary\\n1,2\\n')"), "in its run it is good: {logs}");
    assert!(outside(&world, &key).starts_with("403"), "after its end");
}

#[test]
fn the_key_of_a_start_is_nothing_in_the_next_one() {
    let world = with_claims("internal");
    let program = "import json, os, s3\nkept = os.environ['WEFT_CHECKPOINT_DIR'] + '/key'\n\
                   if os.path.exists(kept):\n    old = json.load(open(kept))\n    \
                   print('old', s3.ask('GET', '/claims/a.csv', by=old)[:2])\n    \
                   print('new', s3.ask('GET', '/claims/a.csv')[:2])\nelse:\n    \
                   json.dump(s3.key(), open(kept, 'w'))\n    raise SystemExit(3)\n";
    let out = run(&world, "twice", program, "suspend: checkpoint\nretry: 1\n");
    assert!(out.contains("old (403, 'AccessDenied')") && out.contains("new (200, '')"), "{out}");
}

#[test]
fn a_request_that_finds_no_server_waits_for_the_next_one() {
    let world = with_claims("internal");
    begin(&world, "waits");
    let servers = || {
        let all = world.processes().into_iter();
        all.filter(|(_, line)| line.contains("background")).map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    for pid in servers() {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    world.until("the server is gone", || servers().is_empty().then_some(()));
    std::fs::write(world.state().join("runs/w1-1-0/work/go"), "").unwrap();
    world.ok(&["up", "--detach"]);
    world.until_state("waits", "succeeded");
    let logs = world.ok(&["logs", "waits"]).out;
    assert!(logs.contains("then (200, '', b'x,canary"), "{logs}");
}

#[test]
fn nothing_is_set_for_who_brings_his_own_or_reads_nothing() {
    let world = with_claims("internal");
    let program = "import os\nprint('set', *sorted(n for n in os.environ if n.startswith('AWS_')))\n\
                   print('at', os.environ.get('AWS_ENDPOINT_URL'))\n";
    let all = run(&world, "usual", program, "");
    assert!(
        all.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI") && all.contains("AWS_REGION"),
        "{all}"
    );
    assert!(!all.contains("SECRET") && all.contains("at http://127.0.0.1:3129"), "{all}");
    let own = run(&world, "own", program, "env: {AWS_ENDPOINT_URL: 'http://own.example'}\n");
    assert!(own.contains("set AWS_ENDPOINT_URL\n") && own.contains("at http://own"), "{own}");
    // What a run publishes others of the machine can reach: never this.
    let publishes = run(&world, "publishes", program, "ports: [3129]\n");
    assert!(publishes.contains("at http://127.0.0.1:3130"), "{publishes}");
    world.write("none.weft.yaml", "resources: {disk: 1GB}\nrun: env\n");
    let none = world.ok(&["run", "none.weft.yaml"]).out;
    assert!(!none.contains("AWS_"), "{none}");
}
