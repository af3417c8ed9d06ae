//! Bodies on their way in and out: checked against what the client says of them, and never ahead of
//! their reader.

use super::fault::of_data;
use super::length;
use super::notes::{SUM, keep_sums};
use super::objects::PUT_BYTES_MAX;
use crate::api::{App, Fault, Intake, Share};
use axum::http::request::Parts;
use axum::http::{Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use http_body_util::StreamBody;
use hyper::body::{Body as _, Frame};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Semaphore;
use tokio_util::io::StreamReader;
use weft_gateway::{DataError, Notes, Object};

/// Most bytes of one of the pieces that clients frame a body in: the library holds each whole.
/// Clients use 64 KiB to 1 MiB.
const FRAME_MAX: u64 = 16 << 20;
/// Longest head of such a piece: a length, and a signature.
const FRAME_HEAD_MAX: usize = 1 << 10;

/// The body of a request, bounded in silence, time, room on the disk, and in what of it is held.
pub(super) async fn incoming(
    app: &App,
    held: &Semaphore,
    parts: &Parts,
    body: axum::body::Body,
) -> S3Result<s3s::Body> {
    let may_have_one = parts.method == Method::PUT || parts.method == Method::POST;
    if !may_have_one || body.is_end_stream() {
        return Ok(s3s::Body::http_body_unsync(body));
    }
    let says_its_length = parts.headers.contains_key(header::CONTENT_LENGTH);
    let intake = Intake::anonymous(app, body, BODY_BYTES_MAX);
    let hash = parts.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    let frames = hash.is_some_and(|hash| hash.starts_with("STREAMING-")).then(Frames::default);
    let is_framed = frames.is_some();
    // Of a presigned address nothing of the body is signed.
    let flows = parts.method == Method::PUT && hash.is_none_or(|hash| hash == "UNSIGNED-PAYLOAD");
    let pieces = futures_util::stream::unfold((intake, frames), |(mut intake, mut frames)| async {
        let bytes = match intake.next().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return None,
            Err(fault) => {
                return Some((Err(std::io::Error::other(told(&fault))), (intake, frames)));
            }
        };
        let seen = frames.as_mut().map_or(Ok(()), |frames| frames.see(&bytes));
        Some((seen.map(|()| Frame::data(bytes)), (intake, frames)))
    });
    match says_its_length || is_framed {
        true => Ok(s3s::Body::http_body_unsync(StreamBody::new(pieces))),
        false if flows => Ok(length::flowing(pieces, BODY_BYTES_MAX)),
        false => length::held(pieces, held).await,
    }
}

/// A body and its frames: what is put at once, and a little for each piece.
const BODY_BYTES_MAX: u64 = 6 << 30;

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Problem(problem) => problem.detail.clone(),
        Fault::TakenBack(_) => String::new(),
    }
}

/// Walks over the pieces of a framed body, `length;signature CRLF bytes CRLF`, and refuses one that
/// is too long to be held.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    /// Bytes of the piece, with its end of line, that are still to come.
    left: u64,
    /// The last piece has been: headers follow.
    ended: bool,
}

impl Frames {
    fn see(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() && !self.ended {
            let inside = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= inside as u64;
            bytes = &bytes[inside..];
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.head.extend_from_slice(bytes);
                return self.check_head();
            };
            self.head.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.check_head()?;
            let head = std::mem::take(&mut self.head);
            let digits = head.split(|byte| matches!(byte, b';' | b'\r')).next().unwrap_or(&[]);
            let digits = std::str::from_utf8(digits).unwrap_or("");
            let odd = || std::io::Error::other("a piece of the body has no length");
            let length = u64::from_str_radix(digits.trim(), 16).map_err(|_| odd())?;
            if length > FRAME_MAX {
                let text = format!("a piece of the body has {length} bytes, {FRAME_MAX} at most");
                return Err(std::io::Error::other(text));
            }
            (self.left, self.ended) = (length + 2, length == 0);
        }
        Ok(())
    }

    fn check_head(&self) -> std::io::Result<()> {
        match self.head.len() <= FRAME_HEAD_MAX {
            true => Ok(()),
            false => Err(std::io::Error::other("a piece of the body begins with no length")),
        }
    }
}

/// What a client says of a body that is to come.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Base64 of its MD5 sum.
    pub(super) md5: Option<String>,
    /// Its checksums.
    pub(super) sums: Notes,
    /// The header with a checksum that is wanted of it, whether or not the client says it.
    pub(super) wanted: Option<String>,
    /// How many of its first bytes are wanted.
    pub(super) head: usize,
    /// Its length.
    pub(super) length: Option<i64>,
    /// The names of the headers that follow it, as `x-amz-trailer` says.
    pub(super) trailer: Option<String>,
    /// Those headers, once it has ended.
    pub(super) trailing: Option<TrailingHeaders>,
}

/// What has been found of a body.
#[derive(Debug, Clone, Default)]
pub(super) struct Found(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sums: Notes,
    head: Vec<u8>,
    wrong: Option<S3Error>,
}

impl Found {
    /// Its checksums, once it has ended.
    pub(super) fn sums(&self) -> Notes {
        self.state().sums.clone()
    }

    /// Its first bytes, so many as were wanted, once it has ended.
    pub(super) fn head(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().head)
    }

    /// Why it was not taken: what the body says is wrong with it, else what went wrong beside.
    pub(super) fn error(&self, other: DataError) -> S3Error {
        self.state().wrong.take().unwrap_or_else(|| match other {
            DataError::Body(error) => {
                let text = format!("the body ended early: {error}");
                S3Error::with_message(S3ErrorCode::IncompleteBody, text)
            }
            other => of_data(other),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that ends with an error where it is not what the client says it is, so that nothing of it
/// is put.
pub(super) struct Checked<R> {
    inner: R,
    hasher: Option<Box<ChecksumHasher>>,
    md5: Option<Md5>,
    bytes: u64,
    head: Vec<u8>,
    claimed: Claimed,
    found: Found,
}

/// The body of a request, to be checked.
pub(super) fn checked(
    body: Option<StreamingBlob>,
    claimed: Claimed,
) -> S3Result<(Checked<impl AsyncRead + Unpin + Send>, Found)> {
    let body = body.ok_or_else(|| s3_error!(IncompleteBody, "there is no body"))?;
    let reader = StreamReader::new(body.map_err(std::io::Error::other));
    let found = Found::default();
    let md5 = claimed.md5.as_ref().map(|_| Md5::new());
    let hasher = Some(Box::new(hasher(&claimed)));
    let head = Vec::new();
    let checked =
        Checked { inner: reader, hasher, md5, bytes: 0, head, claimed, found: found.clone() };
    Ok((checked, found))
}

/// A hasher for what is claimed, and for what will be in the headers behind the body.
fn hasher(claimed: &Claimed) -> ChecksumHasher {
    let trailer = claimed.trailer.as_deref().unwrap_or("");
    let wants = |name: &str| {
        claimed.sums.contains_key(name)
            || claimed.wanted.as_deref() == Some(name)
            || trailer.split(',').any(|header| header.trim().eq_ignore_ascii_case(name))
    };
    ChecksumHasher {
        crc32: wants("x-amz-checksum-crc32").then(Crc32::new),
        crc32c: wants("x-amz-checksum-crc32c").then(Crc32c::new),
        crc64nvme: wants("x-amz-checksum-crc64nvme").then(Crc64Nvme::new),
        sha1: wants("x-amz-checksum-sha1").then(Sha1::new),
        sha256: wants("x-amz-checksum-sha256").then(Sha256::new),
    }
}

impl<R> Checked<R> {
    /// Compares what came with what was claimed.
    fn end(&mut self) -> S3Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if let Some(length) = self.claimed.length
            && u64::try_from(length).ok() != Some(self.bytes)
        {
            return Err(s3_error!(
                IncompleteBody,
                "{length} bytes were announced and {} came",
                self.bytes
            ));
        }
        if let (Some(claimed), Some(md5)) = (&self.claimed.md5, self.md5.take())
            && *claimed != STANDARD.encode(md5.finalize().as_ref() as &[u8])
        {
            return Err(s3_error!(BadDigest, "the body is not what Content-MD5 says"));
        }
        let mut sums = Notes::new();
        keep_sums(&mut sums, hasher.finalize());
        let mut claimed = std::mem::take(&mut self.claimed.sums);
        let trailing = self.claimed.trailing.as_ref().and_then(TrailingHeaders::take);
        for (name, value) in trailing.iter().flatten() {
            if name.as_str().starts_with(SUM) {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                claimed.insert(name.as_str().to_owned(), value);
            }
        }
        for (name, value) in &claimed {
            if sums.get(name) != Some(value) {
                return Err(s3_error!(BadDigest, "the body is not what {name} says"));
            }
        }
        let mut state = self.found.state();
        (state.sums, state.head) = (sums, std::mem::take(&mut self.head));
        Ok(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Checked<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if new.is_empty() && buf.remaining() > 0 {
            return Poll::Ready(this.end().map_err(|error| {
                this.found.state().wrong = Some(error);
                std::io::Error::other("it is not what the client says")
            }));
        }
        this.bytes += new.len() as u64;
        if this.bytes > PUT_BYTES_MAX.unsigned_abs() {
            let text = "5 GiB are the most at once: use parts";
            let error = S3Error::with_message(S3ErrorCode::EntityTooLarge, text);
            this.found.state().wrong = Some(error);
            return Poll::Ready(Err(std::io::Error::other("it is too large")));
        }
        let more = this.claimed.head.saturating_sub(this.head.len()).min(new.len());
        this.head.extend_from_slice(&new[..more]);
        if let Some(hasher) = &mut this.hasher {
            hasher.update(new);
        }
        if let Some(md5) = &mut this.md5 {
            md5.update(new);
        }
        Poll::Ready(Ok(()))
    }
}

/// A range of an object as the body of an answer.
pub(super) async fn outgoing(
    object: Object,
    range: Range<u64>,
    share: Share,
) -> S3Result<StreamingBlob> {
    let sent = crate::api::outgoing(object, range, Some(share)).await.map_err(of_data)?;
    if sent.rest.is_none() {
        return Ok(StreamingBlob::from(s3s::Body::from(sent.first)));
    }
    let frames = StreamBody::new(sent.stream().map_ok(Frame::data));
    Ok(StreamingBlob::from(s3s::Body::http_body_unsync(frames)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(pieces: &[&[u8]]) -> bool {
        let mut frames = Frames::default();
        pieces.iter().all(|piece| frames.see(piece).is_ok())
    }

    #[test]
    fn a_piece_that_is_too_long_to_be_held_is_refused() {
        let good =
            b"5;chunk-signature=ab\r\nhello\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:a==\r\n\r\n";
        assert!(walk(&[good]));
        // However it is cut on its way.
        for at in 1..good.len() {
            assert!(walk(&[&good[..at], &good[at..]]), "{at}");
        }
        assert!(walk(&[b"1000000\r\n"]));
        assert!(!walk(&[b"1000001\r\n"]));
        assert!(!walk(&[b"ffffffff;x\r\n"]));
        assert!(!walk(&[b"5\r\nhello\r\nffffffff\r\n"]));
        assert!(!walk(&[b"hello\r\n"]));
        assert!(!walk(&[&[b'1'; FRAME_HEAD_MAX + 1]]));
    }
}
