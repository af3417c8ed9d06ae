//! The master key in its file, and how another takes its place while all goes on.
//!
//! ```text
//! file: old ─► old, new ─► all team keys are wrapped by the new one ─► file: new
//! ```
//!
//! Whatever dies at whichever step, the file that is there opens everything. Whoever loses the file
//! loses all data; whoever reads it can read all data.

use crate::bond::of_team;
use crate::data::DataError;
use crate::key::{KEY_BYTES, Key, KeyError, Wrapped, wrapped};
use rustix::fs::{Mode, OFlags, RenameFlags};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use weft_store::Write;
use weft_store::failpoint::hit;
use weft_types::QueueName;
use zeroize::Zeroizing;

/// What helps who has lost the master key, and nothing else does.
const BRING_BACK: &str = "bring back the file that was made with this state, or since its rotation";

/// Longer than anybody takes between reading a wrapped key and opening it.
const READ_MAX: Duration = Duration::from_secs(60);

/// What the file begins with; the key follows in hexadecimal digits.
const HEAD: &str = "weft-master-key-1 ";
/// What the line of the key begins with that takes its place.
const NEXT: &str = "next ";

/// The key above all others; clones share it.
#[derive(Debug, Clone)]
pub struct Master(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: Option<PathBuf>,
    keys: RwLock<Keys>,
    /// What was the key until lately, and when it ended: whoever read a wrapped key just before a
    /// rotation ended opens it just after. In no file.
    ended: Mutex<Vec<(Key, Instant)>>,
    /// Held by who rotates it.
    rotating: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Keys {
    current: Key,
    /// Takes its place: what is wrapped now is by this one.
    next: Option<Key>,
}

/// One that is in no file, so it cannot be rotated: for tests.
impl From<Key> for Master {
    fn from(current: Key) -> Self {
        Self::of(None, Keys { current, next: None })
    }
}

impl PartialEq for Master {
    fn eq(&self, other: &Self) -> bool {
        self.keys() == other.keys()
    }
}

impl Master {
    fn of(path: Option<PathBuf>, keys: Keys) -> Self {
        let keys = RwLock::new(keys);
        Self(Arc::new(Inner { path, keys, ended: Mutex::default(), rotating: Default::default() }))
    }

    /// See [`Data::derived`](crate::Data::derived).
    pub(crate) fn derived(&self, of_use: &'static str, about: &[u8]) -> Zeroizing<[u8; 32]> {
        let key = Zeroizing::new(blake3::derive_key(of_use, self.keys().current.bytes()));
        Zeroizing::new(*blake3::keyed_hash(&key, about).as_bytes())
    }

    fn keys(&self) -> Keys {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, keys: Keys) {
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Wraps a team's key.
    pub(crate) fn wrap_team(&self, queue: &QueueName, team: &Key) -> Result<Wrapped, KeyError> {
        let keys = self.keys();
        keys.next.as_ref().unwrap_or(&keys.current).wrap(team, &of_team(queue))
    }

    /// Opens a team's key.
    pub(crate) fn open_team(&self, queue: &QueueName, key: &[u8]) -> Result<Key, KeyError> {
        let (keys, key, about) = (self.keys(), wrapped(key)?, of_team(queue));
        let next = keys.next.map(|next| next.unwrap(&key, &about));
        if let Some(Ok(team)) = next {
            return Ok(team);
        }
        let current = keys.current.unwrap(&key, &about);
        current.or_else(|error| {
            let ended = self.ended();
            let opened = ended.iter().find_map(|(ended, _)| ended.unwrap(&key, &about).ok());
            opened.ok_or(error)
        })
    }

    /// The keys that ended lately.
    fn ended(&self) -> MutexGuard<'_, Vec<(Key, Instant)>> {
        let mut ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|(_, at)| at.elapsed() < READ_MAX);
        ended
    }

    /// A team's key, opened and wrapped; made where the team has none.
    pub(crate) fn team(
        &self,
        w: &mut Write<'_>,
        queue: &QueueName,
    ) -> Result<(Key, Vec<u8>), DataError> {
        if let Some(wrapped) = w.team_key(queue)? {
            return Ok((self.open_team(queue, &wrapped)?, wrapped));
        }
        let team = Key::fresh()?;
        let wrapped = self.wrap_team(queue, &team)?.to_vec();
        w.put_team_key(queue, &wrapped)?;
        Ok((team, wrapped))
    }

    /// Whether a rotation was begun and not ended.
    pub fn is_rotating(&self) -> bool {
        self.keys().next.is_some()
    }

    /// Waits for who rotates it, and keeps others from that.
    pub(crate) async fn rotating(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.rotating.lock().await
    }

    /// The file has the next key, too: the one of a rotation that was cut off, or a fresh one.
    /// Blocks.
    pub(crate) fn begin(&self) -> Result<(), KeyError> {
        let mut keys = self.keys();
        if keys.next.is_none() {
            keys.next = Some(Key::fresh()?);
            self.write(&keys)?;
            self.set(keys);
        }
        Ok(())
    }

    /// The next key is the only one. Blocks.
    pub(crate) fn end(&self) -> Result<(), KeyError> {
        let keys = self.keys();
        let Some(current) = keys.next else { return Ok(()) };
        let before = keys.current;
        let keys = Keys { current, next: None };
        self.write(&keys)?;
        self.ended().push((before, Instant::now()));
        self.set(keys);
        Ok(())
    }

    /// Puts another file in the place of the one that is there: whole or not at all.
    fn write(&self, keys: &Keys) -> Result<(), KeyError> {
        let failed = |path: &Path, error: std::io::Error| {
            let (path, why) = (path.display().to_string(), format!("not replaced: {error}"));
            KeyError::File { path, why }
        };
        let Some(path) = &self.0.path else {
            let why = "is in no file, so it cannot be rotated".to_owned();
            return Err(KeyError::File { path: String::new(), why });
        };
        let replace = || {
            let folder = path.parent().unwrap_or(Path::new("."));
            // What a process left that was killed in the middle of this.
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().as_encoded_bytes().starts_with(FRESH.as_bytes()) {
                    std::fs::remove_file(entry.path())?;
                }
            }
            let fresh = write_fresh(folder, keys)?;
            hit("gateway.master.written").map_err(std::io::Error::other)?;
            std::fs::rename(&fresh, path)?;
            std::fs::File::open(folder)?.sync_all()
        };
        replace().map_err(|error| failed(path, error))?;
        hit("gateway.master.replaced").map_err(|error| failed(path, std::io::Error::other(error)))
    }
}

/// The master key in this file. Where there is none it is made, if `may_make`: nothing may be under
/// seal yet.
///
/// # Errors
/// A file that others may read, that is no key, that is missing, or cannot be read or made.
pub fn master(path: &Path, may_make: bool) -> Result<Master, KeyError> {
    let wrong = |why: String| KeyError::File { path: path.display().to_string(), why };
    let of_file = |keys| Master::of(Some(path.to_owned()), keys);
    let no_key = || wrong(format!("is no key: {BRING_BACK}"));
    match load(path) {
        Ok(text) => parse(&text).map(of_file).ok_or_else(no_key),
        Err(Unread::Missing) if !may_make => {
            Err(wrong(format!("is missing, and data here is sealed under it: {BRING_BACK}")))
        }
        Err(Unread::Missing) => {
            let keys = Keys { current: Key::fresh()?, next: None };
            make(path, &keys).map_err(|error| wrong(format!("not made: {error}")))?;
            // Another may have been first: what lies there counts.
            let text = load(path).map_err(|error| wrong(error.to_string()))?;
            parse(&text).map(of_file).ok_or_else(no_key)
        }
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error("there is none")]
    Missing,
    #[error("others may read it (mode {0:o}): `chmod 600` it; if they have, all data is as read")]
    Open(u32),
    #[error("it belongs to user {0}, not to the one that the server runs as")]
    Foreign(u32),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The text of a file that nobody else can read.
fn load(path: &Path) -> Result<Zeroizing<String>, Unread> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Err(Unread::Missing),
        other => other.map_err(std::io::Error::from)?,
    };
    let stat = rustix::fs::fstat(&file).map_err(std::io::Error::from)?;
    if stat.st_mode & 0o077 != 0 {
        return Err(Unread::Open(stat.st_mode & 0o777));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Unread::Foreign(stat.st_uid));
    }
    let mut text = Zeroizing::new(String::with_capacity(TEXT_MAX));
    std::fs::File::from(file).take(TEXT_MAX as u64).read_to_string(&mut text)?;
    Ok(text)
}

/// Bytes of the file at most: a little more than two keys have. Anything longer is none.
const TEXT_MAX: usize = 256;

fn parse(text: &str) -> Option<Keys> {
    let (current, next) = match text.strip_prefix(HEAD)?.trim_end().split_once('\n') {
        Some((current, next)) => (current, Some(digits(next.strip_prefix(NEXT)?)?)),
        None => (text.strip_prefix(HEAD)?.trim_end(), None),
    };
    Some(Keys { current: digits(current)?, next })
}

fn digits(digits: &str) -> Option<Key> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, &mut *key).ok()?;
    Some(Key::of(*key))
}

/// What the names of files begin with that are not in their place yet.
const FRESH: &str = ".key-";

/// Writes keys to a file of their owner's alone that is not in its place yet.
fn write_fresh(folder: &Path, keys: &Keys) -> std::io::Result<PathBuf> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(std::io::Error::other)?;
    let fresh = folder.join(format!("{FRESH}{}", hex::encode(name)));
    let line = |head: &str, key: &Key| {
        let digits = Zeroizing::new(hex::encode(key.bytes()));
        Zeroizing::new(format!("{head}{}\n", *digits))
    };
    let next = keys.next.as_ref().map(|next| line(NEXT, next));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::open(&fresh, flags, Mode::RUSR | Mode::WUSR)?);
    let mut write = || {
        file.write_all(line(HEAD, &keys.current).as_bytes())?;
        if let Some(next) = &next {
            file.write_all(next.as_bytes())?;
        }
        file.sync_all()
    };
    let written = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written.map(|()| fresh)
}

/// Writes keys where there are none: whole or not at all, whatever dies meanwhile.
fn make(path: &Path, keys: &Keys) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let fresh = write_fresh(folder, keys)?;
    let cwd = rustix::fs::CWD;
    let named = rustix::fs::renameat_with(cwd, &fresh, cwd, path, RenameFlags::NOREPLACE);
    if named.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    match named {
        // Another made it first.
        Ok(()) | Err(rustix::io::Errno::EXIST) => std::fs::File::open(folder)?.sync_all(),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_rotation_ended_opens_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = master(&dir.path().join("master.key"), true).unwrap();
        let (queue, team) = (QueueName::new("lab").unwrap(), Key::fresh().unwrap());
        let before = key.wrap_team(&queue, &team).unwrap();
        for _ in 0..2 {
            key.begin().unwrap();
            key.end().unwrap();
        }
        assert_eq!(key.open_team(&queue, &before).unwrap(), team);
        assert!(key.open_team(&QueueName::new("rest").unwrap(), &before).is_err());
        // No file has it: who starts anew does not open it.
        let anew = master(&dir.path().join("master.key"), false).unwrap();
        assert!(anew.open_team(&queue, &before).is_err());
    }
}
