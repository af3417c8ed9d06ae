//! How long programs took: what the next run of the same is expected to take.

use crate::column::{rows, uint};
use crate::{Read, StoreError};
use rusqlite::params;
use weft_types::{Millis, QueueName, UserName};

/// Runs looked at: a program changes, and so does what it is given.
const LAST: u32 = 20;

/// Fewer say nothing: one odd run must not be the estimate.
const LEAST: usize = 3;

/// What the last runs of a program took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The middle one of them; of an even number the longer of the two.
    pub expected: Millis,
    /// How many there were: 3 to 20.
    pub runs: u32,
}

impl Read<'_> {
    /// How long a user's last runs of a program in a queue took that ended well, from placement
    /// to release, over all their starts. None where there were too few.
    pub fn learned(
        &self,
        user: &UserName,
        queue: &QueueName,
        program: &str,
    ) -> Result<Option<Learned>, StoreError> {
        if program.is_empty() {
            return Ok(None);
        }
        let mut query = self.conn.prepare_cached(
            "SELECT served FROM workloads INDEXED BY workloads_learned
             WHERE user = ?1 AND queue = ?2 AND program = ?3 AND state = 'succeeded'
             ORDER BY id DESC LIMIT ?4",
        )?;
        let found = query.query(params![user.as_str(), queue.as_str(), program, LAST])?;
        let mut took: Vec<u64> = rows(found, |row| uint(row, 0))?;
        if took.len() < LEAST {
            return Ok(None);
        }
        took.sort_unstable();
        let (expected, runs) = (Millis(took[took.len() / 2]), took.len() as u32);
        Ok(Some(Learned { expected, runs }))
    }
}
