//! What is longer than it should be and may only get shorter: `xtask/tidy-exceptions.txt`.
//!
//! ```text
//! file crates/weft-x/src/y.rs 812
//! fn   crates/weft-x/src/y.rs name 84
//! ```

use std::collections::BTreeMap;

/// Longest a thing may be, by `file <path>` or `fn <path> <name>`.
pub(super) struct Exceptions(BTreeMap<String, usize>);

impl Exceptions {
    /// Reads the list; a line that is none of the two forms is a finding.
    pub(super) fn parse(text: &str, found: &mut Vec<String>) -> Self {
        let mut map = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.split_last().map(|(last, key)| (last.parse(), key)) {
                Some((Ok(limit), key)) if matches!(key, ["file", _] | ["fn", _, _]) => {
                    map.insert(key.join(" "), limit);
                }
                _ => found.push(format!("xtask/tidy-exceptions.txt: `{line}` has no known form")),
            }
        }
        Self(map)
    }

    /// Says what is wrong with a thing of this length, if anything is: it is over the general
    /// limit without an exception, over its exception, or under it, so that the list must shrink.
    pub(super) fn judge(&mut self, key: &str, length: usize, limit: usize) -> Option<String> {
        let exception = self.0.remove(key);
        let sentence = |what: String| Some(format!("{key}: {what}"));
        match exception {
            None if length <= limit => None,
            None => sentence(format!("{length} lines, allowed are {limit}")),
            Some(allowed) if length > allowed => {
                sentence(format!("{length} lines, its exception allows {allowed} and may not grow"))
            }
            Some(_) if length <= limit => {
                sentence("short enough; take it from xtask/tidy-exceptions.txt".to_owned())
            }
            Some(allowed) if length < allowed => {
                sentence(format!("{length} lines; lower its exception from {allowed}"))
            }
            Some(_) => None,
        }
    }

    /// Exceptions for what no longer exists.
    pub(super) fn stale(self) -> impl Iterator<Item = String> {
        let sentence = |key| format!("{key}: gone; take it from xtask/tidy-exceptions.txt");
        self.0.into_keys().map(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_may_only_shrink() {
        let mut found = Vec::new();
        let text = "# why\nfile a.rs 800\nfn a.rs long 90\nfile gone.rs 900\nnonsense\n";
        let mut exceptions = Exceptions::parse(text, &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(exceptions.judge("file a.rs", 800, 700), None);
        assert!(exceptions.judge("fn a.rs long", 89, 70).is_some_and(|s| s.contains("lower")));
        assert_eq!(exceptions.judge("file b.rs", 700, 700), None);
        assert!(exceptions.judge("file b.rs", 701, 700).is_some());
        assert_eq!(exceptions.stale().count(), 1);
    }
}
