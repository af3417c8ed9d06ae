//! Pid 1 of a sandbox: starts, signals and reaps programs on the supervisor's request.
//!
//! It has no right the programs it starts do not have, and cannot be looked into by them (not
//! dumpable). When the supervisor goes away it ends, and the kernel ends the namespace with it.

use super::Step;
use super::kernel::{self, child_events, exit_now, reap, signal_all, signal_group};
use super::message::{Ask, Line, Say};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

/// Connections waiting to be taken on a listening socket.
const BACKLOG: i32 = 128;
/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Waits until the supervisor has put this process in its cgroup.
pub(super) fn await_cgroup(line: &Line) -> Result<(), Step> {
    match line.receive::<Ask>().map_err(Step::of("line"))? {
        Some((Ask::Go, _)) => Ok(()),
        _ => Err(Step("line: the supervisor went away".to_owned())),
    }
}

/// Answers requests until the supervisor goes away.
pub(super) fn serve(line: &Line) -> ! {
    let Ok(children) = child_events() else { exit_now(1) };
    let mut init = Init { line, programs: Vec::new(), alone: true };
    loop {
        let mut ready = [PollFd::new(line, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => exit_now(1),
        }
        let [asked, ended] = ready.map(|fd| !fd.revents().is_empty());
        if ended {
            let _ = rustix::io::read(&children, &mut [0u8; 4096]);
            init.reap();
        }
        if asked {
            match line.receive::<Ask>() {
                Ok(Some((ask, fds))) => init.answer(ask, fds),
                Ok(None) | Err(_) => exit_now(0),
            }
        }
    }
}

struct Init<'a> {
    line: &'a Line,
    /// Request and process of each program that runs.
    programs: Vec<(u32, i32)>,
    /// Whether that nothing is left was said since the last start.
    alone: bool,
}

impl Init<'_> {
    fn answer(&mut self, ask: Ask, fds: Vec<OwnedFd>) {
        match ask {
            Ask::Build(_) | Ask::Go => {}
            Ask::Spawn { id, argv, env, tty } => self.start(id, &argv, &env, tty, fds),
            Ask::Signal { id, signal } => {
                if let Some((_, pid)) = self.programs.iter().find(|(program, _)| *program == id) {
                    signal_group(*pid, signal);
                }
            }
            Ask::SignalAll { signal } => signal_all(signal),
            Ask::Socket { id, listen } => match tcp_socket(listen) {
                Ok(socket) => self.say(&Say::Socket { id }, &[&socket]),
                Err(error) => self.say(&Say::Refused { id, why: error.to_string() }, &[]),
            },
        }
    }

    fn start(
        &mut self,
        id: u32,
        argv: &[String],
        env: &[(String, String)],
        tty: Option<(u16, u16)>,
        fds: Vec<OwnedFd>,
    ) {
        let started = Stdio::new(tty, fds).and_then(|stdio| {
            let program = Program::new(argv, env)?;
            let (pid, master) = program.start(stdio)?;
            Ok((pid, master))
        });
        match started {
            Ok((pid, master)) => {
                self.programs.push((id, pid));
                self.alone = false;
                let fds: Vec<&dyn AsFd> = master.iter().map(|fd| fd as &dyn AsFd).collect();
                self.say(&Say::Began { id }, &fds);
            }
            Err(error) => {
                let why = error.to_string();
                self.say(&Say::Refused { id, why }, &[]);
            }
        }
    }

    /// Takes every end there is, programs' and orphans' alike.
    fn reap(&mut self) {
        while let Some((pid, status)) = reap() {
            if let Some(at) = self.programs.iter().position(|(_, program)| *program == pid) {
                let (id, _) = self.programs.swap_remove(at);
                self.say(&Say::Ended { id, status }, &[]);
            }
        }
        if !self.alone && no_child_left() {
            self.alone = true;
            self.say(&Say::Alone, &[]);
        }
    }

    fn say(&self, say: &Say, fds: &[&dyn AsFd]) {
        if self.line.send(say, fds).is_err() {
            exit_now(0);
        }
    }
}

/// Whether this process has no child at all.
fn no_child_left() -> bool {
    let options = rustix::process::WaitIdOptions::EXITED
        | rustix::process::WaitIdOptions::NOHANG
        | rustix::process::WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(rustix::process::WaitId::All, options), Err(Errno::CHILD))
}

fn tcp_socket(listen: Option<u16>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(port) = listen {
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// A program's standard descriptors.
struct Stdio {
    fds: [OwnedFd; 3],
    /// The other side of its terminal, where it has one.
    master: Option<OwnedFd>,
}

impl Stdio {
    fn new(tty: Option<(u16, u16)>, fds: Vec<OwnedFd>) -> io::Result<Stdio> {
        let Some((rows, cols)) = tty else {
            let fds = fds.try_into().map_err(|_| io::Error::from(Errno::BADF))?;
            return Ok(Stdio { fds, master: None });
        };
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size)?;
        Ok(Stdio { fds: [slave.try_clone()?, slave.try_clone()?, slave], master: Some(master) })
    }
}

/// A program ready to be executed: every string made before the fork.
struct Program {
    paths: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(argv: &[String], env: &[(String, String)]) -> io::Result<Program> {
        let first = argv.first().filter(|name| !name.is_empty());
        let first = first.ok_or_else(|| io::Error::other("command: it names no program"))?;
        let search = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
        let paths: Vec<String> = match first.contains('/') {
            true => vec![first.clone()],
            false => search
                .unwrap_or(DEFAULT_PATH)
                .split(':')
                .filter(|folder| !folder.is_empty())
                .map(|folder| format!("{folder}/{first}"))
                .collect(),
        };
        Ok(Program {
            paths: c_strings(paths)?,
            argv: c_strings(argv.iter().cloned())?,
            env: c_strings(env.iter().map(|(name, value)| format!("{name}={value}")))?,
        })
    }

    /// Forks and executes. Returns when the program runs, or with what hindered it.
    fn start(&self, stdio: Stdio) -> io::Result<(i32, Option<OwnedFd>)> {
        let Stdio { fds, master } = stdio;
        let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        match kernel::fork()? {
            0 => self.become_it(fds, master.is_some(), &tell),
            pid => {
                drop(tell);
                let mut why = [0u8; 4];
                match rustix::io::read(&told, &mut why)? {
                    0 => Ok((pid, master)),
                    _ => Err(self.refusal(i32::from_ne_bytes(why))),
                }
            }
        }
    }

    fn become_it(&self, fds: [OwnedFd; 3], tty: bool, tell: &OwnedFd) -> ! {
        let error = match self.execute(fds, tty) {
            Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
            Ok(never) => match never {},
        };
        let _ = rustix::io::write(tell, &error.to_ne_bytes());
        exit_now(127)
    }

    fn execute(&self, fds: [OwnedFd; 3], tty: bool) -> io::Result<std::convert::Infallible> {
        rustix::process::setsid()?;
        for (number, fd) in (0..).zip(fds) {
            kernel::move_to(fd, number)?;
        }
        if tty {
            // SAFETY: standard input was put there just above.
            let terminal = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
            rustix::process::ioctl_tiocsctty(terminal)?;
        }
        kernel::default_signals();
        kernel::hide_from(3)?;
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        let mut worst = io::Error::from(Errno::NOENT);
        for path in &self.paths {
            kernel::execute(path, &argv, &env);
            let error = io::Error::last_os_error();
            // A file that is there and cannot be run says more than one that is not.
            if error.raw_os_error() != Some(libc::ENOENT) {
                worst = error;
            }
        }
        Err(worst)
    }

    fn refusal(&self, errno: i32) -> io::Error {
        let name = self.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        let error = match errno {
            libc::ENOENT => format!("`{name}`: no such program"),
            libc::EACCES => format!("`{name}`: not executable"),
            other => format!("`{name}`: {}", io::Error::from_raw_os_error(other)),
        };
        io::Error::other(error)
    }
}

fn c_strings(texts: impl IntoIterator<Item = String>) -> io::Result<Vec<CString>> {
    texts.into_iter().map(|text| CString::new(text).map_err(io::Error::from)).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}
