//! A range of an object on its way out, for both protocols. What its reader does not take is not
//! read. What turns out to be damaged is never sent: of the first part the answer says so, behind
//! it fewer bytes come than were announced.

use crate::api::{Share, internal};
use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use std::io;
use std::ops::Range;
use std::time::Duration;
use tokio::sync::mpsc;
use weft_gateway::{DataError, Object};

/// Parts of an object that wait for a slow reader, each up to a chunk: one is sent while the next
/// is opened.
const AHEAD: usize = 1;

/// How long a reader may take for one of them: a slow mobile line takes four megabytes in less.
const READER_MAX: Duration = Duration::from_secs(300);

/// The first part, and how the others come.
pub(crate) struct Outgoing {
    pub(crate) first: Bytes,
    pub(crate) rest: Option<mpsc::Receiver<io::Result<Bytes>>>,
}

/// # Errors
/// The first part is damaged, or cannot be read.
pub(crate) async fn outgoing(
    object: Object,
    range: Range<u64>,
    share: Option<Share>,
) -> Result<Outgoing, DataError> {
    // Most objects are one part: they are there with the head.
    let first = Bytes::from(object.read(range.clone(), 0).await?);
    let left = range.start + first.len() as u64..range.end;
    let rest = (!left.is_empty()).then(|| rest(object, left, share));
    Ok(Outgoing { first, rest })
}

fn rest(
    object: Object,
    range: Range<u64>,
    share: Option<Share>,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let _share = share;
        let mut at = range.start;
        // From where the last ended: the number of a part is found by going through those before.
        while at < range.end {
            let part = match object.read(at..range.end, 0).await {
                Ok(part) if part.is_empty() => Err(io::Error::other("the object is shorter")),
                // Its cause goes to the log.
                part => part.map(Bytes::from).map_err(|error| io::Error::other(internal(error))),
            };
            let is_last = part.is_err();
            at += part.as_ref().map_or(0, |part| part.len() as u64);
            let sent = tokio::time::timeout(READER_MAX, sender.send(part)).await;
            if !matches!(sent, Ok(Ok(()))) || is_last {
                return;
            }
        }
    });
    receiver
}

impl Outgoing {
    /// All of it, part by part.
    pub(crate) fn stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let rest = stream::unfold(self.rest, |rest| async move {
            let mut receiver = rest?;
            receiver.recv().await.map(|part| (part, Some(receiver)))
        });
        stream::iter([Ok(self.first)]).chain(rest)
    }
}
