//! Finds a Python on this machine that fits, first among those a sandbox can see.
//!
//! A sandbox sees the machine's `/usr` and the environment, nothing else. So an interpreter below
//! `/usr` is used where it is; one from elsewhere (a home folder, `/opt`) is copied into the
//! environment ([`super::standalone`]). Order: `/usr/bin`, `/usr/local/bin`, the server's `PATH`,
//! then pyenv's versions; in each folder plain `python3` first, then the newest.

use super::EnvironmentError;
use super::child::{Environ, run};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// What the oldest Python is that the installer works with.
const OLDEST: [u16; 2] = [3, 8];

/// An interpreter that says nothing for this long is broken; a loaded machine takes one second.
const ANSWER: Duration = Duration::from_secs(20);

/// Where a sandbox finds the machine's own programs.
const VISIBLE: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// Asked of each candidate. `-I -S`: no packages, no user folder, no variables.
const QUESTION: &str = "\
import json, os, sys, sysconfig
exe = getattr(sys, '_base_executable', None) or sys.executable
print(json.dumps({
    'version': list(sys.version_info[:3]),
    'executable': os.path.realpath(exe),
    'prefix': os.path.realpath(sys.base_prefix),
    'implementation': sys.implementation.name,
    'platform': sysconfig.get_platform(),
    'shared': bool(sysconfig.get_config_var('Py_ENABLE_SHARED')),
    'libraries': sysconfig.get_config_var('LIBDIR') or '',
}))";

/// A Python of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Interpreter {
    pub(super) version: [u16; 3],
    /// With links resolved.
    pub(super) executable: PathBuf,
    /// The folder its `bin` and `lib` are in.
    pub(super) prefix: PathBuf,
    pub(super) implementation: String,
    pub(super) platform: String,
    /// Whether it needs a `libpython` beside it.
    pub(super) shared: bool,
    /// Where that was when it was built.
    pub(super) libraries: String,
}

impl Interpreter {
    /// Whether a sandbox that shows `/usr` shows all of it.
    pub(super) fn is_visible(&self) -> bool {
        self.executable.starts_with("/usr") && self.prefix.starts_with("/usr")
    }

    /// `3.11`
    pub(super) fn short(&self) -> String {
        format!("{}.{}", self.version[0], self.version[1])
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.version;
        write!(f, "{major}.{minor}.{patch} ({})", self.executable.display())
    }
}

/// The versions that will do: `3.11` is any 3.11, `>=3.11` is that or newer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    parts: Vec<u16>,
    or_newer: bool,
}

impl Wanted {
    /// Reads a workload's `python:`; absent means any.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, EnvironmentError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let (version, or_newer) = match text.trim().strip_prefix(">=") {
            Some(version) => (version.trim(), true),
            None => (text.trim(), false),
        };
        let parts: Option<Vec<u16>> = version.split('.').map(|part| part.parse().ok()).collect();
        match parts {
            Some(parts) if parts.len() <= 3 => Ok(Self { parts, or_newer }),
            _ => Err(EnvironmentError::Version(text.chars().take(40).collect())),
        }
    }

    fn fits(&self, found: &Interpreter) -> bool {
        let new_enough = found.version[..2] >= OLDEST[..] && found.implementation == "cpython";
        let fits = match self.or_newer {
            true => found.version.as_slice() >= self.parts.as_slice(),
            false => found.version.starts_with(&self.parts),
        };
        new_enough && fits
    }
}

/// The interpreters asked so far, by file and its last change.
#[derive(Debug, Default)]
pub(super) struct Interpreters {
    known: Mutex<HashMap<(PathBuf, SystemTime), Option<Interpreter>>>,
}

impl Interpreters {
    /// The first that fits.
    pub(super) async fn find(
        &self,
        wanted: &Wanted,
        environ: &Environ,
    ) -> Result<Interpreter, EnvironmentError> {
        let mut seen: Vec<Interpreter> = Vec::new();
        for path in candidates(environ) {
            let Some(found) = self.ask(&path, environ).await else { continue };
            if wanted.fits(&found) {
                return Ok(found);
            }
            if !seen.contains(&found) {
                seen.push(found);
            }
        }
        let (wanted, available) = (wanted.to_string(), versions(&seen, wanted.parts.len()));
        Err(EnvironmentError::NoPython { wanted, available })
    }

    async fn ask(&self, path: &Path, environ: &Environ) -> Option<Interpreter> {
        let changed = std::fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
        let key = (path.to_owned(), changed);
        let known = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(answer) = known().get(&key) {
            return answer.clone();
        }
        let mut command = environ.command(path);
        command.args(["-I", "-S", "-c", QUESTION]);
        let answer = tokio::time::timeout(ANSWER, run(command, |_| {})).await;
        let answer = match answer {
            Ok(Ok(answer)) if answer.ok => serde_json::from_str(&answer.last).ok(),
            _ => None,
        };
        known().insert(key, answer.clone());
        answer
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.parts.iter().map(ToString::to_string).collect();
        let parts = if parts.is_empty() { "3".to_owned() } else { parts.join(".") };
        write!(f, "{}{parts}", if self.or_newer { ">=" } else { "" })
    }
}

/// The versions that could have been asked for, each once, as precisely as it was asked.
fn versions(seen: &[Interpreter], parts: usize) -> String {
    let usable = Wanted::default();
    let mut found: Vec<_> =
        seen.iter().filter(|one| usable.fits(one)).map(|one| one.version).collect();
    found.sort_unstable();
    let shown = |version: &[u16; 3]| {
        let parts = version.iter().take(parts.clamp(2, 3)).map(ToString::to_string);
        parts.collect::<Vec<_>>().join(".")
    };
    let mut shown: Vec<_> = found.iter().map(shown).collect();
    shown.dedup();
    match shown.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// Programs called `python3` or `python3.<n>`, in the order of preference.
fn candidates(environ: &Environ) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = VISIBLE.iter().map(PathBuf::from).collect();
    folders.extend(environ.path_folders());
    folders.extend(pyenv_folders(environ));
    let mut found = Vec::new();
    for folder in folders {
        let mut here: Vec<(u16, PathBuf)> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((rank(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        here.sort_unstable_by(|a, b| b.cmp(a));
        for (_, path) in here {
            let real = path.canonicalize().unwrap_or(path);
            if !found.contains(&real) {
                found.push(real);
            }
        }
    }
    found
}

/// Plain `python3` highest, then by minor version; none for other names.
fn rank(name: &str) -> Option<u16> {
    match name.strip_prefix("python3")? {
        "" => Some(u16::MAX),
        minor => minor.strip_prefix('.')?.parse().ok(),
    }
}

fn pyenv_folders(environ: &Environ) -> Vec<PathBuf> {
    let root = environ.get("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| environ.get("HOME").map(|home| Path::new(home).join(".pyenv")));
    let versions = root.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let mut folders: Vec<_> =
        versions.into_iter().flatten().flatten().map(|entry| entry.path().join("bin")).collect();
    folders.sort_unstable();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(version: [u16; 3]) -> Interpreter {
        let (executable, prefix) = ("/usr/bin/python3".into(), "/usr".into());
        let (implementation, platform) = ("cpython".into(), "linux-x86_64".into());
        let (shared, libraries) = (false, String::new());
        Interpreter { version, executable, prefix, implementation, platform, shared, libraries }
    }

    #[test]
    fn versions_that_will_do() {
        let fits =
            |wanted: &str, version| Wanted::parse(Some(wanted)).unwrap().fits(&python(version));
        assert!(fits("3", [3, 11, 2]) && fits("3.11", [3, 11, 2]) && fits("3.11.2", [3, 11, 2]));
        assert!(fits(">=3.11", [3, 12, 0]) && fits(">= 3.11.2", [3, 11, 2]));
        assert!(!fits("3.1", [3, 11, 2]) && !fits(">=3.12", [3, 11, 2]));
        assert!(!fits("3", [3, 7, 9]), "older than the installer works with");
        assert!(Wanted::parse(None).unwrap().fits(&python([3, 13, 0])));
        for bad in ["", "three", "3.11.2.1", "3.x", "==3.11", "99999999999"] {
            assert!(Wanted::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_there_is_is_said_once_and_shortly() {
        let mut other = python([3, 12, 0]);
        other.implementation = "pypy".to_owned();
        let seen = [python([3, 13, 1]), python([3, 9, 2]), python([3, 13, 0]), other];
        assert_eq!(versions(&seen, 2), "3.9 and 3.13");
        assert_eq!(versions(&seen, 3), "3.9.2, 3.13.0 and 3.13.1");
        assert_eq!(versions(&seen[1..2], 1), "3.9");
        assert_eq!(versions(&[python([3, 6, 0])], 2), "none");
    }

    #[test]
    fn names_of_interpreters() {
        assert!(rank("python3") > rank("python3.13") && rank("python3.13") > rank("python3.9"));
        for other in ["python", "python3-config", "python3.11-config", "python2.7", "ipython3"] {
            assert_eq!(rank(other), None, "{other}");
        }
    }
}
