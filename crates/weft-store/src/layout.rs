//! Whether a state has the tables its schema number promises, before anything relies on them.
//!
//! The number alone does not say: states of the time before the first release, and files of
//! other programs, carry numbers too. A difference is told with what to do, at the start, not
//! as a missing table in the middle of a request.

use crate::schema::MIGRATIONS;
use crate::{StoreError, schema};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Refuses a state of a newer schema, and one whose tables are not those of its number.
pub(crate) fn check(conn: &Connection) -> Result<(), StoreError> {
    let found = schema::version(conn)?;
    if found > schema::SCHEMA {
        return Err(StoreError::Newer { found, known: schema::SCHEMA });
    }
    let promised = Connection::open_in_memory()?;
    for sql in MIGRATIONS.iter().take(found as usize) {
        promised.execute_batch(sql)?;
    }
    let (has, must) = (columns(conn)?, columns(&promised)?);
    let missing = must.difference(&has).next().map(|column| format!("it has no `{column}`"));
    let unknown = || has.difference(&must).next().map(|column| format!("it has a `{column}`"));
    match missing.or_else(unknown) {
        None => Ok(()),
        Some(difference) => Err(StoreError::Foreign { found, difference }),
    }
}

/// Every column of every table, as `table.column`.
fn columns(conn: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let mut query = conn.prepare(
        "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let found = query.query_map([], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}
