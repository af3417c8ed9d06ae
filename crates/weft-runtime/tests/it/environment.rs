//! Environments: made of locked wheels, once, and usable where a sandbox shows them.
//!
//! Packages are tiny wheels built here and found by `PIP_FIND_LINKS`, so no index is needed. Only
//! the installer itself comes from the index where uv is not on the path; where neither is, these
//! tests say so loudly and pass.

use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::sync::OnceCell;
use weft_runtime::{EnvironmentError, Environments, Progress};

/// The tools folder of a state folder that has the installer, made once for this binary.
async fn tools() -> Option<&'static Path> {
    static TOOLS: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    let found = TOOLS.get_or_init(|| async {
        // Kept for the next run: the installer is 50 MB, and its folder named by the version.
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
        let environments = Environments::open(&state, std::env::vars_os()).unwrap();
        match environments.prepare(None, "", &mut |_| {}).await {
            Ok(_) => Some(state.join("tools")),
            Err(error @ (EnvironmentError::NoInstaller(_) | EnvironmentError::NoPython { .. })) => {
                say_skipped(&format!("environments need Python, and uv or an index: {error}"));
                None
            }
            Err(error) => panic!("{error}"),
        }
    });
    found.await.as_deref()
}

#[expect(clippy::print_stderr, reason = "what a machine cannot test is said loudly")]
fn say_skipped(why: &str) {
    eprintln!("NOT TESTED: {why}");
}

struct Ground {
    temp: tempfile::TempDir,
    wheels: PathBuf,
}

impl Ground {
    async fn new() -> Option<Self> {
        let tools = tools().await?;
        let temp = tempfile::tempdir().unwrap();
        let wheels = temp.path().join("wheels");
        fs::create_dir_all(temp.path().join("state")).unwrap();
        fs::create_dir(&wheels).unwrap();
        std::os::unix::fs::symlink(tools, temp.path().join("state/tools")).unwrap();
        Some(Self { temp, wheels })
    }

    fn open(&self) -> Environments {
        let pass = |(name, _): &(OsString, OsString)| name == "PATH" || name == "HOME";
        let mut variables: Vec<_> = std::env::vars_os().filter(pass).collect();
        variables.push(("PIP_FIND_LINKS".into(), self.wheels.clone().into()));
        variables.push(("PIP_NO_INDEX".into(), "1".into()));
        Environments::open(&self.temp.path().join("state"), variables).unwrap()
    }

    /// Builds a wheel (PEP 427: a zip with its metadata) and returns its locked requirement.
    fn wheel(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.temp.path().join(name);
        let info = format!("{name}-1.0.dist-info");
        let wheel =
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
        let mut all: Vec<(String, &str)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), *text)).collect();
        all.push((format!("{info}/WHEEL"), wheel));
        all.push((format!("{info}/METADATA"), &metadata));
        let record: String = all.iter().map(|(path, _)| format!("{path},,\n")).collect();
        all.push((format!("{info}/RECORD"), &record));
        for (path, text) in &all {
            fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
            fs::write(folder.join(path), text).unwrap();
        }
        let file = self.wheels.join(format!("{name}-1.0-py3-none-any.whl"));
        let entries = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
        let mut zip = Command::new("python3");
        zip.args(["-m", "zipfile", "-c"]).arg(&file).args(entries).current_dir(&folder);
        assert!(zip.status().unwrap().success());
        let digest = hex::encode(Sha256::digest(fs::read(&file).unwrap()));
        format!("{name}==1.0 --hash=sha256:{digest}\n")
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.temp.path().join("state/environments")).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn python(environment: &Path, code: &str) -> String {
    let output = Command::new(environment.join("bin/python")).args(["-I", "-c", code]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_environment_is_made_once_and_works() {
    let Some(g) = Ground::new().await else { return };
    let environments = g.open();
    let locked = g.wheel("threads", &[("threads/__init__.py", "WARP = 7\n")]);
    let mut told = Vec::new();
    let mut tell = |progress: Progress| told.push(progress.percent.unwrap());
    let first = environments.prepare(None, &locked, &mut tell).await.unwrap();
    assert!(told.is_sorted() && told.first() == Some(&0) && told.last() == Some(&100), "{told:?}");
    assert!(told.len() > 5, "{told:?}");
    let code = "import threads, sys; print(threads.WARP, threads.__cached__, sys.prefix)";
    let cached = first
        .join("lib")
        .join(python(&first, "import sys; print('python%d.%d' % sys.version_info[:2])"));
    let cached = cached.join("site-packages/threads/__pycache__");
    assert!(python(&first, code).starts_with(&format!("7 {}", cached.display())));
    assert_eq!(fs::read_dir(&cached).unwrap().count(), 1, "compiled beforehand");
    let mode = fs::metadata(first.join("pyvenv.cfg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // The same packages by another text, from another process: found, and nothing said.
    let again = format!("# comment\n\n{}", locked.replace(" --hash", " \\\n    --hash"));
    let mut silent = |progress: Progress| panic!("{progress:?}");
    assert_eq!(g.open().prepare(None, &again, &mut silent).await.unwrap(), first);
    assert_eq!(fs::read_dir(first.parent().unwrap().join(".building")).unwrap().count(), 0);
}

#[tokio::test]
async fn many_at_once_build_once() {
    let Some(g) = Ground::new().await else { return };
    let locked = g.wheel("once", &[("once.py", "")]);
    let (one, two) = (g.open(), g.open());
    let builds = std::sync::atomic::AtomicU32::new(0);
    let prepare = async |environments: &Environments| {
        let mut tell = |progress: Progress| {
            if progress.detail.starts_with("installed") {
                builds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        };
        environments.prepare(None, &locked, &mut tell).await.unwrap()
    };
    let made = tokio::join!(prepare(&one), prepare(&one), prepare(&two), prepare(&two));
    assert!(made.0 == made.1 && made.1 == made.2 && made.2 == made.3);
    assert_eq!(builds.into_inner(), 1);
}

#[tokio::test]
async fn nothing_of_a_package_runs_on_the_machine() {
    let Some(g) = Ground::new().await else { return };
    let trace = g.temp.path().join("ran");
    let pth = format!("import os; open({trace:?}, 'w')\n");
    let locked = g.wheel("hostile", &[("hostile.pth", &pth), ("hostile.py", "x = (\n")]);
    let made = g.open().prepare(None, &locked, &mut |_| {}).await.unwrap();
    assert!(!trace.exists(), "the package's .pth ran while its environment was made");
    // The check is one: it does run where the environment's own Python starts.
    python(&made, "pass");
    assert!(trace.exists());
}

#[tokio::test]
async fn a_wrong_hash_or_a_source_package_is_refused_and_leaves_nothing() {
    let Some(g) = Ground::new().await else { return };
    let environments = g.open();
    let locked = g.wheel("threads", &[("threads.py", "")]);
    let wrong = format!("threads==1.0 --hash=sha256:{}\n", "0".repeat(64));
    fs::write(g.wheels.join("sdist-1.0.tar.gz"), "not built here").unwrap();
    let sdist =
        format!("sdist==1.0 --hash=sha256:{}\n", hex::encode(Sha256::digest("not built here")));
    for (text, word) in [(&wrong, "hash"), (&sdist, "sdist")] {
        let refused = environments.prepare(None, text, &mut |_| {}).await.unwrap_err();
        assert!(matches!(refused, EnvironmentError::Failed(_)), "{refused}");
        assert!(refused.to_string().to_lowercase().contains(word), "{refused}");
    }
    let unlocked = environments.prepare(None, "threads==1.0", &mut |_| {}).await.unwrap_err();
    assert!(unlocked.to_string().contains("line 1"), "{unlocked}");
    assert_eq!(g.entries(), [".building"]);
    environments.prepare(None, &locked, &mut |_| {}).await.unwrap();
}

#[tokio::test]
async fn a_version_that_is_not_there_names_those_that_are() {
    let Some(g) = Ground::new().await else { return };
    let refused = g.open().prepare(Some("3.99"), "", &mut |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("3.99") && refused.contains("it has 3."), "{refused}");
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing_and_the_next_succeeds() {
    let Some(g) = Ground::new().await else { return };
    let environments = g.open();
    let locked = g.wheel("threads", &[("threads.py", "")]);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    let mut tell = |progress: Progress| {
        if progress.percent >= Some(5) {
            stop.take().map(|stop| stop.send(()));
        }
    };
    tokio::select! {
        _ = environments.prepare(None, &locked, &mut tell) => panic!("it was not cancelled"),
        _ = stopped => {}
    }
    assert_eq!(g.entries(), [".building"]);
    environments.prepare(None, &locked, &mut |_| {}).await.unwrap();
}

/// An interpreter from outside /usr is carried along, and does not need its origin.
#[tokio::test]
async fn an_interpreter_that_sandboxes_cannot_see_is_copied() {
    let Some(g) = Ground::new().await else { return };
    let environments = g.open();
    let usable = |version: &String| version.starts_with("3.") && !version.starts_with("3.11");
    let pyenv = Path::new(&std::env::var("HOME").unwrap_or_default()).join(".pyenv/versions");
    let found = fs::read_dir(&pyenv).into_iter().flatten().flatten();
    let mut versions: Vec<_> = found.filter_map(|e| e.file_name().into_string().ok()).collect();
    versions.retain(usable);
    versions.sort_by_key(|v| v.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()));
    let Some(version) = versions.pop() else {
        say_skipped("there is no Python outside /usr on this machine");
        return;
    };
    let locked = g.wheel("threads", &[("threads.py", "WARP = 7\n")]);
    let made = environments.prepare(Some(&version), &locked, &mut |_| {}).await.unwrap();
    let code = "import sys, threads, json, ssl, ctypes; \
        print(sys.base_prefix, sys.path, open('/proc/self/maps').read())";
    let seen = python(&made, code);
    assert!(seen.starts_with(&made.join("python").display().to_string()), "{seen}");
    assert!(!seen.contains(".pyenv"), "{seen}");
}
