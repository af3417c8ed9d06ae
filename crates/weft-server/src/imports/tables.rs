//! What comes of databases: tables or a query, all of one moment, as CSV.
//!
//! With a column to tell rows by (`--since`) a table becomes a folder: each import adds a file with
//! the rows whose value is greater than the greatest that came before, which the last file's note
//! says. That value and the rows are of one snapshot, so none falls between two imports.

use super::files::{named, there};
use super::job::{Failed, Job, Origin};
use super::room::Going;
use super::source::Settings;
use crate::api::data::objects::OBJECT_BYTES_MAX;
use std::sync::Arc;
use weft_source::{Database, Snapshot};
use weft_store::{Came, SourceKind};

/// Tables of one import: a schema of some hundred.
const TABLES_MAX: usize = 500;

/// Tables, or a query, of one moment.
pub(super) async fn database(
    job: &Job,
    source: &Settings,
    going: &Arc<Going>,
) -> Result<Came, Failed> {
    let at = Database {
        out: source.outbound()?,
        host: source.host()?,
        database: source.at.database.clone().unwrap_or_default(),
        user: source.at.user.clone().unwrap_or_default(),
        password: source.secret.clone(),
        plain: source.at.plain,
    };
    let tables: Vec<&str> = job.what.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
    if tables.len() > TABLES_MAX {
        return Err(Failed(format!("{} tables, at most {TABLES_MAX} at once", tables.len())));
    }
    if tables.len() > 1 && !(job.to.is_empty() || job.to.ends_with('/')) {
        return Err(Failed(format!("several tables go into a folder: write `{}/`", job.to)));
    }
    let (mut snapshot, moment) = match source.kind {
        SourceKind::Postgres => Snapshot::postgres(&at).await?,
        _ => Snapshot::mysql(&at).await?,
    };
    let mut came = Came { snapshot: moment, ..Came::default() };
    if let Some(query) = &job.query {
        let path = named(&job.to, "query.csv")?;
        read(job, &mut snapshot, (&path, query), None, (&mut came, going)).await?;
    }
    for table in tables {
        match &job.since {
            Some(column) => more(job, &mut snapshot, (table, column), (&mut came, going)).await?,
            None => {
                let path = named(&job.to, &format!("{}.csv", last(table)))?;
                let query = snapshot.table(table)?;
                read(job, &mut snapshot, (&path, &query), None, (&mut came, going)).await?;
            }
        }
    }
    Ok(came)
}

/// A table's own name, without its schema's.
fn last(table: &str) -> &str {
    table.rsplit('.').next().unwrap_or(table)
}

/// What a query gives, as a file.
async fn read(
    job: &Job,
    snapshot: &mut Snapshot,
    (path, query): (&str, &str),
    since: Option<(String, String)>,
    (came, going): (&mut Came, &Arc<Going>),
) -> Result<(), Failed> {
    let sent = job.put(path, going, |mut pipe| async move {
        snapshot.send(query, &mut pipe, OBJECT_BYTES_MAX).await
    });
    let (bytes, arrived) = sent.await?;
    let moment = Some(came.snapshot.clone());
    let origin = Origin { from: job.from.clone(), since, snapshot: moment, ..Origin::default() };
    job.keep(arrived, &origin, going).await?;
    came.files += 1;
    came.bytes += bytes;
    Ok(())
}

/// The rows of a table that are new by a column.
async fn more(
    job: &Job,
    snapshot: &mut Snapshot,
    (table, column): (&str, &str),
    (came, going): (&mut Came, &Arc<Going>),
) -> Result<(), Failed> {
    let folder = format!("{}{}/", folder_of(&job.to), last(table));
    let (mut number, mut after) = (0, None);
    for (path, origin) in there(job, &folder).await? {
        let name = path.strip_prefix(&folder).and_then(|name| name.strip_suffix(".csv"));
        let Some(found) = name.and_then(|name| name.parse::<u64>().ok()) else { continue };
        number = number.max(found);
        // What somebody put there by hand is no rows of ours, but its name is taken.
        let Some(origin) = origin else { continue };
        match origin.since {
            Some((by, upto)) if origin.from == job.from && by == column => after = Some(upto),
            _ => {
                return Err(Failed(format!(
                    "`{folder}` has rows of {} already: import into another folder",
                    origin.from
                )));
            }
        }
    }
    let Some(upto) = snapshot.greatest(table, column).await? else { return Ok(()) };
    if after.as_ref() == Some(&upto) {
        return Ok(());
    }
    let query = snapshot.between(table, column, after.as_deref(), &upto)?;
    let path = format!("{folder}{:06}.csv", number + 1);
    let since = Some((column.to_owned(), upto));
    read(job, snapshot, (&path, &query), since, (came, going)).await
}

fn folder_of(to: &str) -> String {
    match to.is_empty() || to.ends_with('/') {
        true => to.to_owned(),
        false => format!("{to}/"),
    }
}
