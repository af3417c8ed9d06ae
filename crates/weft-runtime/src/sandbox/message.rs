//! What the supervisor and init say to each other: one packet per message, with descriptors.
//!
//! Init lives inside the sandbox. The supervisor believes nothing it says beyond this shape: a
//! packet that does not parse ends the run.

use super::{Plan, kernel};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::process::Stdio;
use std::time::Duration;

/// Longest packet: fits the default socket buffer of 208 KiB with the kernel's overhead, and
/// bounds the arguments and environment of one program.
pub(crate) const PACKET_MAX: usize = 96 << 10;
/// Most descriptors in a packet: standard input, output and error.
const FDS_MAX: usize = 3;

/// What the supervisor asks. `id` names the request in the answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Build the sandbox.
    Build(Box<Plan>),
    /// The cgroup is in place: finish it.
    Go,
    /// Start a program, with the three standard descriptors, or a terminal.
    Spawn { id: u32, argv: Vec<String>, env: Vec<(String, String)>, tty: Option<(u16, u16)> },
    /// Signal the program started by that request, and its group.
    Signal { id: u32, signal: i32 },
    /// Signal everything in the sandbox but init.
    SignalAll { signal: i32 },
    /// A TCP socket of the sandbox's network: listening on the loopback port, or unconnected.
    Socket { id: u32, listen: Option<u16> },
}

/// What init says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Say {
    /// The sandbox could not be made.
    Failed { step: String },
    /// A dataset's folder is mounted; what its requests come by comes along, and is to be served.
    Mounted,
    /// The sandbox is complete: programs can be started.
    Ready,
    /// The program runs; with a terminal, its master comes along.
    Began { id: u32 },
    /// The program could not be started.
    Refused { id: u32, why: String },
    /// The program has ended, with this raw wait status.
    Ended { id: u32, status: i32 },
    /// The socket asked for comes along.
    Socket { id: u32 },
    /// No process is left but init.
    Alone,
}

/// One end of the line.
#[derive(Debug)]
pub(crate) struct Line(OwnedFd);

impl Line {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Line, Line)> {
        let flags = SocketFlags::CLOEXEC;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Line(a), Line(b)))
    }

    /// The line this process was given as standard input, which becomes `/dev/null`.
    pub(crate) fn standard_input() -> io::Result<Line> {
        // SAFETY: nothing else of the process uses the number; it is copied, then replaced.
        let given = unsafe { BorrowedFd::borrow_raw(0) };
        let line = Line(given.try_clone_to_owned()?);
        kernel::move_to(rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?, 0)?;
        Ok(line)
    }

    /// Hands this end to a child process, as one of its standard descriptors.
    pub(crate) fn into_stdio(self) -> Stdio {
        Stdio::from(self.0)
    }

    /// Lets a receiver give up after a while, with `WouldBlock`.
    pub(crate) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        let timeout = rustix::net::sockopt::Timeout::Recv;
        Ok(rustix::net::sockopt::set_socket_timeout(&self.0, timeout, Some(patience))?)
    }

    /// Closes every other descriptor of this process, for a freshly forked child: what the
    /// parent had open is not its business. Standard ones become `/dev/null`.
    pub(super) fn settle(self) -> io::Result<Line> {
        const NUMBER: RawFd = 3;
        kernel::move_to(self.0, NUMBER)?;
        kernel::close_from(NUMBER as u32 + 1)?;
        kernel::hide_from(NUMBER as u32)?;
        // SAFETY: the line was put there just above, and nothing else owns the number.
        let line = Line(unsafe { OwnedFd::from_raw_fd(NUMBER) });
        for number in 0..NUMBER {
            let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
            kernel::move_to(null, number)?;
        }
        Ok(line)
    }

    /// Sends one message. Packets are whole: several threads may send.
    pub(crate) fn send(&self, message: &impl Serialize, fds: &[&dyn AsFd]) -> io::Result<()> {
        let packet = serde_json::to_vec(message)?;
        if packet.len() > PACKET_MAX {
            let rule = format!("arguments and environment are limited to {PACKET_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, rule));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let packet = [IoSlice::new(&packet)];
        loop {
            match sendmsg(&self.0, &packet, &mut ancillary, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                other => return Ok(other.map(|_| ())?),
            }
        }
    }

    /// Receives one message and its descriptors; none when the other end is gone.
    pub(crate) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut packet = vec![0; PACKET_MAX];
        let length = loop {
            let mut slices = [IoSliceMut::new(&mut packet)];
            match recvmsg(&self.0, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                // A reset is told once, where the other end left something unread; what it had
                // said before, its last words among it, is still to come.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                other => break other?.bytes,
            }
        };
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        match length {
            0 => Ok(None),
            _ => Ok(Some((serde_json::from_slice(&packet[..length])?, fds))),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (a, b) = Line::pair().unwrap();
        a.send(&Say::Ready, &[]).unwrap();
        a.send(&Say::Socket { id: 7 }, &[&a]).unwrap();
        assert!(matches!(b.receive().unwrap(), Some((Say::Ready, fds)) if fds.is_empty()));
        let second = b.receive().unwrap();
        assert!(matches!(second, Some((Say::Socket { id: 7 }, fds)) if fds.len() == 1));
        drop(a);
        assert!(b.receive::<Say>().unwrap().is_none());
    }

    #[test]
    fn an_oversized_message_is_refused_before_it_is_sent() {
        let (a, _b) = Line::pair().unwrap();
        let argv = vec!["x".repeat(PACKET_MAX)];
        let ask = Ask::Spawn { id: 1, argv, env: Vec::new(), tty: None };
        assert!(a.send(&ask, &[]).is_err());
    }
}
