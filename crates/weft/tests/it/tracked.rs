//! Tracking from within workloads: with nothing set, as the workload, and by nobody else.

use super::world;
use std::process::Command;
use weft_testkit::World;

const TRACKING: &str = include_str!("programs/inside/tracking.py");

/// Runs a program that may `import tracking`, and gives what it printed, however it ended.
fn run(world: &World, name: &str, program: &str, more: &str) -> String {
    world.write("tracking.py", TRACKING);
    world.write("program.py", &format!("import os\nfrom tracking import *\n{program}"));
    let spec = format!(
        "name: {name}\nresources: {{disk: 1GB}}\n{more}files: [tracking.py, program.py]\n\
         run: python3 program.py\n"
    );
    world.write("x.weft.yaml", &spec);
    world.weft(&["run", "x.weft.yaml"]).out
}

#[test]
fn what_a_workload_tracks_names_it_and_ends_with_it() {
    let world = world();
    let died = "run = begin('dies')\n\
        assert ask('POST', 'runs/log-metric', {'run_id': run, 'key': 'loss', 'value': 0.5, 'timestamp': 1})[0] == 200\n\
        print('run', run, flush=True)\nos.kill(os.getpid(), 9)\n";
    let out = run(&world, "dies", died, "");
    let id = out.split_once("run ").unwrap().1.trim().to_owned();
    // Another workload of the same user sees it, also how it ended, which nobody told.
    let look = format!(
        "import time\nfor _ in range(500):\n    status, found = ask('GET', 'runs/get?run_id={id}')\n    \
         if status == 200 and found['run']['info']['status'] != 'RUNNING':\n        break\n    \
         time.sleep(0.02)\n\
         info, data = found['run']['info'], found['run']['data']\n\
         print(info['status'], info['user_id'], 'end_time' in info, data['metrics'][0]['value'])\n\
         print({{tag['key']: tag['value'] for tag in data['tags']}}['weft.workload'])\n"
    );
    let out = run(&world, "looks", &look, "");
    assert!(out.contains("FAILED admin True 0.5\nw1"), "{out}");
}

#[test]
fn nothing_else_is_behind_that_door() {
    let world = world();
    let program = "run = begin('r')\n\
        what = f'runs/get?run_id={run}'\n\
        for by in [None, 'Bearer w1-1-1', 'Bearer w2-1-0', 'Basic dzE=', 'Bearer weft_pat_0_0']:\n    \
            print(ask('GET', what, by=by)[0], end=' ')\n\
        print(ask('GET', what, headers={'Host': 'evil.example'})[0], end=' ')\n\
        print(ask('GET', what, headers={'Origin': 'http://evil.example'})[0], end=' ')\n\
        print(ask('GET', '/api/v1/workloads')[0], ask('GET', '/api/v1/tokens')[0], end=' ')\n\
        print(ask('POST', 'experiments/delete', {'experiment_id': '0'})[0], end=' ')\n\
        print(ask('POST', 'runs/set-tag', {'run_id': run, 'key': 'weft.data', 'value': 'x'})[0])\n";
    let out = run(&world, "asks", program, "");
    assert!(out.contains("401 401 401 401 401 403 403 403 403 403 400\n"), "{out}");
    let rows = world.json(&["admin", "audit", "list"]).to_string();
    assert!(rows.contains("run w1-1-0") && rows.contains("experiment-manage"), "{rows}");
}

#[test]
fn what_comes_of_restricted_data_is_its_owners() {
    let world = world();
    world.write("a.csv", "x\n1\n");
    world.ok(&["data", "put", "a.csv", "claims", "--tier", "restricted"]);
    let track = "made = ask('POST', 'experiments/create', {'name': 'secret'})[1]['experiment_id']\n\
        run = ask('POST', 'runs/create', {'experiment_id': made})[1]['run']\n\
        print('run', run['info']['run_id'])\n\
        place = run['info']['artifact_uri'].removeprefix('mlflow-artifacts:/')\n\
        print('place', place)\n\
        print(file('PUT', place + '/w.bin', b'canary')[0], file('GET', place + '/w.bin'))\n\
        print({tag['key']: tag['value'] for tag in run['data']['tags']}['weft.data'])\n\
        # What is less sensitive than what it read it changes nothing of.\n\
        print(ask('POST', 'experiments/set-experiment-tag', {'experiment_id': '0', 'key': 'a', 'value': 'b'})[0])\n";
    let out = run(&world, "tracks", track, "data: claims@v1\n");
    assert!(out.contains("200 (200, b'canary')\n"), "{out}");
    assert!(out.contains("claims@v1\n403\n"), "{out}");
    let place = out.split_once("place ").unwrap().1.lines().next().unwrap().to_owned();
    let id = out.split_once("run ").unwrap().1.lines().next().unwrap().to_owned();
    // A workload that declared nothing is told of nothing, though it is the same user's.
    let look = format!("print(ask('GET', 'runs/get?run_id={id}')[0])\n");
    assert!(run(&world, "looks", &look, "").contains("404"), "it saw what it may not");
    let look =
        format!("print(ask('GET', 'runs/get?run_id={id}')[0], file('GET', '{place}/w.bin')[1])\n");
    assert!(run(&world, "reads", &look, "data: claims@v1\n").contains("200 b'canary'"), "its");
    // Outside nobody has a byte of it, its owner neither.
    let key = world.json(&["data", "key"]);
    let token = world.ok(&["admin", "token", "create", "--expires", "1d"]).out;
    let fetch = Command::new("python3")
        .args(["-c", &format!("from tracking import *\nprint(file('GET', '{place}/w.bin'))")])
        .current_dir(world.work())
        .env("MLFLOW_TRACKING_URI", key["endpoint"].as_str().unwrap())
        .env("MLFLOW_TRACKING_TOKEN", token.trim())
        .output()
        .unwrap();
    let fetched = String::from_utf8_lossy(&fetch.stdout);
    assert!(fetched.starts_with("(403") && fetched.contains("does not leave"), "{fetched}");
    let name = format!("artifacts-{}", place.split('/').next().unwrap());
    let dataset = world.json(&["data", "info", &name]);
    assert_eq!(dataset["tier"], "restricted", "{dataset}");
}
