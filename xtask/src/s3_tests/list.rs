//! The committed list, `docs/reference/s3-tests.md`: what passes, and of what does not, why.
//!
//! What stands before `## In numbers` is written by hand and kept; so are the reasons, which are
//! the headings that begin with `## Fails: `.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const NUMBERS: &str = "## In numbers";
const PASSES: &str = "## Passes";
const FAILS: &str = "## Fails: ";
/// The reason of what nobody has looked at: an error until somebody has.
const UNSAID: &str = "nobody has said why";

/// How a function ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Passes,
    Fails,
}

/// The list as it is committed.
#[derive(Debug, Default)]
pub(super) struct List {
    head: String,
    /// Each function that is listed; with a reason where it is listed as failing.
    functions: BTreeMap<String, Option<String>>,
}

/// How a run differs from the list.
#[derive(Debug, Default)]
pub(super) struct Differs {
    /// Functions that pass and are listed as failing.
    pub(super) better: Vec<String>,
    /// What is an error, in sentences.
    pub(super) worse: Vec<String>,
}

impl List {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (head, rest) = text.split_once(NUMBERS).unwrap_or((text, ""));
        let mut functions = BTreeMap::new();
        let mut reason: Option<Option<String>> = None;
        for line in rest.lines() {
            if let Some(why) = line.strip_prefix(FAILS) {
                reason = Some(Some(why.trim().to_owned()));
            } else if line.starts_with("## ") {
                reason = line.starts_with(PASSES).then_some(None);
            } else if let (Some(reason), Some(name)) = (&reason, named(line))
                && functions.insert(name.to_owned(), reason.clone()).is_some()
            {
                return Err(format!("docs/reference/s3-tests.md has {name} twice"));
            }
        }
        Ok(Self { head: head.to_owned(), functions })
    }

    /// How these ends differ from what is listed.
    pub(super) fn compare(&self, ends: &BTreeMap<String, End>) -> Differs {
        let mut differs = Differs::default();
        for (name, end) in ends {
            match (self.functions.get(name), end) {
                (Some(None), End::Fails) => {
                    differs.worse.push(format!("fails, and is listed as passing: {name}"));
                }
                (Some(Some(_)), End::Passes) => differs.better.push(name.clone()),
                (Some(Some(why)), End::Fails) if why == UNSAID => {
                    differs.worse.push(format!("fails, and {UNSAID}: {name}"));
                }
                (None, _) => differs.worse.push(format!("is not in the list: {name}")),
                _ => {}
            }
        }
        differs
    }

    /// The list as it is after a run.
    pub(super) fn written(
        &self,
        ends: &BTreeMap<String, End>,
        left_out: &BTreeMap<&'static str, Vec<String>>,
        commit: &str,
        figures: &str,
    ) -> String {
        let mut fails: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for (name, _) in ends.iter().filter(|(_, end)| **end == End::Fails) {
            let why = self.functions.get(name).and_then(Option::as_deref).unwrap_or(UNSAID);
            fails.entry(why).or_default().push(name);
        }
        let passes = ends.iter().filter(|(_, end)| **end == End::Passes).map(|(name, _)| name);
        let mut out = format!("{}{NUMBERS}\n\n", self.head);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "Of commit `{commit}`: {figures}.\n");
        let _ = writeln!(out, "| what | functions |\n|--|--|");
        let _ = writeln!(out, "| passes | {} |", passes.clone().count());
        for (why, names) in &fails {
            let _ = writeln!(out, "| fails: {why} | {} |", names.len());
        }
        for (rule, names) in left_out {
            let _ = writeln!(out, "| left out: {rule} | {} |", names.len());
        }
        for (why, names) in &fails {
            let _ = writeln!(out, "\n{FAILS}{why}\n\n{}", bullets(names.iter().copied()));
        }
        let _ = writeln!(out, "\n{PASSES}\n\n{}", bullets(passes));
        for (rule, names) in left_out {
            let _ = writeln!(out, "\n## Left out: {rule}\n\n{}", bullets(names.iter()));
        }
        out
    }
}

fn named(line: &str) -> Option<&str> {
    line.strip_prefix("- `")?.strip_suffix('`')
}

fn bullets<'n>(names: impl Iterator<Item = &'n String>) -> String {
    names.map(|name| format!("- `{name}`")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(of: &[(&str, End)]) -> BTreeMap<String, End> {
        of.iter().map(|(name, end)| ((*name).to_owned(), *end)).collect()
    }

    #[test]
    fn reasons_and_the_head_outlive_a_run() {
        let text = "# Head\n\nwords\n\n## In numbers\n\nold\n\n\
                    ## Fails: by design\n\n- `a`\n- `b`\n\
                    \n## Passes\n\n- `c`\n\n## Left out: CORS\n\n- `d`\n";
        let list = List::parse(text).unwrap();
        let now = ends(&[("a", End::Fails), ("b", End::Passes), ("c", End::Fails)]);
        let found = list.compare(&now);
        assert_eq!((found.better.as_slice(), found.worse.len()), (&["b".to_owned()][..], 1));
        let left = BTreeMap::from([("CORS", vec!["d".to_owned()])]);
        let again = list.written(&now, &left, "abc", "1 passes");
        assert!(again.starts_with("# Head\n\nwords\n\n## In numbers\n"), "{again}");
        let again = List::parse(&again).unwrap();
        assert_eq!(again.functions["a"].as_deref(), Some("by design"));
        assert_eq!(again.functions["b"], None);
        // What fails anew stays an error until somebody says why.
        assert_eq!(again.compare(&now).worse.len(), 1);
        assert_eq!(again.compare(&ends(&[("new", End::Passes)])).worse.len(), 1);
    }
}
