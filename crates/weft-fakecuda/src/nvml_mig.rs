//! MIG as the management library tells it: the mode, the profiles, and where instances fit.
//!
//! Profiles are those of the product's table of kinds, numbered in its order; `nvml_instance.rs`
//! makes and ends instances.

use crate::call::Out;
use crate::nvml::{INVALID_ARGUMENT, UNSUPPORTED, device};
use crate::outcome::{Code, Outcome};
use weft_device::Kind;

/// `NVML_ERROR_INSUFFICIENT_SIZE`.
const TOO_SMALL: Code = Code(7);

/// A profile of a kind, and where its instances fit.
pub(crate) struct Profile {
    /// Compute slices.
    pub(crate) slices: u8,
    /// Memory slices.
    pub(crate) size: u8,
    /// `1g.10gb`.
    name: String,
    /// Bytes that a workload can use.
    memory: u64,
    /// First memory slices.
    pub(crate) starts: Vec<u8>,
}

/// The profiles of a kind, in the order of the table.
fn profiles(kind: &Kind) -> Vec<Profile> {
    let mut found: Vec<Profile> = Vec::new();
    for place in kind.placements() {
        let name = place.profile.to_string();
        match found.iter_mut().find(|profile| profile.name == name) {
            Some(profile) => profile.starts.push(place.start),
            None => found.push(Profile {
                slices: place.profile.slices,
                size: place.size,
                name,
                memory: place.memory.0,
                starts: vec![place.start],
            }),
        }
    }
    found
}

/// A profile of a device that is in MIG mode.
pub(crate) fn profile(handle: u64, number: u32) -> Outcome<(Profile, u16)> {
    let (_, device) = device(handle)?;
    if !device.mig {
        return Err(UNSUPPORTED);
    }
    let found = profiles(device.kind).into_iter().nth(number as usize);
    found.map(|profile| (profile, device.kind.sms)).ok_or(UNSUPPORTED)
}

/// The public structure `nvmlGpuInstanceProfileInfo_v2_t`.
#[repr(C)]
pub(crate) struct Described {
    version: u32,
    id: u32,
    peer_to_peer: u32,
    slices: u32,
    instances: u32,
    processors: u32,
    engines: [u32; 5],
    memory_mb: u64,
    name: [u8; 96],
}

/// The public structure `nvmlGpuInstancePlacement_t`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Placement {
    /// First memory slice.
    pub(crate) start: u32,
    /// Memory slices.
    pub(crate) size: u32,
}

calls! {
    fn nvmlDeviceGetMigMode(handle: u64, current: Out<u32>, pending: Out<u32>) {
        let (_, device) = device(handle)?;
        if device.kind.mig.is_none() {
            return Err(UNSUPPORTED);
        }
        current.put(u32::from(device.mig)).map_err(|_| INVALID_ARGUMENT)?;
        pending.put(u32::from(device.mig)).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetGpuInstanceProfileInfoV(handle: u64, number: u32, out: Out<Described>) {
        let (profile, sms) = profile(handle, number)?;
        let mut name = [0; 96];
        let text = format!("MIG {}", profile.name);
        name[..text.len()].copy_from_slice(text.as_bytes());
        let described = Described {
            version: 2 << 24 | size_of::<Described>() as u32,
            id: number,
            peer_to_peer: 0,
            slices: u32::from(profile.slices),
            instances: profile.starts.len() as u32,
            processors: u32::from(sms) / 7 * u32::from(profile.slices),
            engines: [0; 5],
            memory_mb: profile.memory >> 20,
            name,
        };
        out.put(described).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetGpuInstancePossiblePlacements_v2(
        handle: u64,
        number: u32,
        out: Out<Placement>,
        count: Out<u32>,
    ) {
        let (profile, _) = profile(handle, number)?;
        let room = count.get().ok_or(INVALID_ARGUMENT)? as usize;
        count.offer(profile.starts.len() as u32);
        if out.is_null() {
            return Ok(());
        }
        if room < profile.starts.len() {
            return Err(TOO_SMALL);
        }
        let size = u32::from(profile.size);
        let starts = profile.starts.iter().map(|start| u32::from(*start));
        let places = starts.map(|start| Placement { start, size });
        out.put_all(places).map_err(|_| INVALID_ARGUMENT)
    }
}
