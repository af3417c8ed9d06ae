//! Carries bytes between two connections until both directions have ended.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

/// What is read at once, and so held of each direction: a fast reader then costs few calls, and
/// 256 connections no more than 32 MiB.
const CHUNK: usize = 64 << 10;

/// A connection, read and written through a reference: by two threads, with one descriptor.
pub(super) trait End: Sync {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
    fn shutdown(&self, how: Shutdown);
}

macro_rules! end {
    ($stream:ty) => {
        impl End for $stream {
            fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, bytes)
            }

            fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
                Write::write_all(&mut &*self, bytes)
            }

            fn shutdown(&self, how: Shutdown) {
                let _ = <$stream>::shutdown(self, how);
            }
        }
    };
}
end!(TcpStream);
end!(UnixStream);

/// Copies both ways. Each direction's end is passed on, so that half-closed protocols work.
pub(super) fn both_ways(a: impl End, b: impl End) -> io::Result<()> {
    thread::scope(|scope| {
        let forth = thread::Builder::new()
            .stack_size(super::STACK)
            .spawn_scoped(scope, || one_way(&a, &b))?;
        one_way(&b, &a);
        // A panic of the other direction has closed its connections: nothing is left to do.
        drop(forth.join());
        Ok(())
    })
}

fn one_way(from: &impl End, to: &impl End) {
    let copied = copy(from, to);
    to.shutdown(Shutdown::Write);
    if copied.is_err() {
        from.shutdown(Shutdown::Both);
    }
}

/// A slow reader holds its writer up: no more is taken than was passed on.
fn copy(from: &impl End, to: &impl End) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&chunk[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
