//! The table of references: which digest a name stands for. One small file, replaced whole.

use super::ImageError;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

/// Names and digests, `docker.io/library/python:3` to `sha256:…`.
type Table = BTreeMap<String, String>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    references: Table,
}

/// The table of one state directory.
#[derive(Debug)]
pub(super) struct References {
    path: PathBuf,
}

impl References {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn all(&self) -> io::Result<Table> {
        match std::fs::read(&self.path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Table::new()),
            Err(e) => Err(e),
            Ok(bytes) => Ok(serde_json::from_slice::<Stored>(&bytes)?.references),
        }
    }

    /// Changes the table, durably before it returns. Blocks on the disk, and on other changes.
    pub(super) fn change(&self, change: impl FnOnce(&mut Table)) -> io::Result<()> {
        let folder = self.path.parent().ok_or(ErrorKind::NotFound)?;
        // Held until it is closed: changes of several processes follow one another.
        let alone = File::open(folder)?;
        flock(&alone, FlockOperation::LockExclusive)?;
        let mut references = self.all()?;
        change(&mut references);
        let mut file = tempfile::Builder::new().prefix(".references-").tempfile_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(&Stored { references })?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        alone.sync_all()
    }
}

/// A reference in full: `python:3` is `docker.io/library/python:3`.
pub(super) fn parse(text: &str) -> Result<oci_client::Reference, ImageError> {
    text.trim().parse().map_err(|e: oci_client::ParseError| ImageError::Reference {
        text: text.chars().take(120).collect(),
        reason: e.to_string(),
    })
}

/// The hexadecimal part of a digest, which names the image's folder. Only SHA-256 is used.
pub(super) fn hex_of(digest: &str) -> Result<&str, ImageError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex {
        return Ok(hex);
    }
    let (text, reason) = (digest.chars().take(120).collect(), "expected sha256:<64 digits>".into());
    Err(ImageError::Reference { text, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_survives() {
        let temp = tempfile::tempdir().unwrap();
        let references = References::new(temp.path().join("references.json"));
        assert!(references.all().unwrap().is_empty());
        references.change(|table| drop(table.insert("a".into(), "sha256:1".into()))).unwrap();
        references.change(|table| drop(table.insert("b".into(), "sha256:2".into()))).unwrap();
        references.change(|table| drop(table.remove("a"))).unwrap();
        let again = References::new(temp.path().join("references.json"));
        assert_eq!(again.all().unwrap(), Table::from([("b".into(), "sha256:2".into())]));
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_in_full() {
        assert_eq!(parse("python:3").unwrap().whole(), "docker.io/library/python:3");
        for bad in ["", "UPPER", "a b", "x@sha256:1", ":tag"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(hex_of("sha256:../../etc").is_err());
    }
}
