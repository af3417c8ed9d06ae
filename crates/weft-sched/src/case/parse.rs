//! Reading a case. Never panics, whatever the text; an error names its line and the nearest
//! known word.

use super::DIVIDER;
use super::word::{Words, unknown};
use crate::{
    Device, DeviceClass, DeviceMode, Grant, Large, MigPlacement, Node, Order, Pending, Placement,
    Queue, Quota, Request, Running, Snapshot, Versions, Workload, WorkloadState,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use weft_types::{
    Attempt, Bytes, DeviceId, Isolation, Kind, Member, MigProfile, MilliCpu, MilliGpu, Millis,
    NodeId, Phase, Timestamp, WorkloadId,
};

/// Most devices of one machine: twice what is sold, so that a typing error costs no memory.
const DEVICES_MAX: u32 = 64;
/// The moment of a case that names none: late enough that nothing began before the epoch.
const NOW: Timestamp = Timestamp(1000 * 3_600_000);
/// A machine that names nothing else.
const CPU: MilliCpu = MilliCpu(64_000);
const MEMORY: Bytes = Bytes(512_000_000_000);
const DISK: Bytes = Bytes(1_000_000_000_000);

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The pool, the queues and the workloads.
    pub snapshot: Snapshot,
    /// The moment.
    pub now: Timestamp,
    /// The plan that is expected, as text; empty if the case has none.
    pub expected: String,
}

/// Why a text is no case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseError {
    /// Line, counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl core::error::Error for CaseError {}

/// Read a case.
pub fn parse(text: &str) -> Result<Case, CaseError> {
    let (input, expected) = text.split_once(DIVIDER).unwrap_or((text, ""));
    let mut reader = Reader { snapshot: Snapshot::default(), now: NOW };
    for (line, text) in (1..).zip(input.lines()) {
        reader.line(Words::new(line, text))?;
    }
    let expected = expected.trim_start_matches(['\r', '\n']).to_string();
    Ok(Case { snapshot: reader.snapshot, now: reader.now, expected })
}

struct Reader {
    snapshot: Snapshot,
    now: Timestamp,
}

impl Reader {
    fn line(&mut self, mut words: Words<'_>) -> Result<(), CaseError> {
        match words.next() {
            None => Ok(()),
            Some("now") => {
                self.now = Timestamp(words.name::<Millis>("a time")?.0);
                words.end()
            }
            Some("node") => self.node(words),
            Some("sick") => self.sick(words),
            Some("queue") => self.queue(words),
            Some("large") => self.large(words),
            Some("holds") => {
                let node: NodeId = words.name("a machine's name")?;
                let held = versions(&mut words)?;
                self.snapshot.data.held.insert(node, held);
                words.end()
            }
            Some("reads") => {
                let id: WorkloadId = words.name("a workload's id")?;
                let read = versions(&mut words)?;
                self.snapshot.data.read.insert(id, read);
                words.end()
            }
            Some("run") => self.workload(words, true),
            Some("want") => self.workload(words, false),
            Some(other) => {
                let known =
                    ["now", "node", "sick", "queue", "large", "run", "want", "holds", "reads"];
                Err(words.error(unknown(other, &known)))
            }
        }
    }

    fn node(&mut self, mut words: Words<'_>) -> Result<(), CaseError> {
        let name: NodeId = words.name("a machine's name")?;
        let mut node = Node {
            schedulable: !words.flag("closed"),
            cpu: words.value("cpu")?.unwrap_or(CPU),
            memory: words.value("memory")?.unwrap_or(MEMORY),
            disk: words.value("disk")?.unwrap_or(DISK),
            devices: alloc::collections::BTreeMap::new(),
        };
        let mut last: Option<Device> = None;
        while let Some(word) = words.next() {
            let times = word.strip_prefix('x').and_then(|times| times.parse::<u32>().ok());
            let (device, count) = match (times, &last) {
                // The first of them is there already.
                (Some(times), Some(device)) => (device.clone(), times.saturating_sub(1)),
                _ => (device(word).ok_or_else(|| words.error(kind_wanted(word)))?, 1),
            };
            for _ in 0..count {
                let index = node.devices.len() as u32;
                if index >= DEVICES_MAX {
                    let message = alloc::format!("a machine has at most {DEVICES_MAX} devices");
                    return Err(words.error(message));
                }
                node.devices.insert(index, device.clone());
            }
            last = Some(device);
        }
        match self.snapshot.nodes.insert(name, node) {
            None => words.end(),
            Some(_) => Err(words.error("this machine was named before")),
        }
    }

    fn sick(&mut self, mut words: Words<'_>) -> Result<(), CaseError> {
        let word = words.next().unwrap_or_default();
        let at = word.split_once('/').and_then(|(node, index)| {
            Some((node.parse::<NodeId>().ok()?, index.parse::<u32>().ok()?))
        });
        let device = at
            .and_then(|(node, index)| self.snapshot.nodes.get_mut(&node)?.devices.get_mut(&index));
        match device {
            Some(device) => device.healthy = false,
            None => return Err(words.error(alloc::format!("`{word}` is no device named above"))),
        }
        words.end()
    }

    fn queue(&mut self, mut words: Words<'_>) -> Result<(), CaseError> {
        let name = words.name("a queue's name")?;
        let queue = Queue {
            cohort: words.text("cohort").map(String::from),
            gpu: quota(&mut words, "gpu", |text| {
                text.parse::<MilliCpu>().ok().map(|thousandths| MilliGpu(thousandths.0))
            })?,
            cpu: quota(&mut words, "cpu", |text| text.parse().ok())?,
            memory: quota(&mut words, "memory", |text| text.parse().ok())?,
            recent: words
                .value::<MilliCpu>("recent")?
                .map_or(MilliGpu(0), |recent| MilliGpu(recent.0)),
            order: word_of(&mut words, "order", &ORDERS)?.unwrap_or_default(),
            isolation: word_of(&mut words, "isolation", &RUNGS)?.unwrap_or_default(),
        };
        self.snapshot.queues.insert(name, queue);
        words.end()
    }

    fn large(&mut self, mut words: Words<'_>) -> Result<(), CaseError> {
        let queue = words.name("a queue's name")?;
        let request = request(&mut words)?;
        let milli = words.value::<MilliCpu>("machines")?.map_or(0, |machines| machines.0);
        self.snapshot.large.push(Large { queue, request, milli });
        words.end()
    }

    fn workload(&mut self, mut words: Words<'_>, runs: bool) -> Result<(), CaseError> {
        let id: WorkloadId = words.name("a workload's id")?;
        let queue = words.name("a queue's name")?;
        let kind = word_of(&mut words, "kind", &KINDS)?.unwrap_or(Kind::Job);
        let phase = word_of(&mut words, "phase", &PHASES)?.unwrap_or(kind.default_phase());
        let request = request(&mut words)?;
        let mut reclaim = phase.reclaim();
        reclaim.preemptible &= !words.flag("fixed");
        reclaim.reclaimable &= !words.flag("kept");
        reclaim.min_run_ms = words.value("min-run")?.unwrap_or(reclaim.min_run_ms);
        let waited =
            words.value::<Millis>(if runs { "age" } else { "waited" })?.unwrap_or_default();
        let state = match runs {
            true => WorkloadState::Running(self.running(&mut words, &request)?),
            false => WorkloadState::Pending(Pending {
                not_before: match words.value::<Millis>("backoff")? {
                    Some(span) => self.now.after(span),
                    None => Timestamp::ZERO,
                },
                since: self.ago(words.value("idle")?.unwrap_or(waited)),
                owed: words.value::<Millis>("owed")?.map(|at| Timestamp(at.0)),
                next_attempt: Attempt(number(&mut words, "attempt")?.unwrap_or(1)),
            }),
        };
        let (gang, gang_most) = members(&mut words)?;
        let workload = Workload {
            queue,
            kind,
            phase,
            priority: number(&mut words, "priority")?.unwrap_or(0),
            submitted_at: self.ago(waited),
            request,
            gang,
            gang_most,
            reclaim,
            max_duration: words.value("max")?,
            expected: words.value("expected")?,
            suspend: words.value("suspend")?,
            served: words.value("served")?.unwrap_or_default(),
            state,
        };
        match self.snapshot.workloads.insert(id, workload) {
            None => words.end(),
            Some(_) => Err(words.error("this workload was named before")),
        }
    }

    fn running(&self, words: &mut Words<'_>, request: &Request) -> Result<Running, CaseError> {
        let on = words.text("on").unwrap_or_default();
        let mut placements = Vec::new();
        for (member, place) in (0..).zip(on.split(',').filter(|place| !place.is_empty())) {
            let (node, devices) = place.split_once('/').unwrap_or((place, ""));
            let node: NodeId = node.parse().map_err(|_| words.error(place_wanted(place)))?;
            let grants = devices.split('+').filter(|device| !device.is_empty());
            let grants: Option<Vec<_>> = grants.map(|device| self.grant(&node, device)).collect();
            let grants = grants.ok_or_else(|| words.error(place_wanted(place)))?;
            let (cpu, memory, disk) = (request.cpu, request.memory, request.disk);
            placements.push(Placement { member: Member(member), node, cpu, memory, disk, grants });
        }
        Ok(Running {
            attempt: Attempt(number(words, "attempt")?.unwrap_or(1)),
            since: self.ago(words.value("ran")?.unwrap_or(Millis::from_secs(3600))),
            stopping: words.flag("stopping"),
            handover: words.value("for")?,
            placements,
        })
    }

    /// `3`, `3:0.5`, `3:0.5:40GB` or `3:1g.10gb@4`.
    fn grant(&self, node: &NodeId, text: &str) -> Option<Grant> {
        let (index, part) = text.split_once(':').unwrap_or((text, ""));
        let device = DeviceId { node: node.clone(), index: index.parse().ok()? };
        let known = self.snapshot.nodes.get(node).and_then(|n| n.devices.get(&device.index));
        if part.is_empty() {
            return Some(Grant::Whole { device });
        }
        if let Some((profile, start)) = part.split_once('@') {
            let (profile, start): (MigProfile, u8) = (profile.parse().ok()?, start.parse().ok()?);
            let Some(DeviceMode::Mig { geometry, .. }) = known.map(|known| &known.mode) else {
                return None;
            };
            let same = |place: &&MigPlacement| place.profile == profile && place.start == start;
            let placement = geometry.iter().find(same)?.clone();
            return Some(Grant::Mig { device, placement });
        }
        let (milli, memory) = part.split_once(':').unwrap_or((part, ""));
        let milli = MilliGpu(milli.parse::<MilliCpu>().ok()?.0);
        let of_device = || {
            let all = u128::from(known.map_or(0, |known| known.class.memory.0));
            Some(Bytes(u64::try_from(all * u128::from(milli.0) / 1000).unwrap_or(u64::MAX)))
        };
        let memory = if memory.is_empty() { of_device() } else { memory.parse().ok() }?;
        Some(Grant::Share { device, milli, memory })
    }

    fn ago(&self, span: Millis) -> Timestamp {
        Timestamp(self.now.0.saturating_sub(span.0))
    }
}

const KINDS: [(&str, Kind); 3] =
    [("workspace", Kind::Workspace), ("job", Kind::Job), ("service", Kind::Service)];
const ORDERS: [(&str, Order); 2] = [("submission", Order::Submission), ("service", Order::Service)];
const RUNGS: [(&str, Isolation); 5] = [
    ("exclusive", Isolation::Exclusive),
    ("mig", Isolation::Mig),
    ("kernel", Isolation::Kernel),
    ("mps", Isolation::Mps),
    ("shared", Isolation::Shared),
];
const PHASES: [(&str, Phase); 3] =
    [("concept", Phase::Concept), ("training", Phase::Training), ("deployment", Phase::Deployment)];

/// What each member needs.
fn request(words: &mut Words<'_>) -> Result<Request, CaseError> {
    Ok(Request {
        cpu: words.value("cpu")?.unwrap_or_default(),
        memory: words.value("memory")?.unwrap_or_default(),
        disk: words.value("disk")?.unwrap_or_default(),
        gpu: words.value("gpu")?.unwrap_or_default(),
        isolation: word_of(words, "isolation", &RUNGS)?.unwrap_or_default(),
    })
}

fn word_of<T: Copy>(
    words: &mut Words<'_>,
    key: &'static str,
    all: &[(&'static str, T)],
) -> Result<Option<T>, CaseError> {
    let Some(text) = words.text(key) else { return Ok(None) };
    let known: Vec<_> = all.iter().map(|(word, _)| *word).collect();
    match all.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => Err(words.error(unknown(text, &known))),
    }
}

fn number<T: core::str::FromStr<Err: ToString>>(
    words: &mut Words<'_>,
    key: &'static str,
) -> Result<Option<T>, CaseError> {
    words.value(key)
}

/// `data=7:40GB,8:1TB`: so many bytes of version 7 and of version 8.
fn versions(words: &mut Words<'_>) -> Result<Versions, CaseError> {
    let text = words.text("data").unwrap_or_default();
    let version = |part: &str| {
        let (number, bytes) = part.split_once(':')?;
        Some((number.parse().ok()?, bytes.parse().ok()?))
    };
    let read: Option<Versions> = text.split(',').map(version).collect();
    read.ok_or_else(|| {
        words.error(alloc::format!("data: `{text}` is no data; write 7:40GB or 7:40GB,8:1TB"))
    })
}

/// `gang=2`, or `gang=2..8` for what takes up to 8 where there is room.
fn members(words: &mut Words<'_>) -> Result<(u32, u32), CaseError> {
    let Some(text) = words.text("gang") else { return Ok((1, 0)) };
    let (least, most) = match text.split_once("..") {
        Some((least, most)) => (least.parse().ok(), most.parse().ok()),
        None => (text.parse().ok(), Some(0)),
    };
    least.zip(most).ok_or_else(|| {
        words.error(alloc::format!("gang: `{text}` is not a number of members, as in 2 or 2..8"))
    })
}

/// `8+4-2`: own 8, may borrow 4, lends 2.
fn quota<T: Default>(
    words: &mut Words<'_>,
    key: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Quota<T>, CaseError> {
    let Some(text) = words.text(key) else { return Ok(Quota::default()) };
    let (rest, lending) = text.split_once('-').map_or((text, None), |(r, l)| (r, Some(l)));
    let (nominal, borrowing) = rest.split_once('+').map_or((rest, None), |(n, b)| (n, Some(b)));
    let part = |part: Option<&str>| match part {
        None => Ok(T::default()),
        Some(part) => read(part).ok_or_else(|| {
            words.error(alloc::format!(
                "{key}: `{text}` is no quota; write own+borrowing-lending, as in 8+4-2"
            ))
        }),
    };
    Ok(Quota {
        nominal: part(Some(nominal))?,
        borrowing: part(borrowing)?,
        lending: part(lending)?,
    })
}

fn kind_wanted(word: &str) -> String {
    alloc::format!(
        "`{word}` is no device kind: write its name and gigabytes, as in a100-80 or a100-80:mig, \
         then how many, as in x8; or cpu=, memory=, disk=, closed"
    )
}

fn place_wanted(place: &str) -> String {
    alloc::format!(
        "`{place}` is no place: write n1, n1/0+1, n1/0:0.5, n1/0:0.5:40GB or n1/0:1g.10gb@4"
    )
}

/// `a100-80`, `a100-80:mig`; behind the colon `kernel` or `mps` is what keeps shares apart, and
/// with `exclusive` there are none.
fn device(word: &str) -> Option<Device> {
    let (kind, mig) = word.split_once(':').unwrap_or((word, ""));
    let (name, gigabytes) = kind.rsplit_once('-')?;
    let gigabytes: u16 = gigabytes.parse().ok()?;
    let memory = Bytes(u64::from(gigabytes) * 1_000_000_000);
    let whole = || DeviceMode::Whole;
    let (mode, share) = match mig {
        "" => (whole(), Some(Isolation::Shared)),
        "mig" => {
            let geometry = geometry(gigabytes);
            (DeviceMode::Mig { geometry, compute_slices: 7 }, Some(Isolation::Shared))
        }
        "exclusive" => (whole(), None),
        "kernel" => (whole(), Some(Isolation::Kernel)),
        "mps" => (whole(), Some(Isolation::Mps)),
        _ => return None,
    };
    let class = DeviceClass { name: name.into(), memory, value: gigabytes.into() };
    (!name.is_empty()).then_some(Device { class, healthy: true, mode, share })
}

/// The placements of NVIDIA's data-centre devices with 7 compute and 8 memory slices (MIG user
/// guide, “A100 MIG profiles”): compute slices, memory slices, first memory slices.
const PROFILES: [(u8, u8, &[u8]); 6] = [
    (1, 1, &[0, 1, 2, 3, 4, 5, 6]),
    (1, 2, &[0, 2, 4, 6]),
    (2, 2, &[0, 2, 4]),
    (3, 4, &[0, 4]),
    (4, 4, &[0]),
    (7, 8, &[0]),
];

fn geometry(gigabytes: u16) -> Vec<MigPlacement> {
    let places = |(slices, size, starts): (u8, u8, &'static [u8])| {
        // The marketed name rounds as the vendor does: 10, 20, 40 of 80; 18, 35, 71 of 141.
        let memory_gb = (u32::from(gigabytes) * u32::from(size)).div_ceil(8) as u16;
        let memory_gb = if size == 4 || size == 2 {
            (u32::from(gigabytes) * u32::from(size) / 8) as u16
        } else {
            memory_gb
        };
        let profile = MigProfile { slices, memory_gb };
        let memory = Bytes(u64::from(gigabytes) * 1_000_000_000 / 8 * u64::from(size));
        starts.iter().map(move |start| MigPlacement {
            profile: profile.clone(),
            start: *start,
            size,
            memory,
        })
    };
    PROFILES.into_iter().flat_map(places).collect()
}
