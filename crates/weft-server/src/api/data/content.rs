//! What is known of an object's content once its bytes have gone by: its hash, and of a table its
//! columns. Whoever puts an object says so in its notes: the API, runs, other ways in.

use super::profile::{head_of, note, note_of_parquet};
use sha2::{Digest as _, Sha256};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinError;
use weft_api::wire::SHA256;
use weft_gateway::{Data, Notes, Staged};
use weft_types::{Bytes, Tier};

/// What has gone by of one object.
#[derive(Debug)]
pub(crate) struct Content {
    path: String,
    hash: Sha256,
    head: Vec<u8>,
    bytes: u64,
}

impl Content {
    /// Of an object that will be at this path: its ending says what it may be.
    pub(crate) fn of(path: &str) -> Self {
        Self { path: path.to_owned(), hash: Sha256::new(), head: Vec::new(), bytes: 0 }
    }

    /// The next of its bytes.
    pub(crate) fn take(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.bytes += data.len() as u64;
        let more = head_of(&self.path).saturating_sub(self.head.len()).min(data.len());
        self.head.extend_from_slice(&data[..more]);
    }

    /// What is to be said of it, in a dataset of this tier.
    pub(crate) async fn notes(
        self,
        data: &Data,
        staged: &Staged,
        tier: Tier,
    ) -> Result<Notes, JoinError> {
        let columns = note_of_parquet(&self.path, tier, || Ok(data.arrived(staged))).await;
        let mut notes = self.of_text(tier).await?;
        notes.extend(columns);
        Ok(notes)
    }

    /// As [`Content::notes`], of what can be said by its first bytes.
    async fn of_text(self, tier: Tier) -> Result<Notes, JoinError> {
        let mut notes = Notes::from([(SHA256.to_owned(), hex::encode(self.hash.finalize()))]);
        notes.extend(note(&self.path, self.head, Bytes(self.bytes), tier).await?);
        Ok(notes)
    }
}

/// Reads on, and lets a [`Content`] see what is read.
pub(crate) struct Watched<R> {
    from: R,
    seen: Arc<Mutex<Content>>,
}

impl<R> Watched<R> {
    /// The reader, and what gives the content once the reader was dropped.
    pub(crate) fn new(from: R, path: &str) -> (Self, Seen) {
        let seen = Arc::new(Mutex::new(Content::of(path)));
        (Self { from, seen: seen.clone() }, Seen(seen))
    }
}

/// What a [`Watched`] has let by.
pub(crate) struct Seen(Arc<Mutex<Content>>);

impl Seen {
    /// All of it, so far.
    pub(crate) fn content(self) -> Content {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut seen, Content::of(""))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.from).poll_read(cx, into))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.take(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use weft_api::wire::PROFILE;

    #[tokio::test]
    async fn what_went_by_is_hashed_and_profiled() {
        let text = "id,age\n1,30\n2,41\n";
        let (mut read, seen) = Watched::new(text.as_bytes(), "a.csv");
        let mut all = String::new();
        read.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, text);
        let notes = seen.content().of_text(Tier::Internal).await.unwrap();
        assert_eq!(notes[SHA256], hex::encode(Sha256::digest(text)));
        assert!(notes[PROFILE].contains("\"age\""), "{}", notes[PROFILE]);
        // What is no table is hashed alone, and nothing of it is kept.
        let mut other = Content::of("a.bin");
        other.take(text.as_bytes());
        assert!(other.head.is_empty());
        assert_eq!(other.of_text(Tier::Internal).await.unwrap().len(), 1);
    }
}
