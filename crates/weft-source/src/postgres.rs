//! PostgreSQL, as far as reading takes: protocol 3.0, SCRAM-SHA-256, one read-only snapshot, COPY.
//!
//! ```text
//! SSLRequest ─► TLS ─► startup ─► SASL ─► BEGIN … REPEATABLE READ READ ONLY ─► COPY (…) TO STDOUT
//! ```
//!
//! A query of a user's is parsed by the server on its own before it is put between the parentheses
//! of COPY: so it is one statement, whole, and cannot close them. Absent on purpose: pools, types,
//! parameters, passwords in clear or under MD5.

use crate::dial::{IDLE, LOGIN, Line};
use crate::error::SourceError;
use crate::scram::Scram;
use crate::snapshot::Database;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// Longest message that is taken: one row as CSV. It is held once, and eight imports hold eight.
const MESSAGE_MAX: usize = crate::ROW_MAX;
/// Bytes that are read, and sent on, at a time: a row has some hundred.
const BUFFER: usize = 64 << 10;
/// How long one statement may take on the server.
const STATEMENT: Duration = Duration::from_secs(6 * 3_600);
/// Protocol 3.0.
const PROTOCOL: i32 = 196_608;
/// Asks whether TLS is spoken.
const TLS: i32 = 80_877_103;

/// A connection, and a snapshot once there is one.
pub struct Postgres {
    host: String,
    line: BufReader<Box<dyn Line>>,
}

/// A message of the server.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

impl Postgres {
    /// Connects and begins a snapshot: all that is read is of one moment, which is told.
    ///
    /// # Errors
    /// Nobody is there, or the server refuses.
    pub(crate) async fn open(at: &Database) -> Result<(Self, String), SourceError> {
        let host = || at.host.0.clone();
        let opened = tokio::time::timeout(LOGIN, Self::open_unbounded(at)).await;
        opened.map_err(|_| SourceError::Login { host: host(), after: LOGIN })?
    }

    async fn open_unbounded(at: &Database) -> Result<(Self, String), SourceError> {
        let (host, port) = &at.host;
        let mut line = at.out.dial(host, *port).await?;
        let line: Box<dyn Line> = if at.plain {
            Box::new(line)
        } else {
            let mut ask = 8_i32.to_be_bytes().to_vec();
            ask.extend_from_slice(&TLS.to_be_bytes());
            let broken = |e| SourceError::broken(host, e);
            line.write_all(&ask).await.map_err(broken)?;
            let answer = tokio::time::timeout(IDLE, line.read_u8()).await;
            let silent = |_| SourceError::Silent { host: host.clone(), after: IDLE };
            if answer.map_err(silent)?.map_err(broken)? != b'S' {
                let why = "it has no TLS: turn it on there, or declare the source with --plain";
                return Err(SourceError::protocol(host, why));
            }
            // Nothing may have come before TLS: it is read from a line that nobody has read on.
            at.out.tls(host, line).await?
        };
        let line = BufReader::with_capacity(BUFFER, line);
        let mut postgres = Self { host: host.clone(), line };
        postgres.start(at).await?;
        let statement = STATEMENT.as_millis();
        postgres.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        postgres.run(&format!("SET LOCAL statement_timeout = {statement}")).await?;
        postgres.run("SET LOCAL timezone = 'UTC'").await?;
        postgres.run("SET LOCAL datestyle = 'ISO'").await?;
        // The first look takes the snapshot: after it no statement can make the transaction one
        // that writes.
        let now = "SELECT to_char(now(), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
        let moment = postgres.value(now).await?.unwrap_or_default();
        Ok((postgres, moment))
    }

    /// Sends what a query gives, as CSV with a line of names: nothing is NULL, `""` is empty.
    ///
    /// # Errors
    /// It is no query that reads, or the server breaks off.
    pub(crate) async fn send(
        &mut self,
        query: &str,
        to: &mut (impl AsyncWrite + Unpin),
        most: u64,
    ) -> Result<u64, SourceError> {
        self.check(query).await?;
        // A comment at its end ends with the line.
        let copy =
            format!("COPY (\n{query}\n) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')");
        self.write(b'Q', &text(&copy)).await?;
        let (mut sent, mut rows, mut failed) = (0, Vec::new(), None);
        loop {
            let message = self.read().await?;
            match message.kind {
                // A long row is not copied.
                b'd' if failed.is_none() && rows.is_empty() => rows = message.body,
                b'd' if failed.is_none() => rows.extend_from_slice(&message.body),
                b'E' => failed = Some(error(&message.body)),
                _ => {}
            }
            let ended = message.kind == b'Z';
            if ended || rows.len() >= BUFFER {
                sent += rows.len() as u64;
                if sent > most {
                    return Err(SourceError::TooLong { what: "the query's answer".into(), most });
                }
                to.write_all(&rows).await.map_err(SourceError::Kept)?;
                rows = Vec::new();
            }
            if ended {
                return failed.map_or(Ok(sent), Err);
            }
        }
    }

    /// Has the server parse a query on its own: whole, one statement, and one that gives rows.
    async fn check(&mut self, query: &str) -> Result<(), SourceError> {
        if query.contains('\0') {
            return Err(SourceError::named("the query", "has a NUL character"));
        }
        let parse = [&text("")[..], &text(query), &0_i16.to_be_bytes()].concat();
        self.write(b'P', &parse).await?;
        self.write(b'D', b"S\0").await?;
        self.write(b'S', b"").await?;
        let (mut rows, mut failed) = (false, None);
        loop {
            let message = self.read().await?;
            match message.kind {
                b'T' => rows = true,
                b'E' => failed = Some(error(&message.body)),
                b'Z' => break,
                _ => {}
            }
        }
        match (failed, rows) {
            (Some(failed), _) => Err(failed),
            (None, true) => Ok(()),
            (None, false) => {
                Err(SourceError::named("the query", "gives no rows: write one SELECT"))
            }
        }
    }

    /// One statement of our own, and the first value that it gives.
    pub(crate) async fn value(&mut self, sql: &str) -> Result<Option<String>, SourceError> {
        self.write(b'Q', &text(sql)).await?;
        let (mut value, mut failed) = (None, None);
        loop {
            let message = self.read().await?;
            match message.kind {
                b'D' => value = first_value(&message.body),
                b'E' => failed = Some(error(&message.body)),
                b'Z' => return failed.map_or(Ok(value), Err),
                _ => {}
            }
        }
    }

    async fn run(&mut self, sql: &str) -> Result<(), SourceError> {
        self.value(sql).await.map(drop)
    }

    /// Says who asks, and proves it.
    async fn start(&mut self, at: &Database) -> Result<(), SourceError> {
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        let said = [
            ("user", at.user.as_str()),
            ("database", at.database.as_str()),
            ("application_name", "weft"),
            ("client_encoding", "UTF8"),
        ];
        for (name, value) in said {
            body.extend_from_slice(&text(name));
            body.extend_from_slice(&text(value));
        }
        body.push(0);
        let length = i32::try_from(body.len() + 4).unwrap_or(i32::MAX);
        let message = [&length.to_be_bytes()[..], &body].concat();
        self.line.write_all(&message).await.map_err(|e| SourceError::broken(&self.host, e))?;
        let mut scram = None;
        loop {
            let message = self.read().await?;
            match message.kind {
                b'R' => self.prove(&message.body, at, &mut scram).await?,
                b'E' => return Err(error(&message.body)),
                b'Z' => return Ok(()),
                _ => {}
            }
        }
    }

    async fn prove(
        &mut self,
        body: &[u8],
        at: &Database,
        scram: &mut Option<Scram>,
    ) -> Result<(), SourceError> {
        let wrong = |why: &str| SourceError::protocol(&at.host.0, why);
        let (kind, rest) = body.split_at_checked(4).ok_or_else(|| wrong("a short message"))?;
        let kind = i32::from_be_bytes(kind.try_into().unwrap_or_default());
        match (kind, scram) {
            (0, None) => Ok(()),
            (0, Some(scram)) if scram.is_proved() => Ok(()),
            (0, Some(_)) => Err(wrong("it did not prove that it knows the password")),
            (10, scram @ None) => {
                let mut offered = rest.split(|byte| *byte == 0);
                if !offered.any(|name| name == b"SCRAM-SHA-256") {
                    return Err(wrong("it does not offer SCRAM-SHA-256"));
                }
                let begun = Scram::new(&at.password);
                let first = begun.first();
                let length = i32::try_from(first.len()).unwrap_or(i32::MAX).to_be_bytes();
                let answer = [&text("SCRAM-SHA-256")[..], &length, first.as_bytes()].concat();
                *scram = Some(begun);
                self.write(b'p', &answer).await
            }
            (11, scram) if scram.as_ref().is_some_and(|scram| !scram.is_answered()) => {
                let asked = String::from_utf8_lossy(rest).into_owned();
                let mut begun = scram.take().ok_or_else(|| wrong("a proof out of turn"))?;
                // Its rounds are work: not where other connections wait.
                let work = tokio::task::spawn_blocking(move || {
                    let answer = begun.answer(&asked);
                    (begun, answer)
                });
                let (begun, answer) =
                    work.await.map_err(|e| SourceError::Kept(std::io::Error::other(e)))?;
                *scram = Some(begun);
                self.write(b'p', answer.map_err(wrong)?.as_bytes()).await
            }
            (12, Some(scram)) if scram.is_answered() && !scram.is_proved() => {
                scram.proved(&String::from_utf8_lossy(rest)).map_err(wrong)
            }
            (10..=12, _) => Err(wrong("a step of SASL that is not due: each comes once, in order")),
            (3 | 5, _) => Err(wrong(
                "it wants the password in clear or under MD5: give its user one under \
                 SCRAM-SHA-256 (password_encryption)",
            )),
            _ => Err(wrong("it wants another way to prove who asks than SCRAM-SHA-256")),
        }
    }

    async fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), SourceError> {
        let length = i32::try_from(body.len() + 4)
            .map_err(|_| SourceError::named("the query", "is too long"))?;
        let message = [&[kind][..], &length.to_be_bytes(), body].concat();
        self.line.write_all(&message).await.map_err(|e| SourceError::broken(&self.host, e))?;
        self.line.flush().await.map_err(|e| SourceError::broken(&self.host, e))
    }

    async fn read(&mut self) -> Result<Message, SourceError> {
        // A query may think for long before its first row: the server ends it by its own clock.
        let read = tokio::time::timeout(STATEMENT, self.message()).await;
        read.map_err(|_| SourceError::Silent { host: self.host.clone(), after: STATEMENT })?
    }

    async fn message(&mut self) -> Result<Message, SourceError> {
        let broken = |e| SourceError::broken(&self.host, e);
        let kind = self.line.read_u8().await.map_err(broken)?;
        let length = self.line.read_i32().await.map_err(broken)?;
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let length = length.filter(|length| *length <= MESSAGE_MAX).ok_or_else(|| {
            SourceError::protocol(
                &self.host,
                format!("a row, or another message, of more than {MESSAGE_MAX} bytes"),
            )
        })?;
        let mut body = vec![0; length];
        self.line.read_exact(&mut body).await.map_err(broken)?;
        Ok(Message { kind, body })
    }
}

/// Text with the NUL that ends it; none in it.
fn text(text: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
    bytes.push(0);
    bytes
}

fn first_value(body: &[u8]) -> Option<String> {
    let length = i32::from_be_bytes(body.get(2..6)?.try_into().ok()?);
    let value = body.get(6..6 + usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn error(body: &[u8]) -> SourceError {
    let fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
    let fields: BTreeMap<u8, String> =
        fields.map(|(kind, text)| (*kind, String::from_utf8_lossy(text).into_owned())).collect();
    let field = |kind: u8| fields.get(&kind).map_or("", String::as_str);
    SourceError::database(field(b'C'), field(b'M'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use zeroize::Zeroizing;

    /// Why a login fails at a server that sends these steps of SASL, one after the other.
    async fn refused(steps: &[(i32, &[u8])]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut sent = Vec::new();
        for (kind, rest) in steps {
            let length = i32::try_from(rest.len() + 8).unwrap().to_be_bytes();
            sent.extend([b"R", &length[..], &kind.to_be_bytes(), rest].concat());
        }
        let served = tokio::spawn(async move {
            let (mut line, _) = listener.accept().await.unwrap();
            line.write_all(&sent).await.unwrap();
            while line.read(&mut [0; 4_096]).await.is_ok_and(|count| count > 0) {}
        });
        let out = crate::dial::Outbound::new(vec!["127.0.0.1/32".parse().unwrap()], None).unwrap();
        let at = Database {
            out,
            host: ("127.0.0.1".into(), port),
            database: "d".into(),
            user: "u".into(),
            password: Zeroizing::new("p".into()),
            plain: true,
        };
        let why = Postgres::open(&at).await.err().unwrap().to_string();
        served.abort();
        why
    }

    #[tokio::test]
    async fn the_steps_of_a_login_come_once_and_in_order() {
        let first = (10, &b"SCRAM-SHA-256\0\0"[..]);
        let twice = refused(&[first, first]).await;
        assert!(twice.contains("once, in order"), "{twice}");
        for early in [(11, &b"r=a,s=YQ==,i=4096"[..]), (12, b"v=YQ==")] {
            let why = refused(&[early]).await;
            assert!(why.contains("once, in order"), "{why}");
        }
        let unasked = refused(&[first, (12, b"v=YQ==")]).await;
        assert!(unasked.contains("once, in order"), "{unasked}");
        let unproved = refused(&[first, (0, b"")]).await;
        assert!(unproved.contains("did not prove"), "{unproved}");
    }
}
