//! A log of any size, a line at a time: only its jobs are kept, never its text.
//!
//! Called by `weft simulate`, which opens the file and shows how far it is. What is no log at all
//! (packed, no text, no known header) is told before anything is read further.

use super::{Format, Head, ReadJob, Trace, TraceError, sacct_json, slurm};
use std::io::{self, BufRead, Read};

/// Longest line: a thousand times what any known log writes; a file without ends of lines must not
/// fill the memory.
const LINE_MAX: u64 = 1 << 20;

/// First bytes of packed files: gzip, zstd, xz.
const PACKED: [(&[u8], &str); 3] =
    [(b"\x1f\x8b", "gunzip"), (b"\x28\xb5\x2f\xfd", "unzstd"), (b"\xfd7zXZ", "unxz")];

/// A log, read.
#[derive(Debug)]
pub struct Log {
    /// Its jobs.
    pub trace: Trace,
    /// What it was read as.
    pub format: Format,
    /// FNV-1a, 64 bits, of its bytes: tells whether two people have the same file.
    pub hash: u64,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is packed; the tool that unpacks it.
    #[error("it is packed")]
    Packed(&'static str),
    /// Its first line names the columns of no known format.
    #[error("the first line names the columns of no known log")]
    Unknown,
    /// A line is no text.
    #[error("line {0}: this is not text in UTF-8")]
    NotText(usize),
    /// A line cannot be read.
    #[error(transparent)]
    Line(#[from] TraceError),
    /// The watcher wished so.
    #[error("it was left early")]
    Left,
}

/// Reads a log, of a format or of that which its first line tells. `watch` is told how many bytes
/// have been read, every line or so, and says whether to go on.
///
/// # Errors
///
/// The first line that is none, and what stands above.
pub fn read(
    mut from: impl BufRead,
    format: Option<Format>,
    watch: &dyn Fn(u64) -> bool,
) -> Result<Log, ReadError> {
    let start = from.fill_buf()?;
    if let Some((_, tool)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(ReadError::Packed(tool));
    }
    let blank = |byte: &&u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(*byte);
    let json = start.iter().find(|byte| !blank(byte)) == Some(&b'{');
    let mut lines =
        Lines { from, line: 0, buffer: Vec::new(), hash: Fnv::default(), bytes: 0, watch };
    if format == Some(Format::SlurmJson) || (format.is_none() && json) {
        return lines.json();
    }
    let header = loop {
        match lines.next()? {
            None => return Err(ReadError::Empty),
            Some((_, text)) if text.trim().is_empty() => {}
            Some((_, text)) => break text.to_owned(),
        }
    };
    let format = format.or_else(|| Format::detect(&header)).ok_or(ReadError::Unknown)?;
    let Some((separator, job)) = format.row() else { return Err(ReadError::Unknown) };
    let head = Head::read(&header, separator)?;
    if format == Format::Slurm {
        slurm::check(&head)?;
    }
    let mut trace = lines.rows(&head, job)?;
    if format == Format::Slurm {
        slurm::again(&mut trace.jobs);
    }
    let hash = lines.hash.0;
    Ok(Log { trace: Trace::new(trace.jobs, trace.passed_over), format, hash })
}

struct Lines<'w, R> {
    from: R,
    line: usize,
    buffer: Vec<u8>,
    hash: Fnv,
    bytes: u64,
    watch: &'w dyn Fn(u64) -> bool,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line and its number.
    fn next(&mut self) -> Result<Option<(usize, &str)>, ReadError> {
        self.buffer.clear();
        let read = self.from.by_ref().take(LINE_MAX).read_until(b'\n', &mut self.buffer)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if read == LINE_MAX && self.buffer.last() != Some(&b'\n') {
            let what = format!("it is longer than {LINE_MAX} bytes, which no line of a log is");
            return Err(TraceError::of_line(self.line, what).into());
        }
        self.bytes += read;
        self.hash.add(&self.buffer);
        if !(self.watch)(self.bytes) {
            return Err(ReadError::Left);
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|_| ReadError::NotText(self.line))?;
        Ok(Some((self.line, text)))
    }

    fn rows(&mut self, head: &Head, job: ReadJob) -> Result<Trace, ReadError> {
        let mut trace = Trace::default();
        while let Some((line, text)) = self.next()? {
            let Some(row) = head.row(line, text)? else { continue };
            match job(&row)? {
                Some(job) => trace.jobs.push(job),
                None => trace.passed_over += 1,
            }
        }
        Ok(trace)
    }

    fn json(self) -> Result<Log, ReadError> {
        let Lines { from, watch, .. } = self;
        let mut watched = Watched { from, hash: Fnv::default(), bytes: 0, left: false, watch };
        let jobs = sacct_json::jobs(&mut watched);
        if watched.left {
            return Err(ReadError::Left);
        }
        let jobs = jobs?;
        Ok(Log { trace: Trace::new(jobs, 0), format: Format::SlurmJson, hash: watched.hash.0 })
    }
}

/// Counts what passes.
struct Watched<'w, R> {
    from: R,
    hash: Fnv,
    bytes: u64,
    left: bool,
    watch: &'w dyn Fn(u64) -> bool,
}

impl<R: BufRead> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.hash.add(&into[..read]);
        self.bytes += read as u64;
        self.left |= !(self.watch)(self.bytes);
        if self.left {
            return Err(io::Error::other("left early"));
        }
        Ok(read)
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &[u8]) -> Result<Log, ReadError> {
        read(text, None, &|_| true)
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // The reference values of "" and "foobar".
        let hash = |bytes: &[u8]| {
            let mut fnv = Fnv::default();
            fnv.add(bytes);
            fnv.0
        };
        assert_eq!((hash(b""), hash(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }

    #[test]
    fn a_file_is_what_its_text_is() {
        let text = "submit,duration,gpus\r\n7,60,1\r\n\r\n3,60,0.5\r\n";
        let log = of(text.as_bytes()).expect("a log");
        assert_eq!(log.trace, Format::Plain.read(text).expect("a log"));
        assert_eq!((log.format, log.trace.jobs[0].name.as_str()), (Format::Plain, "line-4"));
    }

    #[test]
    fn what_is_no_log_is_said_to_be_none() {
        assert!(matches!(of(b""), Err(ReadError::Empty)));
        assert!(matches!(of(b"\n \n"), Err(ReadError::Empty)));
        assert!(matches!(of(b"\x1f\x8b\x08"), Err(ReadError::Packed("gunzip"))));
        assert!(matches!(of(b"a,b\n1,2\n"), Err(ReadError::Unknown)));
        assert!(matches!(of(b"submit,duration,gpus\n1,1,\xff\n"), Err(ReadError::NotText(2))));
        assert!(matches!(of(&[b'a'; 1 << 21]), Err(ReadError::Line(_))));
        let left = read(&b"submit,duration,gpus\n1,1,1\n"[..], None, &|bytes| bytes < 25);
        assert!(matches!(left, Err(ReadError::Left)));
    }

    #[test]
    fn json_is_read_as_it_comes() {
        let text = "\u{feff}{\"jobs\": [{\"job_id\": 7, \"time\": {\"submission\": 9}}]}";
        let log = of(text.as_bytes()).expect("a log");
        assert_eq!((log.format, log.trace.jobs[0].name.as_str()), (Format::SlurmJson, "7"));
        assert!(matches!(of(b"{\"jobs\": ["), Err(ReadError::Line(error)) if error.line == 1));
    }
}
