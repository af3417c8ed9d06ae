//! Carries bytes between two connections until both directions have ended.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::thread;

/// Copies both ways. Each direction's end is passed on, so that half-closed protocols work.
pub(super) fn both_ways(a: TcpStream, b: TcpStream) -> io::Result<()> {
    let (a_reader, b_writer) = (a.try_clone()?, b.try_clone()?);
    thread::scope(|scope| {
        let forth = thread::Builder::new()
            .stack_size(super::STACK)
            .spawn_scoped(scope, move || one_way(a_reader, b_writer))?;
        one_way(b, a);
        // A panic of the other direction has closed its connections: nothing is left to do.
        drop(forth.join());
        Ok(())
    })
}

fn one_way(mut from: TcpStream, mut to: TcpStream) {
    // On Linux this is splice(2): the bytes do not pass through here.
    let copied = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    if copied.is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
}
