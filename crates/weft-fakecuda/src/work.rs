//! What a stream is given to do; while a stream is captured, it is kept as a graph instead.

use crate::call::Out;
use crate::context::current;
use crate::driver::{State, with};
use crate::golden::Golden;
use crate::graph::Graph;
use crate::outcome::{INVALID_VALUE, Outcome, STREAM_CAPTURE_UNSUPPORTED};
use crate::stream::is_default;
use rustix::mm::{Advice, madvise};

const PAGE: u64 = 4096;

/// Something a stream is given to do.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Bytes from one place to another; both may be the host's.
    Copy { to: u64, from: u64, bytes: u64 },
    /// The same word so many times in a row.
    Set { to: u64, value: u32, width: u8, count: u64 },
    /// A kernel, which keeps the device for so long, and computes if it is known.
    Kernel { nanoseconds: u64, golden: Option<Golden> },
    /// A call on the host.
    Host { call: usize, data: usize },
    /// Nothing.
    Empty,
    /// All that a graph does; in graphs only.
    Child(u64),
    /// Memory of a device that is taken, in graphs only.
    Take { at: u64, bytes: u64, device: usize },
    /// Memory that a graph has taken and that is freed, in graphs only.
    Give(u64),
}

/// Gives a stream something to do.
pub(crate) fn submit(stream: u64, work: Work) -> Outcome {
    let kept = with(|state| match captured(state, stream)? {
        Some(graph) => {
            state.add_node(graph, work.clone())?;
            Ok(true)
        }
        None => Ok(false),
    })?;
    if kept { Ok(()) } else { perform(stream, &work) }
}

/// The graph that takes what a stream is given.
pub(crate) fn captured(state: &State, stream: u64) -> Outcome<Option<u64>> {
    if is_default(stream) { Ok(None) } else { Ok(state.streams.get(stream)?.captured) }
}

/// Does it.
pub(crate) fn perform(stream: u64, work: &Work) -> Outcome {
    match *work {
        Work::Copy { to, from, bytes } => {
            // SAFETY: the caller's to give: both are so many bytes long, as for the driver.
            unsafe { std::ptr::copy(from as *const u8, to as *mut u8, bytes as usize) };
            Ok(())
        }
        Work::Set { to, value, width, count } => {
            let bytes = value.to_le_bytes();
            let word = &bytes[..usize::from(width).min(bytes.len())];
            if word.iter().all(|byte| *byte == word[0]) {
                fill(to, word[0], count * u64::from(width));
                return Ok(());
            }
            for at in 0..count * u64::from(width) {
                // SAFETY: the caller's to give, as above.
                unsafe { *((to + at) as *mut u8) = bytes[(at % u64::from(width)) as usize] };
            }
            Ok(())
        }
        Work::Kernel { nanoseconds, golden } => {
            if let Some(golden) = golden {
                golden.compute();
            }
            with(|state| state.compute(stream, nanoseconds))
        }
        Work::Host { call, data } => {
            // SAFETY: the caller's to give: a function that takes one address.
            let call: extern "C" fn(usize) = unsafe { std::mem::transmute(call) };
            call(data);
            Ok(())
        }
        // What only graphs have is theirs to do.
        Work::Empty | Work::Child(_) | Work::Take { .. } | Work::Give(_) => Ok(()),
    }
}

/// Zeros from so many bytes on are given back to the system, which is as good and takes no room.
const HOLE: u64 = 1 << 20;

/// Writes the same byte to all of a range, which is the caller's to give, as for the driver.
fn fill(to: u64, byte: u8, bytes: u64) {
    let (start, end) = (to.next_multiple_of(PAGE), (to + bytes) / PAGE * PAGE);
    let (mut to, mut rest) = (to, bytes);
    if byte == 0 && bytes >= HOLE {
        // SAFETY: whole pages of the range; those of a device are a file in memory, others are
        // refused.
        let gone = unsafe { madvise(start as *mut _, (end - start) as usize, Advice::LinuxRemove) };
        if gone.is_ok() {
            // SAFETY: the caller's to give: what is left before the pages.
            unsafe { std::ptr::write_bytes(to as *mut u8, 0, (start - to) as usize) };
            (to, rest) = (end, to + bytes - end);
        }
    }
    // SAFETY: the caller's to give.
    unsafe { std::ptr::write_bytes(to as *mut u8, byte, rest as usize) };
}

/// Begins the capture of a stream.
fn begin(stream: u64) -> Outcome {
    current()?;
    if is_default(stream) {
        return Err(STREAM_CAPTURE_UNSUPPORTED);
    }
    with(|state| {
        let graph = state.graphs.add(Graph::default());
        let stream = state.streams.get_mut(stream)?;
        match stream.captured {
            Some(_) => Err(INVALID_VALUE),
            None => {
                stream.captured = Some(graph);
                Ok(())
            }
        }
    })
}

/// Whether a stream is captured, and by which graph.
pub(crate) fn capture_of(stream: u64) -> Outcome<Option<u64>> {
    with(|state| captured(state, stream))
}

calls! {
    fn cuLaunchHostFunc(stream: u64, call: usize, data: usize) {
        current()?;
        if call == 0 { Err(INVALID_VALUE) } else { submit(stream, Work::Host { call, data }) }
    }

    fn cuStreamBeginCapture_v2(stream: u64, _mode: u32) {
        begin(stream)
    }

    fn cuStreamEndCapture(stream: u64, out: Out<u64>) {
        let graph = with(|state| {
            state.streams.get_mut(stream)?.captured.take().ok_or(INVALID_VALUE)
        })?;
        out.put(graph)
    }

    fn cuStreamIsCapturing(stream: u64, status: Out<u32>) {
        status.put(u32::from(capture_of(stream)?.is_some()))
    }

    fn cuStreamGetCaptureInfo_v2(
        stream: u64,
        status: Out<u32>,
        id: Out<u64>,
        graph: Out<u64>,
        before: Out<usize>,
        count: Out<usize>,
    ) {
        let captured = capture_of(stream)?;
        status.put(u32::from(captured.is_some()))?;
        id.offer(captured.unwrap_or(0));
        graph.offer(captured.unwrap_or(0));
        before.offer(0);
        count.offer(0);
        Ok(())
    }

    fn cuStreamGetCaptureInfo_v3(
        stream: u64,
        status: Out<u32>,
        id: Out<u64>,
        graph: Out<u64>,
        before: Out<usize>,
        _edges: Out<usize>,
        count: Out<usize>,
    ) {
        match cuStreamGetCaptureInfo_v2(stream, status, id, graph, before, count) {
            0 => Ok(()),
            code => Err(crate::outcome::Code(code)),
        }
    }

    fn cuThreadExchangeStreamCaptureMode(mode: Out<u32>) {
        mode.put(0)
    }
}
