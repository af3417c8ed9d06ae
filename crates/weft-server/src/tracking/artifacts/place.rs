//! Where a file is, in the words of its address: of which run or model, and which path there.

use crate::api::quoted;
use weft_store::PATH_MAX;
use weft_tracking::{Code, Fault, check};

/// How often a percent-encoded path is decoded before it is refused.
const DECODED_MAX: usize = 5;

/// Which file or folder, of what.
pub(super) struct Place {
    pub(super) experiment: u64,
    pub(super) of: Of,
    pub(super) path: String,
}

/// What keeps files, as clients call it.
pub(super) enum Of {
    Run(String),
    Model(String),
}

impl Place {
    /// Reads `3/<run>/artifacts/model/weights` and `3/models/<model>/artifacts/weights`.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let none = || {
            let told = format!("there are no artifacts at `{}`", quoted(text));
            Fault::new(Code::ResourceDoesNotExist, told)
        };
        let (experiment, rest) = text.split_once('/').ok_or_else(none)?;
        let (is_model, rest) = match rest.strip_prefix("models/") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (id, rest) = rest.split_once('/').ok_or_else(none)?;
        let (word, path) = rest.split_once('/').unwrap_or((rest, ""));
        if word != "artifacts" {
            return Err(none());
        }
        let experiment = experiment.parse().map_err(|_| none())?;
        let id = check::run_id(Some(id)).map_err(|_| none())?;
        let path = path.trim_end_matches('/').to_owned();
        legal(&path)?;
        Ok(Self { experiment, of: if is_model { Of::Model(id) } else { Of::Run(id) }, path })
    }
}

/// Whether a path stays where it is, wherever it is unpacked, however often it is decoded.
pub(super) fn legal(path: &str) -> Result<(), Fault> {
    let bad = |path: &str| {
        let is_bad = |part: &str| matches!(part, "" | "." | "..");
        let odd = |c: char| c == '\\' || c.is_control();
        !path.is_empty() && path.split('/').any(is_bad) || path.contains(odd)
    };
    let mut decoded = path.to_owned();
    for _ in 0..DECODED_MAX {
        if bad(&decoded) || path.len() > PATH_MAX - 200 {
            let rule = "a path of an artifact has no empty part, no `.` or `..`, no backslash";
            return Err(Fault::value("path", &quoted(path), rule));
        }
        let next = percent_decoded(&decoded);
        if next == decoded {
            return Ok(());
        }
        decoded = next;
    }
    Err(Fault::value("path", &quoted(path), "it is percent-encoded too often"))
}

/// What can be decoded is; the rest stays as it is.
fn percent_decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_where_it_is() {
        for good in ["", "a", "a/b.txt", "ünï/%41", "a b", "100%", "..a", "a..b", "%"] {
            assert!(legal(good).is_ok(), "{good}");
        }
        for bad in [
            "..",
            "a/../b",
            "/a",
            "a//b",
            "./a",
            "a/.",
            "a\\b",
            "%2e%2e/a",
            "%252e%252e/a",
            "a%2f%2fb",
            "a%5cb",
            "%25252525252525252e",
            "a\0",
            "a%00",
            "\u{1b}",
        ] {
            assert!(legal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_is_of_a_run_or_of_a_model() {
        let place = Place::read("3/abc/artifacts/model/w").unwrap();
        assert!(matches!(&place.of, Of::Run(id) if id == "abc"));
        assert_eq!((place.experiment, &*place.path), (3, "model/w"));
        let place = Place::read("3/models/m-1/artifacts").unwrap();
        assert!(matches!(&place.of, Of::Model(id) if id == "m-1"));
        assert_eq!(place.path, "");
        for bad in [
            "",
            "3",
            "3/abc",
            "3/abc/files",
            "x/abc/artifacts",
            "3/-/artifacts",
            "3//artifacts/a",
            "3/models/artifacts",
        ] {
            assert!(Place::read(bad).is_err(), "{bad}");
        }
    }
}
