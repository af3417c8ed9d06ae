//! Runs end with their workload at the latest: one that was killed tells nobody.
//!
//! Whatever is still open when the start of the workload that tracked it is over is ended here, as
//! that ended. What was deleted so long ago that nobody brings it back is forgotten with its files.

use super::artifacts;
use crate::api::App;
use crate::control::closed;
use std::time::{Duration, Instant};
use weft_agent::now;
use weft_lifecycle::{End, State};
use weft_store::{Read, StoreError, TrackedChange, TrackedId, TrackedRow};
use weft_tracking::Status;
use weft_types::{Millis, Timestamp};

/// How often it is looked, where nothing happened.
const EVERY: Duration = Duration::from_secs(30);

/// How often what was deleted long ago is forgotten.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(3_600);

/// How long what was deleted may come back.
const KEPT: Millis = Millis::from_secs(30 * 24 * 3_600);

/// Ends runs until the server does.
pub(crate) async fn run(app: App) {
    let (mut closing, mut heads) = (app.control.closing(), app.store.watch());
    let mut forgotten = None;
    loop {
        if let Err(error) = end_all(&app).await {
            tracing::warn!(%error, "runs whose workloads are over are still open");
        }
        if forgotten.is_none_or(|at: Instant| at.elapsed() >= FORGOTTEN_EVERY) {
            forgotten = Some(Instant::now());
            if let Err(error) = forget(&app).await {
                tracing::warn!(%error, "runs that were deleted are not forgotten yet");
            }
        }
        let seq = heads.borrow_and_update().event_seq;
        let news = async {
            while heads.borrow_and_update().event_seq == seq {
                if heads.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = closed(&mut closing) => return,
            () = news => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn end_all(app: &App) -> Result<(), StoreError> {
    let over = app.store.read(over).await?;
    if over.is_empty() {
        return Ok(());
    }
    let at = i64::try_from(now().0).ok();
    let end = move |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
        for (run, status) in over {
            let change = TrackedChange { status: Some(status), ended_at: at, name: None };
            w.change_tracked(run, &change)?;
        }
        Ok(())
    };
    app.store.write(end).await
}

/// The open runs whose workload's start is over, and how that ended.
fn over(r: &Read<'_>) -> Result<Vec<(TrackedId, Status)>, StoreError> {
    let mut over = Vec::new();
    for row in r.tracked_open()? {
        if let Some(status) = ended(r, &row)? {
            over.push((row.id, status));
        }
    }
    Ok(over)
}

fn ended(r: &Read<'_>, row: &TrackedRow) -> Result<Option<Status>, StoreError> {
    let Some((workload, attempt)) = row.is.workload else { return Ok(None) };
    let Some(of) = r.workload(workload)? else { return Ok(Some(Status::Killed)) };
    let runs = matches!(of.record.state, State::Starting | State::Running | State::Stopping);
    if of.record.attempt != attempt {
        return Ok(Some(Status::Killed));
    }
    if runs {
        return Ok(None);
    }
    let end = of.record.exit.map(|exit| exit.end);
    Ok(Some(match end {
        Some(End::Exited(0)) => Status::Finished,
        Some(End::Stopped | End::Lost) | None => Status::Killed,
        Some(_) => Status::Failed,
    }))
}

async fn forget(app: &App) -> Result<(), StoreError> {
    let before = Timestamp(now().0.saturating_sub(KEPT.0));
    // One in a transaction: a run may have a million points.
    loop {
        if let Some(model) = app.store.read(move |r| r.model_forgettable(before)).await? {
            let of = (model.is.experiment, &model.is.owner);
            artifacts::forget(app, of, &model.is.uuid).await?;
            app.store.write(move |w| w.forget_model(model.id)).await?;
            continue;
        }
        if let Some(run) = app.store.read(move |r| r.tracked_forgettable(before)).await? {
            artifacts::forget(app, (run.is.experiment, &run.is.owner), &run.is.uuid).await?;
        }
        if !app.store.write(move |w| w.forget_tracked(before)).await? {
            return Ok(());
        }
    }
}
