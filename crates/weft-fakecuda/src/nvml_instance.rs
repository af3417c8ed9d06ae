//! MIG instances as the management library makes and ends them.
//!
//! They are kept as a driver does: until they are ended, whoever made them. With the word `state`
//! they lie in a file of its folder, so that they outlive the process; without it they go with it.
//! An instance has room for one compute instance, over all of it. What programs compute in one is
//! absent: the driver's side of the stand-in shows whole devices.

use crate::call::{In, Out};
use crate::nvml::{INVALID_ARGUMENT, NOT_FOUND, UNSUPPORTED, device};
use crate::nvml_mig::{Placement, profile};
use crate::outcome::{Code, Outcome};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

/// `NVML_ERROR_IN_USE`.
const IN_USE: Code = Code(19);
/// `NVML_ERROR_INSUFFICIENT_RESOURCES`.
const NO_ROOM: Code = Code(23);

/// What a handle is of stands in these bits; below them are the device and the instance.
const INSTANCES: u64 = 0x6000_0000;
const COMPUTES: u64 = 0x6100_0000;
const SEEN: u64 = 0x6200_0000;
const SORT: u64 = 0xff00_0000;

/// Most instances of a device.
const INSTANCES_MAX: u32 = 7;

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Instance {
    device: usize,
    /// From 1; given again once it has ended.
    id: u32,
    profile: u32,
    start: u32,
    size: u32,
    open: bool,
}

impl Instance {
    fn handle(&self, sort: u64) -> u64 {
        sort | (self.device as u64) << 8 | u64::from(self.id)
    }

    fn line(&self) -> String {
        let Self { device, id, profile, start, size, open } = self;
        format!("{device} {id} {profile} {start} {size} {}\n", u32::from(*open))
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Option<Vec<u32>> = line.split(' ').map(|word| word.parse().ok()).collect();
        let [device, id, profile, start, size, open] = words?[..] else { return None };
        Some(Self { device: device as usize, id, profile, start, size, open: open == 1 })
    }
}

/// Where they are kept without a folder.
static KEPT: Mutex<Vec<Instance>> = Mutex::new(Vec::new());

/// Reads the instances, or changes them: one at a time, in all processes.
fn all<T>(look: impl FnOnce(&mut Vec<Instance>) -> Outcome<T>) -> Outcome<T> {
    let Some(folder) = &crate::watch::settings().state else {
        return look(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let path = std::path::Path::new(folder).join("mig");
    let open = || -> std::io::Result<(File, String)> {
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((file, text))
    };
    let (mut file, text) = open().map_err(|_| crate::outcome::UNKNOWN)?;
    let mut instances: Vec<Instance> = text.lines().filter_map(Instance::parse).collect();
    let before = instances.clone();
    let result = look(&mut instances)?;
    if instances != before {
        let text: String = instances.iter().map(Instance::line).collect();
        let mut write = || -> std::io::Result<()> {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(text.as_bytes())
        };
        write().map_err(|_| crate::outcome::UNKNOWN)?;
    }
    Ok(result)
}

/// The instance of a handle, and what is made of it.
fn one<T>(handle: u64, sort: u64, look: impl FnOnce(&mut Instance) -> Outcome<T>) -> Outcome<T> {
    if handle & SORT != sort {
        return Err(INVALID_ARGUMENT);
    }
    all(|instances| {
        let found = instances.iter_mut().find(|instance| instance.handle(sort) == handle);
        look(found.ok_or(NOT_FOUND)?)
    })
}

/// The identity of an instance that programs see, by its handle; none for any other handle.
pub(crate) fn identity(handle: u64) -> Option<String> {
    let seen = one(handle, SEEN, |instance| Ok((instance.device, instance.id)));
    seen.ok().map(|(device, id)| format!("MIG-fake-{device}-{id}"))
}

fn make(handle: u64, number: u32, at: Placement) -> Outcome<u64> {
    let (place, _) = device(handle)?;
    let (wanted, _) = profile(handle, number)?;
    if !wanted.starts.contains(&(at.start as u8)) || u32::from(wanted.size) != at.size {
        return Err(INVALID_ARGUMENT);
    }
    let slices = |number| profile(handle, number).map_or(0, |(profile, _)| profile.slices);
    all(|instances| {
        let here = || instances.iter().filter(|instance| instance.device == place);
        let over = |it: &Instance| it.start < at.start + at.size && at.start < it.start + it.size;
        let used: u32 = here().map(|instance| u32::from(slices(instance.profile))).sum();
        if here().any(over) || used + u32::from(wanted.slices) > INSTANCES_MAX {
            return Err(NO_ROOM);
        }
        let free = |id: &u32| here().all(|instance| instance.id != *id);
        let id = (1..=INSTANCES_MAX).find(free).ok_or(NO_ROOM)?;
        let made = Instance {
            device: place,
            id,
            profile: number,
            start: at.start,
            size: at.size,
            open: false,
        };
        let handle = made.handle(INSTANCES);
        instances.push(made);
        Ok(handle)
    })
}

/// The public structure `nvmlGpuInstanceInfo_t`.
#[repr(C)]
pub(crate) struct Described {
    device: u64,
    id: u32,
    profile: u32,
    placement: Placement,
}

/// The public structure `nvmlComputeInstanceInfo_t`.
#[repr(C)]
pub(crate) struct Compute {
    device: u64,
    instance: u64,
    id: u32,
    profile: u32,
    placement: Placement,
}

fn put<T>(out: Out<T>, value: T) -> Outcome {
    out.put(value).map_err(|_| INVALID_ARGUMENT)
}

calls! {
    fn nvmlDeviceCreateGpuInstanceWithPlacement(
        handle: u64,
        number: u32,
        at: In<Placement>,
        made: Out<u64>,
    ) {
        let at = at.get().map_err(|_| INVALID_ARGUMENT)?;
        put(made, make(handle, number, at)?)
    }

    fn nvmlDeviceGetGpuInstances(handle: u64, number: u32, found: Out<u64>, count: Out<u32>) {
        let (place, _) = device(handle)?;
        let of = |it: &&Instance| (it.device, it.profile) == (place, number);
        let handles = |all: &mut Vec<Instance>| {
            Ok(all.iter().filter(of).map(|it| it.handle(INSTANCES)).collect::<Vec<_>>())
        };
        let handles = all(handles)?;
        put(count, handles.len() as u32)?;
        found.put_all(handles).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetGpuInstanceById(handle: u64, id: u32, found: Out<u64>) {
        let (place, _) = device(handle)?;
        let of = |it: &&Instance| (it.device, it.id) == (place, id);
        let one = all(|all| all.iter().find(of).map(|it| it.handle(INSTANCES)).ok_or(NOT_FOUND));
        put(found, one?)
    }

    fn nvmlGpuInstanceGetInfo(handle: u64, out: Out<Described>) {
        let it = one(handle, INSTANCES, |it| Ok(it.clone()))?;
        let (device, placement) = (0, Placement { start: it.start, size: it.size });
        put(out, Described { device, id: it.id, profile: it.profile, placement })
    }

    fn nvmlGpuInstanceDestroy(handle: u64) {
        one(handle, INSTANCES, |it| if it.open { Err(IN_USE) } else { Ok(()) })?;
        all(|all| {
            all.retain(|it| it.handle(INSTANCES) != handle);
            Ok(())
        })
    }

    fn nvmlGpuInstanceGetComputeInstanceProfileInfo(
        handle: u64,
        number: u32,
        engines: u32,
        out: Out<[u32; 9]>,
    ) {
        one(handle, INSTANCES, |_| Ok(()))?;
        if (number, engines) != (0, 0) {
            return Err(UNSUPPORTED);
        }
        put(out, [0, 1, 1, 0, 0, 0, 0, 0, 0])
    }

    fn nvmlGpuInstanceCreateComputeInstance(handle: u64, number: u32, made: Out<u64>) {
        if number != 0 {
            return Err(UNSUPPORTED);
        }
        let compute = one(handle, INSTANCES, |it| match it.open {
            true => Err(NO_ROOM),
            false => {
                it.open = true;
                Ok(it.handle(COMPUTES))
            }
        })?;
        put(made, compute)
    }

    fn nvmlGpuInstanceGetComputeInstances(
        handle: u64,
        _number: u32,
        found: Out<u64>,
        count: Out<u32>,
    ) {
        let compute = |it: &mut Instance| Ok(it.open.then(|| it.handle(COMPUTES)));
        let compute = one(handle, INSTANCES, compute)?;
        put(count, u32::from(compute.is_some()))?;
        found.put_all(compute).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlComputeInstanceGetInfo_v2(handle: u64, out: Out<Compute>) {
        let instance = one(handle, COMPUTES, |it| Ok(it.handle(INSTANCES)))?;
        let placement = Placement { start: 0, size: 1 };
        put(out, Compute { device: 0, instance, id: 0, profile: 0, placement })
    }

    fn nvmlComputeInstanceDestroy(handle: u64) {
        one(handle, COMPUTES, |it| {
            it.open = false;
            Ok(())
        })
    }

    fn nvmlDeviceGetMigDeviceHandleByIndex(handle: u64, index: u32, found: Out<u64>) {
        let (place, _) = device(handle)?;
        let seen = |it: &&Instance| it.device == place && it.open;
        let nth = |all: &mut Vec<Instance>| {
            let nth = all.iter().filter(seen).nth(index as usize);
            nth.map(|it| it.handle(SEEN)).ok_or(NOT_FOUND)
        };
        put(found, all(nth)?)
    }

    fn nvmlDeviceGetGpuInstanceId(handle: u64, id: Out<u32>) {
        put(id, one(handle, SEEN, |it| Ok(it.id))?)
    }
}
