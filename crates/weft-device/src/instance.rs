//! MIG instances by NVML: what is there, making one at a place, opening and ending it.
//!
//! An instance is made in two steps: its memory and slices first, then a compute instance over all
//! of it, which is what programs see. Called by `nvml.rs` for `instances.rs`, which knows whose an
//! instance is. Beside `mig.rs` the only unsafe code of the crate.

use crate::mig::{profile_info, profile_name};
use crate::{Opened, Slot};
use nvml_wrapper_sys::bindings::{
    NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, NVML_COMPUTE_INSTANCE_PROFILE_COUNT,
    NVML_GPU_INSTANCE_PROFILE_COUNT, NvmlLib, nvmlComputeInstance_t, nvmlComputeInstanceInfo_t,
    nvmlComputeInstanceProfileInfo_t, nvmlDevice_t, nvmlGpuInstance_t, nvmlGpuInstanceInfo_t,
    nvmlGpuInstancePlacement_t, nvmlGpuInstanceProfileInfo_v2_t, nvmlReturn_t,
};
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use weft_sched::MigPlacement;

/// Most instances of a device, and most compute instances of one: its compute slices, 7.
const INSTANCES_MAX: usize = 8;

/// Room for an identity: `MIG-` and a uuid, or the longer form of older drivers.
const UUID_MAX: usize = 96;

/// A device's handle with the library it is of.
#[derive(Clone, Copy)]
pub(crate) struct Divided<'a> {
    pub(crate) lib: &'a NvmlLib,
    pub(crate) device: nvmlDevice_t,
}

/// A function of the library, where it has it, called; what it answers as a sentence.
macro_rules! call {
    ($lib:expr, $name:ident, $($arg:expr),*) => {{
        let function = $lib.$name.as_ref();
        let function = function.map_err(|_| {
            format!("the driver's library has no {}", stringify!($name))
        })?;
        // SAFETY: handles are the library's own and live as long as it; addresses are of local
        // values of the type the public header declares, with room for the count handed over.
        answer(stringify!($name), unsafe { function($($arg),*) })
    }};
}

impl Divided<'_> {
    /// Every instance of the device, whoever made it.
    pub(crate) fn slots(self) -> Result<Vec<Slot>, String> {
        let mut found = Vec::new();
        for number in 0..NVML_GPU_INSTANCE_PROFILE_COUNT {
            let Some(profile) = profile_info(self.lib, self.device, number) else { continue };
            for instance in self.of_profile(profile.id)? {
                found.push(self.slot(instance)?);
            }
        }
        found.sort_by_key(|slot| slot.id);
        found.dedup_by_key(|slot| slot.id);
        Ok(found)
    }

    fn of_profile(self, profile: u32) -> Result<Vec<nvmlGpuInstance_t>, String> {
        let (mut found, mut count) = ([null_mut(); INSTANCES_MAX], INSTANCES_MAX as u32);
        let (to, room) = (found.as_mut_ptr(), &raw mut count);
        call!(self.lib, nvmlDeviceGetGpuInstances, self.device, profile, to, room)?;
        Ok(found.into_iter().take(count as usize).collect())
    }

    fn slot(self, instance: nvmlGpuInstance_t) -> Result<Slot, String> {
        // SAFETY: a plain C structure of integers and addresses, for which zeros are a value.
        let mut info: nvmlGpuInstanceInfo_t = unsafe { std::mem::zeroed() };
        call!(self.lib, nvmlGpuInstanceGetInfo, instance, &raw mut info)?;
        let slice = |slices: u32| u8::try_from(slices).unwrap_or(u8::MAX);
        Ok(Slot {
            id: info.id,
            start: slice(info.placement.start),
            size: slice(info.placement.size),
            open: !self.computes(instance)?.is_empty(),
        })
    }

    /// Makes an instance at a place; its number.
    pub(crate) fn make(self, place: &MigPlacement) -> Result<u32, String> {
        let numbers = 0..NVML_GPU_INSTANCE_PROFILE_COUNT;
        let mut infos = numbers.filter_map(|n| profile_info(self.lib, self.device, n));
        let named = |info: &nvmlGpuInstanceProfileInfo_v2_t| {
            profile_name(info).as_ref() == Some(&place.profile)
        };
        let profile = infos.find(named).ok_or(format!("the device has no {}", place.profile))?;
        let at = nvmlGpuInstancePlacement_t { start: place.start.into(), size: place.size.into() };
        let mut made: nvmlGpuInstance_t = null_mut();
        let (lib, at, to) = (self.lib, &raw const at, &raw mut made);
        call!(lib, nvmlDeviceCreateGpuInstanceWithPlacement, self.device, profile.id, at, to)?;
        Ok(self.slot(made)?.id)
    }

    /// Makes the compute instance of one where there is none, and tells what programs are to be
    /// given. `minor` is the device's own number below `/dev`.
    pub(crate) fn open(self, id: u32, minor: u32) -> Result<Opened, String> {
        let instance = self.by_id(id)?;
        if self.computes(instance)?.is_empty() {
            let profile = self.widest(instance)?;
            let mut made: nvmlComputeInstance_t = null_mut();
            let to = &raw mut made;
            call!(self.lib, nvmlGpuInstanceCreateComputeInstance, instance, profile, to)?;
        }
        let compute = self.computes(instance)?.into_iter().next().map_or(0, |(_, id)| id);
        let uuid = self.identity(id)?;
        Ok(Opened { uuid, nodes: nodes(Path::new("/"), minor, id, compute) })
    }

    /// Ends an instance with all in it; the driver refuses while a program uses it.
    pub(crate) fn end(self, id: u32) -> Result<(), String> {
        let instance = self.by_id(id)?;
        for (compute, _) in self.computes(instance)? {
            call!(self.lib, nvmlComputeInstanceDestroy, compute)?;
        }
        call!(self.lib, nvmlGpuInstanceDestroy, instance)
    }

    fn by_id(self, id: u32) -> Result<nvmlGpuInstance_t, String> {
        let mut found: nvmlGpuInstance_t = null_mut();
        call!(self.lib, nvmlDeviceGetGpuInstanceById, self.device, id, &raw mut found)?;
        Ok(found)
    }

    /// Kinds of compute instances that an instance can have: their number, and their slices.
    fn kinds(self, instance: nvmlGpuInstance_t) -> Vec<nvmlComputeInstanceProfileInfo_t> {
        let kind = |number| -> Result<_, String> {
            // SAFETY: a plain C structure of integers, for which zeros are a value.
            let mut info: nvmlComputeInstanceProfileInfo_t = unsafe { std::mem::zeroed() };
            let (engines, to) = (NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, &raw mut info);
            let lib = self.lib;
            call!(
                lib,
                nvmlGpuInstanceGetComputeInstanceProfileInfo,
                instance,
                number,
                engines,
                to
            )?;
            Ok(info)
        };
        (0..NVML_COMPUTE_INSTANCE_PROFILE_COUNT).filter_map(|number| kind(number).ok()).collect()
    }

    fn widest(self, instance: nvmlGpuInstance_t) -> Result<u32, String> {
        let widest = self.kinds(instance).into_iter().max_by_key(|kind| kind.sliceCount);
        widest.map(|kind| kind.id).ok_or("no compute instance fits in the instance".to_owned())
    }

    /// The compute instances of an instance, with their numbers.
    fn computes(
        self,
        instance: nvmlGpuInstance_t,
    ) -> Result<Vec<(nvmlComputeInstance_t, u32)>, String> {
        let mut all: Vec<(nvmlComputeInstance_t, u32)> = Vec::new();
        for kind in self.kinds(instance) {
            let (mut found, mut count) = ([null_mut(); INSTANCES_MAX], INSTANCES_MAX as u32);
            let (to, room) = (found.as_mut_ptr(), &raw mut count);
            call!(self.lib, nvmlGpuInstanceGetComputeInstances, instance, kind.id, to, room)?;
            for compute in found.into_iter().take(count as usize) {
                // SAFETY: as above.
                let mut info: nvmlComputeInstanceInfo_t = unsafe { std::mem::zeroed() };
                call!(self.lib, nvmlComputeInstanceGetInfo_v2, compute, &raw mut info)?;
                if all.iter().all(|(_, id)| *id != info.id) {
                    all.push((compute, info.id));
                }
            }
        }
        Ok(all)
    }

    /// The identity by which programs name the instance.
    fn identity(self, id: u32) -> Result<String, String> {
        for place in 0..INSTANCES_MAX as u32 {
            let (mut seen, mut of): (nvmlDevice_t, u32) = (null_mut(), 0);
            let to = &raw mut seen;
            let there =
                call!(self.lib, nvmlDeviceGetMigDeviceHandleByIndex, self.device, place, to);
            if there.is_err() {
                continue;
            }
            call!(self.lib, nvmlDeviceGetGpuInstanceId, seen, &raw mut of)?;
            if of == id {
                let mut text: [c_char; UUID_MAX] = [0; UUID_MAX];
                let (to, room) = (text.as_mut_ptr(), UUID_MAX as u32);
                call!(self.lib, nvmlDeviceGetUUID, seen, to, room)?;
                let bytes = text.map(|c| c.to_ne_bytes()[0]);
                let text = CStr::from_bytes_until_nul(&bytes).map_err(|e| e.to_string())?;
                return Ok(text.to_string_lossy().into_owned());
            }
        }
        Err(format!("instance {id} was made and the driver does not show it"))
    }
}

/// The device nodes by which the kernel lets programs at an instance, as far as the machine has
/// them: their numbers stand in files below `/proc`.
fn nodes(root: &Path, minor: u32, instance: u32, compute: u32) -> Vec<PathBuf> {
    let base = format!("proc/driver/nvidia/capabilities/gpu{minor}/mig/gi{instance}");
    let node = |file: String| {
        let text = std::fs::read_to_string(root.join(file)).ok()?;
        let number = text.lines().find_map(|line| line.strip_prefix("DeviceFileMinor:"))?;
        let number: u32 = number.trim().parse().ok()?;
        Some(PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{number}")))
    };
    [format!("{base}/access"), format!("{base}/ci{compute}/access")]
        .into_iter()
        .filter_map(node)
        .collect()
}

/// What a call answered, in words.
fn answer(name: &str, status: nvmlReturn_t) -> Result<(), String> {
    let why = match status {
        0 => return Ok(()),
        3 => "not supported here".to_owned(),
        4 => "the server has no right to; instances are root's to make".to_owned(),
        6 => "it is not there".to_owned(),
        19 => "it is in use".to_owned(),
        23 => "the device's slices there are taken".to_owned(),
        other => format!("error {other}"),
    };
    Err(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_those_the_kernel_names() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("proc/driver/nvidia/capabilities/gpu3/mig/gi7");
        std::fs::create_dir_all(folder.join("ci0")).expect("made");
        let text = |minor| format!("DeviceFileMinor: {minor}\nDeviceFileMode: 292\n");
        std::fs::write(folder.join("access"), text(66)).expect("written");
        std::fs::write(folder.join("ci0/access"), text(67)).expect("written");
        let caps = ["/dev/nvidia-caps/nvidia-cap66", "/dev/nvidia-caps/nvidia-cap67"];
        assert_eq!(nodes(root.path(), 3, 7, 0), caps.map(PathBuf::from));
        assert_eq!(nodes(root.path(), 3, 8, 0), Vec::<PathBuf>::new());
    }
}
