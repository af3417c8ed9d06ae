//! One run: start, submit, strike, let two hours pass, strike again, start once more, and look.
//!
//! The queue shares its time, and after the two hours whoever can be suspended has had its turn:
//! the second strike meets jobs that are being suspended, wait suspended, or go on.

use super::chance::Chance;
use super::leftovers;
use crate::server::{Server, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Workloads of a run: enough to be in every stage at the moment of the strike.
const WORKLOADS: u64 = 6;
/// Latest moment of a `kill -9`, counted from readiness; most of them have ended by then.
const KILL_BEFORE_MS: u64 = 1_500;
/// Latest hit of a failpoint that strikes; a run hits the frequent ones about this often.
const HITS: u64 = 25;
/// Devices the workloads compete for, so that a double allocation would show.
const DEVICES: &[&str] = &["--simulate", "2xA100-80"];

/// Works for some seconds unless it is asked to end, and goes on from what it saved; ends with 9
/// where more was begun than it was started, or less was kept than an earlier start saved.
const SAVES: &str = "cd $WEFT_CHECKPOINT_DIR
    test $(cat began 2>/dev/null | wc -l) -lt $WEFT_ATTEMPT || exit 9
    test ! -e saved || test -e began || exit 9
    echo $WEFT_ATTEMPT >> began
    trap 'touch saved; exit 0' TERM
    for i in $(seq 25); do test ! -e saved || exit 0; sleep 0.1 || true; done";

/// What a workload of the run does, and the exit code that is expected.
const PROGRAMS: &[(&str, &str, i64)] = &[
    (SAVES, "1", 0),
    (SAVES, "0.5", 0),
    ("true", "none", 0),
    ("sleep 0.2; echo done", "1", 0),
    ("sleep 0.1; exit 3", "0.5", 3),
    ("echo a; sleep 0.4; echo b", "0.5", 0),
    ("sleep 0.3", "2", 0),
];

/// Runs it; says what struck, or what was found wrong.
pub(super) fn once(binary: &Path, points: &[String], seed: u64) -> Result<String, String> {
    let mut chance = Chance::new(seed);
    let state = tempfile::Builder::new()
        .prefix(&format!("weft-crash-{seed}-"))
        .tempdir()
        .map_err(|error| error.to_string())?;
    let planned: Vec<usize> =
        (0..WORKLOADS).map(|_| chance.below(PROGRAMS.len() as u64) as usize).collect();

    let (strike, mut acknowledged) = struck(binary, state.path(), points, &planned, &mut chance)?;
    let again = two_hours_pass(state.path())
        .and_then(|()| struck(binary, state.path(), points, &planned, &mut chance));
    let (again, more) = match again {
        Ok(struck) => struck,
        Err(why) => return Err(format!("{strike}, then: {why}{}", keep(state))),
    };
    let strike = format!("{strike}, {again}");
    for (number, id) in more {
        let before = acknowledged.insert(number, id.clone());
        if before.as_ref().is_some_and(|before| *before != id) {
            return Err(format!("{strike}: submission {number} is {before:?} and {id}"));
        }
    }
    let outcome = recovered(binary, state.path(), &planned, &acknowledged);
    let outcome = outcome.map(|suspended| {
        let before = acknowledged.len();
        format!("{strike}; {before} of {WORKLOADS} acknowledged before, {suspended} suspended")
    });
    outcome.map_err(|why| format!("{strike}: {why}{}", keep(state)))
}

/// Leaves the folder of a failed run for whoever looks into it.
fn keep(state: tempfile::TempDir) -> String {
    format!("; state kept in {}", state.keep().display())
}

/// Submits until the server is struck; gives what struck it and what it had acknowledged.
fn struck(
    binary: &Path,
    state: &Path,
    points: &[String],
    planned: &[usize],
    chance: &mut Chance,
) -> Result<(String, BTreeMap<usize, String>), String> {
    // Two of three runs are struck at a failpoint, the others at some moment.
    let failpoint = match chance.below(3) {
        0 => None,
        // Many points are passed once in a run, so every other strike is at the first hit.
        1 => chance.pick(points).map(|name| (name.clone(), 1)),
        _ => chance.pick(points).map(|name| (name.clone(), 1 + chance.below(HITS))),
    };
    let failpoint = failpoint.map(|(name, hit)| format!("{name}:abort:{hit}"));
    let kill_at = Duration::from_millis(chance.below(KILL_BEFORE_MS));
    let mut server = Server::spawn(binary, state, DEVICES, failpoint.as_deref())?;
    let mut acknowledged = BTreeMap::new();
    let ready = server.ready();
    let start = Instant::now();
    if ready.is_some() {
        // It may have been struck already; then the next server shares its time.
        let shared = share_time(&server);
        if shared.is_err() && failpoint.is_none() {
            shared?;
        }
        for (number, program) in planned.iter().enumerate() {
            if let Ok(id) = submit(&server, number, *program) {
                acknowledged.insert(number, id);
            }
            if failpoint.is_none() && start.elapsed() > kill_at {
                break;
            }
        }
    } else if failpoint.is_none() {
        return Err("the server did not become ready".to_owned());
    }
    while !server.dead() && start.elapsed() < kill_at.max(Duration::from_millis(300)) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let strike = match (server.dead(), failpoint) {
        (true, Some(failpoint)) => failpoint,
        (true, None) => return Err("the server died by itself".to_owned()),
        (false, _) => format!("kill -9 after {} ms", start.elapsed().as_millis()),
    };
    server.kill();
    Ok((strike, acknowledged))
}

/// Has the queue go by service from now on.
fn share_time(server: &Server) -> Result<(), String> {
    let queues = server.get("/api/v1/queues")?;
    let queue = queues.body.as_array().and_then(|queues| queues.first());
    let mut queue = queue.ok_or_else(|| format!("no queue: {}", queues.body))?.clone();
    if queue["order"] == "service" {
        return Ok(());
    }
    queue["order"] = json!("service");
    let answer = server.put("/api/v1/queues/default", "crash-order", &queue)?;
    match answer.ok() {
        true => Ok(()),
        false => Err(format!("the order was refused with {}: {}", answer.status, answer.body)),
    }
}

/// What runs is as if it had begun two hours earlier. No server runs; of a state that is not made
/// yet there is nothing to change.
fn two_hours_pass(state: &Path) -> Result<(), String> {
    let script = "
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as db:
    if db.execute('PRAGMA user_version').fetchone()[0] > 0:
        db.execute('UPDATE workloads SET placed_at = placed_at - 7200000 WHERE state = \"running\"')
";
    let path = state.join("weft.db");
    if !path.exists() {
        return Ok(());
    }
    let ran = Command::new("python3").args(["-c", script]).arg(path).output();
    let ran = ran.map_err(|error| format!("python3: {error}"))?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(format!("time does not pass: {}", String::from_utf8_lossy(&ran.stderr))),
    }
}

fn submit(server: &Server, number: usize, program: usize) -> Result<String, String> {
    let (script, gpu, _) = PROGRAMS[program];
    let body = json!({ "spec": {
        "type": "job",
        "command": ["sh", "-euc", script],
        "suspend": if script == SAVES { json!({ "by": "checkpoint" }) } else { Value::Null },
        "resources": {
            "cpu_milli": 10, "memory_bytes": 64_000_000, "disk_bytes": 16_000_000, "gpu": gpu
        },
    }});
    let answer = server.post("/api/v1/workloads", &format!("crash-{number}"), &body)?;
    match answer.body["id"].as_str() {
        Some(id) if answer.ok() => Ok(id.to_owned()),
        _ => Err(format!("submit was refused with {}: {}", answer.status, answer.body)),
    }
}

/// Starts the server again on what the other left, and checks every promise; gives how often a
/// job was suspended in all.
fn recovered(
    binary: &Path,
    state: &Path,
    planned: &[usize],
    acknowledged: &BTreeMap<usize, String>,
) -> Result<usize, String> {
    let mut server = Server::spawn(binary, state, DEVICES, None)?;
    server.ready().ok_or("the server does not start on the state it left")?;
    let mut ids = BTreeMap::new();
    for (number, program) in planned.iter().enumerate() {
        let id = submit(&server, number, *program)?;
        if acknowledged.get(&number).is_some_and(|before| *before != id) {
            return Err(format!(
                "submission {number} was acknowledged twice, {id} the second time"
            ));
        }
        ids.insert(number, id);
    }
    let workloads = all_ended(&server)?;
    for (number, id) in &ids {
        check_end(id, PROGRAMS[planned[*number]].2, &workloads)?;
    }
    if workloads.len() != planned.len() {
        return Err(format!("{} workloads of {} submissions", workloads.len(), planned.len()));
    }
    let holds = |path: &str, key: &str| match server.get(path) {
        Ok(answer) if answer.ok() && answer.body[key] == true => Ok(()),
        Ok(answer) => Err(format!("{path}: {} {}", answer.status, answer.body)),
        Err(error) => Err(error),
    };
    holds("/api/v1/audit/verify", "intact")?;
    holds("/api/v1/ledger/check", "ok")?;
    let events = server.get("/api/v1/events?limit=1000")?;
    let events = events.body["items"].as_array().cloned().unwrap_or_default();
    let suspended = events.iter().filter(|event| event["what"] == "suspended").count();
    server.stop()?;
    // A supervisor that was kept ready ends a moment after the server it waited for.
    let clean = wait_until(|| leftovers::find(state).is_empty().then_some(()));
    clean.map(|()| suspended).ok_or_else(|| leftovers::find(state).join("; "))
}

/// Waits until every workload is over; looks at every moment that no device is given twice.
fn all_ended(server: &Server) -> Result<Vec<Value>, String> {
    let mut doubled = None;
    let ended = wait_until(|| {
        doubled = doubled.take().or_else(|| doubly_given(server));
        let answer = server.get("/api/v1/workloads?all=true&limit=1000").ok()?;
        let items = answer.body["items"].as_array()?.clone();
        let over =
            |w: &Value| ["succeeded", "failed", "stopped"].iter().any(|state| w["state"] == *state);
        items.iter().all(over).then_some(items)
    });
    match doubled {
        Some(finding) => Err(finding),
        None => ended.ok_or_else(|| {
            let listing = server.get("/api/v1/workloads?all=true&limit=1000");
            let brief = listing.map(|answer| answer.body.to_string()).unwrap_or_default();
            format!("not everything ended: {brief}")
        }),
    }
}

fn doubly_given(server: &Server) -> Option<String> {
    let answer = server.get("/api/v1/devices").ok()?;
    let devices = answer.body.as_array().or(answer.body["items"].as_array())?;
    devices.iter().find_map(|device| {
        let shares = device["shares"].as_array()?;
        let given: u64 = shares.iter().filter_map(|share| share["milli"].as_u64()).sum();
        (given > 1000).then(|| format!("{} is given {given} times a thousandth", device["id"]))
    })
}

fn check_end(id: &str, expected: i64, workloads: &[Value]) -> Result<(), String> {
    let workload = workloads
        .iter()
        .find(|workload| workload["id"] == id)
        .ok_or_else(|| format!("{id} was acknowledged and is gone"))?;
    match workload["exit"]["code"].as_i64() {
        Some(code) if code == expected => Ok(()),
        _ => Err(format!("{id} should have ended with {expected}: {}", workload["exit"])),
    }
}
