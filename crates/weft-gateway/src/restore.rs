//! A dataset as it was: one call puts back what was, as new changes, and copies no byte.

use crate::bond::of_object;
use crate::data::{Also, Data, DataError, DatasetLock};
use weft_store::{At, DatasetRow, ObjectEntry, Restored, Sealed, Write};
use weft_types::Timestamp;

/// Paths that are put back in one transaction: others wait for it.
const RESTORED_AT_ONCE: u32 = 500;

impl Data {
    /// Puts back what was after so many changes. `also` is done with the first of it, given the
    /// number of changes; who is cut off asks again, and it goes on. Writers are not stopped: what
    /// they put meanwhile, at paths that it has passed, stays.
    ///
    /// # Errors
    /// Not all of that moment is known any more; an object's key does not open; the state cannot be
    /// written.
    pub async fn restore(
        &self,
        dataset: &DatasetRow,
        changes: u64,
        also: Also<u64>,
        now: Timestamp,
    ) -> Result<Restored, DataError> {
        let (mut all, mut behind) = (Restored::default(), String::new());
        let mut also = Some(also);
        loop {
            let (id, master, also, from) = (dataset.id, self.master(), also.take(), behind);
            let both = (At::Now, At::Changes(changes));
            let look = self.store.read(move |r| r.differences(id, both, &from, RESTORED_AT_ONCE));
            let found = look.await?;
            let last = found.last().filter(|_| found.len() == RESTORED_AT_ONCE as usize);
            let last = last.map(|last| last.path().to_owned());
            let some = move |w: &mut Write<'_>| {
                if let Some(also) = also {
                    also(w, &changes)?;
                }
                w.restore_objects(id, changes, &found, now, |w, was, change, sealed| {
                    let lock = DatasetLock::open(w, &master, id)?;
                    let key = lock.unwrap_object(was, &sealed)?;
                    let now_is = ObjectEntry { since: change, ..was.clone() };
                    let mut sealed: Sealed = sealed;
                    lock.wrap(&mut sealed, &key, &of_object(id, &now_is))?;
                    Ok::<_, DataError>(sealed)
                })
            };
            let some = self.store.write(some).await?;
            all.put += some.put;
            all.deleted += some.deleted;
            match some.next.or(last) {
                Some(next) => behind = next,
                None => return Ok(all),
            }
        }
    }
}
