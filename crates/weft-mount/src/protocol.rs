//! The kernel's FUSE protocol, as far as a folder that is only read needs it: requests are read
//! from bytes, answers written into bytes.
//!
//! Shapes and numbers are those of the kernel's `include/uapi/linux/fuse.h`, version 7.31; an older
//! kernel than 5.4 is refused. Absent on purpose: every request that changes something.

use crate::ahead::WINDOW;
use rustix::io::Errno;

/// The version that is spoken: major, and the newest minor whose shapes these are.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;

/// Bytes of a request's and an answer's head.
const IN_HEAD: usize = 40;
pub(crate) const OUT_HEAD: usize = 16;

/// Room for one request. None that is understood carries more than two names; the kernel wants at
/// least 8 KiB.
pub(crate) const REQUEST_MAX: usize = 64 << 10;

/// Pages of the longest read that the kernel may ask for at once: 1 MiB of 4 KiB.
const PAGES_MAX: u16 = 256;

/// Reads ahead that the kernel keeps under way, and from which on it calls itself busy.
const BACKGROUND: u16 = 64;
const BUSY: u16 = 48;

/// How long names and attributes stay true, in seconds: a version never changes. Ten years, since
/// the kernel adds it to its clock.
const VALID: u64 = 10 * 365 * 24 * 3_600;

const ASYNC_READ: u32 = 1 << 0;
const DO_READDIRPLUS: u32 = 1 << 13;
const READDIRPLUS_AUTO: u32 = 1 << 14;
const NO_OPEN_SUPPORT: u32 = 1 << 17;
const PARALLEL_DIROPS: u32 = 1 << 18;
const MAX_PAGES: u32 = 1 << 22;
const NO_OPENDIR_SUPPORT: u32 = 1 << 24;
const WANTED: u32 = ASYNC_READ
    | DO_READDIRPLUS
    | READDIRPLUS_AUTO
    | NO_OPEN_SUPPORT
    | PARALLEL_DIROPS
    | MAX_PAGES
    | NO_OPENDIR_SUPPORT;

/// One request of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its number, which the answer repeats.
    pub(crate) unique: u64,
    /// What it is about.
    pub(crate) node: u64,
    /// What is asked.
    pub(crate) ask: Ask,
}

/// What the kernel asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The first request: version, and what the kernel can do.
    Init { major: u32, minor: u32, flags: u32 },
    /// An entry of a folder, by name.
    Lookup(Vec<u8>),
    /// Size and times.
    Attributes,
    /// Bytes of a file.
    Read { offset: u64, size: u32 },
    /// Entries of a folder behind so many, in so many bytes; with their attributes or without.
    List { offset: u64, size: u32, plus: bool },
    /// How large all is.
    Volume,
    /// That request need not be answered any more.
    Interrupt(u64),
    /// Nothing that needs an answer.
    Forget,
    /// Files and folders are open without being opened, and keep what was read of them.
    Open,
    /// What was opened before that was known is closed.
    Close,
    /// It is unmounted.
    Destroy,
    /// Everything else.
    Other,
}

/// Reads a request. None: it is no request of this protocol.
pub(crate) fn read(bytes: &[u8]) -> Option<Request> {
    let head = Reader(bytes);
    let (opcode, unique, node) = (head.u32(4)?, head.u64(8)?, head.u64(16)?);
    let body = Reader(bytes.get(IN_HEAD..)?);
    let ask = match opcode {
        1 => Ask::Lookup(body.name()?),
        2 | 42 => Ask::Forget,
        3 => Ask::Attributes,
        14 | 27 => Ask::Open,
        15 => Ask::Read { offset: body.u64(8)?, size: body.u32(16)? },
        17 => Ask::Volume,
        18 | 29 => Ask::Close,
        26 => Ask::Init { major: body.u32(0)?, minor: body.u32(4)?, flags: body.u32(12)? },
        28 | 44 => Ask::List { offset: body.u64(8)?, size: body.u32(16)?, plus: opcode == 44 },
        36 => Ask::Interrupt(body.u64(0)?),
        38 => Ask::Destroy,
        _ => Ask::Other,
    };
    Some(Request { unique, node, ask })
}

/// Numbers of a request at their places, of this machine's byte order.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }

    fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_ne_bytes(self.0.get(at..at + 8)?.try_into().ok()?))
    }

    fn name(&self) -> Option<Vec<u8>> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        Some(self.0[..end].to_vec())
    }
}

/// What is known of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Its number.
    pub(crate) node: u64,
    /// Whether it is a folder.
    pub(crate) folder: bool,
    /// Bytes; of a folder none.
    pub(crate) bytes: u64,
    /// When it was put, in milliseconds since 1970.
    pub(crate) at: u64,
}

/// The body of an answer.
#[derive(Debug, Default)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    /// To the first request.
    pub(crate) fn init(major: u32, minor: u32, flags: u32) -> Result<Answer, Errno> {
        if major != MAJOR || minor < MINOR {
            return Err(Errno::PROTO);
        }
        let mut to = Answer::default();
        // The kernel takes the lesser of this and its own, which may be widened before or after.
        [MAJOR, MINOR, WINDOW as u32, flags & WANTED].iter().for_each(|word| to.u32(*word));
        to.u16(BACKGROUND);
        to.u16(BUSY);
        // The longest write; there is none, and the least that is allowed is one page.
        to.u32(4_096);
        // Times are exact to the nanosecond as far as the kernel is concerned.
        to.u32(1);
        to.u16(PAGES_MAX);
        to.0.resize(64, 0);
        Ok(to)
    }

    /// An entry that was looked up.
    pub(crate) fn entry(is: &Attributes) -> Answer {
        let mut to = Answer::default();
        to.put_entry(Some(is));
        to
    }

    /// That there is no such entry, which the kernel may remember.
    pub(crate) fn no_entry() -> Answer {
        let mut to = Answer::default();
        to.put_entry(None);
        to
    }

    /// Attributes.
    pub(crate) fn attributes(is: &Attributes) -> Answer {
        let mut to = Answer::default();
        to.u64(VALID);
        to.u64(0);
        to.put_attributes(Some(is));
        to
    }

    /// How large the whole is.
    pub(crate) fn volume(bytes: u64, files: u64) -> Answer {
        const BLOCK: u64 = 4_096;
        let mut to = Answer::default();
        to.u64(bytes.div_ceil(BLOCK));
        [0, 0, files, 0].iter().for_each(|number| to.u64(*number));
        [BLOCK as u32, 255, BLOCK as u32, 0].iter().for_each(|number| to.u32(*number));
        to.0.resize(80, 0);
        to
    }

    /// Adds one entry of a folder; false, and nothing added, where it would be longer than `max`.
    pub(crate) fn list(
        &mut self,
        (name, is): (&[u8], &Attributes),
        (next, plus, max): (u64, bool, usize),
    ) -> bool {
        const ENTRY: usize = 128;
        const DIRENT: usize = 24;
        let length = if plus { ENTRY } else { 0 } + (DIRENT + name.len()).next_multiple_of(8);
        if self.0.len() + length > max {
            return false;
        }
        let end = self.0.len() + length;
        if plus {
            // The kernel knows these two, and wants nothing of them.
            self.put_entry(Some(is).filter(|_| name != b"." && name != b".."));
        }
        self.u64(is.node);
        self.u64(next);
        self.u32(name.len() as u32);
        self.u32(if is.folder { 4 } else { 8 });
        self.0.extend_from_slice(name);
        self.0.resize(end, 0);
        true
    }

    fn put_entry(&mut self, is: Option<&Attributes>) {
        self.u64(is.map_or(0, |is| is.node));
        self.u64(0);
        self.u64(VALID);
        self.u64(VALID);
        self.u64(0);
        self.put_attributes(is);
    }

    fn put_attributes(&mut self, is: Option<&Attributes>) {
        let end = self.0.len() + 88;
        if let Some(is) = is {
            let (seconds, rest) = (is.at / 1_000, (is.at % 1_000) as u32 * 1_000_000);
            self.u64(is.node);
            self.u64(is.bytes);
            self.u64(is.bytes.div_ceil(512));
            (0..3).for_each(|_| self.u64(seconds));
            (0..3).for_each(|_| self.u32(rest));
            // Everybody inside may read, nobody write; nothing of it is a program.
            self.u32(if is.folder { 0o040_555 } else { 0o100_444 });
            self.u32(if is.folder { 2 } else { 1 });
        }
        self.0.resize(end, 0);
    }

    fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_ne_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_ne_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_ne_bytes());
    }
}

/// The head of an answer of so many bytes, or of an error.
pub(crate) fn head(unique: u64, answer: Result<usize, Errno>) -> [u8; OUT_HEAD] {
    let (bytes, error) = match answer {
        Ok(bytes) => (bytes, 0),
        Err(errno) => (0, -errno.raw_os_error()),
    };
    let mut head = [0; OUT_HEAD];
    head[..4].copy_from_slice(&((OUT_HEAD + bytes) as u32).to_ne_bytes());
    head[4..8].copy_from_slice(&error.to_ne_bytes());
    head[8..].copy_from_slice(&unique.to_ne_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn shapes_have_the_kernels_sizes() {
        let is = Attributes { node: 2, folder: false, bytes: 513, at: 1_500 };
        assert_eq!(Answer::entry(&is).0.len(), 128);
        assert_eq!(Answer::no_entry().0.len(), 128);
        assert_eq!(Answer::attributes(&is).0.len(), 104);
        assert_eq!(Answer::volume(1, 1).0.len(), 80);
        assert_eq!(Answer::init(7, 45, u32::MAX).unwrap().0.len(), 64);
        assert!(Answer::init(7, 30, 0).is_err());
        let mut list = Answer::default();
        assert!(list.list((b"name", &is), (1, true, 160)));
        assert_eq!(list.0.len(), 160);
        assert!(!list.list((b"x", &is), (2, true, 300)), "it is longer than that");
    }
}
