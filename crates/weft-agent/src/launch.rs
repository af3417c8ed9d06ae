//! From an assignment to what the runtime starts: what a workload finds in its sandbox.

use crate::Assignment;
use std::collections::BTreeMap;
use std::path::PathBuf;
use weft_api::spec::{DataSpec, NetworkMode};
use weft_cuda_abi::share::WHOLE;
use weft_device::{DeviceInfo, Opened};
use weft_runtime::{
    CHECKPOINT, DataMount, Driver, Gpu, Launch, Limits, Network, Prepare, Prepared, Slice,
};
use weft_sched::Grant;
use weft_types::{Isolation, MilliGpu, Millis, NAME_MAX};

/// Processes and threads of one member: room for data loaders and thread pools on a large
/// machine, an end for a fork bomb.
const PIDS_MAX: u32 = 4_096;

/// What the identifiers of devices begin with that are declared and do not exist.
const SIMULATED: &str = "SIM-";

/// What must be made ready before the start.
pub(crate) fn prepare(assignment: &Assignment) -> Prepare {
    let runtime = &assignment.spec.runtime;
    Prepare {
        image: runtime.image.clone(),
        python: runtime.python.clone(),
        requirements: runtime.requirements.clone(),
    }
}

/// What is started, on what was made ready; `opened` are its MIG instances in the order of its
/// grants. Fails with a sentence where the machine does not have what was given.
pub(crate) fn launch(
    assignment: &Assignment,
    prepared: Prepared,
    (devices, opened): (&[DeviceInfo], &[Opened]),
    driver: Option<&Driver>,
) -> Result<Launch, String> {
    let (spec, placement) = (&assignment.spec, &assignment.placement);
    let granted = granted(&placement.grants, devices, opened)?;
    let granted: Vec<&DeviceInfo> = granted.iter().collect();
    Ok(Launch {
        key: assignment.key,
        epoch: assignment.epoch,
        root: prepared.root,
        environment: prepared.environment,
        bundle: spec.bundle.clone(),
        setup: spec.setup.clone(),
        command: spec.command.clone(),
        env: environment(assignment, prepared.image.unwrap_or_default().env, &granted),
        gang: assignment.gang.max(assignment.spec.members().1),
        outputs: spec.kept().map(str::to_owned).collect(),
        limits: Limits {
            cpu: placement.cpu,
            memory: placement.memory,
            disk: placement.disk,
            pids: PIDS_MAX,
        },
        devices: nodes(&granted),
        gpu: gpu(&placement.grants, &granted, driver)?,
        network: match spec.network {
            NetworkMode::None => Network::None,
            NetworkMode::Outbound => Network::Outbound { allow: Vec::new() },
        },
        ports: spec.ports.clone(),
        hostname: hostname(assignment),
        stop_grace: Millis(spec.stop_grace_ms),
        kept: spec.suspend.is_some(),
        data: spec.data.iter().map(data).collect::<Result<_, _>>()?,
    })
}

/// A dataset's folder. The version was named when the workload was submitted.
fn data(spec: &DataSpec) -> Result<DataMount, String> {
    let Some((dataset, Some(version))) = weft_api::spec::split_data(&spec.from) else {
        return Err(format!("data: `{}` names no version of a dataset", spec.from));
    };
    let (dataset, version) = (dataset.to_string(), version.to_owned());
    Ok(DataMount { dataset, version, to: PathBuf::from(&spec.to) })
}

/// The devices behind the grants, in the order given, an instance as a device of its own.
fn granted(
    grants: &[Grant],
    devices: &[DeviceInfo],
    opened: &[Opened],
) -> Result<Vec<DeviceInfo>, String> {
    let mut opened = opened.iter();
    let find = |grant: &Grant| {
        let id = grant.device();
        let device = devices.iter().find(|d| d.index == id.index);
        let device = device.ok_or(format!("accelerator {id} is gone"))?;
        match grant {
            Grant::Mig { .. } => {
                let Opened { uuid, nodes } =
                    opened.next().ok_or(format!("the MIG instance on {id} was not made"))?.clone();
                // The nodes of an instance open it alone; the device's own beside them opens none.
                let device_nodes = device.device_nodes.iter().cloned().chain(nodes).collect();
                Ok(DeviceInfo { uuid, device_nodes, ..device.clone() })
            }
            _ => Ok(device.clone()),
        }
    };
    grants.iter().map(find).collect()
}

/// Whether a device is more than declared.
fn exists(device: &DeviceInfo) -> bool {
    !device.uuid.starts_with(SIMULATED)
}

/// What is seen of the devices' driver; nothing of those that do not exist. Fails where a part was
/// given and cannot be kept: without the driver's files nothing can stand before them.
fn gpu(
    grants: &[Grant],
    granted: &[&DeviceInfo],
    driver: Option<&Driver>,
) -> Result<Option<Gpu>, String> {
    let real = grants.iter().zip(granted).filter(|(_, device)| exists(device));
    let slice = |(grant, device): (&Grant, &&DeviceInfo)| {
        let uuid = device.uuid.clone();
        match grant {
            Grant::Share { milli, memory, .. } => {
                Some(Slice { uuid, memory: *memory, milli: *milli })
            }
            Grant::Whole { .. } | Grant::Mig { .. } => None,
        }
    };
    let (count, slices): (usize, Vec<Slice>) =
        (real.clone().count(), real.clone().filter_map(slice).collect());
    // Where a part is kept, a device that is given whole is one of all its memory and time.
    let whole = |(grant, device): (&Grant, &&DeviceInfo)| {
        let (uuid, memory) = (device.uuid.clone(), device.class.memory);
        slice((grant, device)).unwrap_or(Slice { uuid, memory, milli: MilliGpu(WHOLE.into()) })
    };
    let slices = if slices.is_empty() { slices } else { real.map(whole).collect() };
    let mut parts =
        grants.iter().zip(granted).filter(|(grant, _)| matches!(grant, Grant::Share { .. }));
    // As the planner was told when it chose the device.
    let mps = parts.any(|(_, device)| Isolation::of_shares(&device.rungs) == Some(Isolation::Mps));
    match driver {
        _ if count == 0 => Ok(None),
        Some(driver) => Ok(Some(Gpu { driver: driver.clone(), slices, mps })),
        None if slices.is_empty() => Ok(None),
        None => Err("a part of an accelerator cannot be kept: libcuda.so.1 is not where this \
            machine's loader looks; start the server with `weft up --gpu-libraries` and its \
            folder, or ask for a whole device, `gpu: 1`"
            .to_owned()),
    }
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
    if assignment.spec.suspend.is_some() {
        env.insert("WEFT_CHECKPOINT_DIR".to_owned(), CHECKPOINT.to_owned());
    }
    env
}

/// The workload's name, with the member's number in a gang; a DNS label.
fn hostname(assignment: &Assignment) -> String {
    if assignment.gang.max(assignment.spec.members().1) <= 1 {
        return assignment.name.chars().take(NAME_MAX).collect();
    }
    let suffix = format!("-{}", assignment.key.member);
    let name: String = assignment.name.chars().take(NAME_MAX - suffix.len()).collect();
    name + &suffix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;
    use std::sync::Arc;
    use weft_api::spec::{
        ResourcesSpec, RetrySpec, RuntimeSpec, SuspendBy, SuspendSpec, WorkloadSpec,
    };
    use weft_device::Health;
    use weft_runtime::Root;
    use weft_sched::{DeviceClass, DeviceMode, MigPlacement, Placement};
    use weft_types::{Bytes, DeviceId, Epoch, Member, MilliCpu, MilliGpu, NodeId};

    fn spec() -> WorkloadSpec {
        WorkloadSpec {
            kind: "job".to_owned(),
            name: None,
            phase: None,
            queue: None,
            priority: 0,
            runtime: RuntimeSpec::default(),
            setup: Vec::new(),
            command: vec!["true".to_owned()],
            env: BTreeMap::new(),
            bundle: None,
            outputs: Vec::new(),
            publish: Vec::new(),
            data: Vec::new(),
            resources: ResourcesSpec::default(),
            replicas: 2,
            replicas_max: None,
            max_duration_ms: None,
            retry: RetrySpec::default(),
            ports: Vec::new(),
            network: NetworkMode::None,
            stop_grace_ms: 0,
            suspend: None,
            expected_duration_ms: None,
        }
    }

    fn assignment(spec: WorkloadSpec, grants: Vec<Grant>) -> Assignment {
        Assignment {
            key: "w7-2-1".parse().unwrap(),
            epoch: Epoch(1),
            name: "a".repeat(NAME_MAX),
            gang: 2,
            placement: Placement {
                member: Member(1),
                node: node(),
                cpu: MilliCpu(100),
                memory: Bytes(1),
                disk: Bytes(1),
                grants,
            },
            spec: Arc::new(spec),
            origin: Origin::Fresh,
        }
    }

    fn node() -> NodeId {
        NodeId::new("n1").unwrap()
    }

    fn device(index: u32, nodes: &[&str]) -> DeviceInfo {
        DeviceInfo {
            index,
            uuid: format!("GPU-{index}"),
            product: String::new(),
            class: DeviceClass { name: "h200".to_owned(), memory: Bytes(1), value: 1 },
            mode: DeviceMode::Whole,
            device_nodes: nodes.iter().map(PathBuf::from).collect(),
            health: Health::Healthy,
            simulated: false,
            rungs: Vec::new(),
        }
    }

    fn on(index: u32) -> DeviceId {
        DeviceId { node: node(), index }
    }

    fn made(assignment: &Assignment, devices: &[DeviceInfo]) -> Result<Launch, String> {
        with(assignment, devices, None)
    }

    fn with(
        assignment: &Assignment,
        devices: &[DeviceInfo],
        driver: Option<&Driver>,
    ) -> Result<Launch, String> {
        let prepared = Prepared { root: Root::HostUsr, environment: None, image: None };
        launch(assignment, prepared, (devices, &[]), driver)
    }

    /// A folder with files of the driver's names.
    fn driver() -> (tempfile::TempDir, Driver) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let driver = Driver::named(folder.path()).unwrap();
        (folder, driver)
    }

    #[test]
    fn what_the_platform_says_stands_over_what_the_user_set() {
        let mut spec = spec();
        let set = [("WEFT_RANK", "9"), ("CUDA_VISIBLE_DEVICES", "all"), ("MINE", "kept")];
        spec.env = set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let launch = made(&assignment(spec, vec![]), &[]).unwrap();
        assert_eq!((launch.env["WEFT_RANK"].as_str(), launch.env["MINE"].as_str()), ("1", "kept"));
        assert_eq!(
            (launch.env["WEFT_WORLD_SIZE"].as_str(), launch.env["WEFT_ATTEMPT"].as_str()),
            ("2", "2")
        );
        assert_eq!(launch.env["CUDA_VISIBLE_DEVICES"], "");
        assert_eq!((launch.hostname.len(), launch.hostname.ends_with("a-1")), (NAME_MAX, true));
    }

    #[test]
    fn what_can_be_suspended_is_told_where_its_work_is_kept() {
        let none = made(&assignment(spec(), vec![]), &[]).unwrap();
        assert_eq!((none.kept, none.env.get("WEFT_CHECKPOINT_DIR")), (false, None));
        let mut spec = spec();
        spec.suspend = Some(SuspendSpec { by: SuspendBy::Checkpoint, cost_ms: 1 });
        spec.env.insert("WEFT_CHECKPOINT_DIR".to_owned(), "/elsewhere".to_owned());
        let launch = made(&assignment(spec, vec![]), &[]).unwrap();
        assert_eq!((launch.kept, launch.env["WEFT_CHECKPOINT_DIR"].as_str()), (true, CHECKPOINT));
    }

    #[test]
    fn exactly_the_nodes_of_what_was_given_are_seen() {
        let devices =
            [device(0, &["/dev/nvidia0", "/dev/nvidiactl"]), device(1, &["/dev/nvidia1"])];
        let whole = assignment(spec(), vec![Grant::Whole { device: on(0) }]);
        let launch = made(&whole, &devices).unwrap();
        let seen: Vec<_> = launch.devices.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(seen, ["/dev/nvidia0", "/dev/nvidiactl"]);
        assert_eq!(launch.env["CUDA_VISIBLE_DEVICES"], "GPU-0");
        assert!(made(&whole, &[]).unwrap_err().contains("n1/0 is gone"));
    }

    #[test]
    fn a_part_is_kept_by_what_stands_before_the_driver_or_not_given() {
        let share = Grant::Share { device: on(0), milli: MilliGpu(500), memory: Bytes(7) };
        let part = assignment(spec(), vec![share.clone()]);
        let real = [device(0, &["/dev/nvidia0"]), device(1, &["/dev/nvidia1"])];
        let refused = made(&part, &real).unwrap_err();
        assert!(
            refused.contains("cannot be kept") && refused.contains("--gpu-libraries"),
            "{refused}"
        );
        let (_folder, driver) = driver();
        let gpu = with(&part, &real, Some(&driver)).unwrap().gpu.unwrap();
        let of = |uuid: &str, memory, milli| Slice {
            uuid: uuid.to_owned(),
            memory: Bytes(memory),
            milli: MilliGpu(milli),
        };
        assert_eq!((gpu.slices, &gpu.driver), (vec![of("GPU-0", 7, 500)], &driver));
        // What is given whole beside it is all of its device; alone it has nothing before it.
        let both = assignment(spec(), vec![share, Grant::Whole { device: on(1) }]);
        let gpu = with(&both, &real, Some(&driver)).unwrap().gpu.unwrap();
        assert_eq!(gpu.slices, [of("GPU-0", 7, 500), of("GPU-1", 1, 1000)]);
        let whole = assignment(spec(), vec![Grant::Whole { device: on(1) }]);
        let gpu = with(&whole, &real, Some(&driver)).unwrap().gpu.unwrap();
        assert_eq!(gpu.slices, []);
        // A machine whose driver is not found gives whole devices as they are.
        assert_eq!(made(&whole, &real).unwrap().gpu, None);
    }

    #[test]
    fn an_instance_is_seen_by_its_own_name_and_nodes() {
        let profile = "1g.18gb".parse().unwrap();
        let placement = MigPlacement { profile, start: 0, size: 1, memory: Bytes(1) };
        let grant = |index| Grant::Mig { device: on(index), placement: placement.clone() };
        let both = assignment(spec(), vec![grant(0), grant(0)]);
        let devices = [device(0, &["/dev/nvidia0"])];
        let opened = |n: u32| Opened {
            uuid: format!("MIG-{n}"),
            nodes: vec![PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{n}"))],
        };
        let prepared = Prepared { root: Root::HostUsr, environment: None, image: None };
        let launch = launch(&both, prepared, (&devices, &[opened(3), opened(4)]), None).unwrap();
        assert_eq!(launch.env["CUDA_VISIBLE_DEVICES"], "MIG-3,MIG-4");
        assert_eq!(launch.devices.len(), 3, "{:?}", launch.devices);
        assert!(made(&both, &devices).unwrap_err().contains("was not made"));
    }

    #[test]
    fn what_does_not_exist_has_no_driver() {
        let share = Grant::Share { device: on(0), milli: MilliGpu(500), memory: Bytes(1) };
        let mut simulated = device(0, &[]);
        simulated.uuid = "SIM-0".to_owned();
        let (_folder, driver) = driver();
        let part = assignment(spec(), vec![share]);
        let launch = with(&part, &[simulated], Some(&driver)).unwrap();
        assert_eq!((launch.gpu, launch.devices), (None, Vec::<PathBuf>::new()));
    }
}
