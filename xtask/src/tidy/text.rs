//! What no file of ours may hold, and what every Rust file must open with.

use super::scan;
use crate::workspace::File;

/// Longest line of Rust, in characters: two files beside one another on a laptop.
const COLUMNS_MAX: usize = 100;

/// Code that is not finished or silences a lint without a reason, and the right way.
const NOT_IN_CODE: [(&str, &str); 4] = [
    ("#[allow(", "write #[expect(lint, reason = \"…\")]"),
    ("#![allow(", "write #![expect(lint, reason = \"…\")]"),
    (concat!("todo", "!("), "finish it or leave it out"),
    (concat!("unimplemented", "!("), "finish it or leave it out"),
];

/// Text that is true on one machine or one network only.
const NOT_IN_TEXT: [(&str, &str); 7] = [
    (concat!("/wor", "k/main"), "a path of one machine"),
    (concat!("/wor", "k/shared"), "a path of one machine"),
    (concat!("/root/", ".cargo"), "a path of one machine"),
    (concat!("index.crates", ".io"), "a package registry's host"),
    (concat!("pythonhosted", ".org"), "a package registry's host"),
    (concat!("pypi", ".org"), "a package registry's host"),
    (concat!("deb.debian", ".org"), "a package registry's host"),
];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        if file.is_rust() {
            check_rust(file, &mut found);
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            let at = || format!("{}:{number}", file.path);
            if line.ends_with([' ', '\t']) && !is_golden(file) {
                found.push(format!("{}: blanks at the end of the line", at()));
            }
            for (text, why) in NOT_IN_TEXT.iter().filter(|(text, _)| line.contains(text)) {
                found.push(format!("{}: `{text}` is {why}", at()));
            }
        }
    }
    found
}

/// How wide a line is. What no formatter can break is not counted: the rows of a table in a
/// comment, and in tests the text of another language at the end of a line.
fn columns(file: &File, line: &str, code: &str) -> usize {
    let comment = line.trim_start().starts_with("//");
    let row = comment && line.ends_with('|');
    let text = !comment && file.path.contains("/tests/");
    match (row, text) {
        (true, _) => 0,
        (false, true) => code.trim_end_matches([' ', ';', ',', ')']).chars().count(),
        (false, false) => line.chars().count(),
    }
}

/// Whether the text is what a program printed, kept as it is.
fn is_golden(file: &File) -> bool {
    file.path.contains("/golden/") || file.path.ends_with(".snap")
}

fn check_rust(file: &File, found: &mut Vec<String>) {
    if !file.text.starts_with("//! ") {
        found.push(format!("{}: does not open with `//!` and a sentence", file.path));
    }
    let code = scan::code_only(&file.text);
    for (number, (line, code)) in (1..).zip(file.text.lines().zip(code.lines())) {
        let columns = columns(file, line, code);
        if columns > COLUMNS_MAX {
            found.push(format!("{}:{number}: {columns} columns", file.path));
        }
        for (text, instead) in NOT_IN_CODE.iter().filter(|(text, _)| code.contains(text)) {
            found.push(format!("{}:{number}: `{text}`: {instead}", file.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_and_machine_bound_text_is_found() {
        let text = concat!("//! A file.\n#[al", "low(dead_code)]\nfn f() { to", "do!() } \n");
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("a.rs", text),
            file("b.rs", "fn g() {}\n"),
            file("c.md", concat!("see /wor", "k/main\n")),
            file("d.rs", "//! Says \"#[allow(\" in a comment only.\n"),
        ];
        let found = check(&files);
        assert_eq!(found.len(), 5, "{found:#?}");
    }
}
