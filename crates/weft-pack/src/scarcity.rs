//! How much of each model the requests that insist on models would fill: its scarcity price.
//!
//! Requests that name models are poured onto them, the most restricted first, each in slices onto
//! the least loaded model it allows. Where that fills a model, whoever could go elsewhere should.

use crate::mix::Mix;
use crate::node::{MODELS_MAX, Node};
use alloc::vec::Vec;

/// Load of each model over its capacity, in thousandths, at most `PRESSURE_MAX`.
pub type Pressure = [i64; MODELS_MAX];

/// A model asked for half again as often as it exists is as scarce as can be: beyond this the
/// price would outweigh everything else.
const PRESSURE_MAX: i64 = 1500;
/// Slices a class is poured in: 2 % of it at a time levels models finely enough.
const SLICES: i64 = 50;

/// The pressure on each model when requests in the proportions of `mix` fill the whole pool.
#[must_use]
pub fn pressure(mix: &Mix, empty: &[Node]) -> Pressure {
    let mut capacity = [0_i64; MODELS_MAX];
    empty.iter().for_each(|node| capacity[usize::from(node.model)] += i64::from(node.total()));
    let pool: i64 = capacity.iter().sum();
    let asked: i64 =
        mix.classes().iter().map(|(class, w)| i64::from(class.total()) * *w as i64).sum();
    let room = |models: u64| -> i64 {
        (0..MODELS_MAX).filter(|at| models >> at & 1 == 1).map(|at| capacity[at]).sum()
    };
    let insists = |models: u64| room(models) < pool && room(models) > 0;
    let mut picky: Vec<_> = mix
        .classes()
        .iter()
        .filter(|(class, _)| class.devices > 0 && insists(class.models))
        .collect();
    picky.sort_by_key(|(class, _)| (room(class.models), *class));
    let mut load = [0_i64; MODELS_MAX];
    for (class, weight) in picky {
        let demand = i128::from(class.total()) * i128::from(*weight) * i128::from(pool);
        let slice = (demand / i128::from(asked * SLICES)) as i64;
        for _ in 0..SLICES {
            let allowed =
                (0..MODELS_MAX).filter(|at| class.models >> at & 1 == 1 && capacity[*at] > 0);
            let least = allowed.min_by_key(|at| load[*at] * 1_000_000 / capacity[*at]);
            least.into_iter().for_each(|at| load[at] += slice);
        }
    }
    core::array::from_fn(|at| (load[at] * 1000 / capacity[at].max(1)).min(PRESSURE_MAX))
}
