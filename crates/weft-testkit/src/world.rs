//! A directory in which the binary runs as a user meets it.

use crate::orphans;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before the test fails: a loaded machine with two cores is slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long what ends may leave something behind: a control group outlives its run by a moment.
const ENDED: Duration = Duration::from_secs(30);

/// A look at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// State, configuration and working directory of one test.
pub struct World {
    dir: TempDir,
    exe: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Exit code; -1 where a signal ended it.
    pub code: i32,
    /// What it wrote to its output.
    pub out: String,
    /// What it wrote to its error output.
    pub err: String,
}

/// A command that goes on beside the test; killed when dropped.
pub struct Running {
    child: Option<Child>,
}

impl World {
    /// A fresh world for this binary.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn new(exe: impl Into<PathBuf>) -> Self {
        let dir = tempfile::Builder::new().prefix("weft-").tempdir().expect("a directory");
        for name in ["state", "config", "work"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        Self { dir, exe: exe.into() }
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The working directory of its commands.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The client file.
    pub fn client_file(&self) -> PathBuf {
        self.dir.path().join("config/weft/client.toml")
    }

    /// Writes a file into the working directory.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file is written");
        self
    }

    /// The binary with these arguments, in an environment of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("XDG_STATE_HOME", self.dir.path())
            .env("WEFT_STATE_DIR", self.state())
            .env("LANG", "C.UTF-8")
            .current_dir(self.work())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn weft(&self, args: &[&str]) -> Answer {
        self.start(args).answer()
    }

    /// Runs it, and wants it to end with 0.
    ///
    /// # Panics
    /// When it does not.
    pub fn ok(&self, args: &[&str]) -> Answer {
        let answer = self.weft(args);
        assert_eq!(answer.code, 0, "weft {args:?}: {answer:?}");
        answer
    }

    /// Runs it with `--json`, and gives what it prints.
    ///
    /// # Panics
    /// When it fails, or prints something else.
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let args: Vec<_> = std::iter::once("--json").chain(args.iter().copied()).collect();
        let answer = self.ok(&args);
        serde_json::from_str(&answer.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {answer:?}"))
    }

    /// Starts it and goes on.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, args: &[&str]) -> Running {
        Running { child: Some(self.command(args).spawn().expect("the binary starts")) }
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it takes longer than a minute.
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        wait(look, || what.to_owned())
    }

    /// Waits until a workload is in this state, and gives it.
    ///
    /// # Panics
    /// When it takes longer than a minute; what it is then, and why, is said.
    pub fn until_state(&self, name: &str, state: &str) -> serde_json::Value {
        let find = || {
            let all = self.json(&["ps", "-a"]);
            let found = all.as_array()?.iter().find(|w| w["name"] == name || w["id"] == name);
            found.cloned()
        };
        wait(
            || find().filter(|found| found["state"] == state),
            || {
                let told = ["events", "why", "logs"].map(|of| self.weft(&[of, name]));
                format!("{name} is {state}; it is {:#?}\n{told:#?}", find())
            },
        )
    }

    /// Kills the server, as a crash does, and waits until it is gone; workloads go on.
    pub fn kill_servers(&self) {
        let servers = || {
            let all = self.processes().into_iter();
            all.filter(|(_, line)| line.contains("background"))
                .map(|(pid, _)| pid)
                .collect::<Vec<_>>()
        };
        let running = servers();
        assert!(!running.is_empty(), "no server was found");
        for pid in running {
            let pid = rustix::process::Pid::from_raw(pid).expect("a process");
            // It may have gone by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        self.until("the server is gone", || servers().is_empty().then_some(()));
    }

    /// Processes of this world.
    pub fn processes(&self) -> Vec<(i32, String)> {
        orphans::processes(self.dir.path())
    }

    fn end(&self) -> Vec<String> {
        let has_run = self.state().join("weft.db").exists();
        if has_run {
            self.weft(&["down", "--all"]);
        }
        let begun = Instant::now();
        loop {
            let left = self.left();
            if left.is_empty() || begun.elapsed() > ENDED {
                return left;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn left(&self) -> Vec<String> {
        orphans::of(self.dir.path())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let left = self.end();
        for (pid, _) in self.processes() {
            kill(pid);
        }
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left behind:\n{}\nserver.log:\n{}", left.join("\n"), self.log());
        }
        if std::thread::panicking() {
            eprint_log(&self.log());
        }
    }
}

impl World {
    fn log(&self) -> String {
        let path: &Path = &self.state().join("server.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

/// Looks again and again.
fn wait<T>(mut look: impl FnMut() -> Option<T>, for_what: impl FnOnce() -> String) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if begun.elapsed() >= DEADLINE {
            panic!("waited too long for: {}", for_what());
        }
        std::thread::sleep(LOOK);
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows what the server said")]
fn eprint_log(log: &str) {
    eprintln!("server.log:\n{log}");
}

/// Ends a process of this world, which is known by its command line.
fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

impl Running {
    /// Its process id.
    ///
    /// # Panics
    /// When it has been waited for.
    pub fn pid(&self) -> i32 {
        self.child.as_ref().expect("it runs").id() as i32
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("it is there");
    }

    /// Reads its output up to a line that holds this; gives what was read.
    ///
    /// # Panics
    /// When it ends before.
    pub fn read_until(&mut self, needle: &str) -> String {
        let out = self.child.as_mut().and_then(|child| child.stdout.as_mut()).expect("its output");
        let (mut text, mut byte) = (String::new(), [0]);
        while !(text.ends_with('\n') && text.contains(needle)) {
            let read = out.read(&mut byte).expect("it is read");
            assert!(read == 1, "it ended before {needle:?}: {text}");
            text.push(char::from(byte[0]));
        }
        text
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn answer(mut self) -> Answer {
        let child = self.child.take().expect("it was not waited for");
        let output = child.wait_with_output().expect("it ends");
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
