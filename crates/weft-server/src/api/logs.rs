//! Logs: a page of lines, or lines as they are written.
//!
//! The supervisor writes one record per line, `<unix ms> <out|err|weft> <text>`, and finishes
//! the file before the run's exit record; so a follower that has seen the exit and read to the
//! end has seen everything. The older part of a log that grew too long lies beside it in `.1`.

use super::call::Call;
use super::fault::{Fault, at, fault, internal};
use super::reply::json;
use super::state::App;
use super::stream::{Gone, Speaker, broke, stream};
use super::view::member_key;
use axum::response::Response;
use serde::Deserialize;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use utoipa::IntoParams;
use weft_api::problem::Code;
use weft_api::wire::{LogLine, Page};
use weft_store::WorkloadRow;
use weft_types::{Member, WorkloadId};

/// Lines on a page that does not follow: the newest of what was asked for.
const LINES_MAX: usize = 10_000;
/// Lines read at once while following, so that one long log does not hold a thread for long.
const CHUNK: usize = 1_000;
/// Longest record: the supervisor's 16 KiB of text and its frame; longer is cut.
const RECORD_MAX: usize = 20 * 1024;
/// How often a followed log is looked at: a line shows up within what feels like at once.
const LOOK: Duration = Duration::from_millis(50);
/// The same, for one that has been silent.
const LOOK_SILENT: Duration = Duration::from_millis(250);
/// Looks without a line after which a log counts as silent.
const SILENT: u32 = 40;

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct LogQuery {
    /// Go on as lines are written, until the workload ends.
    follow: Option<bool>,
    /// Not older than this.
    since_ms: Option<u64>,
    /// Of this member only.
    member: Option<u32>,
}

/// `GET /workloads/{id}/logs`.
pub(crate) async fn read(call: Call) -> Result<Response, Fault> {
    let query: LogQuery = call.query()?;
    let row = call.workload()?.clone();
    if query.member.is_some_and(|member| member >= row.gang_most) {
        let rule = format!("{} has members 0 to {}", row.id, row.gang_most.saturating_sub(1));
        return Err(at(Code::BadRequest, "member", rule));
    }
    let member = query.member.map(Member);
    let since = query.since_ms.unwrap_or(0);
    if query.follow.unwrap_or(false) {
        let app = call.app.clone();
        return stream(&call, move |speaker| async move {
            let id = row.id;
            match follow(&app, &speaker, row, member, since).await {
                Ok(()) => Ok(()),
                Err(Ended::Gone) => Err(Gone),
                Err(Ended::Fault(fault)) => {
                    tracing::warn!(%id, ?fault, "a followed log ended early");
                    broke(&speaker, fault).await;
                    Ok(())
                }
            }
        });
    }
    let app = call.app.clone();
    let page = tokio::task::spawn_blocking(move || page(&app, &row, member, since));
    json(&page.await.map_err(internal)??)
}

/// The newest lines of the last start, in the order of their times.
fn page(
    app: &App,
    row: &WorkloadRow,
    member: Option<Member>,
    since: u64,
) -> Result<Page<LogLine>, Fault> {
    let mut lines = VecDeque::new();
    let members = members(row, member);
    for member in members.clone() {
        let Some(key) = member_key(row, member) else { continue };
        let mut tail = Tail::new(app.runtime.log_path(key), member, since);
        loop {
            let chunk = tail.lines(CHUNK)?;
            if chunk.is_empty() {
                break;
            }
            lines.extend(chunk);
            // Of a gang's lines the oldest go first; they are sorted below.
            let over = lines.len().saturating_sub(LINES_MAX * members.clone().count());
            lines.drain(..over);
        }
    }
    let mut items: Vec<LogLine> = lines.into();
    items.sort_by_key(|line| line.at_ms);
    items.drain(..items.len().saturating_sub(LINES_MAX));
    Ok(Page { items, next: None })
}

/// Why following ended early.
enum Ended {
    Gone,
    Fault(Fault),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Ended::Gone
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Fault(fault)
    }
}

/// Follows every start of a workload to its end.
async fn follow(
    app: &App,
    speaker: &Speaker,
    mut row: WorkloadRow,
    member: Option<Member>,
    since: u64,
) -> Result<(), Ended> {
    // Subscribed before the row is read, so that no end is missed between the two.
    let (id, mut news) = (row.id, app.feed.subscribe());
    row = current(app, id).await?;
    let mut attempt = row.record.attempt;
    let mut tails = tails(app, &row, member, since);
    let mut silent = 0;
    loop {
        // Known before reading: what was written before an end was seen is read after it.
        let next = row.record.attempt != attempt;
        let over = row.record.state.is_final() || next;
        while say(speaker, &mut tails).await? {
            silent = 0;
        }
        if next {
            attempt = row.record.attempt;
            tails = self::tails(app, &row, member, since);
            continue;
        }
        if over {
            return Ok(());
        }
        silent += 1;
        let rest = if silent > SILENT { LOOK_SILENT } else { LOOK };
        tokio::select! {
            () = speaker.gone() => return Err(Ended::Gone),
            () = tokio::time::sleep(rest) => {}
            () = told_of(&mut news, id) => row = current(app, id).await?,
        }
    }
}

fn tails(app: &App, row: &WorkloadRow, member: Option<Member>, since: u64) -> Vec<Tail> {
    let tail = |member: Member| {
        let key = member_key(row, member)?;
        Some(Tail::new(app.runtime.log_path(key), member, since))
    };
    members(row, member).filter_map(tail).collect()
}

/// The members of its current start, else of its last, or the one of them that is asked for.
fn members(row: &WorkloadRow, one: Option<Member>) -> impl Iterator<Item = Member> + Clone {
    (0..row.members).map(Member).filter(move |member| one.is_none_or(|one| one == *member))
}

/// Says what is new; false when nothing was.
async fn say(speaker: &Speaker, tails: &mut Vec<Tail>) -> Result<bool, Ended> {
    let mut own = std::mem::take(tails);
    let read = tokio::task::spawn_blocking(move || {
        let lines: Result<Vec<_>, Fault> = own.iter_mut().map(|tail| tail.lines(CHUNK)).collect();
        (own, lines)
    });
    let (own, lines) = read.await.map_err(|e| Fault::from(internal(e)))?;
    *tails = own;
    let mut lines: Vec<LogLine> = lines?.into_iter().flatten().collect();
    lines.sort_by_key(|line| line.at_ms);
    for line in &lines {
        speaker.say("log", None, line).await?;
    }
    Ok(!lines.is_empty())
}

async fn current(app: &App, id: WorkloadId) -> Result<WorkloadRow, Fault> {
    let row = app.store.read(move |r| r.workload(id)).await?;
    row.ok_or_else(|| fault(Code::NotFound, format!("there is no workload `{id}` any more")))
}

/// Resolves when an event tells of the workload, or when events were missed.
pub(super) async fn told_of(
    news: &mut tokio::sync::broadcast::Receiver<std::sync::Arc<[weft_store::EventRow]>>,
    id: WorkloadId,
) {
    use tokio::sync::broadcast::error::RecvError;
    let id = id.to_string();
    loop {
        match news.recv().await {
            Ok(rows)
                if rows.iter().any(|r| r.event.kind == "workload" && r.event.subject == id) =>
            {
                return;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The server ends, and the stream with it.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// One member's log, read on from where it was.
struct Tail {
    path: PathBuf,
    member: Member,
    since: u64,
    file: Option<BufReader<File>>,
    /// Begin with the older part, where there is one.
    from_older: bool,
    /// The file was seen to be rotated: what is left of it is the last of it.
    last: bool,
    partial: Vec<u8>,
}

impl Tail {
    fn new(path: PathBuf, member: Member, since: u64) -> Self {
        let partial = Vec::new();
        Self { path, member, since, file: None, from_older: true, last: false, partial }
    }

    /// The next complete lines, at most `max`; none for now is empty.
    fn lines(&mut self, max: usize) -> Result<Vec<LogLine>, Fault> {
        let mut out = Vec::new();
        while out.len() < max {
            match self.record()? {
                Some(record) => {
                    let line = line(&record, self.member);
                    out.extend(Some(line).filter(|line| line.at_ms >= self.since));
                }
                None => break,
            }
        }
        Ok(out)
    }

    /// The next complete record; none for now.
    fn record(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if self.file.is_none() {
                self.file = self.open()?;
            }
            let Some(file) = &mut self.file else { return Ok(None) };
            let buffer = file.fill_buf().map_err(internal)?;
            if buffer.is_empty() {
                if std::mem::take(&mut self.last) {
                    self.file = None;
                } else if rotated(file.get_ref(), &self.path)? {
                    // Once more: something may have been written between end and rotation.
                    self.last = true;
                } else {
                    return Ok(None);
                }
                continue;
            }
            let end = buffer.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(buffer.len());
            let room = RECORD_MAX.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&buffer[..taken.min(room)]);
            file.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
        }
    }

    /// Opens the log, at first its older part; none while there is none.
    fn open(&mut self) -> Result<Option<BufReader<File>>, Fault> {
        let mut paths = vec![self.path.clone()];
        if std::mem::take(&mut self.from_older) {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            paths.insert(0, older.into());
        }
        for path in paths {
            match File::open(path) {
                Ok(file) => return Ok(Some(BufReader::new(file))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(internal(error).into()),
            }
        }
        Ok(None)
    }
}

/// Whether another file has come to `path`.
fn rotated(file: &File, path: &Path) -> Result<bool, Fault> {
    let own = file.metadata().map_err(internal)?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(internal(error).into()),
    }
}

/// `<unix ms> <out|err|weft> <text>`; one that is not of the form is shown as it is.
fn line(record: &[u8], member: Member) -> LogLine {
    let text = String::from_utf8_lossy(record);
    let framed = || {
        let mut parts = text.splitn(3, ' ');
        let at_ms = parts.next()?.parse().ok()?;
        let stream = parts.next().filter(|word| matches!(*word, "out" | "err" | "weft"))?;
        Some((at_ms, stream.to_owned(), parts.next().unwrap_or("").to_owned()))
    };
    let (at_ms, stream, text) =
        framed().unwrap_or_else(|| (0, "weft".to_owned(), text.clone().into_owned()));
    LogLine { at_ms, member: member.0, stream, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn texts(tail: &mut Tail) -> Vec<String> {
        tail.lines(CHUNK).unwrap().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_tail_reads_on_across_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(path.clone(), Member(0), 0);
        assert!(texts(&mut tail).is_empty(), "no log yet");

        let mut file = File::create(&path).unwrap();
        write!(file, "1 out one\n2 err t").unwrap();
        assert_eq!(texts(&mut tail), ["one"]);
        writeln!(file, "wo").unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        std::fs::write(&path, "3 weft three\n").unwrap();
        assert_eq!(texts(&mut tail), ["two", "three"]);
        assert!(texts(&mut tail).is_empty());

        let mut late = Tail::new(path, Member(0), 2);
        assert_eq!(texts(&mut late), ["two", "three"], "a later reader begins with the older part");
    }

    #[test]
    fn records_are_read_with_care() {
        let read = |record: &[u8]| line(record, Member(3));
        let good = read(b"17 err a b  c");
        assert_eq!((good.at_ms, good.stream.as_str(), good.text.as_str()), (17, "err", "a b  c"));
        assert_eq!(read(b"17 out").text, "");
        assert_eq!(read(b"no frame here").text, "no frame here");
        assert_eq!(read(b"1 out \xff").text, "\u{fffd}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, [b"1 out ".as_slice(), &[b'x'; 100_000], b"\n"].concat()).unwrap();
        let lines = Tail::new(path, Member(0), 0).lines(CHUNK).unwrap();
        assert!(lines[0].text.len() <= RECORD_MAX);
    }
}
