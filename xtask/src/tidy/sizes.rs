//! Size ratchets: a file or function over the limit needs an exception, and those only shrink.

use super::limits::Exceptions;
use super::scan::{self, Function};
use crate::workspace::{self, File};

/// Longest file in lines, tests included: what a reader keeps in mind in one sitting.
const FILE_LINES_MAX: usize = 700;
/// Longest function in lines: one screen.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    let list = std::fs::read_to_string(workspace::root().join("xtask/tidy-exceptions.txt"));
    let mut exceptions = Exceptions::parse(&list.unwrap_or_default(), &mut found);
    for file in rust(files) {
        let key = format!("file {}", file.path);
        found.extend(exceptions.judge(&key, file.text.lines().count(), FILE_LINES_MAX));
        for function in functions(file) {
            let key = format!("fn {} {}", file.path, function.name);
            let finding = exceptions.judge(&key, function.lines, FUNCTION_LINES_MAX);
            found.extend(finding.map(|sentence| format!("{sentence} (line {})", function.line)));
        }
    }
    found.extend(exceptions.stale());
    found
}

/// Median, 90th percentile and longest of files and functions, and of tests to code.
pub(super) fn summary(files: &[File]) -> String {
    let lengths = rust(files).map(|file| file.text.lines().count()).collect();
    let functions = rust(files).flat_map(functions).map(|function| function.lines).collect();
    format!("files      {}\nfunctions  {}", Spread(lengths), Spread(functions))
}

struct Spread(Vec<usize>);

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |percent| sorted.get(sorted.len() * percent / 100).or(sorted.last()).unwrap_or(&0);
        let total: usize = sorted.iter().sum();
        let (count, longest) = (sorted.len(), sorted.last().unwrap_or(&0));
        let (median, p90) = (at(50), at(90));
        write!(f, "{count:>5}, {total:>6} lines: median {median}, p90 {p90}, longest {longest}")
    }
}

fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.is_rust())
}

fn functions(file: &File) -> Vec<Function> {
    scan::functions(&scan::code_only(&file.text))
}
