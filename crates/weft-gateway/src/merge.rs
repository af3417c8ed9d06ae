//! A branch's changes, given to the dataset that it is a branch of. No byte is copied.
//!
//! ```text
//! at each path   before: what both had    after: the branch's    there: the source's
//!   there = before ─► after is put, or it is deleted     there = after ─► nothing to do
//!   neither        ─► changed in both: nothing of all is done, and the paths are told
//! ```
//!
//! What both had is what the branch was when it was merged last, or began. Up to ten thousand paths
//! are one transaction; of more, who is cut off merges again, and what was given already is there.

use crate::bond::of_object;
use crate::data::{Data, DataError, DatasetLock};
use crate::master::Master;
use crate::replace::REPLACED_AT_ONCE;
use weft_store::{
    At, BranchRow, DatasetId, DatasetVersionRow, Difference, ObjectEntry, Read, StoreError, Write,
};
use weft_types::Timestamp;

/// Paths that are looked at in one read.
const LOOKED_AT_ONCE: u32 = 1_000;
/// Paths that were changed in both and are named.
const NAMED: usize = 10;

/// What a merge has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The version of the source that it is now; the last one, where nothing has changed.
    pub version: DatasetVersionRow,
    /// The version of the branch that was merged.
    pub of: u32,
    /// Objects that were put.
    pub put: u64,
    /// Objects that were deleted.
    pub deleted: u64,
}

/// Done with the last of a merge, in the same transaction.
pub type AlsoMerged = Box<dyn FnOnce(&mut Write<'_>, &Merged) -> Result<(), StoreError> + Send>;

/// What is to be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Do {
    Nothing,
    Give,
    /// It was changed in both.
    Conflict,
}

impl Do {
    fn at(difference: &Difference, there: Option<&ObjectEntry>) -> Self {
        let content = |entry: Option<&ObjectEntry>| entry.map(|it| (it.bytes, it.tag.clone()));
        let there = content(there);
        match () {
            () if there == content(difference.after.as_ref()) => Self::Nothing,
            () if there == content(difference.before.as_ref()) => Self::Give,
            () => Self::Conflict,
        }
    }
}

impl Data {
    /// Gives what a branch is now, as a version of it, to its source, as a version of that. `said`
    /// is who does it, and why.
    ///
    /// # Errors
    /// [`DataError::Conflict`]: nothing was done; [`StoreError::NotFound`]: it is no branch; more
    /// than the team may hold, or the state cannot be written.
    pub async fn merge(
        &self,
        branch: DatasetId,
        (by, note): (String, String),
        also: AlsoMerged,
        now: Timestamp,
    ) -> Result<Merged, DataError> {
        let none = || StoreError::NotFound { what: "branch", id: branch.0.to_string() };
        let row = self.store.read(move |r| r.branch(branch)).await?.ok_or_else(none)?;
        let said = (by.clone(), note.clone());
        let keep = move |w: &mut Write<'_>| w.make_version(branch, &said.0, &said.1, now);
        let version: DatasetVersionRow = self.store.write(keep).await?;
        let mut todo = self.to_do(row, version.changes).await?;
        let mut merged = Merged { version, of: 0, put: 0, deleted: 0 };
        merged.of = merged.version.number;
        while todo.len() > REPLACED_AT_ONCE {
            let some = todo.split_off(todo.len() - REPLACED_AT_ONCE);
            let master = self.master();
            let given = self.store.write(move |w| give(w, &master, row, &some, now)).await?;
            (merged.put, merged.deleted) = (merged.put + given.0, merged.deleted + given.1);
        }
        let master = self.master();
        let last = move |w: &mut Write<'_>| {
            let given = give(w, &master, row, &todo, now)?;
            (merged.put, merged.deleted) = (merged.put + given.0, merged.deleted + given.1);
            w.branch_merged(branch, merged.version.changes)?;
            merged.version = w.make_version(row.source, &by, &note, now)?;
            also(w, &merged)?;
            Ok::<_, DataError>(merged)
        };
        self.store.write(last).await
    }

    /// What the branch has changed and the source has not got, if nothing was changed in both.
    async fn to_do(&self, row: BranchRow, changes: u64) -> Result<Vec<Difference>, DataError> {
        let (mut todo, mut both, mut behind) = (Vec::new(), Vec::new(), String::new());
        let mut count = 0;
        loop {
            let from = behind;
            let read = move |r: &Read<'_>| look(r, row, changes, &from);
            let (found, next) = self.store.read(read).await?;
            for (difference, what) in found {
                match what {
                    Do::Nothing => {}
                    Do::Give => todo.push(difference),
                    Do::Conflict => {
                        count += 1;
                        both.extend((both.len() < NAMED).then(|| difference.path().to_owned()));
                    }
                }
            }
            match next {
                Some(next) => behind = next,
                None if both.is_empty() => return Ok(todo),
                None => return Err(DataError::Conflict { paths: both, count }),
            }
        }
    }
}

/// Differences of a branch since it was merged last, behind a path, with what to do there.
type Looked = (Vec<(Difference, Do)>, Option<String>);

fn look(r: &Read<'_>, row: BranchRow, changes: u64, behind: &str) -> Result<Looked, StoreError> {
    // What it was then may be forgotten; what it began as is not.
    let known = r.whole(row.dataset, row.merged).is_ok();
    let before = At::Changes(if known { row.merged } else { row.changes });
    let moments = (before, At::Changes(changes));
    let found = r.differences(row.dataset, moments, behind, LOOKED_AT_ONCE)?;
    let full = found.len() == LOOKED_AT_ONCE as usize;
    let next = found.last().filter(|_| full).map(|last| last.path().to_owned());
    let each = found.into_iter().map(|difference| {
        let there = r.object_entry(row.source, difference.path(), At::Now)?;
        let what = Do::at(&difference, there.as_ref());
        Ok((difference, what))
    });
    Ok((each.collect::<Result<_, StoreError>>()?, next))
}

/// Gives these to the source: how many were put, and deleted.
fn give(
    w: &mut Write<'_>,
    master: &Master,
    row: BranchRow,
    todo: &[Difference],
    now: Timestamp,
) -> Result<(u64, u64), DataError> {
    let (mut put, mut deleted) = (0, 0);
    let from = DatasetLock::open(w, master, row.dataset)?;
    let to = DatasetLock::open(w, master, row.source)?;
    for difference in todo {
        let path = difference.path();
        let there = w.object_entry(row.source, path, At::Now)?;
        match Do::at(difference, there.as_ref()) {
            Do::Nothing => continue,
            // Since it was looked at.
            Do::Conflict => {
                return Err(DataError::Conflict { paths: vec![path.to_owned()], count: 1 });
            }
            Do::Give => {}
        }
        let Some(was) = &difference.after else {
            w.delete_object(row.source, path, &weft_store::Expected::Anything, now)?;
            deleted += 1;
            continue;
        };
        let gone = || DataError::Missing(path.to_owned());
        let object = w.object(row.dataset, path, At::Put(was.since))?.ok_or_else(gone)?;
        let key = from.unwrap_object(was, &object.sealed)?;
        let is = ObjectEntry { since: w.next_change(row.source)?, ..was.clone() };
        let mut sealed = object.sealed;
        to.wrap(&mut sealed, &key, &of_object(row.source, &is))?;
        w.put_object_from(row.dataset, row.source, was, sealed, now)?;
        put += 1;
    }
    Ok((put, deleted))
}
