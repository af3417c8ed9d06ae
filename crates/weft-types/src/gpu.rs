//! The accelerator request: what a user writes after `gpu:`.
//!
//! ```text
//! request = "none" | "auto" | "mig:" profile [":" count]
//!         | part { ":" part }        each part at most once, in any order
//! part    = names | memory | share | count
//! names   = name { "," name }        any of these device kinds: H100,A100
//! memory  = size | size ".." | ".." size | size ".." size
//! share   = "0." digits ["," size]   a fraction of one device, and of its memory just so much
//! count   = integer                  whole devices; 2 alone means two of any kind
//! ```
//!
//! `10GB` alone is a fraction of at least that memory; with a count it is whole devices that
//! large. `0.5` is half a device, `0.3,10GB` three tenths of its time with 10 GB of its memory;
//! `A100:40GB..80GB:2` is two whole devices of that kind and size.

use crate::unit::thousandths;
use crate::{Bytes, MilliGpu};
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Most devices one member of a workload may ask for: twice the largest machines sold.
pub const COUNT_MAX: u32 = 32;

/// What a workload's member asks of accelerators.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GpuRequest {
    /// CPU only.
    #[default]
    None,
    /// Whatever the phase's policy gives.
    Auto,
    /// Whole devices.
    Whole {
        /// How many, at least 1.
        count: u32,
        /// Which kinds and sizes will do.
        filter: GpuFilter,
    },
    /// A fraction of one device's compute, with the same fraction of its memory unless the
    /// filter's memory asks for more.
    Share {
        /// Thousandths of a device, 1 to 999.
        milli: MilliGpu,
        /// Which kinds and sizes will do; its memory is of the whole device.
        filter: GpuFilter,
    },
    /// As much of one device as holds this memory; compute in proportion, or at least a share.
    Memory {
        /// This much.
        bytes: Bytes,
        /// At least so many thousandths of its compute, up to 999; zero: no more than the
        /// memory's part.
        #[serde(default, skip_serializing_if = "is_zero")]
        least: MilliGpu,
        /// Device kinds that will do, lower-case; empty means any.
        names: Vec<String>,
    },
    /// MIG instances, each on its own placement.
    Mig {
        /// Which profile.
        profile: MigProfile,
        /// How many, at least 1.
        count: u32,
    },
}

fn is_zero(milli: &MilliGpu) -> bool {
    milli.0 == 0
}

/// Which devices will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GpuFilter {
    /// Device kinds, lower-case; empty means any.
    pub names: Vec<String>,
    /// Memory of the whole device.
    pub memory: Range<Bytes>,
}

impl GpuFilter {
    /// Whether a device on which a workload can use this much is of the size asked for.
    ///
    /// Sizes of devices are those they are sold as. What is called 80 GB is built with up to
    /// 80 GiB, which is 86 GB; what is called 16 GB leaves 15.6 GB beside error correction and
    /// the driver's reserve. So the bounds give way by 3 % below and 7.4 % (GiB to GB) above.
    pub fn admits(&self, memory: Bytes) -> bool {
        let Range { min, max } = self.memory;
        let least = min.map(|min| Bytes(min.0 / 1_000 * 970));
        let most = max.map(|max| Bytes((max.0 / 1_000).saturating_mul(1_074)));
        Range { min: least, max: most }.contains(&memory)
    }
}

/// An inclusive range, open where a bound is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Range<T> {
    /// At least this.
    pub min: Option<T>,
    /// At most this.
    pub max: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self { min: None, max: None }
    }
}

impl<T: Ord> Range<T> {
    /// Whether the value lies in it.
    pub fn contains(&self, value: &T) -> bool {
        self.min.as_ref().is_none_or(|min| min <= value)
            && self.max.as_ref().is_none_or(|max| value <= max)
    }
}

/// A MIG profile by NVIDIA's name, `3g.40gb`: compute slices and marketed memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MigProfile {
    /// Compute slices, 1 to 7.
    pub slices: u8,
    /// Memory in GB as in the name.
    pub memory_gb: u16,
}

/// Why a text is no accelerator request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GpuRequestError {
    /// A part that is none of name, memory, share and count.
    #[error(
        "`{part}` in gpu request `{text}` is not a device kind, memory, share or count; \
         write none, 0.5, 10GB, 0.3,10GB, A100, A100:2, A100:40GB..80GB:2 or mig:1g.10gb"
    )]
    Part {
        /// The part at fault.
        part: String,
        /// The whole request.
        text: String,
    },
    /// The same sort of part twice.
    #[error("gpu request `{0}` names the same sort of part twice")]
    Twice(String),
    /// A count of zero or over [`COUNT_MAX`].
    #[error(
        "gpu request `{text}`: the count is {count}, allowed is 1 to {COUNT_MAX}; for no \
         accelerator write none"
    )]
    Count {
        /// The whole request.
        text: String,
        /// The count.
        count: u64,
    },
    /// A share with a count.
    #[error("gpu request `{0}` has a share and a count; a share is of one device")]
    ShareAndCount(String),
    /// A share with its own memory, and a size of devices.
    #[error(
        "gpu request `{0}` has a share with memory of its own and a size of devices; \
         leave one of them out"
    )]
    ShareAndSize(String),
    /// A lower bound above the upper.
    #[error("gpu request `{0}` has an empty memory range")]
    EmptyRange(String),
    /// Not of the form `1g.10gb`.
    #[error("`{0}` is not a MIG profile; write slices and memory, as in 1g.10gb or 3g.40gb")]
    Profile(String),
}

impl FromStr for GpuRequest {
    type Err = GpuRequestError;

    fn from_str(text: &str) -> Result<Self, GpuRequestError> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "none" | "0" => return Ok(GpuRequest::None),
            "auto" => return Ok(GpuRequest::Auto),
            lower => {
                if let Some(mig) = lower.strip_prefix("mig:") {
                    return parse_mig(mig, text);
                }
            }
        }
        let mut parts = Parts::default();
        text.split(':').try_for_each(|part| parts.add(part.trim(), text))?;
        parts.finish(text)
    }
}

fn parse_mig(body: &str, text: &str) -> Result<GpuRequest, GpuRequestError> {
    let (profile, count) = body.split_once(':').unwrap_or((body, "1"));
    let profile = profile.parse()?;
    Ok(GpuRequest::Mig { profile, count: parse_count(count, text)? })
}

fn parse_count(part: &str, text: &str) -> Result<u32, GpuRequestError> {
    let bad = || GpuRequestError::Part { part: part.to_owned(), text: text.to_owned() };
    let count: u64 = part.parse().map_err(|_| bad())?;
    match u32::try_from(count) {
        Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(count),
        _ => Err(GpuRequestError::Count { text: text.to_owned(), count }),
    }
}

/// The parts seen so far, each at most once.
#[derive(Default)]
struct Parts {
    names: Option<Vec<String>>,
    memory: Option<Range<Bytes>>,
    share: Option<(MilliGpu, Option<Bytes>)>,
    count: Option<u32>,
}

impl Parts {
    fn add(&mut self, part: &str, text: &str) -> Result<(), GpuRequestError> {
        let unknown = || GpuRequestError::Part { part: part.to_owned(), text: text.to_owned() };
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let fresh = if digits {
            self.count.replace(parse_count(part, text)?).is_none()
        } else if let Some(share) = parse_share(part) {
            self.share.replace(share).is_none()
        } else if let Some(memory) = parse_memory(part) {
            self.memory.replace(memory).is_none()
        } else if let Some(names) = parse_names(part) {
            self.names.replace(names).is_none()
        } else {
            return Err(unknown());
        };
        if fresh { Ok(()) } else { Err(GpuRequestError::Twice(text.to_owned())) }
    }

    fn finish(self, text: &str) -> Result<GpuRequest, GpuRequestError> {
        let names = self.names.unwrap_or_default();
        let memory = self.memory.unwrap_or_default();
        if let (Some(min), Some(max)) = (memory.min, memory.max)
            && min > max
        {
            return Err(GpuRequestError::EmptyRange(text.to_owned()));
        }
        match (self.share, self.count, memory.min) {
            (Some(_), Some(_), _) => Err(GpuRequestError::ShareAndCount(text.to_owned())),
            (Some((_, Some(_))), None, _) if self.memory.is_some() => {
                Err(GpuRequestError::ShareAndSize(text.to_owned()))
            }
            (Some((least, Some(bytes))), None, _) => Ok(GpuRequest::Memory { bytes, least, names }),
            (Some((milli, None)), None, _) => {
                Ok(GpuRequest::Share { milli, filter: GpuFilter { names, memory } })
            }
            // Memory alone asks for that much of a device, not for a device that large.
            (None, None, Some(bytes)) if memory.max.is_none() && self.memory.is_some() => {
                Ok(GpuRequest::Memory { bytes, least: MilliGpu(0), names })
            }
            (None, count, _) => Ok(GpuRequest::Whole {
                count: count.unwrap_or(1),
                filter: GpuFilter { names, memory },
            }),
        }
    }
}

/// `0.5` is 500 thousandths, `0.5,10GB` likewise with so much memory; shares of a whole device or
/// more are counts.
fn parse_share(part: &str) -> Option<(MilliGpu, Option<Bytes>)> {
    let (share, bytes) = match part.split_once(',') {
        Some((share, size)) => (share.trim(), Some(size.trim().parse().ok()?)),
        None => (part, None),
    };
    let value = thousandths(share, 1000)?;
    (share.contains('.') && (1..1000).contains(&value)).then_some((MilliGpu(value), bytes))
}

fn parse_memory(part: &str) -> Option<Range<Bytes>> {
    let bound = |text: &str| match text {
        "" => Some(None),
        _ => text.parse().ok().map(Some),
    };
    match part.split_once("..") {
        None => Some(Range { min: Some(part.parse().ok()?), max: None }),
        Some((min, max)) => {
            let range = Range { min: bound(min)?, max: bound(max)? };
            (range.min.is_some() || range.max.is_some()).then_some(range)
        }
    }
}

fn parse_names(part: &str) -> Option<Vec<String>> {
    let is_name = |name: &str| {
        name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_ ".contains(&b))
    };
    let names: Vec<_> = part.split(',').map(str::trim).collect();
    names.iter().all(|name| is_name(name)).then(|| {
        let mut names: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    })
}

impl FromStr for MigProfile {
    type Err = GpuRequestError;

    fn from_str(text: &str) -> Result<Self, GpuRequestError> {
        let bad = || GpuRequestError::Profile(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let (slices, memory) = lower.split_once("g.").ok_or_else(bad)?;
        let slices: u8 = slices.parse().map_err(|_| bad())?;
        let memory = memory.strip_suffix("gb").and_then(|m| m.parse().ok()).ok_or_else(bad)?;
        match slices {
            1..=4 | 7 => Ok(Self { slices, memory_gb: memory }),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for MigProfile {
    type Error = GpuRequestError;

    fn try_from(text: String) -> Result<Self, GpuRequestError> {
        text.parse()
    }
}

impl From<MigProfile> for String {
    fn from(profile: MigProfile) -> String {
        profile.to_string()
    }
}

impl fmt::Display for MigProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g.{}gb", self.slices, self.memory_gb)
    }
}

impl fmt::Display for GpuRequest {
    /// In the grammar above, so that it reads back as the same request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        match self {
            GpuRequest::None => return f.write_str("none"),
            GpuRequest::Auto => return f.write_str("auto"),
            GpuRequest::Mig { profile, count: 1 } => return write!(f, "mig:{profile}"),
            GpuRequest::Mig { profile, count } => return write!(f, "mig:{profile}:{count}"),
            GpuRequest::Memory { bytes, least, names } => {
                push_names(&mut parts, names);
                parts.push(match least {
                    MilliGpu(0) => exact(*bytes),
                    least => alloc::format!("{least},{}", exact(*bytes)),
                });
            }
            GpuRequest::Share { milli, filter } => {
                push_filter(&mut parts, filter);
                parts.push(milli.to_string());
            }
            GpuRequest::Whole { count, filter } => {
                push_filter(&mut parts, filter);
                parts.push(count.to_string());
            }
        }
        f.write_str(&parts.join(":"))
    }
}

fn push_names(parts: &mut Vec<String>, names: &[String]) {
    if !names.is_empty() {
        parts.push(names.join(","));
    }
}

fn push_filter(parts: &mut Vec<String>, filter: &GpuFilter) {
    push_names(parts, &filter.names);
    let bound = |bytes: Option<Bytes>| bytes.map(exact).unwrap_or_default();
    if filter.memory.min.is_some() || filter.memory.max.is_some() {
        parts.push(alloc::format!("{}..{}", bound(filter.memory.min), bound(filter.memory.max)));
    }
}

/// The largest unit that loses nothing.
fn exact(bytes: Bytes) -> String {
    let units = [(1_000_000_000, "GB"), (1 << 30, "GiB"), (1_000_000, "MB"), (1 << 20, "MiB")];
    let fits = |(size, _): &(u64, &str)| bytes.0 > 0 && bytes.0.is_multiple_of(*size);
    match units.into_iter().find(fits) {
        Some((size, unit)) => alloc::format!("{}{unit}", bytes.0 / size),
        None => alloc::format!("{}B", bytes.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_within_the_size_it_is_sold_as() {
        // Usable MiB of an A100 40 GB, an A100 80 GB and an H200 (141 GB).
        let [forty, eighty, larger] = [40_960, 81_920, 143_771].map(|mib: u64| Bytes(mib << 20));
        let range = filter(&["a100"], Some(40), Some(80));
        assert!(range.admits(forty) && range.admits(eighty) && !range.admits(larger));
        assert!(filter(&[], None, Some(141)).admits(larger));
        let t4 = Bytes(14_915 << 20);
        assert!(
            filter(&[], Some(16), Some(16)).admits(t4) && !filter(&[], Some(24), None).admits(t4)
        );
        assert!(!filter(&[], None, Some(40)).admits(eighty));
        assert!(!filter(&[], Some(80), None).admits(forty));
    }

    fn filter(names: &[&str], min: Option<u64>, max: Option<u64>) -> GpuFilter {
        let gb = |n: u64| Bytes(n * 1_000_000_000);
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        GpuFilter { names, memory: Range { min: min.map(gb), max: max.map(gb) } }
    }

    #[test]
    fn the_grammar() {
        let whole = |count, filter| GpuRequest::Whole { count, filter };
        let memory = |least, names: &[&str]| GpuRequest::Memory {
            bytes: Bytes(10_000_000_000),
            least: MilliGpu(least),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let cases = [
            ("none", GpuRequest::None),
            ("0", GpuRequest::None),
            ("auto", GpuRequest::Auto),
            ("2", whole(2, filter(&[], None, None))),
            ("A100", whole(1, filter(&["a100"], None, None))),
            ("A100:40GB..80GB:2", whole(2, filter(&["a100"], Some(40), Some(80)))),
            ("H100,A100:80GB..:1", whole(1, filter(&["a100", "h100"], Some(80), None))),
            ("24GB:2", whole(2, filter(&[], Some(24), None))),
            ("0.5", GpuRequest::Share { milli: MilliGpu(500), filter: filter(&[], None, None) }),
            (
                "A100:0.25",
                GpuRequest::Share { milli: MilliGpu(250), filter: filter(&["a100"], None, None) },
            ),
            ("10GB", memory(0, &[])),
            ("0.3,10GB", memory(300, &[])),
            ("H200:0.3, 10GB", memory(300, &["h200"])),
            (
                "mig:1g.10gb:2",
                GpuRequest::Mig { profile: MigProfile { slices: 1, memory_gb: 10 }, count: 2 },
            ),
        ];
        for (text, request) in cases {
            assert_eq!(text.parse(), Ok(request.clone()), "{text}");
            assert_eq!(request.to_string().parse(), Ok(request), "{text} shown and read back");
        }
    }

    #[test]
    fn refusals() {
        let bad = [
            "",
            ":",
            "A100:",
            "1.5",
            "0.0",
            "0.5:2",
            "A100:A100",
            "2:3",
            "33",
            "80GB..40GB:1",
            "mig:5g.10gb",
            "mig:1g",
            "mig:",
            "10XB",
            "..",
            "-1",
            "mig:1g.10gb:0",
        ];
        for text in bad {
            assert!(text.parse::<GpuRequest>().is_err(), "{text}");
        }
    }
}
