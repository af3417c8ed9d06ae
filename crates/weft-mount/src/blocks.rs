//! What of files is fetched, and kept until the kernel has it.
//!
//! ```text
//! read at random          the bytes asked for, and nothing kept
//! read one after another  blocks of 1 MiB, more and more of them ahead, several under way
//! a small file            all of it, at the first read
//! ```
//!
//! The kernel's page cache is the cache: what it was given it has, of a version that never
//! changes, as long as there is memory; it counts as the workload's own, and goes first when that
//! needs room. Here stays only what it has not asked for yet, bounded for all of a mount, in the
//! supervisor.

use hyper::body::Bytes;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use tokio::sync::Notify;

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 1 << 20;

/// Blocks of one request of those that are fetched ahead: few requests, and several at once.
pub(crate) const BLOCKS_TOGETHER: u64 = 4;

/// Blocks that one reader has ahead of it at most.
const AHEAD_MAX: u64 = 16;

/// Readers of one file that are told apart, and files whose readers are remembered.
const READERS_MAX: usize = 8;
const FILES_MAX: usize = 4_096;

/// How far a read may be from where one is expected and still follow: the kernel's own read-ahead
/// comes in several requests, in any order.
const NEAR: u64 = BLOCK;

/// The blocks of one mount.
pub(crate) struct Blocks {
    /// Most bytes that are here or on their way without being asked for.
    budget: u64,
    slots: RefCell<HashMap<(u64, u64), Rc<Slot>>>,
    readers: RefCell<HashMap<u64, Vec<Reader>>>,
    /// Bytes of all slots.
    held: Cell<u64>,
    clock: Cell<u64>,
}

/// A block that was asked for.
pub(crate) struct Slot {
    length: u64,
    state: RefCell<State>,
    changed: Notify,
    /// Bytes of it that the kernel was given.
    given: Cell<u64>,
    used: Cell<u64>,
}

#[derive(Clone)]
enum State {
    Coming,
    Here(Bytes),
    Failed(Errno),
}

/// Somebody who reads a file one piece after another.
#[derive(Clone, Copy)]
struct Reader {
    next: u64,
    ahead: u64,
}

/// How a read is served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By blocks, of which so many more are fetched ahead.
    Blocks(u64),
    /// By itself.
    Alone,
}

impl Slot {
    /// The block, when it is here.
    pub(crate) async fn bytes(&self) -> Result<Bytes, Errno> {
        loop {
            let changed = self.changed.notified();
            match &*self.state.borrow() {
                State::Here(bytes) => return Ok(bytes.clone()),
                State::Failed(errno) => return Err(*errno),
                State::Coming => {}
            }
            changed.await;
        }
    }

    /// It is here, or will not be.
    pub(crate) fn set(&self, to: Result<Bytes, Errno>) {
        *self.state.borrow_mut() = match to {
            Ok(bytes) => State::Here(bytes),
            Err(errno) => State::Failed(errno),
        };
        self.changed.notify_waiters();
    }

    /// Bytes it has when it is whole.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

impl Blocks {
    pub(crate) fn new(budget: u64) -> Blocks {
        let (slots, readers, held, clock) = Default::default();
        Blocks { budget, slots, readers, held, clock }
    }

    /// How a read is served, by what was read before.
    pub(crate) fn way(&self, node: u64, range: &Range<u64>, size: u64) -> Way {
        if size <= BLOCK {
            return Way::Blocks(0);
        }
        let mut files = self.readers.borrow_mut();
        if files.len() >= FILES_MAX && !files.contains_key(&node) {
            files.clear();
        }
        let readers = files.entry(node).or_default();
        let near = |reader: &Reader| {
            range.start <= reader.next + NEAR && range.start + NEAR >= reader.next
        };
        let Some(at) = readers.iter().position(near) else {
            if readers.len() >= READERS_MAX {
                readers.remove(0);
            }
            let first = range.start == 0;
            readers.push(Reader { next: range.end, ahead: u64::from(first) });
            return if first { Way::Blocks(0) } else { Way::Alone };
        };
        let mut reader = readers.remove(at);
        // Grows by each block that was read, not by each piece of it.
        if range.end / BLOCK > reader.next / BLOCK || reader.ahead == 0 {
            reader.ahead = (reader.ahead * 2).clamp(1, AHEAD_MAX);
        }
        reader.next = reader.next.max(range.end);
        readers.push(reader);
        Way::Blocks(reader.ahead)
    }

    /// The block, if it was asked for.
    pub(crate) fn get(&self, node: u64, block: u64) -> Option<Rc<Slot>> {
        let slot = self.slots.borrow().get(&(node, block)).cloned()?;
        slot.used.set(self.tick());
        Some(slot)
    }

    /// Blocks of these that nobody has asked for yet, together as far as they stand together. Those
    /// from `ahead` on only while there is room.
    pub(crate) fn missing(
        &self,
        node: u64,
        blocks: Range<u64>,
        ahead: u64,
        size: u64,
    ) -> Vec<(u64, Vec<Rc<Slot>>)> {
        let mut runs: Vec<(u64, Vec<Rc<Slot>>)> = Vec::new();
        for block in blocks {
            if self.slots.borrow().contains_key(&(node, block)) {
                continue;
            }
            let length = (size - block * BLOCK).min(BLOCK);
            if !self.make_room(length) && block >= ahead {
                break;
            }
            let slot = Rc::new(Slot {
                length,
                state: RefCell::new(State::Coming),
                changed: Notify::new(),
                given: Cell::new(0),
                used: Cell::new(self.tick()),
            });
            self.held.set(self.held.get() + length);
            self.slots.borrow_mut().insert((node, block), Rc::clone(&slot));
            match runs.last_mut() {
                Some((first, run))
                    if *first + run.len() as u64 == block
                        && (run.len() as u64) < BLOCKS_TOGETHER =>
                {
                    run.push(slot);
                }
                _ => runs.push((block, vec![slot])),
            }
        }
        runs
    }

    /// Notes that the kernel was given so much of a block; one that it has wholly is let go.
    pub(crate) fn given(&self, node: u64, block: u64, bytes: u64) {
        let done = self.slots.borrow().get(&(node, block)).is_some_and(|slot| {
            slot.given.set(slot.given.get() + bytes);
            slot.given.get() >= slot.length
        });
        if done {
            self.drop_slot((node, block));
        }
    }

    /// Lets go of a block that did not come.
    pub(crate) fn forget(&self, node: u64, block: u64) {
        self.drop_slot((node, block));
    }

    fn drop_slot(&self, key: (u64, u64)) {
        if let Some(slot) = self.slots.borrow_mut().remove(&key) {
            self.held.set(self.held.get() - slot.length);
        }
    }

    /// Lets go of what is here and was not used for longest, until there is room.
    fn make_room(&self, bytes: u64) -> bool {
        while self.held.get() + bytes > self.budget {
            let oldest = {
                let slots = self.slots.borrow();
                let here = |slot: &Slot| matches!(&*slot.state.borrow(), State::Here(_));
                let settled = slots.iter().filter(|(_, slot)| here(slot));
                settled.min_by_key(|(_, slot)| slot.used.get()).map(|(key, _)| *key)
            };
            match oldest {
                Some(oldest) => self.drop_slot(oldest),
                None => return false,
            }
        }
        true
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}
