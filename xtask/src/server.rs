//! A whole `weft` server in a folder of its own, driven as a user's programs would drive it.
//!
//! Used by the benches and the crash harness. HTTP is spoken by hand over the Unix socket: one
//! request per connection needs thirty lines, and a client crate would be measured along.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start or end before the harness gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition; well below anything measured.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    state: PathBuf,
}

/// An answer: the status and the body, JSON where it is.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// Whether the status is 2xx.
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A command of that binary on that state, with no other environment of Weft's.
pub(crate) fn weft(binary: &Path, state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).env("WEFT_STATE_DIR", state).env("XDG_CONFIG_HOME", state.join("config"));
    command.env_remove("WEFT_FAILPOINT").env_remove("WEFT_SERVER");
    command.stdin(Stdio::null());
    command
}

impl Server {
    /// Starts it; it may not be ready yet, or die at once where a failpoint says so.
    pub(crate) fn spawn(
        binary: &Path,
        state: &Path,
        args: &[&str],
        failpoint: Option<&str>,
    ) -> Result<Server, String> {
        let log = std::fs::File::create(state.join("harness.log")).map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        let mut command = weft(binary, state, &[&["up"], args].concat());
        command.stdout(log).stderr(errors);
        if let Some(failpoint) = failpoint {
            command.env("WEFT_FAILPOINT", failpoint);
        }
        let child = command.spawn().map_err(|e| format!("{}: {e}", binary.display()))?;
        Ok(Server { child, state: state.to_path_buf() })
    }

    /// Waits until it answers that it is ready; none when it died first.
    pub(crate) fn ready(&mut self) -> Option<Duration> {
        let start = Instant::now();
        wait_until(|| {
            if self.dead() {
                return Some(None);
            }
            let ready = self.get("/readyz").is_ok_and(|answer| answer.status == 200);
            ready.then(|| Some(start.elapsed()))
        })
        .flatten()
    }

    /// Whether its process has ended.
    pub(crate) fn dead(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(&mut self) {
        // Ending a process that has ended already is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end and waits; an error when it does not.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let ended = wait_until(|| self.dead().then_some(()));
        ended.ok_or_else(|| "the server did not end on SIGTERM".to_owned())
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        request(&self.state, "GET", path, "", None)
    }

    /// `POST` with an `Idempotency-Key`.
    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer, String> {
        request(&self.state, "POST", path, key, Some(body))
    }

    /// `PUT` with an `Idempotency-Key`.
    pub(crate) fn put(&self, path: &str, key: &str, body: &Value) -> Result<Answer, String> {
        request(&self.state, "PUT", path, key, Some(body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks until there is an answer or [`PATIENCE`] is over.
pub(crate) fn wait_until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(answer) => return Some(answer),
            None if Instant::now() > deadline => return None,
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn request(
    state: &Path,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> Result<Answer, String> {
    exchange(state, method, path, key, body).map_err(|error| format!("{method} {path}: {error}"))
}

fn exchange(
    state: &Path,
    method: &str,
    path: &str,
    key: &str,
    body: Option<&Value>,
) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(state.join("api.sock"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n{key}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| std::io::Error::other("the connection broke off"))
}

/// An answer by its bytes; none where it is not whole.
pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length > body.len()) {
        return None;
    }
    Some(Answer { status, body: serde_json::from_str(body).unwrap_or(Value::Null) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_or_none() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n{\"id\":\"w1\"} ";
        let answer = parse(whole).expect("an answer");
        assert!(answer.ok() && answer.body["id"] == "w1");
        assert!(parse(&whole[..whole.len() - 4]).is_none(), "cut off");
        assert!(parse(b"HTTP/1.1 200").is_none());
    }
}
