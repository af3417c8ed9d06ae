//! Opening the database: pragmas, migrations, the check after an unclean stop, the takeover.

use crate::StoreError;
use crate::failpoint::hit;
use crate::limits::{BUSY_MS, WAL_KEEP, WAL_PAGES};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;
use weft_types::Epoch;

/// Every migration in order; the schema's number is how many were applied.
pub(crate) const MIGRATIONS: [&str; 18] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_limits.sql"),
    include_str!("../migrations/0003_shared_time.sql"),
    include_str!("../migrations/0004_elastic.sql"),
    include_str!("../migrations/0005_recents.sql"),
    include_str!("../migrations/0006_device_use.sql"),
    include_str!("../migrations/0007_ladder.sql"),
    include_str!("../migrations/0008_data.sql"),
    include_str!("../migrations/0009_data_again.sql"),
    include_str!("../migrations/0010_lineage.sql"),
    include_str!("../migrations/0011_sources.sql"),
    include_str!("../migrations/0012_asked.sql"),
    include_str!("../migrations/0013_views.sql"),
    include_str!("../migrations/0015_away.sql"),
    include_str!("../migrations/0018_mends.sql"),
    include_str!("../migrations/0019_branches.sql"),
    include_str!("../migrations/0020_tracking.sql"),
    include_str!("../migrations/0021_models.sql"),
];

/// The newest schema known here.
pub(crate) const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// Statements prepared once per connection; the store has fewer than this.
const STATEMENTS: usize = 512;

/// The connection of the writer, on a database that is there, checked and of this schema.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    private(path)?;
    configure(&conn)?;
    crate::layout::check(&conn)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEEP)?;
    // What is deleted is overwritten: keys that are forgotten, tokens that are revoked.
    conn.pragma_update(None, "secure_delete", true)?;
    check_after_crash(&conn)?;
    migrate(&conn)?;
    Ok(conn)
}

/// A connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    configure(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Bumps the epoch: every older handle is refused from here on.
pub(crate) fn take_over(conn: &Connection) -> Result<Epoch, StoreError> {
    hit("store.takeover")?;
    let epoch: i64 = conn.query_row(
        "UPDATE meta SET epoch = epoch + 1, clean = 0 RETURNING epoch",
        [],
        |row| row.get(0),
    )?;
    Ok(Epoch(epoch.unsigned_abs()))
}

/// Folds the WAL into the file; marks the state as closed in good order unless it was taken.
pub(crate) fn close_writer(conn: &Connection, epoch: Epoch) -> Result<(), StoreError> {
    let own = crate::column::int(epoch.0);
    hit("store.close")?;
    conn.execute("UPDATE meta SET clean = 1 WHERE epoch = ?1", [own])?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// The schema's number in the file.
pub(crate) fn version(conn: &Connection) -> Result<u32, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn configure(conn: &Connection) -> Result<(), StoreError> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// Applies what is missing, each migration in a transaction of its own; the state was checked
/// to be of a schema known here.
pub(crate) fn migrate(conn: &Connection) -> Result<(), StoreError> {
    let found = version(conn)?;
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(found as usize) {
        hit("store.migrate")?;
        conn.execute_batch(&format!(
            "BEGIN EXCLUSIVE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;"
        ))?;
    }
    Ok(())
}

/// Reads the whole file once after a crash; a clean stop vouches for itself.
fn check_after_crash(conn: &Connection) -> Result<(), StoreError> {
    if version(conn)? == 0 || conn.query_row("SELECT clean FROM meta", [], |r| r.get(0))? {
        return Ok(());
    }
    let said: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match said.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::Damaged(said)),
    }
}

/// The state is its owner's alone, whatever the umask.
pub(crate) fn private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|e| {
        StoreError::File {
            action: "protect",
            path: path.display().to_string(),
            cause: e.to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked at every start, every sample and by `weft ps` takes what it gives, however
    /// long the history is.
    #[test]
    fn long_histories_are_not_walked() {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn).unwrap();
        for (sql, by, times) in [
            (crate::ledger::HELD, "holdings_device (node=? AND device=? AND until_ms", 2),
            (crate::recent::HELD, "holdings_ended (until_ms", 2),
            (crate::device_use::DUE, "device_use_due", 1),
            (crate::workloads::LISTED_LIVE, "workloads_live", 1),
        ] {
            let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let (mut rows, mut steps) = (query.raw_query(), Vec::new());
            while let Some(step) = rows.next().unwrap() {
                steps.push(step.get::<_, String>(3).unwrap());
            }
            let found = steps.iter().filter(|step| step.contains(by)).count();
            assert_eq!(found, times, "{sql}: {steps:#?}");
        }
    }

    #[test]
    fn every_connection_is_set_up_for_durability() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft.db");
        let writer = open_writer(&path).unwrap();
        let reader = open_reader(&path).unwrap();
        let ask = |conn: &Connection, name: &str| -> String {
            let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            match conn.pragma_query_value(None, name, value).unwrap() {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => panic!("{name}: {other:?}"),
            }
        };
        assert_eq!(ask(&writer, "synchronous"), "2", "FULL");
        assert_eq!(ask(&writer, "secure_delete"), "1", "what is forgotten is gone");
        assert_eq!(ask(&reader, "query_only"), "1");
        for conn in [&writer, &reader] {
            assert_eq!(ask(conn, "journal_mode"), "wal");
            assert_eq!(ask(conn, "foreign_keys"), "1");
            assert_eq!(ask(conn, "trusted_schema"), "0");
            assert_eq!(ask(conn, "cell_size_check"), "1");
        }
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "its owner's alone");
    }
}
