//! The view of one file: made as it is read, sealed as it is made. Nothing of it lies on the disk
//! in clear.

use super::{Making, Unmade};
use crate::api::{App, Watched};
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;
use weft_api::wire::MODIFIED;
use weft_gateway::{DataError, Notes, Object, Staged};
use weft_view::{Fault, Ranges, apply};

/// Bytes on their way from the source to the view.
const PIPE: usize = 1 << 20;

/// What became of a file.
pub(super) enum Made {
    /// Its view is on the disk, and not in the dataset yet.
    Whole(Staged, Notes),
    /// It has none, for good, and why.
    LeftOut(String),
}

/// Makes the view of a file. What was staged of one that is left out nobody refers to: it is
/// collected.
pub(super) async fn make(app: &App, making: &Making, object: Object) -> Result<Made, Unmade> {
    let (body, pipe) = tokio::io::duplex(PIPE);
    // When its file was changed, and nothing else that people say of it: that may tell of what the
    // view has not.
    let modified = object.notes.get(MODIFIED).cloned();
    let path = object.entry.path.clone();
    let (body, seen) = Watched::new(body, &path);
    let sending = send(app, making, object, pipe);
    let (sent, staged) = tokio::join!(sending, app.data.stage(&making.into, body));
    // A body that ends early is staged as if it were whole: its sender says so, first.
    if let Sent::LeftOut(why) = sent? {
        return Ok(Made::LeftOut(why));
    }
    let staged = staged?;
    let notes = seen
        .content()
        .notes(&app.data, &staged, making.into.is.tier)
        .await
        .map_err(DataError::from);
    let mut notes = notes?;
    notes.extend(modified.map(|modified| (MODIFIED.to_owned(), modified)));
    Ok(Made::Whole(staged, notes))
}

enum Sent {
    Whole,
    LeftOut(String),
}

/// Sends a file as the recipe says.
async fn send(
    app: &App,
    making: &Making,
    object: Object,
    to: DuplexStream,
) -> Result<Sent, Unmade> {
    let Some(recipe) = making.recipe.clone() else {
        return copy(object, to).await.map(|()| Sent::Whole).map_err(Unmade::from);
    };
    let (data, view) = (app.data.clone(), making.into.id);
    let key = app.store.read(move |r| data.mask_key(r, view)).await?;
    let made = tokio::task::spawn_blocking(move || {
        let path = object.entry.path.clone();
        let from = Ahead::of(object);
        // First for nobody: what is left out in the end would have lain on the disk, once for each
        // version and view, until it is collected.
        let made = apply(&recipe, &key, &path, &from, &mut io::sink())
            .and_then(|_| apply(&recipe, &key, &path, &from, &mut SyncIoBridge::new(to)));
        match made {
            Ok(_) => Ok(Sent::Whole),
            Err(Fault::LeftOut(why)) => Ok(Sent::LeftOut(why.to_string())),
            Err(fault) => Err(Unmade::Other(said(&fault))),
        }
    });
    made.await.map_err(|e| Unmade::Other(e.to_string()))?
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

/// A fault and what is behind it.
fn said(fault: &Fault) -> String {
    match fault {
        Fault::Input(e) | Fault::Output(e) => format!("{fault}: {e}"),
        Fault::LeftOut(why) => why.to_string(),
    }
}

/// An object by ranges, from a thread that may wait: a chunk at a time, of which the last is kept.
pub(crate) struct Ahead {
    object: Object,
    handle: Handle,
    /// Where it begins, and its bytes from there on.
    last: Mutex<(u64, Vec<u8>)>,
}

impl Ahead {
    pub(crate) fn of(object: Object) -> Self {
        Self { object, handle: Handle::current(), last: Mutex::default() }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }
}

impl Ranges for Ahead {
    fn len(&self) -> u64 {
        self.object.entry.bytes.0
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if at >= self.len() {
            return Ok(0);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |last: &(u64, Vec<u8>)| last.0 <= at && at < last.0 + last.1.len() as u64;
        if !holds(&last) {
            let read = self.object.read(at..self.len(), 0);
            *last = (at, self.handle.block_on(read).map_err(io::Error::other)?);
        }
        let from = &last.1[usize::try_from(at - last.0).map_err(io::Error::other)?..];
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}
