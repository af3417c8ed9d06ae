//! One mount, served: a loop that reads the kernel's requests and answers them, in one thread.
//!
//! What is known is answered at once; what has to be fetched is answered when it is here, in any
//! order. A program that is killed or interrupted meanwhile is let go at once. When the loop ends,
//! its descriptor is closed, and the kernel ends whatever still waits.

use crate::Counts;
use crate::blocks::{BLOCK, Blocks, Slot, Way};
use crate::protocol::{self, Answer, Ask, Attributes, OUT_HEAD, REQUEST_MAX, Request};
use crate::source::Source;
use crate::tree::{Folder, Nodes, ROOT, Tree};
use hyper::body::Bytes;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, spawn_local};

/// Requests that are answered before others of the thread get their turn.
const AT_ONCE: usize = 64;

/// A mount.
pub(crate) struct Session {
    fuse: AsyncFd<OwnedFd>,
    tree: RefCell<Tree>,
    blocks: Blocks,
    source: Source,
    /// What is not answered yet, by its number.
    waiting: RefCell<HashMap<u64, AbortHandle>>,
    counts: Arc<Counts>,
}

/// What answers a request.
enum Reply {
    /// These bytes.
    Body(Answer),
    /// These, one after another: bytes of a file, as they were fetched.
    Parts(Vec<Bytes>),
}

type Answered = Result<Reply, Errno>;

impl Session {
    /// Needs a local task set of a runtime with one thread.
    pub(crate) fn new(
        fuse: OwnedFd,
        source: Source,
        nodes: Nodes,
        budget: u64,
        counts: Arc<Counts>,
    ) -> std::io::Result<Rc<Session>> {
        // SAFETY: an owned descriptor has one number as long as it lives, and it lives in there.
        let fuse = unsafe { AsyncFd::register_with_interest(fuse, Interest::READABLE) }?;
        Ok(Rc::new(Session {
            fuse,
            tree: RefCell::new(Tree::new(nodes)),
            blocks: Blocks::new(budget),
            source,
            waiting: RefCell::default(),
            counts,
        }))
    }

    /// Serves until it is unmounted, or told to end.
    pub(crate) async fn serve(self: &Rc<Self>, mut closing: watch::Receiver<bool>) {
        let mut buffer = vec![0; REQUEST_MAX];
        loop {
            let ready = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return,
                ready = self.fuse.readable() => ready,
            };
            let Ok(mut ready) = ready else { return };
            for _ in 0..AT_ONCE {
                match rustix::io::read(self.fuse.get_ref(), &mut buffer) {
                    Ok(length) => match protocol::read(&buffer[..length]) {
                        Some(request) => self.take(request),
                        None => return,
                    },
                    // It was interrupted before it was read.
                    Err(Errno::NOENT | Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        ready.clear_ready();
                        break;
                    }
                    // It is not mounted any more.
                    Err(_) => return,
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Answers at once, or sees to it that it is answered.
    fn take(self: &Rc<Self>, request: Request) {
        let Request { unique, node, ask } = request;
        let now = match ask {
            Ask::Forget => return,
            Ask::Interrupt(unique) => return self.interrupt(unique),
            Ask::Init { major, minor, flags } => Answer::init(major, minor, flags).map(Reply::Body),
            Ask::Attributes => self.attributes(node).map(|is| body(Answer::attributes(&is))),
            // How large it all is would have to be asked for, and nobody can fill it.
            Ask::Volume => Ok(body(Answer::volume(0, 0))),
            Ask::Close | Ask::Destroy => Ok(Reply::Parts(Vec::new())),
            // Said once for each, and never asked again.
            Ask::Open | Ask::Other => Err(Errno::NOSYS),
            Ask::Lookup(name) => match self.known(node) {
                Ok(Some(entries)) => self.lookup(&entries, &name),
                Ok(None) => return self.later(unique, |at| at.lookup_later(node, name)),
                Err(errno) => Err(errno),
            },
            Ask::List { offset, size, plus } => match self.known(node) {
                Ok(Some(entries)) => self.list(node, &entries, (offset, size, plus)),
                Ok(None) => {
                    return self.later(unique, move |at| at.list_later(node, (offset, size, plus)));
                }
                Err(errno) => Err(errno),
            },
            Ask::Read { offset, size } => {
                return self.later(unique, move |at| at.read(node, offset, size));
            }
        };
        self.reply(unique, now);
    }

    /// Answers when it is known.
    fn later<F>(self: &Rc<Self>, unique: u64, work: impl FnOnce(Rc<Self>) -> F)
    where
        F: Future<Output = Answered> + 'static,
    {
        let (at, work) = (Rc::clone(self), work(Rc::clone(self)));
        let task = spawn_local(async move {
            let answered = work.await;
            at.waiting.borrow_mut().remove(&unique);
            at.reply(unique, answered);
        });
        self.waiting.borrow_mut().insert(unique, task.abort_handle());
    }

    /// Lets go of a program that does not want to wait any more. What was to be fetched for it may
    /// still come.
    fn interrupt(&self, unique: u64) {
        if let Some(task) = self.waiting.borrow_mut().remove(&unique) {
            task.abort();
            self.reply(unique, Err(Errno::INTR));
        }
    }

    fn reply(&self, unique: u64, answered: Answered) {
        let none: &[Bytes] = &[];
        let (own, parts) = match &answered {
            Ok(Reply::Body(Answer(body))) => (body.as_slice(), none),
            Ok(Reply::Parts(parts)) => (&[][..], parts.as_slice()),
            Err(_) => (&[][..], none),
        };
        let bytes = own.len() + parts.iter().map(Bytes::len).sum::<usize>();
        let head: [u8; OUT_HEAD] =
            protocol::head(unique, answered.as_ref().map(|_| bytes).map_err(|errno| *errno));
        let slices: Vec<IoSlice<'_>> = [&head[..], own]
            .into_iter()
            .chain(parts.iter().map(|part| &part[..]))
            .filter(|slice| !slice.is_empty())
            .map(IoSlice::new)
            .collect();
        match rustix::io::writev(self.fuse.get_ref(), &slices) {
            // One that was interrupted is not there any more.
            Ok(_) | Err(Errno::NOENT) => {}
            // It could not be taken: whoever waits is told so, in as little room as there is.
            Err(_) => {
                let head = protocol::head(unique, Err(Errno::IO));
                let _ = rustix::io::write(self.fuse.get_ref(), &head);
            }
        }
    }

    fn attributes(&self, node: u64) -> Result<Attributes, Errno> {
        self.tree.borrow().attributes(node)
    }

    /// A folder's entries, where somebody has looked.
    fn known(&self, node: u64) -> Result<Option<Rc<[u32]>>, Errno> {
        match self.tree.borrow().folder(node)? {
            Folder::Read(entries) => Ok(Some(entries)),
            Folder::Unread | Folder::Reading(_) => Ok(None),
        }
    }

    /// A folder's entries; looks, unless somebody does.
    async fn entries(self: &Rc<Self>, node: u64) -> Result<Rc<[u32]>, Errno> {
        loop {
            let folder = self.tree.borrow().folder(node)?;
            match folder {
                Folder::Read(entries) => return Ok(entries),
                Folder::Reading(done) => {
                    let done = done.notified();
                    // Between the look and the wait nothing else runs in this thread.
                    done.await;
                }
                Folder::Unread => self.look(node).await?,
            }
        }
    }

    /// Looks into a folder, in a task of its own: who asked first may give up, others wait.
    async fn look(self: &Rc<Self>, node: u64) -> Result<(), Errno> {
        let done = Rc::new(Notify::new());
        self.tree.borrow_mut().set(node, Folder::Reading(Rc::clone(&done)));
        let at = Rc::clone(self);
        let task = spawn_local(async move {
            let looked = at.fill(node).await;
            if looked.is_err() {
                at.tree.borrow_mut().set(node, Folder::Unread);
            }
            done.notify_waiters();
            looked
        });
        task.await.map_err(|_| Errno::IO)?
    }

    async fn fill(&self, node: u64) -> Result<(), Errno> {
        let prefix = self.tree.borrow().path(node)?;
        let (objects, deeper) = self.source.list(&prefix).await?;
        let mut tree = self.tree.borrow_mut();
        tree.fill(node, &objects, &deeper)?;
        self.counts.hidden.store(tree.hidden, Ordering::Relaxed);
        Ok(())
    }

    async fn lookup_later(self: Rc<Self>, node: u64, name: Vec<u8>) -> Answered {
        let entries = self.entries(node).await?;
        self.lookup(&entries, &name)
    }

    fn lookup(&self, entries: &[u32], name: &[u8]) -> Answered {
        let tree = self.tree.borrow();
        Ok(body(match tree.find(entries, name) {
            Some(node) => Answer::entry(&tree.attributes(node)?),
            None => Answer::no_entry(),
        }))
    }

    async fn list_later(self: Rc<Self>, node: u64, how: (u64, u32, bool)) -> Answered {
        let entries = self.entries(node).await?;
        self.list(node, &entries, how)
    }

    /// Entries from the one of that number on; `.` and `..` are the first two.
    fn list(&self, node: u64, entries: &[u32], (offset, size, plus): (u64, u32, bool)) -> Answered {
        let (tree, mut answer) = (self.tree.borrow(), Answer::default());
        let first = usize::try_from(offset).unwrap_or(usize::MAX);
        for at in first..entries.len() + 2 {
            let (name, node) = match at {
                0 => (&b"."[..], node),
                1 => (&b".."[..], tree.parent(node)?),
                _ => tree.entry(entries[at - 2]),
            };
            let next = at as u64 + 1;
            let is = tree.attributes(node)?;
            if !answer.list((name, &is), (next, plus, size as usize)) {
                break;
            }
        }
        Ok(body(answer))
    }

    async fn read(self: Rc<Self>, node: u64, offset: u64, size: u32) -> Answered {
        let is = self.attributes(node)?;
        if is.folder {
            return Err(Errno::ISDIR);
        }
        let range = offset.min(is.bytes)..offset.saturating_add(size.into()).min(is.bytes);
        if range.is_empty() {
            return Ok(Reply::Parts(Vec::new()));
        }
        let here = |block| self.blocks.get(node, block).is_some();
        match self.blocks.way(node, &range, is.bytes) {
            Way::Alone if !blocks(&range).all(here) => self.alone(node, range).await,
            Way::Alone => self.by_blocks(node, range, is.bytes, 0).await,
            Way::Blocks(ahead) => self.by_blocks(node, range, is.bytes, ahead).await,
        }
    }

    /// Fetches a range and keeps nothing of it.
    async fn alone(self: &Rc<Self>, node: u64, range: Range<u64>) -> Answered {
        let path = self.tree.borrow().path(node)?;
        let mut parts = Vec::new();
        let take = |bytes: Bytes| {
            self.counts.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            parts.push(bytes);
        };
        self.source.fetch(&path, range, take).await?;
        Ok(Reply::Parts(parts))
    }

    /// Takes a range from blocks, and sees to it that those behind it come.
    async fn by_blocks(
        self: &Rc<Self>,
        node: u64,
        range: Range<u64>,
        size: u64,
        ahead: u64,
    ) -> Answered {
        let needed = blocks(&range);
        let last = size.div_ceil(BLOCK);
        let wanted = needed.start..(needed.end + ahead).min(last);
        let path = self.tree.borrow().path(node)?;
        for (first, slots) in self.blocks.missing(node, wanted, needed.end, size) {
            let (at, path) = (Rc::clone(self), path.clone());
            spawn_local(async move { at.fetch(node, path, first, slots).await });
        }
        let mut parts = Vec::new();
        for block in needed {
            let start = block * BLOCK;
            let own = range.start.max(start)..range.end.min(start + BLOCK);
            let Some(slot) = self.blocks.get(node, block) else {
                // It was let go meanwhile.
                let Reply::Parts(alone) = self.alone(node, own).await? else { continue };
                parts.extend(alone);
                continue;
            };
            let bytes = slot.bytes().await?;
            let inside = (own.start - start) as usize..(own.end - start) as usize;
            parts.push(bytes.get(inside.clone()).map_or_else(Bytes::new, |_| bytes.slice(inside)));
            self.blocks.given(node, block, own.end - own.start);
        }
        Ok(Reply::Parts(parts))
    }

    /// Fetches blocks that stand together; each is there as soon as it has come.
    async fn fetch(self: Rc<Self>, node: u64, path: String, first: u64, slots: Vec<Rc<Slot>>) {
        let start = first * BLOCK;
        let end = start + slots.iter().map(|slot| slot.length()).sum::<u64>();
        let (mut done, mut block) = (0, Vec::new());
        let take = |bytes: Bytes| {
            self.counts.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let mut rest = &bytes[..];
            while let Some(slot) = slots.get(done).filter(|_| !rest.is_empty()) {
                let length = slot.length() as usize;
                block.reserve_exact(length - block.len());
                let (own, others) = rest.split_at(rest.len().min(length - block.len()));
                block.extend_from_slice(own);
                rest = others;
                if block.len() == length {
                    slot.set(Ok(std::mem::take(&mut block).into()));
                    done += 1;
                }
            }
        };
        let fetched = self.source.fetch(&path, start..end, take).await;
        if let Err(errno) = fetched {
            for (at, slot) in slots.iter().enumerate().skip(done) {
                slot.set(Err(errno));
                self.blocks.forget(node, first + at as u64);
            }
        }
    }
}

/// The blocks that a range touches.
fn blocks(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

fn body(answer: Answer) -> Reply {
    Reply::Body(answer)
}

const _: () = assert!(ROOT == 1);
