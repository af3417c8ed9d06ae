//! Bodies that do not say how long they are, as `curl -T -` sends a pipe: the protocol's library
//! insists on a length that nobody knows.
//!
//! What is put by an unsigned payload flows on as it comes. A payload whose sum is under the
//! signature, and an operation's XML, is held until its end is seen: it has to be small, and only
//! so many are held at once, since nobody knows yet who sends them.

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, SizeHint};
use s3s::{S3Result, s3_error};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::Semaphore;

/// Most bytes of a body that is held: larger ones are sent by clients that know their length.
const HELD_MAX: usize = 1 << 20;
/// Most bodies that are being taken in so at once.
pub(super) const HELD_AT_ONCE: usize = 16;

/// A body that flows on, with a length that is none: the most that there may be. Nothing but the
/// library's wish to have one is met by it; what came is counted (`body.rs`).
pub(super) fn flowing<S>(pieces: S, most: u64) -> s3s::Body
where
    S: Stream<Item = std::io::Result<Frame<Bytes>>> + Send + 'static,
{
    s3s::Body::http_body_unsync(Flowing { pieces: StreamBody::new(Box::pin(pieces)), most })
}

/// A body that is held until its end.
pub(super) async fn held<S>(pieces: S, room: &Semaphore) -> S3Result<s3s::Body>
where
    S: Stream<Item = std::io::Result<Frame<Bytes>>> + Send,
{
    let _place = room.try_acquire().map_err(|_| {
        s3_error!(SlowDown, "too many bodies without a length are coming in: say Content-Length")
    })?;
    let (mut pieces, mut all) = (std::pin::pin!(pieces), Vec::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| s3_error!(IncompleteBody, "{error}"))?;
        let Ok(bytes) = piece.into_data() else { continue };
        if all.len() + bytes.len() > HELD_MAX {
            return Err(s3_error!(
                MissingContentLength,
                "a body of more than {HELD_MAX} bytes says its length, or is signed as \
                 UNSIGNED-PAYLOAD"
            ));
        }
        all.extend_from_slice(&bytes);
    }
    Ok(s3s::Body::from(Bytes::from(all)))
}

type Pieces<S> = StreamBody<Pin<Box<S>>>;

struct Flowing<S> {
    pieces: Pieces<S>,
    most: u64,
}

impl<S> Body for Flowing<S>
where
    S: Stream<Item = std::io::Result<Frame<Bytes>>>,
{
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.get_mut().pieces).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.most)
    }
}
