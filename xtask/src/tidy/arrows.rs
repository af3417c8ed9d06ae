//! The arrows of the house (`ARCHITECTURE.md`): which crate may use which, and who alone may
//! use a heavy dependency.

use crate::workspace::File;
use std::collections::BTreeSet;

/// Each crate, and the crates of ours it may use. A crate that is not here is a finding.
const MAY_USE: &[(&str, &[&str])] = &[
    ("weft-types", &[]),
    ("weft-api", &["weft-types"]),
    ("weft-pack", &[]),
    ("weft-sched", &["weft-pack", "weft-types"]),
    ("weft-lifecycle", &["weft-types"]),
    ("weft-sim", &["weft-lifecycle", "weft-pack", "weft-sched", "weft-types"]),
    ("weft-meter", &["weft-types"]),
    ("weft-policy", &["weft-types"]),
    ("weft-tracking", &[]),
    ("weft-store", &["weft-lifecycle", "weft-meter", "weft-sched", "weft-tracking", "weft-types"]),
    ("weft-device", &["weft-sched", "weft-types"]),
    ("weft-source", &[]),
    ("weft-gateway", &["weft-source", "weft-store", "weft-types"]),
    ("weft-mount", &[]),
    ("weft-view", &[]),
    ("weft-cuda-abi", &[]),
    ("weft-cuda-shim", &["weft-cuda-abi"]),
    ("weft-runtime", &["weft-cuda-abi", "weft-mount", "weft-types"]),
    ("weft-client", &["weft-api", "weft-types"]),
    (
        "weft-agent",
        &[
            "weft-api",
            "weft-cuda-abi",
            "weft-device",
            "weft-lifecycle",
            "weft-meter",
            "weft-runtime",
            "weft-sched",
            "weft-store",
            "weft-types",
        ],
    ),
    (
        "weft-server",
        &[
            "weft-agent",
            "weft-api",
            "weft-device",
            "weft-gateway",
            "weft-lifecycle",
            "weft-meter",
            "weft-policy",
            "weft-runtime",
            "weft-sched",
            "weft-source",
            "weft-store",
            "weft-tracking",
            "weft-types",
            "weft-view",
        ],
    ),
    (
        "weft",
        &[
            "weft-agent",
            "weft-api",
            "weft-client",
            "weft-cuda-shim",
            "weft-device",
            "weft-runtime",
            "weft-server",
            "weft-sim",
            "weft-store",
            "weft-types",
        ],
    ),
    ("weft-fakecuda", &["weft-cuda-abi", "weft-device"]),
    ("weft-testkit", &[]),
    ("xtask", &["weft-cuda-abi"]),
];

/// Crates whose `no_std` proves that they have no clock, files, network or random hash order.
const PURE: [&str; 6] =
    ["weft-types", "weft-pack", "weft-sched", "weft-lifecycle", "weft-meter", "weft-cuda-abi"];

/// Dependencies that stay in one room, and the room.
const ONLY_IN: &[(&str, &str)] = &[
    ("axum", "weft-server"),
    ("cedar-policy", "weft-policy"),
    ("clap", "weft"),
    ("indicatif", "weft"),
    ("landlock", "weft-runtime"),
    ("lz4_flex", "weft-view"),
    ("nvml-wrapper", "weft-device"),
    ("oci-client", "weft-runtime"),
    ("rusqlite", "weft-store"),
    ("ruzstd", "weft-view"),
    ("s3s", "weft-server"),
    ("saphyr-parser", "weft-api"),
    ("snap", "weft-view"),
];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        match file.text.parse::<toml::Table>() {
            Ok(manifest) => check_manifest(&file.path, &manifest, &mut found),
            Err(error) => found.push(format!("{}: {error}", file.path)),
        }
    }
    for name in PURE {
        let path = format!("crates/{name}/src/lib.rs");
        let pure = |file: &&File| file.path == path && file.text.contains("\n#![no_std]");
        if !files.iter().any(|file| pure(&file)) {
            found.push(format!("{path}: `#![no_std]` is missing"));
        }
    }
    found
}

fn check_manifest(path: &str, manifest: &toml::Table, found: &mut Vec<String>) {
    let name = manifest["package"]["name"].as_str().unwrap_or_default();
    let folder = path.trim_end_matches("/Cargo.toml").rsplit('/').next();
    if folder != Some(name) {
        found.push(format!("{path}: the folder is not named `{name}`"));
    }
    let uses = dependencies(manifest, "dependencies");
    let tests_use = dependencies(manifest, "dev-dependencies");
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        found.push(format!("{path}: `{name}` has no place in xtask/src/tidy/arrows.rs"));
        return;
    };
    for used in uses.iter().filter(|used| used.starts_with("weft")) {
        if !allowed.contains(&used.as_str()) {
            found.push(format!("{path}: `{name}` may not use `{used}`"));
        }
    }
    for (heavy, room) in ONLY_IN.iter().filter(|(_, room)| *room != name) {
        if uses.contains(*heavy) || tests_use.contains(*heavy) {
            found.push(format!("{path}: `{heavy}` stays in `{room}`"));
        }
    }
    if uses.contains("weft-testkit") {
        found.push(format!("{path}: `weft-testkit` is for tests only"));
    }
}

fn dependencies(manifest: &toml::Table, section: &str) -> BTreeSet<String> {
    let table = manifest.get(section).and_then(toml::Value::as_table);
    table.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        check_manifest(path, &text.parse().expect("a manifest"), &mut found);
        found
    }

    #[test]
    fn an_arrow_upwards_is_found() {
        let text = "[package]\nname = \"weft-sched\"\n[dependencies]\nweft-store.workspace = true";
        let found = findings("crates/weft-sched/Cargo.toml", text);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_heavy_dependency_stays_in_its_room() {
        let text = "[package]\nname = \"weft-agent\"\n[dev-dependencies]\nrusqlite = \"1\"";
        let found = findings("crates/weft-agent/Cargo.toml", text);
        assert!(found[0].contains("stays in `weft-store`"), "{found:?}");
        let text = "[package]\nname = \"weft-store\"\n[dependencies]\nrusqlite = \"1\"";
        assert!(findings("crates/weft-store/Cargo.toml", text).is_empty());
    }

    #[test]
    fn arrows_run_only_down() {
        let place = |name: &str| MAY_USE.iter().position(|(known, _)| *known == name);
        for (name, uses) in MAY_USE {
            for used in *uses {
                assert!(place(used) < place(name), "{name} uses {used}");
            }
        }
    }
}
