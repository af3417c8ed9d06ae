//! Requests as classes: equal requests are one class, so that what fails for one fails for all,
//! is tried once and is explained once.

use super::pool::Amounts;
use crate::{DeviceClass, MigPlacement, Request};
use alloc::vec::Vec;
use weft_types::{GpuFilter, GpuRequest, Isolation, MigProfile, Phase};

/// Most memory slices of a device that are told apart; the hardware has 8. Placements beyond are
/// ignored, so that a mask fits one word.
pub(crate) const SLICES_MAX: u32 = 64;

/// Thousandths of a whole device.
pub(crate) const WHOLE: u64 = 1000;

/// The device kinds and geometries of the pool.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// Distinct kinds: devices of one class that keep shares apart differently are several.
    pub(crate) kinds: Vec<DeviceClass>,
    /// For each kind, what keeps shares apart.
    pub(crate) shares: Vec<Option<Isolation>>,
    /// Distinct geometries.
    pub(crate) geometries: Vec<Geometry>,
}

/// A MIG geometry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Geometry {
    /// Every placement.
    pub(crate) places: Vec<MigPlacement>,
    /// Compute slices in all.
    pub(crate) compute: u8,
}

impl Geometry {
    /// The memory slices of a placement as bits; none where it lies outside what is told apart.
    pub(crate) fn mask(place: &MigPlacement) -> Option<u64> {
        let end = u32::from(place.start) + u32::from(place.size);
        let ones = u64::MAX.checked_shr(SLICES_MAX.checked_sub(u32::from(place.size))?)?;
        (end <= SLICES_MAX).then(|| ones << place.start)
    }

    /// Thousandths that an instance counts: its compute slices of the device's.
    pub(crate) fn milli(&self, slices: u8) -> u64 {
        instance_milli(slices, self.compute)
    }
}

/// Thousandths of a device that so many of its compute slices count, rounded down: all instances
/// of a device together count no more than the device.
pub(crate) fn instance_milli(slices: u8, of: u8) -> u64 {
    u64::from(slices) * WHOLE / u64::from(of.max(1))
}

/// What one member needs, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    /// Its place among the classes of what waits.
    pub(crate) number: u32,
    /// As it was asked for.
    pub(crate) request: Request,
    /// The phase, where it decides what is meant.
    pub(crate) phase: Option<Phase>,
    /// Processor, memory, disk.
    pub(crate) need: Amounts,
    /// Accelerators.
    pub(crate) gpu: Gpu,
    /// For each device kind: thousandths and bytes it would take there; none where it may not.
    pub(crate) on_kind: Vec<Option<(u64, u64)>>,
    /// For each device kind: whether it would serve, were it not for what keeps shares apart there.
    pub(crate) barred: Vec<bool>,
    /// For each geometry: the placements that serve, with their mask and compute slices.
    pub(crate) on_geometry: Vec<Vec<(u16, u64, u8)>>,
    /// Least thousandths of a device that a member can take.
    pub(crate) milli_min: u64,
}

/// What sort of accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gpu {
    /// None.
    None,
    /// Whole devices on one machine.
    Whole(u32),
    /// A fraction, by compute.
    Share(u64),
    /// A fraction, by memory.
    Memory(u64),
    /// MIG instances on one machine.
    Mig(MigProfile, u32),
}

impl Class {
    /// The class of a request of a phase among the pool's kinds.
    pub(crate) fn new(number: u32, request: &Request, phase: Phase, kinds: &Kinds) -> Self {
        let need = [request.cpu.0, request.memory.0, request.disk.0].map(i128::from);
        let asked = resolve(&request.gpu, phase);
        let shared = matches!(asked, GpuRequest::Share { .. } | GpuRequest::Memory { .. });
        let kept = |share: &Isolation| *share <= request.isolation;
        let mut on_kind: Vec<_> = kinds.kinds.iter().map(|kind| on_kind(&asked, kind)).collect();
        let bars = |(on, share): (&mut Option<_>, &Option<Isolation>)| {
            let barred = shared && on.is_some() && !share.as_ref().is_some_and(kept);
            *on = on.take().filter(|_| !barred);
            barred
        };
        let barred = on_kind.iter_mut().zip(&kinds.shares).map(bars).collect();
        // An instance has neighbours, whole devices have none.
        let instances =
            request.isolation >= Isolation::Mig || !matches!(asked, GpuRequest::Mig { .. });
        let geometries = kinds.geometries.iter();
        let on_geometry = geometries
            .map(|g| if instances { on_geometry(&asked, g) } else { Vec::new() })
            .collect();
        let gpu = match asked {
            GpuRequest::None | GpuRequest::Auto => Gpu::None,
            GpuRequest::Whole { count, .. } => Gpu::Whole(count.max(1)),
            GpuRequest::Share { milli, .. } => Gpu::Share(milli.0.max(1)),
            GpuRequest::Memory { bytes, .. } => Gpu::Memory(bytes.0),
            GpuRequest::Mig { profile, count } => Gpu::Mig(profile, count.max(1)),
        };
        let (request, phase) = key(request, phase);
        let request = request.clone();
        let mut class =
            Self { number, request, phase, need, gpu, on_kind, barred, on_geometry, milli_min: 0 };
        class.milli_min = class.least_milli(kinds);
        class
    }

    /// Whether a device of this kind and geometry can serve it, were it empty.
    pub(crate) fn serves(&self, kind: u32, geometry: Option<u32>) -> bool {
        let full = |g: u32| self.on_geometry.get(g as usize).is_some_and(|p| !p.is_empty());
        match (&self.gpu, geometry) {
            (Gpu::None, _) => false,
            (Gpu::Mig(..), Some(geometry)) => full(geometry),
            (Gpu::Whole(1), Some(geometry)) => self.on(kind).is_some() && full(geometry),
            (_, Some(_)) | (Gpu::Mig(..), None) => false,
            (_, None) => self.on(kind).is_some(),
        }
    }

    /// Thousandths and bytes it takes on a device of this kind.
    pub(crate) fn on(&self, kind: u32) -> Option<(u64, u64)> {
        self.on_kind.get(kind as usize).copied().flatten()
    }

    fn least_milli(&self, kinds: &Kinds) -> u64 {
        match &self.gpu {
            Gpu::None => 0,
            Gpu::Whole(count) => u64::from(*count) * WHOLE,
            Gpu::Share(milli) => *milli,
            Gpu::Memory(_) => self.on_kind.iter().flatten().map(|(m, _)| *m).min().unwrap_or(1),
            Gpu::Mig(profile, count) => {
                let serving = kinds.geometries.iter().zip(&self.on_geometry);
                let each =
                    serving.filter(|(_, p)| !p.is_empty()).map(|(g, _)| g.milli(profile.slices));
                each.min().unwrap_or(1) * u64::from(*count)
            }
        }
    }
}

/// What makes two requests one class.
pub(crate) fn key(request: &Request, phase: Phase) -> (&Request, Option<Phase>) {
    (request, (request.gpu == GpuRequest::Auto).then_some(phase))
}

/// `auto` is what the phase gives.
pub(crate) fn resolve(gpu: &GpuRequest, phase: Phase) -> GpuRequest {
    match gpu {
        GpuRequest::Auto => phase.default_gpu(),
        other => other.clone(),
    }
}

fn on_kind(asked: &GpuRequest, kind: &DeviceClass) -> Option<(u64, u64)> {
    let serves = |filter: &GpuFilter| named(&filter.names, kind) && filter.admits(kind.memory);
    match asked {
        GpuRequest::None | GpuRequest::Auto | GpuRequest::Mig { .. } => None,
        GpuRequest::Whole { filter, .. } => serves(filter).then_some((WHOLE, kind.memory.0)),
        GpuRequest::Share { milli, filter } => {
            let milli = milli.0.max(1);
            let part = u128::from(kind.memory.0) * u128::from(milli) / u128::from(WHOLE);
            (milli <= WHOLE && serves(filter)).then_some((milli, u64::try_from(part).ok()?))
        }
        GpuRequest::Memory { bytes, least, names } => {
            let part =
                (u128::from(bytes.0) * u128::from(WHOLE)).div_ceil(kind.memory.0.max(1).into());
            let milli = u64::try_from(part).ok()?.max(least.0).max(1);
            if milli > WHOLE {
                return None;
            }
            named(names, kind).then_some((milli, bytes.0))
        }
    }
}

fn named(names: &[alloc::string::String], kind: &DeviceClass) -> bool {
    names.is_empty() || names.contains(&kind.name)
}

/// The placements of a geometry that serve: those of the profile asked; for a single whole device
/// its full profile, because a device in this mode can be used in no other way.
fn on_geometry(asked: &GpuRequest, geometry: &Geometry) -> Vec<(u16, u64, u8)> {
    let full = MigProfile { slices: geometry.compute, memory_gb: 0 };
    let serves = |place: &MigPlacement| match asked {
        GpuRequest::Mig { profile, .. } => place.profile == *profile,
        GpuRequest::Whole { count: 0 | 1, .. } => place.profile.slices == full.slices,
        _ => false,
    };
    let usable = geometry.places.iter().enumerate().filter(|(_, place)| serves(place));
    usable
        .filter_map(|(at, place)| {
            let mask = Geometry::mask(place).filter(|mask| *mask != 0)?;
            Some((u16::try_from(at).ok()?, mask, place.profile.slices))
        })
        .collect()
}
