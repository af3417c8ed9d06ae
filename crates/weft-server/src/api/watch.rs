//! One workload as it changes: its state, stage and wait, until it is final
//! and what it left is where it goes.

use super::call::Call;
use super::fault::Fault;
use super::logs::told_of;
use super::state::App;
use super::stream::{Gone, Speaker, broke, stream};
use super::view;
use axum::response::Response;
use weft_api::wire::Workload;
use weft_policy::Principal;
use weft_types::WorkloadId;

/// `GET /workloads/{id}/watch`.
pub(crate) async fn watch(call: Call) -> Result<Response, Fault> {
    let id = call.workload()?.id;
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    stream(&call, move |speaker| async move { follow(&app, &who, &speaker, id).await })
}

async fn follow(app: &App, who: &Principal, speaker: &Speaker, id: WorkloadId) -> Result<(), Gone> {
    let (mut news, mut moved) = (app.feed.subscribe(), app.control.changed());
    let mut said: Option<Workload> = None;
    let mut look = true;
    loop {
        moved.borrow_and_update();
        if look {
            let fresh = match view::fresh(app, who, id).await {
                Ok(Some(workload)) => workload,
                // Removed: there is nothing more to say.
                Ok(None) => return Ok(()),
                Err(fault) => {
                    broke(speaker, fault).await;
                    return Ok(());
                }
            };
            if said.as_ref().is_none_or(|said| differs(said, &fresh)) {
                speaker.say("workload", Some(fresh.version), &fresh).await?;
            }
            if fresh.is_settled() {
                return Ok(());
            }
            said = Some(fresh);
        }
        tokio::select! {
            () = told_of(&mut news, id) => look = true,
            changed = moved.changed() => match changed {
                // Stage and wait are in memory: compare those before asking the store.
                Ok(()) => look = said.as_ref().is_none_or(|said| moved_on(app, said, id)),
                Err(_) => return Ok(()),
            },
        }
    }
}

/// Whether stage or wait are others than was said.
fn moved_on(app: &App, said: &Workload, id: WorkloadId) -> bool {
    let wait = app.control.verdict(id).map(|verdict| view::wait(&verdict));
    match said.state {
        weft_api::wire::State::Queued => said.wait != wait,
        weft_api::wire::State::Starting => said.stage != app.control.stage(id),
        _ => false,
    }
}

/// What a sample changes every second is no news.
fn differs(said: &Workload, fresh: &Workload) -> bool {
    let still = Workload { usage: said.usage.clone(), ..fresh.clone() };
    *said != still
}
