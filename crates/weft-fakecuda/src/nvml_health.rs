//! What devices say of their health, as a test writes it.
//!
//! With the word `state`, each line of the file `health` in its folder is a device, a word and for
//! most a number; without it every device is well.
//!
//! | word | says |
//! |--|--|
//! | `lost` | every question about it is answered with "lost" |
//! | `action` | the action its driver asks for, by its number in the public header |
//! | `uncorrected`, `replaced`, `retired` | so many memory errors, rows, pages until now |
//! | `not-replaced` | a row could not be replaced |
//! | `hot`, `brake` | it is slowed down by heat, by the machine's power brake |

use crate::call::Out;
use crate::nvml::{INVALID_ARGUMENT, UNSUPPORTED, device};
use crate::outcome::{Code, Outcome};

/// `NVML_ERROR_GPU_IS_LOST`.
const LOST: Code = Code(15);

/// `NVML_VALUE_TYPE_UNSIGNED_LONG_LONG`.
const WIDE: u32 = 3;

/// Fields of the public header by their number, and the words that say them.
const FIELDS: [(u32, &str); 3] = [(143, "replaced"), (145, "not-replaced"), (230, "action")];

/// Reasons to be slow, by their bit in the public header.
const SLOW: [(u64, &str); 2] = [(0x40, "hot"), (0x80, "brake")];

/// The uncorrected kind of memory errors.
const UNCORRECTED: u32 = 1;

/// Pages retired for double-bit errors.
const DOUBLE_BIT: u32 = 1;

/// The public structure `nvmlFieldValue_t`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Field {
    number: u32,
    scope: u32,
    at: i64,
    took: i64,
    sort: u32,
    outcome: u32,
    value: u64,
}

/// What is written of a device under a word; none: nothing. A word without a number is a one.
fn written(place: usize, word: &str) -> Option<u64> {
    let folder = crate::watch::settings().state.as_ref()?;
    let text = std::fs::read_to_string(std::path::Path::new(folder).join("health")).ok()?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let of = words.next()?.parse::<usize>().ok()?;
        let is = of == place && words.next()? == word;
        is.then(|| words.next().map_or(Some(1), |number| number.parse().ok()))?
    };
    text.lines().find_map(line)
}

/// Refuses what is asked of a device that is lost.
pub(crate) fn answers(place: usize) -> Outcome {
    written(place, "lost").map_or(Ok(()), |_| Err(LOST))
}

fn filled(place: usize, field: Field) -> Field {
    let word = FIELDS.iter().find(|(number, _)| *number == field.number);
    match word {
        Some((_, word)) => {
            let value = written(place, word).unwrap_or(0);
            Field { sort: WIDE, outcome: 0, value, ..field }
        }
        None => Field { outcome: UNSUPPORTED.0, ..field },
    }
}

calls! {
    fn nvmlDeviceGetFieldValues(handle: u64, count: i32, fields: Out<Field>) {
        let (place, _) = device(handle)?;
        for at in 0..usize::try_from(count).map_err(|_| INVALID_ARGUMENT)? {
            let field = fields.place(at);
            field.offer(filled(place, field.get().ok_or(INVALID_ARGUMENT)?));
        }
        Ok(())
    }

    fn nvmlDeviceGetTotalEccErrors(handle: u64, sort: u32, _since: u32, out: Out<u64>) {
        let (place, _) = device(handle)?;
        let counted = if sort == UNCORRECTED { written(place, "uncorrected") } else { None };
        out.put(counted.unwrap_or(0)).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetRetiredPages(handle: u64, cause: u32, count: Out<u32>, out: Out<u64>) {
        let (place, _) = device(handle)?;
        let retired = if cause == DOUBLE_BIT { written(place, "retired") } else { None };
        let retired = retired.unwrap_or(0);
        if !out.is_null() {
            out.put_all(0..retired).map_err(|_| INVALID_ARGUMENT)?;
        }
        count.put(retired as u32).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetRetiredPagesPendingStatus(handle: u64, pending: Out<u32>) {
        device(handle)?;
        pending.put(0).map_err(|_| INVALID_ARGUMENT)
    }

    fn nvmlDeviceGetCurrentClocksThrottleReasons(handle: u64, out: Out<u64>) {
        let (place, _) = device(handle)?;
        let slow = SLOW.iter().filter(|(_, word)| written(place, word).is_some());
        out.put(slow.map(|(bit, _)| bit).sum()).map_err(|_| INVALID_ARGUMENT)
    }
}
