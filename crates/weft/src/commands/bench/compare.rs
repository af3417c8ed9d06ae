//! Alternating measurements compared: means, and the interval in which a difference lies.
//!
//! Each round measures every way once, so what the machine does meanwhile meets all of them; the
//! difference is taken within each round, and its interval is Student's for paired samples
//! (W. S. Gosset, "The Probable Error of a Mean", Biometrika 6, 1908).

use serde::Serialize;

/// Two-sided 95 % points of Student's distribution for 1 to 30 degrees of freedom.
const T95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The same beyond them.
const T95_MANY: f64 = 1.960;

/// A figure of one way against the same of another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Mean of the way itself.
    pub(super) mean: f64,
    /// How much more than the other, in the same unit; less where negative.
    pub(super) more: f64,
    /// The true difference lies within so much of it, 19 times of 20.
    pub(super) within: f64,
}

/// The difference of rounds: `one` against `other`, in the same order. None without two rounds.
pub(super) fn difference(one: &[f64], other: &[f64]) -> Option<Difference> {
    let each: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
    let rounds = each.len();
    if rounds < 2 {
        return None;
    }
    let (more, count) = (mean(&each), rounds as f64);
    let spread = each.iter().map(|d| (d - more).powi(2)).sum::<f64>() / (count - 1.0);
    let point = T95.get(rounds - 2).copied().unwrap_or(T95_MANY);
    Some(Difference { mean: mean(one), more, within: point * (spread / count).sqrt() })
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / of.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found_within_its_interval() {
        let other = [100.0, 110.0, 90.0, 105.0];
        let one = [103.0, 112.0, 94.0, 107.0];
        let found = difference(&one, &other).unwrap();
        assert!((found.mean - 104.0).abs() < 1e-9 && (found.more - 2.75).abs() < 1e-9);
        // Differences 3, 2, 4, 2: standard deviation 0.9574, half of it times 3.182.
        assert!((found.within - 1.523).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn what_is_the_same_differs_by_nothing_and_one_round_says_nothing() {
        let same = difference(&[5.0, 7.0], &[5.0, 7.0]).unwrap();
        assert_eq!((same.more, same.within), (0.0, 0.0));
        assert_eq!(difference(&[5.0], &[4.0]), None);
    }
}
