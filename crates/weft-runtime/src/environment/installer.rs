//! Finds uv, the installer: on the `PATH`, else brought from its package into the state folder.
//!
//! The version brought along and the hashes of its wheels are fixed in `uv.txt`; pip checks them,
//! and reaches the index as this machine's administrator has configured it.

use super::child::{Environ, run};
use super::interpreter::{Interpreters, Wanted};
use super::{EnvironmentError, Report};
use crate::claim::Claim;
use std::path::{Path, PathBuf};

/// The package, its version and hashes, as pip reads them.
const PACKAGE: &str = include_str!("uv.txt");

/// The first version with every option used here.
const OLDEST: [u32; 2] = [0, 5];

/// A program that works as the installer.
pub(super) async fn find(
    tools: &Path,
    interpreters: &Interpreters,
    environ: &Environ,
    report: &mut Report<'_>,
) -> Result<PathBuf, EnvironmentError> {
    for folder in environ.path_folders() {
        let program = folder.join("uv");
        if program.is_file() && is_usable(&program, environ).await {
            return Ok(program);
        }
    }
    let version = PACKAGE.lines().find_map(|line| line.strip_prefix("uv=="));
    let version = version.unwrap_or_default().trim_end_matches([' ', '\\']);
    let home = tools.join("uv").join(version);
    let program = home.join("bin/uv");
    if program.is_file() {
        return Ok(program);
    }
    report.say(1, "bringing the installer");
    let claim = Claim::take(&tools.join("uv"), version).await?;
    if !program.is_file() {
        bring(&claim, interpreters, environ).await?;
        tokio::task::spawn_blocking(move || claim.publish(&home)).await??;
    }
    Ok(program)
}

async fn is_usable(program: &Path, environ: &Environ) -> bool {
    let mut command = environ.command(program);
    command.arg("--version");
    match run(command, |_| {}).await {
        Ok(answer) if answer.ok => version_of(&answer.last).is_some_and(|v| v >= OLDEST),
        _ => false,
    }
}

/// `uv 0.13.9 (x86_64-unknown-linux-gnu)`
fn version_of(line: &str) -> Option<[u32; 2]> {
    let mut parts = line.strip_prefix("uv ")?.split(['.', ' ']);
    Some([parts.next()?.parse().ok()?, parts.next()?.parse().ok()?])
}

/// Installs the package by pip into the claim's folder.
async fn bring(
    claim: &Claim,
    interpreters: &Interpreters,
    environ: &Environ,
) -> Result<(), EnvironmentError> {
    let python = interpreters.find(&Wanted::default(), environ).await?.executable;
    let requirements = claim.tree().join("uv.txt");
    std::fs::write(&requirements, PACKAGE)?;
    let pip = match has_pip(&python, environ).await {
        true => python,
        // Some systems leave pip out of Python but keep what makes a virtual environment.
        false => {
            let venv = claim.tree().join("pip");
            let mut command = environ.command(&python);
            command.stdin(claim.stdin()?).args(["-m", "venv"]).arg(&venv);
            let answer = run(command, |_| {}).await?;
            if !answer.ok {
                return Err(EnvironmentError::NoInstaller(answer.tail()));
            }
            venv.join("bin/python3")
        }
    };
    let mut command = environ.command(&pip);
    command.stdin(claim.stdin()?).args(["-m", "pip", "install", "--quiet", "--no-input"]);
    command.args(["--disable-pip-version-check", "--no-deps", "--no-compile", "--require-hashes"]);
    command.args(["--only-binary", ":all:", "--root-user-action", "ignore"]);
    command.arg("--target").arg(claim.tree()).arg("-r").arg(&requirements);
    let answer = run(command, |_| {}).await?;
    match answer.ok && claim.tree().join("bin/uv").is_file() {
        true => Ok(crate::remove::tree(&claim.tree().join("pip"))?),
        false => Err(EnvironmentError::NoInstaller(answer.tail())),
    }
}

async fn has_pip(python: &Path, environ: &Environ) -> bool {
    let mut command = environ.command(python);
    command.args(["-m", "pip", "--version"]);
    run(command, |_| {}).await.is_ok_and(|answer| answer.ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version_of("uv 0.13.9 (x86_64-unknown-linux-gnu)"), Some([0, 13]));
        assert_eq!(version_of("uv-like thing 9.9"), None);
    }

    #[test]
    fn the_package_is_locked() {
        let packages = super::super::requirements::locked(PACKAGE).unwrap();
        assert_eq!(packages.len(), 1);
        assert!(packages[0].starts_with("uv=="));
    }
}
