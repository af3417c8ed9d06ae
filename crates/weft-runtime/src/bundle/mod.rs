//! Bundles: the files a user sends along, one tar archive each, stored by its SHA-256.
//!
//! The API writes uploads ([`Bundles::begin`]); the runtime unpacks one into the working folder
//! of a run ([`Bundles::unpack`]). An archive that is here is complete, has the digest it is
//! named by, and unpacks: all three are checked before it gets its name.

use crate::archive::{ArchiveError, Limits, Reader, Unpack};
use crate::claim::{Claim, sweep};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Source trees and small data sets; larger data belongs in a dataset, not beside the code.
pub const BUNDLE_BYTES_MAX: u64 = 1 << 30;

/// Files and folders of one bundle: three times the Linux kernel's source tree.
pub const BUNDLE_ENTRIES_MAX: u64 = 250_000;

const LIMITS: Limits = Limits { entries: BUNDLE_ENTRIES_MAX, bytes: BUNDLE_BYTES_MAX };

/// The bundles of one state directory.
#[derive(Debug, Clone)]
pub struct Bundles {
    dir: PathBuf,
}

/// A bundle on its way in; dropped before [`CheckedBundle::store`], nothing of it stays.
#[derive(Debug)]
pub struct Upload {
    claim: Claim,
    file: File,
    hash: Sha256,
    written: u64,
    expected: String,
    to: PathBuf,
}

/// A bundle that is what its name says, and has not its name yet.
#[derive(Debug)]
pub struct CheckedBundle {
    claim: Claim,
    bytes: u64,
    to: PathBuf,
}

/// Why a bundle was not stored or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A name that is no digest.
    #[error("`{0}` is not a SHA-256: expected 64 lower-case hexadecimal digits")]
    Name(String),
    /// The bytes have another digest than the name says.
    #[error("the bundle has the SHA-256 {actual}, not {expected}; send it again")]
    Digest {
        /// The name it was sent under.
        expected: String,
        /// What its bytes have.
        actual: String,
    },
    /// More bytes than [`BUNDLE_BYTES_MAX`].
    #[error("the bundle is larger than {BUNDLE_BYTES_MAX} bytes (1 GiB); send fewer files")]
    TooLarge,
    /// It was never sent, or was removed.
    #[error("bundle {0} is not here; send it with PUT /api/v1/bundles/{0}")]
    Unknown(String),
    /// It does not unpack.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The disk failed or is full.
    #[error("storing the bundle: {0}")]
    Io(#[from] io::Error),
}

impl Bundles {
    /// Opens `<state_dir>/bundles`, making it where absent; removes unfinished uploads.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("bundles");
        fs::create_dir_all(&dir)?;
        sweep(&dir)?;
        Ok(Self { dir })
    }

    /// Whether the bundle is here. Notes that it was wanted now, so that it stays for whoever was
    /// told so.
    pub fn has(&self, sha256: &str) -> bool {
        let Ok(file) = self.path(sha256).and_then(|path| Ok(File::open(path)?)) else {
            return false;
        };
        // Best effort: at worst it is collected earlier, and sent again.
        let _ = file.set_modified(SystemTime::now());
        true
    }

    /// Starts an upload. Two of the same bundle at once are fine: either may finish first.
    pub fn begin(&self, sha256: &str) -> Result<Upload, BundleError> {
        let to = self.path(sha256)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let key = format!("{sha256}-{}", hex::encode(random));
        let claim = Claim::attempt(&self.dir, &key)?
            .ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
        let file = File::create_new(claim.tree().join("bundle"))?;
        let (hash, expected) = (Sha256::new(), sha256.to_owned());
        Ok(Upload { claim, file, hash, written: 0, expected, to })
    }

    /// Unpacks the bundle into the existing folder `work`, everything owned by `owner` where
    /// given (user and group id). Blocks on the disk.
    pub fn unpack(
        &self,
        sha256: &str,
        work: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), BundleError> {
        let file = match File::open(self.path(sha256)?) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(BundleError::Unknown(sha256.to_owned()));
            }
            other => other?,
        };
        Unpack::into(work, owner)?.archive(io::BufReader::new(file), LIMITS)?;
        Ok(())
    }

    /// The digests of all bundles here, sorted.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            names.extend(entry?.file_name().into_string().ok().filter(|n| check(n).is_ok()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the bundles that are not `named` and were not wanted for as long as `kept`; says
    /// how many. Blocks on the disk.
    pub fn collect_garbage(&self, kept: Duration, named: &BTreeSet<String>) -> io::Result<u64> {
        let mut removed = 0;
        for sha256 in self.list()?.into_iter().filter(|sha256| !named.contains(sha256)) {
            let path = self.dir.join(&sha256);
            let wanted = fs::metadata(&path)?.modified()?;
            // One from the future (the clock was set back) is young.
            if wanted.elapsed().is_ok_and(|unused| unused > kept) {
                crate::remove::tree(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes a bundle no workload names any more. Absent is done.
    pub fn remove(&self, sha256: &str) -> Result<(), BundleError> {
        Ok(crate::remove::tree(&self.path(sha256)?)?)
    }

    fn path(&self, sha256: &str) -> Result<PathBuf, BundleError> {
        check(sha256).map(|()| self.dir.join(sha256))
    }
}

impl Upload {
    /// Adds the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        self.written += bytes.len() as u64;
        if self.written > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge);
        }
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes)?)
    }

    /// Checks digest and archive. Blocks on the disk.
    pub fn check(self) -> Result<CheckedBundle, BundleError> {
        let actual = hex::encode(self.hash.finalize());
        if actual != self.expected {
            return Err(BundleError::Digest { expected: self.expected, actual });
        }
        let file = File::open(self.claim.tree().join("bundle"))?;
        let mut reader = Reader::new(io::BufReader::new(file), LIMITS);
        while reader.next()?.is_some() {}
        Ok(CheckedBundle { claim: self.claim, bytes: self.written, to: self.to })
    }
}

impl CheckedBundle {
    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives it its name, durably. Blocks on the disk.
    pub fn store(self) -> Result<(), BundleError> {
        Ok(self.claim.publish_file("bundle", &self.to)?)
    }
}

fn check(sha256: &str) -> Result<(), BundleError> {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    match sha256.len() == 64 && sha256.bytes().all(hex) {
        true => Ok(()),
        false => Err(BundleError::Name(sha256.chars().take(80).collect())),
    }
}
