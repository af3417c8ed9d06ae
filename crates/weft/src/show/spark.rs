//! Sparklines: a value over time in one line.

use super::terminal::glyphs;

/// The values as bars of a scale from 0 to `most`, the newest at the right; of more than fit
/// each bar is the highest of its part.
pub(crate) fn sparkline(values: &[u64], most: u64, columns: usize) -> String {
    let (bars, columns) = (glyphs().bars, columns.max(1));
    let count = values.len().min(columns).max(1);
    let part = |n: usize| {
        let (from, to) = (n * values.len() / count, (n + 1) * values.len() / count);
        values[from..to].iter().copied().max()
    };
    let bar = |value: u64| {
        let top = bars.len() as u64 - 1;
        // Anything above nothing shows above the lowest bar only when it would round there.
        bars[(value.min(most) * top).div_ceil(most.max(1)) as usize % bars.len()]
    };
    (0..count).filter_map(part).map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_bars_as_fit() {
        assert_eq!(sparkline(&[], 10, 5), "");
        assert_eq!(sparkline(&[0, 5, 10], 10, 5).chars().count(), 3);
        assert_eq!(sparkline(&[1; 100], 10, 20).chars().count(), 20);
        let line = sparkline(&[0, 10, 99], 10, 3);
        let bars: Vec<_> = line.chars().collect();
        assert_eq!(bars[1], bars[2]);
        assert_ne!(bars[0], bars[1]);
        assert_eq!(sparkline(&[0, 0], 0, 3).chars().count(), 2);
    }
}
