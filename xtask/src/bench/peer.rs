//! What benches against other servers share: a connection that is less than a client library costs,
//! so that the servers are what is measured, and what a process needs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// A child that is ended with its owner.
pub(super) struct Ended(pub(super) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that was free a moment ago.
pub(super) fn free_address() -> Result<String, String> {
    let free = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(free.local_addr().map_err(|e| e.to_string())?.to_string())
}

/// The most memory that a process has had at once, as the kernel counts it.
pub(super) fn most_resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The memory of a process and all that descend from it, now, in bytes.
pub(super) fn resident_with_children(pid: u32) -> u64 {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, field(pid, "PPid:")?.try_into().ok()?)))
        .collect();
    let mut tree = vec![pid];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    tree.into_iter().filter_map(|pid| field(pid, "VmRSS:")).sum::<u64>() * 1024
}

fn field(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A connection that is kept.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(address: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).map_err(|e| format!("{address}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a request and reads its answer: from the first byte sent to the last one read.
    pub(super) fn timed(&mut self, head: &str, body: &[u8]) -> Result<(Duration, Vec<u8>), String> {
        let begun = Instant::now();
        let answer = self.exchange(head, body).map_err(|e| e.to_string())?;
        let took = begun.elapsed();
        match answer {
            (200..=299, answer) => Ok((took, answer)),
            (status, answer) => Err(format!("{status} {}", String::from_utf8_lossy(&answer))),
        }
    }

    fn exchange(&mut self, head: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "transfer-encoding" => chunked = value.trim() == "chunked",
                _ if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        match chunked {
            true => answer = self.chunks()?,
            false => self.stream.read_exact(&mut answer)?,
        }
        Ok((status, answer))
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let (mut all, mut line) = (Vec::new(), String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            let before = all.len();
            all.resize(before + length, 0);
            self.stream.read_exact(&mut all[before..])?;
            self.stream.read_line(&mut line)?;
            if length == 0 {
                return Ok(all);
            }
        }
    }
}
