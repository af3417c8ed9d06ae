//! How long pods waited for a device, and how much devices were used.

/// What came of a run. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Bursts that found their pod on a device.
    pub hot: u64,
    /// From the request to the pod's memory being back, of the others, ascending.
    pub resumes: Vec<u64>,
    /// From the request to the work's begin, of all, ascending: with the wait for the device's
    /// other pods.
    pub delays: Vec<u64>,
    /// Milliseconds of work.
    pub work: u64,
    /// Milliseconds from the first request to the last end, times devices.
    pub capacity: u64,
    /// Suspensions to make room for another, and after idling.
    pub displaced: u64,
    /// Most memory held on the host at once, in mebibytes.
    pub host: u64,
    /// A hash of all placements in order.
    pub decisions: u64,
}

impl Outcome {
    /// So many thousandths of ascending times are no longer than this; 0 of none.
    #[must_use]
    pub fn at(times: &[u64], permille: usize) -> u64 {
        let rank = (times.len() * permille).div_ceil(1000).max(1) - 1;
        times.get(rank).copied().unwrap_or(0)
    }

    /// Hundredths of a percent of the devices' time that were worked.
    #[must_use]
    pub fn utilisation(&self) -> u64 {
        self.work * 10_000 / self.capacity.max(1)
    }
}
