//! Whether, how often and how well a class fits on a machine.
//!
//! Members of a gang are equal, so a gang fits exactly when the machines' slots add up to it, and
//! placing members one by one on the best machine finds it. Scores are compared as small integers,
//! lowest first, then by the machine's name:
//!
//! | asked | least of |
//! |--|--|
//! | CPU only | machine has devices · what is left of it |
//! | whole devices | their value · idle devices left on the machine · what is left of it |
//! | fraction | the device's value · it is idle · what is left of the device |
//! | MIG | the device's value · it is idle · worth lost for the future (`places.rs`) |
//!
//! Best fit as in fragmentation-aware packing (Weng et al., ATC '23, §2); counting lost MIG
//! placements as the cost of a placement follows its idea of expected unusable capacity. Where what
//! is usually asked for is known, that decides instead (`priced.rs`). Nothing outside these files
//! knows what a score is.

use super::class::{Class, Gpu, WHOLE};
use super::device::{Accelerator, Pick};
use super::pool::{Amounts, Machine, Piece, Pool, Span, View};
use alloc::vec::Vec;

/// How well a class fits on a machine: lowest is best. Three figures in one number, so that
/// looking for the lowest is quick.
pub(crate) type Score = u64;

/// The figures in the order of their weight; what is too large for its place counts as the most.
pub(super) fn packed(figures: [u64; 3]) -> Score {
    // Values of all devices of a machine; devices or thousandths of one; thousandths of a machine.
    // The most of all is left for what does not fit.
    let [first, second, third] = [(1 << 28) - 2, (1 << 24) - 1, (1 << 12) - 1];
    figures[0].min(first) << 36 | figures[1].min(second) << 12 | figures[2].min(third)
}

impl Pool {
    /// How many members of the class the machine can hold at once.
    pub(crate) fn slots(&self, node: u32, class: &Class, view: View) -> u64 {
        let machine = &self.machines[node as usize];
        if !machine.open || refuses(machine, class, view) {
            return 0;
        }
        let room = view.sides().iter().map(|side| times(machine.free[*side], class.need)).min();
        match room {
            None | Some(0) => 0,
            Some(room) => room.min(self.device_slots(machine, class, view)),
        }
    }

    /// Whether a gang of the class fits.
    pub(crate) fn fits(&self, class: &Class, gang: u32, view: View) -> bool {
        let mut sum = 0u64;
        (0..self.machines.len() as u32).any(|node| {
            sum = sum.saturating_add(self.slots(node, class, view));
            sum >= u64::from(gang)
        })
    }

    /// Take capacity for every member, or for none: then how many would have found a place.
    pub(crate) fn place(
        &mut self,
        class: &Class,
        gang: u32,
        view: View,
        span: Span,
    ) -> Result<Vec<Piece>, u32> {
        let mark = self.mark();
        let pieces = self.place_some(class, gang, view, span);
        if (pieces.len() as u64) < u64::from(gang) {
            self.rollback(mark);
            return Err(pieces.len() as u32);
        }
        Ok(pieces)
    }

    /// Take capacity for as many of the members as find it.
    pub(crate) fn place_some(
        &mut self,
        class: &Class,
        gang: u32,
        view: View,
        span: Span,
    ) -> Vec<Piece> {
        let next = |_| {
            let node = self.best(class, view)?;
            self.take_member(node, class, view, span)
        };
        (0..gang).map_while(next).collect()
    }

    /// The best of these machines for one member.
    pub(crate) fn best_among(
        &self,
        nodes: impl Iterator<Item = u32>,
        class: &Class,
        view: View,
    ) -> Option<u32> {
        let scored = nodes.filter_map(|node| Some((self.score(node, class, view)?, node)));
        scored.min().map(|(_, node)| node)
    }

    /// How well it fits on a machine; none where it does not.
    pub(crate) fn score(&self, node: u32, class: &Class, view: View) -> Option<Score> {
        let machine = &self.machines[node as usize];
        let room = |side: &usize| holds(machine.free[*side], class.need);
        if !machine.open || refuses(machine, class, view) || !view.sides().iter().all(room) {
            return None;
        }
        let value = match &class.gpu {
            Gpu::Whole(count) => self.whole_value(machine, *count, class, view)?,
            _ => 0,
        };
        if let Some(score) = self.priced(node, class, view) {
            return Some(score);
        }
        let left = left_permille(machine, class.need, view);
        match &class.gpu {
            Gpu::None => Some(packed([u64::from(!machine.devices.is_empty()), left, 0])),
            Gpu::Whole(count) => {
                Some(packed([value, u64::from(machine.idle[view as usize] - count), left]))
            }
            Gpu::Share(_) | Gpu::Memory(_) => {
                let [value, idle, rest] = self.share_score(machine, class, view)?;
                Some(packed([value, idle * WHOLE + rest, left]))
            }
            Gpu::Mig(_, count) => self.mig_score(machine, class, *count, view),
        }
    }

    /// Sum of the values of the least valuable devices that serve; none where too few do.
    fn whole_value(&self, machine: &Machine, count: u32, class: &Class, view: View) -> Option<u64> {
        if machine.idle[view as usize] < count {
            return None;
        }
        if let Some((kind, value)) = machine.uniform {
            return class.on(kind).map(|_| u64::from(value) * u64::from(count));
        }
        let values = self.whole_devices(machine, class, view).take(count as usize);
        let (found, value) = values.fold((0, 0), |(found, value), device| {
            (found + 1, value + u64::from(self.devices[device].value))
        });
        (found == count).then_some(value)
    }

    /// Idle devices that serve a whole-device class, least valuable first.
    fn whole_devices<'a>(
        &'a self,
        machine: &'a Machine,
        class: &'a Class,
        view: View,
    ) -> impl Iterator<Item = usize> + 'a {
        machine.devices.clone().filter(move |at| {
            let device = &self.devices[*at];
            device.healthy && device.is_idle(view) && class.serves(device.kind, device.geometry)
        })
    }

    /// How well the best device for a share serves it.
    fn share_score(&self, machine: &Machine, class: &Class, view: View) -> Option<[u64; 3]> {
        match machine.uniform {
            // Each is idle or taken whole, and those that are idle are alike.
            Some((_, value)) if machine.shared == [0; 2] => {
                let device = &self.devices[machine.devices.start];
                let (milli, memory) = share_of(device, class)?;
                let fits = machine.idle[view as usize] > 0 && memory <= device.memory;
                fits.then(|| [value.into(), 1, WHOLE.saturating_sub(milli)])
            }
            _ => self.best_share(machine, class, view).map(|(score, _)| score),
        }
    }

    /// The best device for a share: least valuable, one already shared, the fullest.
    fn best_share(&self, machine: &Machine, class: &Class, view: View) -> Option<([u64; 3], Pick)> {
        let mut best: Option<([u64; 3], Pick)> = None;
        let mut idle_kind = None;
        for at in machine.devices.clone() {
            let device = &self.devices[at];
            if view.sides().iter().any(|side| device.held[*side].whole > 0) {
                continue;
            }
            let (value, idle) = (u64::from(device.value), device.is_idle(view));
            if best.is_some_and(|(least, _)| value > least[0]) {
                break;
            }
            // Of idle devices of a kind the first is as good as any.
            if idle && device.shares() && idle_kind.replace(device.kind) == Some(device.kind) {
                continue;
            }
            let Some((pick, left)) = self.share_on(at, class, view) else { continue };
            let score = [value, u64::from(idle), left];
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, pick));
            }
        }
        best
    }

    /// The share as a device would give it, and the thousandths that are then left; none where it
    /// does not fit.
    pub(super) fn share_on(&self, at: usize, class: &Class, view: View) -> Option<(Pick, u64)> {
        let device = &self.devices[at];
        let (milli, memory) = share_of(device, class)?;
        let left = share_left(device, view, memory, milli)?;
        Some((Pick::Share { device: at as u32, milli, memory }, left))
    }

    /// How many members the machine's devices can serve at once.
    fn device_slots(&self, machine: &Machine, class: &Class, view: View) -> u64 {
        match &class.gpu {
            Gpu::None => u64::MAX,
            Gpu::Whole(count) => self.free_wholes(machine, class, view) / u64::from(*count),
            Gpu::Share(_) | Gpu::Memory(_) => {
                let each =
                    machine.devices.clone().map(|at| share_slots(&self.devices[at], class, view));
                each.fold(0, u64::saturating_add)
            }
            Gpu::Mig(_, count) => self.free_instances(machine, class, view) / u64::from(*count),
        }
    }

    /// Take one member's capacity on a machine.
    fn take_member(&mut self, node: u32, class: &Class, view: View, span: Span) -> Option<Piece> {
        let mark = self.mark();
        // A share's device is chosen while the machine is as it was scored.
        let share = match &class.gpu {
            Gpu::Share(_) | Gpu::Memory(_) => Some(self.share(node, class, view)?),
            _ => None,
        };
        let base = Piece { node, amounts: class.need, picks: share.into_iter().collect() };
        self.take(&base, span);
        match self.take_devices(node, class, view, span) {
            Some(_) if share.is_some() => Some(base),
            Some(picks) => Some(Piece { picks, ..base }),
            None => {
                self.rollback(mark);
                None
            }
        }
    }

    /// The best device of a machine for a share.
    fn share(&self, node: u32, class: &Class, view: View) -> Option<Pick> {
        let machine = &self.machines[node as usize];
        let priced = self.priced_share(node, class, view).map(|(_, pick)| pick);
        priced.or_else(|| self.best_share(machine, class, view).map(|(_, pick)| pick))
    }

    fn take_devices(
        &mut self,
        node: u32,
        class: &Class,
        view: View,
        span: Span,
    ) -> Option<Vec<Pick>> {
        let count = match &class.gpu {
            Gpu::None | Gpu::Share(_) | Gpu::Memory(_) => 0,
            Gpu::Whole(count) | Gpu::Mig(_, count) => *count,
        };
        let mut picks = Vec::new();
        for _ in 0..count {
            let machine = &self.machines[node as usize];
            let pick = match &class.gpu {
                Gpu::None | Gpu::Share(_) | Gpu::Memory(_) => None,
                Gpu::Whole(_) => self
                    .whole_devices(machine, class, view)
                    .next()
                    .and_then(|at| self.all_of(at, class, view)),
                Gpu::Mig(..) => {
                    let (_, at) = self.best_mig(machine, class, view)?;
                    self.lay(at, class, view)
                }
            }?;
            self.take_pick(pick, span);
            picks.push(pick);
        }
        Some(picks)
    }
}

/// Whether two figures of the machine are enough to know that the class does not fit.
fn refuses(machine: &Machine, class: &Class, view: View) -> bool {
    let least = |figures: &[u64; 2]| view.sides().iter().map(|side| figures[*side]).min();
    match &class.gpu {
        Gpu::None | Gpu::Mig(..) => false,
        Gpu::Whole(count) => machine.idle[view as usize] < *count,
        Gpu::Share(_) | Gpu::Memory(_) => least(&machine.freest) < Some(class.milli_min),
    }
}

/// Whether the amounts hold the need; what is not needed may be overdrawn.
fn holds(free: Amounts, need: Amounts) -> bool {
    free.iter().zip(need).all(|(free, need)| need == 0 || *free >= need)
}

/// How often the amounts hold the need.
fn times(free: Amounts, need: Amounts) -> u64 {
    let each = free.iter().zip(need).filter(|(_, need)| *need > 0).map(|(free, need)| {
        match (u64::try_from(*free), u64::try_from(need)) {
            // A division of words; of what is wider a division takes ten times as long.
            (Ok(free), Ok(need)) => free / need.max(1),
            _ => u64::try_from((free / need).max(0)).unwrap_or(u64::MAX),
        }
    });
    each.min().unwrap_or(u64::MAX)
}

/// What is left of a machine's processor and memory after the need, in thousandths of each.
pub(super) fn left_permille(machine: &Machine, need: Amounts, view: View) -> u64 {
    let left = |r: usize| {
        let free = view.sides().iter().map(|side| machine.free[*side][r]).min().unwrap_or(0);
        machine.permille[r].part(free - need[r])
    };
    left(0) + left(1)
}

pub(super) fn any_whole(device: &Accelerator, view: View) -> bool {
    view.sides().iter().any(|side| {
        let held = &device.held[*side];
        held.whole > 0 || held.milli > 0 || held.memory > 0
    })
}

/// Thousandths and bytes a share would take on the device; none where it cannot be shared.
fn share_of(device: &Accelerator, class: &Class) -> Option<(u64, u64)> {
    class.on(device.kind).filter(|_| device.shares())
}

/// Thousandths left on the device after the share; none where it does not fit.
fn share_left(device: &Accelerator, view: View, memory: u64, milli: u64) -> Option<u64> {
    let left = |side: &usize| {
        let held = &device.held[*side];
        let free = WHOLE.checked_sub(held.milli.saturating_add(milli))?;
        let fits = held.whole == 0
            && held.instances.is_empty()
            && held.memory.saturating_add(memory) <= device.memory;
        fits.then_some(free)
    };
    view.sides().iter().map(left).try_fold(u64::MAX, |least, left| Some(least.min(left?)))
}

fn share_slots(device: &Accelerator, class: &Class, view: View) -> u64 {
    let Some((milli, memory)) = share_of(device, class) else { return 0 };
    let slots = |side: &usize| {
        let held = &device.held[*side];
        if held.whole > 0 || !held.instances.is_empty() {
            return 0;
        }
        let by_milli = WHOLE.saturating_sub(held.milli) / milli.max(1);
        by_milli.min(device.memory.saturating_sub(held.memory) / memory.max(1))
    };
    view.sides().iter().map(slots).min().unwrap_or(0)
}

/// Figures for the words of a reason.
impl Pool {
    /// Idle devices of the machine that serve a whole-device class.
    pub(crate) fn free_wholes(&self, machine: &Machine, class: &Class, view: View) -> u64 {
        match machine.uniform {
            Some((kind, _)) if class.on(kind).is_some() => machine.idle[view as usize].into(),
            Some(_) => 0,
            None => self.whole_devices(machine, class, view).count() as u64,
        }
    }

    /// Whether one of its devices has room for the share.
    pub(crate) fn has_share(&self, machine: &Machine, class: &Class, view: View) -> bool {
        self.best_share(machine, class, view).is_some()
    }

    /// Thousandths and bytes free on the machine's freest device that serves the share.
    pub(crate) fn freest(
        &self,
        machine: &Machine,
        class: &Class,
        view: View,
    ) -> Option<(u64, u64)> {
        let serving = machine.devices.clone().map(|at| &self.devices[at]);
        let serving = serving.filter(|device| share_of(device, class).is_some());
        let free = |device: &Accelerator| {
            let sides = view.sides().iter().map(|side| {
                let held = &device.held[*side];
                let whole = held.whole > 0 || !held.instances.is_empty();
                let milli = WHOLE.saturating_sub(held.milli);
                let memory = device.memory.saturating_sub(held.memory);
                if whole { (0, 0) } else { (milli, memory) }
            });
            sides.fold((WHOLE, device.memory), |least, side| {
                (least.0.min(side.0), least.1.min(side.1))
            })
        };
        serving.map(free).max()
    }
}
