//! The run's log: what its streams say, framed line by line, bounded on disk.
//!
//! One record per line: `<unix ms> <out|err|weft> <text>`. A full disk loses lines, never the
//! run: they are counted, and the count is logged once there is room again.

use super::record::LOG;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest text of a record; longer lines are split, so that readers need a bounded buffer.
const LINE_MAX: usize = 16 << 10;
/// Size at which the log becomes `log.1`, whose older content is dropped. Twice this is kept at
/// most: enough for a week of training epochs, small beside any dataset.
const FILE_MAX: u64 = 64 << 20;

/// Which stream a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// What Weft itself has to say.
    Weft,
}

impl Stream {
    fn word(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Weft => "weft",
        }
    }
}

/// The open log of one run.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    written: u64,
    lost: u64,
    /// Begun lines of standard output and error.
    partial: [Partial; 2],
}

/// A line whose end has not come yet.
#[derive(Debug, Default)]
struct Partial {
    line: Vec<u8>,
    /// The byte before was a carriage return: a line feed now ends nothing new.
    returned: bool,
}

impl Log {
    /// Opens the log in the run's directory, adding to what is there.
    pub(crate) fn open(dir: &Path) -> io::Result<Log> {
        let path = dir.join(LOG);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Log { path, file, written, lost: 0, partial: [Partial::default(), Partial::default()] })
    }

    /// One line of Weft's own.
    pub(crate) fn say(&mut self, text: &str) {
        let mut records = Vec::new();
        record(&mut records, Stream::Weft, text.as_bytes());
        self.append(&records, 1);
    }

    /// Takes what a stream wrote; whole lines are logged, the rest waits for its end.
    pub(crate) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let (mut records, mut count) = (Vec::with_capacity(bytes.len() + 64), 0);
        let Partial { line, returned } = &mut self.partial[usize::from(stream == Stream::Err)];
        for &byte in bytes {
            // A lone carriage return redraws a progress bar: each state is a line.
            let ends = match byte {
                b'\r' => true,
                b'\n' => !*returned,
                _ => {
                    line.push(byte);
                    line.len() >= LINE_MAX
                }
            };
            *returned = byte == b'\r';
            if ends {
                record(&mut records, stream, line);
                count += 1;
                line.clear();
            }
        }
        if count > 0 {
            self.append(&records, count);
        }
    }

    /// Logs the begun line of a stream that has ended.
    pub(crate) fn finish(&mut self, stream: Stream) {
        let line = std::mem::take(&mut self.partial[usize::from(stream == Stream::Err)].line);
        if !line.is_empty() {
            let mut records = Vec::new();
            record(&mut records, stream, &line);
            self.append(&records, 1);
        }
    }

    fn append(&mut self, records: &[u8], count: u64) {
        if self.written + records.len() as u64 > FILE_MAX {
            self.rotate();
        }
        if self.lost > 0 {
            let mut notice = Vec::new();
            let text = format!("{} lines were lost: the disk was full", self.lost);
            record(&mut notice, Stream::Weft, text.as_bytes());
            if self.file.write_all(&notice).is_ok() {
                self.written += notice.len() as u64;
                self.lost = 0;
            }
        }
        match self.file.write_all(records) {
            Ok(()) => self.written += records.len() as u64,
            Err(_) => self.lost += count,
        }
    }

    fn rotate(&mut self) {
        let mut older = self.path.clone();
        older.set_extension("1");
        let fresh = fs::rename(&self.path, older)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&self.path));
        if let Ok(file) = fresh {
            self.file = file;
            self.written = 0;
        }
    }
}

fn record(into: &mut Vec<u8>, stream: Stream, text: &[u8]) {
    let head = format!("{} {} ", now_ms(), stream.word());
    into.extend_from_slice(head.as_bytes());
    into.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
    into.push(b'\n');
}

/// Milliseconds since 1970; zero on a machine whose clock stands before that.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(feed: &[(Stream, &[u8])]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path()).unwrap();
        for (stream, bytes) in feed {
            log.take(*stream, bytes);
        }
        log.finish(Stream::Out);
        log.finish(Stream::Err);
        let text = fs::read_to_string(dir.path().join(LOG)).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_are_framed_whole_and_by_stream() {
        let got = lines(&[
            (Stream::Out, b"one\ntw"),
            (Stream::Err, b"oops\n"),
            (Stream::Out, b"o\n\nend"),
        ]);
        assert_eq!(got, ["out one", "err oops", "out two", "out ", "out end"]);
    }

    #[test]
    fn progress_bars_and_foreign_bytes_stay_lines() {
        let got = lines(&[(Stream::Out, b"1%\r2%\r\n\xff\n")]);
        assert_eq!(got, ["out 1%", "out 2%", "out \u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_is_split() {
        let got = lines(&[(Stream::Out, &vec![b'x'; LINE_MAX + 3])]);
        assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX + 4, 7]);
    }

    #[test]
    fn the_log_is_bounded_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(dir.path()).unwrap();
        log.written = FILE_MAX;
        log.say("after");
        assert!(dir.path().join("log.1").exists());
        assert_eq!(fs::read_to_string(dir.path().join(LOG)).unwrap().lines().count(), 1);
    }
}
