//! Whether some arrangement of all instances holds them on so many devices.
//!
//! Sizes divide each other, so it is decided from the largest down, without search; a test holds
//! it against trying every arrangement.

/// Whether `devices` can hold this many instances of each of [`super::PROFILES`].
#[must_use]
pub fn holds(counts: &[u32; 6], devices: u32) -> bool {
    let [one, one_wide, two, three, four, seven] = counts.map(u64::from);
    // A 7g takes a device, a 4g the lower half of one.
    let Some(left) = u64::from(devices).checked_sub(seven) else { return false };
    let Some(lower) = left.checked_sub(four) else { return false };
    // A 3g takes either half; the upper ones hold less of what comes then.
    let upper_threes = three.min(left);
    let upper = left - upper_threes;
    let Some(lower) = lower.checked_sub(three - upper_threes) else { return false };
    // A half is two pairs of slices. The last pair of an upper half holds a 1g.20gb or one 1g; all
    // other pairs hold a 1g.20gb, a 2g or two 1g.
    let last = one_wide.min(upper);
    let pairs = 2 * lower + upper;
    let Some(pairs) = pairs.checked_sub(one_wide - last + two) else { return false };
    one <= 2 * pairs + upper - last
}

#[cfg(test)]
mod tests {
    use super::super::PROFILES;
    use super::*;
    use std::collections::BTreeSet;

    /// Every set of instances that some arrangement holds on one device.
    fn on_one() -> BTreeSet<[u32; 6]> {
        let mut all = BTreeSet::new();
        let mut open = vec![(0u32, [0u32; 6])];
        let mut seen = BTreeSet::new();
        while let Some((taken, counts)) = open.pop() {
            all.insert(counts);
            for (row, (_, size, starts)) in PROFILES.iter().enumerate() {
                for mask in starts.iter().map(|start| ((1u32 << size) - 1) << start) {
                    let mut more = counts;
                    more[row] += 1;
                    let next = (taken | mask, more);
                    if mask & taken == 0 && seen.insert(next) {
                        open.push(next);
                    }
                }
            }
        }
        all
    }

    #[test]
    fn as_every_arrangement_on_one_device_and_on_two() {
        let one = on_one();
        let sum = |a: &[u32; 6], b: &[u32; 6]| -> [u32; 6] { std::array::from_fn(|p| a[p] + b[p]) };
        let two: BTreeSet<_> = one.iter().flat_map(|a| one.iter().map(|b| sum(a, b))).collect();
        for (devices, all) in [(1, &one), (2, &two)] {
            let mut tried = 0;
            for counts in all {
                assert!(holds(counts, devices), "{counts:?} on {devices}");
                for row in 0..6 {
                    let mut more = *counts;
                    more[row] += 1;
                    assert_eq!(holds(&more, devices), all.contains(&more), "{more:?}");
                    tried += 1;
                }
            }
            assert!(tried > 300, "{tried}");
        }
    }
}
