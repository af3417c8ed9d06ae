//! What a closure gets: one consistent view, or one transaction.

use crate::StoreError;
use rusqlite::Connection;
use std::ops::Deref;

/// One consistent view of the state; nothing committed meanwhile shows in it.
///
/// Its methods are in the files of their nouns.
pub struct Read<'c> {
    pub(crate) conn: &'c Connection,
}

/// One transaction: everything done with it is stored together, or nothing is.
///
/// Reads through it see its own writes. Its methods are in the files of their nouns.
pub struct Write<'c> {
    read: Read<'c>,
    /// Whether something the planner reads has changed.
    pub(crate) planner_saw: bool,
}

impl<'c> Write<'c> {
    pub(crate) fn new(conn: &'c Connection) -> Self {
        Write { read: Read { conn }, planner_saw: false }
    }

    /// What has to be written with every closure that did its work: the generation.
    pub(crate) fn finish(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.planner_saw) {
            self.conn.prepare_cached("UPDATE meta SET generation = generation + 1")?.execute([])?;
        }
        Ok(())
    }
}

impl<'c> Deref for Write<'c> {
    type Target = Read<'c>;

    fn deref(&self) -> &Read<'c> {
        &self.read
    }
}
