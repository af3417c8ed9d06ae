//! Which machines are kept for large requests: drain plans, made ahead of demand.
//!
//! A *large* request takes all devices of a machine. Under a backlog it never finds one empty, and
//! one that it leaves is filled by small requests at once, after which it takes some mean lifetimes
//! until it happens to be empty again. So the number of machines that serve large requests shrinks
//! with every lull and never grows again. The cure is to keep that number:
//!
//! 1. *Demand.* Large requests that may use the same machines are one group. Its demand is what
//!    runs and waits of it; its usual demand an average of that over the last `MEMORY` lifetimes.
//! 2. *Target.* A group keeps as many machines as its usual demand and [`Settings::spare`] times
//!    the square root of it (the square-root staffing rule of queues with many servers, Halfin and
//!    Whitt, 1981), and no fewer than it demands now.
//! 3. *Keep.* A machine that a large request leaves stays kept, for large requests of its group
//!    alone, while the group has no more than its target; else it is open to all again.
//! 4. *Drain.* Where a group has fewer, the open machine that costs least is closed: what runs
//!    there ends by itself, nothing new begins. The cost is the devices that stand idle meanwhile
//!    and the wait of the machine itself: with `T` the longest of the remaining times `rᵢ` and `dᵢ`
//!    the devices of each, `D × T + Σ dᵢ × (T − rᵢ)`.
//! 5. *Move.* When a large request has waited [`Settings::patience`], what runs on the machine
//!    where least is lost is suspended and waits again with its work kept: at most
//!    [`Settings::moves`] per thousand placements.
//!
//! Remaining times are estimates and may be absent or wrong: they choose the machine, no more.
//!
//! Pure integers; no clock, no chance, no queues. Absent on purpose: requests for several machines,
//! which would be a group with a higher demand each.

use crate::pack::{Class, Node, WHOLE};

/// Mean lifetimes over which demand is averaged: several, because a group's demand is itself steady
/// for about one.
const MEMORY: u64 = 8;

/// A group of large requests begins where the machines it may use are fewer than this part of those
/// of the group before: with groups of nearly the same machines spares would be kept twice.
const NARROWER: usize = 2;

/// Binary digits behind the point of an average: a moment counts a hundred thousandth of the memory
/// or less, and must not be rounded away.
const DIGITS: u32 = 40;

/// How machines are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Devices from which a request is large.
    pub large: u8,
    /// Machines kept beyond the usual demand, in thousandths of its square root.
    pub spare: u64,
    /// The mean lifetime, in ticks, by which demand is averaged.
    pub life: u64,
    /// After so many ticks of waiting something is moved for a large request.
    pub patience: u64,
    /// Most moves per thousand placements.
    pub moves: u64,
}

/// What a machine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Anyone.
    Open,
    /// Nobody, until it is empty; then this group.
    Draining(usize),
    /// This group.
    Kept(usize),
}

/// Large requests that may use the same machines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    /// Which machines can serve it when empty.
    serves: Vec<bool>,
    /// How many run and wait.
    demand: u64,
    /// The average of that, shifted by [`DIGITS`].
    average: u128,
    /// Until when the average knows.
    known: u64,
    /// Machines of it: kept and draining.
    has: u64,
}

/// What is kept for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drains {
    settings: Settings,
    roles: Vec<Role>,
    groups: Vec<Group>,
    /// The large classes, ascending, and the group of each.
    classes: Vec<(Class, usize)>,
}

/// What runs on a machine, as far as a drain plan looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Thousandths of devices.
    pub milli: u64,
    /// Ticks until it is expected to end.
    pub remaining: u64,
}

impl Drains {
    /// For these machines, empty, and these classes of request.
    #[must_use]
    pub fn new(settings: Settings, empty: &[Node], classes: &[Class]) -> Self {
        let large = classes.iter().filter(|class| is_large(class, settings.large));
        let serves =
            |class: &Class| -> Vec<bool> { empty.iter().map(|node| node.fits(class)).collect() };
        let mut wide: Vec<_> = large.map(|class| (serves(class), *class)).collect();
        let count = |serves: &[bool]| serves.iter().filter(|serves| **serves).count();
        wide.sort_by_key(|(serves, class)| (std::cmp::Reverse(count(serves)), *class));
        let (mut groups, mut known) = (Vec::<Group>::new(), Vec::new());
        let mut widest = 0;
        for (serves, class) in wide {
            let narrow = count(&serves) * NARROWER < widest;
            match groups.last_mut().filter(|_| !narrow) {
                // All of a group can use each of its machines.
                Some(group) => group.serves = both(&group.serves, &serves),
                None => {
                    widest = count(&serves);
                    groups.push(Group { serves, demand: 0, average: 0, known: 0, has: 0 });
                }
            }
            known.push((class, groups.len() - 1));
        }
        known.sort_unstable();
        Self { settings, roles: vec![Role::Open; empty.len()], groups, classes: known }
    }

    /// The group of a class, if it is large.
    #[must_use]
    pub fn group(&self, class: &Class) -> Option<usize> {
        let at = self.classes.binary_search_by(|(known, _)| known.cmp(class)).ok()?;
        Some(self.classes[at].1)
    }

    /// Whether a class may use a machine; and if so, whether that is kept for it.
    #[must_use]
    pub fn admits(&self, class: &Class, at: usize) -> Option<bool> {
        match self.roles[at] {
            Role::Open => Some(false),
            Role::Draining(_) => None,
            Role::Kept(group) => (self.group(class) == Some(group)).then_some(true),
        }
    }

    /// A large request of a group came.
    pub fn came(&mut self, group: usize, now: u64) {
        self.average(group, now);
        self.groups[group].demand += 1;
    }

    /// A large request of a group ended.
    pub fn ended(&mut self, group: usize, now: u64) {
        self.average(group, now);
        self.groups[group].demand -= 1;
    }

    /// A large request of a group runs on a machine, which is its group's from now on.
    pub fn runs_on(&mut self, group: usize, at: usize) {
        self.assign(at, Role::Kept(group));
    }

    /// A draining machine is empty: it is kept.
    pub fn is_empty(&mut self, at: usize) {
        if let Role::Draining(group) = self.roles[at] {
            self.assign(at, Role::Kept(group));
        }
    }

    /// Whether it waits to be empty.
    #[must_use]
    pub fn drains(&self, at: usize) -> bool {
        matches!(self.roles[at], Role::Draining(_))
    }

    /// Opens and closes machines until each group has its target; the machines that were opened
    /// and may be used now. `held` says what runs on a machine.
    pub fn settle(&mut self, now: u64, held: impl Fn(usize) -> Vec<Held>) -> Vec<usize> {
        let mut opened = Vec::new();
        // The most particular first: others can go elsewhere.
        for group in (0..self.groups.len()).rev() {
            self.average(group, now);
            let target = self.target(group);
            while self.groups[group].has > target {
                let Some(at) = self.dispensable(group, &held) else { break };
                self.assign(at, Role::Open);
                opened.push(at);
            }
            while self.groups[group].has < target {
                let Some(at) = self.cheapest(group, &held) else { break };
                let empty = held(at).is_empty();
                self.assign(at, if empty { Role::Kept(group) } else { Role::Draining(group) });
                opened.extend(empty.then_some(at));
            }
        }
        opened
    }

    /// The machine on which least is lost if what runs there is suspended for a group, and how
    /// many that are; at most `moves`.
    pub fn to_clear(
        &self,
        group: usize,
        moves: u64,
        held: impl Fn(usize) -> Vec<Held>,
    ) -> Option<usize> {
        let may = |at: &usize| match self.roles[*at] {
            Role::Open => self.groups[group].serves[*at],
            Role::Draining(other) => other == group,
            Role::Kept(_) => false,
        };
        let counted = (0..self.roles.len()).filter(may).map(|at| (held(at), at));
        let cleared = counted.filter(|(held, _)| held.len() as u64 <= moves && !held.is_empty());
        let lost = |held: &[Held]| held.iter().map(|held| held.milli).sum::<u64>();
        cleared.min_by_key(|(held, at)| (held.len(), lost(held), *at)).map(|(_, at)| at)
    }

    /// Takes a machine for a group, to be cleared.
    pub fn clear(&mut self, group: usize, at: usize) {
        self.assign(at, Role::Draining(group));
    }

    fn assign(&mut self, at: usize, role: Role) {
        let of = |role: Role| match role {
            Role::Open => None,
            Role::Draining(group) | Role::Kept(group) => Some(group),
        };
        if let Some(before) = of(self.roles[at]) {
            self.groups[before].has -= 1;
        }
        if let Some(after) = of(role) {
            self.groups[after].has += 1;
        }
        self.roles[at] = role;
    }

    /// An exponential average of the demand; plain over the first lifetimes.
    fn average(&mut self, group: usize, now: u64) {
        let it = &mut self.groups[group];
        let memory = now.clamp(1, self.settings.life * MEMORY);
        let age = u128::from((now - it.known).min(memory));
        let memory = u128::from(memory);
        let demand = u128::from(it.demand) << DIGITS;
        it.average = (it.average * (memory - age) + demand * age) / memory;
        it.known = now;
    }

    fn target(&self, group: usize) -> u64 {
        let it = &self.groups[group];
        let usual = (it.average * 1_000_000) >> DIGITS;
        let spare = usual.isqrt() * u128::from(self.settings.spare);
        let target = (usual + spare).div_ceil(1_000_000) as u64;
        target.max(it.demand)
    }

    /// A machine that the group has and can do without: the one that costs most to drain still,
    /// else one that is kept and empty.
    fn dispensable(&self, group: usize, held: impl Fn(usize) -> Vec<Held>) -> Option<usize> {
        let all = || self.roles.iter().enumerate();
        let draining = all().filter(|(_, role)| **role == Role::Draining(group));
        let draining = draining.max_by_key(|(at, _)| (cost(&held(*at)), *at));
        let mut kept = all().filter(|(_, role)| **role == Role::Kept(group));
        draining.or_else(|| kept.find(|(at, _)| held(*at).is_empty())).map(|(at, _)| at)
    }

    fn cheapest(&self, group: usize, held: impl Fn(usize) -> Vec<Held>) -> Option<usize> {
        let open = |at: &usize| self.roles[*at] == Role::Open && self.groups[group].serves[*at];
        let wider = |at: usize| self.groups.iter().skip(group + 1).any(|other| other.serves[at]);
        let open = (0..self.roles.len()).filter(open);
        open.min_by_key(|at| (cost(&held(*at)), wider(*at), *at))
    }
}

fn both(a: &[bool], b: &[bool]) -> Vec<bool> {
    a.iter().zip(b).map(|(a, b)| *a && *b).collect()
}

fn is_large(class: &Class, large: u8) -> bool {
    class.devices >= large && class.milli == WHOLE
}

/// Thousandths of devices times ticks that draining costs.
fn cost(held: &[Held]) -> u128 {
    let longest = held.iter().map(|held| held.remaining).max().unwrap_or(0);
    let idle = |held: &Held| u128::from(held.milli) * u128::from(longest - held.remaining);
    let itself = u128::from(longest) * 8 * u128::from(WHOLE);
    itself + held.iter().map(idle).sum::<u128>()
}
