//! Bodies on their way in and out: checked against what the client says of them, and never ahead of
//! their reader.

use super::fault::of_data;
use super::notes::{SUM, keep_sums};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::StreamBody;
use hyper::body::Frame;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use weft_gateway::{DataError, Notes, Object};

/// Parts of an object that wait for a slow reader, each up to a chunk: one is sent while the next
/// is opened.
const AHEAD: usize = 1;

/// What a client says of a body that is to come.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Base64 of its MD5 sum.
    pub(super) md5: Option<String>,
    /// Its checksums.
    pub(super) sums: Notes,
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
    wrong: Option<S3Error>,
}

impl Found {
    /// Its checksums, once it has ended.
    pub(super) fn sums(&self) -> Notes {
        self.state().sums.clone()
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
    Ok((Checked { inner: reader, hasher, md5, bytes: 0, claimed, found: found.clone() }, found))
}

/// A hasher for what is claimed, and for what will be in the headers behind the body.
fn hasher(claimed: &Claimed) -> ChecksumHasher {
    let trailer = claimed.trailer.as_deref().unwrap_or("");
    let wants = |name: &str| {
        claimed.sums.contains_key(name)
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
        self.found.state().sums = sums;
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
        if let Some(hasher) = &mut this.hasher {
            hasher.update(new);
        }
        if let Some(md5) = &mut this.md5 {
            md5.update(new);
        }
        Poll::Ready(Ok(()))
    }
}

/// A range of an object as the body of an answer. What its reader does not take is not read. What is
/// damaged is never sent: where the answer has begun the connection ends, else the answer says so.
pub(super) async fn outgoing(object: Object, range: Range<u64>) -> S3Result<StreamingBlob> {
    // Most objects are one part: they are there with the head.
    let first = object.read(range.clone(), 0).await.map_err(of_data)?;
    let range = range.start + first.len() as u64..range.end;
    if range.is_empty() {
        return Ok(StreamingBlob::from(s3s::Body::from(first)));
    }
    Ok(rest(object, first, range))
}

fn rest(object: Object, first: Vec<u8>, range: Range<u64>) -> StreamingBlob {
    let (sender, receiver) = mpsc::channel::<Result<Vec<u8>, std::io::Error>>(AHEAD);
    tokio::spawn(async move {
        let mut at = range.start;
        while at < range.end {
            let part = match object.read(at..range.end, 0).await {
                Ok(part) if part.is_empty() => Err(std::io::Error::other("the object is shorter")),
                Ok(part) => Ok(part),
                Err(error) => {
                    tracing::error!(%error, "an object cannot be read");
                    Err(std::io::Error::other("the object cannot be read"))
                }
            };
            let is_last = part.is_err();
            at += part.as_ref().map_or(0, |part| part.len() as u64);
            if sender.send(part).await.is_err() || is_last {
                return;
            }
        }
    });
    let parts = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|part| (part, receiver))
    });
    let parts = futures_util::stream::iter([Ok(first)]).chain(parts);
    let frames = parts.map_ok(|part| Frame::data(hyper::body::Bytes::from(part)));
    StreamingBlob::from(s3s::Body::http_body_unsync(StreamBody::new(frames)))
}
