//! Devices the operator declares and nobody owns: `weft up --simulate 8xH200-141`.
//!
//! They let the whole path be walked on a machine without accelerators. Their sizes and MIG
//! geometry are true; they have no device nodes, run no kernel and hold no memory, and their
//! telemetry says so: a made-up load would end in the ledger as if somebody had computed.

use crate::kind::{KINDS, Kind};
use crate::ladder::declared;
use crate::{
    DeviceDriver, DeviceError, DeviceInfo, DeviceSample, Health, Opened, Slot, class_name,
    class_value,
};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weft_sched::{DeviceClass, DeviceMode, MigPlacement};

/// Most devices one declaration may make: sixteen of the largest machines sold.
pub const SIMULATED_DEVICES_MAX: usize = 256;

/// A driver of declared devices.
///
/// ```text
/// declaration = group { "," group }        8xH200-141      4xA100-80:mig,2xT4-16
/// group       = [ count "x" ] kind [ ":mig" ]
/// ```
#[derive(Debug, Clone)]
pub struct Simulated {
    devices: Vec<DeviceInfo>,
    /// Instances by device: as those of a driver, they are there until they are ended; unlike
    /// them, they go with this process.
    made: Arc<Mutex<BTreeMap<String, Vec<Slot>>>>,
}

/// Why a declaration is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulationError {
    /// A kind that is not in the table.
    #[error(
        "`{kind}` is not a device kind that can be simulated; nearest is {nearest}; \
         known are {known}"
    )]
    Kind {
        /// What was written.
        kind: String,
        /// The known kind that is written most like it.
        nearest: &'static str,
        /// All of them.
        known: String,
    },
    /// MIG on a kind that has none.
    #[error("{0} cannot be divided in MIG instances; leave `:mig` away")]
    NoMig(&'static str),
    /// A count of zero, no number, or too many in all.
    #[error(
        "`{0}` is not a number of devices; write 1 to {SIMULATED_DEVICES_MAX} in all, \
         as in 8xH200-141"
    )]
    Count(String),
}

impl FromStr for Simulated {
    type Err = SimulationError;

    fn from_str(text: &str) -> Result<Self, SimulationError> {
        let mut devices = Vec::new();
        for group in text.split(',').map(str::trim) {
            let (count, kind, mig) = parse_group(group)?;
            if devices.len() + count > SIMULATED_DEVICES_MAX {
                return Err(SimulationError::Count(group.to_owned()));
            }
            for _ in 0..count {
                devices.push(declare(devices.len(), kind, mig));
            }
        }
        Ok(Self { devices, made: Arc::default() })
    }
}

fn parse_group(group: &str) -> Result<(usize, &'static Kind, bool), SimulationError> {
    let bad_count = || SimulationError::Count(group.to_owned());
    let (count, rest) = match group.split_once(['x', 'X']) {
        Some((count, rest)) if count.bytes().all(|b| b.is_ascii_digit()) => (count, rest),
        _ => ("1", group),
    };
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(bad_count)?;
    let (label, mig) = match rest.trim().rsplit_once(':') {
        Some((label, flag)) if flag.eq_ignore_ascii_case("mig") => (label, true),
        _ => (rest.trim(), false),
    };
    let kind = Kind::by_label(label).ok_or_else(|| unknown(label))?;
    match mig && kind.mig.is_none() {
        true => Err(SimulationError::NoMig(kind.label)),
        false => Ok((count, kind, mig)),
    }
}

fn unknown(label: &str) -> SimulationError {
    let distance = |kind: &&Kind| label_distance(label, kind.label);
    SimulationError::Kind {
        kind: label.to_owned(),
        nearest: KINDS.iter().min_by_key(distance).map_or("", |kind| kind.label),
        known: KINDS.iter().map(|kind| kind.label).collect::<Vec<_>>().join(", "),
    }
}

/// How unlike two labels are; a letter of the kind's name weighs twice a digit of its memory, so
/// that `A100` is nearer to `A100-40` than to `A10-24`.
fn label_distance(a: &str, b: &str) -> usize {
    let split = |label| str::split_once(label, '-').unwrap_or((label, ""));
    let ((a_name, a_memory), (b_name, b_memory)) = (split(a), split(b));
    2 * edit_distance(a_name, b_name) + edit_distance(a_memory, b_memory)
}

/// Levenshtein distance, letter case aside, by the usual two-row recurrence.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().map(|c| c.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x.to_ascii_lowercase() != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn declare(index: usize, kind: &Kind, mig: bool) -> DeviceInfo {
    let name = class_name(kind.product);
    let value = class_value(&name, kind.memory());
    let mode = match kind.mig {
        Some(shape) if mig => {
            DeviceMode::Mig { geometry: kind.placements(), compute_slices: shape.compute }
        }
        _ => DeviceMode::Whole,
    };
    DeviceInfo {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        uuid: format!("SIM-{index:08x}"),
        product: format!("{} (simulated)", kind.product),
        class: DeviceClass { name, memory: kind.memory(), value },
        rungs: declared(&mode),
        mode,
        device_nodes: Vec::new(),
        health: Health::Healthy,
        simulated: true,
    }
}

impl DeviceDriver for Simulated {
    fn inventory(&self) -> Vec<DeviceInfo> {
        self.devices.clone()
    }

    fn sample(&self) -> Vec<DeviceSample> {
        let idle = |device: &DeviceInfo| DeviceSample {
            index: device.index,
            active_permille: Some(0),
            ..DeviceSample::default()
        };
        self.devices.iter().map(idle).collect()
    }

    fn simulated(&self) -> bool {
        true
    }

    fn warning(&self) -> Option<String> {
        None
    }

    fn errors(&self) -> Vec<DeviceError> {
        Vec::new()
    }

    fn instances(&self, device: &str) -> Result<Vec<Slot>, String> {
        Ok(self.made().get(device).cloned().unwrap_or_default())
    }

    fn make_instance(&self, device: &str, place: &MigPlacement) -> Result<u32, String> {
        let known = self.devices.iter().find(|known| known.uuid == device);
        let offered = known.is_some_and(|known| match &known.mode {
            DeviceMode::Mig { geometry, .. } => geometry.contains(place),
            DeviceMode::Whole => false,
        });
        let mut made = self.made();
        let slots = made.entry(device.to_owned()).or_default();
        let (start, size) = (place.start, place.size);
        let over = |slot: &Slot| slot.start < start + size && start < slot.start + slot.size;
        if !offered || slots.iter().any(over) {
            return Err(format!("{} has no place at {start} of {device}", place.profile));
        }
        let id = slots.iter().map(|slot| slot.id + 1).max().unwrap_or(1);
        slots.push(Slot { id, start, size, open: false });
        Ok(id)
    }

    fn open_instance(&self, device: &str, id: u32) -> Result<Opened, String> {
        let mut made = self.made();
        let slot = made.get_mut(device).and_then(|all| all.iter_mut().find(|slot| slot.id == id));
        slot.ok_or(format!("{device} has no instance {id}"))?.open = true;
        Ok(Opened { uuid: format!("{device}/{id}"), nodes: Vec::new() })
    }

    fn end_instance(&self, device: &str, id: u32) -> Result<(), String> {
        let mut made = self.made();
        let slots = made.get_mut(device).filter(|all| all.iter().any(|slot| slot.id == id));
        slots.ok_or(format!("{device} has no instance {id}"))?.retain(|slot| slot.id != id);
        Ok(())
    }
}

impl Simulated {
    fn made(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Slot>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Vec<DeviceInfo> {
        text.parse::<Simulated>().expect(text).inventory()
    }

    #[test]
    fn a_machine_of_two_kinds() {
        let devices = parse("4xA100-80, 2xT4-16");
        let names: Vec<_> = devices.iter().map(|d| d.class.name.as_str()).collect();
        assert_eq!(names, ["a100", "a100", "a100", "a100", "t4", "t4"]);
        assert!(devices.iter().enumerate().all(|(i, d)| d.index as usize == i));
        assert!(devices.iter().all(|d| d.product.ends_with("(simulated)")));
        assert!(devices.iter().all(|d| d.uuid.starts_with("SIM-") && d.device_nodes.is_empty()));
        assert_eq!(parse("h200-141").len(), 1, "one is meant without a count, in any case");
    }

    #[test]
    fn mig_where_the_kind_has_it() {
        let DeviceMode::Mig { geometry, compute_slices: 7 } = &parse("H200-141:mig")[0].mode else {
            panic!("not in MIG mode");
        };
        assert_eq!(geometry.len(), 18);
        assert_eq!(parse("H200-141")[0].mode, DeviceMode::Whole);
        let refused = "2xT4-16:mig".parse::<Simulated>().unwrap_err();
        assert_eq!(refused, SimulationError::NoMig("T4-16"));
    }

    #[test]
    fn refusals_name_the_nearest_kind() {
        for (text, nearest) in
            [("8xH20-141", "H200-141"), ("A100", "A100-40"), ("h100-8", "H100-80")]
        {
            let refused = text.parse::<Simulated>().unwrap_err().to_string();
            assert!(refused.contains(&format!("nearest is {nearest};")), "{refused}");
        }
        for text in
            ["0xT4-16", "xT4-16", "257xT4-16", "200xT4-16,57xT4-16", "99999999999999999999xT4-16"]
        {
            let refused = text.parse::<Simulated>().unwrap_err();
            assert!(matches!(refused, SimulationError::Count(_)), "{text}: {refused}");
        }
    }

    #[test]
    fn nothing_computes_on_what_does_not_exist() {
        let driver: Simulated = "3xH100-80".parse().expect("a declaration");
        assert!(driver.simulated());
        for (sample, device) in driver.sample().iter().zip(driver.inventory()) {
            assert_eq!(sample.index, device.index);
            assert_eq!((sample.active_permille, sample.memory_used.0), (Some(0), 0));
            assert!(sample.processes.is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_devices_or_an_error(text in "[0-9xXaAhHtT,: -]{0,24}|\\PC{0,24}") {
            if let Ok(driver) = text.parse::<Simulated>() {
                let devices = driver.inventory();
                prop_assert!((1..=SIMULATED_DEVICES_MAX).contains(&devices.len()));
            }
        }

        #[test]
        fn distance_is_a_metric_of_its_two_ends(a in "[a-c0-3-]{0,8}", b in "[a-c0-3-]{0,8}") {
            prop_assert_eq!(edit_distance(&a, &b), edit_distance(&b, &a));
            prop_assert_eq!(edit_distance(&a, &b) == 0, a == b);
            prop_assert!(edit_distance(&a, &b) <= a.len().max(b.len()));
        }
    }
}
