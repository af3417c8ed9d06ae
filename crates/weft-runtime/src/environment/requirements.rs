//! A requirements file, read only to refuse what is not locked.
//!
//! Each package must name one version and the SHA-256 of its files: then what is installed does
//! not depend on when or from which index it is fetched, and one environment can serve everyone
//! who sends the same text. Options are refused: the index is the machine's, not the workload's,
//! and addresses in the text would make the server fetch what a user chose. Format: pip's
//! "Requirements File Format" and PEP 508.

use super::EnvironmentError;

/// Hundreds of packages with hashes for every platform stay under one megabyte.
const REQUIREMENTS_BYTES_MAX: usize = 4 << 20;

/// Weakest hash accepted, and its length in hexadecimal digits; pip knows two longer ones.
const HASHES: [(&str, usize); 3] = [("sha256:", 64), ("sha384:", 96), ("sha512:", 128)];

/// Says what is wrong with a requirements text, naming the line and what to do. For the API,
/// before a workload is accepted.
pub fn check_requirements(text: &str) -> Result<(), EnvironmentError> {
    locked(text).map(drop)
}

/// The packages of a text, one line each, without comments, sorted: equal for texts that install
/// the same. The installer is given these, never the original.
pub(super) fn locked(text: &str) -> Result<Vec<String>, EnvironmentError> {
    if text.len() > REQUIREMENTS_BYTES_MAX {
        return Err(bad(1, "", "the text is larger than 4 MiB"));
    }
    if let Some(at) = foreign_control(text) {
        let line = text[..at].lines().count().max(1);
        return Err(bad(line, "", "has a control character: lines end with a line feed"));
    }
    let mut packages = Vec::new();
    for (line, package) in logical_lines(text) {
        check(line, &package)?;
        packages.push(package.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    packages.sort_unstable();
    packages.dedup();
    Ok(packages)
}

/// Where a control character is that is neither a tab nor part of a line's end. Installers end a
/// line, and with it a comment, at a lone carriage return: what follows would be read by them only.
fn foreign_control(text: &str) -> Option<usize> {
    let legal = |at: usize, c: char| match c {
        '\n' | '\t' => true,
        '\r' => text[at + 1..].starts_with('\n'),
        other => !other.is_control(),
    };
    text.char_indices().find(|(at, c)| !legal(*at, *c)).map(|(at, _)| at)
}

/// Lines joined at their backslashes, without comments; each with the number of its first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, line) in text.lines().enumerate() {
        let comment = line.starts_with('#').then_some(0).or_else(|| line.find(" #"));
        let line = line[..comment.unwrap_or(line.len())].trim();
        let (part, more) = match line.strip_suffix('\\') {
            Some(part) => (part.trim_end(), true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, open)) if continued => *open = format!("{open} {part}"),
            _ => lines.push((index + 1, part.to_owned())),
        }
        continued = more;
    }
    lines.retain(|(_, line)| !line.is_empty());
    lines
}

fn check(line: usize, package: &str) -> Result<(), EnvironmentError> {
    if package.starts_with('-') {
        return Err(bad(line, package, "options are not read: the package index is the machine's"));
    }
    let words = package.split_whitespace();
    let is_spec = |word: &&str| !word.starts_with("--");
    let spec: Vec<_> = words.clone().take_while(is_spec).collect();
    let rest = words.skip(spec.len());
    let Some(hashes) = rest.map(|word| word.strip_prefix("--hash=")).collect::<Option<Vec<_>>>()
    else {
        return Err(bad(line, package, "has more than a version and its hashes"));
    };
    let spec = spec.join(" ");
    let spec = spec.split(';').next().unwrap_or_default();
    if spec.contains("://") || spec.contains('@') || spec.contains('/') {
        return Err(bad(
            line,
            package,
            "packages come from the index, not from an address or path",
        ));
    }
    if !is_pinned(spec) {
        return Err(bad(line, package, "is not locked to one version with `==`"));
    }
    let known = |hash: &&str| {
        HASHES.iter().any(|(kind, digits)| {
            let hex = hash.strip_prefix(kind).unwrap_or_default();
            hex.len() == *digits && hex.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    match hashes.iter().all(known) {
        _ if hashes.is_empty() => Err(bad(line, package, "has no `--hash=sha256:…`")),
        true => Ok(()),
        false => Err(bad(line, package, "has a hash that is not SHA-256, SHA-384 or SHA-512")),
    }
}

/// `name[extras]==version`, with neither a wildcard nor a second condition.
fn is_pinned(spec: &str) -> bool {
    let Some((name, version)) = spec.split_once("==") else { return false };
    let (name, version) = (name.trim(), version.trim_start_matches('=').trim());
    let name_ok = |b: u8| b.is_ascii_alphanumeric() || b"-_.[], ".contains(&b);
    let version_ok = |b: u8| b.is_ascii_alphanumeric() || b".+!-_".contains(&b);
    name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(name_ok)
        && !version.is_empty()
        && version.bytes().all(version_ok)
}

fn bad(line: usize, text: &str, rule: &'static str) -> EnvironmentError {
    let shown = text.split(" --hash").next().unwrap_or_default().chars().take(80).collect();
    EnvironmentError::Requirements { line, text: shown, rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash() -> String {
        format!("--hash=sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn what_a_lock_tool_writes_is_accepted() {
        let text = format!(
            "# by a tool\nnumpy==2.4.6 ; python_full_version < '3.12' \\\n    {h} \\\n    {h}\n\
             \n    # via scikit-learn\nuvicorn[standard]==0.30.1 {h}  # web\n",
            h = hash()
        );
        let packages = locked(&text).unwrap();
        assert_eq!(packages.len(), 2);
        assert!(packages[0].starts_with("numpy==2.4.6 ; python_full_version"));
        let reordered = format!(
            "uvicorn[standard]==0.30.1 {h}\nnumpy==2.4.6 ; \
            python_full_version < '3.12' {h} {h}",
            h = hash()
        );
        assert_eq!(locked(&reordered).unwrap(), packages);
        assert!(locked("\n# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn refusals_name_the_line_and_the_rule() {
        let hash = hash();
        let cases = [
            ("numpy".to_owned(), "locked to one version"),
            (format!("numpy>=1.0 {hash}"), "locked to one version"),
            (format!("numpy==1.* {hash}"), "locked to one version"),
            (format!("numpy==1.0,<2 {hash}"), "locked to one version"),
            ("numpy==1.0".to_owned(), "no `--hash"),
            ("numpy==1.0 --hash=md5:00".to_owned(), "not SHA-256"),
            ("--index-url https://host/simple".to_owned(), "options"),
            ("-r other.txt".to_owned(), "options"),
            (format!("a @ https://host/a.whl {hash}"), "not from an address"),
            (format!("./local.whl {hash}"), "not from an address"),
            (format!("a==1 {hash} --index-url https://host"), "more than a version"),
            (format!("a==1 {hash} -r other.txt"), "more than a version"),
        ];
        for (text, rule) in cases {
            let refused =
                check_requirements(&format!("# first\n{text}\n")).unwrap_err().to_string();
            assert!(refused.contains("line 2") && refused.contains(rule), "{text}: {refused}");
        }
    }

    /// An installer that ends lines where this does not reads options that were never checked:
    /// another index, files of the machine, source packages built with the server's rights.
    #[test]
    fn no_line_is_hidden_from_the_check() {
        let hash = hash();
        for hidden in ["\r", "\x0b", "\x0c", "\u{85}", "\x1e", "\r\r\n"] {
            for before in ["# comment", &format!("a==1 {hash}"), ""] {
                let text = format!("{before}{hidden}--no-binary :all:\nb==1 {hash}\n");
                assert!(check_requirements(&text).is_err(), "{text:?}");
            }
        }
        let windows = format!("# comment\r\na==1 \\\r\n\t{hash}\r\n");
        assert_eq!(locked(&windows).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = check_requirements(&text);
        }
    }
}
