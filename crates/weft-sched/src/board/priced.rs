//! How well a class fits on a machine by the market: what a placement makes useless for the
//! requests that usually come, and what the part of a device that it uses up was worth.
//!
//! The score is `weft_pack::Weft`; this file shows it a machine and asks it about each way in
//! which the class could lie there. Called by `fit.rs` where a snapshot has a market. Absent on
//! purpose: machines of several kinds of device, or divided in MIG instances: their score is plain.

use super::class::{Class, Gpu, Kinds};
use super::device::Pick;
use super::fit::{Score, left_permille};
use super::pool::{Machine, Pool, View};
use crate::{Market, Request};
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_pack::cutting::Demand;
use weft_pack::{Before, DEVICES_MAX, MODELS_MAX, Mix, Node, Prices, Terms, Weft, pressure};
use weft_types::Phase;

/// Where the order of kinds stands in a score: above all else, so that the least valuable device
/// that serves is given.
const KIND_SHIFT: u32 = 56;

/// What the market says of this pool.
#[derive(Debug, Clone)]
pub(crate) struct Priced {
    weft: Weft,
    /// For each kind, how many kinds are of less value.
    ranks: Vec<u64>,
}

impl Priced {
    /// Of this market; none where none of what is usual can be priced here.
    pub(crate) fn new(market: &Market, kinds: &Kinds, pool: &Pool) -> Option<Self> {
        let mut classes: BTreeMap<weft_pack::Class, u64> = BTreeMap::new();
        for one in &market.usual {
            for class in usual(&one.request, one.phase, kinds) {
                *classes.entry(class).or_default() += one.times;
            }
        }
        if classes.is_empty() || kinds.kinds.len() > MODELS_MAX {
            return None;
        }
        let mut classes: Vec<_> = classes.into_iter().collect();
        classes.truncate(CLASSES_MAX);
        let sizes = market.worth.iter().filter_map(|(size, worth)| {
            let milli = u16::try_from(size.0).ok().filter(|milli| (1..=1000).contains(milli))?;
            Some((Demand { milli, count: 1 }, i64::try_from(*worth).ok()?))
        });
        let (demand, worth): (Vec<Demand>, Vec<i64>) = sizes.unzip();
        let mix = Mix::weighted(classes);
        let machines = pool.machines.iter();
        let empty: Vec<Node> =
            machines.filter_map(|machine| pool.packed(machine, View::Now)).collect();
        let pressure = pressure(&mix, &empty);
        let prices = Prices::from_worth(&demand, &worth);
        let value = |kind: usize| kinds.kinds[kind].value;
        let ranks = (0..kinds.kinds.len())
            .map(|kind| kinds.kinds.iter().filter(|other| other.value < value(kind)).count() as u64)
            .collect();
        Some(Self { weft: Weft::new(mix, prices, pressure, Terms::default()), ranks })
    }
}

/// Most classes that a score is weighed against.
const CLASSES_MAX: usize = 255;

/// What a request is on each size of device it could use: of several sizes where it asks for
/// memory and kinds differ in it. None for MIG instances.
pub(crate) fn usual(request: &Request, phase: Phase, kinds: &Kinds) -> Vec<weft_pack::Class> {
    let class = Class::new(0, request, phase, kinds);
    let devices = match class.gpu {
        Gpu::None => return alloc::vec![asked(&class, 0, 0)],
        Gpu::Whole(count) => count,
        Gpu::Share(_) | Gpu::Memory(_) => 1,
        Gpu::Mig(..) => return Vec::new(),
    };
    let mut sizes: BTreeMap<u16, u64> = BTreeMap::new();
    for (kind, on) in class.on_kind.iter().enumerate().take(MODELS_MAX) {
        let milli = on.and_then(|(milli, _)| u16::try_from(milli).ok());
        if let Some(milli) = milli.filter(|milli| *milli > 0) {
            *sizes.entry(milli).or_default() |= 1 << kind;
        }
    }
    let fits = usize::try_from(devices).is_ok_and(|devices| devices <= DEVICES_MAX);
    let sizes = sizes.into_iter().filter(|_| fits);
    sizes
        .map(|(milli, models)| weft_pack::Class { models, ..asked(&class, devices, milli) })
        .collect()
}

fn asked(class: &Class, devices: u32, milli: u16) -> weft_pack::Class {
    let cpu = u32::try_from(class.need[0]).unwrap_or(u32::MAX);
    weft_pack::Class { cpu, memory: 0, devices: devices as u8, milli, models: u64::MAX }
}

/// A machine as the market sees it, in one of its states.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    version: u64,
    node: Node,
    before: Before,
}

impl Pool {
    /// Look at a machine once for all the classes that are then scored on it.
    pub(super) fn see(&mut self, node: u32, view: View) {
        if self.market.is_none() {
            return;
        }
        let (version, side) = (self.versions[node as usize], view as usize);
        let seen = self.seen_as[side].get(node as usize).and_then(Option::as_ref);
        if seen.is_some_and(|seen| seen.version == version) {
            return;
        }
        let seen = self.look_at(&self.machines[node as usize], version, view);
        let all = &mut self.seen_as[side];
        if all.is_empty() {
            all.resize(self.machines.len(), None);
        }
        all[node as usize] = seen;
    }

    fn look_at(&self, machine: &Machine, version: u64, view: View) -> Option<Seen> {
        let node = self.packed(machine, view)?;
        let before = self.market.as_deref()?.weft.before(&node);
        Some(Seen { version, node, before })
    }

    /// The machine as it was seen, or as it is.
    fn seen(&self, number: u32, view: View) -> Option<Cow<'_, Seen>> {
        let version = self.versions[number as usize];
        let kept = self.seen_as[view as usize].get(number as usize).and_then(Option::as_ref);
        match kept.filter(|seen| seen.version == version) {
            Some(seen) => Some(Cow::Borrowed(seen)),
            None => self.look_at(&self.machines[number as usize], version, view).map(Cow::Owned),
        }
    }

    /// The score by the market of a machine that has room for the class; none where the market has
    /// nothing to say.
    pub(super) fn priced(&self, number: u32, class: &Class, view: View) -> Option<Score> {
        let priced = self.market.as_deref()?;
        let machine = &self.machines[number as usize];
        if machine.devices.is_empty() {
            // What needs no device goes where there is none.
            return Some(left_permille(machine, class.need, view));
        }
        let (kind, _) = machine.uniform?;
        let seen = self.seen(number, view)?;
        let score = |asked: weft_pack::Class, devices| {
            priced.weft.with(&asked, seen.before, &seen.node, devices)
        };
        let (rank, score) = match &class.gpu {
            Gpu::None => (1, score(asked(class, 0, 0), 0)),
            Gpu::Whole(count) => {
                let asked = asked(class, *count, weft_pack::WHOLE);
                (*priced.ranks.get(kind as usize)?, score(asked, seen.node.idle(&asked)))
            }
            Gpu::Share(_) | Gpu::Memory(_) => {
                let (score, _) = self.priced_share(number, class, view)?;
                (*priced.ranks.get(kind as usize)?, score)
            }
            Gpu::Mig(..) => return None,
        };
        let middle = 1 << (KIND_SHIFT - 1);
        let score = score.clamp(1 - middle, middle - 1);
        Some(rank << KIND_SHIFT | (middle - score) as u64)
    }

    /// The best device of a machine for a share, by the market, and how good that is: higher is
    /// better.
    pub(super) fn priced_share(
        &self,
        number: u32,
        class: &Class,
        view: View,
    ) -> Option<(i64, Pick)> {
        let priced = self.market.as_deref()?;
        let (machine, seen) = (&self.machines[number as usize], self.seen(number, view)?);
        let node = &seen.node;
        let (kind, _) = machine.uniform?;
        let asked = asked(class, 1, u16::try_from(class.on(kind)?.0).ok()?);
        let mut best: Option<(i64, Pick)> = None;
        for (bit, at) in machine.devices.clone().enumerate() {
            let free = node.free[bit];
            // Equally full devices are equal, as far as the market knows.
            let tried = node.free[..bit].contains(&free);
            let Some((pick, _)) = self.share_on(at, class, view).filter(|_| !tried) else {
                continue;
            };
            let score = priced.weft.with(&asked, seen.before, node, 1 << bit);
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, pick));
            }
        }
        best
    }

    /// A machine as the market sees it: none where its devices differ, or are too many.
    fn packed(&self, machine: &Machine, view: View) -> Option<Node> {
        let (kind, _) = machine.uniform?;
        let devices = &self.devices[machine.devices.clone()];
        if devices.len() > DEVICES_MAX || kind as usize >= MODELS_MAX {
            return None;
        }
        let free = view.sides().iter().map(|side| machine.free[*side][0]).min().unwrap_or(0);
        let cpu = u32::try_from(free.max(0)).unwrap_or(u32::MAX);
        let mut node = Node::new(kind as u8, devices.len() as u8, cpu, 0);
        for (free, device) in node.free.iter_mut().zip(devices) {
            let sides = view.sides().iter().map(|side| device.share_free(*side));
            *free = sides.min().map_or(0, |least| least as u16);
        }
        Some(node)
    }
}
