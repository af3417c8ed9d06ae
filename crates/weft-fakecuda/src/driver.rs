//! The state of the process: what `cuInit` makes, and all that calls make after it.
//!
//! One lock around everything: a stand-in need not be fast, and no call waits inside it. A process
//! that forks has no driver, as with the real one: its child is told that nothing is initialised.

use crate::arena::Arena;
use crate::array::Array;
use crate::code::Code;
use crate::context::Context;
use crate::device::{Device, devices};
use crate::graph::{Exec, Graph, Node};
use crate::graph_memory::GraphMemory;
use crate::memory::Block;
use crate::outcome::{INVALID_HANDLE, NO_DEVICE, NOT_INITIALIZED, Outcome};
use crate::pool::Pool;
use crate::settings::Settings;
use crate::stream::{Clock, Event, Stream};
use crate::vmm::Physical;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What does not change after `cuInit`.
#[derive(Debug)]
pub(crate) struct Driver {
    /// What the environment says.
    pub(crate) settings: &'static Settings,
    /// The devices, in order.
    pub(crate) devices: &'static [Device],
    process: u32,
    state: Mutex<State>,
}

/// What calls change.
#[derive(Debug)]
pub(crate) struct State {
    /// The memory of each device, made when it is first taken from.
    pub(crate) arenas: Vec<Option<Arena>>,
    /// Bytes taken of each device.
    pub(crate) used: Vec<u64>,
    /// Memory that is held, of devices and of the host, by its first address.
    pub(crate) blocks: BTreeMap<u64, Block>,
    /// The primary context of each device, and how often it is retained.
    pub(crate) primary: Vec<(u64, u32)>,
    /// Contexts.
    pub(crate) contexts: Handles<Context>,
    /// Streams, but the default ones.
    pub(crate) streams: Handles<Stream>,
    /// Events.
    pub(crate) events: Handles<Event>,
    /// Modules, libraries, functions and kernels.
    pub(crate) codes: Handles<Code>,
    /// Graphs, their nodes, what can be launched of them, and the memory that they take.
    pub(crate) graphs: Handles<Graph>,
    pub(crate) nodes: Handles<Node>,
    pub(crate) execs: Handles<Exec>,
    pub(crate) graph_memory: GraphMemory,
    /// Memory without addresses, and up to where addresses were reserved.
    pub(crate) physical: Handles<Physical>,
    /// See above.
    pub(crate) reserved: u64,
    /// Arrays.
    pub(crate) arrays: Handles<Array>,
    /// Pools of memory.
    pub(crate) pools: Handles<Pool>,
    /// The pools that devices' streams take from instead of their first ones.
    pub(crate) chosen_pools: BTreeMap<usize, u64>,
    /// The time of the devices.
    pub(crate) clock: Clock,
    /// What contexts keep for whoever asks: by context and key.
    pub(crate) kept: BTreeMap<(u64, usize), usize>,
}

static DRIVER: OnceLock<Driver> = OnceLock::new();

/// Makes the driver; again is nothing.
pub(crate) fn initialise() -> Outcome {
    let settings = crate::watch::settings();
    if settings.devices.is_empty() {
        return Err(NO_DEVICE);
    }
    crate::mps::begin();
    DRIVER.get_or_init(|| Driver {
        settings,
        devices: devices(),
        state: Mutex::new(State::new(devices().len(), settings)),
        process: std::process::id(),
    });
    driver()?;
    crate::checkpoint::begin();
    Ok(())
}

/// The driver; an error before `cuInit`, and in a process that was forked after it.
pub(crate) fn driver() -> Outcome<&'static Driver> {
    let driver = DRIVER.get().ok_or(NOT_INITIALIZED)?;
    if driver.process == std::process::id() { Ok(driver) } else { Err(NOT_INITIALIZED) }
}

/// Reads and changes the state.
pub(crate) fn with<T>(change: impl FnOnce(&mut State) -> Outcome<T>) -> Outcome<T> {
    // A call that panicked answered so; what it left is looked at as it is.
    change(&mut driver()?.state.lock().unwrap_or_else(PoisonError::into_inner))
}

impl State {
    fn new(devices: usize, settings: &Settings) -> Self {
        let mut pools = Handles::new(6);
        (0..devices).for_each(|device| _ = pools.add(Pool::of_device(device)));
        Self {
            arenas: (0..devices).map(|_| None).collect(),
            used: vec![settings.neighbour; devices],
            blocks: BTreeMap::new(),
            primary: vec![(0, 0); devices],
            contexts: Handles::new(1),
            streams: Handles::new(2),
            events: Handles::new(3),
            codes: Handles::new(4),
            graphs: Handles::new(5),
            nodes: Handles::new(9),
            execs: Handles::new(10),
            graph_memory: GraphMemory::default(),
            physical: Handles::new(7),
            reserved: 0,
            arrays: Handles::new(8),
            pools,
            chosen_pools: BTreeMap::new(),
            clock: Clock::new(devices, settings),
            kept: BTreeMap::new(),
        }
    }
}

/// Things by the handles that programs hold. A handle says its kind, so that one of another kind,
/// and one that is gone, is never another thing.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    all: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Handles<T> {
    /// Of a kind, by a number of its own.
    fn new(kind: u64) -> Self {
        Self { all: BTreeMap::new(), next: (kind << 40) + 16 }
    }

    /// Keeps a thing; its handle.
    pub(crate) fn add(&mut self, thing: T) -> u64 {
        let handle = self.next;
        self.next += 16;
        self.all.insert(handle, thing);
        handle
    }

    /// The thing of a handle.
    pub(crate) fn get(&self, handle: u64) -> Outcome<&T> {
        self.all.get(&handle).ok_or(INVALID_HANDLE)
    }

    /// The thing of a handle, to be changed.
    pub(crate) fn get_mut(&mut self, handle: u64) -> Outcome<&mut T> {
        self.all.get_mut(&handle).ok_or(INVALID_HANDLE)
    }

    /// Ends a thing.
    pub(crate) fn remove(&mut self, handle: u64) -> Outcome<T> {
        self.all.remove(&handle).ok_or(INVALID_HANDLE)
    }

    /// All of them, to be changed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.values_mut()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.all.iter().map(|(handle, thing)| (*handle, thing))
    }
}
