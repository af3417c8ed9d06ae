//! Arrays: memory of a device that only handles lead to. They take room; what is in them nobody can
//! read here.

use crate::call::{In, Out};
use crate::context::current_device;
use crate::driver::{State, with};
use crate::outcome::{INVALID_VALUE, Outcome};

/// An array, or one with all its levels.
#[derive(Debug)]
pub(crate) struct Array {
    device: usize,
    bytes: u64,
}

/// The public structures `CUDA_ARRAY_DESCRIPTOR` and `CUDA_ARRAY3D_DESCRIPTOR`, without the flags
/// of the second.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Descriptor<const DIMENSIONS: usize> {
    extent: [u64; DIMENSIONS],
    format: u32,
    channels: u32,
}

impl<const DIMENSIONS: usize> Descriptor<DIMENSIONS> {
    /// Bytes of a level: each has half the extents of the one before.
    fn bytes(&self, level: u32) -> Option<u64> {
        let extents = self.extent.iter().map(|n| (n >> level).max(1));
        let elements = extents.into_iter().try_fold(1, u64::checked_mul)?;
        let width = match self.format {
            0x01 | 0x08 => 1,
            0x02 | 0x09 | 0x10 => 2,
            0x03 | 0x0a | 0x20 => 4,
            _ => return None,
        };
        let channels = matches!(self.channels, 1 | 2 | 4).then_some(u64::from(self.channels))?;
        elements.checked_mul(width)?.checked_mul(channels)
    }
}

fn make<const N: usize>(out: Out<u64>, what: In<Descriptor<N>>, levels: u32) -> Outcome {
    let what = what.get()?;
    if out.is_null() || what.extent[0] == 0 {
        return Err(INVALID_VALUE);
    }
    let each = (0..levels).map(|level| what.bytes(level));
    let bytes = each.into_iter().try_fold(0_u64, |all, bytes| all.checked_add(bytes?));
    let bytes = bytes.filter(|bytes| *bytes > 0).ok_or(INVALID_VALUE)?;
    let made = with(|state: &mut State| {
        let device = current_device(state)?;
        state.charge(device, bytes)?;
        Ok(state.arrays.add(Array { device, bytes }))
    })?;
    out.put(made)
}

fn end(array: u64) -> Outcome {
    with(|state| {
        let Array { device, bytes } = state.arrays.remove(array)?;
        state.used[device] -= bytes;
        Ok(())
    })
}

calls! {
    fn cuArrayCreate_v2(out: Out<u64>, what: In<Descriptor<2>>) {
        make(out, what, 1)
    }

    fn cuArray3DCreate_v2(out: Out<u64>, what: In<Descriptor<3>>) {
        make(out, what, 1)
    }

    fn cuMipmappedArrayCreate(out: Out<u64>, what: In<Descriptor<3>>, levels: u32) {
        make(out, what, levels)
    }

    fn cuArrayDestroy(array: u64) {
        end(array)
    }

    fn cuMipmappedArrayDestroy(array: u64) {
        end(array)
    }
}
