//! Which paths an output pattern names: `model/`, `metrics.json`, `checkpoints/*.pt`.
//!
//! `*` is any run of characters and `?` any one, within one name; a folder stands for all below.

use super::OutputError;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// More than any hand-written list; each costs a look at the working folder.
const PATTERN_BYTES_MAX: usize = 1024;

/// Says what is wrong with a pattern. For the API, before a workload is accepted.
pub fn check_pattern(pattern: &str) -> Result<(), OutputError> {
    parts(pattern).map(drop)
}

/// Where a file that a pattern names lies below what it names: of a folder its content counts, of
/// anything else the file, and behind a `*` what the star stands for is part of the place, so that
/// no two files have one. None: the pattern does not name it.
pub fn place_below(pattern: &str, path: &Path) -> Option<PathBuf> {
    let parts = parts(pattern).ok()?;
    let names: Vec<_> = path.components().collect();
    let fits = parts.len() <= names.len()
        && parts.iter().zip(&names).all(|(part, name)| {
            let name = name.as_os_str().as_bytes();
            if is_glob(part) { matches(part, name) } else { part.as_bytes() == name }
        });
    let whole = if parts.len() == names.len() { parts.len().checked_sub(1)? } else { parts.len() };
    let from = parts.iter().position(|part| is_glob(part)).unwrap_or(whole);
    fits.then(|| names[from..].iter().collect())
}

/// The names of a pattern, outermost first; empty for the whole working folder.
pub(super) fn parts(pattern: &str) -> Result<Vec<&str>, OutputError> {
    let bad = |rule| OutputError::Pattern { pattern: pattern.chars().take(80).collect(), rule };
    if pattern.is_empty() {
        return Err(bad("is empty"));
    }
    if pattern.len() > PATTERN_BYTES_MAX || pattern.contains('\0') {
        return Err(bad("is longer than 1024 bytes or contains a zero byte"));
    }
    let mut parts = Vec::new();
    for component in Path::new(pattern).components() {
        match component {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::CurDir => {}
            Component::ParentDir => return Err(bad("contains `..`")),
            Component::RootDir | Component::Prefix(_) => return Err(bad("is an absolute path")),
        }
    }
    Ok(parts)
}

/// Whether a pattern's part is more than a plain name.
pub(super) fn is_glob(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// Whether a name matches. Linear but for the last `*`, which alone is tried again: the usual
/// greedy match with one point of return.
pub(super) fn matches(part: &str, name: &[u8]) -> bool {
    let part = part.as_bytes();
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match part.get(p) {
            Some(b'*') => {
                back = Some((p, n));
                p += 1;
            }
            Some(&b) if b == b'?' || b == name[n] => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((star, at)) => {
                    back = Some((star, at + 1));
                    (p, n) = (star + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    part[p..].iter().all(|&b| b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let yes = [("a", "a"), ("*", "a"), ("*.pt", "x.pt"), ("a?c*", "abcd"), ("*a*b", "xaayb")];
        let no = [("a", "b"), ("*.pt", "x.py"), ("a?", "a"), ("", "a"), ("*a*b", "xaay")];
        yes.iter().for_each(|(p, n)| assert!(matches(p, n.as_bytes()), "{p} {n}"));
        no.iter().for_each(|(p, n)| assert!(!matches(p, n.as_bytes()), "{p} {n}"));
    }

    #[test]
    fn a_file_has_a_place_below_what_a_pattern_names() {
        for (pattern, path, place) in [
            ("model/", "model/a/weights", Some("a/weights")),
            ("model", "model/a", Some("a")),
            ("out/model.pt", "out/model.pt", Some("model.pt")),
            ("./out/*.pt", "out/x.pt", Some("x.pt")),
            ("runs/*/metrics", "runs/7/metrics", Some("7/metrics")),
            ("runs/*", "runs/7/a/b", Some("7/a/b")),
            (".", "a/b", Some("a/b")),
            ("model", "model2/a", None),
            ("out/*.pt", "out/x.py", None),
            ("a/b", "a", None),
        ] {
            let found = place_below(pattern, Path::new(path));
            assert_eq!(found.as_deref(), place.map(Path::new), "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_stays_inside() {
        assert_eq!(parts("./model//x/").unwrap(), ["model", "x"]);
        assert!(parts(".").unwrap().is_empty());
        for bad in ["", "/etc", "../x", "a/../../b", "a\0"] {
            assert!(check_pattern(bad).is_err(), "{bad:?}");
        }
    }
}
