//! How many machines the large requests of each queue usually take: what drain plans are made by.
//!
//! A *large* request takes all devices of each machine that could serve it. Learned now and then,
//! by the server from what waited and ran, by the simulator from its own past; read by every plan
//! (`drain.rs`). Absent on purpose: what follows of it; chance, which `drain.rs` allows for.

use crate::board::{Class, Gpu, Pool, View, empty_pool};
use crate::{Request, Snapshot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use serde::{Deserialize, Serialize};
use weft_types::{Phase, QueueName, Timestamp};

/// Requests that are told apart, those that took most first: each is looked at on every machine
/// when a pool is read.
const LARGE_MAX: usize = 64;

/// Fewer devices are not large: one device is found on any machine.
pub(crate) const DEVICES_MIN: u32 = 2;

/// How many machines a queue's requests of one sort usually take, running or waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Large {
    /// Whose.
    pub queue: QueueName,
    /// What each member asks for.
    pub request: Request,
    /// Machines, in thousandths.
    pub milli: u64,
}

/// What members of a workload asked for, and from when to when they waited or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whose.
    pub queue: QueueName,
    /// What each member asked for.
    pub request: Request,
    /// How many members.
    pub members: u32,
    /// When it came.
    pub from: Timestamp,
    /// When it was gone; now, where it is not.
    pub until: Timestamp,
}

impl Large {
    /// The means from a moment until now, of the requests that are large on this snapshot's
    /// machines; empty where there was none.
    pub fn learn(
        snapshot: &Snapshot,
        asked: impl IntoIterator<Item = Asked>,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<Self> {
        let (pool, kinds) = empty_pool(snapshot);
        let pool = pool.emptied();
        let mut large: BTreeMap<Request, bool> = BTreeMap::new();
        let mut sums: BTreeMap<(QueueName, Request), u128> = BTreeMap::new();
        for Asked { queue, request, members, from, until } in asked {
            let is_large = *large.entry(request.clone()).or_insert_with(|| {
                let class = Class::new(u32::MAX, &request, Phase::Training, &kinds);
                is_large(&class, &pool)
            });
            let time = until.min(now).since(from.max(since));
            if is_large {
                *sums.entry((queue, request)).or_default() +=
                    u128::from(time.0 * u64::from(members));
            }
        }
        let span = u128::from(now.since(since).0.max(1));
        let mean = |sum: u128| u64::try_from(sum * 1000 / span).unwrap_or(u64::MAX);
        let all = sums.into_iter().map(|((queue, request), sum)| {
            let milli = mean(sum);
            Self { queue, request, milli }
        });
        let mut all: Vec<Self> = all.filter(|one| one.milli > 0).collect();
        // What is equally much stays in the order of queues and requests.
        all.sort_by_key(|one| Reverse(one.milli));
        all.truncate(LARGE_MAX);
        all
    }
}

/// Whether a class takes all devices of each machine of this empty pool that could serve it.
fn is_large(class: &Class, pool: &Pool) -> bool {
    let mut served = (0..pool.machines.len() as u32)
        .filter(|node| pool.slots(*node, class, View::Now) > 0)
        .peekable();
    served.peek().is_some() && served.all(|node| takes_all(class, pool, node))
}

/// Whether a class takes all devices of a machine, which are all of one kind and given whole.
pub(crate) fn takes_all(class: &Class, pool: &Pool, node: u32) -> bool {
    let machine = &pool.machines[node as usize];
    let all = class.gpu == Gpu::Whole(machine.devices.len() as u32);
    all && machine.uniform.is_some() && machine.devices.len() as u32 >= DEVICES_MIN
}
