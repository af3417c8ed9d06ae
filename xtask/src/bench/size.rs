//! What Weft costs while it does nothing: the binary's size and an idle server's memory.

use super::table::Row;
use crate::server::Server;
use std::path::Path;
use std::time::Duration;

const BINARY_BAR: u64 = 60_000_000;
const MEMORY_BAR: u64 = 60_000_000;
/// Long enough for everything a start makes to be done.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let size = std::fs::metadata(binary).map_err(|e| format!("{}: {e}", binary.display()))?.len();
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut server = Server::spawn(binary, state.path(), &[], None)?;
    server.ready().ok_or("the server died while starting")?;
    std::thread::sleep(SETTLE);
    let memory = resident(server.pid()).ok_or("no VmRSS in /proc")?;
    server.stop()?;
    Ok(vec![
        Row::bytes_at_most("release binary, stripped", size, BINARY_BAR),
        Row::bytes_at_most("idle server, resident memory", memory, MEMORY_BAR),
    ])
}

/// Resident memory of a process, as the kernel counts it.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
