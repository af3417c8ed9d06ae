//! Memory that graphs take by themselves: bounded before they take it, then counted as the driver
//! has it.
//!
//! A node of a graph that takes memory gets an address when it is made, and no memory. Memory is
//! taken when the graph is uploaded or launched: of what the driver keeps for graphs, which it does
//! until it is trimmed, or of the device. So before either as much is reserved as lies behind all
//! addresses of the graph, and after it counts what the driver keeps. Where so much is not to be
//! had it may be there already: the graph's own from its last launch in the stream, or that of a
//! larger one before it, since graphs that run in turn in a stream have the same memory. Then the
//! graph is uploaded, looked at, and launched. Else the driver is made to give up what no graph
//! runs with, and if that is not enough the launch is refused.
//!
//! Graphs are looked through when they are made ready to be launched, graphs inside them too, so
//! that however a node has come there it is found. As long as a process has made no node that takes
//! memory none of its graphs is looked at, and launches go straight to the driver. Bodies of
//! conditions are not looked through: the driver lets no node that takes memory into one.

use crate::cost::apart;
use crate::memory::{self, OUT_OF_MEMORY};
use crate::place::Properties;
use crate::pool::{Store, count, settle};
use crate::{export, pool, truth};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;
/// Types of nodes by the public header: one that is a graph, takes memory, frees it.
const GRAPH_NODE: u32 = 4;
const MEMORY_NODE: u32 = 10;
const FREE_NODE: u32 = 11;
/// The flag of an instantiation that uploads at once.
const UPLOADS: u64 = 2;
/// Memory lies behind addresses in parts of this, as the driver creates it.
const GRANULE: u64 = 2 << 20;

/// What a graph takes of each device at most.
type Needs = Arc<[(i32, u64)]>;

/// What can be launched and takes memory.
#[derive(Debug, Clone)]
struct Exec {
    needs: Needs,
    /// Whether it leaves memory that its own nodes do not free.
    leaves: bool,
    /// The stream of its last launch.
    last: Option<usize>,
}

/// What graphs have had in a stream of a device since that was trimmed.
#[derive(Debug, Default)]
struct Had {
    /// The most of one of them.
    most: u64,
    /// Those that have left memory, which others cannot have then; zero for those that are gone.
    left_by: BTreeSet<usize>,
}

/// Whether this process has made a node that takes memory.
static SEEN: AtomicBool = AtomicBool::new(false);
/// By handle.
static EXECS: Mutex<BTreeMap<usize, Exec>> = Mutex::new(BTreeMap::new());
/// By device and stream.
static STREAMS: Mutex<BTreeMap<(i32, usize), Had>> = Mutex::new(BTreeMap::new());
/// Read from an upload to the launch that relies on it, written by trims: the driver takes what is
/// uploaded and not launched yet for memory that no graph runs with.
static UPLOADED: RwLock<()> = RwLock::new(());

fn execs() -> MutexGuard<'static, BTreeMap<usize, Exec>> {
    EXECS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn streams() -> MutexGuard<'static, BTreeMap<(i32, usize), Had>> {
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
pub(crate) fn launch(handle: usize, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let exec = if is_seen() { execs().get(&handle).cloned() } else { None };
    match exec {
        Some(exec) if !pool::is_captured(stream) => take(&exec, handle, stream, call),
        _ => call(),
    }
}

/// Has a graph take memory: what it may take is reserved, or it is there already.
fn take(exec: &Exec, handle: usize, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let needs = &exec.needs;
    let mut reserved = prepare(needs);
    let mut there = None;
    if !reserved && has(needs, handle, stream) {
        there = upload(needs, handle, stream);
    }
    if !reserved && there.is_none() {
        trim(stream, needs);
        reserved = prepare(needs);
        // What it left itself may be there still.
        let own = exec.leaves && exec.last == Some(stream);
        if !reserved && own && can_fit(needs) {
            there = upload(needs, handle, stream);
        }
    }
    if !reserved && there.is_none() {
        return OUT_OF_MEMORY;
    }
    let result = call();
    drop(there);
    for (device, bytes) in needs.iter() {
        count(Store::Graphs(*device), if reserved { *bytes } else { 0 });
    }
    if result == 0 {
        note(exec, handle, stream);
    }
    result
}

/// Brings a graph into a stream for which the driver should have memory, which nobody trims as long
/// as the answer is held; none, and it is taken off again, where what the driver keeps has grown by
/// more than there is room for.
fn upload(needs: &Needs, handle: usize, stream: usize) -> Option<RwLockReadGuard<'static, ()>> {
    let there = UPLOADED.read().unwrap_or_else(PoisonError::into_inner);
    let uploaded = apart(|| truth::graph_upload(handle, stream)) == 0;
    // Each of them: what has grown counts.
    let fits =
        needs.iter().filter(|(device, _)| settle(Store::Graphs(*device), 0)).count() == needs.len();
    if !fits {
        drop(there);
        trim(stream, needs);
        return None;
    }
    uploaded.then_some(there)
}

/// Notes what a launch has had.
fn note(exec: &Exec, handle: usize, stream: usize) {
    let mut streams = streams();
    for (device, bytes) in exec.needs.iter() {
        let had = streams.entry((*device, stream)).or_default();
        had.most = had.most.max(*bytes);
        had.left_by.extend(exec.leaves.then_some(handle));
    }
    drop(streams);
    if let Some(found) = execs().get_mut(&handle) {
        found.last = Some(stream);
    }
}

/// Whether a graph has its memory in a stream still, or can have that of another one.
fn has(needs: &Needs, handle: usize, stream: usize) -> bool {
    let streams = streams();
    let is_free = |had: &Had| had.left_by.iter().all(|by| *by == handle);
    needs.iter().all(|(device, bytes)| {
        let had = streams.get(&(*device, stream));
        had.is_some_and(|had| *bytes <= had.most && is_free(had))
    })
}

/// Whether a graph could have what it needs if all that is kept for graphs was its own.
fn can_fit(needs: &Needs) -> bool {
    needs.iter().all(|(device, bytes)| {
        let counted = pool::counted_of_graphs(*device);
        *bytes <= counted.saturating_add(pool::left(*device))
    })
}

/// Has the driver give up what no graph runs with, once a stream has nothing to do.
fn trim(stream: usize, needs: &Needs) {
    apart(|| {
        truth::stream_wait(stream);
        let _alone = alone();
        needs.iter().for_each(|(device, _)| _ = truth::graph_trim(*device));
    });
    needs.iter().for_each(|(device, _)| trimmed(*device));
}

/// While nobody relies on what he has uploaded: for a trim.
fn alone() -> RwLockWriteGuard<'static, ()> {
    UPLOADED.write().unwrap_or_else(PoisonError::into_inner)
}

/// A device was trimmed.
fn trimmed(device: i32) {
    streams().retain(|(of, _), _| *of != device);
    count(Store::Graphs(device), 0);
}

/// Reserves what a graph may take of each device: all of it or nothing.
fn prepare(needs: &Needs) -> bool {
    for (place, (device, bytes)) in needs.iter().enumerate() {
        if memory::room(*device, *bytes) {
            pool::expect_of_graphs(*device, *bytes);
            continue;
        }
        for (device, bytes) in &needs[..place] {
            settle(Store::Graphs(*device), *bytes);
        }
        return false;
    }
    true
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

/// What a graph takes at most, with the graphs inside it; none where it takes nothing.
///
/// # Errors
/// `NOT_SUPPORTED` where the driver does not say it.
fn described(graph: usize) -> Result<Option<Exec>, u32> {
    let Some(first) = Some(graph).filter(|_| is_seen()).and_then(nodes) else { return Ok(None) };
    let (mut left, mut ranges, mut balance) = (first, Vec::new(), BTreeMap::<u64, i64>::new());
    while let Some(node) = left.pop() {
        let mut kind = 0;
        let known = truth::node_type(node, &raw mut kind) == 0;
        match kind {
            GRAPH_NODE => left.extend(inside(node).ok_or(NOT_SUPPORTED)?),
            MEMORY_NODE => {
                let (at, range) = range(node)?;
                *balance.entry(at).or_default() += 1;
                ranges.extend(range);
            }
            FREE_NODE => *balance.entry(freed(node)?).or_default() -= 1,
            _ if known => {}
            _ => return Err(NOT_SUPPORTED),
        }
    }
    let leaves = balance.values().any(|more| *more > 0);
    let needs = widths(ranges);
    Ok((!needs.is_empty()).then_some(Exec { needs, leaves, last: None }))
}

/// The nodes of the graph that a node is.
fn inside(node: usize) -> Option<Vec<usize>> {
    let mut graph = 0;
    let known = truth::node_graph(node, &raw mut graph) == 0;
    nodes(graph).filter(|_| known)
}

/// A node's device and the granules in which it takes memory.
type Range = (i32, u64, u64);

/// Where a node takes memory: the address and the range; none where it is the host's.
fn range(node: usize) -> Result<(u64, Option<Range>), u32> {
    // The structure has 120 bytes so far; there is room for more.
    let mut words = [0_u64; 32];
    if truth::memory_node(node, &raw mut words) != 0 {
        return Err(NOT_SUPPORTED);
    }
    let (bytes, at) = (words[13], words[14]);
    let end = at.saturating_add(bytes).div_ceil(GRANULE);
    let device = Properties::of([words[0], words[1]]).device();
    Ok((at, device.map(|device| (device, at / GRANULE, end))))
}

/// The address that a node frees.
fn freed(node: usize) -> Result<u64, u32> {
    let mut at = 0;
    if truth::free_node(node, &raw mut at) == 0 { Ok(at) } else { Err(NOT_SUPPORTED) }
}

/// Bytes of each device behind ranges of granules; what is in two of them counts once, because the
/// driver gives an address again where the first is freed by then.
fn widths(mut ranges: Vec<Range>) -> Needs {
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
    let exec = match described(graph) {
        Ok(Some(exec)) => exec,
        Ok(None) => return call(),
        Err(code) => return code,
    };
    let needs = exec.needs.clone();
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
        needs.iter().for_each(|(device, bytes)| count(Store::Graphs(*device), *bytes));
    }
    if result == 0 && !out.is_null() {
        // SAFETY: the driver has just answered there.
        execs().insert(unsafe { out.read_unaligned() }, exec);
    }
    result
}

/// Gives what can be launched another graph's work, or a part of it: it may take what either did.
fn update(handle: usize, graph: usize, call: impl FnOnce() -> u32) -> u32 {
    let more = match described(graph) {
        Ok(more) => more,
        Err(code) => return code,
    };
    let result = call();
    if let Some(more) = more.filter(|_| result == 0) {
        let mut execs = execs();
        let before = execs.get(&handle);
        let leaves = more.leaves || before.is_some_and(|exec| exec.leaves);
        let before = before.into_iter().flat_map(|exec| exec.needs.iter());
        let mut sums: BTreeMap<i32, u64> = BTreeMap::new();
        for (device, bytes) in before.chain(more.needs.iter()) {
            let sum = sums.entry(*device).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        let needs = sums.into_iter().collect();
        execs.insert(handle, Exec { needs, leaves, last: None });
    }
    result
}

/// Ends what can be launched. Its entry goes first: the driver may give the handle to another
/// thread as soon as it has it.
fn end(handle: usize, call: impl FnOnce() -> u32) -> u32 {
    let exec = if is_seen() { execs().remove(&handle) } else { None };
    if exec.as_ref().is_some_and(|exec| exec.leaves) {
        // What it has left nobody can have again.
        for had in streams().values_mut() {
            if had.left_by.remove(&handle) {
                had.left_by.insert(0);
            }
        }
    }
    let result = call();
    match exec {
        Some(exec) if result == 0 => {
            exec.needs.iter().for_each(|(device, _)| count(Store::Graphs(*device), 0));
        }
        Some(exec) => _ = execs().insert(handle, exec),
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
        if !is_seen() {
            return real(device);
        }
        let alone = alone();
        let result = real(device);
        drop(alone);
        trimmed(device);
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
