//! Events: what happened, as a page or as it happens.

use super::call::Call;
use super::fault::Fault;
use super::reply::json;
use super::state::App;
use super::stream::{Gone, Speaker, broke, last_id, stream};
use super::{page, view};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;
use weft_api::wire::{Event, Page};
use weft_policy::{Principal, Resource, Verb};
use weft_store::{EventFilter, EventRow, PAGE_MAX, Read};
use weft_types::WorkloadId;

/// Reads for one page at most: a caller who sees few of many events gets a short page and a
/// cursor, and holds a reader of the store for some ten milliseconds.
const READS_MAX: usize = 20;

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct EventQuery {
    /// After this number; a stream also takes `Last-Event-ID`. Absent: from the beginning, for
    /// a stream from now on.
    after: Option<u64>,
    /// Go on as they happen.
    follow: Option<bool>,
    /// At most this many on a page, 1 to 1000.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Which events of one workload.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct PageQuery {
    /// After this number.
    pub(crate) after: Option<u64>,
    /// At most this many, 1 to 1000.
    pub(crate) limit: Option<u32>,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
}

/// `GET /events`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let query: EventQuery = call.query()?;
    let after = last_id(&call.headers)?.or(query.after);
    if query.follow.unwrap_or(false) {
        let (app, who) = (call.app.clone(), call.who.principal.clone());
        return stream(
            &call,
            move |speaker| async move { follow(&app, &who, &speaker, after).await },
        );
    }
    let limit = page::limit(query.limit)?;
    let mut after = page::after(query.cursor.as_deref())?.or(after).unwrap_or(0);
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let read = move |r: &Read<'_>| -> Result<Page<Event>, Fault> {
        let (mut items, mut sight) = (Vec::new(), Sight::default());
        for _ in 0..READS_MAX {
            let rows = r.events(&EventFilter::default(), after, PAGE_MAX)?;
            let more = rows.len() == PAGE_MAX as usize;
            for row in rows {
                after = row.seq;
                if !sight.sees(&app, &who, r, &row)? {
                    continue;
                }
                items.push(view::event(row));
                if items.len() == limit as usize {
                    return Ok(Page { items, next: Some(page::cursor(after)) });
                }
            }
            if !more {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: Some(page::cursor(after)) })
    };
    json(&call.app.store.read(read).await?)
}

async fn follow(
    app: &App,
    who: &Principal,
    speaker: &Speaker,
    after: Option<u64>,
) -> Result<(), Gone> {
    // Subscribed first, so that nothing falls between what is read and what is told.
    let mut news = app.feed.subscribe();
    let mut after = after.unwrap_or_else(|| app.store.watch().borrow().event_seq);
    loop {
        match catch_up(app, who, after).await {
            Ok((seen, events)) => {
                for event in &events {
                    speaker.say(&event.what, Some(event.seq), event).await?;
                }
                let done = seen == after;
                after = seen;
                if !done {
                    continue;
                }
            }
            Err(fault) => {
                broke(speaker, fault).await;
                return Ok(());
            }
        }
        // Told of something newer, or having missed something: the store has it in order.
        loop {
            match news.recv().await {
                Ok(rows) if rows.last().is_none_or(|row| row.seq <= after) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// How far was looked, and what of it the caller may see.
async fn catch_up(app: &App, who: &Principal, after: u64) -> Result<(u64, Vec<Event>), Fault> {
    let (policies, who) = (app.clone(), who.clone());
    app.store
        .read(move |r: &Read<'_>| -> Result<_, Fault> {
            let rows = r.events(&EventFilter::default(), after, PAGE_MAX)?;
            let seen = rows.last().map_or(after, |row| row.seq);
            let (mut events, mut sight) = (Vec::new(), Sight::default());
            for row in rows {
                if sight.sees(&policies, &who, r, &row)? {
                    events.push(view::event(row));
                }
            }
            Ok((seen, events))
        })
        .await
}

/// Who may see an event, asked once for each workload.
#[derive(Default)]
struct Sight {
    workloads: BTreeMap<WorkloadId, bool>,
}

impl Sight {
    fn sees(
        &mut self,
        app: &App,
        who: &Principal,
        r: &Read<'_>,
        row: &EventRow,
    ) -> Result<bool, Fault> {
        let event = &row.event;
        let id = event.subject.parse::<WorkloadId>().ok().filter(|_| event.kind == "workload");
        if let Some(known) = id.and_then(|id| self.workloads.get(&id)) {
            return Ok(*known);
        }
        // Of one that was removed, its team is all that is known: seen as its queue's cost is.
        let workload = id.map(|id| r.workload(id)).transpose()?.flatten();
        let sees = match (workload, &event.queue) {
            (Some(row), _) => app.decide(who, Verb::WorkloadRead, super::guard::of_workload(&row)),
            (None, Some(queue)) => app.decide(who, Verb::CostRead, Resource::Queue(queue.clone())),
            (None, None) => app.decide(who, Verb::PoolEvents, Resource::Pool),
        };
        if let Some(id) = id {
            self.workloads.insert(id, sees.allow);
        }
        Ok(sees.allow)
    }
}
