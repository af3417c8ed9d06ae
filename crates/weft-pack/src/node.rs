//! A machine and a kind of request, in plain integers: what every packing score reads.
//!
//! Dense on purpose: one machine is one cache line, so that scoring a thousand of them is reading
//! memory in order. Names, queues and times are absent; where a machine stands in its array is
//! its identity.

/// Most devices of one machine. The largest boards sold carry 16.
pub const DEVICES_MAX: usize = 16;
/// A whole device, in thousandths.
pub const WHOLE: u16 = 1000;
/// Most models of device in one pool: a set of them is one word.
pub const MODELS_MAX: usize = 64;

/// What a machine has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Model of its devices, below [`MODELS_MAX`].
    pub model: u8,
    /// How many devices it has; the rest of `free` is zero.
    pub devices: u8,
    /// Free processor, in thousandths of a core.
    pub cpu: u32,
    /// Free memory, in bytes.
    pub memory: u64,
    /// Free thousandths of each device, at most [`WHOLE`].
    pub free: [u16; DEVICES_MAX],
    /// How many requests of each [`Kind`] it holds.
    pub held: [u16; Kind::COUNT],
}

/// A kind of request: all that ask for the same are one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class {
    /// Processor, in thousandths of a core.
    pub cpu: u32,
    /// Memory, in bytes.
    pub memory: u64,
    /// How many devices; 0 for a request of processor alone.
    pub devices: u8,
    /// Thousandths of each device; below [`WHOLE`] only when `devices` is 1.
    pub milli: u16,
    /// The models it may use, a bit each; all bits for any.
    pub models: u64,
}

/// How much of devices a request takes, coarsely. Only clustering tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Part of a device.
    Share,
    /// One whole device.
    One,
    /// Two or three.
    Two,
    /// Four to seven.
    Four,
    /// Eight and more.
    Eight,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 5;
}

/// A set of devices of one machine, a bit each.
pub type Devices = u16;

impl Node {
    /// An empty machine.
    ///
    /// # Panics
    ///
    /// If it has more than [`DEVICES_MAX`] devices or `model` is no bit of a word: both are checked
    /// where machines are read.
    #[must_use]
    pub fn new(model: u8, devices: u8, cpu: u32, memory: u64) -> Self {
        assert!(usize::from(model) < MODELS_MAX, "model {model} is no bit of a word");
        let mut free = [0; DEVICES_MAX];
        free[..usize::from(devices)].fill(WHOLE);
        Self { model, devices, cpu, memory, free, held: [0; Kind::COUNT] }
    }

    /// Free thousandths of its devices.
    #[must_use]
    pub fn frees(&self) -> &[u16] {
        &self.free[..usize::from(self.devices)]
    }

    /// Free thousandths of all its devices together.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.frees().iter().map(|free| u32::from(*free)).sum()
    }

    /// Whether a request of this class fits now.
    #[must_use]
    pub fn fits(&self, class: &Class) -> bool {
        if self.cpu < class.cpu || self.memory < class.memory {
            return false;
        }
        if class.devices == 0 {
            return true;
        }
        class.models >> self.model & 1 == 1
            && self.frees().iter().filter(|free| **free >= class.milli).count()
                >= usize::from(class.devices)
    }

    /// The first idle devices, for a class of whole ones that fits.
    #[must_use]
    pub fn idle(&self, class: &Class) -> Devices {
        let mut left = class.devices;
        let mut devices = 0;
        for (at, free) in self.frees().iter().enumerate() {
            if left > 0 && *free == WHOLE {
                devices |= 1 << at;
                left -= 1;
            }
        }
        devices
    }

    /// The fullest device that still holds the class, first index on ties; for whole devices the
    /// first idle ones.
    #[must_use]
    pub fn tightest(&self, class: &Class) -> Devices {
        if !class.shares() {
            return self.idle(class);
        }
        let holds = |(_, free): &(usize, &u16)| **free >= class.milli;
        let found = self.frees().iter().enumerate().filter(holds).min_by_key(|(_, free)| **free);
        found.map_or(0, |(at, _)| 1 << at)
    }

    /// Takes what the class asks for, from these devices.
    pub fn take(&mut self, class: &Class, devices: Devices) {
        debug_assert!(self.fits(class) && devices.count_ones() == u32::from(class.devices));
        self.cpu -= class.cpu;
        self.memory -= class.memory;
        each(devices).for_each(|at| self.free[at] -= class.milli);
        if let Some(kind) = class.kind() {
            self.held[kind as usize] += 1;
        }
    }

    /// Gives back what the class took from these devices.
    pub fn give(&mut self, class: &Class, devices: Devices) {
        self.cpu += class.cpu;
        self.memory += class.memory;
        each(devices).for_each(|at| self.free[at] += class.milli);
        debug_assert!(self.frees().iter().all(|free| *free <= WHOLE));
        if let Some(kind) = class.kind() {
            self.held[kind as usize] -= 1;
        }
    }
}

/// The places of these devices, lowest first.
fn each(devices: Devices) -> impl Iterator<Item = usize> {
    let rest = |left: Devices| (left != 0).then_some(left);
    let next = move |left: &Devices| rest(left & (left - 1));
    core::iter::successors(rest(devices), next).map(|left| left.trailing_zeros() as usize)
}

impl Class {
    /// Whether it takes part of one device.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.devices == 1 && self.milli < WHOLE
    }

    /// Thousandths of a device that it takes in all.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::from(self.devices) * u32::from(self.milli)
    }

    /// Its kind; none if it takes no device.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self.devices {
            0 => None,
            1 if self.shares() => Some(Kind::Share),
            1 => Some(Kind::One),
            2..4 => Some(Kind::Two),
            4..8 => Some(Kind::Four),
            _ => Some(Kind::Eight),
        }
    }
}
