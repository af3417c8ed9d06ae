//! MIG instances: which device, and which placement on it.
//!
//! Called by `fit.rs` for classes that ask for instances, and for a single whole device where the
//! device is divided. A device's memory slices are bits of a mask; a profile lies on one of its
//! placements' masks, and compute slices are counted beside them. Of the devices that can serve,
//! the one that loses the least worth (`places.rs`) does.
//!
//! Instances are made when a member starts, by the driver's layer, so what this look has decided
//! to start is *loose*: it can still lie elsewhere on its device. A request fits as soon as it and
//! the loose ones can lie there together, somehow; each time all of them are laid anew so that the
//! device keeps the most worth, and when the look is over they are settled. What runs never moves.
//! Who places for a start therefore takes on both sides, also when only asking.

use super::class::Class;
use super::device::{Accelerator, Pick};
use super::fit::{Score, any_whole, left_permille, packed};
use super::places::{Place, Places};
use super::pool::{Machine, Piece, Pool, Span, View};
use alloc::vec::Vec;

/// The number of no placement: of an instance that does not move, because it runs or is settled.
pub(crate) const SETTLED: u16 = u16::MAX;

/// Most instances that can lie on a device of which arrangements are compared: each takes one of
/// at most eight memory slices.
const TOGETHER_MAX: usize = 8;

/// More than any loss that is told apart: of an idle device that would not be idle any more.
const IDLE: u64 = 1 << 20;

/// An instance on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Its memory slices as bits.
    pub(crate) mask: u64,
    /// Its compute slices.
    pub(crate) compute: u8,
    /// Its placement while it is loose, else [`SETTLED`].
    pub(crate) place: u16,
}

impl Pool {
    /// The best device for one instance, and its cost.
    pub(super) fn best_mig(
        &self,
        machine: &Machine,
        class: &Class,
        view: View,
    ) -> Option<([u64; 2], usize)> {
        let costs = machine.devices.clone().filter_map(|at| {
            let device = &self.devices[at];
            let lost = self.lost(device, class, view)?.min(IDLE - 1);
            let idle = u64::from(device.is_idle(view));
            Some(([u64::from(device.value), idle * IDLE + lost], at))
        });
        costs.min()
    }

    /// How well the member's instances fit on a machine; none where they do not.
    pub(super) fn mig_score(
        &self,
        machine: &Machine,
        class: &Class,
        count: u32,
        view: View,
    ) -> Option<Score> {
        if count > 1 && self.free_instances(machine, class, view) < u64::from(count) {
            return None;
        }
        let ([value, cost], _) = self.best_mig(machine, class, view)?;
        Some(packed([value, cost, left_permille(machine, class.need, view)]))
    }

    /// Lay one instance on the device, the loose ones beside it anew: where it is to be taken.
    pub(super) fn lay(&mut self, at: usize, class: &Class, view: View) -> Option<Pick> {
        let (device, number) = (&self.devices[at], at as u32);
        let pick = |place: Place| {
            let Place { number: place, mask, compute, .. } = place;
            Pick::Mig { device: number, mask, compute, place }
        };
        if !self.is_loose(device, view) {
            return self.best_place(device, class, view).map(|(_, place)| pick(place));
        }
        let places = self.places(device)?;
        let loose: Vec<Place> = loose(device).filter_map(|i| places.get(i.place)).collect();
        let together = self.together(device, places, self.asked(device, class)?, 1)?;
        let mut free = together.laid(together.best()?.1);
        // Those that lie well stay; the others, and the new one, take what is left over.
        let moved: Vec<Place> = loose
            .into_iter()
            .filter(|old| match free.iter().position(|new| new.number == old.number) {
                Some(found) => {
                    free.remove(found);
                    false
                }
                None => true,
            })
            .collect();
        moved.iter().for_each(|old| self.move_pick(pick(*old), None));
        for old in moved {
            let found = free.iter().position(|new| new.profile == old.profile)?;
            self.move_pick(pick(free.remove(found)), Some(Span::Both));
        }
        free.pop().map(pick)
    }

    /// All of an idle device: as its full profile where it is divided in instances.
    pub(super) fn all_of(&self, at: usize, class: &Class, view: View) -> Option<Pick> {
        let (device, number) = (&self.devices[at], at as u32);
        match device.geometry {
            None => Some(Pick::Whole { device: number }),
            Some(_) => self.free_places(device, class, view).next().map(|place| {
                let Place { number: place, mask, compute, .. } = place;
                Pick::Mig { device: number, mask, compute, place }
            }),
        }
    }

    /// Instances of the class's profile that still fit on the machine.
    pub(crate) fn free_instances(&self, machine: &Machine, class: &Class, view: View) -> u64 {
        machine.devices.clone().map(|at| self.mig_slots(&self.devices[at], class, view)).sum()
    }

    /// Give back a piece of what starts: an instance where it lies now, which may not be where it
    /// was taken. Those of one profile that start are as good as each other.
    pub(crate) fn give_starting(&mut self, piece: &Piece) {
        let (node, none) = (piece.node, [0; 3]);
        self.give(&Piece { picks: Vec::new(), ..piece.clone() }, Span::Both);
        for pick in &piece.picks {
            let lies = self.lies(*pick).unwrap_or(*pick);
            self.give(&Piece { node, amounts: none, picks: alloc::vec![lies] }, Span::Both);
        }
    }

    /// Where an instance that starts lies now, or one like it.
    fn lies(&self, pick: Pick) -> Option<Pick> {
        let Pick::Mig { device: number, place: taken, .. } = pick else { return None };
        let device = &self.devices[number as usize];
        let places = self.places(device)?;
        let profile = places.get(taken)?.profile;
        let lie = loose(device).filter_map(|held| places.get(held.place));
        let lie = lie.filter(|place| place.profile == profile);
        let Place { number: place, mask, compute, .. } =
            lie.min_by_key(|place| (place.number != taken, place.number))?;
        Some(Pick::Mig { device: number, mask, compute, place })
    }

    /// End the looseness of what starts, each where it lies now. Whether any of the picks changed.
    pub(crate) fn settle(&mut self, started: &mut [(u32, Vec<Piece>)]) -> bool {
        let picks = started.iter_mut().flat_map(|(_, pieces)| pieces);
        let picks = picks.flat_map(|piece| &mut piece.picks);
        let mut picks: Vec<&mut Pick> =
            picks.filter(|pick| matches!(pick, Pick::Mig { .. })).collect();
        picks.sort_by_key(|pick| pick.device());
        let of_devices = picks.chunk_by_mut(|one, other| one.device() == other.device());
        of_devices.map(|picks| u32::from(self.settle_device(picks))).sum::<u32>() > 0
    }

    fn settle_device(&mut self, picks: &mut [&mut Pick]) -> bool {
        let Some(number) = picks.first().map(|pick| pick.device()) else { return false };
        let device = &self.devices[number as usize];
        let Some(places) = self.places(device) else { return false };
        let mut lie: Vec<Place> = loose(device).filter_map(|i| places.get(i.place)).collect();
        lie.sort_by_key(|place| place.number);
        let settled = lie.clone();
        let of = |pick: &Pick| match pick {
            Pick::Mig { place, .. } => places.get(*place),
            _ => None,
        };
        // Those that lie where they were taken first, then the others of each profile in order.
        let mut moved = Vec::new();
        for pick in picks.iter_mut() {
            let found = of(pick).and_then(|at| lie.iter().position(|p| p.number == at.number));
            match found {
                Some(found) => drop(lie.remove(found)),
                None => moved.push(pick),
            }
        }
        let any = !moved.is_empty();
        for pick in moved {
            let profile = of(pick).map(|place| place.profile);
            let found = lie.iter().position(|place| Some(place.profile) == profile);
            if let Some(Place { number: place, mask, compute, .. }) = found.map(|at| lie.remove(at))
            {
                **pick = Pick::Mig { device: number, mask, compute, place };
            }
        }
        for Place { number: place, mask, compute, .. } in settled {
            self.move_pick(Pick::Mig { device: number, mask, compute, place }, None);
            let pick = Pick::Mig { device: number, mask, compute, place: SETTLED };
            self.move_pick(pick, Some(Span::Both));
        }
        any
    }

    /// Give a loose instance, or take it again.
    fn move_pick(&mut self, pick: Pick, take: Option<Span>) {
        match take {
            Some(span) => self.take_pick(pick, span),
            None => {
                let node = self.devices[pick.device() as usize].node;
                let piece = Piece { node, amounts: [0; 3], picks: alloc::vec![pick] };
                self.give(&piece, Span::Both);
            }
        }
    }

    /// Worth that the device loses by one more instance; none where it does not fit.
    fn lost(&self, device: &Accelerator, class: &Class, view: View) -> Option<u64> {
        let left = match self.is_loose(device, view) {
            true => {
                let places = self.places(device)?;
                self.together(device, places, self.asked(device, class)?, 1)?.best()?.0
            }
            false => self.best_place(device, class, view)?.0,
        };
        let (taken, _) = slices(device, view);
        Some(self.places(device)?.worth(taken).saturating_sub(left))
    }

    /// Where one more instance leaves the most worth, with nothing moved; and that worth.
    fn best_place(&self, device: &Accelerator, class: &Class, view: View) -> Option<(u64, Place)> {
        let (taken, _) = slices(device, view);
        let places = self.places(device)?;
        let free = self.free_places(device, class, view);
        let worth = free.map(|place| (places.worth(taken | place.mask), place));
        worth.reduce(|best, other| if other.0 > best.0 { other } else { best })
    }

    /// Placements that serve the class and are free on a device.
    fn free_places(
        &self,
        device: &Accelerator,
        class: &Class,
        view: View,
    ) -> impl Iterator<Item = Place> {
        let places = self.places(device).filter(|_| device.healthy && !any_whole(device, view));
        let served = device.geometry.and_then(|g| class.on_geometry.get(g as usize));
        let (taken, compute) = slices(device, view);
        served.into_iter().flatten().filter_map(move |(number, mask, slices)| {
            let places = places.filter(|p| compute + u32::from(*slices) <= p.compute.into())?;
            (mask & taken == 0).then(|| places.get(*number)).flatten()
        })
    }

    /// Instances of the class's profile that fit on a device at once.
    fn mig_slots(&self, device: &Accelerator, class: &Class, view: View) -> u64 {
        if self.is_loose(device, view) {
            let more = |count: &usize| {
                let (places, asked) = (self.places(device)?, self.asked(device, class)?);
                self.together(device, places, asked, *count)?.best()
            };
            return (1..=TOGETHER_MAX).take_while(|count| more(count).is_some()).count() as u64;
        }
        let (mut taken, mut compute) = slices(device, view);
        let total = self.places(device).map_or(0, |places| u32::from(places.compute));
        let mut places: Vec<_> = self.free_places(device, class, view).collect();
        places.sort_by_key(|place| place.mask);
        let mut fits = |place: &&Place| {
            let more = compute + u32::from(place.compute);
            let fits = place.mask & taken == 0 && more <= total;
            if fits {
                (taken, compute) = (taken | place.mask, more);
            }
            fits
        };
        places.iter().filter(|place| fits(place)).count() as u64
    }

    fn places(&self, device: &Accelerator) -> Option<&Places> {
        device.geometry.map(|number| self.geometry(number))
    }

    /// The profile of the device's that serves the class.
    fn asked(&self, device: &Accelerator, class: &Class) -> Option<u16> {
        let served = class.on_geometry.get(device.geometry? as usize)?;
        self.places(device)?.get(served.first()?.0).map(|place| place.profile)
    }

    /// Whether something on the device can still be laid elsewhere for a start.
    fn is_loose(&self, device: &Accelerator, view: View) -> bool {
        view == View::Start
            && loose(device).next().is_some()
            && self.places(device).is_some_and(Places::has_table)
    }

    /// The question how the loose ones of a device and some more of a profile lie together.
    fn together<'a>(
        &self,
        device: &Accelerator,
        places: &'a Places,
        profile: u16,
        more: usize,
    ) -> Option<Together<'a>> {
        let (mut taken, mut compute) = slices(device, View::Start);
        let (mut profiles, mut count) = ([profile; TOGETHER_MAX], more);
        for held in loose(device) {
            *profiles.get_mut(count)? = places.get(held.place)?.profile;
            count += 1;
            taken &= !held.mask;
            compute = compute.saturating_sub(held.compute.into());
        }
        let usable = device.healthy && !any_whole(device, View::Start) && count <= TOGETHER_MAX;
        let profiles_used = profiles.get_mut(..count).filter(|_| usable)?;
        profiles_used.sort_unstable();
        Some(Together { places, profiles, count, taken, compute })
    }
}

/// For each of some instances, which of its profile's placements.
type Chosen = [usize; TOGETHER_MAX];

/// Instances that are to lie on a device together, each anywhere.
struct Together<'a> {
    places: &'a Places,
    /// Their profiles in order, the largest first.
    profiles: [u16; TOGETHER_MAX],
    count: usize,
    /// Memory slices and compute slices of what does not move.
    taken: u64,
    compute: u32,
}

impl Together<'_> {
    /// The arrangement that leaves the most worth, the first of equals; none where there is none.
    fn best(&self) -> Option<(u64, Chosen)> {
        let (mut best, mut chosen) = (None, [0; TOGETHER_MAX]);
        self.search(0, (self.taken, self.compute), &mut chosen, &mut best);
        best
    }

    /// The places of an arrangement.
    fn laid(&self, chosen: Chosen) -> Vec<Place> {
        let each = self.profiles.iter().zip(chosen).take(self.count);
        each.map(|(profile, at)| self.places.of(*profile)[at]).collect()
    }

    /// Try every place for the instance `at`, those before it lying as chosen. Equal ones lie in
    /// order, so that each arrangement is seen once.
    fn search(
        &self,
        at: usize,
        (taken, compute): (u64, u32),
        chosen: &mut Chosen,
        best: &mut Option<(u64, Chosen)>,
    ) {
        if at == self.count {
            let worth = self.places.worth(taken);
            if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                *best = Some((worth, *chosen));
            }
            return;
        }
        let same = at > 0 && self.profiles[at] == self.profiles[at - 1];
        let from = if same { chosen[at - 1] + 1 } else { 0 };
        for (number, place) in self.places.of(self.profiles[at]).iter().enumerate().skip(from) {
            let more = compute + u32::from(place.compute);
            if place.mask & taken == 0 && more <= u32::from(self.places.compute) {
                chosen[at] = number;
                self.search(at + 1, (taken | place.mask, more), chosen, best);
            }
        }
    }
}

/// What this look starts on the device: on both sides. What is only tried on one does not move.
fn loose(device: &Accelerator) -> impl Iterator<Item = &Instance> {
    let [now, later] = &device.held;
    now.instances.iter().filter(|held| held.place != SETTLED && later.instances.contains(held))
}

/// Memory slices held on any of the sides, and the most compute slices held on one.
fn slices(device: &Accelerator, view: View) -> (u64, u32) {
    let each = view.sides().iter().map(|side| device.held[*side].slices());
    each.fold((0, 0), |(mask, compute), (m, c)| (mask | m, compute.max(c)))
}
