//! What a machine lacks for one more member, in words with units, and which machine comes
//! nearest.
//!
//! The words complete the sentence “machine n1 lacks …”.

use crate::Request;
use crate::board::{Accelerator, Class, Gpu, Machine, Pool, View};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use weft_types::{Bytes, GpuFilter, GpuRequest, Isolation, MilliCpu, MilliGpu};

/// How far a machine is from holding a member; least is nearest: it takes no new work, its
/// devices could never serve, and the sum of what is missing in thousandths of what is needed.
type Distance = (bool, bool, u64);

/// The machine that comes nearest to holding one more member.
pub(crate) fn nearest(pool: &Pool, class: &Class, view: View) -> Option<u32> {
    (0..pool.machines.len() as u32).min_by_key(|node| (distance(pool, *node, class, view), *node))
}

/// What that machine lacks; empty where it lacks nothing.
pub(crate) fn lacking(
    pool: &Pool,
    node: u32,
    class: &Class,
    request: &Request,
    view: View,
) -> String {
    let machine = &pool.machines[node as usize];
    let mut words = Vec::new();
    if !machine.open {
        words.push(String::from("leave to take new work: it is drained or not ready"));
    }
    if gpu_missing(pool, machine, class, view).1 > 0 {
        words.push(gpu_words(pool, machine, class, request, view));
    }
    let short =
        [0, 1, 2].map(|r| u64::try_from(missing(machine, class, r, view)).unwrap_or(u64::MAX));
    if short[0] > 0 {
        words.push(alloc::format!("{} CPU cores", MilliCpu(short[0])));
    }
    if short[1] > 0 {
        words.push(alloc::format!("{} of memory", Bytes(short[1])));
    }
    if short[2] > 0 {
        words.push(alloc::format!("{} of disk", Bytes(short[2])));
    }
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => alloc::format!("{} and {last}", rest.join(", ")),
    }
}

/// How far a machine is from holding one more member now, in one number: see [`Distance`].
pub(crate) fn lacks(pool: &Pool, node: u32, class: &Class) -> u64 {
    let (closed, never, parts) = distance(pool, node, class, View::Now);
    u64::from(closed) << 63 | u64::from(never) << 62 | parts.min((1 << 62) - 1)
}

fn distance(pool: &Pool, node: u32, class: &Class, view: View) -> Distance {
    let machine = &pool.machines[node as usize];
    let (never, gpu) = gpu_missing(pool, machine, class, view);
    let parts = (0..3).map(|r| match missing(machine, class, r, view) {
        0 => 0,
        missing => u64::try_from(missing * 1000 / class.need[r].max(1)).unwrap_or(u64::MAX),
    });
    (!machine.open, never, parts.fold(gpu, u64::saturating_add))
}

/// What is missing of processor, memory or disk.
fn missing(machine: &Machine, class: &Class, r: usize, view: View) -> i128 {
    let free = view.sides().iter().map(|side| machine.free[*side][r]).min().unwrap_or(0);
    match class.need[r] {
        0 => 0,
        need => (need - free.max(0)).max(0),
    }
}

/// Whether the machine's devices could never serve a member; else what of them is missing, in
/// thousandths of what is needed.
fn gpu_missing(pool: &Pool, machine: &Machine, class: &Class, view: View) -> (bool, u64) {
    let part = |found: u64, count: u32| {
        let count = u64::from(count);
        (count.saturating_sub(found)).saturating_mul(1000) / count.max(1)
    };
    match &class.gpu {
        Gpu::None => (false, 0),
        Gpu::Whole(count) => {
            let serves =
                |at: &usize| class.serves(pool.devices[*at].kind, pool.devices[*at].geometry);
            let serving = match machine.uniform {
                Some((kind, _)) if class.on(kind).is_some() => machine.devices.len(),
                Some(_) => 0,
                None => machine.devices.clone().filter(serves).count(),
            };
            let never = (serving as u64) < u64::from(*count);
            (never, part(pool.free_wholes(machine, class, view), *count))
        }
        Gpu::Mig(_, count) => {
            let found = pool.free_instances(machine, class, view);
            (!can_serve(pool, machine, class), part(found, *count))
        }
        Gpu::Share(milli) => {
            let (free, _) = pool.freest(machine, class, view).unwrap_or((0, 0));
            (
                !can_serve(pool, machine, class),
                milli.saturating_sub(free).max(u64::from(!pool.has_share(machine, class, view))),
            )
        }
        Gpu::Memory(bytes) => {
            let (_, free) = pool.freest(machine, class, view).unwrap_or((0, 0));
            let missing =
                u128::from(bytes.saturating_sub(free)) * 1000 / u128::from((*bytes).max(1));
            let missing = (missing as u64).max(u64::from(!pool.has_share(machine, class, view)));
            (!can_serve(pool, machine, class), missing)
        }
    }
}

fn can_serve(pool: &Pool, machine: &Machine, class: &Class) -> bool {
    let devices = &pool.devices[machine.devices.clone()];
    devices.iter().any(|device| class.serves(device.kind, device.geometry))
}

fn gpu_words(
    pool: &Pool,
    machine: &Machine,
    class: &Class,
    request: &Request,
    view: View,
) -> String {
    let words = device_words(pool, machine, class, request, view);
    let sick = pool.devices[machine.devices.clone()].iter();
    match sick.filter(|d| !d.healthy && class.serves(d.kind, d.geometry)).count() {
        0 => words,
        1 => alloc::format!("{words} (1 there takes no new work; `weft gpus` says why)"),
        more => alloc::format!("{words} ({more} there take no new work; `weft gpus` says why)"),
    }
}

fn device_words(
    pool: &Pool,
    machine: &Machine,
    class: &Class,
    request: &Request,
    view: View,
) -> String {
    let freest = pool.freest(machine, class, view);
    if let Some(words) = apart_words(pool, machine, class, request.isolation) {
        return words;
    }
    match &class.gpu {
        Gpu::None => String::new(),
        Gpu::Whole(count) => {
            let missing =
                u64::from(*count) - pool.free_wholes(machine, class, view).min((*count).into());
            alloc::format!("{missing} free {}", devices(&request.gpu, missing))
        }
        Gpu::Mig(profile, count) => {
            let missing =
                u64::from(*count) - pool.free_instances(machine, class, view).min((*count).into());
            let places = if missing == 1 { "place" } else { "places" };
            alloc::format!("{missing} free {places} for {profile}")
        }
        Gpu::Share(milli) => {
            let what = devices(&request.gpu, 1);
            let free =
                freest.map(|(free, _)| alloc::format!(" (the freest has {})", MilliGpu(free)));
            alloc::format!("{} of a free {what}{}", MilliGpu(*milli), free.unwrap_or_default())
        }
        Gpu::Memory(bytes) => {
            let what = devices(&request.gpu, 1);
            // Where a share of time is asked for, too, either may be what is missing.
            let both = matches!(&request.gpu, GpuRequest::Memory { least, .. } if least.0 > 0);
            let time = |milli: Option<u64>| match milli.filter(|_| both) {
                Some(milli) => alloc::format!("{} of the time and ", MilliGpu(milli)),
                None => String::new(),
            };
            let free = freest.map(|(milli, free)| {
                alloc::format!(" (the freest has {}{})", time(Some(milli)), Bytes(free))
            });
            let mut here = pool.devices[machine.devices.clone()].iter();
            let asked = time(here.find_map(|device| class.on(device.kind)).map(|(milli, _)| milli));
            alloc::format!("{asked}{} on a {what}{}", Bytes(*bytes), free.unwrap_or_default())
        }
    }
}

/// What is said where the machine's devices would serve, were it not for what keeps neighbours
/// apart on them.
fn apart_words(pool: &Pool, machine: &Machine, class: &Class, least: Isolation) -> Option<String> {
    let devices = || pool.devices[machine.devices.clone()].iter();
    if let Gpu::Mig(profile, _) = &class.gpu {
        let divided = devices().any(|device| device.geometry.is_some());
        return (divided && least < Isolation::Mig).then(|| {
            alloc::format!(
                "what keeps {profile} apart as is demanded: an instance has neighbours, and \
                 isolation {least} is a whole GPU"
            )
        });
    }
    if divided(pool, machine, class) {
        return Some(String::from(
            "a GPU that can be shared (those there are divided into MIG instances)",
        ));
    }
    let barred = |device: &&Accelerator| class.barred.get(device.kind as usize) == Some(&true);
    let barred: Vec<_> = devices().filter(|d| d.geometry.is_none()).filter(barred).collect();
    if barred.is_empty() || can_serve(pool, machine, class) {
        return None;
    }
    let best = barred.iter().filter_map(|device| device.share).min();
    let there = match best {
        Some(best) => alloc::format!("shares there have isolation {best}"),
        None => String::from("nothing there keeps shares apart"),
    };
    let what = match least {
        Isolation::Shared => String::from("a GPU that can be shared"),
        least => alloc::format!("a GPU that gives shares with isolation {least} or better"),
    };
    Some(alloc::format!("{what} ({there})"))
}

/// Whether a share is asked for of a machine that has none to give, since it gives instances.
fn divided(pool: &Pool, machine: &Machine, class: &Class) -> bool {
    let devices = &pool.devices[machine.devices.clone()];
    let share = matches!(class.gpu, Gpu::Share(_) | Gpu::Memory(_));
    share && !devices.is_empty() && devices.iter().all(|device| device.geometry.is_some())
}

/// What a machine's devices would be given as, where it is not what is asked of them.
pub(crate) fn instead(pool: &Pool, node: u32, class: &Class) -> Option<&'static str> {
    let machine = &pool.machines[node as usize];
    apart_words(pool, machine, class, class.request.isolation)?;
    let instances = || {
        let mut devices = pool.devices[machine.devices.clone()].iter();
        class.request.isolation >= Isolation::Mig && devices.any(|d| d.geometry.is_some())
    };
    Some(match &class.gpu {
        Gpu::Share(_) | Gpu::Memory(_) if instances() => {
            "a MIG instance, which `weft gpus --now` lists, or a whole GPU, `gpu: 1`"
        }
        _ => "a whole GPU, `gpu: 1`",
    })
}

/// What sort of device is asked for: `GPU`, `a100 or h100 GPUs`, `GPUs of 40 GB or more`.
fn devices(gpu: &GpuRequest, count: u64) -> String {
    let (names, filter) = match gpu {
        GpuRequest::Whole { filter, .. } | GpuRequest::Share { filter, .. } => {
            (&filter.names[..], Some(filter))
        }
        GpuRequest::Memory { names, .. } => (&names[..], None),
        GpuRequest::None | GpuRequest::Auto | GpuRequest::Mig { .. } => (&[][..], None),
    };
    let noun = if count == 1 { "GPU" } else { "GPUs" };
    let kind = match names {
        [] => noun.to_string(),
        names => alloc::format!("{} {noun}", names.join(" or ")),
    };
    match filter.map(size).filter(|size| !size.is_empty()) {
        Some(size) => alloc::format!("{kind} of {size}"),
        None => kind,
    }
}

fn size(filter: &GpuFilter) -> String {
    match (filter.memory.min, filter.memory.max) {
        (None, None) => String::new(),
        (Some(min), None) => alloc::format!("{min} or more"),
        (None, Some(max)) => alloc::format!("{max} or less"),
        (Some(min), Some(max)) => alloc::format!("{min} to {max}"),
    }
}
