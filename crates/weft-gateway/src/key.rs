//! Keys: the master key in its file, and those below it, each wrapped by the one above.
//!
//! master → team → dataset → object, anew each time it is put. A wrapped key is bound to what it is
//! for, so that it cannot be put in another's place. To forget a key is to forget all it sealed.
//! Absent on purpose: where wrapped keys are kept (the store), and who may use them.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustix::fs::{Mode, OFlags, RenameFlags};
use std::io::{Read as _, Write as _};
use std::path::Path;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the number that is used once, of AES-GCM.
const NONCE_BYTES: usize = 12;
/// Bytes of the tag, of AES-GCM.
const TAG_BYTES: usize = 16;
/// Bytes of a wrapped key: the nonce, the key and the tag.
pub const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// What helps who has lost the master key, and nothing else does.
const BRING_BACK: &str = "bring back the file that was made with this state";

/// What the master key's file begins with; the key follows in hexadecimal digits.
const HEAD: &str = "weft-master-key-1 ";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a key: {0}")]
    NoRandom(getrandom::Error),
    /// A wrapped key that this key did not wrap, or not for this.
    #[error(
        "a stored key does not open: it was changed, or is of another master key; \
         bring back the file of the master key that was made with this state"
    )]
    DoesNotOpen,
    /// The file cannot be used.
    #[error("the master key {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// A secret of 32 bytes, wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A key as it is kept: sealed by the key above it.
pub type Wrapped = [u8; WRAPPED_BYTES];

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn fresh() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key).map_err(KeyError::NoRandom)?;
        Ok(Self(key))
    }

    /// The key of these bytes.
    pub(crate) fn of(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals a key below this one, for what is named in `about`: there is room for 2^32 keys before
    /// two of the random nonces are likely to be the same (NIST SP 800-38D, 8.3).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn wrap(&self, inner: &Key, about: &[u8]) -> Result<Wrapped, KeyError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(KeyError::NoRandom)?;
        let mut body = *inner.0;
        let tag = cipher(self)
            .seal_in_place_separate_tag(number(nonce), Aad::from(about), &mut body)
            .map_err(|_| KeyError::DoesNotOpen)?;
        let mut wrapped = [0; WRAPPED_BYTES];
        wrapped[..NONCE_BYTES].copy_from_slice(&nonce);
        wrapped[NONCE_BYTES..][..KEY_BYTES].copy_from_slice(&body);
        wrapped[NONCE_BYTES + KEY_BYTES..].copy_from_slice(tag.as_ref());
        body.zeroize();
        Ok(wrapped)
    }

    /// Opens a key that [`Key::wrap`] sealed for the same thing.
    ///
    /// # Errors
    /// [`KeyError::DoesNotOpen`]: of another key, for another thing, or changed.
    pub fn unwrap(&self, wrapped: &Wrapped, about: &[u8]) -> Result<Key, KeyError> {
        let (nonce, sealed) = wrapped.split_at(NONCE_BYTES);
        let nonce = nonce.try_into().map_err(|_| KeyError::DoesNotOpen)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let open = cipher(self).open_in_place(number(nonce), Aad::from(about), &mut sealed);
        let body = open.map_err(|_| KeyError::DoesNotOpen)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(body);
        Ok(Self(key))
    }
}

/// The cipher of a key.
pub(crate) fn cipher(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.bytes());
    LessSafeKey::new(key.expect("a key has the cipher's 32 bytes"))
}

pub(crate) fn number(bytes: [u8; NONCE_BYTES]) -> Nonce {
    Nonce::assume_unique_for_key(bytes)
}

/// The master key in this file. Where there is none it is made, if `may_make`: nothing may be under
/// seal yet. Whoever loses the file loses all data; whoever reads it can read all data.
///
/// # Errors
/// A file that others may read, that is no key, that is missing, or cannot be read or made.
pub fn master(path: &Path, may_make: bool) -> Result<Key, KeyError> {
    let wrong = |why: String| KeyError::File { path: path.display().to_string(), why };
    let no_key = || wrong(format!("is no key: {BRING_BACK}"));
    match load(path) {
        Ok(text) => parse(&text).ok_or_else(no_key),
        Err(Unread::Missing) if !may_make => {
            Err(wrong(format!("is missing, and data here is sealed under it: {BRING_BACK}")))
        }
        Err(Unread::Missing) => {
            make(path, &Key::fresh()?).map_err(|error| wrong(format!("not made: {error}")))?;
            // Another may have been first: what lies there counts.
            let text = load(path).map_err(|error| wrong(error.to_string()))?;
            parse(&text).ok_or_else(no_key)
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
    let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 2 * KEY_BYTES + 2));
    // A little more than a key has: anything longer is none.
    std::fs::File::from(file).take(256).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Option<Key> {
    let digits = text.strip_prefix(HEAD)?.trim_end();
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, &mut *key).ok()?;
    Some(Key(key))
}

/// Writes a key where there is none: whole or not at all, whatever dies meanwhile.
fn make(path: &Path, key: &Key) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(std::io::Error::other)?;
    let fresh = folder.join(format!(".key-{}", hex::encode(name)));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::open(&fresh, flags, Mode::RUSR | Mode::WUSR)?);
    let digits = Zeroizing::new(hex::encode(key.bytes()));
    let text = Zeroizing::new(format!("{HEAD}{}\n", *digits));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        let cwd = rustix::fs::CWD;
        match rustix::fs::renameat_with(cwd, &fresh, cwd, path, RenameFlags::NOREPLACE) {
            // Another made it first.
            Err(rustix::io::Errno::EXIST) => std::fs::remove_file(&fresh),
            other => other.map_err(Into::into),
        }
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written?;
    std::fs::File::open(folder)?.sync_all()
}
