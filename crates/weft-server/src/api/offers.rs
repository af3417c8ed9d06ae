//! What a new workload could have now, by kind of accelerator: found by planning with it.

use super::call::Call;
use super::fault::{Fault, quoted};
use super::guard::of_workload;
use super::reply::json;
use super::workloads::DEFAULT_QUEUE;
use super::{pool, spec, view};
use axum::response::Response;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::IntoParams;
use weft_api::problem::Code;
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{Offer, OfferBack, OfferMig, OfferRoom, OfferWhy, Offers, WaitKind};
use weft_policy::{Resource, Verb};
use weft_sched::{Reason, Request, Room, Workload};
use weft_store::{DeviceRow, Read, StoreError};
use weft_types::{Bytes, GpuRequest, MilliCpu, QueueName, WorkloadId};

/// What the answer is for.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct OfferQuery {
    /// A workload submitted to this queue; absent: the caller's team's.
    queue: Option<String>,
}

/// What a member of the new workload asks for beside the accelerator: next to nothing, so that
/// what is said is about accelerators.
const BESIDE: Request = Request {
    cpu: MilliCpu(1),
    memory: Bytes(1),
    disk: Bytes(0),
    gpu: GpuRequest::None,
    isolation: weft_types::Isolation::Shared,
};

fn queue(call: &Call) -> Result<QueueName, Fault> {
    let query: OfferQuery = call.query()?;
    let name = match (&query.queue, &call.who.principal.queue) {
        (Some(named), _) => quoted(named),
        (None, Some(team)) => return Ok(team.clone()),
        (None, None) => DEFAULT_QUEUE.to_owned(),
    };
    QueueName::new(name).map_err(|e| super::fault::at(Code::BadRequest, "queue", e.to_string()))
}

/// The queue that is asked about, to the policy.
pub(crate) fn of_query(call: &Call) -> Result<Resource, Fault> {
    Ok(Resource::Queue(queue(call)?))
}

/// `GET /offers`: what would start at once.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let queue = queue(&call)?;
    let spec = WorkloadSpec { command: vec!["true".to_owned()], ..WorkloadSpec::empty() };
    let legal = spec::check(spec, queue.clone())?;
    let new = legal.row("new".to_owned(), call.who.principal.user.clone(), call.now, None)?;
    let name = queue.clone();
    let read = move |r: &Read<'_>| -> Result<Vec<DeviceRow>, Fault> {
        if r.queue(&name)?.is_none() {
            return Err(super::queues::none(&name));
        }
        Ok(r.devices()?)
    };
    let rows = call.app.store.read(read).await?;
    let like = Workload { request: BESIDE, ..pool::pending(new) };
    let offers = call.app.control.offers(like).await?;
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let words = move |r: &Read<'_>| -> Result<Vec<Offer>, Fault> {
        let seen = |id: &WorkloadId| -> Result<bool, StoreError> {
            let row = r.workload(*id)?;
            Ok(row.is_some_and(|row| app.decide(&who, Verb::WorkloadRead, of_workload(&row)).allow))
        };
        offers.into_iter().map(|offer| Ok(shown(offer, &rows, &seen)?)).collect()
    };
    let items = call.app.store.read(words).await?;
    json(&Offers { queue: queue.to_string(), items })
}

fn shown(
    offer: weft_sched::Offer,
    rows: &[DeviceRow],
    seen: &impl Fn(&WorkloadId) -> Result<bool, StoreError>,
) -> Result<Offer, StoreError> {
    let of = |row: &&DeviceRow| row.class.name == offer.class && row.class.memory == offer.memory;
    let simulated = rows.iter().filter(of).all(|row| row.simulated);
    let out = rows.iter().filter(of).filter(|row| row.fault.is_some()).count();
    let taking_back = offer.back.map(|back| -> Result<OfferBack, StoreError> {
        let mut stops = BTreeMap::new();
        for id in back.stops {
            stops.insert(id, seen(&id)?);
        }
        let named = stops.iter().filter(|(_, seen)| **seen).map(|(id, _)| id.to_string());
        let stops_others = stops.values().filter(|seen| !**seen).count();
        Ok(OfferBack {
            devices: back.devices,
            stops: named.collect(),
            stops_others: u32::try_from(stops_others).unwrap_or(u32::MAX),
        })
    });
    Ok(Offer {
        class: offer.class.clone(),
        memory_bytes: offer.memory.0,
        simulated,
        devices: offer.devices,
        out: u32::try_from(out).unwrap_or(u32::MAX),
        now: room(offer.now),
        own: room(offer.own),
        why: offer.why.as_deref().map(why),
        taking_back: taking_back.transpose()?,
        worth_milli: offer.worth.0,
    })
}

/// Why one more would wait. Workloads are not named here: they may be anybody's.
fn why(reason: &Reason) -> OfferWhy {
    let (kind, sentence) = (view::kind(reason), weft_sched::describe(reason).0);
    let word = match reason {
        Reason::Quota { queue, resource, .. } => format!("{resource} share of {queue}"),
        Reason::Capacity { .. } | Reason::Impossible { .. } => "in use".to_owned(),
        Reason::Behind { .. } => "kept for who waits longer".to_owned(),
        Reason::Kept { .. } => "kept for work of whole machines".to_owned(),
        Reason::Handover { .. } => "others stop first".to_owned(),
        Reason::MinRun { .. } => "others' minimum time".to_owned(),
        Reason::BackOff { .. } => "a pause before a retry".to_owned(),
    };
    let named = matches!(kind, WaitKind::Behind | WaitKind::Handover);
    OfferWhy { kind, word, reason: (!named).then_some(sentence) }
}

fn room(room: Room) -> OfferRoom {
    let mig = room.mig.into_iter();
    let mig = mig.map(|(profile, count)| OfferMig { profile: profile.to_string(), count });
    OfferRoom {
        devices: room.devices,
        on_one_machine: room.on_one_machine,
        share_milli: room.share.0,
        mig: mig.collect(),
    }
}
