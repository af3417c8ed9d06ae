//! Copies and sets: done when they are asked for, by the host.

use crate::call::In;
use crate::context::current;
use crate::outcome::{INVALID_VALUE, Outcome};
use crate::work::{Work, submit};

/// A copy of so many bytes.
fn copy(to: u64, from: u64, bytes: u64, stream: u64) -> Outcome {
    current()?;
    if bytes == 0 {
        return Ok(());
    }
    if to == 0 || from == 0 {
        return Err(INVALID_VALUE);
    }
    submit(stream, Work::Copy { to, from, bytes })
}

/// So many words of a width in a row.
fn set(to: u64, value: u32, width: u8, count: u64, stream: u64) -> Outcome {
    current()?;
    if count == 0 {
        return Ok(());
    }
    if to == 0 || !to.is_multiple_of(u64::from(width)) {
        return Err(INVALID_VALUE);
    }
    submit(stream, Work::Set { to, value, width, count })
}

/// A copy of rows, as `cuMemcpy2D` describes it: the public structure `CUDA_MEMCPY2D`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Rows {
    from: Side,
    to: Side,
    width: u64,
    height: u64,
}

/// Where rows come from, or go.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Side {
    x: u64,
    y: u64,
    /// 1 host, 2 device, 3 array, 4 either of the first two.
    kind: u32,
    host: u64,
    device: u64,
    array: u64,
    pitch: u64,
}

impl Side {
    fn row(&self, row: u64) -> Outcome<u64> {
        let base = match self.kind {
            1 => self.host,
            2 | 4 => self.device,
            _ => return Err(crate::outcome::NOT_SUPPORTED),
        };
        if base == 0 { Err(INVALID_VALUE) } else { Ok(base + (self.y + row) * self.pitch + self.x) }
    }
}

fn rows(which: In<Rows>, stream: u64) -> Outcome {
    let rows = which.get()?;
    for row in 0..rows.height {
        copy(rows.to.row(row)?, rows.from.row(row)?, rows.width, stream)?;
    }
    Ok(())
}

calls! {
    fn cuMemcpy(to: u64, from: u64, bytes: u64) {
        copy(to, from, bytes, 0)
    }

    fn cuMemcpyAsync(to: u64, from: u64, bytes: u64, stream: u64) {
        copy(to, from, bytes, stream)
    }

    fn cuMemcpyHtoD_v2(to: u64, from: u64, bytes: u64) {
        copy(to, from, bytes, 0)
    }

    fn cuMemcpyDtoH_v2(to: u64, from: u64, bytes: u64) {
        copy(to, from, bytes, 0)
    }

    fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: u64) {
        copy(to, from, bytes, 0)
    }

    fn cuMemcpyHtoDAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) {
        copy(to, from, bytes, stream)
    }

    fn cuMemcpyDtoHAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) {
        copy(to, from, bytes, stream)
    }

    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: u64, stream: u64) {
        copy(to, from, bytes, stream)
    }

    fn cuMemcpyPeer(to: u64, _there: u64, from: u64, _here: u64, bytes: u64) {
        copy(to, from, bytes, 0)
    }

    fn cuMemcpyPeerAsync(to: u64, _there: u64, from: u64, _here: u64, bytes: u64, stream: u64) {
        copy(to, from, bytes, stream)
    }

    fn cuMemcpy2D_v2(which: In<Rows>) {
        rows(which, 0)
    }

    fn cuMemcpy2DUnaligned_v2(which: In<Rows>) {
        rows(which, 0)
    }

    fn cuMemcpy2DAsync_v2(which: In<Rows>, stream: u64) {
        rows(which, stream)
    }

    fn cuMemsetD8_v2(to: u64, value: u8, count: u64) {
        set(to, u32::from(value), 1, count, 0)
    }

    fn cuMemsetD16_v2(to: u64, value: u16, count: u64) {
        set(to, u32::from(value), 2, count, 0)
    }

    fn cuMemsetD32_v2(to: u64, value: u32, count: u64) {
        set(to, value, 4, count, 0)
    }

    fn cuMemsetD8Async(to: u64, value: u8, count: u64, stream: u64) {
        set(to, u32::from(value), 1, count, stream)
    }

    fn cuMemsetD16Async(to: u64, value: u16, count: u64, stream: u64) {
        set(to, u32::from(value), 2, count, stream)
    }

    fn cuMemsetD32Async(to: u64, value: u32, count: u64, stream: u64) {
        set(to, value, 4, count, stream)
    }
}
