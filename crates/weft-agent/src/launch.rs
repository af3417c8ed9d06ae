//! From an assignment to what the runtime starts: what a workload finds in its sandbox.

use crate::Assignment;
use std::collections::BTreeMap;
use std::path::PathBuf;
use weft_api::spec::NetworkMode;
use weft_device::DeviceInfo;
use weft_runtime::{Launch, Limits, Network, Prepare, Prepared};
use weft_sched::Grant;
use weft_types::{Millis, NAME_MAX};

/// Processes and threads of one member: room for data loaders and thread pools on a large
/// machine, an end for a fork bomb.
const PIDS_MAX: u32 = 4_096;

/// What must be made ready before the start.
pub(crate) fn prepare(assignment: &Assignment) -> Prepare {
    let runtime = &assignment.spec.runtime;
    Prepare {
        image: runtime.image.clone(),
        python: runtime.python.clone(),
        requirements: runtime.requirements.clone(),
    }
}

/// What is started, on what was made ready. Fails with a sentence where the machine does not
/// have what was given.
pub(crate) fn launch(
    assignment: &Assignment,
    prepared: Prepared,
    devices: &[DeviceInfo],
) -> Result<Launch, String> {
    let (spec, placement) = (&assignment.spec, &assignment.placement);
    let granted = granted(&placement.grants, devices)?;
    Ok(Launch {
        key: assignment.key,
        epoch: assignment.epoch,
        root: prepared.root,
        environment: prepared.environment,
        bundle: spec.bundle.clone(),
        setup: spec.setup.clone(),
        command: spec.command.clone(),
        env: environment(assignment, prepared.image.unwrap_or_default().env, &granted),
        outputs: spec.outputs.clone(),
        limits: Limits {
            cpu: placement.cpu,
            memory: placement.memory,
            disk: placement.disk,
            pids: PIDS_MAX,
        },
        devices: nodes(&granted),
        network: match spec.network {
            NetworkMode::None => Network::None,
            NetworkMode::Outbound => Network::Outbound { allow: Vec::new() },
        },
        ports: spec.ports.clone(),
        hostname: hostname(assignment),
        stop_grace: Millis(spec.stop_grace_ms),
    })
}

/// The devices behind the grants, in the order given.
fn granted<'d>(grants: &[Grant], devices: &'d [DeviceInfo]) -> Result<Vec<&'d DeviceInfo>, String> {
    let find = |grant: &Grant| {
        let index = grant.device().index;
        let device = devices.iter().find(|d| d.index == index);
        let device = device.ok_or(format!("accelerator {} is gone", grant.device()))?;
        // Until instances are made on demand, handing out the device node instead would give
        // the whole device to whoever asked for a slice.
        if matches!(grant, Grant::Mig { .. }) && !device.device_nodes.is_empty() {
            return Err(format!("MIG instances cannot be made on {} yet", grant.device()));
        }
        Ok(device)
    };
    grants.iter().map(find).collect()
}

/// Device nodes, each once; what is simulated has none.
fn nodes(granted: &[&DeviceInfo]) -> Vec<PathBuf> {
    let mut nodes: Vec<PathBuf> =
        granted.iter().flat_map(|d| d.device_nodes.iter().cloned()).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

/// What the platform says about the start, over what the user set, over what the image brings: a
/// program that reads `WEFT_RANK` must be able to trust it.
fn environment(
    assignment: &Assignment,
    image: BTreeMap<String, String>,
    granted: &[&DeviceInfo],
) -> BTreeMap<String, String> {
    let key = &assignment.key;
    let visible: Vec<&str> = granted.iter().map(|d| d.uuid.as_str()).collect();
    let ours = [
        ("WEFT_WORKLOAD", key.workload.to_string()),
        ("WEFT_NAME", assignment.name.clone()),
        ("WEFT_ATTEMPT", key.attempt.to_string()),
        ("WEFT_RANK", key.member.to_string()),
        ("WEFT_WORLD_SIZE", assignment.gang.to_string()),
        // Empty hides every device from CUDA, which is true for a workload that was given none.
        ("CUDA_VISIBLE_DEVICES", visible.join(",")),
    ];
    let mut env = image;
    env.extend(assignment.spec.env.clone());
    env.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    env
}

/// The workload's name, with the member's number in a gang; a DNS label.
fn hostname(assignment: &Assignment) -> String {
    if assignment.gang <= 1 {
        return assignment.name.chars().take(NAME_MAX).collect();
    }
    let suffix = format!("-{}", assignment.key.member);
    let name: String = assignment.name.chars().take(NAME_MAX - suffix.len()).collect();
    name + &suffix
}
