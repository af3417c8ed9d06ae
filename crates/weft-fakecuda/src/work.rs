//! What a stream is given to do; while a stream is captured, it is kept as a graph instead.
//!
//! A graph is its work in the order it was given, which is an order that its edges allow. Absent so
//! far: graphs made node by node.

use crate::call::Out;
use crate::context::current;
use crate::driver::{State, with};
use crate::golden::Golden;
use crate::outcome::{
    INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, Outcome, STREAM_CAPTURE_UNSUPPORTED,
};
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
}

/// Work in an order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    work: Vec<Work>,
    /// Whether it can be launched.
    runs: bool,
}

/// Gives a stream something to do.
pub(crate) fn submit(stream: u64, work: Work) -> Outcome {
    let kept = with(|state| match captured(state, stream)? {
        Some(graph) => {
            state.graphs.get_mut(graph)?.work.push(work.clone());
            Ok(true)
        }
        None => Ok(false),
    })?;
    if kept { Ok(()) } else { perform(stream, &work) }
}

/// The graph that takes what a stream is given.
fn captured(state: &State, stream: u64) -> Outcome<Option<u64>> {
    if is_default(stream) { Ok(None) } else { Ok(state.streams.get(stream)?.captured) }
}

fn perform(stream: u64, work: &Work) -> Outcome {
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
fn capture_of(stream: u64) -> Outcome<Option<u64>> {
    with(|state| captured(state, stream))
}

/// A graph that can be launched, of one that is only described.
fn instantiate(out: Out<u64>, graph: u64) -> Outcome {
    let exec = with(|state| {
        let graph = state.graphs.get(graph)?;
        if graph.runs {
            return Err(INVALID_HANDLE);
        }
        let work = graph.work.clone();
        Ok(state.graphs.add(Graph { work, runs: true }))
    })?;
    out.put(exec)
}

fn remove(graph: u64, runs: bool) -> Outcome {
    with(|state| {
        if state.graphs.get(graph)?.runs != runs {
            return Err(INVALID_HANDLE);
        }
        state.graphs.remove(graph).map(drop)
    })
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

    fn cuGraphCreate(out: Out<u64>, flags: u32) {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        out.put(with(|state| Ok(state.graphs.add(Graph::default())))?)
    }

    fn cuGraphDestroy(graph: u64) {
        remove(graph, false)
    }

    fn cuGraphGetNodes(graph: u64, nodes: Out<u64>, count: Out<usize>) {
        let length = with(|state| Ok(state.graphs.get(graph)?.work.len()))?;
        nodes.offer(0);
        count.put(length)
    }

    fn cuGraphInstantiateWithFlags(out: Out<u64>, graph: u64, _flags: u64) {
        instantiate(out, graph)
    }

    fn cuGraphInstantiate_v2(out: Out<u64>, graph: u64, _node: usize, _log: usize, _room: usize) {
        instantiate(out, graph)
    }

    fn cuGraphUpload(exec: u64, _stream: u64) {
        with(|state| state.graphs.get(exec).map(drop))
    }

    fn cuGraphLaunch(exec: u64, stream: u64) {
        let graph = with(|state| Ok(state.graphs.get(exec)?.clone()))?;
        if !graph.runs {
            return Err(INVALID_HANDLE);
        }
        if capture_of(stream)?.is_some() {
            return Err(NOT_SUPPORTED);
        }
        graph.work.iter().try_for_each(|work| perform(stream, work))
    }

    fn cuGraphExecDestroy(exec: u64) {
        remove(exec, true)
    }
}
