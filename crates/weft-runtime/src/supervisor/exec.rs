//! A further program in the sandbox: started by init, its streams carried in frames.
//!
//! A frame is a byte of kind, a length of four bytes and a payload of at most 64 KiB; numbers
//! are big-endian. The program has exactly the rights of the run's own: it is init's child too.

use super::control::{Shared, TAKEN};
use super::link::Request;
use crate::launch::ExecRequest;
use crate::sandbox::message::{Ask, Say};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest payload.
pub(crate) const PAYLOAD_MAX: usize = 64 << 10;

/// How long the rest of an ended program's output is waited for: something it left behind may
/// hold its streams open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a frame carries.
mod kind {
    /// Standard input, or standard output.
    pub(super) const DATA: u8 = 0;
    pub(super) const STDERR: u8 = 1;
    /// The exit code, `i32`; 128 and the signal's number where one ended it.
    pub(super) const EXIT: u8 = 2;
    /// Rows and columns, two `u16`.
    pub(super) const RESIZE: u8 = 3;
    /// No more standard input.
    pub(super) const END_OF_INPUT: u8 = 4;
}

/// Starts the program and carries its streams until it ends.
pub(super) fn serve(stream: UnixStream, request: &ExecRequest, shared: &Shared) -> io::Result<()> {
    let ExecRequest { argv, tty, env } = request.clone();
    let mut all: BTreeMap<String, String> = shared.env.iter().cloned().collect();
    if tty.is_some() {
        all.insert("TERM".to_owned(), "xterm-256color".to_owned());
    }
    all.extend(env);
    let env = all.into_iter().collect();
    let pipes = if tty.is_none() { Some(Pipes::new()?) } else { None };
    let make = |id| Ask::Spawn { id, argv, env, tty };
    let asked = match &pipes {
        Some(pipes) => {
            let [input, out, err] = &pipes.theirs;
            shared.link.ask(make, &[input, out, err])?
        }
        None => shared.link.ask(make, &[])?,
    };
    let (say, mut fds) = asked.answer()?;
    let mut reply = &stream;
    match say {
        Say::Began { .. } => writeln!(reply, "{TAKEN}")?,
        Say::Refused { why, .. } => return writeln!(reply, "{why}"),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    stream.set_read_timeout(None)?;
    let ends = match pipes {
        Some(pipes) => pipes.into_ends(),
        None => Ends::of_terminal(fds.pop().ok_or(io::ErrorKind::InvalidData)?)?,
    };
    let Ends { input, outputs } = ends;
    let writer = Mutex::new(&stream);
    let (done, finished) = sync_channel(outputs.len());
    let signal = |signal| shared.link.tell(&Ask::Signal { id: asked.id, signal }, &[]);
    thread::scope(|scope| {
        let copiers = outputs.len();
        for (kind, from) in outputs {
            let (writer, done) = (&writer, done.clone());
            scope.spawn(move || {
                copy_out(kind, File::from(from), writer);
                done.send(())
            });
        }
        let (stream, signal) = (&stream, &signal);
        scope.spawn(move || {
            if copy_in(stream, input, tty.is_some()).is_err() {
                // The person is gone: so is what they started. It may be gone already.
                let _ = signal(libc::SIGHUP);
                let _ = signal(libc::SIGCONT);
            }
        });
        let code = exit_of(&asked);
        for _ in 0..copiers {
            let _ = finished.recv_timeout(LAST_WORDS);
        }
        let sent = send(&writer, kind::EXIT, &code.to_be_bytes());
        // Ends the reading thread, and with it the scope.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        sent
    })
}

/// Waits for the program's end.
fn exit_of(asked: &Request<'_>) -> i32 {
    loop {
        match asked.wait() {
            Some((Say::Ended { status, .. }, _)) => return exit_code(status),
            Some(_) => {}
            None => return 128 + libc::SIGKILL,
        }
    }
}

struct Pipes {
    theirs: [OwnedFd; 3],
    ours: [OwnedFd; 3],
}

/// Our side of a program's streams.
struct Ends {
    input: OwnedFd,
    outputs: Vec<(u8, OwnedFd)>,
}

impl Pipes {
    fn new() -> io::Result<Pipes> {
        let flags = PipeFlags::CLOEXEC;
        let (input, our_input) = pipe_with(flags)?;
        let (our_out, out) = pipe_with(flags)?;
        let (our_err, err) = pipe_with(flags)?;
        Ok(Pipes { theirs: [input, out, err], ours: [our_input, our_out, our_err] })
    }

    /// Our ends; the program has its own by now.
    fn into_ends(self) -> Ends {
        let [input, out, err] = self.ours;
        Ends { input, outputs: vec![(kind::DATA, out), (kind::STDERR, err)] }
    }
}

impl Ends {
    fn of_terminal(master: OwnedFd) -> io::Result<Ends> {
        Ok(Ends { input: master.try_clone()?, outputs: vec![(kind::DATA, master)] })
    }
}

fn copy_out(kind: u8, mut from: File, to: &Mutex<&UnixStream>) {
    let mut chunk = vec![0; PAYLOAD_MAX];
    // A terminal says EIO when its last program has closed it.
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        if send(to, kind, &chunk[..length]).is_err() {
            return;
        }
    }
}

/// Carries frames to the program. An error is a requester that went away without a word.
fn copy_in(mut from: &UnixStream, input: OwnedFd, tty: bool) -> io::Result<()> {
    let mut input = Some(File::from(input));
    loop {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > PAYLOAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        match (head[0], &mut input) {
            // The program reads no more; its end will be told.
            (kind::DATA, Some(file)) if (&*file).write_all(&payload).is_err() => input = None,
            (kind::DATA, _) => {}
            (kind::END_OF_INPUT, Some(file)) if tty => {
                const CONTROL_D: u8 = 4;
                let _ = file.write_all(&[CONTROL_D]);
            }
            (kind::END_OF_INPUT, _) => input = None,
            (kind::RESIZE, Some(file)) if tty && length == 4 => {
                let size = rustix::termios::Winsize {
                    ws_row: u16::from_be_bytes([payload[0], payload[1]]),
                    ws_col: u16::from_be_bytes([payload[2], payload[3]]),
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                let _ = rustix::termios::tcsetwinsize(&*file, size);
            }
            _ => {}
        }
    }
}

fn send(to: &Mutex<&UnixStream>, kind: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(5 + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    frame.extend_from_slice(payload);
    let mut to = *to.lock().unwrap_or_else(PoisonError::into_inner);
    to.write_all(&frame)
}

fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}
