//! What an hour of a device counts beside one of another: its kind's value over the pool's mean.
//!
//! A queue that held an H100 for an hour has had more than one that held a T4. It decides whose
//! turn it is: in what queues hold, and in what they have held lately, which whoever plans adds up
//! for [`crate::Queue::recent`]. Where all devices are of one kind, each counts as it is. Absent on
//! purpose: quotas and the ledger, which count devices; what a device costs in money.

use crate::Snapshot;
use crate::board::{Board, Piece, Pool};
use weft_types::{DeviceId, MilliGpu};

/// The prices of a pool's devices.
#[derive(Debug, Clone, Copy)]
pub struct Prices<'a> {
    snapshot: &'a Snapshot,
    devices: u128,
    /// Of all of them.
    values: u128,
}

impl<'a> Prices<'a> {
    /// Of all devices that this snapshot knows.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let devices = snapshot.nodes.values().flat_map(|node| node.devices.values());
        let values = devices.map(|device| value(device.class.value));
        let (devices, values) = values.fold((0, 0), |(count, sum), it| (count + 1, sum + it));
        Self { snapshot, devices, values }
    }

    /// Thousandths of a device as thousandths of the pool's mean device: `milli × value ÷ mean
    /// value`, to the nearest. A value that is not known is 1; a device that is not there any more
    /// counts as the mean.
    pub fn priced(&self, device: &DeviceId, milli: MilliGpu) -> MilliGpu {
        let node = self.snapshot.nodes.get(&device.node);
        let Some(known) = node.and_then(|node| node.devices.get(&device.index)) else {
            return milli;
        };
        let worth = u128::from(milli.0).saturating_mul(value(known.class.value));
        let priced = (worth.saturating_mul(self.devices) + self.values / 2) / self.values.max(1);
        MilliGpu(u64::try_from(priced).unwrap_or(u64::MAX))
    }
}

/// Devices of a pool and the sum of their values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    devices: i128,
    values: i128,
}

impl Scale {
    /// None where all devices are worth the same.
    pub(crate) fn of(pool: &Pool) -> Option<Self> {
        let mut values = pool.devices.iter().map(|device| worth(device.value));
        let first = values.next()?;
        let (count, sum) =
            values.clone().fold((1, first), |(count, sum), it| (count + 1, sum + it));
        values.any(|it| it != first).then_some(Self { devices: count, values: sum })
    }
}

impl Board {
    /// Say of each queue how much more, or less, than their number the devices that it holds are
    /// worth.
    pub(crate) fn price(&mut self) {
        if self.scale.is_none() {
            return;
        }
        self.books.tree.seats.iter_mut().for_each(|seat| seat.premium = 0);
        for run in self.running.iter().filter(|run| !run.stopping) {
            let premium = self.premium(&run.pieces);
            self.books.tree.seats[run.seat as usize].premium += premium;
        }
    }

    /// How much more these pieces are worth than their number.
    pub(crate) fn premium(&self, pieces: &[Piece]) -> i128 {
        let Some(Scale { devices, values }) = self.scale else { return 0 };
        let picks = pieces.iter().flat_map(|piece| &piece.picks);
        let more = picks.map(|pick| {
            let milli = i128::from(self.pool.milli(pick));
            let worth = worth(self.pool.devices[pick.device() as usize].value);
            (milli * worth * devices + values / 2) / values - milli
        });
        more.sum()
    }
}

fn worth(known: u32) -> i128 {
    i128::from(known.max(1))
}

fn value(known: u32) -> u128 {
    u128::from(known.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::parse;

    fn priced(text: &str, node: &str) -> u64 {
        let case = parse(text).expect("a case");
        let device = DeviceId { node: node.parse().expect("a name"), index: 0 };
        Prices::of(&case.snapshot).priced(&device, MilliGpu(500)).0
    }

    #[test]
    fn a_device_counts_by_its_value_over_the_mean() {
        let text = "node a h100-80 x2\nnode b t4-16 x6\n";
        // Means of 32 each: half of an h100 is 1.25 of them, half of a t4 a quarter.
        assert_eq!((priced(text, "a"), priced(text, "b")), (1250, 250));
        assert_eq!(priced(text, "gone"), 500);
        assert_eq!(priced("node a h100-80 x3\n", "a"), 500);
    }
}
