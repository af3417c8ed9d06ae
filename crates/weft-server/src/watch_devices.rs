//! From what a driver reports of its devices to their health, and what becomes of who holds them.
//!
//! Called when the server starts and by the sampler, inside the transaction that writes the
//! inventory; an operator's word comes through the API. The rules are `weft-lifecycle`'s; here is
//! who is told and who is moved.

use crate::control::history;
use weft_device::{DeviceError, XidBlame};
use weft_lifecycle::{Device, DeviceEvent, DeviceRefusal, DeviceState, Event, StopReason};
use weft_store::{DeviceRow, NewEvent, Read, StoreError, WorkloadRow, Write};
use weft_types::{NodeId, Timestamp, WorkloadId};

/// Who the platform is in events.
const WEFT: &str = "weft";

/// How a device is called whose driver does not answer, so that its own name is not known.
const NAMELESS: &str = "GPU-index-";

/// A moment of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Which run of the machine it is in.
    pub(crate) boot: String,
    /// When.
    pub(crate) at: Timestamp,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Self {
        Self { boot: weft_device::boot(), at: weft_agent::now() }
    }
}

/// Whether there is more to come of a machine's devices by itself: time passes, or holders go.
pub(crate) fn unsettled(r: &Read<'_>, node: &NodeId) -> Result<bool, StoreError> {
    Ok(r.devices_of(node)?.iter().any(|device| device.health.state != DeviceState::Ok))
}

/// A device as it is to be stored, by what was stored, what its driver says now (`new`, with what
/// is wrong in its fault) and the errors it has reported. Tells and moves who holds it.
pub(crate) fn seen(
    w: &mut Write<'_>,
    new: DeviceRow,
    errors: &[DeviceError],
    moment: &Moment,
) -> Result<DeviceRow, StoreError> {
    let old = w.device(&new.id)?;
    let wrong = new.fault.clone();
    let mut row = known(new, old);
    let before = row.health.clone();
    let uuid = row.uuid.clone();
    for error in errors.iter().filter(|error| error.uuid == uuid) {
        report(w, &mut row, error, moment)?;
    }
    let Moment { boot, at } = moment;
    let now = match &wrong {
        Some(reason) => DeviceEvent::Grave { what: reason.clone() },
        None => DeviceEvent::Quiet,
    };
    let _ = row.health.apply(&now, boot, *at);
    emptied(w, &mut row, moment)?;
    if wrong.is_none() {
        let _ = row.health.apply(&DeviceEvent::Reset, boot, *at);
    }
    row.fault = row.health.fault();
    changed(w, &row, &before, WEFT, *at)?;
    Ok(row)
}

/// What is stored of a device stays with it: another one in its place begins anew, and one that
/// does not answer is the one that was there.
fn known(new: DeviceRow, old: Option<DeviceRow>) -> DeviceRow {
    match old {
        Some(old) if new.uuid.starts_with(NAMELESS) => DeviceRow { fault: new.fault, ..old },
        Some(old) if old.uuid == new.uuid => DeviceRow { health: old.health, ..new },
        _ => new,
    }
}

/// An error: of the device, or of a program on it, which is told.
fn report(
    w: &mut Write<'_>,
    row: &mut DeviceRow,
    error: &DeviceError,
    moment: &Moment,
) -> Result<(), StoreError> {
    let what = format!("xid {}: {}", error.xid, error.what);
    let event = match error.blame {
        XidBlame::Device => DeviceEvent::Grave { what },
        XidBlame::Nobody => DeviceEvent::Slight { what },
        XidBlame::Program => {
            for id in w.device_holders(&row.id)? {
                let said = format!("{}: {what}", row.id);
                tell(w, id, "device-error", said, moment.at)?;
            }
            return Ok(());
        }
    };
    let _ = row.health.apply(&event, &moment.boot, moment.at);
    Ok(())
}

/// An operator's word on a device; the row as it is now, changed or not.
pub(crate) fn ordered(
    w: &mut Write<'_>,
    mut row: DeviceRow,
    event: &DeviceEvent,
    actor: &str,
    moment: &Moment,
) -> Result<Result<DeviceRow, DeviceRefusal>, StoreError> {
    let before = row.health.clone();
    // Its last holder may have gone since the sampler looked.
    emptied(w, &mut row, moment)?;
    match row.health.apply(event, &moment.boot, moment.at) {
        Ok(()) => emptied(w, &mut row, moment)?,
        Err(DeviceRefusal::Stale) if row.health != before => {}
        Err(DeviceRefusal::Stale) => return Ok(Ok(row)),
        Err(refusal) => return Ok(Err(refusal)),
    }
    row.fault = row.health.fault();
    w.put_device(&row)?;
    changed(w, &row, &before, actor, moment.at)?;
    Ok(Ok(row))
}

/// That nothing holds it, where that is so.
fn emptied(r: &Read<'_>, row: &mut DeviceRow, moment: &Moment) -> Result<(), StoreError> {
    if r.device_holders(&row.id)?.is_empty() {
        let _ = row.health.apply(&DeviceEvent::Empty, &moment.boot, moment.at);
    }
    Ok(())
}

/// What follows from a step of a device's health: an event, and holders that are moved or told.
fn changed(
    w: &mut Write<'_>,
    row: &DeviceRow,
    before: &Device,
    actor: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (was, is) = (before.state, row.health.state);
    if was == is {
        return Ok(());
    }
    w.append_event(NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "device".to_owned(),
        subject: row.id.to_string(),
        queue: None,
        what: is.as_str().to_owned(),
        detail: row.health.reason.clone(),
    })?;
    // From drained to quarantined nobody holds it.
    if is == DeviceState::Drained {
        for id in w.device_holders(&row.id)? {
            move_or_tell(w, id, row, at)?;
        }
    }
    Ok(())
}

/// Moves who loses nothing by it, or asked for it; tells the others, who may save their work.
fn move_or_tell(
    w: &mut Write<'_>,
    id: WorkloadId,
    device: &DeviceRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(workload) = w.workload(id)? else { return Ok(()) };
    let what = format!("{} takes no new work: {}", device.id, device.health.reason);
    if !moves(&workload) {
        let what = format!("{what}; save what you have, this workload is not stopped for it");
        return tell(w, id, "device-failing", what, at);
    }
    tell(w, id, "device-failing", what, at)?;
    let (attempt, reason) = (workload.record.attempt, StopReason::DeviceFailed);
    // What is ending already is let to.
    let _ = history::happened(w, workload, Event::StopPlanned { attempt, reason }, WEFT, at)?;
    Ok(())
}

/// Whether a workload goes on elsewhere when it is stopped: its work is kept, or it has said that
/// it starts again when its machine is lost.
fn moves(workload: &WorkloadRow) -> bool {
    workload.suspend.is_some() || workload.record.retry.on_lost
}

fn tell(
    w: &mut Write<'_>,
    id: WorkloadId,
    what: &str,
    detail: String,
    at: Timestamp,
) -> Result<(), StoreError> {
    let queue = w.workload(id)?.map(|workload| workload.queue);
    w.append_event(NewEvent {
        at,
        actor: WEFT.to_owned(),
        kind: "workload".to_owned(),
        subject: id.to_string(),
        queue,
        what: what.to_owned(),
        detail,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_sched::{DeviceClass, DeviceMode};
    use weft_store::{NodeReport, Store};
    use weft_types::{Bytes, DeviceId, MilliCpu};

    /// A store with one machine, whose one device stands so.
    async fn with_one(dir: &std::path::Path, state: DeviceState) -> (Store, DeviceId) {
        let store = Store::open(dir).unwrap();
        let id = DeviceId { node: NodeId::new("n1").unwrap(), index: 0 };
        let device = DeviceRow {
            id: id.clone(),
            uuid: "GPU-0".to_owned(),
            product: "Test 80GB".to_owned(),
            class: DeviceClass { name: "t80".into(), memory: Bytes(80_000_000_000), value: 1 },
            mode: DeviceMode::Whole,
            fault: None,
            rungs: Vec::new(),
            health: Device { state, ..Device::default() },
            simulated: true,
        };
        let report = NodeReport {
            name: id.node.clone(),
            cpu: MilliCpu(1_000),
            memory: Bytes(1_000_000_000),
            disk: Bytes(1_000_000_000),
            warnings: Vec::new(),
            devices: vec![device],
            at: Timestamp(1),
        };
        store.write(move |w| w.report_node(&report)).await.unwrap();
        (store, id)
    }

    /// Gives an operator's word; where the device stands then, and whether it is looked at again.
    async fn word(store: &Store, id: &DeviceId, event: DeviceEvent) -> (DeviceState, bool) {
        let id = id.clone();
        let said = store.write(move |w| {
            let (row, moment) =
                (w.device(&id)?.unwrap(), Moment { boot: "a".to_owned(), at: Timestamp(2) });
            let row = ordered(w, row, &event, "root", &moment)?.unwrap();
            assert_eq!(w.device(&id)?.as_ref(), Some(&row), "it is stored");
            Ok::<_, StoreError>((row.health.state, unsettled(w, &id.node)?))
        });
        said.await.unwrap()
    }

    #[tokio::test]
    async fn what_an_operator_takes_out_is_looked_at_again_and_returned_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, id) = with_one(dir.path(), DeviceState::Ok).await;
        let node = id.node.clone();
        assert!(!store.read(move |r| unsettled(r, &node)).await.unwrap());
        let out = DeviceEvent::TakenOut { what: "for a look".to_owned() };
        assert_eq!(word(&store, &id, out).await, (DeviceState::Quarantined, true));
        let returned = word(&store, &id, DeviceEvent::GivenBack).await;
        assert_eq!(returned, (DeviceState::Returned, true));
    }

    #[tokio::test]
    async fn what_has_lost_its_last_holder_needs_no_look_to_be_returned() {
        for event in [DeviceEvent::GivenBack, DeviceEvent::TakenOut { what: "again".to_owned() }] {
            let dir = tempfile::tempdir().unwrap();
            let (store, id) = with_one(dir.path(), DeviceState::Drained).await;
            let wanted = match event {
                DeviceEvent::GivenBack => DeviceState::Returned,
                _ => DeviceState::Quarantined,
            };
            assert_eq!(word(&store, &id, event).await, (wanted, true));
        }
    }
}
