//! Crashes: a child process writes and says so, is killed at a seeded moment or dies at a
//! failpoint, and the state it leaves is opened again, several times over.
//!
//! What must hold: everything acknowledged is there, each transaction is there whole or not at
//! all, the audit chain verifies, nothing is given twice. A failing run names its seed;
//! `WEFT_CRASH_SEED=<seed> WEFT_CRASH_RUNS=1` runs it again, and `WEFT_CRASH_RUNS=500` is the
//! full gate. The child is this binary, told by the environment to be one.

use crate::given::{
    Dice, assert_sound, audit, device_id, end, event, fast_dir, fill, new_workload, node,
    placement, start, used, whole,
};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use weft_meter::{DeviceSample, Sample};
use weft_store::{
    EventFilter, RequestKey, Seen, Store, StoreError, StoredResponse, WorkloadFilter, WorkloadRow,
};
use weft_types::{Bytes, Timestamp, WorkloadId};

/// Crashes in a quick run: enough that each failpoint is met several times.
const QUICK_RUNS: u64 = 50;

/// Crashes on one state before a fresh one: a recovery must survive the next crash too.
const CYCLES: u64 = 5;

/// A child that is not ready by then is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// A child that has not met its failpoint so long after it was ready is killed.
const ARMED: Duration = Duration::from_millis(500);

/// Where a child may die by itself, and how often it may pass before.
const FAILPOINTS: [(&str, u64); 7] = [
    ("store.migrate", 1),
    ("store.takeover", 1),
    ("store.begin", 40),
    ("store.commit.before", 40),
    ("store.commit.after", 40),
    ("store.place", 8),
    ("store.backup.rename", 2),
];

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let runs = number("WEFT_CRASH_RUNS").unwrap_or(QUICK_RUNS);
    let first = number("WEFT_CRASH_SEED").unwrap_or_else(now);
    let mut state: Option<State> = None;
    let (mut acknowledged, mut struck) = (0, 0);
    for run in 0..runs {
        let seed = first.wrapping_add(run);
        if run % CYCLES == 0 || state.is_none() {
            state = Some(State::new((run / CYCLES).is_multiple_of(2)));
        }
        let Some(state) = state.as_mut() else { unreachable!("made above") };
        let told = std::panic::AssertUnwindSafe(|| state.crash_once(seed));
        match std::panic::catch_unwind(told) {
            Ok((acks, died_itself)) => {
                acknowledged += acks;
                struck += u64::from(died_itself);
            }
            Err(panic) => {
                say(&format!("FAILED with WEFT_CRASH_SEED={seed} (run {run} of {runs})"));
                std::panic::resume_unwind(panic);
            }
        }
    }
    let last = first.wrapping_add(runs - 1);
    say(&format!(
        "{runs} crashes, seeds {first} to {last}: {struck} at failpoints, \
         {acknowledged} acknowledgements kept"
    ));
    assert!(runs < 10 || (acknowledged > runs && struck > 0), "the harness tests nothing");
}

/// The child's side; it runs until it is killed.
#[test]
#[ignore = "the child of a test: cargo test -p weft-store --test it crash::"]
fn child() {
    let Some(dir) = std::env::var_os("WEFT_STORE_CHILD") else { return };
    let seed: u64 = std::env::var("WEFT_STORE_SEED").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Store::open(Path::new(&dir)).unwrap();
        store.write(fill).await.unwrap();
        ack("ready");
        let tasks: Vec<_> = (0..4u64)
            .map(|task| tokio::spawn(work(store.clone(), PathBuf::from(&dir), seed * 8 + task)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Does one thing after another, and says what is done.
async fn work(store: Store, dir: PathBuf, seed: u64) {
    let mut dice = Dice(seed);
    for n in 0.. {
        let name = format!("s{seed}-{n}");
        match dice.roll(20) {
            0..10 => {
                let key = name.clone();
                let id = store.write(move |w| submit(w, &key)).await.unwrap();
                ack(&format!("submitted {name} {}", id.0));
            }
            10..14 => {
                if let Some(id) = place_one(&store, dice.roll(3) as u32).await {
                    ack(&format!("started {name} {}", id.0));
                }
            }
            14..17 => {
                if let Some(id) = end_one(&store).await {
                    ack(&format!("ended {name} {}", id.0));
                }
            }
            17..19 => {
                let sample = sample();
                store.write(move |w| w.record_sample(&node(), &sample)).await.unwrap();
            }
            _ => {
                let copy = dir.join(format!("{name}.copy"));
                store.backup(&copy).await.unwrap();
                ack(&format!("copied {name} 0"));
            }
        }
    }
}

fn submit(w: &mut weft_store::Write<'_>, name: &str) -> Result<WorkloadId, StoreError> {
    let id = w.submit_workload(new_workload(name, 1))?.id;
    w.append_event(event(&id.to_string(), "submitted"))?;
    w.append_audit(audit(&id.to_string()))?;
    let response = StoredResponse { status: 201, body: id.to_string().into_bytes() };
    w.remember_response(&key(name), &response, Timestamp(now()))?;
    Ok(id)
}

/// As the loop does: plans on a snapshot, commits only if it is still current.
async fn place_one(store: &Store, index: u32) -> Option<WorkloadId> {
    let snapshot = store.read(|r| r.snapshot()).await.unwrap();
    let free = |index: u32| {
        let held = |w: &weft_sched::Workload| match &w.state {
            weft_sched::WorkloadState::Running(running) => {
                running.placements.iter().any(|p| p.grants.contains(&whole(index)))
            }
            weft_sched::WorkloadState::Pending(_) => false,
        };
        !snapshot.workloads.values().any(held)
    };
    let waits = |w: &weft_sched::Workload| matches!(w.state, weft_sched::WorkloadState::Pending(_));
    let (id, _) = snapshot.workloads.iter().find(|(_, w)| waits(w))?;
    if !free(index) {
        return None;
    }
    let (id, epoch, base) = (*id, store.epoch(), snapshot.generation);
    let done = store
        .write(move |w| {
            w.commit_plan(epoch, base)?;
            start(w, id, vec![placement(0, vec![whole(index)])], Timestamp(now()))?;
            w.append_event(event(&id.to_string(), "placed"))
        })
        .await;
    match done {
        Ok(_) => Some(id),
        Err(StoreError::Stale { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

async fn end_one(store: &Store) -> Option<WorkloadId> {
    store
        .write(|w| {
            let states = vec![weft_lifecycle::State::Starting];
            let filter = WorkloadFilter { states, ..WorkloadFilter::default() };
            let Some(row) = w.workloads(&filter, None, 1)?.pop() else { return Ok(None) };
            end(w, row.id, Timestamp(now()))?;
            Ok::<_, StoreError>(Some(row.id))
        })
        .await
        .unwrap()
}

fn sample() -> Sample {
    let device = |index| DeviceSample {
        device: device_id(index),
        active_permille: Some(500),
        memory: Bytes(1 << 30),
        processes: vec![],
    };
    // Totals of whoever may be there; who is killed between two counts nothing twice.
    let uses = (1..20).map(|id| used(id, device_id(id as u32 % 4), now() * 1_000_000));
    let devices = (0..4).map(device).collect();
    Sample { at: Timestamp(now()), devices, workloads: vec![], uses: uses.collect() }
}

fn key(name: &str) -> RequestKey {
    RequestKey {
        actor: "ann".into(),
        key: name.into(),
        route: "POST /".into(),
        fingerprint: [3; 32],
    }
}

/// One state through several crashes, and what was acknowledged on it.
struct State {
    dir: TempDir,
    acks: Vec<(String, String, WorkloadId)>,
}

impl State {
    fn new(in_memory: bool) -> State {
        let dir = if in_memory { fast_dir() } else { tempfile::tempdir().unwrap() };
        State { dir, acks: Vec::new() }
    }

    /// One crash and one check. Gives the new acknowledgements and whether a failpoint struck.
    fn crash_once(&mut self, seed: u64) -> (u64, bool) {
        let mut dice = Dice(seed);
        let by_failpoint = dice.roll(2) == 0;
        let (point, most) = FAILPOINTS[dice.roll(FAILPOINTS.len() as u64) as usize];
        let armed = format!("{point}:abort:{}", 1 + dice.roll(most));
        let mut child = spawn(self.dir.path(), seed, by_failpoint.then_some(armed.as_str()));
        let moment = Duration::from_micros(dice.roll(150_000));
        let before = self.acks.len();
        let died_itself = self.listen(&mut child, if by_failpoint { ARMED } else { moment });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.check());
        ((self.acks.len() - before) as u64, died_itself)
    }

    /// Reads acknowledgements until the child is dead; kills it `after` it is ready.
    fn listen(&mut self, child: &mut Child, after: Duration) -> bool {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let victim = Mutex::new(child);
        let (ready, wait) = std::sync::mpsc::sync_channel::<()>(1);
        let (done, over) = std::sync::mpsc::sync_channel::<()>(1);
        std::thread::scope(|scope| {
            let victim = &victim;
            scope.spawn(move || {
                // Either its moment comes, or it is dead before and the reader says so.
                if wait.recv_timeout(PATIENCE).is_ok() && over.recv_timeout(after).is_ok() {
                    return;
                }
                let _ = victim.lock().unwrap().kill();
            });
            for line in lines.map_while(Result::ok) {
                let mut words = line.strip_prefix("ack ").unwrap_or_default().split(' ');
                match (words.next(), words.next(), words.next()) {
                    (Some("ready"), ..) => drop(ready.try_send(())),
                    (Some(what), Some(name), Some(id)) => {
                        let id = WorkloadId(id.parse().unwrap());
                        self.acks.push((what.to_owned(), name.to_owned(), id));
                    }
                    _ => {}
                }
            }
            // The pipe is closed: it is dead or dying, and needs no killer.
            let _ = ready.try_send(());
            let _ = done.try_send(());
        });
        let status = victim.lock().unwrap().wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(matches!(signal, Some(6 | 9)), "the child failed by itself: {status:?}");
        signal == Some(6)
    }

    async fn check(&self) {
        let store = Store::open(self.dir.path()).unwrap();
        assert_sound(&store).await;
        let rows = everything(&store).await;
        for (what, name, id) in &self.acks {
            let row = rows.get(id);
            let good = match what.as_str() {
                "submitted" => row.is_some_and(|row| row.name == *name),
                "started" => row.is_some_and(|row| row.record.attempt.0 >= 1),
                "ended" => row.is_some_and(|row| row.record.state.is_final()),
                "copied" => self.dir.path().join(format!("{name}.copy")).exists(),
                other => panic!("`{other}` is not an acknowledgement"),
            };
            assert!(good, "acknowledged and lost: {what} {name} {id}: {row:?}");
        }
        self.check_whole(&store, &rows).await;
        store.close().await.unwrap();
    }

    /// Each submission is there with all its parts, or not at all.
    async fn check_whole(&self, store: &Store, rows: &BTreeMap<WorkloadId, WorkloadRow>) {
        let names: Vec<(WorkloadId, String)> =
            rows.values().map(|row| (row.id, row.name.clone())).collect();
        let audited = store.read(|r| r.verify_audit()).await.unwrap().rows;
        assert_eq!(audited, rows.len() as u64, "one audit row for each submission");
        store
            .read(move |r| {
                for (id, name) in names {
                    let subject = Some(id.to_string());
                    let filter = EventFilter { subject, ..EventFilter::default() };
                    let events = r.events(&filter, 0, 10)?;
                    let submitted = events.iter().filter(|e| e.event.what == "submitted").count();
                    assert_eq!(submitted, 1, "{id}");
                    let seen = r.idempotent(&key(&name), Timestamp(now()))?;
                    let body = id.to_string().into_bytes();
                    assert_eq!(seen, Seen::Same(StoredResponse { status: 201, body }), "{id}");
                }
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
    }
}

async fn everything(store: &Store) -> BTreeMap<WorkloadId, WorkloadRow> {
    let mut rows = BTreeMap::new();
    let mut before = None;
    loop {
        let page = store.read(move |r| r.workloads(&WorkloadFilter::default(), before, 1000)).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { return rows };
        before = Some(last.id);
        rows.extend(page.into_iter().map(|row| (row.id, row)));
    }
}

fn spawn(dir: &Path, seed: u64, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["crash::child", "--exact", "--ignored", "--nocapture"])
        .env("WEFT_STORE_CHILD", dir)
        .env("WEFT_STORE_SEED", (seed % 1_000_000_007).to_string())
        .env("WEFT_FAILPOINT", failpoint.unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}

fn ack(line: &str) {
    // One write for the whole line: half an acknowledgement is none.
    let line = format!("ack {line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
