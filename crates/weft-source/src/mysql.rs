//! MySQL and MariaDB, as far as reading takes: protocol 4.1, one consistent snapshot, text rows.
//!
//! ```text
//! greeting ─► TLS ─► login (native, caching_sha2) ─► START TRANSACTION WITH CONSISTENT SNAPSHOT,
//! READ ONLY ─► prepare (is it one statement that gives rows?) ─► query ─► CSV
//! ```
//!
//! Neither several statements at once nor files of ours are offered to the server, so that it can
//! not be made to run the one or to ask for the other. A query of a user's is prepared first: what
//! gives no columns then (writing to a file, calling, changing) is not run. Absent on purpose:
//! passwords in clear without TLS, compression.

use crate::dial::{IDLE, LOGIN, Line};
use crate::error::SourceError;
use crate::snapshot::Database;
use ring::digest;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use zeroize::Zeroizing;

/// Longest packet that is taken: a row.
const PACKET_MAX: usize = crate::ROW_MAX;
/// Most columns of an answer: the most that a table of MySQL's has.
const COLUMNS_MAX: usize = 4_096;
/// Longest name of a column: 64 letters of at most four bytes.
const NAME_MAX: usize = 256;
/// Most packets of a login: a switch, a wish for the password and the end are four.
const LOGIN_MAX: usize = 8;
/// A packet this long is a part: another follows.
const PART: usize = 0xff_ffff;
/// How long one statement may take on the server.
const STATEMENT: Duration = Duration::from_secs(6 * 3_600);
/// Bytes that are read, and sent on, at a time: a row has some hundred.
const BUFFER: usize = 64 << 10;
/// UTF-8 of four bytes.
const UTF8: u8 = 45;
/// The "character set" of bytes.
const BINARY: u16 = 63;

/// What we can do: long password, database, protocol 4.1, transactions, long nonces, plug-ins.
/// Neither LOCAL FILES (0x80) nor MULTI STATEMENTS (0x1_0000).
const ABILITIES: u32 = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x8_0000;
/// TLS.
const ABLE_TLS: u32 = 0x800;

/// A connection, and a snapshot once there is one.
pub struct Mysql {
    host: String,
    line: BufReader<Box<dyn Line>>,
    number: u8,
}

/// A column of what a query gives.
struct Column {
    name: Vec<u8>,
    binary: bool,
}

impl Mysql {
    /// Connects and begins a snapshot: all that is read is of one moment, which is told.
    pub(crate) async fn open(at: &Database) -> Result<(Self, String), SourceError> {
        let host = || at.host.0.clone();
        let opened = tokio::time::timeout(LOGIN, Self::open_unbounded(at)).await;
        opened.map_err(|_| SourceError::Login { host: host(), after: LOGIN })?
    }

    async fn open_unbounded(at: &Database) -> Result<(Self, String), SourceError> {
        let (host, port) = &at.host;
        let mut line = at.out.dial(host, *port).await?;
        let broken = |e| SourceError::broken(host, e);
        // By itself, so that nothing behind it is read before TLS is there.
        let greeting = tokio::time::timeout(IDLE, packet(&mut line)).await;
        let silent = |_| SourceError::Silent { host: host.clone(), after: IDLE };
        let (_, greeting) = greeting.map_err(silent)?.map_err(broken)?;
        let greeting = Greeting::read(&greeting).map_err(|why| why.told(host))?;
        let (line, number): (Box<dyn Line>, u8) = match (at.plain, greeting.tls) {
            (true, _) => (Box::new(line), 1),
            (false, false) => {
                let why = "it has no TLS: turn it on there, or declare the source with --plain";
                return Err(SourceError::protocol(host, why));
            }
            (false, true) => {
                let ask = head(ABILITIES | ABLE_TLS);
                line.write_all(&framed(1, &ask)).await.map_err(broken)?;
                (at.out.tls(host, line).await?, 2)
            }
        };
        let line = BufReader::with_capacity(BUFFER, line);
        let mut mysql = Self { host: host.clone(), line, number };
        mysql.log_in(at, &greeting).await?;
        mysql.run("SET NAMES utf8mb4").await?;
        mysql.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        mysql.run("SET time_zone = '+00:00'").await?;
        // One has the one, the other the other.
        let seconds = STATEMENT.as_secs();
        let bound = mysql.run(&format!("SET SESSION max_statement_time = {seconds}")).await;
        if matches!(bound, Err(SourceError::Database { .. })) {
            mysql.run(&format!("SET SESSION max_execution_time = {}", seconds * 1_000)).await?;
        }
        mysql.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        let now = "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')";
        let moment = mysql.value(now).await?.unwrap_or_default();
        Ok((mysql, moment))
    }

    /// See [`Snapshot::send`](crate::Snapshot::send).
    pub(crate) async fn send(
        &mut self,
        query: &str,
        to: &mut (impl AsyncWrite + Unpin),
        most: u64,
    ) -> Result<u64, SourceError> {
        self.check(query).await?;
        let columns = self.ask(query).await?;
        let names: Vec<_> = columns.iter().map(|column| Some(column.name.clone())).collect();
        let (mut rows, mut sent) = (Vec::new(), 0);
        line_of(&mut rows, names.iter().map(Option::as_deref));
        loop {
            let row = self.read().await?;
            let ended = self.is_end(&row)?;
            if !ended {
                let values = values(&row, &columns).map_err(|why| why.told(&self.host))?;
                drop(row);
                line_of(&mut rows, values.iter().map(Option::as_deref));
            }
            if ended || rows.len() >= BUFFER {
                sent += rows.len() as u64;
                if sent > most {
                    return Err(SourceError::TooLong { what: "the query's answer".into(), most });
                }
                to.write_all(&rows).await.map_err(SourceError::Kept)?;
                // What a long row took is not kept for the short ones.
                rows = Vec::new();
            }
            if ended {
                return Ok(sent);
            }
        }
    }

    /// Has the server parse a query: one statement, and one that gives rows.
    async fn check(&mut self, query: &str) -> Result<(), SourceError> {
        self.command(0x16, query.as_bytes()).await?;
        let answer = self.read().await?;
        let wrong = || Wrong.told(&self.host);
        let number = |at: usize| {
            let bytes = answer.get(at..at + 2).ok_or_else(wrong)?;
            Ok::<_, SourceError>(u16::from_le_bytes([bytes[0], bytes[1]]))
        };
        let (columns, parameters) = (number(5)?, number(7)?);
        let statement = answer.get(1..5).ok_or_else(wrong)?.to_vec();
        for count in [parameters, columns] {
            if count > 0 {
                for _ in 0..=count {
                    self.read().await?;
                }
            }
        }
        // It has no answer.
        self.command(0x19, &statement).await?;
        let refused = |rule| Err(SourceError::named("the query", rule));
        match (columns, parameters) {
            (0, _) => refused("gives no rows: write one SELECT"),
            (_, 0) => Ok(()),
            _ => refused("has a `?` that nothing stands for"),
        }
    }

    /// One statement of our own, and the first value that it gives.
    pub(crate) async fn value(&mut self, sql: &str) -> Result<Option<String>, SourceError> {
        let columns = self.ask(sql).await?;
        let mut value = None;
        loop {
            let row = self.read().await?;
            if self.is_end(&row)? {
                return Ok(value);
            }
            let values = values(&row, &columns).map_err(|why| why.told(&self.host))?;
            let first = values.into_iter().next().flatten();
            value = first.map(|value| String::from_utf8_lossy(&value).into_owned());
        }
    }

    /// One statement of our own that gives no rows.
    async fn run(&mut self, sql: &str) -> Result<(), SourceError> {
        self.command(0x03, sql.as_bytes()).await?;
        self.read().await.map(drop)
    }

    /// Asks, and reads what the columns are.
    async fn ask(&mut self, query: &str) -> Result<Vec<Column>, SourceError> {
        self.command(0x03, query.as_bytes()).await?;
        let answer = self.read().await?;
        let count = match answer.first() {
            // It did something, or asks for a file of ours.
            Some(0x00 | 0xfb) | None => {
                return Err(SourceError::named("the query", "gives no rows: write one SELECT"));
            }
            Some(_) => {
                let count = Reader(&answer).length().map_err(|why| why.told(&self.host))?;
                let count = count.ok_or_else(|| Wrong.told(&self.host))?;
                if count > COLUMNS_MAX {
                    let why = format!("an answer of {count} columns: at most {COLUMNS_MAX}");
                    return Err(SourceError::protocol(&self.host, why));
                }
                count
            }
        };
        let mut columns = Vec::new();
        for _ in 0..count {
            let packet = self.read().await?;
            let column = Column::read(&packet).map_err(|why| why.told(&self.host))?;
            if column.name.len() > NAME_MAX {
                let why =
                    format!("a column's name of {} bytes: at most {NAME_MAX}", column.name.len());
                return Err(SourceError::protocol(&self.host, why));
            }
            columns.push(column);
        }
        self.read().await?;
        Ok(columns)
    }

    fn is_end(&self, packet: &[u8]) -> Result<bool, SourceError> {
        match packet.first() {
            None => Err(Wrong.told(&self.host)),
            Some(first) => Ok(*first == 0xfe && packet.len() < 9),
        }
    }

    async fn log_in(&mut self, at: &Database, greeting: &Greeting) -> Result<(), SourceError> {
        let able = ABILITIES | if at.plain { 0 } else { ABLE_TLS };
        let proof = proof(&greeting.plugin, &at.password, &greeting.nonce);
        let mut body = head(able);
        body.extend_from_slice(&text(&at.user));
        body.push(u8::try_from(proof.len()).unwrap_or(0));
        body.extend_from_slice(&proof);
        body.extend_from_slice(&text(&at.database));
        body.extend_from_slice(&text(&greeting.plugin));
        self.write(&body).await?;
        for _ in 0..LOGIN_MAX {
            let answer = self.read().await?;
            match answer.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xfe, rest)) => {
                    let (plugin, nonce) = Reader(rest).switch();
                    if !matches!(plugin.as_str(), NATIVE | CACHING) {
                        let why = format!("it wants `{plugin}`, another way to prove who asks");
                        return Err(SourceError::protocol(&self.host, why));
                    }
                    self.write(&proof_of(&plugin, at, &nonce)).await?;
                }
                Some((0x01, [0x03, ..])) => {}
                // It does not know the password's hash yet, and wants the password itself.
                Some((0x01, [0x04, ..])) if !at.plain => {
                    let password = Zeroizing::new(text(&at.password));
                    self.write(&password).await?;
                }
                Some((0x01, _)) => {
                    let why = "it wants the password itself, and without TLS it is not said";
                    return Err(SourceError::protocol(&self.host, why));
                }
                _ => return Err(Wrong.told(&self.host)),
            }
        }
        let why = format!("a login of more than {LOGIN_MAX} packets");
        Err(SourceError::protocol(&self.host, why))
    }

    async fn command(&mut self, command: u8, body: &[u8]) -> Result<(), SourceError> {
        self.number = 0;
        self.write(&[&[command][..], body].concat()).await
    }

    async fn write(&mut self, body: &[u8]) -> Result<(), SourceError> {
        if body.len() >= PART {
            return Err(SourceError::named("the query", "is too long"));
        }
        let packet = Zeroizing::new(framed(self.number, body));
        self.line.write_all(&packet).await.map_err(|e| SourceError::broken(&self.host, e))?;
        self.line.flush().await.map_err(|e| SourceError::broken(&self.host, e))
    }

    /// The next packet; an error of the server's is one.
    async fn read(&mut self) -> Result<Vec<u8>, SourceError> {
        // A query may think for long before its first row: the server ends it by its own clock.
        let read = tokio::time::timeout(STATEMENT, packet(&mut self.line)).await;
        let read =
            read.map_err(|_| SourceError::Silent { host: self.host.clone(), after: STATEMENT })?;
        let (number, body) = read.map_err(|e| SourceError::broken(&self.host, e))?;
        self.number = number.wrapping_add(1);
        match body.split_first() {
            Some((0xff, rest)) => Err(error(rest)),
            _ => Ok(body),
        }
    }
}

/// A packet, of all its parts, and the last one's number.
async fn packet(line: &mut (impl Line + ?Sized)) -> std::io::Result<(u8, Vec<u8>)> {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 4];
        line.read_exact(&mut head).await?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        let before = body.len();
        if before + length > PACKET_MAX {
            let why = format!("a row, or another packet, of more than {PACKET_MAX} bytes");
            return Err(std::io::Error::other(why));
        }
        body.resize(before + length, 0);
        line.read_exact(&mut body[before..]).await?;
        if length < PART {
            return Ok((head[3], body));
        }
    }
}

fn framed(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..3], &[number], body].concat()
}

/// What a login begins with.
fn head(able: u32) -> Vec<u8> {
    let mut body = able.to_le_bytes().to_vec();
    body.extend_from_slice(&(PACKET_MAX as u32).to_le_bytes());
    body.push(UTF8);
    body.extend_from_slice(&[0; 23]);
    body
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
    bytes.push(0);
    bytes
}

fn error(rest: &[u8]) -> SourceError {
    let code = rest.get(..2).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
    // Behind a `#` stand five letters of another code.
    let message = rest.get(8..).filter(|_| rest.get(2) == Some(&b'#'));
    let message = message.unwrap_or(rest.get(2..).unwrap_or_default());
    SourceError::database(&code.to_string(), &String::from_utf8_lossy(message))
}

const NATIVE: &str = "mysql_native_password";
const CACHING: &str = "caching_sha2_password";

fn proof_of(plugin: &str, at: &Database, nonce: &[u8]) -> Vec<u8> {
    proof(plugin, &at.password, nonce)
}

/// What shows that we know the password, for this nonce.
fn proof(plugin: &str, password: &str, nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let sum = |parts: &[&[u8]]| {
        let kind = match plugin {
            CACHING => &digest::SHA256,
            _ => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        };
        digest::digest(kind, &parts.concat()).as_ref().to_vec()
    };
    let once = Zeroizing::new(sum(&[password.as_bytes()]));
    let twice = sum(&[&once]);
    let mask = match plugin {
        CACHING => sum(&[&twice, nonce]),
        _ => sum(&[nonce, &twice]),
    };
    once.iter().zip(&mask).map(|(a, b)| a ^ b).collect()
}

/// What is no packet that may come here.
struct Wrong;

impl Wrong {
    fn told(&self, host: &str) -> SourceError {
        SourceError::protocol(host, "a packet that MySQL does not send here")
    }
}

/// What a server says first.
struct Greeting {
    tls: bool,
    nonce: Vec<u8>,
    plugin: String,
}

impl Greeting {
    fn read(packet: &[u8]) -> Result<Self, Wrong> {
        let mut reader = Reader(packet);
        if reader.take(1)? != [10] {
            return Err(Wrong);
        }
        reader.until_nul();
        reader.take(4)?;
        let mut nonce = reader.take(8)?.to_vec();
        reader.take(1)?;
        let able = reader.take(2)?;
        let tls = u32::from(u16::from_le_bytes([able[0], able[1]])) & ABLE_TLS != 0;
        reader.take(1 + 2 + 2 + 1 + 10)?;
        nonce.extend_from_slice(&reader.take(13)?[..12]);
        let plugin = String::from_utf8_lossy(reader.until_nul()).into_owned();
        let known = matches!(plugin.as_str(), NATIVE | CACHING);
        Ok(Self { tls, nonce, plugin: if known { plugin } else { NATIVE.to_owned() } })
    }
}

/// A packet that is read from its beginning.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Wrong)?;
        self.0 = rest;
        Ok(taken)
    }

    fn until_nul(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let taken = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        taken
    }

    /// Another plug-in, and its nonce.
    fn switch(mut self) -> (String, Vec<u8>) {
        let plugin = String::from_utf8_lossy(self.until_nul()).into_owned();
        (plugin, self.0.strip_suffix(&[0]).unwrap_or(self.0).to_vec())
    }

    /// A length; none: NULL.
    fn length(&mut self) -> Result<Option<usize>, Wrong> {
        let wide = match self.take(1)?[0] {
            0xfb => return Ok(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => return Err(Wrong),
            short => return Ok(Some(usize::from(short))),
        };
        let mut bytes = [0; 8];
        bytes[..wide].copy_from_slice(self.take(wide)?);
        usize::try_from(u64::from_le_bytes(bytes)).map(Some).map_err(|_| Wrong)
    }

    /// A text; none: NULL.
    fn text(&mut self) -> Result<Option<&'a [u8]>, Wrong> {
        match self.length()? {
            None => Ok(None),
            Some(length) => self.take(length).map(Some),
        }
    }
}

impl Column {
    fn read(packet: &[u8]) -> Result<Self, Wrong> {
        /// BIT, the BLOBs, strings that may be of bytes, GEOMETRY.
        const OF_BYTES: [u8; 8] = [16, 249, 250, 251, 252, 253, 254, 255];
        let mut reader = Reader(packet);
        for _ in 0..4 {
            reader.text()?;
        }
        let name = reader.text()?.ok_or(Wrong)?.to_vec();
        reader.text()?;
        reader.take(1)?;
        let set = reader.take(2)?;
        reader.take(4)?;
        let kind = reader.take(1)?[0];
        let binary = u16::from_le_bytes([set[0], set[1]]) == BINARY && OF_BYTES.contains(&kind);
        Ok(Self { name, binary })
    }
}

/// The values of a row; bytes in hexadecimal digits behind `\x`, as PostgreSQL has them.
fn values(row: &[u8], columns: &[Column]) -> Result<Vec<Option<Vec<u8>>>, Wrong> {
    let mut reader = Reader(row);
    let mut value = |column: &Column| {
        let text = reader.text()?;
        Ok(text.map(|text| match column.binary {
            true => format!("\\x{}", hex::encode(text)).into_bytes(),
            false => text.to_vec(),
        }))
    };
    columns.iter().map(&mut value).collect()
}

/// A line of CSV (RFC 4180): nothing is NULL, `""` is empty.
fn line_of<'a>(to: &mut Vec<u8>, values: impl Iterator<Item = Option<&'a [u8]>>) {
    for (number, value) in values.enumerate() {
        if number > 0 {
            to.push(b',');
        }
        match value {
            None => {}
            Some(value) if !value.is_empty() && !value.iter().any(|b| b",\"\r\n".contains(b)) => {
                to.extend_from_slice(value);
            }
            Some(value) => {
                to.push(b'"');
                for byte in value {
                    to.extend_from_slice(if *byte == b'"' {
                        b"\"\""
                    } else {
                        std::slice::from_ref(byte)
                    });
                }
                to.push(b'"');
            }
        }
    }
    to.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_nothing_are_two_things() {
        let mut line = Vec::new();
        let values: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"a,b"), Some(b"\"\n"), Some(b"c")];
        line_of(&mut line, values.into_iter());
        assert_eq!(line, b",\"\",\"a,b\",\"\"\"\n\",c\n");
    }

    /// A server without TLS that lets anybody in, answers one question, and then says `more`.
    async fn served(first: Vec<Vec<u8>>) -> Result<Mysql, SourceError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = async move {
            let (mut line, _) = listener.accept().await.unwrap();
            let greeting = [
                &b"\x0a8\0"[..],
                &[1; 13],
                &[0; 2],
                &[0; 16],
                &[1; 13],
                b"mysql_native_password\0",
            ];
            line.write_all(&framed(0, &greeting.concat())).await.unwrap();
            packet(&mut line).await.unwrap();
            for body in first {
                if line.write_all(&framed(0, &body)).await.is_err() {
                    return;
                }
            }
            let _ = line.read(&mut [0; 4_096]).await;
        };
        let out = crate::dial::Outbound::new(vec!["127.0.0.1/32".parse().unwrap()], None).unwrap();
        let at = Database {
            out,
            host: ("127.0.0.1".into(), port),
            database: "d".into(),
            user: "u".into(),
            password: Zeroizing::new("p".into()),
            plain: true,
        };
        let served = tokio::spawn(served);
        let opened = Mysql::open(&at).await.map(|(mysql, _)| mysql);
        served.abort();
        opened
    }

    #[tokio::test]
    async fn a_server_that_never_ends_its_login_or_its_columns_is_refused() {
        // Each of them: more of the login to come.
        let why = served(vec![vec![1, 3]; LOGIN_MAX + 1]).await.err().unwrap().to_string();
        assert!(why.contains("login of more than"), "{why}");
        let ok = || vec![0; 7];
        let moment = |answers: Vec<Vec<u8>>| {
            // In, names, isolation, time zone, longest statement, the snapshot; then the moment.
            served(std::iter::repeat_with(ok).take(6).chain(answers).collect())
        };
        let many = [&[0xfe][..], &u64::MAX.to_le_bytes()].concat();
        let why = moment(vec![many]).await.err().unwrap().to_string();
        assert!(why.contains("at most 4096"), "{why}");
        let column = |name: usize| {
            let length = u16::try_from(name).unwrap().to_le_bytes();
            [&[0; 4][..], &[0xfc], &length, &vec![b'n'; name], &[0, 12], &[0; 12]].concat()
        };
        let why = moment(vec![vec![1], column(NAME_MAX + 1)]).await.err().unwrap().to_string();
        assert!(why.contains("name of 257 bytes"), "{why}");
        let end = || vec![0xfe, 0, 0, 0, 0];
        let moment = moment(vec![vec![1], column(NAME_MAX), end(), vec![1, b'n'], end()]).await;
        assert!(moment.is_ok(), "{:?}", moment.err());
    }

    #[test]
    fn a_server_that_lies_about_lengths_is_refused() {
        let column = || Column { name: b"a".to_vec(), binary: false };
        for row in [&[5, b'a'][..], &[0xfe, 255, 255, 255, 255, 255, 255, 255, 255], &[0xff], &[]] {
            assert!(values(row, &[column()]).is_err(), "{row:?}");
        }
        assert!(values(&[0xfb], &[column()]).is_ok_and(|row| row == [None]));
        for greeting in [&[][..], &[9], &[10, b'8', 0, 1, 2], &[10; 30]] {
            assert!(Greeting::read(greeting).is_err(), "{greeting:?}");
        }
    }
}
