//! Copies of the state: made while it runs, brought back while it does not.
//!
//! Both are a temporary file, synced, checked and renamed, so that a crash leaves either no copy
//! or a whole one. The database's file is only ever opened by SQLite: another descriptor on it
//! in this process would drop SQLite's locks when closed.

use crate::failpoint::hit;
use crate::store::FILE;
use crate::{Read, Store, StoreError, schema};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages copied in one step: 4 MB, a few milliseconds in which a checkpoint waits.
const STEP_PAGES: i32 = 1_024;

/// How long a step waits for a lock before it is tried again.
const LOCKED: Duration = Duration::from_millis(5);

/// A copy that was made or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The copy; for a restore, the state as it was before, empty where there was none.
    pub path: PathBuf,
    /// Size of the copy.
    pub bytes: u64,
    /// Rows of the audit log in it.
    pub audit_rows: u64,
}

impl Store {
    /// Copies the state to `path`, which must not exist, while others read and write. When this
    /// returns the copy is whole, checked, durable and its owner's alone.
    pub async fn backup(&self, path: &Path) -> Result<BackupReport, StoreError> {
        let (from, to) = (self.path().to_owned(), path.to_owned());
        let work = tokio::task::spawn_blocking(move || copy(&from, &to));
        work.await.map_err(|_| StoreError::Closed)?
    }
}

/// Replaces the state in `dir` by the copy `from`, after checking the copy; what was there is
/// kept beside it as `weft.db.before-restore-<n>`. Numbers that only grow (epoch, workload ids,
/// events) go on from the state that is replaced, so that agents obey and no id comes twice.
/// No server may run: the caller holds the lock.
pub fn restore(dir: &Path, from: &Path) -> Result<BackupReport, StoreError> {
    let state = dir.join(FILE);
    let fresh = dir.join("weft.db.restoring");
    remove(&fresh)?;
    let report = copy(from, &fresh)?;
    carry_on(&fresh, marks(&state))?;
    sync(&fresh)?;
    hit("store.restore.aside")?;
    let kept = set_aside(dir, &state)?;
    hit("store.restore.rename")?;
    fs::rename(&fresh, &state).map_err(|e| file("rename", &fresh, e))?;
    sync_dir(dir)?;
    Ok(BackupReport { path: kept.unwrap_or_default(), ..report })
}

/// Numbers that must never go back.
struct Marks {
    epoch: i64,
    workload: i64,
    event: i64,
}

/// Where the replaced state cannot be read, how far to leap: more starts, submissions and events
/// than a day between backups sees.
const LEAP: Marks = Marks { epoch: 1_000, workload: 1_000_000, event: 100_000_000 };

/// How far the state before has come; none where it does not say.
fn marks(state: &Path) -> Option<Marks> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(state, flags).ok()?;
    own_marks(&conn).ok()
}

fn own_marks(conn: &Connection) -> Result<Marks, rusqlite::Error> {
    conn.query_row(
        "SELECT epoch, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'workloads'), 0),
         coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) FROM meta",
        [],
        |row| Ok(Marks { epoch: row.get(0)?, workload: row.get(1)?, event: row.get(2)? }),
    )
}

/// Makes a restored copy go on from where the state before was.
fn carry_on(fresh: &Path, before: Option<Marks>) -> Result<(), StoreError> {
    let conn = Connection::open(fresh)?;
    let own = own_marks(&conn)?;
    let before = before.unwrap_or(Marks {
        epoch: own.epoch + LEAP.epoch,
        workload: own.workload + LEAP.workload,
        event: own.event + LEAP.event,
    });
    conn.execute("UPDATE meta SET epoch = max(epoch, ?1)", [before.epoch])?;
    for (table, mark) in
        [("workloads", own.workload.max(before.workload)), ("events", own.event.max(before.event))]
    {
        conn.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
        conn.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", (table, mark))?;
    }
    Ok(())
}

/// A checked, durable copy of one database under a name that did not exist.
fn copy(from: &Path, to: &Path) -> Result<BackupReport, StoreError> {
    let exists = || StoreError::Exists { what: "file", id: to.display().to_string() };
    if fs::symlink_metadata(to).is_ok() {
        return Err(exists());
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    remove(&part)?;
    let made = fill(from, &part).and_then(|rows| {
        sync(&part)?;
        hit("store.backup.rename")?;
        // A hard link fails where the name was taken meanwhile; a rename would replace it.
        fs::hard_link(&part, to).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => exists(),
            _ => file("write", to, e),
        })?;
        Ok(rows)
    });
    remove(&part)?;
    let audit_rows = made?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))?;
    let bytes = fs::metadata(to).map_err(|e| file("read", to, e))?.len();
    Ok(BackupReport { path: to.to_owned(), bytes, audit_rows })
}

/// Copies every page and checks what came out. Gives the rows of its audit log.
fn fill(from: &Path, part: &Path) -> Result<u64, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags)?;
    crate::layout::check(&source)?;
    if schema::version(&source)? == 0 {
        return Err(StoreError::Damaged(format!("{} holds no state of weft", from.display())));
    }
    let mut target = Connection::open(part)?;
    schema::private(part)?;
    let backup = Backup::new(&source, &mut target)?;
    loop {
        match backup.step(STEP_PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            // A checkpoint holds the lock for a moment; it ends by itself.
            _ => std::thread::sleep(LOCKED),
        }
    }
    drop(backup);
    // One file, without a WAL beside it; whoever opens it turns the WAL on again.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    schema::migrate(&target)?;
    check(&target)
}

/// Everything that can be checked of a copy.
fn check(conn: &Connection) -> Result<u64, StoreError> {
    let read = Read { conn };
    let mut broken = read.check_integrity()?;
    if broken.is_empty() {
        broken = read.check_invariants()?;
    }
    match broken.first() {
        Some(first) => Err(StoreError::Damaged(first.clone())),
        None => Ok(read.verify_audit()?.rows),
    }
}

/// Gives the state before a second name, so that the rename over the first loses nothing and at
/// no moment is there none. A WAL that could not be folded in goes with it: left behind, SQLite
/// would play it on the restored file.
fn set_aside(dir: &Path, state: &Path) -> Result<Option<PathBuf>, StoreError> {
    if fs::symlink_metadata(state).is_err() {
        return Ok(None);
    }
    let folded = Connection::open(state)
        .and_then(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    let free = |n: &u32| fs::symlink_metadata(aside(dir, *n, "")).is_err();
    let number = (1..).find(free).unwrap_or(u32::MAX);
    let kept = aside(dir, number, "");
    fs::hard_link(state, &kept).map_err(|e| file("link", state, e))?;
    let wal = dir.join(format!("{FILE}-wal"));
    match folded {
        Err(_) if wal.exists() => {
            fs::rename(&wal, aside(dir, number, "-wal")).map_err(|e| file("rename", &wal, e))?
        }
        _ => remove(&wal)?,
    }
    remove(&dir.join(format!("{FILE}-shm")))?;
    sync_dir(dir)?;
    Ok(Some(kept))
}

fn aside(dir: &Path, number: u32, suffix: &str) -> PathBuf {
    dir.join(format!("{FILE}.before-restore-{number}{suffix}"))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file("remove", path, e)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| file("sync", path, e))
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    sync(dir)
}

fn file(action: &'static str, path: &Path, cause: io::Error) -> StoreError {
    if cause.kind() == io::ErrorKind::StorageFull {
        return StoreError::DiskFull(format!("{action} {}", path.display()));
    }
    StoreError::File { action, path: path.display().to_string(), cause: cause.to_string() }
}
