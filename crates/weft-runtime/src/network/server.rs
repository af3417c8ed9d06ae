//! The way of a run's programs to the server: two ports of the sandbox, one for the S3 clients of a
//! run that has datasets, one for those that track what they do.
//!
//! ```text
//! boto3  ─► 127.0.0.1:3129 of the sandbox ─┐
//! mlflow ─► 127.0.0.1:3130                ─┴─► this process ─► the server's socket for runs
//! ```
//!
//! The bytes are carried as they are. What makes them the run's is who carries them: the server
//! asks the kernel for the process at the other end, and is told which run it is for by the first
//! line, which is written here before anything of a program. So a connection is good for this run
//! alone, and nothing of it lies anywhere. Absent on purpose: any look at what is carried, any
//! decision.

use super::carry::{self, End};
use rustix::fs::{Mode, OFlags};
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Where they are found inside, unless the run listens there itself: then at the next free ones.
const FIRST_PORT: u16 = 3129;

/// The server's socket for what runs' programs say, beside its own.
pub const RUN_SOCKET: &str = "run.sock";

/// Where programs get keys, minutes long, for what they sign.
pub const KEYS_PATH: &str = "/credentials";

/// What S3 clients call the place where datasets are.
pub const S3_REGION: &str = "us-weft-1";

/// How long a server that is away is waited for: clients give up after a minute without an answer,
/// and try again by themselves when they are told so before.
const PATIENCE: Duration = Duration::from_secs(45);
/// The first wait before it is tried again, and the longest; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Whose clients a way is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Those of S3.
    Datasets,
    /// Those of MLflow.
    Tracking,
}

impl For {
    /// The port for a run that listens on these itself. One that is forwarded to the machine must
    /// not be it: others of the machine could connect.
    pub(crate) fn port(self, own: &[u16]) -> u16 {
        let mut free = (FIRST_PORT..).filter(|port| !own.contains(port));
        free.nth(self as usize).unwrap_or(FIRST_PORT)
    }

    /// What its clients take for: try again, a little later.
    fn away(self) -> (&'static str, &'static str) {
        match self {
            For::Datasets => (
                "application/xml",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\
                 <Code>ServiceUnavailable</Code><Message>the server is away</Message></Error>\n",
            ),
            For::Tracking => (
                "application/json",
                "{\"error_code\":\"TEMPORARILY_UNAVAILABLE\",\
                 \"message\":\"the server is away\"}\n",
            ),
        }
    }
}

/// A run's way.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// For whose clients.
    pub(crate) of: For,
    /// The server's socket for runs.
    pub(crate) socket: PathBuf,
    /// Which run: `w42-1-0`.
    pub(crate) run: String,
    /// Bytes that came to it, with what is said around them.
    pub(crate) came: Arc<AtomicU64>,
}

/// Serves it on a listener of the sandbox's network, in threads, until the process ends.
pub(crate) fn serve(listener: OwnedFd, way: Way) {
    super::serve_each(listener, move |stream| way.carry(stream));
}

impl Way {
    fn carry(&self, inside: TcpStream) -> io::Result<()> {
        // Answers are small and somebody waits for each.
        inside.set_nodelay(true)?;
        match self.open() {
            Ok(outside) => carry::both_ways(inside, Counted(outside, &self.came)),
            Err(_) => {
                let (media, away) = self.of.away();
                let length = away.len();
                let answer = format!(
                    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {media}\r\n\
                     Retry-After: 1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{away}"
                );
                inside.write_all(answer.as_bytes())
            }
        }
    }

    /// A connection of this run, once there is a server.
    fn open(&self) -> io::Result<UnixStream> {
        let (since, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            let left = PATIENCE.saturating_sub(since.elapsed());
            match self.knock(left) {
                Err(_) if !left.is_zero() => {
                    thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                done => return done,
            }
        }
    }

    /// A connection that the server has taken for this run's: one that ends before, as a killed
    /// server's do, has carried nothing and can be made again.
    fn knock(&self, patience: Duration) -> io::Result<UnixStream> {
        let mut stream = connect(&self.socket)?;
        stream.write_all(format!("{}\n", self.run).as_bytes())?;
        stream.set_read_timeout(Some(patience.max(FIRST_WAIT)))?;
        stream.read_exact(&mut [0])?;
        stream.set_read_timeout(None)?;
        Ok(stream)
    }
}

/// The server's end, of which what comes is counted.
struct Counted<'a>(UnixStream, &'a AtomicU64);

impl End for Counted<'_> {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = End::read(&self.0, bytes)?;
        self.1.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        End::write_all(&self.0, bytes)
    }

    fn shutdown(&self, how: Shutdown) {
        End::shutdown(&self.0, how);
    }
}

/// Connects through the folder's descriptor: a socket's path is limited to 107 bytes, a state
/// directory's is not.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    UnixStream::connect(Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_the_run_publishes_is_none_of_them() {
        let ports = |own: &[u16]| (For::Datasets.port(own), For::Tracking.port(own));
        assert_eq!(ports(&[]), (3129, 3130));
        assert_eq!(ports(&[80, 3129, 3131]), (3130, 3132));
    }
}
