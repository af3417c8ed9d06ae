//! The datasets of this state directory: their packs, and the key above all keys.
//!
//! Opened once, by [`Server::open`](crate::Server::open), after the state is this server's.

use crate::ServeError;
use std::path::Path;
use weft_gateway::{Data, PACK_BYTES, Packs, master};
use weft_store::{Store, StoreError};

/// Where sealed chunks lie, below the state directory.
const PACKS: &str = "data";
/// The key above all keys, beside them.
const MASTER_KEY: &str = "master.key";

/// Opens them. The key is made where nothing is under seal yet.
pub(crate) async fn open(store: &Store, state_dir: &Path) -> Result<Data, ServeError> {
    // Datasets that were ended are under seal, too, and may be brought back.
    let empty = store.read(|r| Ok::<_, StoreError>(r.team_keys()?.is_empty())).await?;
    let (store, dir) = (store.clone(), state_dir.to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let broken = |error: &dyn std::fmt::Display| ServeError::Broken(error.to_string());
        let key = master(&dir.join(MASTER_KEY), empty).map_err(|e| broken(&e))?;
        let packs = Packs::open(&dir.join(PACKS), PACK_BYTES).map_err(|e| broken(&e))?;
        Ok(Data::new(store, packs, key))
    });
    opened.await.map_err(|panic| ServeError::Broken(panic.to_string()))?
}
