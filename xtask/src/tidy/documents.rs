//! Documents name what exists: links lead somewhere, and `ARCHITECTURE.md` knows every crate.

use crate::workspace::{self, File};
use std::path::{Component, Path, PathBuf};

/// Longest the map may be and still be read in one sitting.
const ARCHITECTURE_LINES_MAX: usize = 350;

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        check_links(file, &mut found);
    }
    check_decisions(files, &mut found);
    match files.iter().find(|file| file.path == "ARCHITECTURE.md") {
        Some(file) => check_architecture(file, &workspace::crates(), &mut found),
        None => found.push("ARCHITECTURE.md: missing".to_owned()),
    }
    found
}

fn check_links(file: &File, found: &mut Vec<String>) {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    for (number, line) in (1..).zip(file.text.lines()) {
        for target in links(line) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = path.contains("://") || path.starts_with("mailto:") || path.is_empty();
            if !outside && !workspace::root().join(resolve(folder, path)).exists() {
                found.push(format!("{}:{number}: `{target}` leads nowhere", file.path));
            }
        }
    }
}

/// Targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn resolve(folder: &Path, path: &str) -> PathBuf {
    let mut resolved = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

/// Every decision is in the list of decisions.
fn check_decisions(files: &[File], found: &mut Vec<String>) {
    let decision = |file: &&File| {
        let name = file.path.strip_prefix("docs/adr/").unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_digit())
    };
    let list = files.iter().find(|file| file.path == "docs/adr/README.md");
    for file in files.iter().filter(decision) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if !list.is_some_and(|list| list.text.contains(&format!("]({name})"))) {
            found.push(format!("{}: not in docs/adr/README.md", file.path));
        }
    }
}

fn check_architecture(file: &File, crates: &[String], found: &mut Vec<String>) {
    let lines = file.text.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        found.push(format!("{}: {lines} lines, allowed are {ARCHITECTURE_LINES_MAX}", file.path));
    }
    let quoted: Vec<&str> = file.text.split('`').skip(1).step_by(2).collect();
    for name in crates.iter().filter(|name| !quoted.contains(&name.as_str())) {
        found.push(format!("{}: `{name}` is missing", file.path));
    }
    for name in &quoted {
        let is_crate =
            name.starts_with("weft-") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if is_crate && !crates.iter().any(|known| known == name) {
            found.push(format!("{}: there is no crate `{name}`", file.path));
        }
        let is_path = name.contains('/')
            && [".rs", ".md", ".toml", ".yaml", ".txt", "/"].iter().any(|end| name.ends_with(end))
            && !name.contains(['*', '<', '$', '~', '{', ' '])
            && !name.starts_with('/');
        if is_path && !workspace::root().join(name).exists() {
            found.push(format!("{}: there is no `{name}`", file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_and_dead_names_are_found() {
        let text = "[a](src/lib.rs) [b](../README-none.md#x) [c](https://example.org)\n";
        let file = File { path: "docs/x.md".to_owned(), text: text.to_owned() };
        let mut found = Vec::new();
        check_links(&file, &mut found);
        assert_eq!(found.len(), 2, "{found:?}");

        let file = |path: &str| File { path: path.to_owned(), text: "[a](0001-a.md)".to_owned() };
        let files =
            ["README.md", "0001-a.md", "0002-b.md"].map(|name| file(&format!("docs/adr/{name}")));
        let mut found = Vec::new();
        check_decisions(&files, &mut found);
        assert_eq!(found, ["docs/adr/0002-b.md: not in docs/adr/README.md"]);

        let text = "`weft-a` `weft-gone` `xtask/src/main.rs` `crates/none/src/lib.rs`";
        let file = File { path: "ARCHITECTURE.md".to_owned(), text: text.to_owned() };
        let mut found = Vec::new();
        check_architecture(&file, &["weft-a".to_owned(), "weft-b".to_owned()], &mut found);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
