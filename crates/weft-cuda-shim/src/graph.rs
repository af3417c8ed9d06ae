//! Memory that graphs take by themselves: bounded before they take it, then counted as the driver
//! has it.
//!
//! A node of a graph that takes memory gets an address when it is made, and no memory. Memory is
//! taken when the graph is uploaded or launched: of what the driver keeps for graphs, which it does
//! until it is trimmed, or of the device. So before either as much is reserved as lies behind all
//! addresses of the graph, and after it counts what the driver keeps. Where so much is not to be
//! had it may be there already, since graphs that run in turn in a stream have the same memory: if
//! one before had as much, the graph is uploaded, looked at, and launched. Else the driver is made
//! to give up what no graph runs with, and if that is not enough the launch is refused.
//!
//! Graphs are looked through when they are made ready to be launched, graphs inside them too, so
//! that however a node has come there it is found. As long as a process has made no node that takes
//! memory none of its graphs is looked at, and launches go straight to the driver. Bodies of
//! conditions are not looked through: the driver lets no node that takes memory into one.

use crate::cost::apart;
use crate::memory::{self, OUT_OF_MEMORY};
use crate::place::Properties;
use crate::pool::change;
use crate::tenant::{self, refund, reserve};
use crate::{export, pool, truth};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;
/// Types of nodes by the public header: one that is a graph, one that takes memory.
const GRAPH_NODE: u32 = 4;
const MEMORY_NODE: u32 = 10;
/// The attribute by its public number: bytes that the driver keeps of a device for graphs.
const RESERVED: u32 = 2;
/// The flag of an instantiation that uploads at once.
const UPLOADS: u64 = 2;
/// Memory lies behind addresses in parts of this, as the driver creates it.
const GRANULE: u64 = 2 << 20;

/// What a graph takes of each device at most.
type Needs = Arc<[(i32, u64)]>;

/// What is counted of a device for graphs, and what calls on their way have reserved.
#[derive(Debug, Default)]
struct Kept {
    counted: u64,
    pending: u64,
}

/// Whether this process has made a node that takes memory.
static SEEN: AtomicBool = AtomicBool::new(false);
/// What can be launched and takes memory.
static EXECS: Mutex<BTreeMap<usize, Needs>> = Mutex::new(BTreeMap::new());
/// By device.
static KEPT: Mutex<BTreeMap<i32, Kept>> = Mutex::new(BTreeMap::new());

/// By device and stream, the most that a graph has had there since the device was trimmed.
static STREAMS: Mutex<BTreeMap<(i32, usize), u64>> = Mutex::new(BTreeMap::new());

fn execs() -> MutexGuard<'static, BTreeMap<usize, Needs>> {
    EXECS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kept() -> MutexGuard<'static, BTreeMap<i32, Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn streams() -> MutexGuard<'static, BTreeMap<(i32, usize), u64>> {
    STREAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A node that takes memory is about to be made: from now on graphs are looked at.
pub(crate) fn seen() {
    if !SEEN.swap(true, Ordering::Relaxed) {
        export::look_at_graphs();
    }
}

fn is_seen() -> bool {
    SEEN.load(Ordering::Relaxed)
}

/// Launches a graph, with room for what it takes.
pub(crate) fn launch(exec: usize, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let needs = if is_seen() { execs().get(&exec).cloned() } else { None };
    match needs {
        Some(needs) if !pool::is_captured(stream) => take(&needs, exec, stream, call),
        _ => call(),
    }
}

/// Has a graph take memory: what it may take is reserved, or enough is kept for its stream.
fn take(needs: &Needs, exec: usize, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    if !prepare(needs) {
        if has_kept(stream, needs) {
            return take_kept(needs, exec, stream, call);
        }
        trim(stream, needs);
        if !prepare(needs) {
            return OUT_OF_MEMORY;
        }
    }
    let result = call();
    needs.iter().for_each(|(device, bytes)| count(*device, *bytes));
    if result == 0 {
        keep(stream, needs);
    }
    result
}

/// Uploads a graph into a stream for which the driver keeps enough, then launches it; should that
/// have grown it is refused.
fn take_kept(needs: &Needs, exec: usize, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let uploaded = apart(|| truth::graph_upload(exec, stream));
    if uploaded != 0 {
        return uploaded;
    }
    if !needs.iter().all(|(device, _)| settle(*device, 0)) {
        trim(stream, needs);
        return OUT_OF_MEMORY;
    }
    let result = call();
    needs.iter().for_each(|(device, _)| count(*device, 0));
    result
}

/// Notes that a stream's graphs have had so much since devices were trimmed.
fn keep(stream: usize, needs: &Needs) {
    let mut streams = streams();
    for (device, bytes) in needs.iter() {
        let most = streams.entry((*device, stream)).or_default();
        *most = (*most).max(*bytes);
    }
}

/// Whether a stream's graphs have had as much at once: it is kept for the next.
fn has_kept(stream: usize, needs: &Needs) -> bool {
    let streams = streams();
    let most = |device: i32| streams.get(&(device, stream)).copied().unwrap_or(0);
    needs.iter().all(|(device, bytes)| *bytes <= most(*device))
}

/// Has the driver give up what no graph runs with, once a stream has nothing to do.
fn trim(stream: usize, needs: &Needs) {
    apart(|| {
        truth::stream_wait(stream);
        needs.iter().for_each(|(device, _)| _ = truth::graph_trim(*device));
    });
    needs.iter().for_each(|(device, _)| trimmed(*device));
}

/// A device was trimmed.
fn trimmed(device: i32) {
    streams().retain(|(of, _), _| *of != device);
    count(device, 0);
}

/// Reserves what a graph may take of each device: all of it or nothing.
fn prepare(needs: &Needs) -> bool {
    for (place, (device, bytes)) in needs.iter().enumerate() {
        if memory::room(*device, *bytes) {
            kept().entry(*device).or_default().pending += bytes;
            continue;
        }
        for (device, bytes) in &needs[..place] {
            settle(*device, *bytes);
        }
        return false;
    }
    true
}

/// Counts what the driver keeps of a device for graphs, when a call ends for which so much was
/// reserved; false where that has grown by more than there is room for.
fn settle(device: i32, own: u64) -> bool {
    let mut has = 0;
    let known = truth::graph_memory(device, RESERVED, &raw mut has) == 0;
    let mut kept = kept();
    let found = kept.entry(device).or_default();
    found.pending -= own.min(found.pending);
    let has = if known { has } else { found.counted + own };
    let change = change(found.counted, found.pending, own, has);
    let fits = change.more == 0 || reserve(device, change.more);
    found.counted = if fits { change.counted } else { change.counted - change.more };
    drop(kept);
    refund(device, change.less);
    fits
}

/// The same of what cannot be undone: where it has grown by more than there is room for, what is
/// left counts, and nothing else is to be had.
fn count(device: i32, own: u64) {
    if settle(device, own) {
        return;
    }
    let left = tenant::uuid(device).map_or(0, |uuid| {
        let (limit, held) = tenant::memory(&uuid);
        limit.saturating_sub(held)
    });
    if reserve(device, left) {
        kept().entry(device).or_default().counted += left;
    }
}

/// Counts what the driver keeps for graphs of every device: it may have changed since.
pub(crate) fn settle_all() {
    if is_seen() {
        let all: Vec<i32> = kept().keys().copied().collect();
        all.into_iter().for_each(|device| count(device, 0));
    }
}

/// The nodes of a graph; none where the driver does not know it.
fn nodes(graph: usize) -> Option<Vec<usize>> {
    let mut count = 0;
    if truth::graph_nodes(graph, std::ptr::null_mut(), &raw mut count) != 0 {
        return None;
    }
    let mut all = vec![0; count];
    let found = truth::graph_nodes(graph, all.as_mut_ptr(), &raw mut count) == 0;
    all.truncate(count);
    found.then_some(all)
}

/// What a graph takes at most, with the graphs inside it.
///
/// # Errors
/// `NOT_SUPPORTED` where the driver does not say it.
fn needs(graph: usize) -> Result<Needs, u32> {
    let none = || Ok(Needs::from([]));
    let Some(first) = Some(graph).filter(|_| is_seen()).and_then(nodes) else { return none() };
    let (mut left, mut ranges) = (first, Vec::new());
    while let Some(node) = left.pop() {
        let mut kind = 0;
        let known = truth::node_type(node, &raw mut kind) == 0;
        match kind {
            GRAPH_NODE => left.extend(inside(node).ok_or(NOT_SUPPORTED)?),
            MEMORY_NODE => ranges.extend(range(node)?),
            _ if known => {}
            _ => return Err(NOT_SUPPORTED),
        }
    }
    Ok(widths(ranges))
}

/// The nodes of the graph that a node is.
fn inside(node: usize) -> Option<Vec<usize>> {
    let mut graph = 0;
    let known = truth::node_graph(node, &raw mut graph) == 0;
    nodes(graph).filter(|_| known)
}

/// Where a node takes memory: its device and the granules; none where it is the host's.
fn range(node: usize) -> Result<Option<(i32, u64, u64)>, u32> {
    // The structure has 120 bytes so far; there is room for more.
    let mut words = [0_u64; 32];
    if truth::memory_node(node, &raw mut words) != 0 {
        return Err(NOT_SUPPORTED);
    }
    let (bytes, at) = (words[13], words[14]);
    let end = at.saturating_add(bytes).div_ceil(GRANULE);
    let device = Properties::of([words[0], words[1]]).device();
    Ok(device.map(|device| (device, at / GRANULE, end)))
}

/// Bytes of each device behind ranges of granules; what is in two of them counts once, because the
/// driver gives an address again where the first is freed by then.
fn widths(mut ranges: Vec<(i32, u64, u64)>) -> Needs {
    ranges.sort_unstable();
    let (mut all, mut last): (BTreeMap<i32, u64>, _) = (BTreeMap::new(), (-1, 0));
    for (device, start, end) in ranges {
        let from = if last.0 == device { start.max(last.1) } else { start };
        if end > from {
            let bytes = (end - from).saturating_mul(GRANULE);
            let sum = all.entry(device).or_default();
            *sum = sum.saturating_add(bytes);
            last = (device, end);
        }
    }
    all.into_iter().collect()
}

/// Makes a graph ready to be launched; uploaded at once it takes its memory.
fn instantiate(
    out: *mut usize,
    graph: usize,
    uploads: Option<usize>,
    call: impl FnOnce() -> u32,
) -> u32 {
    let needs = match needs(graph) {
        Ok(needs) if needs.is_empty() => return call(),
        Ok(needs) => needs,
        Err(code) => return code,
    };
    if let Some(stream) = uploads
        && !prepare(&needs)
    {
        trim(stream, &needs);
        if !prepare(&needs) {
            return OUT_OF_MEMORY;
        }
    }
    let result = call();
    if uploads.is_some() {
        needs.iter().for_each(|(device, bytes)| count(*device, *bytes));
    }
    if result == 0 && !out.is_null() {
        // SAFETY: the driver has just answered there.
        execs().insert(unsafe { out.read_unaligned() }, needs);
    }
    result
}

/// Gives what can be launched another graph's work, or a part of it: it may take what either did.
fn update(exec: usize, graph: usize, call: impl FnOnce() -> u32) -> u32 {
    let more = match needs(graph) {
        Ok(needs) => needs,
        Err(code) => return code,
    };
    let result = call();
    if result == 0 && !more.is_empty() {
        let mut execs = execs();
        let before = execs.get(&exec).into_iter().flat_map(|needs| needs.iter());
        let mut sums: BTreeMap<i32, u64> = BTreeMap::new();
        for (device, bytes) in before.chain(more.iter()) {
            let sum = sums.entry(*device).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        execs.insert(exec, sums.into_iter().collect());
    }
    result
}

/// Ends what can be launched. Its entry goes first: the driver may give the handle to another
/// thread as soon as it has it.
fn end(exec: usize, call: impl FnOnce() -> u32) -> u32 {
    let needs = if is_seen() { execs().remove(&exec) } else { None };
    let result = call();
    match needs {
        Some(needs) if result == 0 => needs.iter().for_each(|(device, _)| count(*device, 0)),
        Some(needs) => _ = execs().insert(exec, needs),
        None => {}
    }
    result
}

/// The beginning of the public structure `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct How {
    flags: u64,
    stream: usize,
}

/// The beginning of the public structure `CUgraphNodeParams`, as far as a node that is a graph has
/// it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Node {
    kind: u32,
    zeros: [u32; 3],
    graph: usize,
}

/// Notes whether a node takes memory.
fn added(what: *const u32) {
    // SAFETY: the caller's to give, as for the driver: it begins with the node's type.
    if !what.is_null() && unsafe { what.read_unaligned() } == MEMORY_NODE {
        seen();
    }
}

hooks! {
    [cuGraphAddMemAllocNode]
    (node: usize, graph: usize, before: usize, count: usize, what: usize) |real| {
        seen();
        real(node, graph, before, count, what)
    }

    [cuGraphAddNode]
    (node: usize, graph: usize, before: usize, count: usize, what: *const u32) |real| {
        added(what);
        real(node, graph, before, count, what)
    }

    [cuGraphAddNode_v2, cuGraphAddNode_v3]
    (node: usize, graph: usize, before: usize, edges: usize, count: usize, what: *const u32)
    |real| {
        added(what);
        real(node, graph, before, edges, count, what)
    }

    [cuGraphInstantiate, cuGraphInstantiate_v2]
    (out: *mut usize, graph: usize, node: usize, log: usize, room: usize) |real| {
        instantiate(out, graph, None, || real(out, graph, node, log, room))
    }

    [cuGraphInstantiateWithFlags] (out: *mut usize, graph: usize, flags: u64) |real| {
        // It could not say where to: the driver takes that flag in the next form only.
        instantiate(out, graph, None, || real(out, graph, flags))
    }

    [cuGraphInstantiateWithParams, cuGraphInstantiateWithParams_ptsz]
    (out: *mut usize, graph: usize, how: *const How) |real| {
        // SAFETY: the caller's to give, as for the driver.
        let said = (!how.is_null()).then(|| unsafe { how.read_unaligned() });
        let uploads = said.filter(|how| how.flags & UPLOADS != 0).map(|how| how.stream);
        instantiate(out, graph, uploads, || real(out, graph, how))
    }

    [cuGraphExecUpdate] (exec: usize, graph: usize, wrong: usize, result: usize) |real| {
        update(exec, graph, || real(exec, graph, wrong, result))
    }

    [cuGraphExecUpdate_v2] (exec: usize, graph: usize, result: usize) |real| {
        update(exec, graph, || real(exec, graph, result))
    }

    [cuGraphExecChildGraphNodeSetParams] (exec: usize, node: usize, graph: usize) |real| {
        update(exec, graph, || real(exec, node, graph))
    }

    [cuGraphExecNodeSetParams] (exec: usize, node: usize, what: *const Node) |real| {
        // SAFETY: the caller's to give, as for the driver.
        let said = (!what.is_null()).then(|| unsafe { what.read_unaligned() });
        match said {
            Some(Node { kind: GRAPH_NODE, graph, .. }) => {
                update(exec, graph, || real(exec, node, what))
            }
            _ => real(exec, node, what),
        }
    }

    [cuGraphUpload] (exec: usize, stream: usize) |real| {
        launch(exec, stream, || real(exec, stream))
    }

    [cuGraphUpload_ptsz] (exec: usize, stream: usize) |real| {
        launch(exec, pool::by_thread(stream), || real(exec, stream))
    }

    [cuGraphExecDestroy] (exec: usize) |real| {
        end(exec, || real(exec))
    }

    [cuDeviceGraphMemTrim] (device: i32) |real| {
        let result = real(device);
        if is_seen() {
            trimmed(device);
        }
        result
    }
}

/// Launches in containers that have the whole time of their devices, once graphs are looked at.
pub(crate) mod launches {
    use super::launch;
    use crate::pool;

    hooks! {
        [cuGraphLaunch] (exec: usize, stream: usize) |real| {
            launch(exec, stream, || real(exec, stream))
        }

        [cuGraphLaunch_ptsz] (exec: usize, stream: usize) |real| {
            launch(exec, pool::by_thread(stream), || real(exec, stream))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GRANULE, widths};

    #[test]
    fn what_lies_behind_addresses_counts_once() {
        let of = |ranges: &[(i32, u64, u64)]| widths(ranges.to_vec()).to_vec();
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[(0, 1, 2), (0, 5, 8)]), [(0, 4 * GRANULE)]);
        assert_eq!(of(&[(0, 5, 8), (0, 5, 8)]), [(0, 3 * GRANULE)], "the same addresses again");
        assert_eq!(of(&[(0, 5, 9), (0, 6, 7), (0, 8, 10)]), [(0, 5 * GRANULE)]);
        assert_eq!(of(&[(1, 5, 6), (0, 5, 6)]), [(0, GRANULE), (1, GRANULE)]);
        assert_eq!(of(&[(0, 0, u64::MAX / 2)]), [(0, u64::MAX)]);
    }
}
