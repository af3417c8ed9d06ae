//! `cargo xtask tidy`: the rules of the house that a compiler does not know; also a test.
//!
//! Each rule is a file here and returns its findings, one sentence each, as `path: what`.

mod arrows;
mod documents;
mod limits;
mod names;
mod scan;
mod sizes;
mod text;

use crate::workspace::{self, File};

type Rule = (&'static str, fn(&[File]) -> Vec<String>);

const RULES: &[Rule] = &[
    ("arrows", arrows::check),
    ("names", names::check),
    ("text", text::check),
    ("sizes", sizes::check),
    ("documents", documents::check),
];

/// Prints the findings and the sizes; fails when there is a finding.
pub(crate) fn run(_args: &[String]) -> crate::Outcome {
    let files = workspace::files();
    println!("{}", sizes::summary(&files));
    let found = findings(&files);
    for finding in &found {
        println!("{finding}");
    }
    match found.len() {
        0 => Ok(()),
        count => Err(format!("{count} findings")),
    }
}

fn findings(files: &[File]) -> Vec<String> {
    let tagged = |(name, rule): &Rule| {
        let tag = move |finding: String| format!("[{name}] {finding}");
        rule(files).into_iter().map(tag).collect::<Vec<_>>()
    };
    RULES.iter().flat_map(tagged).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_tidy() {
        let found = super::findings(&crate::workspace::files());
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
