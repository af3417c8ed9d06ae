//! Where packs may lie besides the server's disk: a bucket, or a folder of another file system.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use weft_source::{Bucket, Lacks};

/// A store of whole files.
pub enum Elsewhere {
    /// That speaks S3.
    Bucket(Box<Bucket>),
    /// A folder, as of a file server.
    Folder(PathBuf),
}

/// Why a store did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Elsewise {
    /// It does not have what it was given.
    #[error("it does not have what was put there")]
    Absent,
    /// It cannot be asked, or says no; the same may do later.
    #[error("{0}")]
    Away(String),
}

impl Elsewhere {
    /// Puts a file there, whole and durable, or nothing.
    pub(crate) async fn put(
        &self,
        name: &str,
        file: Arc<File>,
        bytes: u64,
    ) -> Result<(), Elsewise> {
        let folder = match self {
            Self::Bucket(bucket) => return bucket.put(name, file, bytes).await.map_err(away),
            Self::Folder(folder) => folder.clone(),
        };
        let name = name.to_owned();
        blocking(move || {
            let (part, whole) = (folder.join(format!("{name}.part")), folder.join(&name));
            let mut to = File::create(&part)?;
            let mut from = io::Read::take(At { file: &file, at: 0 }, bytes);
            io::copy(&mut from, &mut to)?;
            to.sync_all()?;
            std::fs::rename(part, whole)?;
            File::open(&folder)?.sync_all()
        })
        .await
    }

    /// These bytes of it.
    pub(crate) async fn read(
        &self,
        name: &str,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Elsewise> {
        match self {
            Self::Bucket(bucket) => match bucket.read(name, from, length).await {
                Err(Lacks::Absent) => Err(Elsewise::Absent),
                Err(Lacks::Source(error)) => Err(away(error)),
                Ok(read) => Ok(read),
            },
            Self::Folder(folder) => {
                let path = folder.join(name);
                blocking(move || {
                    let mut read = vec![0; length];
                    File::open(path)?.read_exact_at(&mut read, from)?;
                    Ok(read)
                })
                .await
            }
        }
    }

    /// How long it is; none where it is not there.
    pub(crate) async fn bytes(&self, name: &str) -> Result<Option<u64>, Elsewise> {
        let folder = match self {
            Self::Bucket(bucket) => return bucket.bytes(name).await.map_err(away),
            Self::Folder(folder) => folder,
        };
        let path = folder.join(name);
        match blocking(move || std::fs::metadata(path)).await {
            Ok(found) => Ok(Some(found.len())),
            // A folder that is not mounted has nothing: that says nothing of what is in it.
            Err(Elsewise::Absent) if folder.is_dir() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes it, if it is there.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), Elsewise> {
        let folder = match self {
            Self::Bucket(bucket) => return bucket.remove(name).await.map_err(away),
            Self::Folder(folder) => folder,
        };
        let path = folder.join(name);
        match blocking(move || std::fs::remove_file(path)).await {
            Err(Elsewise::Absent) if folder.is_dir() => Ok(()),
            other => other,
        }
    }
}

/// A file, from its beginning, whoever else reads it.
struct At<'a> {
    file: &'a File,
    at: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Elsewise> {
    let done = tokio::task::spawn_blocking(what).await.map_err(io::Error::other);
    done.and_then(|done| done).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Elsewise::Absent,
        _ => Elsewise::Away(error.to_string()),
    })
}

fn away(error: impl std::fmt::Display) -> Elsewise {
    Elsewise::Away(error.to_string())
}
