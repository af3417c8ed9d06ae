//! `cargo xtask deny`: what dependencies may be, by `deny.toml` and `cargo metadata`.
//!
//! Three checks of cargo-deny, in its own file format, without building its 170 crates on every
//! bare machine (`docs/adr/0008-own-dependency-check.md`). Absent on purpose: advisories, which
//! need a database from outside.

use crate::{Outcome, process, workspace};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Platform whose dependencies count; the product runs on Linux only.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Prints every finding; fails when there is one.
pub(crate) fn run(_args: &[String]) -> Outcome {
    let text = fs::read_to_string(workspace::root().join("deny.toml"))
        .map_err(|error| format!("deny.toml: {error}"))?;
    let rules = text.parse::<toml::Table>().map_err(|error| format!("deny.toml: {error}"))?;
    let args = ["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM];
    let json = process::quiet(&mut process::cargo(&args)).ok_or("`cargo metadata` failed")?;
    let metadata: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let all = metadata["packages"].as_array().ok_or("no packages in the metadata")?;
    let built = built()?;
    let is_built = |package: &&Value| {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        built.contains(&(text("name").to_owned(), text("version").to_owned()))
    };
    let packages: Vec<Value> = all.iter().filter(is_built).cloned().collect();

    let found = findings(&rules, &packages);
    for finding in &found {
        println!("{finding}");
    }
    match found.len() {
        0 => {
            println!("{} packages: licences, sources and versions as agreed", packages.len());
            Ok(())
        }
        count => Err(format!("{count} findings")),
    }
}

/// Names and versions of what is compiled. The metadata also have what a feature that nobody asked
/// for would bring in.
fn built() -> Result<BTreeSet<(String, String)>, String> {
    let edges = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}"];
    let mut args = vec!["tree", "--workspace", "--locked", "--target", PLATFORM];
    args.extend(edges);
    let text = process::quiet(&mut process::cargo(&args)).ok_or("`cargo tree` failed")?;
    let package = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    Ok(text.lines().filter_map(package).collect())
}

fn findings(rules: &toml::Table, packages: &[Value]) -> Vec<String> {
    let allowed = strings(rules, "licenses", "allow");
    let banned = strings(rules, "bans", "deny");
    let doubled = strings(rules, "bans", "skip");
    let mut found = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        versions.entry(name).or_default().push(version);
        if !licence_allowed(text("license"), &allowed) {
            found.push(format!("{name} {version}: licence `{}`", text("license")));
        }
        let registry = text("source").starts_with("registry+");
        if !package["source"].is_null() && !registry {
            found.push(format!("{name} {version}: from `{}`", text("source")));
        }
        if banned.iter().any(|banned| banned == name) {
            found.push(format!("{name} {version}: banned by deny.toml"));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if !doubled.iter().any(|known| known == name) {
            found.push(format!("{name}: compiled {} times: {versions:?}", versions.len()));
        }
    }
    for name in
        doubled.iter().filter(|name| versions.get(name.as_str()).is_none_or(|v| v.len() < 2))
    {
        found.push(format!("{name}: no longer doubled; take it from deny.toml"));
    }
    found
}

/// Strings of a list, or the `crate` of its tables.
fn strings(rules: &toml::Table, section: &str, key: &str) -> Vec<String> {
    let list = rules.get(section).and_then(|s| s.get(key)).and_then(toml::Value::as_array);
    let name = |value: &toml::Value| {
        let inner = value.get("crate").unwrap_or(value);
        inner.as_str().map(str::to_owned)
    };
    list.into_iter().flatten().filter_map(name).collect()
}

/// Whether an SPDX expression can be met with allowed licences. `/` is an old way to write OR;
/// an exception (`WITH`) only adds permissions and must be allowed with its licence.
fn licence_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let value = either(&words, &mut at, allowed);
    value && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut value = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        value |= both(words, at, allowed);
    }
    value
}

fn both(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut value = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        value &= one(words, at, allowed);
    }
    value
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let value = either(words, at, allowed);
        *at += 1;
        return value;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_or_not() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        let met = ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"];
        let not_met =
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT AND GPL-3.0)", "Apache-2.0 WITH X", "MIT MIT"];
        for expression in met {
            assert!(licence_allowed(expression, &allowed), "{expression}");
        }
        for expression in not_met {
            assert!(!licence_allowed(expression, &allowed), "{expression}");
        }
    }

    #[test]
    fn every_rule_finds_its_breach() {
        let rules = "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"openssl\" }]\n\
                     skip = [\"gone\"]";
        let package = |name: &str, version: &str, license: &str, source: &str| {
            serde_json::json!({
                "name": name, "version": version, "license": license, "source": source
            })
        };
        let packages = [
            package("a", "1.0.0", "MIT", "registry+x"),
            package("a", "2.0.0", "MIT", "registry+x"),
            package("b", "1.0.0", "GPL-3.0", "registry+x"),
            package("c", "1.0.0", "MIT", "git+https://example.org/c"),
            package("openssl", "1.0.0", "MIT", "registry+x"),
        ];
        let found = findings(&rules.parse().expect("rules"), &packages);
        assert_eq!(found.len(), 5, "{found:#?}");
    }
}
