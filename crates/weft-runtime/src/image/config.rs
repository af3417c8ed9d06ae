//! What an image says about running it, as far as a workload may use it.

use super::ImageError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Variables an image may bring; more is not an environment but an attempt to fill one.
const ENV_MAX: usize = 256;

/// Variables that change how every program is loaded or every shell starts. An image has no
/// business setting them for programs that are not its own (CVE-2025-23266 came in this way).
const UNSAFE: [&str; 5] = ["BASH_ENV", "ENV", "GCONV_PATH", "GLIBC_TUNABLES", "SHELLOPTS"];

/// What the sandbox decides: an image's home folder is not there, or not writable.
const DECIDED: [&str; 6] = ["HOME", "LOGNAME", "PWD", "SHELL", "TMPDIR", "USER"];

/// As the first, by how they begin; what begins with `WEFT_` is for Weft to set.
const UNSAFE_PREFIXES: [&str; 2] = ["LD_", "WEFT_"];

/// What an image says about running it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Its variables, without those that change how programs are loaded.
    pub env: BTreeMap<String, String>,
    /// The program and first arguments it is made for; may be empty.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program where there is no entrypoint; may be empty.
    pub cmd: Vec<String>,
    /// Where its program expects to be started; may be empty.
    pub working_dir: String,
    /// Whom its program expects to be, as written; may be empty. For information.
    pub user: String,
}

/// The stored configuration: OCI image specification, "Image Configuration".
#[derive(Deserialize)]
pub(super) struct Document {
    architecture: String,
    os: String,
    #[serde(default)]
    config: Option<Execution>,
    rootfs: RootFs,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Execution {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Document {
    /// Reads a configuration and refuses one for another kind of machine.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let document: Self = serde_json::from_slice(bytes)
            .map_err(|e| ImageError::Format(format!("its configuration does not read: {e}")))?;
        let here = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        if document.os != "linux" || document.architecture != here {
            let (os, arch) = (&document.os, &document.architecture);
            return Err(ImageError::Format(format!("it is for {os}/{arch}, not linux/{here}")));
        }
        Ok(document)
    }

    /// Digests of the unpacked layers, lowest first.
    pub(super) fn diff_ids(&self) -> &[String] {
        &self.rootfs.diff_ids
    }

    pub(super) fn into_config(self) -> ImageConfig {
        let execution = self.config.unwrap_or_default();
        let safe = |text: &String| {
            let (name, value) = text.split_once('=')?;
            is_safe(name).then(|| (name.to_owned(), value.to_owned()))
        };
        ImageConfig {
            env: execution.env.unwrap_or_default().iter().filter_map(safe).take(ENV_MAX).collect(),
            entrypoint: execution.entrypoint.unwrap_or_default(),
            cmd: execution.cmd.unwrap_or_default(),
            working_dir: execution.working_dir.unwrap_or_default(),
            user: execution.user.unwrap_or_default(),
        }
    }
}

fn is_safe(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty()
        && name.bytes().all(plain)
        && !UNSAFE.contains(&name)
        && !DECIDED.contains(&name)
        && !UNSAFE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_variables_come_through() {
        let bytes = serde_json::json!({
            "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
            "os": "linux",
            "config": {
                "Env": ["PATH=/opt/bin:/bin", "LD_PRELOAD=/x.so", "BASH_ENV=/x", "A=1=2",
                        "HOME=/root",
                        "WEFT_RUN=1", "bad name=1", "=", "NOVALUE", "GLIBC_TUNABLES=x"],
                "Entrypoint": null, "Cmd": ["sh"], "WorkingDir": "/srv", "User": "1000:1000"
            },
            "rootfs": {"type": "layers", "diff_ids": []}
        });
        let config = Document::read(bytes.to_string().as_bytes()).unwrap().into_config();
        let names: Vec<_> = config.env.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "PATH"]);
        assert_eq!(config.env["A"], "1=2");
        assert_eq!(
            (config.working_dir.as_str(), config.cmd.as_slice()),
            ("/srv", &["sh".into()][..])
        );
    }

    #[test]
    fn another_kind_of_machine_is_refused() {
        let bytes = br#"{"architecture":"s390x","os":"linux","rootfs":{"diff_ids":[]}}"#;
        let refused = Document::read(bytes).err().unwrap().to_string();
        assert!(refused.contains("s390x"), "{refused}");
    }
}
