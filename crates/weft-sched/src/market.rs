//! What is usually asked for, and what that makes the parts of a device worth.
//!
//! Learned now and then, by the server from what was submitted, by the simulator from a log; read
//! by every plan, which packs by it (`board/priced.rs`). Integers, so that a recorded snapshot
//! plans the same anywhere: the one place with floats, the linear program, is behind
//! [`Market::learn`], in `weft-pack`, and its prices leave it rounded.

use crate::board::{Kinds, empty_pool};
use crate::{Request, Snapshot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use serde::{Deserialize, Serialize};
use weft_pack::cutting::{Demand, solve};
use weft_types::{Bytes, MilliGpu, Phase};

/// Requests that are told apart; rarer ones are too rare to plan for.
const USUAL_MAX: usize = 255;

/// Sizes of parts of a device that are told apart: so many drawn at random are priced in 16 ms at
/// most.
const SIZES_MAX: usize = 64;

/// Share of all that was asked for that the usual requests cover, in hundredths: the rest is too
/// rare to plan for ("Beware of Fragmentation", Weng et al., ATC '23).
const POPULAR_PERCENT: u64 = 95;

/// All of what is usual is counted as this many requests, where there were more: scores are
/// multiples of it, and have to fit a word.
const TIMES_MAX: u64 = 20_000;

/// What is usually asked for, and what that makes the parts of a device worth.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// What is usually asked for, most often first.
    pub usual: Vec<Usual>,
    /// What a part of a device is worth, for each size that is usual, in millionths of a whole
    /// one.
    pub worth: Vec<(MilliGpu, u64)>,
}

/// What one member is usually asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// The request.
    pub request: Request,
    /// The phase, which decides what `auto` is.
    pub phase: Phase,
    /// How often, among all of the market.
    pub times: u64,
}

impl Market {
    /// From requests of members, with how often each was asked for, on this snapshot's machines.
    /// None where no device was asked for: then there is nothing to price.
    pub fn learn(
        snapshot: &Snapshot,
        asked: impl IntoIterator<Item = (Request, Phase, u64)>,
    ) -> Option<Self> {
        let (_, kinds) = empty_pool(snapshot);
        let mut counts: BTreeMap<(Request, Phase), u64> = BTreeMap::new();
        for (request, phase, times) in asked {
            // Memory and disk are not priced.
            let request = Request { memory: Bytes(0), disk: Bytes(0), ..request };
            let count = counts.entry((request, phase)).or_default();
            *count = count.saturating_add(times);
        }
        let demand = sizes(&counts, &kinds);
        if demand.is_empty() {
            return None;
        }
        let worth = demand
            .iter()
            .zip(solve(&demand).worth)
            .map(|(size, worth)| (MilliGpu(size.milli.into()), u64::try_from(worth).unwrap_or(0)));
        let worth = worth.collect();
        Some(Self { usual: most_often(counts), worth })
    }
}

/// How often each size of part of a device was asked for, by size; the most frequent ones.
fn sizes(counts: &BTreeMap<(Request, Phase), u64>, kinds: &Kinds) -> Vec<Demand> {
    let mut sizes: BTreeMap<u16, u64> = BTreeMap::new();
    for ((request, phase), times) in counts {
        // Where kinds differ in memory, a request is of several sizes; each is as likely.
        let classes = crate::board::usual(request, *phase, kinds).into_iter();
        for class in classes.filter(|class| class.devices > 0) {
            let size = sizes.entry(class.milli).or_default();
            *size = size.saturating_add(times.saturating_mul(class.devices.into()));
        }
    }
    let mut demand: Vec<Demand> =
        sizes.into_iter().map(|(milli, count)| Demand { milli, count }).collect();
    demand.sort_by_key(|size| Reverse(size.count));
    demand.truncate(SIZES_MAX);
    demand.sort_by_key(|size| size.milli);
    demand
}

/// The most frequent requests, until they cover what is popular.
fn most_often(counts: BTreeMap<(Request, Phase), u64>) -> Vec<Usual> {
    let all = counts.values().fold(0, |sum: u64, times| sum.saturating_add(*times));
    let usual = counts.into_iter();
    let mut usual: Vec<Usual> =
        usual.map(|((request, phase), times)| Usual { request, phase, times }).collect();
    // What is equally frequent stays in the order of requests.
    usual.sort_by_key(|one| Reverse(one.times));
    let (enough, mut covered) = (u128::from(all) * u128::from(POPULAR_PERCENT), 0);
    usual.retain(|one| {
        let wanted = covered * 100 < enough;
        covered += u128::from(one.times);
        wanted
    });
    usual.truncate(USUAL_MAX);
    let divisor = all.div_ceil(TIMES_MAX).max(1);
    usual.iter_mut().for_each(|one| one.times = (one.times / divisor).max(1));
    usual
}
