//! Names that say nothing: a file or folder named so collects whatever fits nowhere.

use crate::workspace::File;

const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "misc", "manager", "managers", "core"];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let says_nothing = |file: &&File| {
        file.is_rust()
            && file.path.split('/').any(|part| {
                let name = part.strip_suffix(".rs").unwrap_or(part);
                let words = || name.split(['-', '_']);
                EMPTY_NAMES.contains(&name) || words().any(|w| EMPTY_NAMES[..7].contains(&w))
            })
    };
    let sentence = |file: &File| format!("{}: a name that says nothing", file.path);
    files.iter().filter(says_nothing).map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junk_drawer_is_found() {
        let file = |path: &str| File { path: path.to_owned(), text: String::new() };
        let bad = ["a/src/util.rs", "a/src/core/x.rs", "weft-common/src/lib.rs", "a/http_utils.rs"];
        let good = ["a/src/score.rs", "a/src/manage.rs", "a/src/plan.rs", "docs/util.md"];
        let files: Vec<File> = bad.into_iter().chain(good).map(file).collect();
        let found = check(&files);
        assert_eq!(found.len(), bad.len(), "{found:?}");
    }
}
