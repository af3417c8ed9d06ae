//! How long a user waits for a server, and for the smallest run there is.

use super::table::{Row, percentile};
use crate::server::{Server, weft};
use std::path::Path;
use std::time::{Duration, Instant};

const STARTS: usize = 10;
const RUNS: usize = 30;
/// Runs before the first that counts: caches and lazily made things are warm after them.
const WARM_UP: usize = 5;

const START_BAR: Duration = Duration::from_millis(300);
const RUN_P50_BAR: Duration = Duration::from_millis(60);
const RUN_P95_BAR: Duration = Duration::from_millis(150);

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let state = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut server = Server::spawn(binary, state.path(), &[], None)?;
        starts.push(server.ready().ok_or("the server died while starting")?);
        server.stop()?;
    }
    let runs = runs(binary)?;
    Ok(vec![
        Row::at_most("`weft up` to ready, fresh state, p50", percentile(&starts, 50), START_BAR),
        Row::at_most("`weft run --no-env -- true`, p50", percentile(&runs, 50), RUN_P50_BAR),
        Row::at_most("`weft run --no-env -- true`, p95", percentile(&runs, 95), RUN_P95_BAR),
    ])
}

/// From the start of the command to its end, the run's exit seen.
fn runs(binary: &Path) -> Result<Vec<Duration>, String> {
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut server = Server::spawn(binary, state.path(), &[], None)?;
    server.ready().ok_or("the server died while starting")?;
    let mut runs = Vec::new();
    for count in 0..WARM_UP + RUNS {
        let start = Instant::now();
        let args = ["run", "--no-env", "--", "true"];
        let output = weft(binary, state.path(), &args).output().map_err(|e| e.to_string())?;
        let took = start.elapsed();
        if !output.status.success() {
            return Err(format!("run {count}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        if count >= WARM_UP {
            runs.push(took);
        }
    }
    server.stop()?;
    Ok(runs)
}
