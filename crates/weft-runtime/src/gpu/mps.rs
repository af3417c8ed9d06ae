//! The driver's MPS as Weft has it: a control daemon for each device of which parts are given.
//!
//! ```text
//! none ──serve──► daemon started, answers ──serve──► the same one
//!   ▲                 │        └ dies: the next serve starts another in the same folder
//!   └───────end───────┘
//! ```
//!
//! A daemon outlives the server, as the runs that it serves do. Whose a daemon is, is said by its
//! environment alone: it was started with the folder of this state directory for its pipes, and
//! nobody else knows that folder. So a server that was killed at any moment finds what it left,
//! whatever it had time to write, and ends nothing else. The agent calls this; it knows which runs
//! need a daemon.
//!
//! Absent on purpose: limits on the side of the daemon. All clients of a server have its defaults
//! in common, so what binds one tenant there would bind each; a client's own variables make its
//! limits narrower (manual of MPS), and those are the run's.

use super::GpuError;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The folder of pipes, by which programs find their daemon.
pub(super) const PIPES_VARIABLE: &str = "CUDA_MPS_PIPE_DIRECTORY";
/// The driver's control program.
pub(super) const CONTROL: &str = "nvidia-cuda-mps-control";

/// Where the folders are: in memory, and by a short path, since the names of sockets hold no more
/// than 108 bytes (unix(7)).
const MEMORY: &str = "/dev/shm";
/// The folder of pipes in a device's folder.
const PIPES: &str = "pipes";
/// What a daemon writes to its standard output, beside its logs.
const SAID: &str = "said";

/// The file in the folder of pipes that has the daemon's number.
const NUMBER: &str = "nvidia-cuda-mps-control.pid";

/// A daemon answers within this or is given up: a device takes seconds to be made ready.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// A daemon that was told to end has this long before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at a daemon.
const LOOK: Duration = Duration::from_millis(10);
/// What is read of an answer or a complaint.
const ANSWER_MAX: u64 = 4_096;

/// The daemons of one state directory.
#[derive(Debug)]
pub(super) struct Mps {
    dir: PathBuf,
    /// Where daemons write what they do, a folder for each device: kept until the next is started.
    logs: PathBuf,
    /// Whether runs have users of their own, whom one daemon is to serve together.
    users: bool,
    /// Daemons that this process has started, by the folder of their device: reaped when they end.
    /// Held while one is waited for: other devices' starts wait, too.
    started: Mutex<BTreeMap<String, Child>>,
}

impl Mps {
    /// Of the state directory whose runs have this name of their own.
    pub(super) fn of(state_dir: &Path, id: &str, users: bool) -> Self {
        let dir = Path::new(MEMORY).join(format!("weft-mps-{id}"));
        Self { dir, logs: state_dir.join("mps"), users, started: Mutex::default() }
    }

    /// The folder of the pipes of a device's daemon, which is started where there is none that
    /// answers. Blocks for seconds.
    pub(super) fn serve(&self, control: &Path, device: &str) -> Result<PathBuf, GpuError> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.folder(device)?;
        let pipes = dir.join(PIPES);
        if ask(control, &pipes, "get_server_list").is_ok() {
            return Ok(pipes);
        }
        if lives(&pipes) {
            // Others may be running by it: it is given time, and never ended under them.
            return settled(control, &pipes).map(|()| pipes);
        }
        // Servers without their daemon serve nobody new.
        Self::end_processes(&dir);
        reap(&mut started, short(device));
        let logs = self.logs.join(short(device));
        for folder in [&pipes, &logs] {
            empty(folder).map_err(GpuError::io(folder.display().to_string()))?;
        }
        let mut child = self.start(control, device, &dir, &logs)?;
        let answers = answers(control, &pipes, &mut child);
        started.insert(short(device).to_owned(), child);
        if let Err(why) = answers {
            Self::end_processes(&dir);
            reap(&mut started, short(device));
            return Err(GpuError::Mps { why: format!("{why}{}", complaint(&logs)) });
        }
        Ok(pipes)
    }

    /// Ends the daemons of all devices but these, and removes what they had. Blocks for seconds.
    pub(super) fn end_but(&self, needed: &[String]) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        // It lies where everybody may make one; another's, or a link of his, would lead elsewhere.
        // What is ours nobody else can move away from there: the sticky bit is for that.
        if !super::shared::is_ours(&self.dir).unwrap_or(false) {
            return;
        }
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let (dir, of) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if !needed.iter().any(|device| short(device) == of) {
                Self::end_processes(&dir);
                reap(&mut started, &of);
                let _ = crate::remove::tree(&dir);
            }
        }
        // Gone with the last of them.
        let _ = fs::remove_dir(&self.dir);
    }

    fn start(
        &self,
        control: &Path,
        device: &str,
        dir: &Path,
        logs: &Path,
    ) -> Result<Child, GpuError> {
        let failed = || GpuError::io(control.display().to_string());
        let said = File::create(logs.join(SAID)).map_err(failed())?;
        let mut daemon = Command::new(control);
        // What it starts finds the driver where it was found itself.
        let libraries = control.parent().unwrap_or(Path::new("/"));
        daemon.env_clear().env("PATH", "/usr/bin:/bin").env("LD_LIBRARY_PATH", libraries);
        daemon.env("CUDA_VISIBLE_DEVICES", device);
        daemon.env(PIPES_VARIABLE, dir.join(PIPES)).env("CUDA_MPS_LOG_DIRECTORY", logs);
        if self.users {
            daemon.arg("-multiuser-server");
        }
        // In a group of its own: the signals of this process's terminal are not for it.
        daemon.arg("-f").process_group(0).stdin(Stdio::null());
        let other = said.try_clone().map_err(failed())?;
        daemon.stdout(other).stderr(said).spawn().map_err(failed())
    }

    /// A device's folder, made where it is not; this user's alone.
    fn folder(&self, device: &str) -> Result<PathBuf, GpuError> {
        let dir = self.dir.join(short(device));
        let failed = |dir: &Path| GpuError::io(dir.display().to_string());
        for folder in [&self.dir, &dir] {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(failed(folder))?,
            }
            // Before anything is made in it.
            if !super::shared::is_ours(folder).map_err(failed(folder))? {
                return Err(GpuError::Taken(folder.clone()));
            }
        }
        Ok(dir)
    }

    /// Ends every process that was started with a folder's pipes: the daemon, and its servers.
    fn end_processes(dir: &Path) {
        let until = Instant::now() + ENDS_WITHIN;
        loop {
            let left = processes(&dir.join(PIPES));
            if left.is_empty() {
                return;
            }
            let over = Instant::now() >= until;
            let signal = if over { Signal::KILL } else { Signal::TERM };
            for (_, process) in &left {
                let _ = pidfd_send_signal(process, signal);
            }
            if over {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The last part of a device's identifier: it tells a machine's devices from each other.
fn short(device: &str) -> &str {
    device.rsplit('-').next().unwrap_or(device)
}

/// Processes whose environment, as they were started, names these pipes; but not programs in a
/// sandbox, which know the folder by another path.
fn processes(pipes: &Path) -> Vec<(i32, OwnedFd)> {
    let variable = format!("{PIPES_VARIABLE}={}", pipes.display());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = |number: i32| {
        // The descriptor first: what is read then is of the process that it is of.
        let process = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
        let environment = fs::read(format!("/proc/{number}/environ")).ok()?;
        let mut all = environment.split(|byte| *byte == 0);
        all.any(|one| one == variable.as_bytes()).then_some((number, process))
    };
    numbers.filter_map(own).collect()
}

/// Whether the daemon itself is there, by the number that it has written down.
fn lives(pipes: &Path) -> bool {
    let number = fs::read_to_string(pipes.join(NUMBER)).unwrap_or_default();
    let number = number.trim().parse::<i32>();
    number.is_ok_and(|number| processes(pipes).iter().any(|(known, _)| *known == number))
}

/// Waits until a daemon that is there answers again.
fn settled(control: &Path, pipes: &Path) -> Result<(), GpuError> {
    let until = Instant::now() + ANSWERS_WITHIN;
    while let Err(why) = ask(control, pipes, "get_server_list") {
        if Instant::now() >= until {
            let rest = "it is ended when the last run that it serves has ended";
            return Err(GpuError::Mps { why: format!("its daemon lives, and {why}; {rest}") });
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits until a daemon that was just started answers.
fn answers(control: &Path, pipes: &Path, child: &mut Child) -> Result<(), String> {
    let until = Instant::now() + ANSWERS_WITHIN;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("{} ended with {status}", control.display()));
        }
        match ask(control, pipes, "get_server_list") {
            Ok(_) => return Ok(()),
            Err(why) if Instant::now() >= until => return Err(why),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// What a daemon answers to a command.
fn ask(control: &Path, pipes: &Path, command: &str) -> Result<String, String> {
    if fs::read_dir(pipes).is_ok_and(|mut entries| entries.next().is_none()) {
        return Err("nothing is there that could answer".to_owned());
    }
    let mut asking = Command::new(control);
    asking.env_clear().env("PATH", "/usr/bin:/bin").env(PIPES_VARIABLE, pipes);
    asking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut asking = asking.spawn().map_err(|error| format!("{}: {error}", control.display()))?;
    if let Some(mut input) = asking.stdin.take() {
        let _ = writeln!(input, "{command}");
    }
    let until = Instant::now() + ENDS_WITHIN;
    let status = loop {
        match asking.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            _ => {
                let _ = asking.kill();
                let _ = asking.wait();
                return Err(format!("`{command}` was not answered"));
            }
        }
    };
    let mut answer = String::new();
    if let Some(output) = asking.stdout.take() {
        let _ = output.take(ANSWER_MAX).read_to_string(&mut answer);
    }
    if status.success() { Ok(answer) } else { Err(format!("`{command}` ended with {status}")) }
}

/// What a daemon said before it ended, as the end of a sentence.
fn complaint(logs: &Path) -> String {
    let said = fs::read_to_string(logs.join(SAID)).unwrap_or_default();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    line.map_or_else(String::new, |line| {
        format!(": {}", line.chars().take(200).collect::<String>())
    })
}

fn reap(started: &mut BTreeMap<String, Child>, device: &str) {
    if let Some(mut child) = started.remove(device) {
        // Ended, or killed: nothing else waits for it.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Makes a folder that others can look into, with nothing in it; the same one where it is there,
/// since runs have it mounted.
fn empty(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)?.flatten() {
        crate::remove::tree(&entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_others_have_put_in_its_place_is_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let kept = state.path().join("home/kept");
        fs::create_dir_all(&kept).unwrap();
        let name = state.path().file_name().unwrap().to_string_lossy().into_owned();
        let mps = Mps::of(state.path(), &name, false);
        symlink(state.path(), &mps.dir).unwrap();
        mps.end_but(&[]);
        let refused = mps.folder("GPU-0-1");
        let there = kept.exists() && fs::read_dir(state.path()).unwrap().count() == 1;
        fs::remove_file(&mps.dir).unwrap();
        assert!(there && matches!(refused, Err(GpuError::Taken(_))), "{refused:?}");
        // Its own it makes, and ends.
        let own = mps.folder("GPU-0-1").unwrap();
        assert_eq!(own, mps.dir.join("1"));
        mps.end_but(&["GPU-0-1".to_owned()]);
        assert!(own.exists());
        mps.end_but(&[]);
        assert!(!mps.dir.exists());
    }
}
