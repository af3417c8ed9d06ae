//! Machines dealt out to teams, and the sizes that would have been best for dedicated machines.
//!
//! The best sizes are looked for with hindsight, in favour of silos: for each team the whole log is
//! played at every size through a simple list (first come first served, who does not fit is passed,
//! devices are counted and never fragmented), then the sizes with the smallest sum of waits are
//! found exactly (dynamic programming). What such silos wait is measured as all else is.

use super::cluster::Cluster;
use super::compare::Watch;
use super::sizes::TeamNeeds;
use crate::trace::{Job, Machine};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// Most steps in which the devices beyond each team's largest job are dealt.
const STEPS_MAX: u64 = 64;

/// Each team's machines: whole ones first, then parts; large teams choose first, then by name.
pub(super) fn deal(
    cluster: &Cluster,
    sizes: &BTreeMap<String, u64>,
) -> BTreeMap<String, Vec<Machine>> {
    let mut free: Vec<Machine> = cluster.machines.clone();
    let mut order: Vec<(&String, u64)> = sizes.iter().map(|(team, size)| (team, *size)).collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut dealt: BTreeMap<String, Vec<Machine>> = BTreeMap::new();
    let mut rests = Vec::new();
    for (team, mut size) in order {
        let own = dealt.entry(team.clone()).or_default();
        for (machine, whole) in free.iter_mut().zip(&cluster.machines) {
            let untouched = machine.devices == whole.devices;
            if untouched && u64::from(machine.devices) <= size {
                size -= u64::from(machine.devices);
                own.push(machine.clone());
                machine.devices = 0;
            }
        }
        rests.push((team, size));
    }
    for (team, mut size) in rests {
        while size > 0 {
            // The smallest part that is enough, else the largest there is.
            let enough = |machine: &&mut Machine| u64::from(machine.devices) >= size;
            let part = free.iter_mut().filter(enough).min_by_key(|machine| machine.devices);
            let Some(part) = (match part {
                Some(part) => Some(part),
                None => free.iter_mut().max_by_key(|machine| machine.devices),
            }) else {
                break;
            };
            let taken = u64::from(part.devices).min(size) as u32;
            if taken == 0 {
                break;
            }
            part.devices -= taken;
            size -= u64::from(taken);
            dealt.entry(team.clone()).or_default().push(Machine { devices: taken, ..part.clone() });
        }
    }
    dealt
}

/// The sizes with which dedicated machines would have waited least; none where there is not
/// enough for each team's largest job, or it was left.
pub(super) fn best_sizes(
    all: u64,
    needs: &BTreeMap<String, TeamNeeds>,
    jobs: &[Job],
    watch: &Watch,
) -> Option<BTreeMap<String, u64>> {
    let least: u64 = needs.values().map(|need| need.largest).sum();
    let spare = all.checked_sub(least)?;
    let unit = spare.div_ceil(STEPS_MAX).max(1);
    let steps = (spare / unit) as usize;
    let mut lists: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        lists.entry(&job.queue).or_default().push(job);
    }
    // For each number of steps dealt so far: the least sum of waits, and what each team took.
    let mut best: Vec<(u128, Vec<usize>)> = vec![(0, Vec::new()); steps + 1];
    for (team, need) in needs {
        let list = lists.get(team.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut costs = Vec::with_capacity(steps + 1);
        for step in 0..=steps {
            if watch.is_cancelled() {
                return None;
            }
            // Once nobody waits, more devices change nothing.
            let cost = match costs.last() {
                Some(0) => 0,
                _ => waits(list, need.largest + step as u64 * unit),
            };
            costs.push(cost);
        }
        best = (0..=steps)
            .map(|dealt| {
                let of = |own: usize| best[dealt - own].0 + costs[own];
                let own = (0..=dealt).min_by_key(|own| (of(*own), *own)).unwrap_or(0);
                let mut taken = best[dealt - own].1.clone();
                taken.push(own);
                (of(own), taken)
            })
            .collect();
    }
    let taken = best.pop()?.1;
    let size = |((team, need), own): ((&String, &TeamNeeds), usize)| {
        (team.clone(), need.largest + own as u64 * unit)
    };
    let mut sizes: BTreeMap<String, u64> = needs.iter().zip(taken).map(size).collect();
    let given: u64 = sizes.values().sum();
    if let Some((_, largest)) = sizes.iter_mut().max_by_key(|(team, size)| (**size, Reverse(*team)))
    {
        *largest += all - given;
    }
    Some(sizes)
}

/// The sum of waits of jobs on so many devices, by a list: who came first goes first, who does not
/// fit is passed.
fn waits(jobs: &[&Job], devices: u64) -> u128 {
    let mut lines: BTreeMap<u64, VecDeque<&Job>> = BTreeMap::new();
    let mut ends: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let (mut free, mut sum) = (devices, 0_u128);
    let mut coming = jobs.iter().peekable();
    loop {
        let comes = coming.peek().map(|job| job.submit.0);
        let leaves = ends.peek().map(|Reverse((at, _))| *at);
        let Some(now) = [comes, leaves].into_iter().flatten().min() else { return sum };
        while let Some(size) = due(&mut ends, now) {
            free += size;
        }
        while let Some(job) = coming.next_if(|job| job.submit.0 <= now) {
            let size = u64::from(job.devices);
            if size > 0 && size <= devices && job.duration.is_some() {
                lines.entry(size).or_default().push_back(job);
            }
        }
        loop {
            let heads =
                lines.range(..=free).filter_map(|(size, line)| Some((line.front()?, *size)));
            let Some((_, size)) = heads.min_by_key(|(job, size)| (job.submit, *size)) else {
                break;
            };
            let Some(job) = lines.get_mut(&size).and_then(VecDeque::pop_front) else { break };
            sum += u128::from(now - job.submit.0);
            free -= size;
            let end = now.saturating_add(job.duration.unwrap_or_default().0);
            ends.push(Reverse((end, size)));
        }
    }
}

/// What is due by now, taken from a heap of moments.
fn due(ends: &mut BinaryHeap<Reverse<(u64, u64)>>, now: u64) -> Option<u64> {
    ends.peek().filter(|Reverse((at, _))| *at <= now)?;
    ends.pop().map(|Reverse((_, size))| size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{MilliGpu, Millis, Timestamp};

    fn job(queue: &str, submit: u64, duration: u64, devices: u32) -> Job {
        Job {
            queue: queue.to_owned(),
            submit: Timestamp(submit),
            duration: Some(Millis(duration)),
            devices,
            milli: MilliGpu(1000),
            ..Job::default()
        }
    }

    #[test]
    fn machines_are_dealt_whole_first() {
        let cluster = Cluster::parse("3x8").expect("machines");
        let sizes =
            BTreeMap::from([("a".to_owned(), 13), ("b".to_owned(), 8), ("c".to_owned(), 3)]);
        let dealt = deal(&cluster, &sizes);
        let devices = |team: &str| dealt[team].iter().map(|m| m.devices).collect::<Vec<_>>();
        assert_eq!((devices("a"), devices("b"), devices("c")), (vec![8, 5], vec![8], vec![3]));
    }

    #[test]
    fn a_list_waits_as_by_hand() {
        let jobs = [job("a", 0, 100, 2), job("a", 10, 100, 1), job("a", 20, 10, 1)];
        let jobs: Vec<&Job> = jobs.iter().collect();
        assert_eq!(waits(&jobs, 3), 80);
        assert_eq!(waits(&jobs, 2), 90 + 80);
        assert_eq!(waits(&jobs, 4), 0);
    }

    #[test]
    fn the_best_sizes_beat_every_other_split() {
        let mut jobs = Vec::new();
        for at in 0..40 {
            jobs.push(job("a", at * 10, 35, 1));
            jobs.push(job("b", at * 40, 35 + at, 1));
        }
        jobs.sort_by_key(|job| job.submit);
        let need = |team: &str| TeamNeeds {
            time: 1,
            largest: 1,
            jobs: jobs.iter().filter(|job| job.queue == team).count(),
        };
        let needs = BTreeMap::from([("a".to_owned(), need("a")), ("b".to_owned(), need("b"))]);
        let of = |team: &str, size: u64| {
            let list: Vec<&Job> = jobs.iter().filter(|job| job.queue == team).collect();
            waits(&list, size)
        };
        for all in 2..8 {
            let best = best_sizes(all, &needs, &jobs, &Watch::default()).expect("sizes");
            assert_eq!(best.values().sum::<u64>(), all);
            let cost = of("a", best["a"]) + of("b", best["b"]);
            let least = (1..all).map(|own| of("a", own) + of("b", all - own)).min();
            assert_eq!(Some(cost), least, "{all} devices");
        }
        assert_eq!(best_sizes(1, &needs, &jobs, &Watch::default()), None);
    }
}
