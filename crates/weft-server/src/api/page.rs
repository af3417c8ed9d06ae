//! Pages: bounds, and cursors that clients pass back without reading them.

use super::fault::{Fault, at};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::str::FromStr;
use weft_api::problem::Code;

/// Items on a page unless asked otherwise: what fits a few screens.
const LIMIT_DEFAULT: u32 = 100;
/// Most items on a page: the store's own bound.
const LIMIT_MAX: u32 = weft_store::PAGE_MAX;

/// The limit asked for, within bounds.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Fault> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(at(Code::BadRequest, "limit", format!("must be 1 to {LIMIT_MAX}"))),
    }
}

/// A cursor that goes on after `key`.
pub(crate) fn cursor(key: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(key.to_string())
}

/// The key a cursor goes on after.
pub(crate) fn after<T: FromStr>(cursor: Option<&str>) -> Result<Option<T>, Fault> {
    let Some(cursor) = cursor else { return Ok(None) };
    let key = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        String::from_utf8(bytes).ok()?.parse().ok()
    };
    let refused = || at(Code::BadRequest, "cursor", "must be `next` of the page before");
    key().map(Some).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        assert_eq!(after::<u64>(Some(&cursor(42))).unwrap(), Some(42));
        assert_eq!(after::<u64>(None).unwrap(), None);
        for bad in ["", "42", "!!", "////", &cursor("x"), &cursor(-1)] {
            assert!(after::<u64>(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).unwrap(), LIMIT_DEFAULT);
        assert_eq!(limit(Some(1)).unwrap(), 1);
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(LIMIT_MAX + 1)).is_err());
    }
}
