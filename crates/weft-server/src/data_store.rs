//! The object store in which packs of datasets lie, by `data-store.toml` in the state directory.
//!
//! The file has a secret, so it is its owner's alone. It is read at the start; what it says is
//! wrong keeps the server from starting, since half of the data may be there. The rounds that send
//! and remove are a task of the server's, with pauses that grow while the store is away.

use crate::ServeError;
use serde::Deserialize;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use weft_gateway::{Away, Data, Elsewhere};
use weft_source::{Bucket, Signer};
use weft_types::Bytes;
use zeroize::Zeroizing;

/// The file, below the state directory.
pub(crate) const FILE: &str = "data-store.toml";
/// Longest file: a few lines.
const FILE_MAX: u64 = 64 << 10;
/// Where stores are that do not say where: what Amazon's clients take.
const REGION: &str = "us-east-1";
/// Packs that stay on the disk where nothing is said: a few hundred of them.
const CACHE: Bytes = Bytes(100 << 30);
/// Between two rounds.
const ROUND: Duration = Duration::from_secs(10);
/// And at most while the store is away.
const ROUND_MAX: Duration = Duration::from_secs(300);

/// What the file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    url: String,
    endpoint: Option<String>,
    region: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    certificates: Option<PathBuf>,
    #[serde(default)]
    plain: bool,
    cache: Option<String>,
    #[serde(default)]
    back: bool,
}

/// The datasets, with the store that the file names.
pub(crate) async fn with_store(data: Data, state_dir: &Path) -> Result<Data, ServeError> {
    let broken = |error: &dyn std::fmt::Display| ServeError::Broken(error.to_string());
    data.go_on().await.map_err(|e| broken(&e))?;
    let path = state_dir.join(FILE);
    let wrong = |why: String| ServeError::Broken(format!("`{}` {why}", path.display()));
    let said = read(&path).map_err(wrong)?;
    let places = data.places().await.map_err(|e| broken(&e))?;
    let here = said.as_ref().map(|said| said.url.trim_end_matches('/').to_owned());
    if let Some(other) = places.iter().find(|place| Some(*place) != here.as_ref()) {
        let says = here.map_or("is not there".to_owned(), |here| format!("says {here}"));
        return Err(wrong(format!(
            "{says}, but data of this server lies in {other}\n\
             hint: name that one; to move away from it, add `back = true` and wait until \
             `weft doctor` says that nothing is there any more"
        )));
    }
    let Some((said, here)) = said.zip(here) else { return Ok(data) };
    let away = away(&said, &here).map_err(wrong)?;
    Ok(data.with_away(away))
}

/// What the file says, if there is one and nobody else reads it.
fn read(path: &Path) -> Result<Option<Said>, String> {
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(|error| format!("cannot be read: {error}"))?,
    };
    if found.permissions().mode() & 0o077 != 0 {
        return Err("has a secret and can be read by others: chmod 600".to_owned());
    }
    if found.len() > FILE_MAX {
        return Err(format!("has {} bytes, at most {FILE_MAX}", found.len()));
    }
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| format!("cannot be read: {error}"))?;
    // The text of an error would repeat the line, which may be the secret's.
    let said = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("is not understood at line {line}: {}", error.message())
    });
    said.map(Some)
}

fn away(said: &Said, here: &str) -> Result<Away, String> {
    let cache = said.cache.as_deref().map(|text| {
        text.parse::<Bytes>().map_err(|_| format!("says cache = {text:?}: write it as \"100GB\""))
    });
    let cache = cache.transpose()?.unwrap_or(CACHE);
    Ok(Away::new(elsewhere(said, here)?, here, cache, said.back))
}

fn elsewhere(said: &Said, here: &str) -> Result<Elsewhere, String> {
    if let Some(folder) = here.strip_prefix("file://") {
        let folder = PathBuf::from(folder);
        return match folder.is_absolute() {
            true => Ok(Elsewhere::Folder(folder)),
            false => Err(format!("says url = {here:?}: write it as \"file:///mnt/store\"")),
        };
    }
    let named = here.strip_prefix("s3://").filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| {
        format!("says url = {here:?}: write \"s3://bucket/prefix\" or \"file:///mnt/store\"")
    })?;
    let (bucket, prefix) = named.split_once('/').unwrap_or((named, ""));
    let lacks = |key: &str| format!("has no {key}: a store that speaks S3 needs one");
    let region = said.region.clone().unwrap_or_else(|| REGION.to_owned());
    let endpoint = said.endpoint.clone();
    let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let signer = Signer {
        access: said.access_key.clone().ok_or_else(|| lacks("access_key"))?,
        secret: said.secret_key.clone().map(Zeroizing::new).ok_or_else(|| lacks("secret_key"))?,
        region,
    };
    let certificates = said.certificates.as_ref().map(|path| {
        std::fs::read_to_string(path).map_err(|e| format!("names {}: {e}", path.display()))
    });
    let certificates = certificates.transpose()?;
    let at = (bucket, prefix);
    let bucket = Bucket::new(&endpoint, at, signer, said.plain, certificates.as_deref());
    Ok(Elsewhere::Bucket(Box::new(bucket.map_err(|error| format!("says: {error}"))?)))
}

/// Sends what is owed until the server ends.
pub(crate) async fn run(data: Data, mut closing: watch::Receiver<bool>) {
    let mut pause = ROUND;
    loop {
        let (store, was) = (data.clone(), data.away().and_then(|state| state.failing));
        tokio::select! {
            () = crate::control::closed(&mut closing) => return,
            tended = store.tend_away(weft_agent::now()) => match tended {
                Ok(()) => pause = ROUND,
                Err(error) => {
                    if was.as_deref() != Some(&error.to_string()) {
                        tracing::warn!(%error, "data is not in its store; it is tried again");
                    }
                    pause = (pause * 2).min(ROUND_MAX);
                }
            },
        }
        tokio::select! {
            () = crate::control::closed(&mut closing) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_as_it_is_meant_and_its_secret_is_never_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let told = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let said = read(&path)?.expect("there is one");
            away(&said, &said.url).map(drop)
        };
        let keys = "access_key = \"A\"\nsecret_key = \"hush\"\n";
        assert!(told(&format!("url = \"s3://b/p\"\n{keys}"), 0o600).is_ok());
        assert!(told("url = \"file:///mnt\"\ncache = \"20GB\"", 0o600).is_ok());
        for (text, mode, says) in [
            (format!("url = \"s3://b\"\n{keys}"), 0o640, "chmod 600"),
            ("url = \"s3://b\"".to_owned(), 0o600, "access_key"),
            (format!("url = \"s3://\"\n{keys}"), 0o600, "s3://bucket"),
            (format!("url = \"s3://b/../c\"\n{keys}"), 0o600, "s3://name"),
            ("url = \"file://mnt\"".to_owned(), 0o600, "file:///"),
            (format!("url = \"s3://b\"\nendpoint = \"http://h\"\n{keys}"), 0o600, "HTTPS"),
            (format!("url = \"s3://b\"\ncache = \"much\"\n{keys}"), 0o600, "100GB"),
            (format!("url = \"s3://b\"\nwhat = 1\n{keys}"), 0o600, "line 2"),
            ("url = \"s3://b\"\nsecret_key = hush".to_owned(), 0o600, "line 2"),
        ] {
            let why = told(&text, mode).unwrap_err();
            assert!(why.contains(says) && !why.contains("hush"), "{text}: {why}");
        }
    }
}
