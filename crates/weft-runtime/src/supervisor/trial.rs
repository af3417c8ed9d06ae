//! A sandbox made only to see whether it can be: for `weft doctor`.

use crate::sandbox::message::{Ask, Say};
use crate::sandbox::{self, Plan, kernel};
use std::fs;
use std::io;
use std::path::Path;

/// Memory, disk and processes of the trial: it runs nothing.
const LITTLE: u64 = 16 << 20;

/// Makes a sandbox, and nothing in it. The process has one thread.
pub(super) fn try_once() -> io::Result<()> {
    let dir = std::env::temp_dir().join(format!("weft-trial-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let tried = make(&dir);
    let removed = fs::remove_dir_all(&dir);
    tried.and(removed)
}

fn make(dir: &Path) -> io::Result<()> {
    let plan = plan(dir)?;
    let init = sandbox::fork_init(plan.host_id.is_none(), None)?;
    init.line.send(&Ask::Build(Box::new(plan)), &[])?;
    init.line.send(&Ask::Go, &[])?;
    let said = init.line.receive::<Say>()?;
    drop(init.line);
    kernel::wait_child(init.pid)?;
    match said {
        Some((Say::Ready, _)) => Ok(()),
        Some((Say::Failed { step }, _)) => Err(io::Error::other(step)),
        _ => Err(io::Error::other("its first process ended at once")),
    }
}

fn plan(dir: &Path) -> io::Result<Plan> {
    let (staging, work) = (dir.join("root"), dir.join("work"));
    fs::create_dir(&staging)?;
    fs::create_dir(&work)?;
    Ok(Plan {
        staging,
        work,
        kept: None,
        image: None,
        environment: None,
        data: Vec::new(),
        etc: Vec::new(),
        devices: Vec::new(),
        gpu: None,
        hostname: "trial".to_owned(),
        memory: LITTLE,
        disk: LITTLE,
        pids: 1,
        data_limit: None,
        host_id: crate::runs::a_host_user(),
    })
}
