//! A workload's curve: points that stand for the time before them.

use crate::interval::bucket_start;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Bytes, Millis, Timestamp};

/// One point of a workload's curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// When it ends.
    pub at: Timestamp,
    /// How long it stands for, in milliseconds.
    pub span_ms: u64,
    /// Processor time used in it, in microseconds.
    pub cpu_us: u64,
    /// Highest memory use in it.
    pub memory: Bytes,
    /// Kernel time in it, in thousandths of a device times milliseconds.
    pub gpu_active: u64,
    /// Device time held in it whose use is known, likewise; nothing: nobody can tell.
    pub gpu_known: u64,
    /// Highest device memory in it.
    pub gpu_memory: Bytes,
}

/// Makes a curve coarser: points of one bucket become one, at its last point's time. Sums stay
/// sums, peaks stay peaks.
pub fn fold_points(points: &[Point], bucket: Millis) -> Vec<Point> {
    let mut out: BTreeMap<Timestamp, Point> = BTreeMap::new();
    for point in points {
        // A point stands for the time before it, so one on the hour closes the hour before.
        let start = bucket_start(Timestamp(point.at.0.saturating_sub(1)), bucket);
        out.entry(start).and_modify(|sum| *sum = sum.join(point)).or_insert(*point);
    }
    out.into_values().collect()
}

impl Point {
    /// Both as one.
    #[must_use]
    pub fn join(&self, other: &Point) -> Point {
        Point {
            at: self.at.max(other.at),
            span_ms: self.span_ms.saturating_add(other.span_ms),
            cpu_us: self.cpu_us.saturating_add(other.cpu_us),
            memory: self.memory.max(other.memory),
            gpu_active: self.gpu_active.saturating_add(other.gpu_active),
            gpu_known: self.gpu_known.saturating_add(other.gpu_known),
            gpu_memory: self.gpu_memory.max(other.gpu_memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_and_peaks_stay() {
        let point = |at, cpu_us, memory| Point {
            at: Timestamp(at),
            span_ms: 10,
            cpu_us,
            memory: Bytes(memory),
            gpu_active: 1,
            gpu_known: 1,
            gpu_memory: Bytes(0),
        };
        let folded =
            fold_points(&[point(90, 1, 5), point(100, 2, 3), point(101, 4, 4)], Millis(100));
        let seen: Vec<_> =
            folded.iter().map(|p| (p.at.0, p.span_ms, p.cpu_us, p.memory.0)).collect();
        assert_eq!(seen, [(100, 20, 3, 5), (101, 10, 4, 4)]);
    }
}
