//! A device's MIG geometry as its driver tells it: every profile and every place for it.
//!
//! The safe wrapper does not cover these calls; `instance.rs` makes and ends instances by others
//! that it does not cover. Variants with media or graphics engines (`+me`, `+gfx`) and without
//! (`-me`) are left out: at most one of them fits per device, and the planner's profiles have no
//! word for them.

use nvml_wrapper::Device;
use nvml_wrapper_sys::bindings::{
    NVML_GPU_INSTANCE_PROFILE_COUNT, NvmlLib, nvmlDevice_t, nvmlGpuInstancePlacement_t,
    nvmlGpuInstanceProfileInfo_v2_t, nvmlReturn_enum_NVML_SUCCESS,
};
use std::ffi::CStr;
use weft_sched::{DeviceMode, MigPlacement};
use weft_types::{Bytes, MigProfile};

/// Most places one profile has on one device: its memory slices, 8, twice over.
const PLACEMENTS_MAX: usize = 16;

/// How the device can be divided; whole unless its MIG mode is on.
pub(crate) fn mode(lib: &NvmlLib, device: &Device<'_>) -> DeviceMode {
    if !device.mig_mode().is_ok_and(|mode| mode.current == 1) {
        return DeviceMode::Whole;
    }
    // SAFETY: the handle is used only while `device` is borrowed.
    let handle = unsafe { device.handle() };
    let mut geometry = Vec::new();
    let mut compute_slices = 0;
    for profile in 0..NVML_GPU_INSTANCE_PROFILE_COUNT {
        let Some(info) = profile_info(lib, handle, profile) else { continue };
        let Some(name) = profile_name(&info) else { continue };
        compute_slices = compute_slices.max(name.slices);
        let memory = Bytes(info.memorySizeMB.saturating_mul(1 << 20));
        for (start, size) in placements(lib, handle, info.id) {
            geometry.push(MigPlacement { profile: name.clone(), start, size, memory });
        }
    }
    geometry.sort_unstable();
    geometry.dedup();
    DeviceMode::Mig { geometry, compute_slices }
}

/// What the driver says of a profile; none where the device does not have it.
pub(crate) fn profile_info(
    lib: &NvmlLib,
    device: nvmlDevice_t,
    profile: u32,
) -> Option<nvmlGpuInstanceProfileInfo_v2_t> {
    let call = lib.nvmlDeviceGetGpuInstanceProfileInfoV.as_ref().ok()?;
    // SAFETY: a plain C structure of integers and bytes, for which all zeros is a value.
    let mut info: nvmlGpuInstanceProfileInfo_v2_t = unsafe { std::mem::zeroed() };
    // The structure's version word: its size, and its revision in the highest byte.
    info.version = u32::try_from(size_of_val(&info)).ok()? | 2 << 24;
    // SAFETY: the handle is live, and `info` is of the revision its version word names.
    let status = unsafe { call(device, profile, &raw mut info) };
    (status == nvmlReturn_enum_NVML_SUCCESS).then_some(info)
}

/// `MIG 1g.10gb` is a profile; a variant such as `MIG 1g.10gb+me` is none.
pub(crate) fn profile_name(info: &nvmlGpuInstanceProfileInfo_v2_t) -> Option<MigProfile> {
    let bytes = info.name.map(|c| c.to_ne_bytes()[0]);
    let name = CStr::from_bytes_until_nul(&bytes).ok()?.to_str().ok()?;
    name.trim().trim_start_matches("MIG ").parse().ok()
}

/// First memory slice and size of every place an instance of the profile can have.
fn placements(lib: &NvmlLib, device: nvmlDevice_t, profile: u32) -> Vec<(u8, u8)> {
    let Ok(call) = lib.nvmlDeviceGetGpuInstancePossiblePlacements_v2.as_ref() else {
        return Vec::new();
    };
    let mut places = [nvmlGpuInstancePlacement_t { start: 0, size: 0 }; PLACEMENTS_MAX];
    let mut count = PLACEMENTS_MAX as u32;
    // SAFETY: the handle is live, and `count` says how many entries `places` has room for.
    let status = unsafe { call(device, profile, places.as_mut_ptr(), &raw mut count) };
    if status != nvmlReturn_enum_NVML_SUCCESS {
        return Vec::new();
    }
    let slice = |p: &nvmlGpuInstancePlacement_t| {
        Some((u8::try_from(p.start).ok()?, u8::try_from(p.size).ok()?))
    };
    places.iter().take(count as usize).filter_map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<MigProfile> {
        // SAFETY: as above.
        let mut info: nvmlGpuInstanceProfileInfo_v2_t = unsafe { std::mem::zeroed() };
        for (to, from) in info.name.iter_mut().zip(name.bytes()) {
            *to = from as std::ffi::c_char;
        }
        profile_name(&info)
    }

    #[test]
    fn the_drivers_names_are_read_and_variants_left_out() {
        assert_eq!(named("MIG 1g.10gb"), Some(MigProfile { slices: 1, memory_gb: 10 }));
        assert_eq!(named("7g.141gb"), Some(MigProfile { slices: 7, memory_gb: 141 }));
        for variant in ["MIG 1g.10gb+me", "MIG 2g.48gb+gfx", "MIG 1g.24gb-me", "", "MIG "] {
            assert_eq!(named(variant), None, "{variant}");
        }
    }
}
