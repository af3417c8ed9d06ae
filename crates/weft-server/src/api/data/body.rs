//! The bytes of objects on their way in, counted and hashed; and which range of them is asked for.

use super::super::call::Call;
use super::super::fault::Fault;
use super::super::intake::Intake;
use super::content::Content;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use futures_util::{Stream, stream};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// A body on its way in.
pub(super) struct Incoming {
    told: Arc<Mutex<Told>>,
}

struct Told {
    content: Content,
    fault: Option<Fault>,
}

impl Incoming {
    /// The call's body as something to read, which will be the object at this path, and what is
    /// known of it once it was read.
    pub(super) fn of(
        call: &Call,
        most: u64,
        path: &str,
    ) -> Result<(Self, impl AsyncRead + Unpin + use<>), Fault> {
        let intake = Intake::of(call, most)?;
        let told = Arc::new(Mutex::new(Told { content: Content::of(path), fault: None }));
        let pieces = pieces(intake, told.clone());
        Ok((Self { told }, StreamReader::new(Box::pin(pieces))))
    }

    /// What was read.
    pub(super) fn content(&self) -> Content {
        std::mem::replace(&mut lock(&self.told).content, Content::of(""))
    }

    /// Why reading failed, where it was the body's fault.
    pub(super) fn fault(&self) -> Option<Fault> {
        lock(&self.told).fault.take()
    }
}

fn lock(told: &Mutex<Told>) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pieces(intake: Intake, told: Arc<Mutex<Told>>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some((intake, told)), |going| async {
        let (mut intake, told) = going?;
        match intake.next().await {
            Ok(None) => None,
            Ok(Some(data)) => {
                lock(&told).content.take(&data);
                Some((Ok(data), Some((intake, told))))
            }
            Err(fault) => {
                lock(&told).fault = Some(fault);
                Some((Err(io::Error::other("the body failed")), None))
            }
        }
    })
}

/// The one range of bytes that is asked for (RFC 9110 §14.2), of so many; none: all of them. What
/// is no such range, or several, is answered with all, as the standard lets a server do.
///
/// # Errors
/// The range begins behind the end.
pub(super) fn range(headers: &HeaderMap, length: u64) -> Result<Option<Range<u64>>, ()> {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let Some(spec) = text.and_then(|text| text.strip_prefix("bytes=")) else { return Ok(None) };
    let Some((first, last)) = spec.split_once('-') else { return Ok(None) };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok());
    let (first, last): (Option<u64>, Option<u64>) = match (first, last) {
        ("", "") => return Ok(None),
        ("", suffix) => match number(suffix).flatten() {
            Some(0) => return Err(()),
            Some(suffix) => (Some(length.saturating_sub(suffix)), None),
            None => return Ok(None),
        },
        (first, "") => (number(first).flatten(), None),
        (first, last) => match (number(first).flatten(), number(last).flatten()) {
            (Some(first), Some(last)) if first <= last => (Some(first), Some(last)),
            _ => return Ok(None),
        },
    };
    let Some(first) = first else { return Ok(None) };
    if first >= length {
        return Err(());
    }
    Ok(Some(first..last.map_or(length, |last| last.saturating_add(1).min(length))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, text.parse().unwrap());
            range(&headers, 10)
        };
        for (text, wanted) in [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=2-", Ok(Some(2..10))),
            ("bytes=2-99", Ok(Some(2..10))),
            ("bytes=-3", Ok(Some(7..10))),
            ("bytes=-99", Ok(Some(0..10))),
            ("bytes=10-", Err(())),
            ("bytes=-0", Err(())),
            ("bytes=3-2", Ok(None)),
            ("bytes=1-2,4-5", Ok(None)),
            ("bytes=+1-2", Ok(None)),
            ("bytes=99999999999999999999999-", Ok(None)),
            ("bytes=-", Ok(None)),
            ("items=0-1", Ok(None)),
        ] {
            assert_eq!(asked(text), wanted, "{text}");
        }
        assert_eq!(range(&HeaderMap::new(), 10), Ok(None));
    }
}
