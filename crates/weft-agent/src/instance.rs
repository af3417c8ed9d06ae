//! A member's MIG instances: made before it starts, ended before its end is told.
//!
//! Called by `member.rs` alone. What an end leaves behind is ended by who gets its place, or by the
//! next server ([`crate::Agent::end_left_instances`]).

use crate::Assignment;
use crate::agent::Inner;
use std::time::Duration;
use weft_device::{DeviceInfo, Opened};
use weft_sched::Grant;

/// How often an end is tried: a driver takes a moment to see that the last program is gone.
const TRIES: u32 = 20;

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

/// The name under which an instance is noted: whose, and which of its grants.
fn holder(assignment: &Assignment, ordinal: usize) -> String {
    format!("{}.{ordinal}", assignment.key)
}

/// Makes the member's instances, or finds them, in the order of its grants.
pub(crate) async fn open(
    assignment: &Assignment,
    devices: &[DeviceInfo],
    agent: &Inner,
) -> Result<Vec<Opened>, String> {
    let mut opened = Vec::new();
    for (ordinal, grant) in assignment.placement.grants.iter().enumerate() {
        let Grant::Mig { device: id, placement } = grant else { continue };
        let device = devices.iter().find(|device| device.index == id.index);
        let device = device.ok_or(format!("accelerator {id} is gone"))?.uuid.clone();
        let (holder, place) = (holder(assignment, ordinal), placement.clone());
        let made = agent.instances(move |all| all.make(&holder, &device, &place)).await;
        let made = made.ok_or("the driver's thread failed")?;
        opened.push(made.map_err(|error| format!("a MIG instance on {id}: {error}"))?);
    }
    Ok(opened)
}

/// Ends them, so that their places are free when the end is told.
pub(crate) async fn end(assignment: &Assignment, agent: &Inner) {
    for (ordinal, grant) in assignment.placement.grants.iter().enumerate() {
        let Grant::Mig { .. } = grant else { continue };
        for _ in 0..TRIES {
            let holder = holder(assignment, ordinal);
            match agent.instances(move |all| all.end(&holder)).await {
                Some(Ok(())) | None => break,
                Some(Err(error)) => {
                    let key = assignment.key;
                    tracing::warn!(%key, %error, "its MIG instance is still there");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
