//! Builds one environment in the folder of a claim: interpreter, packages, compiled files.
//!
//! Nothing of a package runs on the machine: wheels only, and compiling is done by the base
//! interpreter without its `site` (a package's `.pth` files would otherwise run as the server).
//! Whatever a package wants to do once belongs in a workload's `setup`, inside its sandbox.

use super::child::{Environ, run};
use super::interpreter::Interpreter;
use super::{EnvironmentError, Report, index, standalone};
use crate::claim::Claim;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Compilers at a time: more only wait for the disk.
const COMPILERS_MAX: usize = 4;

/// Everything a build needs.
pub(super) struct Build<'a> {
    pub(super) claim: &'a Claim,
    pub(super) uv: &'a Path,
    /// Where downloads and unpacked wheels are kept, on the same file system as the claim.
    pub(super) cache: &'a Path,
    pub(super) python: &'a Interpreter,
    pub(super) requirements: &'a str,
    pub(super) environ: &'a Environ,
    /// Where the environment will be.
    pub(super) to: &'a Path,
}

impl Build<'_> {
    /// Builds all of it in the claim's folder, ready to be published.
    pub(super) async fn run(&self, report: &mut Report<'_>) -> Result<(), EnvironmentError> {
        let base = self.base().await?;
        self.venv(&base, report).await?;
        self.install(report).await?;
        self.settle(&base)?;
        self.compile(&base, report).await?;
        report.say(98, "making it durable");
        let tree = self.claim.tree();
        Ok(tokio::task::spawn_blocking(move || seal(&tree)).await??)
    }

    /// The interpreter the environment stands on, copied into it where sandboxes cannot see it.
    async fn base(&self) -> Result<PathBuf, EnvironmentError> {
        if self.python.is_visible() {
            return Ok(self.python.executable.clone());
        }
        let (python, to) = (self.python.clone(), self.claim.tree().join("python"));
        tokio::task::spawn_blocking(move || standalone::copy(&python, &to)).await?
    }

    async fn venv(&self, base: &Path, report: &mut Report<'_>) -> Result<(), EnvironmentError> {
        report.say(5, format!("python {}", self.python.short()));
        let mut command = self.uv()?;
        command.args(["venv", "--quiet", "--relocatable", "--no-project", "--allow-existing"]);
        command.arg("--python").arg(base).arg(self.claim.tree());
        let answer = run(command, |_| {}).await?;
        if answer.ok { Ok(()) } else { Err(EnvironmentError::Failed(answer.tail())) }
    }

    async fn install(&self, report: &mut Report<'_>) -> Result<(), EnvironmentError> {
        let text = self.claim.tree().join("requirements.txt");
        fs::write(&text, self.requirements)?;
        let mut command = self.uv()?;
        // Asked of the original: a copied interpreter has left its pip behind.
        let index = index::of_this_machine(&self.python.executable, self.environ).await;
        command.envs(index.variables);
        command.args(["pip", "install", "--require-hashes", "--only-binary", ":all:"]);
        command.args(index.options);
        // A user's configuration may ask uv to compile, which would run packages' `.pth` files.
        command.args(["--link-mode", "hardlink", "--no-compile-bytecode"]);
        command.arg("--python").arg(self.claim.tree().join("bin/python"));
        command.arg("-r").arg(&text);
        let answer = run(command, |line| report.installer_line(line)).await?;
        if answer.ok { Ok(()) } else { Err(EnvironmentError::Failed(answer.tail())) }
    }

    fn uv(&self) -> io::Result<tokio::process::Command> {
        let mut command = self.environ.command(self.uv);
        command.env("UV_CACHE_DIR", self.cache).env("UV_NO_PROGRESS", "1").env("NO_COLOR", "1");
        command.env("UV_PYTHON_DOWNLOADS", "never").current_dir(self.claim.tree());
        // While the installer lives, nobody else builds here, even if this process is killed.
        command.stdin(self.claim.stdin()?);
        Ok(command)
    }

    /// Points a copied interpreter to where it will be.
    fn settle(&self, base: &Path) -> io::Result<()> {
        if self.python.is_visible() {
            return Ok(());
        }
        let tree = self.claim.tree();
        let name = base.file_name().unwrap_or_default();
        let link = tree.join("bin/python");
        fs::remove_file(&link)?;
        symlink(Path::new("../python/bin").join(name), link)?;
        let config = tree.join("pyvenv.cfg");
        let home = format!("home = {}", self.to.join("python/bin").display());
        let lines: Vec<String> = fs::read_to_string(&config)?
            .lines()
            .map(|line| if line.starts_with("home") { home.clone() } else { line.to_owned() })
            .collect();
        fs::write(config, lines.join("\n") + "\n")
    }

    async fn compile(&self, base: &Path, report: &mut Report<'_>) -> Result<(), EnvironmentError> {
        let tree = self.claim.tree();
        let sources = tokio::task::spawn_blocking(move || sources(&tree)).await??;
        let compilers = std::thread::available_parallelism().map_or(1, usize::from);
        let compilers = compilers.min(COMPILERS_MAX);
        let compiled = Arc::new(AtomicUsize::new(0));
        let (wake, mut woken) = mpsc::channel(1);
        let mut running = JoinSet::new();
        for shard in 0..compilers {
            let list = self.claim.tree().with_file_name(format!("sources-{shard}"));
            let part: Vec<_> = sources.iter().skip(shard).step_by(compilers).cloned().collect();
            fs::write(&list, part.join("\n"))?;
            let mut command = self.environ.command(base);
            command.args(["-I", "-S", "-u", "-m", "compileall", "-i"]).arg(list);
            command.arg("-s").arg(self.claim.tree()).arg("-p").arg(self.to);
            command.stdin(self.claim.stdin()?);
            let (compiled, wake) = (compiled.clone(), wake.clone());
            running.spawn(async move {
                let count = |line: &str| {
                    if line.starts_with("Compiling ") {
                        compiled.fetch_add(1, Ordering::Relaxed);
                        // Full: whoever listens has yet to look, and will see this one too.
                        let _ = wake.try_send(());
                    }
                };
                run(command, count).await
            });
        }
        drop(wake);
        while woken.recv().await.is_some() {
            report.compiled(compiled.load(Ordering::Relaxed), sources.len());
        }
        // A file that does not compile is one that no program can import; packages carry some.
        while let Some(answer) = running.join_next().await {
            answer??;
        }
        Ok(())
    }
}

/// Python files below, but for tests: they are half of scientific packages, and seldom run.
fn sources(tree: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![tree.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                if !path.ends_with("tests") && !path.ends_with("test") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "py") {
                // The list is read by lines; names that cannot stand in it are left uncompiled.
                found.extend(path.to_str().filter(|p| !p.contains('\n')).map(str::to_owned));
            }
        }
    }
    Ok(found)
}

/// Lets whoever a sandbox maps to read all of it, and nobody but the owner write.
fn seal(tree: &Path) -> io::Result<()> {
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        set_mode(&folder, 0o755)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
                set_mode(&entry.path(), if executable { 0o755 } else { 0o644 })?;
            }
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
