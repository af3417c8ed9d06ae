//! The view of one file: made as it is read, sealed as it is made. Nothing of it lies on the disk
//! in clear.

use super::{Making, Unmade};
use crate::api::{App, Watched};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use weft_api::wire::MODIFIED;
use weft_gateway::{DataError, Notes, Object, Staged};

/// Bytes on their way from the source to the view.
const PIPE: usize = 1 << 20;

/// Makes the view of a file: it is on the disk then, and not in the view yet.
pub(super) async fn make(
    app: &App,
    making: &Making,
    object: Object,
) -> Result<(Staged, Notes), Unmade> {
    let (body, pipe) = tokio::io::duplex(PIPE);
    // When its file was changed, and nothing else that people say of it: that may tell of what the
    // view has not.
    let modified = object.notes.get(MODIFIED).cloned();
    let path = object.entry.path.clone();
    let (body, seen) = Watched::new(body, &path);
    let (sent, staged) = tokio::join!(copy(object, pipe), app.data.stage(&making.into, body));
    // First why it was not staged: its sender saw no more than that nobody reads on. But a body
    // that ends early is staged as if it were whole: its sender says so.
    let staged = staged?;
    sent?;
    let notes = seen.content().notes(making.into.is.tier).await.map_err(DataError::from);
    let mut notes = notes?;
    notes.extend(modified.map(|modified| (MODIFIED.to_owned(), modified)));
    Ok((staged, notes))
}

/// A file as it is.
async fn copy(object: Object, mut to: DuplexStream) -> Result<(), DataError> {
    let (mut at, end) = (0, object.entry.bytes.0);
    while at < end {
        let part = object.read(at..end, 0).await?;
        if part.is_empty() {
            return Err(DataError::Missing(object.entry.path.clone()));
        }
        to.write_all(&part).await?;
        at += part.len() as u64;
    }
    Ok(to.shutdown().await?)
}
