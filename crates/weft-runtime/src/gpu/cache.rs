//! The loader's cache: which file a library's name leads to, in `/etc/ld.so.cache`.
//!
//! Programs open the driver by its name alone, and the loader looks that up in this file. So a run
//! gets one of its own: the machine's or its image's, with our names added. It is read and written
//! here rather than by running `ldconfig` in what an image holds.
//!
//! The format is the one of glibc 2.2 and later, `glibc-ld.so.cache1.1`: a head of 48 bytes, an
//! entry of 24 for each library sorted by falling name, then the names and paths, each with a zero
//! behind it. It may stand behind one of an older format. Entries for special processors are left
//! out: each has a plain one beside it, or the loader finds the file in its own folders.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// The older format's first bytes, its head and one entry.
const OLD: &[u8] = b"ld.so-1.7.0";
const OLD_HEAD: usize = 16;
const OLD_ENTRY: usize = 12;
/// The format's first bytes, its head and one entry.
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
const HEAD: usize = 48;
const ENTRY: usize = 24;
/// A library of the C library's current version, for x86-64 (`FLAG_ELF_LIBC6`,
/// `FLAG_X8664_LIB64`).
const OURS: u32 = 0x0303;
/// The file's numbers have their lowest byte first.
const LITTLE_ENDIAN: u8 = 2;

/// Longest name and path that are read: what the kernel takes.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;
/// Bytes of all names and paths at most. Entries may share a text, so that a small file could say
/// terabytes; a full distribution's has half a mebibyte.
const TEXTS_MAX: usize = 16 << 20;

/// Which file a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    flags: u32,
    name: Vec<u8>,
    path: Vec<u8>,
}

/// A loader's cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cache(Vec<Entry>);

impl Cache {
    /// The cache in a file; none where it is not one, or says more than a loader's would.
    pub(super) fn read(bytes: &[u8]) -> Option<Cache> {
        let new = match bytes.starts_with(OLD) {
            true => {
                let old = OLD_HEAD.checked_add(number(bytes, 12)?.checked_mul(OLD_ENTRY)?)?;
                bytes.get(old.next_multiple_of(8)..)?
            }
            false => bytes,
        };
        if !new.starts_with(NEW) {
            return None;
        }
        let count = number(new, NEW.len())?;
        let entries = new.get(HEAD..HEAD.checked_add(count.checked_mul(ENTRY)?)?)?;
        let (mut found, mut texts) = (Vec::new(), 0);
        let plain = |entry: &&[u8]| entry[16..].iter().all(|byte| *byte == 0);
        for entry in entries.chunks_exact(ENTRY).filter(plain) {
            let text = |at: usize, most: usize| -> Option<Vec<u8>> {
                let text = new.get(number(entry, at)?..)?;
                let length = text.iter().take(most + 1).position(|byte| *byte == 0)?;
                Some(text[..length].to_vec())
            };
            let (name, path) = (text(4, NAME_MAX)?, text(8, PATH_MAX)?);
            texts += name.len() + path.len();
            if texts > TEXTS_MAX {
                return None;
            }
            found.push(Entry { flags: number(entry, 0)? as u32, name, path });
        }
        Some(Cache(found))
    }

    /// The files that a name leads to, of this machine's kind.
    pub(super) fn paths<'a>(&'a self, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let of = move |entry: &&Entry| entry.flags == OURS && entry.name == name.as_bytes();
        self.0
            .iter()
            .filter(of)
            .filter_map(|entry| Some(PathBuf::from(std::str::from_utf8(&entry.path).ok()?)))
    }

    /// Has a name lead to one file and to no other.
    pub(super) fn lead(&mut self, name: &str, path: &Path) {
        self.0.retain(|entry| entry.name != name.as_bytes());
        let path = path.as_os_str().as_encoded_bytes().to_vec();
        self.0.push(Entry { flags: OURS, name: name.as_bytes().to_vec(), path });
    }

    /// The file.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut entries: Vec<&Entry> = self.0.iter().collect();
        entries.sort_by(|a, b| compare(&b.name, &a.name));
        let texts_at = HEAD + entries.len() * ENTRY;
        let (mut table, mut texts) = (Vec::new(), Vec::new());
        for entry in &entries {
            let mut place = |text: &[u8]| {
                let at = (texts_at + texts.len()) as u32;
                texts.extend_from_slice(text);
                texts.push(0);
                at.to_le_bytes()
            };
            table.extend(entry.flags.to_le_bytes());
            table.extend(place(&entry.name));
            table.extend(place(&entry.path));
            table.extend([0; 12]);
        }
        let mut file = NEW.to_vec();
        file.extend((entries.len() as u32).to_le_bytes());
        file.extend((texts.len() as u32).to_le_bytes());
        file.extend([LITTLE_ENDIAN, 0, 0, 0]);
        file.resize(HEAD, 0);
        file.extend(table);
        file.extend(texts);
        file
    }
}

/// The loader's order of names: numbers in them by their value, after all that is no digit.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, digits_b) = (digits(a), digits(b));
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            _ if digits_a > 0 && digits_b > 0 => {
                let value = |text: &[u8]| {
                    text.iter().fold(0u128, |n, d| {
                        n.saturating_mul(10).saturating_add(u128::from(d - b'0'))
                    })
                };
                let order = value(&a[..digits_a]).cmp(&value(&b[..digits_b]));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (&a[digits_a..], &b[digits_b..]);
            }
            _ if digits_a > 0 => return Ordering::Greater,
            _ if digits_b > 0 => return Ordering::Less,
            (x, y) if x != y => return x.cmp(&y),
            _ => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_where_it_is_told_and_others_where_they_did() {
        let mut cache = Cache::default();
        for (name, path) in [
            ("libc.so.6", "/lib/libc.so.6"),
            ("libcuda.so.1", "/usr/a"),
            ("libcuda.so.1", "/usr/b"),
        ] {
            cache.0.push(Entry { flags: OURS, name: name.into(), path: path.into() });
        }
        let mut again = Cache::read(&cache.write()).unwrap();
        assert_eq!(again.paths("libcuda.so.1").count(), 2);
        again.lead("libcuda.so.1", Path::new("/run/weft/gpu/lib/libcuda.so.1"));
        let last = Cache::read(&again.write()).unwrap();
        let of = |name| last.paths(name).collect::<Vec<_>>();
        assert_eq!(of("libcuda.so.1"), [Path::new("/run/weft/gpu/lib/libcuda.so.1")]);
        assert_eq!(of("libc.so.6"), [Path::new("/lib/libc.so.6")]);
        assert_eq!(of("libcuda.so"), Vec::<PathBuf>::new());
    }

    #[test]
    fn an_older_cache_before_it_is_passed_over() {
        let mut cache = Cache::default();
        cache.lead("liba.so.1", Path::new("/a"));
        let mut old = OLD.to_vec();
        old.resize(12, 0);
        old.extend(1u32.to_le_bytes());
        old.resize(OLD_HEAD + OLD_ENTRY + 4, 7);
        old.extend(cache.write());
        assert_eq!(Cache::read(&old), Some(cache));
    }

    #[test]
    fn what_is_cut_or_changed_anywhere_is_none_or_another_cache() {
        let mut cache = Cache::default();
        cache.lead("liba.so.1", Path::new("/a"));
        cache.lead("libb.so.1", Path::new("/b"));
        let file = cache.write();
        for cut in 0..file.len() {
            assert_eq!(Cache::read(&file[..cut]), None, "{cut}");
        }
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0xff;
            let _ = Cache::read(&changed);
        }
    }

    #[test]
    fn a_small_file_that_says_much_is_none() {
        let mut cache = Cache::default();
        for _ in 0..5000 {
            cache.0.push(Entry { flags: OURS, name: "lib.so".into(), path: "/x".into() });
        }
        let mut file = cache.write();
        let long = file.len() as u32;
        file.extend([b'/'; PATH_MAX]);
        file.push(0);
        for entry in file[HEAD..HEAD + 5000 * ENTRY].chunks_exact_mut(ENTRY) {
            entry[8..12].copy_from_slice(&long.to_le_bytes());
        }
        assert_eq!(Cache::read(&file), None, "five thousand times the same path");
        cache.0.truncate(1);
        cache.0[0].path = vec![b'/'; PATH_MAX + 1];
        assert_eq!(Cache::read(&cache.write()), None, "a path that no kernel takes");
    }

    #[test]
    fn names_are_in_the_loaders_order() {
        let falling = ["libz.so.1", "libc10.so", "libc9.so", "libc.so.6", "libc.so", "libc-2.so"];
        for pair in falling.windows(2) {
            assert_eq!(
                compare(pair[0].as_bytes(), pair[1].as_bytes()),
                Ordering::Greater,
                "{pair:?}"
            );
        }
    }

    /// The machine's own cache, where it has one, comes through whole and in the same order.
    #[test]
    fn the_machines_own_cache_comes_through() {
        let Ok(file) = std::fs::read("/etc/ld.so.cache") else { return };
        let cache = Cache::read(&file).unwrap();
        let again = Cache::read(&cache.write()).unwrap();
        assert_eq!(cache, again, "sorted as ldconfig sorts");
        assert!(cache.paths("libc.so.6").next().is_some());
    }
}
