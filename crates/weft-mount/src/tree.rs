//! Paths of objects as files and folders, folder by folder as they are looked into.
//!
//! An object store's paths are any text; a file system's are not. What is shown:
//!
//! | object | shown |
//! |--|--|
//! | `a/b` | file `b` in folder `a` |
//! | `a/` | folder `a`, as some clients mean it; the object itself is no file |
//! | `a` beside `a/b` | folder `a`; the object `a` is not shown |
//! | a part that is empty, `.`, `..`, longer than 255 bytes or has a NUL | not shown |
//!
//! What is not shown is counted. Numbers of nodes are never given again, so that the kernel may
//! forget and remember as it likes.

use crate::protocol::Attributes;
use rustix::io::Errno;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The number of the top folder: FUSE's.
pub(crate) const ROOT: u64 = 1;

/// Longest part of a path, in bytes: the kernel's.
const NAME_MAX: usize = 255;

/// Files and folders of all mounts of a run at most: some 100 bytes each, in the supervisor.
const NODES_MAX: usize = 2_000_000;

/// How many files and folders the mounts of a run may know still, together.
#[derive(Debug, Clone)]
pub struct Nodes(Arc<AtomicUsize>);

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes(Arc::new(AtomicUsize::new(NODES_MAX)))
    }
}

impl Nodes {
    pub(crate) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, some: usize) -> Result<(), Errno> {
        let less = |left: usize| left.checked_sub(some);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| Errno::OVERFLOW)
    }
}

/// What was looked into so far.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    left: Nodes,
    /// Objects of folders that were looked into, that are not shown.
    pub(crate) hidden: u64,
}

struct Node {
    parent: u32,
    name: Box<str>,
    what: What,
}

enum What {
    File { bytes: u64, at: u64 },
    Folder(Folder),
}

/// A folder, and whether its entries are known.
#[derive(Clone)]
pub(crate) enum Folder {
    /// Nobody has looked.
    Unread,
    /// Somebody looks, and says when that is done.
    Reading(Rc<Notify>),
    /// Its entries, sorted by name.
    Read(Rc<[u32]>),
}

/// An object, as lists give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its whole path.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) bytes: u64,
    /// When it was put, in milliseconds since 1970.
    pub(crate) at: u64,
}

impl Tree {
    /// The top folder alone.
    pub(crate) fn new(left: Nodes) -> Tree {
        let root = Node { parent: 0, name: "".into(), what: What::Folder(Folder::Unread) };
        Tree { nodes: vec![root], left, hidden: 0 }
    }

    fn node(&self, node: u64) -> Result<&Node, Errno> {
        let at = node.checked_sub(ROOT).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.nodes.get(at)).ok_or(Errno::STALE)
    }

    /// What is known of a node.
    pub(crate) fn attributes(&self, node: u64) -> Result<Attributes, Errno> {
        Ok(match self.node(node)?.what {
            What::File { bytes, at } => Attributes { node, folder: false, bytes, at },
            What::Folder(_) => Attributes { node, folder: true, bytes: 0, at: 0 },
        })
    }

    /// The object of a file, or what the paths in a folder begin with.
    pub(crate) fn path(&self, node: u64) -> Result<String, Errno> {
        let (mut parts, mut at) = (Vec::new(), self.node(node)?);
        if matches!(at.what, What::Folder(_)) && node != ROOT {
            parts.push("");
        }
        while !at.name.is_empty() {
            parts.push(&at.name);
            at = self.node(u64::from(at.parent) + ROOT)?;
        }
        parts.reverse();
        Ok(parts.join("/"))
    }

    /// The folder that a node is in; the top folder is in itself.
    pub(crate) fn parent(&self, node: u64) -> Result<u64, Errno> {
        Ok(u64::from(self.node(node)?.parent) + ROOT)
    }

    /// A folder's entries, as far as they are known.
    pub(crate) fn folder(&self, node: u64) -> Result<Folder, Errno> {
        match &self.node(node)?.what {
            What::Folder(folder) => Ok(folder.clone()),
            What::File { .. } => Err(Errno::NOTDIR),
        }
    }

    /// Says how far a folder is known.
    pub(crate) fn set(&mut self, node: u64, to: Folder) {
        let at = usize::try_from(node - ROOT).unwrap_or(usize::MAX);
        if let Some(Node { what: What::Folder(folder), .. }) = self.nodes.get_mut(at) {
            *folder = to;
        }
    }

    /// An entry of a folder, by name.
    pub(crate) fn find(&self, entries: &[u32], name: &[u8]) -> Option<u64> {
        let of = |at: &u32| self.nodes[*at as usize].name.as_bytes();
        let found = entries.binary_search_by(|at| of(at).cmp(name)).ok()?;
        Some(u64::from(entries[found]) + ROOT)
    }

    /// The name and number of an entry.
    pub(crate) fn entry(&self, entry: u32) -> (&[u8], u64) {
        (self.nodes[entry as usize].name.as_bytes(), u64::from(entry) + ROOT)
    }

    /// Fills a folder with what lies in it: objects, and what paths that go deeper begin with.
    ///
    /// # Errors
    /// There are more than the mounts of a run may know.
    pub(crate) fn fill(
        &mut self,
        node: u64,
        objects: &[Listed],
        deeper: &[String],
    ) -> Result<(), Errno> {
        let prefix = self.path(node)?;
        let own = u32::try_from(node - ROOT).map_err(|_| Errno::OVERFLOW)?;
        let mut found: Vec<(&str, Option<&Listed>)> = Vec::new();
        for path in deeper {
            let name = path.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix('/'));
            match name.filter(|name| is_name(name)) {
                Some(name) => found.push((name, None)),
                None => self.hidden += 1,
            }
        }
        for object in objects {
            // The mark of an empty folder, which is this one.
            if object.path == prefix {
                continue;
            }
            match object.path.strip_prefix(&prefix).filter(|name| is_name(name)) {
                Some(name) => found.push((name, Some(object))),
                None => self.hidden += 1,
            }
        }
        self.left.take(found.len())?;
        // By name, a folder before the file of its name, which it hides.
        found.sort_by(|a, b| a.0.cmp(b.0).then(a.1.is_some().cmp(&b.1.is_some())));
        let before = found.len();
        found.dedup_by(|later, first| later.0 == first.0);
        self.hidden += (before - found.len()) as u64;
        let first = self.nodes.len() as u32;
        let entries = (first..first + found.len() as u32).collect::<Vec<_>>();
        self.nodes.extend(found.into_iter().map(|(name, object)| Node {
            parent: own,
            name: name.into(),
            what: match object {
                Some(object) => What::File { bytes: object.bytes, at: object.at },
                None => What::Folder(Folder::Unread),
            },
        }));
        self.set(node, Folder::Read(entries.into()));
        Ok(())
    }
}

/// Whether a part of a path can be the name of a file.
fn is_name(part: &str) -> bool {
    let legal = (1..=NAME_MAX).contains(&part.len()) && !part.contains(['/', '\0']);
    legal && part != "." && part != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(path: &str) -> Listed {
        Listed { path: path.to_owned(), bytes: 1, at: 0 }
    }

    fn names(tree: &Tree, node: u64) -> Vec<String> {
        let Folder::Read(entries) = tree.folder(node).unwrap() else { panic!("not read") };
        let name = |entry: &u32| String::from_utf8(tree.entry(*entry).0.to_vec()).unwrap();
        entries.iter().map(name).collect()
    }

    #[test]
    fn what_cannot_be_a_file_is_not_shown_and_counted() {
        let mut tree = Tree::new(Nodes::default());
        let long = "x".repeat(256);
        let objects = ["a", "b\nc", "ü", ".", "..", &long, "x\0y"].map(object);
        let deeper = ["a/", "/", "./", "../", "d/"].map(str::to_owned);
        tree.fill(ROOT, &objects, &deeper).unwrap();
        assert_eq!(names(&tree, ROOT), ["a", "b\nc", "d", "ü"]);
        // The file `a`, four that are no names, and three folders that are none.
        assert_eq!(tree.hidden, 1 + 4 + 3);
    }

    #[test]
    fn the_mounts_of_a_run_know_so_many_together() {
        let few = Nodes(Arc::new(AtomicUsize::new(3)));
        let mut trees = [Tree::new(few.clone()), Tree::new(few)];
        trees[0].fill(ROOT, &[object("a"), object("b")], &[]).unwrap();
        let more = trees[1].fill(ROOT, &[object("a"), object("b")], &[]);
        assert_eq!(more, Err(Errno::OVERFLOW));
        trees[1].fill(ROOT, &[object("a")], &[]).unwrap();
    }

    #[test]
    fn the_file_of_a_folders_name_is_the_folder() {
        let mut tree = Tree::new(Nodes::default());
        tree.fill(ROOT, &[object("a")], &["a/".to_owned()]).unwrap();
        let Folder::Read(entries) = tree.folder(ROOT).unwrap() else { panic!("not read") };
        let a = tree.find(&entries, b"a").unwrap();
        assert!(tree.attributes(a).unwrap().folder);
        assert_eq!(tree.path(a).unwrap(), "a/");
        tree.fill(a, &[object("a/"), object("a/b")], &["a/c/".to_owned()]).unwrap();
        assert_eq!((names(&tree, a), tree.hidden), (vec!["b".to_owned(), "c".to_owned()], 1));
        let Folder::Read(entries) = tree.folder(a).unwrap() else { panic!("not read") };
        let b = tree.find(&entries, b"b").unwrap();
        assert_eq!((tree.path(b).unwrap().as_str(), tree.parent(b)), ("a/b", Ok(a)));
        assert!(tree.find(&entries, b"nothing").is_none());
        assert_eq!(tree.folder(b).err(), Some(Errno::NOTDIR));
        assert_eq!(tree.attributes(99), Err(Errno::STALE));
        assert_eq!(tree.attributes(0), Err(Errno::STALE));
    }
}
