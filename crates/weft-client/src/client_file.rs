//! The client file: which server, with which token. Mode 0600, or it is refused.

use crate::Address;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Which server to talk to, and the token to show it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    /// Where the server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What is sent as a bearer over TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Certificates that a TLS server is checked against, a PEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Why a client file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientFileError {
    /// Others can read it.
    #[error("{path} can be read by others (mode {mode:03o}), and it holds a token")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{path} does not read: {reason}")]
    Form {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl ClientFile {
    /// Reads a client file; none where there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, ClientFileError> {
        let io = |source| ClientFileError::Io { path: path.to_owned(), source };
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io)?,
        };
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ClientFileError::Mode { path: path.to_owned(), mode });
        }
        let form = |reason| ClientFileError::Form { path: path.to_owned(), reason };
        // The message of the TOML reader would repeat the line, token and all.
        let file: Self = toml::from_str(&text).map_err(|e| form(e.message().to_owned()))?;
        if let Some(address) = &file.address {
            address.parse::<Address>().map_err(|e| form(e.to_string()))?;
        }
        Ok(Some(file))
    }

    /// Writes it whole or not at all, readable by its owner only.
    pub fn save(&self, path: &Path) -> Result<(), ClientFileError> {
        let write = || -> io::Result<()> {
            let dir = path.parent().unwrap_or(Path::new("."));
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            let text = toml::to_string(self).map_err(io::Error::other)?;
            let fresh = dir.join(format!(".client.{}", std::process::id()));
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().map_err(|source| ClientFileError::Io { path: path.to_owned(), source })
    }
}

impl ClientFileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mode { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::Form { .. } => Some("it may have `address`, `token` and `ca`".to_owned()),
            Self::Io { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weft/client.toml");
        assert!(ClientFile::load(&path).unwrap().is_none());
        let file = ClientFile {
            address: Some("http://127.0.0.1:7433".to_owned()),
            token: Some("secret".to_owned()),
            ca: None,
        };
        file.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(ClientFile::load(&path).unwrap() == Some(file));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = ClientFile::load(&path).err().unwrap();
        assert!(error.to_string().contains("mode 644"), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"));
    }

    #[test]
    fn a_token_is_never_in_a_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.toml");
        ClientFile::default().save(&path).unwrap();
        for text in ["token = \"sesame\nx", "tokn = \"sesame\"", "token = sesame"] {
            std::fs::write(&path, text).unwrap();
            let error = ClientFile::load(&path).err().unwrap().to_string();
            assert!(!error.contains("sesame"), "{error}");
        }
    }
}
