//! Another kind of device than the one asked for, or a smaller instance of one.

use super::change::{Change, OTHER_KIND, Relaxation, lost, with};
use super::find::{GIVEN_UP_MAX, now};
use super::trial::Trial;
use crate::Workload;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{Bytes, GpuFilter, GpuRequest, MigProfile};

impl Trial<'_, '_> {
    /// A kind of device that was not asked for: the one that gives up least.
    pub(super) fn another_kind(&mut self, asked: &Workload) -> Option<Relaxation> {
        let gpu = &asked.request.gpu;
        let kinds: Vec<_> =
            self.pass.board.kinds.kinds.iter().map(|kind| (*kind).clone()).collect();
        let (served, others): (Vec<_>, Vec<_>) =
            kinds.into_iter().partition(|kind| admits(gpu, &kind.name, kind.memory));
        let size = served.iter().map(|kind| kind.memory.0).max().or(least_size(gpu));
        let mut options = Vec::new();
        for kind in others {
            let Some(to) = of_kind(gpu, &kind.name) else { continue };
            let loss = lost(size.unwrap_or(0), kind.memory.0).max(OTHER_KIND);
            options.push((loss, kind.value, kind.name, to));
        }
        options.sort();
        options.dedup();
        options.into_iter().find_map(|(loss, _, _, to)| {
            let change = Change::Gpu { from: gpu.clone(), to };
            let helps =
                loss <= GIVEN_UP_MAX && self.starts(&with(asked, core::slice::from_ref(&change)));
            helps.then(|| now(alloc::vec![change], loss))
        })
    }

    /// The largest MIG instance smaller than the one, or the device, asked for.
    pub(super) fn smaller_instance(&mut self, asked: &Workload) -> Option<Relaxation> {
        let gpu = &asked.request.gpu;
        let geometries = self.pass.board.kinds.geometries.iter();
        let places = geometries.flat_map(|g| g.places.iter().map(move |place| (place, g.compute)));
        let (profile, count) = match gpu {
            GpuRequest::Mig { profile, count } => (Some(profile), *count),
            GpuRequest::Whole { count: 1, filter } if *filter == GpuFilter::default() => (None, 1),
            _ => return None,
        };
        let smaller = |place: &MigProfile, compute: u8| match profile {
            None => place.slices < compute,
            Some(of) => place != of && place.slices <= of.slices && place.memory_gb <= of.memory_gb,
        };
        let options: BTreeSet<_> = places
            .filter(|(place, compute)| smaller(&place.profile, *compute))
            .map(|(place, compute)| {
                let loss = match profile {
                    Some(of) => lost(of.memory_gb.into(), place.profile.memory_gb.into())
                        .max(lost(of.slices.into(), place.profile.slices.into())),
                    None => lost(compute.into(), place.profile.slices.into()),
                };
                (loss, place.profile.slices, place.profile.memory_gb)
            })
            .collect();
        options.into_iter().filter(|(loss, ..)| *loss <= GIVEN_UP_MAX).find_map(
            |(loss, slices, memory_gb)| {
                let to = GpuRequest::Mig { profile: MigProfile { slices, memory_gb }, count };
                let change = Change::Gpu { from: gpu.clone(), to };
                let helps = self.starts(&with(asked, core::slice::from_ref(&change)));
                helps.then(|| now(alloc::vec![change], loss))
            },
        )
    }
}

fn admits(gpu: &GpuRequest, name: &str, memory: Bytes) -> bool {
    let named = |names: &[String]| names.is_empty() || names.iter().any(|known| known == name);
    match gpu {
        GpuRequest::None | GpuRequest::Auto | GpuRequest::Mig { .. } => true,
        GpuRequest::Whole { filter, .. } | GpuRequest::Share { filter, .. } => {
            named(&filter.names) && filter.admits(memory)
        }
        GpuRequest::Memory { names, .. } => named(names),
    }
}

/// The memory a device has to have, where that was asked for.
fn least_size(gpu: &GpuRequest) -> Option<u64> {
    match gpu {
        GpuRequest::Whole { filter, .. } | GpuRequest::Share { filter, .. } => {
            filter.memory.min.map(|min| min.0)
        }
        _ => None,
    }
}

/// The same of another kind, of any size.
fn of_kind(gpu: &GpuRequest, name: &str) -> Option<GpuRequest> {
    let mut gpu = gpu.clone();
    let names_of = |name: &str| alloc::vec![String::from(name)];
    match &mut gpu {
        GpuRequest::Whole { filter, .. } | GpuRequest::Share { filter, .. } => {
            *filter = GpuFilter { names: names_of(name), ..GpuFilter::default() };
        }
        GpuRequest::Memory { names, .. } => *names = names_of(name),
        GpuRequest::None | GpuRequest::Auto | GpuRequest::Mig { .. } => return None,
    }
    Some(gpu)
}
