//! What a device says of its own health when it is looked at, beside the errors it tells.
//!
//! ```text
//! what is read                                            what it means
//! does not answer, or wants a reset                       unhealthy
//! the action its driver asks for (reset, reboot, …)       unhealthy
//! a row of memory that could not be replaced              unhealthy
//! pages lost to double-bit errors that wait for a reset   unhealthy
//! slowed down by heat, or by the machine's power brake    ailing, as long as it lasts
//! a counter of errors that grew since the last look       a slight error, told once
//! ```
//!
//! Called with each look at the inventory (`nvml.rs`). What a device does not offer says nothing.
//! Absent on purpose: rows that wait to be replaced, on which programs go on without harm (NVIDIA,
//! "GPU Memory Error Management": recovery flags); corrected errors, of which the driver tells too
//! many by itself (Xid 92); and slowness at a power limit, which is how a device is meant to run.

use crate::{DeviceError, Health, XidBlame};
use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, RetirementCause};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;

/// Fields of the public header, `nvml.h` of CUDA 13: rows of memory replaced after errors that
/// could not be corrected, whether one could not be replaced, and the action the driver asks for.
const ROWS_REPLACED: FieldId = FieldId(143);
const ROW_NOT_REPLACED: FieldId = FieldId(145);
const ACTION: FieldId = FieldId(230);

/// Counters of what a device goes on from; none where it has no such counter.
pub(crate) type Counters = [Option<u64>; 3];

/// What each of them counts, as a clause for people.
const COUNTED: [&str; 3] = [
    "a memory error could not be corrected",
    "a faulty memory row was replaced",
    "a faulty memory page was retired",
];

/// What a device says of itself now.
pub(crate) fn of(device: &Device<'_>) -> Health {
    let wrong = |reason: String| Health::Unhealthy { reason };
    if let Err(error @ (NvmlError::GpuLost | NvmlError::ResetRequired)) = device.memory_info() {
        return wrong(error.to_string());
    }
    if let Some(asked) = field(device, &ACTION).and_then(asks_for) {
        return wrong(asked.to_owned());
    }
    if field(device, &ROW_NOT_REPLACED).is_some_and(|failed| failed > 0) {
        return wrong("a faulty memory row could not be replaced".to_owned());
    }
    if double_bit_retirements(device) {
        return wrong("memory pages lost to double-bit errors wait for a reset".to_owned());
    }
    match slowed(device) {
        Some(reason) => Health::Ailing { reason: reason.to_owned() },
        None => Health::Healthy,
    }
}

/// What the driver asks for, by its number in the public header; none: nothing.
fn asks_for(action: u64) -> Option<&'static str> {
    match action {
        0 => None,
        1 | 5 => Some("its driver asks for a reset of the device"),
        2 => Some("its driver asks for a reboot of the machine"),
        3 => Some("its driver asks to end all traffic between devices"),
        4 => Some("it works with less than it has until it is reset"),
        _ => Some("its driver asks for an action this version does not know"),
    }
}

/// Whether pages wait for retirement on a device that has lost some to double-bit errors (devices
/// before Ampere).
fn double_bit_retirements(device: &Device<'_>) -> bool {
    device.are_pages_pending_retired().unwrap_or(false)
        && device
            .retired_pages(RetirementCause::DoubleBitEccError)
            .is_ok_and(|pages| !pages.is_empty())
}

/// Why the hardware holds it back to half of its speed or less.
fn slowed(device: &Device<'_>) -> Option<&'static str> {
    let reasons = device.current_throttle_reasons().ok()?;
    if reasons.contains(ThrottleReasons::HW_THERMAL_SLOWDOWN) {
        return Some("it is too hot and slowed down");
    }
    let brake = reasons.contains(ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN);
    brake.then_some("the machine is short of power and has slowed it down")
}

fn field(device: &Device<'_>, id: &FieldId) -> Option<u64> {
    let answered = device.field_values_for(std::slice::from_ref(id)).ok()?.pop()?.ok()?;
    match answered.value.ok()? {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        _ => None,
    }
}

/// What a device has counted so far.
pub(crate) fn counters(device: &Device<'_>) -> Counters {
    let uncorrected = device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok();
    let retired = device.retired_pages(RetirementCause::DoubleBitEccError);
    [uncorrected, field(device, &ROWS_REPLACED), retired.ok().map(|pages| pages.len() as u64)]
}

/// What was counted since; a counter that began anew, with its driver, says nothing.
pub(crate) fn grown(uuid: &str, before: &Counters, now: &Counters) -> Vec<DeviceError> {
    let each = before.iter().zip(now).zip(COUNTED);
    let grew = each.filter(|((before, now), _)| before.zip(**now).is_some_and(|(b, n)| n > b));
    let error = |what: &str| DeviceError {
        uuid: uuid.to_owned(),
        xid: None,
        blame: XidBlame::Nobody,
        what: what.to_owned(),
    };
    grew.map(|(_, what)| error(what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_told() {
        let told = |before: Counters, now: Counters| {
            let told = grown("GPU-0", &before, &now);
            told.into_iter().map(|error| error.what).collect::<Vec<_>>()
        };
        let zero = [Some(0), Some(0), None];
        assert!(told(zero, zero).is_empty());
        assert_eq!(told(zero, [Some(0), Some(2), None]), [COUNTED[1]]);
        assert!(told([Some(9), None, Some(1)], [Some(0), Some(3), None]).is_empty());
    }

    #[test]
    fn every_action_but_none_takes_a_device_out() {
        assert_eq!(asks_for(0), None);
        assert!((1..9).all(|action| asks_for(action).is_some()));
    }
}
