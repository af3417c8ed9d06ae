//! News for those who wait: one task follows the store's events and tells everyone.
//!
//! Two hundred watchers would each read the store after every commit; so one reads, and the
//! rest compare in memory. Who falls behind is told so and reads the store itself.

use std::sync::Arc;
use tokio::sync::{broadcast, watch};
use weft_store::{EventFilter, EventRow, PAGE_MAX, Store};

/// Batches kept for the slowest watcher before it has to read the store.
const BACKLOG: usize = 256;

/// News of events.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    sender: broadcast::Sender<Arc<[EventRow]>>,
}

impl Feed {
    /// Starts following the store, until every handle is gone or the server ends.
    pub(crate) fn start(store: Store, mut closing: watch::Receiver<bool>) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        let feed = Self { sender: sender.clone() };
        tokio::spawn(async move {
            let ended = async move { closing.wait_for(|closing| *closing).await.is_ok() };
            tokio::select! {
                _ = ended => {}
                () = follow(store, sender) => {}
            }
        });
        feed
    }

    /// Events from now on, in batches.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[EventRow]>> {
        self.sender.subscribe()
    }
}

async fn follow(store: Store, sender: broadcast::Sender<Arc<[EventRow]>>) {
    let mut heads = store.watch();
    let mut seen = heads.borrow_and_update().event_seq;
    loop {
        let head = heads.borrow_and_update().event_seq;
        while seen < head {
            let after = seen;
            let read =
                store.read(move |r| r.events(&EventFilter::default(), after, PAGE_MAX)).await;
            let Ok(rows) = read else {
                tracing::warn!("events could not be read; watchers are told of the next ones");
                break;
            };
            let Some(last) = rows.last() else { break };
            seen = last.seq;
            // Nobody listens: that is fine.
            let _ = sender.send(rows.into());
        }
        if heads.changed().await.is_err() {
            return;
        }
    }
}
