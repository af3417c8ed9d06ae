//! The environments of one state directory: looked up by content, built where absent, collected.

use super::build::Build;
use super::child::Environ;
use super::interpreter::{Interpreter, Interpreters, Wanted};
use super::requirements::locked;
use super::{EnvironmentError, Report, installer};
use crate::claim::{Claim, sweep};
use crate::prepare::Progress;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use weft_types::Bytes;

/// Part of each name: raised when environments are built differently.
const FORMAT: &str = "weft environment 1";

/// The environments of one state directory.
#[derive(Debug)]
pub struct Environments {
    dir: PathBuf,
    tools: PathBuf,
    environ: Environ,
    interpreters: Interpreters,
}

impl Environments {
    /// Opens `<state_dir>/environments`, making it where absent; removes unfinished builds.
    /// `variables` are the server's: those that say where the package index is are used.
    pub fn open(
        state_dir: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> io::Result<Self> {
        let (dir, tools) = (state_dir.join("environments"), state_dir.join("tools"));
        for store in [&dir, &tools.join("uv")] {
            fs::create_dir_all(store)?;
            sweep(store)?;
        }
        let (environ, interpreters) = (Environ::new(variables), Interpreters::default());
        Ok(Self { dir, tools, environ, interpreters })
    }

    /// Says at once whether this machine has such a Python, where `prepare` would find out later.
    /// Asks each interpreter of the machine once, some 50 ms; what it answered is kept.
    pub async fn check_python(&self, python: &str) -> Result<(), EnvironmentError> {
        let wanted = Wanted::parse(Some(python))?;
        self.interpreters.find(&wanted, &self.environ).await.map(drop)
    }

    /// The environment with this Python (a version, `3.11` or `>=3.11`; none: the machine's) and
    /// these packages (the text of a locked requirements file). Built where absent; dropping the
    /// future cancels a build that is this caller's own, and others go on.
    pub async fn prepare(
        &self,
        python: Option<&str>,
        requirements: &str,
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<PathBuf, EnvironmentError> {
        let packages = locked(requirements)?;
        // What was checked is what the installer reads: it may see lines elsewhere in the original.
        let requirements = packages.join("\n");
        let wanted = Wanted::parse(python)?;
        let mut report = Report::new(tell);
        let python = self.interpreters.find(&wanted, &self.environ).await?;
        let key = name_of(&python, &packages);
        let to = self.dir.join(&key);
        if touch(&to) {
            return Ok(to);
        }
        report.say(0, "waiting for its turn");
        let claim = Claim::take(&self.dir, &key).await?;
        if touch(&to) {
            return Ok(to);
        }
        let uv = installer::find(&self.tools, &self.interpreters, &self.environ, &mut report);
        let uv = uv.await?;
        let (cache, environ) = (self.tools.join("uv-cache"), &self.environ);
        let (claim_ref, uv, python, to_ref) = (&claim, uv.as_path(), &python, to.as_path());
        let build = Build {
            claim: claim_ref,
            uv,
            cache: &cache,
            python,
            requirements: &requirements,
            environ,
            to: to_ref,
        };
        build.run(&mut report).await?;
        let published = to.clone();
        tokio::task::spawn_blocking(move || claim.publish(&published)).await??;
        report.say(100, "ready");
        Ok(to)
    }

    /// Removes the environments used longest ago until the rest, and the installer's cache, hold
    /// at most `limit`; those named `in_use`, and those used as lately as `kept` (a run that is
    /// not yet started may be about to), stay. Returns what was freed. Blocks on the disk.
    pub fn collect_garbage(
        &self,
        limit: Bytes,
        kept: Duration,
        in_use: &[PathBuf],
    ) -> io::Result<Bytes> {
        let mut known = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with('.') {
                known.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        known.sort_unstable();
        // Files are shared between environments and the cache, so sizes are of all together.
        let size = |known: &[(SystemTime, PathBuf)]| {
            let folders = known.iter().map(|(_, path)| path.clone());
            disk_usage(folders.chain([self.tools.join("uv-cache")]))
        };
        let before = size(&known)?;
        let mut now = before;
        let old = |used: &SystemTime| used.elapsed().is_ok_and(|age| age > kept);
        let mut index = 0;
        while now > limit.0 && index < known.len() {
            let (used, path) = &known[index];
            if in_use.contains(path) || !old(used) {
                index += 1;
                continue;
            }
            self.remove(path)?;
            known.remove(index);
            now = size(&known)?;
        }
        if now > limit.0 {
            crate::remove::tree(&self.tools.join("uv-cache"))?;
            now = size(&known)?;
        }
        Ok(Bytes(before.saturating_sub(now)))
    }

    /// Moved away first: a reader finds all of an environment or nothing.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let key = format!("removed-{}", path.file_name().unwrap_or_default().to_string_lossy());
        let Some(claim) = Claim::attempt(&self.dir, &key)? else { return Ok(()) };
        fs::rename(path, claim.tree().join("environment"))
    }
}

/// The content's digest: equal packages on an equal interpreter are one environment.
fn name_of(python: &Interpreter, packages: &[String]) -> String {
    let mut hash = Sha256::new();
    let executable = python.executable.to_string_lossy();
    let head = [FORMAT, &python.to_string(), &executable, &python.platform];
    for part in head.into_iter().chain(packages.iter().map(String::as_str)) {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// Notes that an environment was used now; `false` where it is absent.
fn touch(path: &Path) -> bool {
    let found = File::open(path);
    // Best effort: at worst it is collected earlier than it should be, and made again.
    found.as_ref().is_ok_and(|folder| {
        let _ = folder.set_modified(SystemTime::now());
        true
    })
}

/// Bytes on disk below the folders, each file once however many names it has.
fn disk_usage(folders: impl Iterator<Item = PathBuf>) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut folders: Vec<PathBuf> = folders.collect();
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino())) {
                bytes += meta.blocks() * 512;
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let state = tempfile::tempdir().unwrap();
        let environments = Environments::open(state.path(), []).unwrap();
        let make = |name: &str, age_hours: u64| {
            let path = state.path().join("environments").join(name);
            fs::create_dir_all(path.join("lib")).unwrap();
            fs::write(path.join("lib/file"), vec![7; 100_000]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(3600 * age_hours);
            File::open(&path).unwrap().set_modified(used).unwrap();
            path
        };
        let (oldest, used, old, fresh) = (make("a", 9), make("b", 8), make("c", 7), make("d", 0));
        let collect = |limit| {
            let hour = Duration::from_secs(3600);
            environments.collect_garbage(Bytes(limit), hour, std::slice::from_ref(&used)).unwrap()
        };
        let freed = collect(320_000);
        assert!(freed.0 >= 100_000);
        assert!(!oldest.exists() && used.exists() && old.exists() && fresh.exists());
        collect(0);
        assert!(used.exists() && !old.exists() && fresh.exists());
    }
}
