//! How many devices each team has.

use super::policy::{QueueFile, Sharing};
use crate::world::TeamShare;
use std::collections::BTreeMap;

/// What a log says of a team.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TeamNeeds {
    /// Device time of its jobs, in device-milliseconds.
    pub(super) time: u128,
    /// Devices of its largest job.
    pub(super) largest: u64,
    /// Jobs.
    pub(super) jobs: usize,
}

/// Sizes that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// More is guaranteed than there is.
    #[error("`queues` guarantee {asked} devices; the machines have {all}")]
    TooMuch {
        /// What is guaranteed in all.
        asked: u64,
        /// What there is.
        all: u64,
    },
    /// The log has no such team.
    #[error("`queues` names `{0}`, which is no team of the log; its teams are: {1}")]
    NoTeam(String, String),
}

/// In proportion to these weights, each at least its least where there is enough for that, and all
/// devices given away: who falls below its least has that, the rest is dealt among the others,
/// fractions by largest remainder and then by name.
pub(super) fn proportional(
    all: u64,
    teams: &BTreeMap<String, (u128, u64)>,
) -> BTreeMap<String, u64> {
    let least_of_all: u64 = teams.values().map(|(_, least)| *least).sum();
    let floors = least_of_all <= all;
    let least = |team: &str| if floors { teams[team].1 } else { 0 };
    let mut fixed: BTreeMap<&str, u64> = BTreeMap::new();
    loop {
        let open = || teams.iter().filter(|(team, _)| !fixed.contains_key(team.as_str()));
        let left = all.saturating_sub(fixed.values().sum());
        let weights: u128 = open().map(|(_, (weight, _))| *weight).sum();
        let share = |weight: u128| u128::from(left) * weight;
        let below: Vec<&str> = open()
            .filter(|(team, (weight, _))| share(*weight) < u128::from(least(team)) * weights.max(1))
            .map(|(team, _)| team.as_str())
            .collect();
        if below.is_empty() {
            let mut sizes: BTreeMap<String, u64> =
                fixed.iter().map(|(team, size)| ((*team).to_owned(), *size)).collect();
            let weights = weights.max(1);
            let mut rests: Vec<(u128, &str)> = Vec::new();
            for (team, (weight, _)) in open() {
                let whole = u64::try_from(share(*weight) / weights).unwrap_or(left);
                sizes.insert(team.clone(), whole);
                rests.push((share(*weight) % weights, team));
            }
            rests.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
            let given: u64 = sizes.values().sum();
            let names: Vec<&str> = match rests.is_empty() {
                true => teams.keys().map(String::as_str).collect(),
                false => rests.iter().map(|(_, team)| *team).collect(),
            };
            for at in 0..all.saturating_sub(given) as usize {
                let Some(size) = names.get(at % names.len().max(1)).and_then(|n| sizes.get_mut(*n))
                else {
                    break;
                };
                *size += 1;
            }
            return sizes;
        }
        for team in below {
            fixed.insert(team, least(team));
        }
    }
}

/// By the device time of each, at least its largest job.
pub(super) fn by_device_time(
    all: u64,
    needs: &BTreeMap<String, TeamNeeds>,
) -> BTreeMap<String, u64> {
    let teams = needs.iter().map(|(team, need)| (team.clone(), (need.time, need.largest)));
    proportional(all, &teams.collect())
}

/// As a file says: guarantees first, then what is left by weight, else by device time.
pub(super) fn named(
    all: u64,
    needs: &BTreeMap<String, TeamNeeds>,
    queues: &BTreeMap<String, QueueFile>,
) -> Result<BTreeMap<String, u64>, SizeError> {
    if let Some(none) = queues.keys().find(|name| !needs.contains_key(*name) && *name != "*") {
        let known: Vec<&str> = needs.keys().map(String::as_str).take(20).collect();
        return Err(SizeError::NoTeam(none.clone(), known.join(", ")));
    }
    let said = |team: &str| queues.get(team).or_else(|| queues.get("*")).cloned();
    let said = |team: &str| said(team).unwrap_or_default();
    let mut sizes: BTreeMap<String, u64> =
        needs.keys().filter_map(|team| Some((team.clone(), said(team).guarantee?))).collect();
    let asked: u64 = sizes.values().fold(0, |sum, size| sum.saturating_add(*size));
    if asked > all {
        return Err(SizeError::TooMuch { asked, all });
    }
    let weighed = queues.values().any(|queue| queue.weight.is_some());
    let rest = needs.iter().filter(|(team, _)| !sizes.contains_key(*team));
    let rest: BTreeMap<String, (u128, u64)> = rest
        .map(|(team, need)| match weighed {
            true => (team.clone(), (u128::from(said(team).weight.unwrap_or(1)), 0)),
            false => (team.clone(), (need.time, need.largest)),
        })
        .collect();
    if !rest.is_empty() {
        sizes.extend(proportional(all - asked, &rest));
    }
    Ok(sizes)
}

/// Sizes as the planner's shares.
pub(super) fn shares(
    all: u64,
    sharing: Sharing,
    sizes: &BTreeMap<String, u64>,
    queues: Option<&BTreeMap<String, QueueFile>>,
) -> BTreeMap<String, TeamShare> {
    let share = |team: &String, own: u64| {
        let said = queues.and_then(|queues| queues.get(team).or_else(|| queues.get("*")));
        let limit = |of: fn(&QueueFile) -> Option<u64>| said.and_then(of).unwrap_or(u64::MAX);
        let (lends, borrows) = match sharing {
            Sharing::Dedicated => (0, 0),
            Sharing::Pooled => {
                (own.min(limit(|q| q.lends)), (all - own.min(all)).min(limit(|q| q.borrows)))
            }
        };
        TeamShare { own, borrows, lends }
    };
    sizes.iter().map(|(team, own)| (team.clone(), share(team, *own))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(all: u64, teams: &[(&str, u128, u64)]) -> Vec<u64> {
        let teams =
            teams.iter().map(|(name, weight, least)| ((*name).to_owned(), (*weight, *least)));
        proportional(all, &teams.collect()).into_values().collect()
    }

    #[test]
    fn all_devices_are_given_and_nobody_falls_below_the_least() {
        assert_eq!(sizes(10, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)]), [4, 3, 3]);
        assert_eq!(sizes(16, &[("a", 97, 4), ("b", 2, 4), ("c", 1, 1)]), [11, 4, 1]);
        assert_eq!(sizes(8, &[("a", 0, 1), ("b", 0, 2)]).iter().sum::<u64>(), 8);
    }

    #[test]
    fn where_not_all_leasts_can_be_had_there_are_none() {
        assert_eq!(sizes(8, &[("a", 3, 8), ("b", 1, 8)]), [6, 2]);
        assert_eq!(sizes(2, &[("a", 1, 8), ("b", 1, 8), ("c", 1, 1)]).iter().sum::<u64>(), 2);
    }

    #[test]
    fn a_file_says_sizes_and_weights() {
        let need = |time| TeamNeeds { time, largest: 1, jobs: 1 };
        let needs = BTreeMap::from([
            ("a".to_owned(), need(9)),
            ("b".to_owned(), need(1)),
            ("c".to_owned(), need(1)),
        ]);
        let queue = |guarantee, weight| QueueFile { guarantee, weight, ..QueueFile::default() };
        let queues = BTreeMap::from([("a".to_owned(), queue(Some(4), None))]);
        let got = named(10, &needs, &queues).expect("sizes");
        assert_eq!(got.into_values().collect::<Vec<_>>(), [4, 3, 3]);
        let queues = BTreeMap::from([
            ("a".to_owned(), queue(Some(4), None)),
            ("b".to_owned(), queue(None, Some(5))),
        ]);
        let got = named(10, &needs, &queues).expect("sizes");
        assert_eq!(got.into_values().collect::<Vec<_>>(), [4, 5, 1]);
        assert_eq!(named(3, &needs, &queues), Err(SizeError::TooMuch { asked: 4, all: 3 }));
        let none = BTreeMap::from([("x".to_owned(), queue(Some(4), None))]);
        assert!(matches!(named(9, &needs, &none), Err(SizeError::NoTeam(..))));
    }
}
