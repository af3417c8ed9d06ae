//! What a server's start reads of what queues held lately: all of it once, what came since later.
//!
//! Run by `cargo bench -p weft-store --bench start`; `HOLDINGS=…` is how many parts of devices were
//! held in the last ten weeks, each by a workload of its own. The rows are written by SQL, since a
//! million runs would take an hour; the readings are those of the server.

use rusqlite::{Connection, params};
use std::io::Write as _;
use std::time::{Duration, Instant};
use weft_lifecycle::RetryPolicy;
use weft_meter::Recent;
use weft_sched::Request;
use weft_store::{NewWorkload, Read, Store, StoreError};
use weft_types::{Kind, Phase, QueueName, Timestamp, UserName};

/// Ten half-lives of a week.
const WEEKS: u64 = 10 * 7 * 24 * 3_600_000;

/// How long ago averages were kept last, at most.
const KEPT: u64 = 600_000;

/// Queues that held them, in turns.
const QUEUES: u64 = 20;

/// The bar for a start after the first: nobody notices it beside the rest.
const BAR: Duration = Duration::from_millis(50);

fn main() {
    let holdings = std::env::var("HOLDINGS").ok().and_then(|text| text.parse().ok());
    let holdings: u64 = holdings.unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let good = runtime.block_on(async {
        let store = Store::open(dir.path()).expect("a store");
        store.write(fill).await.expect("a workload");
        store.close().await.expect("closed");
        drop(store);
        grow(&dir.path().join("weft.db"), holdings).expect("rows");
        let store = Store::open(dir.path()).expect("a store");
        let (first, rows) = timed(&store, 0).await;
        line(&format!("first start, {rows} holdings read: {first:?}"));
        let kept = (0..QUEUES).map(|n| (queue(n), Recent::from_kept(1 << 30, Timestamp(WEEKS))));
        let kept = kept.collect();
        store.write(move |w| w.keep_recents(&kept)).await.expect("kept");
        let (later, rows) = timed(&store, WEEKS - KEPT).await;
        line(&format!("start with averages kept, {rows} holdings read: {later:?}"));
        later <= BAR
    });
    line(if good { "within the bar" } else { "NOT WITHIN THE BAR" });
    std::process::exit(i32::from(!good));
}

/// The shortest of five readings from a moment on, and how many rows came.
async fn timed(store: &Store, since: u64) -> (Duration, usize) {
    let (mut best, mut rows) = (Duration::MAX, 0);
    for _ in 0..5 {
        let begin = Instant::now();
        let read = store.read(move |r: &Read<'_>| -> Result<usize, StoreError> {
            let kept = r.recents()?;
            assert!(since == 0 || kept.len() as u64 == QUEUES);
            Ok(r.held_lately(Timestamp(since))?.len())
        });
        rows = read.await.expect("read");
        best = best.min(begin.elapsed());
    }
    (best, rows)
}

fn queue(number: u64) -> QueueName {
    QueueName::new(format!("q{number}")).expect("a name")
}

/// The queues, and the workload that the others are copies of.
fn fill(w: &mut weft_store::Write<'_>) -> Result<(), StoreError> {
    for number in 0..QUEUES {
        w.put_queue(&queue(number), &Default::default(), None)?;
    }
    w.submit_workload(NewWorkload {
        name: "one".to_owned(),
        queue: queue(0),
        user: UserName::new("ana").expect("a name"),
        kind: Kind::Job,
        phase: Phase::Training,
        priority: 0,
        submitted_at: Timestamp(0),
        spec_json: "{}".to_owned(),
        request: Request::default(),
        gang: 1,
        gang_most: 0,
        reclaim: Phase::Training.reclaim(),
        max_duration: None,
        expected: None,
        learned_from: 0,
        program: String::new(),
        suspend: None,
        retry: RetryPolicy::default(),
    })?;
    Ok(())
}

/// Copies of the workload, ended, and what each held: an hour, evenly over the weeks.
fn grow(path: &std::path::Path, holdings: u64) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    let columns: String = conn.query_row(
        "SELECT group_concat(CASE name WHEN 'id' THEN 'n' WHEN 'name' THEN '''w'' || n'
         WHEN 'queue' THEN '''q'' || (n % 20)' WHEN 'state' THEN '''succeeded''' ELSE name END)
         FROM pragma_table_info('workloads')",
        [],
        |row| row.get(0),
    )?;
    let count = params![i64::try_from(holdings).unwrap_or(i64::MAX)];
    let numbers = "WITH RECURSIVE numbers(n) AS
        (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n <= ?1)";
    conn.execute(
        &format!(
            "{numbers} INSERT INTO workloads SELECT {columns} FROM numbers, workloads WHERE id = 1"
        ),
        count,
    )?;
    let step = WEEKS / holdings.max(1);
    conn.execute(
        &format!(
            "{numbers} INSERT INTO holdings SELECT NULL, n, 1, 0, 'n' || (n % 100), n % 8, 1000, 0,
             n * {step} - min(n * {step}, 3600000), n * {step} FROM numbers"
        ),
        count,
    )?;
    Ok(())
}

fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
