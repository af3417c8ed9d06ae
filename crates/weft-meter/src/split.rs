//! Splitting a measured whole among those who may have used it, without losing a unit.

use crate::Account;
use alloc::collections::BTreeMap;
use weft_types::WorkloadId;

/// Splits `total` in proportion to `weights`; the parts add up to it exactly.
///
/// Rounds the running sum instead of each part, as in Bresenham's line: part `i` is
/// `⌊total·Wᵢ/W⌋ − ⌊total·Wᵢ₋₁/W⌋` with `Wᵢ` the first `i` weights' sum. None without weights.
pub(crate) fn in_proportion(
    total: u64,
    weights: &BTreeMap<WorkloadId, u64>,
) -> Option<BTreeMap<WorkloadId, u64>> {
    let all: u128 = weights.values().map(|w| u128::from(*w)).sum();
    if all == 0 {
        return None;
    }
    let (mut running, mut given) = (0u128, 0u64);
    let mut parts = BTreeMap::new();
    for (who, weight) in weights {
        running += u128::from(*weight);
        // At most `total`, since `running` is at most `all`.
        let upto = u64::try_from(u128::from(total) * running / all).unwrap_or(total);
        parts.insert(*who, upto - given);
        given = upto;
    }
    Some(parts)
}

/// Attributes `total` to accounts: first to those whose own figure is `known`; what is left to
/// the holders without one, by what they hold; what is then left to the holder of the whole
/// device, for whatever runs there is its own; else it is nobody's.
///
/// Where the known figures exceed the total (a driver samples the two at different moments), the
/// total stands and they are its proportions.
pub(crate) fn attribute(
    total: u64,
    known: &BTreeMap<WorkloadId, u64>,
    held: &BTreeMap<WorkloadId, u64>,
) -> BTreeMap<Account, u64> {
    let mut parts = BTreeMap::new();
    let mut give = |to: Account, amount: u64| *parts.entry(to).or_insert(0) += amount;
    let claimed: u128 = known.values().map(|k| u128::from(*k)).sum();
    let left = match u64::try_from(claimed) {
        Ok(claimed) if claimed <= total => {
            known.iter().for_each(|(who, amount)| give(Account::Workload(*who), *amount));
            total - claimed
        }
        _ => {
            let scaled = in_proportion(total, known).unwrap_or_default();
            scaled.into_iter().for_each(|(who, amount)| give(Account::Workload(who), amount));
            return parts;
        }
    };
    let unknown: BTreeMap<_, _> =
        held.iter().filter(|(who, _)| !known.contains_key(who)).map(|(w, m)| (*w, *m)).collect();
    let owner = held.iter().find(|(_, milli)| **milli >= crate::WHOLE);
    match (in_proportion(left, &unknown), owner) {
        (Some(shares), _) => {
            shares.into_iter().for_each(|(who, amount)| give(Account::Workload(who), amount));
        }
        (None, Some((who, _))) => give(Account::Workload(*who), left),
        (None, None) => give(Account::Idle, left),
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(pairs: &[(u64, u64)]) -> BTreeMap<WorkloadId, u64> {
        pairs.iter().map(|(id, amount)| (WorkloadId(*id), *amount)).collect()
    }

    fn on(id: u64) -> Account {
        Account::Workload(WorkloadId(id))
    }

    #[test]
    fn who_gets_what() {
        let halves = map(&[(1, 500), (2, 500)]);
        let cases = [
            ("nothing known: by share", 101, map(&[]), halves.clone(), [(on(1), 50), (on(2), 51)]),
            ("one known", 100, map(&[(1, 30)]), halves.clone(), [(on(1), 30), (on(2), 70)]),
            (
                "all known, rest is nobody's",
                100,
                map(&[(1, 30)]),
                map(&[(1, 500)]),
                [(on(1), 30), (Account::Idle, 70)],
            ),
            (
                "known beyond the total",
                90,
                map(&[(1, 100), (2, 200)]),
                halves,
                [(on(1), 30), (on(2), 60)],
            ),
        ];
        for (name, total, known, held, expected) in cases {
            assert_eq!(attribute(total, &known, &held), expected.into_iter().collect(), "{name}");
        }
    }

    #[test]
    fn an_exclusive_device_is_all_its_holders() {
        let parts = attribute(100, &map(&[(1, 30)]), &map(&[(1, 1000)]));
        assert_eq!(parts, [(on(1), 100)].into_iter().collect());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_made(
            total in 0u64..1 << 60,
            known in prop::collection::btree_map(0u64..6, 0u64..u64::MAX, 0..4),
            held in prop::collection::btree_map(0u64..6, 1u64..=1000, 0..4),
        ) {
            let known = known.into_iter().map(|(k, v)| (WorkloadId(k), v)).collect();
            let held = held.into_iter().map(|(k, v)| (WorkloadId(k), v)).collect();
            let parts = attribute(total, &known, &held);
            prop_assert_eq!(parts.values().map(|v| u128::from(*v)).sum::<u128>(), total.into());
        }
    }
}
