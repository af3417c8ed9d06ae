//! One run: requests come, are placed or refused, and end.

use super::mover::holds;
use super::{Mix, NAMES, PROFILES};
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use weft_sched::{Action, Engine, Workload, case};
use weft_types::{Timestamp, WorkloadId};

/// Devices of a machine. It makes no difference here: nothing else is asked for.
const DEVICES_PER_MACHINE: u32 = 4;

/// Ticks from one request to the next: so many that a lifetime is fine against any load.
const TICKS: u64 = 64;

/// Part of the requests that come before anything is counted: the pool is in its usual state then,
/// because a tenth of them is several lifetimes.
const WARM_PART: u64 = 4;

/// Who places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The first device and placement.
    FirstFit,
    /// The production planner.
    Planner,
    /// Anything may be moved at any time.
    Mover,
}

/// What comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Devices of the pool.
    pub devices: u32,
    /// Memory slices asked for at any time, in thousandths of the pool's, were none refused.
    pub permille: u64,
    /// Requests.
    pub requests: u64,
    /// Of the generator.
    pub seed: u64,
}

/// What was accepted of what was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Requests that came.
    pub came: u64,
    /// Of them accepted.
    pub accepted: u64,
    /// Compute slices times ticks that the accepted ones hold.
    pub slice_ticks: u64,
}

impl Accepted {
    /// Refused, in hundredths of a percent of what came.
    #[must_use]
    pub fn refused(&self) -> u64 {
        (self.came - self.accepted) * 10_000 / self.came.max(1)
    }
}

/// Where an instance is: a device and its memory slices; or the planner's workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Where {
    On(u32, u8),
    Known(u64),
    Anywhere,
}

/// A pool in the hands of one of the three.
enum Pool {
    FirstFit(Vec<u8>),
    Planner(Box<Engine>, Vec<Workload>),
    Mover(u32, [u32; 6]),
}

impl Pool {
    fn new(who: Who, devices: u32) -> Self {
        match who {
            Who::FirstFit => Pool::FirstFit(vec![0; devices as usize]),
            Who::Mover => Pool::Mover(devices, [0; 6]),
            Who::Planner => {
                let (engine, waits) = planner(devices);
                Pool::Planner(Box::new(engine), waits)
            }
        }
    }

    /// Place an instance of a profile; none where it is refused.
    fn accept(&mut self, profile: usize, number: u64) -> Option<Where> {
        match self {
            Pool::FirstFit(taken) => {
                let (_, size, starts) = PROFILES[profile];
                let bits = ((1u16 << size) - 1) as u8;
                let free = |taken: u8| {
                    starts.iter().map(|start| bits << start).find(|mask| mask & taken == 0)
                };
                let mut found = (0..).zip(taken.iter_mut());
                found.find_map(|(device, taken)| {
                    let mask = free(*taken)?;
                    *taken |= mask;
                    Some(Where::On(device, mask))
                })
            }
            Pool::Mover(devices, counts) => {
                counts[profile] += 1;
                let fits = holds(counts, *devices);
                counts[profile] -= u32::from(!fits);
                fits.then_some(Where::Anywhere)
            }
            Pool::Planner(engine, waits) => {
                let id = WorkloadId(number);
                engine.set(id, Some(waits[profile].clone()));
                let plan = engine.decide(Timestamp(0));
                let started = plan.actions.iter().any(
                    |action| matches!(action, Action::Start { workload, .. } if *workload == id),
                );
                match started {
                    true => engine.commit(&plan, Timestamp(0)),
                    false => engine.set(id, None),
                }
                started.then_some(Where::Known(number))
            }
        }
    }

    fn end(&mut self, profile: usize, at: Where) {
        match (self, at) {
            (Pool::FirstFit(taken), Where::On(device, mask)) => taken[device as usize] &= !mask,
            (Pool::Mover(_, counts), _) => counts[profile] -= 1,
            (Pool::Planner(engine, _), Where::Known(number)) => {
                engine.set(WorkloadId(number), None);
            }
            _ => {}
        }
    }
}

/// The planner with an empty pool, and a workload that waits for each profile.
fn planner(devices: u32) -> (Engine, Vec<Workload>) {
    // A share that never binds: seven sevenths, each rounded up, count more than a device.
    let mut text = format!("queue q gpu={}\n", 2 * devices);
    for machine in 0..devices.div_ceil(DEVICES_PER_MACHINE) {
        let left = devices - machine * DEVICES_PER_MACHINE;
        text += &format!("node n{machine:05} a100-80:mig x{}\n", left.min(DEVICES_PER_MACHINE));
    }
    for (at, name) in (1..).zip(NAMES) {
        text += &format!("want w{at} q gpu=mig:{name}\n");
    }
    #[expect(clippy::expect_used, reason = "the text is made here, of constants and a number")]
    let mut snapshot = case::parse(&text).expect("a case").snapshot;
    let waits = std::mem::take(&mut snapshot.workloads).into_values().collect();
    (Engine::new(snapshot), waits)
}

/// Requests of the mix come at even times, and last from one tick to twice the mean.
#[must_use]
pub fn run(who: Who, mix: &Mix, load: Load) -> Accepted {
    let mut rng = Rng::new(load.seed);
    let mut pool = Pool::new(who, load.devices);
    let slices = 8 * u64::from(load.devices);
    let mean = TICKS * load.permille * slices / mix.mean_milli().max(1);
    let mut ends = BinaryHeap::new();
    let mut counted = Accepted::default();
    for number in 0..load.requests {
        let tick = number * TICKS;
        while let Some(Reverse((end, profile, at))) = ends.peek().copied() {
            if end > tick {
                break;
            }
            ends.pop();
            pool.end(profile, at);
        }
        let (profile, lasts) = (mix.draw(&mut rng), 1 + rng.below(2 * mean as usize) as u64);
        let found = pool.accept(profile, number + 1);
        let counts = number >= load.requests / WARM_PART;
        counted.came += u64::from(counts);
        if let Some(at) = found {
            ends.push(Reverse((tick + lasts, profile, at)));
            counted.accepted += u64::from(counts);
            let (compute, ..) = PROFILES[profile];
            counted.slice_ticks += u64::from(counts) * lasts * u64::from(compute);
        }
    }
    counted
}

/// So many requests of the mix wait together on an empty pool: what is accepted in their order,
/// those that do not fit left out.
#[must_use]
pub fn together(who: Who, mix: &Mix, load: Load) -> Accepted {
    let mut rng = Rng::new(load.seed);
    let drawn: Vec<usize> = (0..load.requests).map(|_| mix.draw(&mut rng)).collect();
    let mut pool = Pool::new(who, load.devices);
    let accepted: Vec<usize> = match &mut pool {
        Pool::Planner(engine, waits) => {
            for (id, profile) in (0..).map(WorkloadId).zip(&drawn) {
                engine.set(id, Some(waits[*profile].clone()));
            }
            let plan = engine.decide(Timestamp(0));
            let started = plan.actions.iter().map(|action| action.workload().0 as usize);
            started.map(|at| drawn[at]).collect()
        }
        pool => drawn.into_iter().filter(|profile| pool.accept(*profile, 0).is_some()).collect(),
    };
    let slices = accepted.iter().map(|profile| u64::from(PROFILES[*profile].0));
    let (came, slice_ticks) = (load.requests, slices.sum());
    Accepted { came, accepted: accepted.len() as u64, slice_ticks }
}

/// Requests of the mix come and stay, until so many were refused: how many were accepted.
#[must_use]
pub fn fill(who: Who, mix: &Mix, devices: u32, refused: u64, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut pool = Pool::new(who, devices);
    let (mut accepted, mut left) = (0, refused);
    for number in 1.. {
        match pool.accept(mix.draw(&mut rng), number) {
            Some(_) => accepted += 1,
            None if left <= 1 => break,
            None => left -= 1,
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::super::MIXES;
    use super::*;

    const LOAD: Load = Load { devices: 6, permille: 1000, requests: 1200, seed: 1 };

    #[test]
    fn the_same_requests_give_the_same_and_each_comes_once() {
        for who in [Who::FirstFit, Who::Planner, Who::Mover] {
            let once = run(who, &MIXES[0], LOAD);
            assert_eq!(once, run(who, &MIXES[0], LOAD), "{who:?}");
            assert_eq!(once.came, 900, "{who:?}");
            assert!(once.accepted < once.came && once.accepted > 500, "{who:?} {once:?}");
        }
    }

    #[test]
    fn large_instances_find_room_more_often_than_by_first_fit() {
        let [first, planner, mover] = [Who::FirstFit, Who::Planner, Who::Mover]
            .map(|who| run(who, &MIXES[2], LOAD).slice_ticks);
        assert!(first < planner && planner < mover, "{first} {planner} {mover}");
    }

    #[test]
    fn a_device_takes_seven_of_the_smallest_whoever_places() {
        let smallest = Mix { name: "1g", weights: [1, 0, 0, 0, 0, 0] };
        for who in [Who::FirstFit, Who::Planner, Who::Mover] {
            assert_eq!(fill(who, &smallest, 3, 1, 5), 21, "{who:?}");
        }
    }

    #[test]
    fn a_mix_draws_what_it_holds() {
        let (mut rng, mix) = (Rng::new(3), MIXES[8]);
        let drawn: Vec<usize> = (0..800).map(|_| mix.draw(&mut rng)).collect();
        let sevens = drawn.iter().filter(|profile| **profile == 5).count();
        assert!(
            drawn.iter().all(|profile| [0, 5].contains(profile)) && (70..130).contains(&sevens)
        );
        // Seven of one slice and one of eight.
        assert_eq!(mix.mean_milli(), 15_000 / 8);
    }
}
