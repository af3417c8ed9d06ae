//! Two hundred small workloads at once: does the server still answer, is every log line kept?

use super::table::{Row, percentile};
use crate::server::{Server, request, wait_until};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WORKLOADS: usize = 200;
/// Lines each of them prints, over about two seconds, so that all of them run at once.
const LINES: usize = 50;
const API_P95_BAR: Duration = Duration::from_millis(100);
/// How often a client asks while they run: what a screen of a team does.
const ASK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut server = Server::spawn(binary, state.path(), &[], None)?;
    server.ready().ok_or("the server died while starting")?;

    let over = AtomicBool::new(false);
    let (ids, mut latencies) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask(state.path(), &over));
        let submitted = submit(&server);
        let ended = submitted.and_then(|(ids, latencies)| {
            all_ended(&server, ids.len())?;
            Ok((ids, latencies))
        });
        over.store(true, Ordering::Relaxed);
        let asked = asking.join().unwrap_or_default();
        ended.map(|(ids, latencies)| (ids, [latencies, asked].concat()))
    })?;

    latencies.sort_unstable();
    let lost = lost_lines(&server, &ids)?;
    server.stop()?;
    let what = format!("API with {WORKLOADS} workloads at once, {} calls, p95", latencies.len());
    Ok(vec![
        Row::at_most(&what, percentile(&latencies, 95), API_P95_BAR),
        Row::exactly("log lines lost", lost, 0),
    ])
}

fn submit(server: &Server) -> Result<(Vec<String>, Vec<Duration>), String> {
    let script = format!("for i in $(seq {LINES}); do echo line $i; sleep 0.04; done");
    let spec = json!({ "spec": {
        "type": "job",
        "command": ["sh", "-euc", script],
        "resources": { "cpu_milli": 1, "memory_bytes": 16_000_000, "disk_bytes": 16_000_000 },
    }});
    let (mut ids, mut latencies) = (Vec::new(), Vec::new());
    for count in 0..WORKLOADS {
        let start = Instant::now();
        let answer = server.post("/api/v1/workloads", &format!("many-{count}"), &spec)?;
        latencies.push(start.elapsed());
        match answer.body["id"].as_str() {
            Some(id) if answer.ok() => ids.push(id.to_owned()),
            _ => return Err(format!("refused with {}: {}", answer.status, answer.body)),
        }
    }
    Ok((ids, latencies))
}

/// What a screen asks for, again and again.
fn ask(state: &Path, over: &AtomicBool) -> Vec<Duration> {
    let paths = ["/api/v1/workloads?limit=50", "/api/v1/info", "/api/v1/nodes", "/api/v1/queues"];
    let mut latencies = Vec::new();
    for path in paths.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        // An answer that failed took its time all the same.
        let _ = request(state, "GET", path, "", None);
        latencies.push(start.elapsed());
        std::thread::sleep(ASK_EVERY);
    }
    latencies
}

fn all_ended(server: &Server, count: usize) -> Result<(), String> {
    let succeeded = || {
        let answer = server.get("/api/v1/workloads?all=true&limit=1000").ok()?;
        let items = answer.body["items"].as_array()?.clone();
        let done = items.iter().filter(|w| w["state"] == "succeeded").count();
        (done == count).then_some(())
    };
    wait_until(succeeded)
        .or_else(|| wait_until(succeeded))
        .ok_or_else(|| "not all workloads succeeded in a minute".to_owned())
}

fn lost_lines(server: &Server, ids: &[String]) -> Result<u64, String> {
    let mut lost = 0;
    for id in ids {
        let answer = server.get(&format!("/api/v1/workloads/{id}/logs"))?;
        let lines = answer.body["items"].as_array().or(answer.body.as_array());
        let out = |line: &&Value| line["stream"] == "out";
        let kept = lines.map_or(0, |lines| lines.iter().filter(out).count());
        lost += LINES.abs_diff(kept) as u64;
    }
    Ok(lost)
}
