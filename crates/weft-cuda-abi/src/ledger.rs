//! What the tenants of a device hold: one table in shared memory for each container.
//!
//! The agent makes it, every process of the container maps it. Each process has a slot that it
//! alone writes; what is held in all is their sum. A reservation adds under a lock, in one store of
//! one word: whoever is killed, at any instruction, leaves a table that is true. A lock whose
//! holder is dead is taken over; a slot whose process is dead counts nothing once somebody has
//! looked. The lock is never held across a call of the driver, and launches never take it.
//!
//! ```text
//! Ledger   head, lock │ a slot for each process: who, launches, bytes moved    128 bytes each
//!                     │ by device, a bucket of its time                        64 bytes each
//!                     │ by device, for each process: memory now, and at most
//!                     │ what the dead did; by device, the most that all held
//! ```
//!
//! The processes of a container see one another by number: a container within one needs a ledger
//! of its own. It is a quota between cooperating programs: a program that writes into the table at
//! will cheats only its own container, whose slice of the device the agent sees from outside.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::share::Bucket;

/// The first word of a ledger.
pub const MAGIC: u64 = u64::from_le_bytes(*b"weftldgr");
/// The layout's version: a library and an agent of different ones do not work together.
pub const LAYOUT: u32 = 1;
/// Devices of a container at most: those of the largest machines.
pub const DEVICES_MAX: usize = if cfg!(loom) { 1 } else { 16 };
/// Processes of a container that use devices at most; the driver's own limit for sharing is 48.
pub const SLOTS: usize = if cfg!(loom) { 2 } else { 128 };

/// A lock that is not to be had after so many pauses is not waited for: a program that stands still
/// while it holds it must not have all others stand still.
const PAUSES_MAX: u32 = 100_000;
/// Pauses after which somebody looks whether the holder lives.
const PAUSES_TO_LOOK: u32 = if cfg!(loom) { 1 } else { 64 };

/// What the processes of a container hold and do.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Ledger {
    /// [`MAGIC`], set last when a ledger is made.
    pub(crate) magic: AtomicU64,
    /// [`LAYOUT`].
    pub(crate) layout: AtomicU32,
    /// Who holds the lock: zero for nobody.
    pub(crate) lock: AtomicU64,
    pub(crate) processes: [Slot; SLOTS],
    /// Time of each device that all of them may spend.
    pub(crate) buckets: [Bucket; DEVICES_MAX],
    /// By device, in the container's order.
    pub(crate) devices: [[Held; SLOTS]; DEVICES_MAX],
    /// What the processes did whose places are free again.
    pub(crate) gone: Slot,
    /// By device, the most that all of them held at any time.
    pub(crate) peaks: [AtomicU64; DEVICES_MAX],
}

/// What one process does, in cache lines of its own.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Slot {
    /// Whose it is: zero for nobody's.
    pub(crate) who: AtomicU64,
    /// Kernels and graphs launched.
    pub launches: AtomicU64,
    /// Bytes moved to devices.
    pub to_device: AtomicU64,
    /// Bytes moved from devices.
    pub from_device: AtomicU64,
    /// Which of the programs that this process has been.
    program: AtomicU64,
}

/// What one process holds of one device.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Held {
    pub(crate) memory: AtomicU64,
    peak: AtomicU64,
}

/// A process's place in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

/// A process that no other one is: its number, and when it started, cut to 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number in the container.
    pub number: u32,
    /// When it started, in ticks of the system since it booted; never zero of a live process.
    pub started: u32,
}

impl Process {
    fn word(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.started)
    }

    fn of(word: u64) -> Self {
        Self { number: (word >> 32) as u32, started: word as u32 }
    }
}

/// What the ledger has to ask of the system.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Whether a process lives.
    pub alive: fn(Process) -> bool,
    /// Lets others run for a moment.
    pub pause: fn(),
}

/// Why memory was not reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// With it more than the limit would be held; this many bytes are.
    Limit {
        /// Bytes that all processes hold.
        held: u64,
    },
    /// The lock was not to be had.
    Busy,
}

#[cfg(loom)]
impl Ledger {
    /// A ledger for the model checker, whose words are more than memory.
    pub fn modelled() -> Self {
        let word = AtomicU64::default;
        let slot = || Slot {
            who: word(),
            launches: word(),
            to_device: word(),
            from_device: word(),
            program: word(),
        };
        let held = || Held { memory: word(), peak: word() };
        Self {
            magic: word(),
            layout: AtomicU32::default(),
            lock: word(),
            processes: core::array::from_fn(|_| slot()),
            buckets: core::array::from_fn(|_| Bucket::default()),
            devices: core::array::from_fn(|_| core::array::from_fn(|_| held())),
            gone: slot(),
            peaks: core::array::from_fn(|_| word()),
        }
    }

    /// A process takes the lock and is killed.
    pub fn die_with_the_lock(&self, me: Process, system: &System) {
        core::mem::forget(self.lock(me, system));
    }
}

impl Ledger {
    /// Makes a fresh table of zeroed memory a ledger.
    pub fn prepare(&self) {
        self.layout.store(LAYOUT, Ordering::Relaxed);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Whether this is a ledger of this layout.
    pub fn is_ready(&self) -> bool {
        self.magic.load(Ordering::Acquire) == MAGIC && self.layout.load(Ordering::Relaxed) == LAYOUT
    }

    /// A place for a process: its own, else one that is free or whose process is dead; none where
    /// all are of the living.
    ///
    /// `program` is a number that no other program of the process has. What it held before it
    /// became another program is gone; a second copy of the library in the same program finds what
    /// the first one counts.
    pub fn join(&self, me: Process, program: u64, system: &System) -> Option<Place> {
        let of = |word: u64| {
            let mut who = self.processes.iter().map(|slot| slot.who.load(Ordering::Acquire));
            who.position(|who| who == word)
        };
        let is_of = |place: usize| self.processes[place].program.load(Ordering::Relaxed) == program;
        if of(me.word()).is_some_and(|own| !is_of(own)) {
            // A thread of the program before may have held the lock when that was exchanged.
            let _ = self.lock.compare_exchange(me.word(), 0, Ordering::Acquire, Ordering::Relaxed);
        }
        let guard = self.lock(me, system).ok()?;
        let own = of(me.word());
        if let Some(own) = own.filter(|own| is_of(*own)) {
            return Some(Place(own));
        }
        let free = || {
            self.reap(system);
            of(0)
        };
        let place = own.or_else(free)?;
        self.clear(place);
        self.processes[place].program.store(program, Ordering::Relaxed);
        self.processes[place].who.store(me.word(), Ordering::Release);
        drop(guard);
        Some(Place(place))
    }

    /// What a process does.
    pub fn slot(&self, place: Place) -> &Slot {
        &self.processes[place.0]
    }

    /// Reserves memory of a device for a process, within a limit for all of them.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is reserved then.
    pub fn reserve(
        &self,
        place: Place,
        device: usize,
        bytes: u64,
        limit: u64,
        system: &System,
    ) -> Result<(), Refusal> {
        let me = Process::of(self.processes[place.0].who.load(Ordering::Relaxed));
        let guard = self.lock(me, system)?;
        let fits = |held: u64| held.checked_add(bytes).is_some_and(|held| held <= limit);
        let mut held = self.held(device);
        if !fits(held) {
            self.reap(system);
            held = self.held(device);
        }
        let Some(own) = self.devices.get(device).filter(|_| fits(held)).map(|all| &all[place.0])
        else {
            return Err(Refusal::Limit { held });
        };
        // In one step, because other threads of the process give back without the lock.
        let before = own.memory.fetch_add(bytes, Ordering::Release);
        own.peak.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
        self.peaks[device].fetch_max(held + bytes, Ordering::Relaxed);
        drop(guard);
        Ok(())
    }

    /// The time of a device that the container may spend.
    pub fn bucket(&self, device: usize) -> Option<&Bucket> {
        self.buckets.get(device)
    }

    /// Gives memory of a process back; what was not reserved counts as nothing.
    pub fn refund(&self, place: Place, device: usize, bytes: u64) {
        let Some(all) = self.devices.get(device) else { return };
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let _ = all[place.0].memory.fetch_update(Ordering::Release, Ordering::Relaxed, less);
    }

    /// Bytes of a device that all processes hold; the dead too, until somebody has looked.
    pub fn held(&self, device: usize) -> u64 {
        let all = self.devices.get(device).map_or(&[][..], |all| all);
        all.iter().map(|held| held.memory.load(Ordering::Acquire)).fold(0, u64::saturating_add)
    }

    /// The processes that joined: who, what it holds of a device now, and at most.
    pub fn holders(&self, device: usize) -> impl Iterator<Item = (Process, u64, u64)> {
        let all = self.devices.get(device).into_iter().flatten();
        all.zip(&self.processes).filter_map(|(held, slot)| {
            let who = slot.who.load(Ordering::Acquire);
            let amount = |word: &AtomicU64| word.load(Ordering::Acquire);
            (who != 0).then(|| (Process::of(who), amount(&held.memory), amount(&held.peak)))
        })
    }

    /// Frees the places of the dead. Under the lock.
    fn reap(&self, system: &System) {
        for (place, slot) in self.processes.iter().enumerate() {
            let who = slot.who.load(Ordering::Relaxed);
            if who != 0 && !(system.alive)(Process::of(who)) {
                self.clear(place);
                slot.who.store(0, Ordering::Release);
            }
        }
    }

    /// A place as nobody has used it; what its process did stays counted. Under the lock.
    fn clear(&self, place: usize) {
        let held = self.devices.iter().map(|all| &all[place]);
        held.flat_map(|held| [&held.memory, &held.peak])
            .for_each(|word| word.store(0, Ordering::Relaxed));
        let of = |slot: &Slot, gone: &Slot| {
            // Whoever is killed between the two loses a count: better than to count it twice.
            let moved = |from: &AtomicU64, to: &AtomicU64| {
                to.fetch_add(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            };
            moved(&slot.launches, &gone.launches);
            moved(&slot.to_device, &gone.to_device);
            moved(&slot.from_device, &gone.from_device);
        };
        of(&self.processes[place], &self.gone);
    }

    fn lock(&self, me: Process, system: &System) -> Result<Guard<'_>, Refusal> {
        let take = |from: u64| {
            self.lock.compare_exchange(from, me.word(), Ordering::Acquire, Ordering::Relaxed)
        };
        for pause in 1..=PAUSES_MAX {
            let Err(holder) = take(0) else { return Ok(Guard(&self.lock)) };
            let look = pause % PAUSES_TO_LOOK == 0 && holder != 0;
            if look && !(system.alive)(Process::of(holder)) && take(holder).is_ok() {
                return Ok(Guard(&self.lock));
            }
            (system.pause)();
        }
        Err(Refusal::Busy)
    }
}

/// The lock, until it goes out of scope.
#[derive(Debug)]
struct Guard<'a>(&'a AtomicU64);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
