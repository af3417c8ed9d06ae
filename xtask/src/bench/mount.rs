//! A dataset's folder in a run, against a plain file and against S3, by one program in one run:
//! `read(2)` of 1 MiB, one after another (`mount.py`).
//!
//! Cold: nothing is in the page cache of the run's folder; what the server reads from its disk was
//! put a moment ago, for the folder and for S3 alike. Each figure is a median.

use super::s3::noise;
use super::table::Row;
use crate::server::{Server, weft};
use std::path::Path;

const FILES: u64 = 4;
/// As `mount.py` has it.
const FILE_BYTES: usize = 256 << 20;
const PROGRAM: &str = include_str!("mount.py");
/// What signs requests with Python's own library.
const S3: &str = include_str!("../../../crates/weft/tests/it/programs/inside/s3.py");
/// The page cache is the workload's memory: room for all it reads.
const RUN: &str = "name: reads\nresources: {disk: 1GB, memory: 4GB}\ndata: bench\n\
                   files: [s3.py, mount.py]\nrun: python3 mount.py\n";

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut server = Server::spawn(binary, state.path(), &["--listen", "127.0.0.1:0"], None)?;
    server.ready().ok_or("the server died while starting")?;
    let work = tempfile::tempdir().map_err(|e| e.to_string())?;
    let printed = read(binary, state.path(), work.path())?;
    server.stop()?;
    let median = |what: &str| {
        let named =
            |line: &str| line.strip_prefix("figure ")?.strip_prefix(what)?.trim().parse().ok();
        let mut rates: Vec<f64> = printed.lines().filter_map(named).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().ok_or(format!("no figure `{what}` in: {printed}"))
    };
    let [cold, s3, warm, plain] = ["cold", "s3", "warm", "plain"].map(median);
    let row = |what: &str, rate: f64, than: f64, whose: &str, bar: f64| {
        let measured = format!(
            "{:.2} GB/s, {:.2} x {whose} ({:.2} GB/s)",
            rate / 1e9,
            rate / than,
            than / 1e9
        );
        Row::judged(what, &measured, &format!(">= {bar} x"), rate / than >= bar)
    };
    Ok(vec![
        row("folder: read, cold", cold?, s3?, "the run's S3", 0.9),
        row("folder: read, warm", warm?, plain?, "a plain file", 0.7),
    ])
}

/// Puts the dataset, runs the program, and gives what it printed.
fn read(binary: &Path, state: &Path, work: &Path) -> Result<String, String> {
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(work.join(name), bytes).map_err(|e| format!("{name}: {e}"))
    };
    std::fs::create_dir(work.join("bench")).map_err(|e| e.to_string())?;
    let mut bytes = vec![0; FILE_BYTES];
    for n in 0..FILES {
        noise(n + 1, &mut bytes);
        write(&format!("bench/{n}"), &bytes)?;
    }
    drop(bytes);
    write("s3.py", S3.as_bytes())?;
    write("mount.py", PROGRAM.as_bytes())?;
    write("bench.weft.yaml", RUN.as_bytes())?;
    ok(binary, state, work, &["data", "put", "bench", "bench"])?;
    // What is here twice would take the page cache twice.
    std::fs::remove_dir_all(work.join("bench")).map_err(|e| e.to_string())?;
    ok(binary, state, work, &["run", "bench.weft.yaml"])
}

fn ok(binary: &Path, state: &Path, work: &Path, args: &[&str]) -> Result<String, String> {
    let done = weft(binary, state, args).current_dir(work).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(format!("{args:?}: {}{}", text(&done.stdout), text(&done.stderr))),
    }
}
