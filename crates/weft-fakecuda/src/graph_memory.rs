//! Memory that graphs take by themselves: where it is from their nodes on, and when it is taken of
//! the device.
//!
//! An address is given when a node is made. Memory is taken of the device when the graph is
//! uploaded or launched: of what its stream has kept, or anew, and so two graphs that run one after
//! the other have the same. What was taken stays, until somebody trims: then goes what no graph
//! runs with and no launch has left unfreed. Described by the driver's header and by the section on
//! graph memory nodes of the CUDA programming guide.

use crate::arena::Arena;
use crate::call::{In, Out};
use crate::context::current;
use crate::device::device;
use crate::driver::{State, with};
use crate::memory::Kind;
use crate::outcome::{INVALID_VALUE, Outcome};
use crate::vmm::GRANULE;
use crate::work::Work;
use std::collections::{BTreeMap, BTreeSet};

/// The attributes by their public numbers: what graphs use and what is kept for them, each now and
/// at most.
const USED: u32 = 0;
const USED_MOST: u32 = 1;
const RESERVED: u32 = 2;
const RESERVED_MOST: u32 = 3;

/// The place of memory that is a device.
const ON_DEVICE: u32 = 1;
/// The kind of memory that there is.
const PINNED: u32 = 1;

/// What graphs have of the devices.
#[derive(Debug, Default)]
pub(crate) struct GraphMemory {
    parts: Vec<Part>,
    /// By address.
    held: BTreeMap<u64, Held>,
    /// The most that was used and kept of each device.
    most: BTreeMap<usize, [u64; 2]>,
}

/// Memory of a device that graphs of one stream have, one after the other.
#[derive(Debug)]
struct Part {
    device: usize,
    bytes: u64,
    stream: u64,
    context: u64,
    /// What can be launched and is mapped here.
    execs: BTreeSet<u64>,
    /// What was taken here and not freed.
    held: BTreeSet<u64>,
}

/// What a node takes.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Whether its node is there.
    pub(crate) described: bool,
    /// What can be launched and takes it; zero for nothing.
    pub(crate) exec: u64,
    /// Whether a node of its own graph frees it.
    freed_inside: bool,
    /// Whether it is taken now.
    live: bool,
}

/// The public structure `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Takes {
    kind: u32,
    handles: u32,
    place: u32,
    device: i32,
    rest: [u64; 9],
    accesses: u64,
    count: u64,
    bytes: u64,
    at: u64,
}

impl Takes {
    /// Of the words of the structure that describes all nodes.
    pub(crate) fn of(words: &[u64; 30]) -> Self {
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let mut rest = [0; 9];
        rest.copy_from_slice(&words[2..11]);
        Self {
            kind: low(words[0]),
            handles: high(words[0]),
            place: low(words[1]),
            device: high(words[1]).cast_signed(),
            rest,
            accesses: words[11],
            count: words[12],
            bytes: words[13],
            at: words[14],
        }
    }

    /// Writes the address there.
    pub(crate) fn answer(&self, words: &mut [u64; 30]) {
        words[14] = self.at;
    }

    /// Where it is.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What a node says of itself.
    pub(crate) fn answered(at: u64, bytes: u64, device: usize) -> Self {
        let device = device as i32;
        let (kind, place) = (PINNED, ON_DEVICE);
        Self { kind, handles: 0, place, device, rest: [0; 9], accesses: 0, count: 0, bytes, at }
    }
}

impl State {
    /// Adds a node that takes memory; its address is known from now on.
    pub(crate) fn add_take(&mut self, graph: u64, takes: &mut Takes) -> Outcome<u64> {
        let Takes { kind, place, bytes, .. } = *takes;
        self.graphs.get(graph)?;
        if kind != PINNED || place != ON_DEVICE || bytes == 0 {
            return Err(INVALID_VALUE);
        }
        device(takes.device)?;
        let (place, context) = (takes.device as usize, current()?);
        let at = self.place(place, context, Kind::Graph, bytes)?;
        takes.at = at;
        let node = self.add_node(graph, Work::Take { at, bytes, device: place });
        match node {
            Ok(_) => {
                let held = Held { described: true, ..Held::default() };
                self.graph_memory.held.insert(at, held);
            }
            Err(_) => self.release(at)?,
        }
        node
    }

    /// Adds a node that frees what a node has taken: of this graph, or left by another one.
    pub(crate) fn add_give(&mut self, graph: u64, at: u64) -> Outcome<u64> {
        let work = self.work_of(graph)?;
        let own = work.iter().any(|work| matches!(work, Work::Take { at: it, .. } if *it == at));
        let again = work.iter().any(|work| matches!(work, Work::Give(it) if *it == at));
        let held = self.graph_memory.held.get_mut(&at).ok_or(INVALID_VALUE)?;
        if again || held.freed_inside {
            return Err(INVALID_VALUE);
        }
        held.freed_inside = own;
        self.add_node(graph, Work::Give(at))
    }

    /// Changes what has an address, which goes with the last of them.
    pub(crate) fn leave(&mut self, at: u64, change: impl FnOnce(&mut Held)) -> Outcome {
        let Some(held) = self.graph_memory.held.get_mut(&at) else { return Ok(()) };
        change(held);
        if held.described || held.exec != 0 || held.live {
            return Ok(());
        }
        self.release(at)
    }

    /// Its context ends, or nobody has it any more.
    pub(crate) fn forget_in_graphs(&mut self, at: u64) {
        self.graph_memory.held.remove(&at);
        self.graph_memory.parts.iter_mut().for_each(|part| _ = part.held.remove(&at));
    }

    /// What can be launched has its memory, in a stream.
    pub(crate) fn map_graph(&mut self, exec: u64, stream: u64) -> Outcome {
        let found = self.execs.get(exec)?;
        let (own, needs) = (found.taken(), needs(&found.work)?);
        let context = current().unwrap_or(0);
        for (device, bytes) in needs {
            let is_free = |part: &Part| part.held.iter().all(|at| own.contains(at));
            let of = |part: &Part| part.device == device && is_free(part);
            let parts = &mut self.graph_memory.parts;
            let mapped = parts
                .iter()
                .position(|part| of(part) && part.execs.contains(&exec) && part.stream == stream);
            if mapped.is_some_and(|at| parts[at].bytes >= bytes) {
                continue;
            }
            parts.iter_mut().for_each(|part| _ = part.execs.remove(&exec));
            let kept = parts
                .iter()
                .position(|part| of(part) && (part.stream == stream || part.execs.is_empty()));
            let more = bytes.saturating_sub(kept.map_or(0, |at| parts[at].bytes));
            self.charge(device, more)?;
            let at = kept.unwrap_or_else(|| {
                let (execs, held) = (BTreeSet::new(), BTreeSet::new());
                let part = Part { device, bytes: 0, stream, context, execs, held };
                self.graph_memory.parts.push(part);
                self.graph_memory.parts.len() - 1
            });
            let part = &mut self.graph_memory.parts[at];
            (part.bytes, part.stream) = (part.bytes + more, stream);
            part.execs.insert(exec);
            self.graph_memory.note(device);
        }
        Ok(())
    }

    /// What can be launched ends; its memory is kept for others.
    pub(crate) fn unmap_graph(&mut self, exec: u64) {
        let parts = &mut self.graph_memory.parts;
        parts.iter_mut().for_each(|part| _ = part.execs.remove(&exec));
    }

    /// What was left of the last launch goes, or there is no other one; then all is there that the
    /// launch takes, and nobody can trim it any more.
    pub(crate) fn begin_launch(&mut self, exec: u64, stream: u64) -> Outcome {
        let found = self.execs.get(exec)?;
        let (frees, taken) = (found.frees, found.taken());
        let is_live = |at: &u64| self.graph_memory.held.get(at).is_some_and(|held| held.live);
        let left: Vec<u64> = taken.iter().copied().filter(is_live).collect();
        if !frees && !left.is_empty() {
            return Err(INVALID_VALUE);
        }
        left.into_iter().try_for_each(|at| self.free_of_graph(at))?;
        self.map_graph(exec, stream)?;
        taken.into_iter().try_for_each(|at| self.take_in_graph(exec, at))
    }

    /// A launch takes what a node says.
    fn take_in_graph(&mut self, exec: u64, at: u64) -> Outcome {
        let device = self.block(at).ok_or(INVALID_VALUE)?.1.device;
        self.graph_memory.held.get_mut(&at).ok_or(INVALID_VALUE)?.live = true;
        let parts = &mut self.graph_memory.parts;
        let is_own = |part: &&mut Part| part.device == device && part.execs.contains(&exec);
        parts.iter_mut().find(is_own).ok_or(INVALID_VALUE)?.held.insert(at);
        Ok(())
    }

    /// Frees what a launch has taken.
    pub(crate) fn free_of_graph(&mut self, at: u64) -> Outcome {
        let memory = &mut self.graph_memory;
        if !memory.held.get(&at).is_some_and(|held| held.live) {
            return Err(INVALID_VALUE);
        }
        memory.parts.iter_mut().for_each(|part| _ = part.held.remove(&at));
        self.leave(at, |held| held.live = false)
    }

    /// Gives the device what is kept of it and not needed now.
    fn trim_graphs(&mut self, device: usize) -> Outcome {
        let (mut kept, mut gone) = (Vec::new(), 0);
        for part in std::mem::take(&mut self.graph_memory.parts) {
            let runs = !part.execs.is_empty() && self.is_busy(part.stream, device);
            if part.device != device || runs || !part.held.is_empty() {
                kept.push(part);
            } else {
                gone += part.bytes;
            }
        }
        self.graph_memory.parts = kept;
        self.used[device] -= gone;
        Ok(())
    }

    /// A context ends, and what graphs had in it.
    pub(crate) fn end_graph_memory(&mut self, context: u64) {
        let is_of = |part: &mut Part| part.context == context;
        let gone: Vec<Part> = self.graph_memory.parts.extract_if(.., is_of).collect();
        gone.into_iter().for_each(|part| self.used[part.device] -= part.bytes);
    }
}

impl GraphMemory {
    /// What graphs use of a device, and what is kept for them.
    fn now(&self, device: usize) -> [u64; 2] {
        let of = self.parts.iter().filter(|part| part.device == device);
        let bytes = |parts: &mut dyn Iterator<Item = &Part>| parts.map(|part| part.bytes).sum();
        let mut used = of.clone().filter(|part| !part.execs.is_empty() || !part.held.is_empty());
        [bytes(&mut used), bytes(&mut of.into_iter())]
    }

    fn note(&mut self, device: usize) {
        let now = self.now(device);
        let most = self.most.entry(device).or_default();
        *most = [most[0].max(now[0]), most[1].max(now[1])];
    }
}

/// The most that work has of each device at once, taken and freed in its order.
fn needs(work: &[Work]) -> Outcome<BTreeMap<usize, u64>> {
    let (mut now, mut most, mut held) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for work in work {
        match *work {
            Work::Take { at, bytes, device } => {
                let size = Arena::rounded(bytes)?;
                held.insert(at, (device, size));
                let now: &mut u64 = now.entry(device).or_default();
                *now += size;
                let most: &mut u64 = most.entry(device).or_default();
                *most = (*most).max(now.next_multiple_of(GRANULE));
            }
            Work::Give(at) => {
                if let Some((device, size)) = held.remove(&at) {
                    *now.entry(device).or_default() -= size;
                }
            }
            _ => {}
        }
    }
    Ok(most)
}

calls! {
    fn cuDeviceGetGraphMemAttribute(number: i32, attribute: u32, value: Out<u64>) {
        device(number)?;
        let place = number as usize;
        let found = with(|state| {
            let memory = &state.graph_memory;
            let most = memory.most.get(&place).copied().unwrap_or_default();
            match attribute {
                USED => Ok(memory.now(place)[0]),
                RESERVED => Ok(memory.now(place)[1]),
                USED_MOST => Ok(most[0]),
                RESERVED_MOST => Ok(most[1]),
                _ => Err(INVALID_VALUE),
            }
        })?;
        value.put(found)
    }

    fn cuDeviceSetGraphMemAttribute(number: i32, attribute: u32, value: In<u64>) {
        device(number)?;
        let place = number as usize;
        // The most there was may be set to zero: then it is what there is.
        if value.get()? != 0 {
            return Err(INVALID_VALUE);
        }
        with(|state| {
            let now = state.graph_memory.now(place);
            let most = state.graph_memory.most.entry(place).or_default();
            match attribute {
                USED_MOST => most[0] = now[0],
                RESERVED_MOST => most[1] = now[1],
                _ => return Err(INVALID_VALUE),
            }
            Ok(())
        })
    }

    fn cuDeviceGraphMemTrim(number: i32) {
        device(number)?;
        with(|state| state.trim_graphs(number as usize))
    }
}
