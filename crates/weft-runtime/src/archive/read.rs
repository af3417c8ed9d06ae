//! A bounded reader of tar archives: ustar, GNU long names and pax.
//!
//! The `tar` crate parses each header block; the walk over blocks is ours because the crate's
//! reads the length of an extension from the archive and allocates that much, which an archive
//! of a few compressed kilobytes can set to gigabytes. Formats: POSIX.1-2001 (pax) and the GNU
//! tar manual, "Basic Tar Format".

use super::{ArchiveError, Limits};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

const BLOCK: usize = 512;

/// A long name or a set of pax records; real ones stay under a few kilobytes.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Linux' `PATH_MAX`: no longer path can be opened.
const PATH_BYTES_MAX: usize = 4096;

/// One entry, its path made relative and free of `.`; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// Whether its owner may execute it.
    pub(crate) executable: bool,
    /// Last change, in seconds since 1970.
    pub(crate) modified: u64,
    /// Bytes of content; 0 for anything but a file.
    pub(crate) size: u64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// A symbolic link with its text as written.
    Link(PathBuf),
    /// A second name of an earlier file, by that file's path.
    Same(PathBuf),
    /// A device, pipe or socket.
    Special,
}

/// Reads one entry after the other; itself reads the content of the current one.
pub(crate) struct Reader<R> {
    input: R,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// Content of the current entry not yet read, and the padding behind it.
    left: u64,
    padding: u64,
}

/// What extension headers say about the entry behind them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R, limits: Limits) -> Self {
        Self { input, limits, entries: 0, bytes: 0, left: 0, padding: 0 }
    }

    /// The next entry, or `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extension = Extension::default();
        loop {
            self.skip(self.left.saturating_add(self.padding))?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.count_entry()?;
            let size = header.entry_size().map_err(|e| damaged("size", &e))?;
            match header.as_bytes()[156] {
                b'L' => extension.path = Some(self.long_name(size)?),
                b'K' => extension.link = Some(self.long_name(size)?),
                b'x' => extension.read_pax(&self.extension(size)?)?,
                // Global records are comments in practice (git archive's commit id).
                b'g' => drop(self.extension(size)?),
                _ => return self.entry(&header, extension, size).map(Some),
            }
        }
    }

    /// Gives back the input, behind the end of the archive.
    pub(crate) fn into_inner(self) -> R {
        self.input
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        extension: Extension,
        size: u64,
    ) -> Result<Entry, ArchiveError> {
        let raw_path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = inside(&raw_path)?;
        let link = extension
            .link
            .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
            .unwrap_or_default();
        let kind = match header.as_bytes()[156] {
            _ if extension.sparse => return Err(unsupported(&path, "a sparse file")),
            b'S' => return Err(unsupported(&path, "a sparse file")),
            // Old archives mark a folder by the slash behind its name.
            0 | b'0' if raw_path.ends_with(b"/") => Kind::Folder,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::Same(inside(&link)?),
            b'2' => Kind::Link(link_text(&path, link)?),
            b'5' => Kind::Folder,
            b'3' | b'4' | b'6' => Kind::Special,
            _ => return Err(unsupported(&path, "an entry of unknown type")),
        };
        let stored = extension.size.unwrap_or(size);
        self.begin_content(stored)?;
        let size = if kind == Kind::File { stored } else { 0 };
        let executable = header.mode().unwrap_or(0) & 0o100 != 0;
        let modified = header.mtime().unwrap_or(0);
        Ok(Entry { path, kind, executable, modified, size })
    }

    fn count_entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ArchiveError::TooMuch { limit: self.limits.entries, what: "entries" });
        }
        Ok(())
    }

    /// The next header block; `None` at two zero blocks or the end of the input.
    fn header(&mut self) -> Result<Option<tar::Header>, ArchiveError> {
        let mut header = tar::Header::new_old();
        for _ in 0..2 {
            if !fill(&mut self.input, header.as_mut_bytes())? {
                return Ok(None);
            }
            if header.as_bytes().iter().any(|&b| b != 0) {
                check_sum(&header)?;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn begin_content(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(ArchiveError::TooMuch { limit: self.limits.bytes, what: "bytes" });
        }
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_BYTES_MAX {
            let what = "bytes in one extended header";
            return Err(ArchiveError::TooMuch { limit: EXTENSION_BYTES_MAX, what });
        }
        self.begin_content(size)?;
        let mut content = Vec::new();
        self.read_to_end(&mut content).map_err(|e| ArchiveError::io("reading the archive", e))?;
        Ok(content)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut name = self.extension(size)?;
        name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let skipped = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink())
            .map_err(|e| ArchiveError::io("reading the archive", e))?;
        (self.left, self.padding) = (0, 0);
        if skipped == bytes { Ok(()) } else { Err(ArchiveError::Damaged("it is cut short".into())) }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.read(&mut buffer[..room])?;
        if read == 0 && room > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

impl Extension {
    /// Pax records: `<length> <key>=<value>\n`, the length counting the whole record.
    fn read_pax(&mut self, mut records: &[u8]) -> Result<(), ArchiveError> {
        let bad = || ArchiveError::Damaged("a pax record does not read".into());
        while !records.is_empty() {
            let space = records.iter().position(|&b| b == b' ').ok_or_else(bad)?;
            let length = str::from_utf8(&records[..space]).ok().and_then(|n| n.parse().ok());
            let length: usize = length.ok_or_else(bad)?;
            let record = records.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = str::from_utf8(value).ok().and_then(|n| n.parse().ok());
                    self.size = Some(size.ok_or_else(bad)?);
                }
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}

/// The path below the root: leading slashes and `.` dropped, `..` refused.
fn inside(raw: &[u8]) -> Result<PathBuf, ArchiveError> {
    let shown = || String::from_utf8_lossy(raw).into_owned();
    if raw.len() > PATH_BYTES_MAX {
        let rule = "is longer than 4096 bytes";
        return Err(ArchiveError::Path { path: shown().chars().take(80).collect(), rule });
    }
    if raw.contains(&0) {
        return Err(ArchiveError::Path { path: shown(), rule: "contains a zero byte" });
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(raw)).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            Component::ParentDir => {
                return Err(ArchiveError::Path { path: shown(), rule: "contains `..`" });
            }
        }
    }
    Ok(path)
}

fn link_text(path: &Path, text: Vec<u8>) -> Result<PathBuf, ArchiveError> {
    if text.is_empty() || text.len() > PATH_BYTES_MAX || text.contains(&0) {
        let path = path.display().to_string();
        return Err(ArchiveError::Path { path, rule: "is a link to nowhere" });
    }
    Ok(PathBuf::from(OsStr::from_bytes(&text)))
}

/// The checksum counts its own field as spaces.
fn check_sum(header: &tar::Header) -> Result<(), ArchiveError> {
    let bytes = header.as_bytes();
    let sum = |part: &[u8]| part.iter().map(|&b| u32::from(b)).sum::<u32>();
    let expected = sum(&bytes[..148]) + 8 * u32::from(b' ') + sum(&bytes[156..]);
    match header.cksum() {
        Ok(stored) if stored == expected => Ok(()),
        _ => Err(ArchiveError::Damaged("a header's checksum is wrong; is it a tar?".into())),
    }
}

/// Fills the block; `false` where the input ends before its first byte.
fn fill(input: &mut impl Read, block: &mut [u8]) -> Result<bool, ArchiveError> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(ArchiveError::Damaged("it is cut short".into())),
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ArchiveError::io("reading the archive", e)),
        }
    }
    Ok(true)
}

fn damaged(field: &str, error: &io::Error) -> ArchiveError {
    ArchiveError::Damaged(format!("the {field} of an entry does not read ({error})"))
}

fn unsupported(path: &Path, what: &'static str) -> ArchiveError {
    ArchiveError::Unsupported { path: path.display().to_string(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { entries: 100, bytes: 1 << 20 };

    fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ArchiveError> {
        let mut reader = Reader::new(bytes, LIMITS);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next()? {
            let mut content = Vec::new();
            if entry.kind == Kind::File {
                reader.read_to_end(&mut content).map_err(|e| ArchiveError::io("content", e))?;
            }
            entries.push((entry, content));
        }
        Ok(entries)
    }

    fn one_file(path: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, content).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn long_names_and_contents() {
        let long = "folder/".repeat(40) + "file";
        let entries = read(&one_file(&long, b"content")).unwrap();
        assert_eq!(entries[0].0.path, Path::new(&long));
        assert!(entries[0].0.executable);
        assert_eq!(entries[0].1, b"content");
    }

    #[test]
    fn pax_paths_win() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", b"./real//name".as_slice())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, b"ok".as_slice()).unwrap();
        let entries = read(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(entries[0].0.path, Path::new("real/name"));
        assert_eq!(entries[0].1, b"ok");
    }

    #[test]
    fn a_huge_extension_is_refused_unread() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let refused = read(header.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("extended header"), "{refused}");
    }

    #[test]
    fn limits_and_damage() {
        let file = one_file("f", &[7; 3000]);
        assert!(matches!(read(&file[..1024]), Err(ArchiveError::Io { .. })));
        assert!(matches!(read(b"not a tar at all"), Err(ArchiveError::Damaged(_))));
        let mut wrong = file.clone();
        wrong[0] ^= 1;
        assert!(matches!(read(&wrong), Err(ArchiveError::Damaged(_))));
        assert!(matches!(read(&one_file("f", &[0; 2 << 20])), Err(ArchiveError::TooMuch { .. })));
        let many: Vec<u8> = (0..101).flat_map(|_| one_file("f", b"")[..512].to_vec()).collect();
        assert!(matches!(read(&many), Err(ArchiveError::TooMuch { .. })));
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside(b"/etc//./x").unwrap(), Path::new("etc/x"));
        assert_eq!(inside(b"./").unwrap(), Path::new(""));
        assert!(inside(b"a/../../b").is_err());
        assert!(inside(b"a\0b").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_damage_is_read_or_refused(at in 0_usize..2048, to in any::<u8>()) {
            let mut file = one_file(&"long/".repeat(30), b"x");
            let at = at % file.len();
            file[at] = to;
            let _ = read(&file);
        }
    }
}
