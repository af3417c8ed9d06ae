//! From what a driver reports of its devices to their health, and what becomes of who holds them.
//!
//! Called when the server starts and by the sampler, inside the transaction that writes the
//! inventory; an operator's word comes through the API. The rules are `weft-lifecycle`'s; here is
//! who is told and who is moved.

use crate::control::history;
use weft_device::{DeviceError, DeviceInfo, Health, XidBlame};
use weft_lifecycle::{
    Device, DeviceEvent, DeviceRefusal, DeviceState, Event, SLIGHT_MAX, StopReason,
};
use weft_store::{DeviceRow, NewEvent, Read, StoreError, WorkloadRow, Write};
use weft_types::{DeviceId, NodeId, Timestamp, WorkloadId};

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

/// A device after a look at it.
struct Looked {
    /// As it is to be stored.
    row: DeviceRow,
    /// Its health as it was stored.
    before: Device,
    /// Whether anything of it is new.
    new: bool,
    /// Faults of programs on it, and who is to be told of them.
    told: Vec<(WorkloadId, String)>,
}

/// Whether a look has anything to write: a device stands elsewhere than is stored, for what its
/// driver says, since time has passed, or since its last holder has gone; or somebody is to be
/// told.
pub(crate) fn news(
    r: &Read<'_>,
    node: &NodeId,
    (devices, errors): (&[DeviceInfo], &[DeviceError]),
    moment: &Moment,
) -> Result<bool, StoreError> {
    for info in devices {
        let looked = looked(r, node, info, errors, moment)?;
        if looked.new || !looked.told.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A device as it is to be stored, by what was stored, what its driver says now and the errors it
/// has reported. Tells and moves who holds it.
pub(crate) fn seen(
    w: &mut Write<'_>,
    node: &NodeId,
    info: &DeviceInfo,
    errors: &[DeviceError],
    moment: &Moment,
) -> Result<DeviceRow, StoreError> {
    let Looked { row, before, told, .. } = looked(w, node, info, errors, moment)?;
    for (id, what) in told {
        tell(w, id, "device-error", what, moment.at)?;
    }
    changed(w, &row, &before, WEFT, moment.at)?;
    Ok(row)
}

fn looked(
    r: &Read<'_>,
    node: &NodeId,
    info: &DeviceInfo,
    errors: &[DeviceError],
    moment: &Moment,
) -> Result<Looked, StoreError> {
    let new = device(node, info);
    let old = r.device(&new.id)?;
    let mut row = known(new, old.clone());
    let (before, uuid, mut told) = (row.health.clone(), row.uuid.clone(), Vec::new());
    for error in errors.iter().filter(|error| error.uuid == uuid) {
        told.extend(report(r, &mut row, error, moment)?);
    }
    let Moment { boot, at } = moment;
    let now = match &info.health {
        Health::Healthy => DeviceEvent::Quiet,
        Health::Ailing { reason } => DeviceEvent::Ailing { what: reason.clone() },
        Health::Unhealthy { reason } => DeviceEvent::Grave { what: reason.clone() },
    };
    let _ = row.health.apply(&now, boot, *at);
    emptied(r, &mut row, moment)?;
    if !matches!(info.health, Health::Unhealthy { .. }) {
        let _ = row.health.apply(&DeviceEvent::Reset, boot, *at);
    }
    row.fault = row.health.fault();
    let new = old.as_ref() != Some(&row);
    Ok(Looked { row, before, new, told })
}

/// A device as its driver tells it, of which nothing is known yet.
fn device(node: &NodeId, info: &DeviceInfo) -> DeviceRow {
    DeviceRow {
        id: DeviceId { node: node.clone(), index: info.index },
        uuid: info.uuid.clone(),
        product: info.product.clone(),
        class: info.class.clone(),
        mode: info.mode.clone(),
        fault: None,
        health: Device::default(),
        rungs: info.rungs.clone(),
        simulated: info.simulated,
    }
}

/// What is stored of a device stays with it: another one in its place begins anew, and one that
/// does not answer is the one that was there.
fn known(new: DeviceRow, old: Option<DeviceRow>) -> DeviceRow {
    match old {
        Some(old) if new.uuid.starts_with(NAMELESS) => old,
        Some(old) if old.uuid == new.uuid => DeviceRow { health: old.health, ..new },
        _ => new,
    }
}

/// An error: of the device, or of a program on it; who is to be told.
fn report(
    r: &Read<'_>,
    row: &mut DeviceRow,
    error: &DeviceError,
    moment: &Moment,
) -> Result<Vec<(WorkloadId, String)>, StoreError> {
    let what = error.to_string();
    let event = match error.blame {
        XidBlame::Record => return Ok(Vec::new()),
        XidBlame::Device => DeviceEvent::Grave { what },
        XidBlame::Nobody => DeviceEvent::Slight { what },
        XidBlame::Program => {
            let said = format!("{}: {what}", row.id);
            let holders = r.device_holders(&row.id)?;
            return Ok(holders.into_iter().map(|id| (id, said.clone())).collect());
        }
    };
    let _ = row.health.apply(&event, &moment.boot, moment.at);
    Ok(Vec::new())
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
    // One more trouble of a suspect is a step towards its end.
    let more = is == DeviceState::Suspect && row.health.slight > before.slight;
    if was == is && !more {
        return Ok(());
    }
    w.append_event(NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "device".to_owned(),
        subject: row.id.to_string(),
        queue: None,
        what: is.as_str().to_owned(),
        detail: because(&row.health, was),
    })?;
    // From drained to quarantined nobody holds it.
    if is == DeviceState::Drained {
        for id in w.device_holders(&row.id)? {
            move_or_tell(w, id, row, at)?;
        }
    }
    Ok(())
}

/// Why a device stands where it does now, as a clause.
fn because(health: &Device, was: DeviceState) -> String {
    let reason = &health.reason;
    match health.state {
        DeviceState::Ok => "nothing was wrong for a while".to_owned(),
        DeviceState::Suspect if health.slight > 1 => {
            format!("{reason} (trouble {} of {SLIGHT_MAX})", health.slight)
        }
        DeviceState::Suspect | DeviceState::Drained => reason.clone(),
        DeviceState::Quarantined => format!("nothing holds it any more; {reason}"),
        DeviceState::Returned if was == DeviceState::Suspect => "in spite of it".to_owned(),
        DeviceState::Returned => String::new(),
    }
}

/// Moves who loses nothing by it, or asked for it; tells the others, who may save their work.
fn move_or_tell(
    w: &mut Write<'_>,
    id: WorkloadId,
    device: &DeviceRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(workload) = w.workload(id)? else { return Ok(()) };
    // What an operator takes out may be sound: its own word, and nothing to be feared for.
    let (word, reason, stays) = match device.health.taken_out {
        true => (
            "device-leaving",
            StopReason::DeviceTakenOut,
            "this workload is not stopped for it; the device goes when it has ended",
        ),
        false => (
            "device-failing",
            StopReason::DeviceFailed,
            "save what you have, this workload is not stopped for it",
        ),
    };
    let what = format!("{} takes no new work: {}", device.id, device.health.reason);
    if !moves(&workload) {
        return tell(w, id, word, format!("{what}; {stays}"), at);
    }
    tell(w, id, word, what, at)?;
    let attempt = workload.record.attempt;
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
    use weft_lifecycle::SUSPICION;
    use weft_sched::{DeviceClass, DeviceMode};
    use weft_store::{NodeReport, Store};
    use weft_types::{Bytes, MilliCpu};

    /// The one device, as its driver tells it.
    fn told(health: Health) -> DeviceInfo {
        DeviceInfo {
            index: 0,
            uuid: "GPU-0".to_owned(),
            product: "Test 80GB".to_owned(),
            class: DeviceClass { name: "t80".into(), memory: Bytes(80_000_000_000), value: 1 },
            mode: DeviceMode::Whole,
            device_nodes: Vec::new(),
            health,
            rungs: Vec::new(),
            simulated: true,
        }
    }

    fn ill() -> Health {
        Health::Unhealthy { reason: "it does not answer".to_owned() }
    }

    /// A store with one machine, whose one device stands so.
    async fn with_one(dir: &std::path::Path, state: DeviceState) -> (Store, DeviceId) {
        let store = Store::open(dir).unwrap();
        let node = NodeId::new("n1").unwrap();
        let mut row = device(&node, &told(Health::Healthy));
        row.health =
            Device { state, boot: "a".to_owned(), troubled: Timestamp(1), ..Device::default() };
        row.fault = row.health.fault();
        let id = row.id.clone();
        let report = NodeReport {
            name: node,
            cpu: MilliCpu(1_000),
            memory: Bytes(1_000_000_000),
            disk: Bytes(1_000_000_000),
            warnings: Vec::new(),
            devices: vec![row],
            at: Timestamp(1),
        };
        store.write(move |w| w.report_node(&report)).await.unwrap();
        (store, id)
    }

    /// Whether a look finds anything to write.
    async fn finds(store: &Store, health: Health, boot: &str, at: u64) -> bool {
        let moment = Moment { boot: boot.to_owned(), at: Timestamp(at) };
        let node = NodeId::new("n1").unwrap();
        store.read(move |r| news(r, &node, (&[told(health)], &[]), &moment)).await.unwrap()
    }

    /// Gives an operator's word; where the device stands then.
    async fn word(store: &Store, id: &DeviceId, event: DeviceEvent) -> DeviceState {
        let id = id.clone();
        let said = store.write(move |w| {
            let (row, moment) =
                (w.device(&id)?.unwrap(), Moment { boot: "a".to_owned(), at: Timestamp(2) });
            let row = ordered(w, row, &event, "root", &moment)?.unwrap();
            assert_eq!(w.device(&id)?.as_ref(), Some(&row), "it is stored");
            Ok::<_, StoreError>(row.health.state)
        });
        said.await.unwrap()
    }

    #[tokio::test]
    async fn what_an_operator_takes_out_comes_to_rest_and_is_returned_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, id) = with_one(dir.path(), DeviceState::Ok).await;
        let out = DeviceEvent::TakenOut { what: "for a look".to_owned() };
        assert_eq!(word(&store, &id, out).await, DeviceState::Quarantined);
        assert!(!finds(&store, Health::Healthy, "a", 3).await);
        assert_eq!(word(&store, &id, DeviceEvent::GivenBack).await, DeviceState::Returned);
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
            assert_eq!(word(&store, &id, event).await, wanted);
        }
    }

    #[tokio::test]
    async fn a_look_writes_only_what_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = with_one(dir.path(), DeviceState::Quarantined).await;
        assert!(
            !finds(&store, Health::Healthy, "a", 2).await,
            "it waits, in the boot it failed in"
        );
        assert!(!finds(&store, ill(), "a", 2).await, "and says still what is known");
        assert!(finds(&store, Health::Healthy, "b", 2).await, "it was reset");
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = with_one(dir.path(), DeviceState::Drained).await;
        assert!(finds(&store, Health::Healthy, "a", 2).await, "its last holder has gone");
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = with_one(dir.path(), DeviceState::Suspect).await;
        assert!(!finds(&store, Health::Healthy, "a", SUSPICION.0).await, "it is watched");
        assert!(finds(&store, Health::Healthy, "a", 1 + SUSPICION.0).await, "it was quiet");
        assert!(finds(&store, ill(), "a", 2).await, "it fails");
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = with_one(dir.path(), DeviceState::Ok).await;
        assert!(!finds(&store, Health::Healthy, "a", 2).await);
        let hot = Health::Ailing { reason: "it is too hot".to_owned() };
        assert!(finds(&store, hot, "a", 2).await);
    }
}
