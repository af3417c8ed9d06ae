//! Tracking against `mlflow server` and FastTrackML on the same disk, in the same run, each with
//! its SQLite: Weft's authorised, audited and synced at each commit, theirs as they come.
//!
//! Both are looked for on the PATH: `pip install mlflow fasttrackml`.

use super::peer::{Connection, Ended, free_address, resident_with_children};
use super::table::{Row, percentile};
use crate::server::{Server, weft};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Requests of a kind, one after the other.
const EACH: usize = 200;
/// Clients at once, and what each logs.
const CLIENTS: usize = 8;
const OF_EACH: usize = 100;
/// Runs that are searched, against each of the two.
const MANY: usize = 20_000;
const FEW: usize = 500;
/// Points of one metric, and how many of them a page has.
const POINTS: usize = 1_000_000;
const POINTS_PAGE: usize = 1_000;
/// MLflow takes half a minute to be there.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one server needed.
struct Figures {
    ready: Duration,
    get: Duration,
    metric: Duration,
    /// Metrics in a second, by all clients.
    rate: f64,
    batch: Duration,
    search: Duration,
    memory: u64,
}

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let (few, many, history) = ours(binary)?;
    let fast = fasttrackml(MANY)?;
    let mlflow = mlflow(FEW)?;
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let faster = |what: &str, ours: Duration, theirs: Duration, bar: f64| {
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        let measured = format!("{}, theirs {}: {ratio:.1} x", ms(ours), ms(theirs));
        Row::judged(what, &measured, &format!(">= {bar} x"), ratio >= bar)
    };
    let within = |what: &str, ours: Duration, theirs: Duration, bar: f64| {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let measured = format!("{}, theirs {}: {ratio:.2} x", ms(ours), ms(theirs));
        Row::judged(what, &measured, &format!("<= {bar} x"), ratio <= bar)
    };
    let more = |what: &str, ours: f64, theirs: f64, bar: f64| {
        let ratio = ours / theirs;
        let measured = format!("{ours:.0}/s, theirs {theirs:.0}/s: {ratio:.1} x");
        Row::judged(what, &measured, &format!(">= {bar} x"), ratio >= bar)
    };
    let share = few.memory as f64 / mlflow.memory as f64;
    let memory = format!("{:.0} MB, 1/{:.0}", few.memory as f64 / 1e6, 1.0 / share);
    Ok(vec![
        Row::at_most("tracking: ready", few.ready, Duration::from_millis(300)),
        faster("MLflow: get run, p50", few.get, mlflow.get, 25.0),
        faster("MLflow: log a metric, p50", few.metric, mlflow.metric, 25.0),
        more("MLflow: metrics of 8 clients", few.rate, mlflow.rate, 20.0),
        faster("MLflow: search 500 runs", few.search, mlflow.search, 4.0),
        Row::judged("MLflow: memory", &memory, "<= 1/40", share <= 1.0 / 40.0),
        more("FastTrackML: metrics of 8 clients", many.rate, fast.rate, 2.0),
        within("FastTrackML: a batch of 1,000", many.batch, fast.batch, 0.5),
        within("FastTrackML: search 20,000 runs", many.search, fast.search, 0.5),
        Row::at_most("a page of 1,000,000 points, p95", history, Duration::from_millis(20)),
    ])
}

/// With few runs, with many, and a page of a long metric.
fn ours(binary: &Path) -> Result<(Figures, Figures, Duration), String> {
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let begun = Instant::now();
    let mut server = Server::spawn(binary, state.path(), &["--listen", "127.0.0.1:0"], None)?;
    server.ready().ok_or("the server died while starting")?;
    let ready = begun.elapsed();
    let run = |args: &[&str]| -> Result<Vec<u8>, String> {
        Ok(weft(binary, state.path(), args).output().map_err(|e| e.to_string())?.stdout)
    };
    let key: Value = serde_json::from_slice(&run(&["data", "key", "--json"])?)
        .map_err(|e| format!("weft data key: {e}"))?;
    let address = key["endpoint"].as_str().unwrap_or_default().trim_start_matches("http://");
    let token = String::from_utf8_lossy(&run(&["admin", "token", "create"])?).trim().to_owned();
    let server_of = || Of { address: address.to_owned(), token: token.clone() };
    let few = figures(&server_of(), FEW, server.pid(), ready)?;
    let many = figures(&server_of(), MANY, server.pid(), ready)?;
    let history = history(&server_of())?;
    server.stop()?;
    Ok((few, many, history))
}

fn mlflow(runs: usize) -> Result<Figures, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let address = free_address()?;
    let (host, port) = address.split_once(':').unwrap_or_default();
    let mut command = Command::new("mlflow");
    let store = format!("sqlite:///{}/mlflow.db", folder.path().display());
    command.args(["server", "--host", host, "--port", port, "--backend-store-uri", &store]);
    theirs(command, folder.path(), &address, runs)
}

fn fasttrackml(runs: usize) -> Result<Figures, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let address = free_address()?;
    let mut command = Command::new("fml");
    let store = format!("sqlite://{}/fast.db", folder.path().display());
    command.args(["server", "--listen-address", &address, "--database-uri", &store]);
    theirs(command, folder.path(), &address, runs)
}

fn theirs(
    mut command: Command,
    folder: &Path,
    address: &str,
    runs: usize,
) -> Result<Figures, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let child = command.spawn().map_err(|e| format!("{name}: {e}; put it on the PATH"))?;
    let server = Ended(child);
    let of = Of { address: address.to_owned(), token: String::new() };
    let asks = || of.client().ok()?.post("experiments/search", &json!({ "max_results": 1 })).ok();
    while asks().is_none() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{name} did not start"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    figures(&of, runs, server.0.id(), begun.elapsed())
}

/// A server, and with what one asks it.
struct Of {
    address: String,
    token: String,
}

struct Client<'a> {
    of: &'a Of,
    connection: Connection,
}

impl Of {
    fn client(&self) -> Result<Client<'_>, String> {
        Ok(Client { of: self, connection: Connection::open(&self.address)? })
    }
}

impl Client<'_> {
    fn post(&mut self, what: &str, body: &Value) -> Result<(Duration, Value), String> {
        self.ask("POST", what, body.to_string().as_bytes())
    }

    fn ask(&mut self, method: &str, what: &str, body: &[u8]) -> Result<(Duration, Value), String> {
        let Of { address, token } = self.of;
        let length = body.len();
        let by = match token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let head = format!(
            "{method} /api/2.0/mlflow/{what} HTTP/1.1\r\nHost: {address}\r\n{by}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let answered = self.connection.timed(&head, body);
        let (took, answer) = answered.map_err(|e| format!("{method} {what}: {e}"))?;
        Ok((took, serde_json::from_slice(&answer).unwrap_or_default()))
    }

    fn begin(&mut self, experiment: &str) -> Result<String, String> {
        let body = json!({ "experiment_id": experiment, "start_time": 1, "user_id": "bench" });
        let (_, made) = self.post("runs/create", &body)?;
        let id = made["run"]["info"]["run_id"].as_str();
        id.map(str::to_owned).ok_or(format!("no run: {made}"))
    }
}

/// Of no moment 0: to FastTrackML that is none.
fn metric(run: &str, at: usize) -> Value {
    json!({ "run_id": run, "key": "loss", "value": 0.5, "timestamp": at + 1, "step": at })
}

fn figures(of: &Of, runs: usize, pid: u32, ready: Duration) -> Result<Figures, String> {
    let mut client = of.client()?;
    let name = format!("of {runs}");
    let (_, made) = client.post("experiments/create", &json!({ "name": name }))?;
    let experiment = made["experiment_id"].as_str().ok_or("no experiment")?.to_owned();
    let run = client.begin(&experiment)?;
    let (mut get, mut one, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..EACH {
        one.push(client.post("runs/log-metric", &metric(&run, at))?.0);
        get.push(client.ask("GET", &format!("runs/get?run_id={run}"), b"")?.0);
    }
    for part in 0..10 {
        let point = |at| json!({ "key": "many", "value": 1.5, "timestamp": at + 1, "step": at });
        let points: Vec<_> = (part * 1_000..(part + 1) * 1_000).map(point).collect();
        let body = json!({ "run_id": run, "metrics": points });
        batch.push(client.post("runs/log-batch", &body)?.0);
    }
    let rate = at_once(of, &experiment)?;
    // Those that are searched: each with metrics and parameters.
    for n in 0..runs {
        let run = client.begin(&experiment)?;
        let metric = |m| {
            let value = (n * 7_919 % 1_000) as f64 / 1e3;
            json!({ "key": format!("m{m}"), "value": value, "timestamp": 1, "step": 0 })
        };
        let param = |p| json!({ "key": format!("p{p}"), "value": (n % 10).to_string() });
        let metrics: Vec<_> = (0..3).map(metric).collect();
        let params: Vec<_> = (0..3).map(param).collect();
        client.post(
            "runs/log-batch",
            &json!({ "run_id": run, "metrics": metrics, "params": params }),
        )?;
    }
    let matches = |n: &usize| n % 10 == 3 && n * 7_919 % 1_000 < 500;
    let (mut search, expected) = (Vec::new(), 50.min((0..runs).filter(matches).count()));
    for _ in 0..10 {
        let body = json!({
            "experiment_ids": [experiment],
            "filter": "metrics.m0 < 0.5 and params.p0 = '3'",
            "order_by": ["metrics.m1 ASC"],
            "max_results": 50,
        });
        let (took, found) = client.post("runs/search", &body)?;
        let count = found["runs"].as_array().map_or(0, Vec::len);
        if count != expected {
            return Err(format!("{count} runs were found of {runs}"));
        }
        search.push(took);
    }
    let median = |times: &[Duration]| percentile(times, 50);
    Ok(Figures {
        ready,
        get: median(&get),
        metric: median(&one),
        rate,
        batch: median(&batch),
        search: median(&search),
        memory: resident_with_children(pid),
    })
}

/// Metrics in a second that some clients log at once, each in a run of its own.
fn at_once(of: &Of, experiment: &str) -> Result<f64, String> {
    let begun = Instant::now();
    thread::scope(|scope| {
        let work = || -> Result<(), String> {
            let mut client = of.client()?;
            let run = client.begin(experiment)?;
            (0..OF_EACH)
                .try_for_each(|at| client.post("runs/log-metric", &metric(&run, at)).map(drop))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(work)).collect();
        clients.into_iter().try_for_each(|client| {
            client.join().unwrap_or_else(|_| Err("a client panicked".to_owned()))
        })
    })?;
    Ok((CLIENTS * OF_EACH) as f64 / begun.elapsed().as_secs_f64())
}

/// The p95 of pages all over a long metric.
fn history(of: &Of) -> Result<Duration, String> {
    let mut client = of.client()?;
    let run = client.begin("0")?;
    for part in 0..POINTS / 1_000 {
        let point = |at| json!({ "key": "long", "value": 1.5, "timestamp": at, "step": at });
        let points: Vec<_> = (part * 1_000..(part + 1) * 1_000).map(point).collect();
        client.post("runs/log-batch", &json!({ "run_id": run, "metrics": points }))?;
    }
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = format!(
            "metrics/get-history?run_id={run}&metric_key=long&max_results={POINTS_PAGE}\
             &page_token={token}"
        );
        let (took, answer) = client.ask("GET", &page, b"")?;
        pages.push(took);
        match answer["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    match pages.len() == POINTS / POINTS_PAGE {
        true => Ok(percentile(&pages, 95)),
        false => Err(format!("{} pages", pages.len())),
    }
}
