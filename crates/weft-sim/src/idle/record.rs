//! What was recorded of pods, read as bursts of work.

use crate::rng::Rng;
use crate::trace::{Table, TraceError};
use std::collections::BTreeMap;

/// Bytes of a mebibyte, in which memory is counted.
const MEBIBYTE: u64 = 1 << 20;

/// The least work of a burst, in milliseconds: a sample of a thousandth of a percent is work still.
const WORK_MIN: u64 = 1;

/// One stretch of work of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burst {
    /// When it is asked for, in milliseconds.
    pub at: u64,
    /// By which pod.
    pub pod: u32,
    /// Milliseconds of a whole device that it takes.
    pub work: u64,
    /// Memory the pod holds then, in mebibytes.
    pub memory: u64,
}

/// Each sample above zero as one burst, in the order in which they are asked for; and the number of
/// pods. A sample of `v` percent over the time since the one before is `v` hundredths of that time
/// in one piece, somewhere in it, drawn by the seed: when in a sample a pod worked is not recorded,
/// and one piece is the hardest case for a device that is shared.
///
/// # Errors
///
/// The first line that is not of the form `timestamp_anon`, `value`, `container_ip`.
pub fn bursts(duty: &str, memory: &str, seed: u64) -> Result<(Vec<Burst>, usize), TraceError> {
    let duty = samples(duty)?;
    let memory = samples(memory)?;
    let span = interval(&duty);
    let mut all = Vec::new();
    for (pod, (name, samples)) in (0..).zip(&duty) {
        let held = memory.get(name);
        let mut rng = Rng::new(seed ^ u64::from(pod) << 32);
        for (at, value) in samples {
            let work = (span as f64 * value.clamp(0.0, 100.0) / 100.0) as u64;
            let slack = span - work;
            let offset = rng.below(slack as usize + 1) as u64;
            if *value <= 0.0 {
                continue;
            }
            all.push(Burst {
                at: at.saturating_sub(span) + offset,
                pod,
                work: work.max(WORK_MIN),
                memory: held.map_or(0, |held| last(held, *at)),
            });
        }
    }
    all.sort_unstable();
    Ok((all, duty.len()))
}

/// Recorded times, in milliseconds, ascending.
///
/// # Errors
///
/// The first line without a number in `value`.
pub fn loads(text: &str) -> Result<Vec<u64>, TraceError> {
    let table = Table::read(text, ',')?;
    let mut all = Vec::new();
    for row in table.rows() {
        all.push(row?.decimal("value")? as u64);
    }
    all.sort_unstable();
    Ok(all)
}

type Samples = BTreeMap<String, BTreeMap<u64, f64>>;

fn samples(text: &str) -> Result<Samples, TraceError> {
    let table = Table::read(text, ',')?;
    let mut all = Samples::new();
    for row in table.rows() {
        let row = row?;
        let at = row.moment("timestamp_anon")?.0;
        let pod = all.entry(row.text("container_ip")?.to_owned()).or_default();
        pod.insert(at, row.decimal("value")?);
    }
    Ok(all)
}

/// Milliseconds between two samples of a pod: the least there is.
fn interval(all: &Samples) -> u64 {
    let steps = all.values().flat_map(|samples| {
        let later = samples.keys().skip(1);
        samples.keys().zip(later).map(|(one, next)| next - one)
    });
    steps.min().unwrap_or(1)
}

/// What was held at the last sample until then, or at the first after, in mebibytes, rounded up.
fn last(held: &BTreeMap<u64, f64>, at: u64) -> u64 {
    let before = held.range(..=at).next_back();
    let bytes = before.or_else(|| held.first_key_value()).map_or(0.0, |(_, bytes)| *bytes);
    (bytes.max(0.0) as u64).div_ceil(MEBIBYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUTY: &str = "value,timestamp_anon,container_ip
0.0,100.0,a
25.0,160.0,a
100.0,220.0,a
50.0,160.0,b
";
    const MEMORY: &str = "timestamp_anon,value,container_ip
100.0,1048577.0,a
200.0,4194304.0,a
";

    #[test]
    fn samples_are_bursts_within_them() {
        let (bursts, pods) = bursts(DUTY, MEMORY, 1).expect("samples");
        let (a, b): (Vec<Burst>, Vec<Burst>) = bursts.iter().partition(|burst| burst.pod == 0);
        assert_eq!((pods, a.len(), b.len()), (2, 2, 1));
        assert_eq!((a[0].work, a[0].memory), (15_000, 2));
        assert!((100_000..=145_000).contains(&a[0].at), "{a:?}");
        assert_eq!((a[1].work, a[1].at, a[1].memory), (60_000, 160_000, 4));
        assert_eq!((b[0].work, b[0].memory), (30_000, 0));
    }

    #[test]
    fn a_line_that_is_no_sample_is_told() {
        let said = bursts("value,timestamp_anon,container_ip\nx,100.0,a\n", MEMORY, 1);
        assert!(said.expect_err("no number").to_string().contains("line 2"));
        assert_eq!(loads("timestamp_anon,value\n1,30.5\n2,7\n").expect("times"), [7, 30]);
    }
}
