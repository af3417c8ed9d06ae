//! What each member needs: processor, memory, disk, accelerators, with all the ways to write it.

use super::error::Rule;
use super::field::{Field, Fields, Findings};
use super::keys;
use super::workload::ResourcesSpec;
use super::yaml::{Scalar, Value};
use std::str::FromStr;
use weft_types::{Bytes, GpuRequest, GpuRequestError, Isolation, MilliCpu};

/// Least memory: a shell with its libraries needs about half of it.
const MEMORY_MIN: Bytes = Bytes(16_000_000);

/// Least scratch disk: what the server takes.
const DISK_MIN: Bytes = Bytes(1 << 20);

/// Most of each, so that a slip of the unit is noticed: above any machine sold.
const CPU_MAX: MilliCpu = MilliCpu(4_096_000);
const MEMORY_MAX: Bytes = Bytes(256_000_000_000_000);
const DISK_MAX: Bytes = Bytes(1_000_000_000_000_000);

pub(super) fn read(top: &Fields<'_>, resources: &mut ResourcesSpec, found: &mut Findings) {
    let Some(field) = found.take(top, &["resources"]) else { return };
    let Some(fields) = found.map(&field, keys::RESOURCES) else { return };
    if let Some(field) = found.take(&fields, &["cpu", "cpus"])
        && let Some(cpu) = cpu(&field, found)
    {
        resources.cpu_milli = cpu.0;
    }
    if let Some(field) = found.take(&fields, &["memory"])
        && let Some(memory) = size(&field, MEMORY_MIN, MEMORY_MAX, found)
    {
        resources.memory_bytes = memory.0;
    }
    if let Some(field) = found.take(&fields, &["disk", "disk_size"])
        && let Some(disk) = size(&field, DISK_MIN, DISK_MAX, found)
    {
        resources.disk_bytes = disk.0;
    }
    if let Some(field) = found.take(&fields, &["gpu", "accelerators"])
        && let Some(gpu) = gpu(&field, found)
    {
        resources.gpu = gpu;
    }
    if let Some(field) = found.take(&fields, &["isolation"])
        && let Some(rung) = found.word(&field, &Isolation::LADDER.map(|rung| (rung.as_str(), rung)))
    {
        resources.isolation = rung.to_string();
    }
}

fn cpu(field: &Field<'_>, found: &mut Findings) -> Option<MilliCpu> {
    let wanted = "a number of cores, as in 2, 0.5 or 500m";
    let text = found.written(field, wanted)?;
    let least = found.least(field, text, wanted, |t| {
        let plain = t.strip_suffix('m').unwrap_or(t);
        plain.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| t.parse().ok())?
    })?;
    within(field, least, MilliCpu(1), CPU_MAX, found)
}

fn size(field: &Field<'_>, min: Bytes, max: Bytes, found: &mut Findings) -> Option<Bytes> {
    let wanted = "a size, as in 512MB, 16GB or 64GiB";
    let text = found.written(field, wanted)?;
    let least = found.least(field, text, wanted, bytes)?;
    within(field, least, min, max, found)
}

/// A size; a number alone is of GB, as SkyPilot and dstack read it.
fn bytes(text: &str) -> Option<Bytes> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { Bytes::from_str(&format!("{text}GB")).ok() } else { text.parse().ok() }
}

fn within<T>(field: &Field<'_>, value: T, min: T, max: T, found: &mut Findings) -> Option<T>
where
    T: Ord + std::fmt::Display,
{
    if value < min || value > max {
        let message = format!("`{}` is {value}, allowed is {min} to {max}", field.path);
        found.beyond(Rule::Beyond, field, message, "");
        return None;
    }
    Some(value)
}

impl Findings {
    /// The one value of a text, or the least of a range: `8..`, `8..16`, `8+`. A range where one
    /// value is needed is noted, because the upper bound has no effect.
    pub(super) fn least<T: Ord + std::fmt::Display>(
        &mut self,
        field: &Field<'_>,
        text: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (least, _) = self.range(field, text, wanted, parse)?;
        if text.contains("..") || text.ends_with('+') {
            self.notes.push(format!("`{}` is `{text}`: {least} is given", field.path));
        }
        Some(least)
    }

    /// The one value of a text, or both ends of a range as far as they are there.
    pub(super) fn range<T: Ord>(
        &mut self,
        field: &Field<'_>,
        text: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<(T, Option<T>)> {
        let (low, high) = match text.split_once("..") {
            Some((low, high)) => (low.trim(), Some(high.trim())),
            None => match text.strip_suffix('+') {
                Some(low) => (low.trim(), Some("")),
                None => (text.trim(), None),
            },
        };
        let most = high.filter(|high| !high.is_empty()).map(&parse);
        let (Some(least), None | Some(Some(_))) = (parse(low), &most) else {
            let message = format!("`{}` is `{text}`, which is not {wanted}", field.path);
            let hint = match (low, high) {
                ("", Some(_)) => "a range needs its lower bound here: that much is given",
                _ => "",
            };
            self.bad(field, message, hint);
            return None;
        };
        if let Some(Some(most)) = &most
            && *most < least
        {
            let message = format!("`{}` is `{text}`, an empty range", field.path);
            self.beyond(Rule::Beyond, field, message, "write the smaller bound first");
            return None;
        }
        Some((least, most.flatten()))
    }
}

fn gpu(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let text = match &field.node.value {
        Value::Map(_) if field.path.ends_with("accelerators") => kinds(field, found)?,
        Value::Map(_) => gpu_map(field, found)?,
        Value::List(_) if field.path.ends_with("accelerators") => {
            let items = found.list(field, 16)?;
            let texts: Vec<_> = items.iter().filter_map(|i| found.text(i)).collect();
            any_of(field, &texts, found)?
        }
        _ => {
            let text = found.written(field, "an accelerator request")?;
            let named = field.path.ends_with("accelerators") && !text.contains(',');
            if named { skypilot(text) } else { text.to_owned() }
        }
    };
    request(field, &text, found)
}

fn request(field: &Field<'_>, text: &str, found: &mut Findings) -> Option<String> {
    let text = without_count_range(field, text.trim(), found)?;
    match text.parse::<GpuRequest>() {
        Ok(request) => Some(request.to_string()),
        Err(error) => {
            // The schema knows the grammar of the text form only.
            let rule = match (&error, field.scalar()) {
                (GpuRequestError::Part { .. }, Some((_, Scalar::Text))) => Rule::Value,
                _ => Rule::Beyond,
            };
            let message = format!("`{}`: {error}", field.path);
            found.beyond(rule, field, message, "");
            None
        }
    }
}

/// dstack's vendor in front and range of counts at the end: `nvidia:A100:2..4` is `A100:2`. The
/// vendor alone is one device of any model.
fn without_count_range(field: &Field<'_>, text: &str, found: &mut Findings) -> Option<String> {
    let text = match text.strip_prefix("nvidia") {
        Some("") => "1",
        Some(rest) => rest.strip_prefix(':').unwrap_or(text),
        None => text,
    };
    let Some((front, last)) = text.rsplit_once(':').or(Some(("", text))) else {
        return Some(text.to_owned());
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let Some((low, high)) = last.split_once("..") else { return Some(text.to_owned()) };
    if !digits(low) || !(high.is_empty() || digits(high)) {
        return Some(text.to_owned());
    }
    let least = found.least(field, last, "a number of devices", |t| t.parse::<u32>().ok())?;
    Some(if front.is_empty() { least.to_string() } else { format!("{front}:{least}") })
}

/// dstack's map: `{name, memory, count}`, joined to the text form.
fn gpu_map(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let fields = found.map(field, keys::GPU)?;
    let mut parts = Vec::new();
    if let Some(vendor) = found.take(&fields, &["vendor"]) {
        found.word(&vendor, &[("nvidia", ())])?;
    }
    if let Some(names) = found.take(&fields, &["name"]) {
        let names = found.texts(&names, 16);
        parts.extend((!names.is_empty()).then(|| names.join(",")));
    }
    if let Some(memory) = found.take(&fields, &["memory"]) {
        let text = found.written(&memory, "a size, as in 40GB or 40GB..80GB")?;
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        parts.push(if plain { format!("{text}GB") } else { text.to_owned() });
    }
    if let Some(count) = found.take(&fields, &["count"]) {
        parts.push(found.written(&count, "a number of devices")?.to_owned());
    }
    if parts.is_empty() && found.errors.is_empty() {
        let message = format!("`{}` says nothing", field.path);
        found.bad(field, message, "give it `name`, `memory` or `count`");
    }
    Some(parts.join(":"))
}

/// SkyPilot's map: `{A100: 8}`, or several kinds with one count, any of which will do.
fn kinds(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let Value::Map(entries) = &field.node.value else { return None };
    let mut texts = Vec::new();
    for entry in entries {
        let count = Field { path: format!("{}.{}", field.path, entry.key), node: &entry.node };
        match count.scalar() {
            Some((text, Scalar::Int | Scalar::Float)) => {
                texts.push(format!("{}:{text}", entry.key))
            }
            _ => {
                let message = format!("`{}` has to be a number of devices", count.path);
                found.bad(&count, message, "");
            }
        }
    }
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    any_of(field, &texts, found)
}

/// `A100:2` and `H100:2` become `A100,H100:2`.
fn any_of(field: &Field<'_>, texts: &[&str], found: &mut Findings) -> Option<String> {
    let split = |text: &&str| match text.split_once(':') {
        Some((name, count)) => (name.to_owned(), count.to_owned()),
        None => ((*text).to_owned(), "1".to_owned()),
    };
    let pairs: Vec<_> = texts.iter().map(split).collect();
    match pairs.as_slice() {
        [] => {
            if found.errors.is_empty() {
                found.bad(field, format!("`{}` is empty", field.path), "remove the line");
            }
            None
        }
        [(name, count)] => Some(skypilot(&format!("{name}:{count}"))),
        [(_, count), rest @ ..] if rest.iter().all(|(_, other)| other == count) => {
            let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
            Some(format!("{}:{count}", names.join(",")))
        }
        _ => {
            let message = format!("`{}` asks for kinds in different counts", field.path);
            found.beyond(Rule::Beyond, field, message, "give every kind the same count");
            None
        }
    }
}

/// SkyPilot's names carry the memory: `A100-80GB:8` is `A100:80GB..:8`.
fn skypilot(text: &str) -> String {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    match name.split_once('-') {
        Some((name, memory)) if memory.parse::<Bytes>().is_ok() => {
            format!("{name}:{memory}..:{count}")
        }
        _ => text.to_owned(),
    }
}
