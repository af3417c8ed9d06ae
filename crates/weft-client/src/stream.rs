//! Server-sent events (WHATWG HTML, §9.2): typed, and resumed after a broken connection.

use crate::ClientError;
use crate::connect::unreachable;
use crate::request::{Call, Client};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, header};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a lost server is waited for: an upgrade takes seconds, a reboot a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// Wait between two attempts to reach it again.
const RETRY: Duration = Duration::from_millis(250);

/// Longest event: a workload with a spec of the largest size.
const EVENT_MAX: usize = 4 << 20;

/// A stream of events, each a `T`.
pub struct Events<T> {
    client: Client,
    path: String,
    source: Source,
    buffer: Vec<u8>,
    ready: VecDeque<T>,
    event: Pending,
    last_id: Option<String>,
    resume_at: Option<ResumeAt<T>>,
    patience: Duration,
}

/// Where the next bytes come from.
enum Source {
    /// From this answer.
    Open(Incoming),
    /// From the next one: this broke. Kept until then, so that a call that is given up while it
    /// waits for the server can be made again.
    Broken(String),
    /// There are no more.
    Ended,
}

/// For streams without numbers: resumed by time. What was had of the last millisecond comes
/// again and is skipped.
struct ResumeAt<T> {
    time: fn(&T) -> u64,
    last: u64,
    had: usize,
    skip: usize,
}

/// The event that is being read.
#[derive(Default)]
struct Pending {
    sort: String,
    data: String,
    id: Option<String>,
}

impl<T: DeserializeOwned> Events<T> {
    pub(crate) async fn open(client: &Client, path: String) -> Result<Self, ClientError> {
        let mut events = Self {
            client: client.clone(),
            path,
            source: Source::Ended,
            buffer: Vec::new(),
            ready: VecDeque::new(),
            event: Pending::default(),
            last_id: None,
            resume_at: None,
            patience: PATIENCE,
        };
        events.source = Source::Open(events.connect().await?);
        Ok(events)
    }

    /// Resumes by `since_ms` behind the times of what came, instead of by number.
    #[must_use]
    pub(crate) fn by_time(mut self, time: fn(&T) -> u64) -> Self {
        self.resume_at = Some(ResumeAt { time, last: 0, had: 0, skip: 0 });
        self
    }

    /// Gives up at once when the connection breaks, instead of waiting for the server.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.patience = Duration::ZERO;
        self
    }

    /// Goes on with a stream that the server ended, because it was ended itself.
    pub async fn reopen(&mut self) -> Result<(), ClientError> {
        self.source = Source::Broken("the server ended the stream".to_owned());
        self.resume().await
    }

    /// The next event; none when the server ended the stream. A call that is given up loses
    /// nothing.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if self.resume_at.as_mut().is_none_or(|resume| resume.is_new(&event)) {
                    return Ok(Some(event));
                }
                continue;
            }
            let body = match &mut self.source {
                Source::Open(body) => body,
                Source::Broken(_) => {
                    self.resume().await?;
                    continue;
                }
                Source::Ended => return Ok(None),
            };
            match body.frame().await {
                None => self.source = Source::Ended,
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                        self.parse()?;
                    }
                }
                Some(Err(error)) => self.source = Source::Broken(error.to_string()),
            }
        }
    }

    async fn connect(&self) -> Result<Incoming, ClientError> {
        let mut call = Call::new(Method::GET, &self.current_path());
        call.headers.push((header::ACCEPT, "text/event-stream".to_owned()));
        if let Some(id) = &self.last_id {
            call.headers.push((header::HeaderName::from_static("last-event-id"), id.clone()));
        }
        Ok(self.client.send(&call).await?.into_body())
    }

    fn current_path(&self) -> String {
        match &self.resume_at {
            // The path may have a `since_ms` of its own.
            Some(resume) if resume.had > 0 => {
                let (path, rest) = self.path.split_once('?').unwrap_or((&self.path, ""));
                let kept = rest.split('&').filter(|p| !p.is_empty() && !p.starts_with("since_ms="));
                let kept: String = kept.map(|pair| format!("{pair}&")).collect();
                format!("{path}?{kept}since_ms={}", resume.last)
            }
            _ => self.path.clone(),
        }
    }

    /// Reaches the server again and goes on behind the last event.
    async fn resume(&mut self) -> Result<(), ClientError> {
        let begun = tokio::time::Instant::now();
        let why = match &self.source {
            Source::Broken(why) => why.clone(),
            Source::Open(_) | Source::Ended => String::new(),
        };
        let mut last = unreachable(self.client.address(), std::io::Error::other(why));
        self.buffer.clear();
        self.event = Pending::default();
        if let Some(resume) = &mut self.resume_at {
            resume.skip = resume.had;
        }
        while begun.elapsed() < self.patience {
            match self.connect().await {
                Ok(body) => {
                    self.source = Source::Open(body);
                    return Ok(());
                }
                Err(error @ ClientError::Unreachable { .. }) => last = error,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(RETRY).await;
        }
        self.source = Source::Ended;
        Err(last)
    }

    /// Takes whole lines out of the buffer.
    fn parse(&mut self) -> Result<(), ClientError> {
        let mut start = 0;
        while let Some(length) = self.buffer[start..].iter().position(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[start..start + length]).into_owned();
            start += length + 1;
            self.line(line.trim_end_matches('\r'))?;
        }
        self.buffer.drain(..start);
        if self.buffer.len() + self.event.data.len() > EVENT_MAX {
            return Err(self.client.protocol("an event is too long"));
        }
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<(), ClientError> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            self.last_id = event.id.or(self.last_id.take());
            if event.sort == "problem" {
                let problem = serde_json::from_str(&event.data);
                let problem = problem.map_err(|e| self.client.protocol(e))?;
                return Err(ClientError::Problem(Box::new(problem)));
            }
            if !event.data.is_empty() {
                let event = serde_json::from_str(&event.data);
                self.ready.push_back(event.map_err(|e| self.client.protocol(e))?);
            }
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => {
                self.event.data.push('\n');
                self.event.data.push_str(value);
            }
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.sort),
            // Comments keep the connection alive.
            _ => {}
        }
        Ok(())
    }
}

impl<T> ResumeAt<T> {
    /// Counts an event; false where it was had before the connection broke.
    fn is_new(&mut self, event: &T) -> bool {
        let at = (self.time)(event);
        if at == self.last && self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.skip = 0;
        self.had = if at == self.last { self.had + 1 } else { 1 };
        self.last = at;
        true
    }
}
