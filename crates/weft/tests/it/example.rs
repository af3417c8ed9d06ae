//! The README's example as it is written, its script and all. `cargo` alone is another one: it has
//! the binary of this build ready.

use crate::world;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use weft_testkit::World;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/digits");

/// `cargo build …` and `cargo run … -- ARGUMENTS`.
const CARGO: &str = "#!/bin/sh
[ \"$1\" = run ] || exit 0
while [ \"$1\" != -- ]; do shift; done
shift
exec \"$WEFT\" \"$@\"
";

/// `cargo` for the script; where it lies.
fn ready(world: &World) -> String {
    world.write("bin/cargo", CARGO);
    let bin = world.work().join("bin");
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    bin.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "packages of Python: cargo xtask test"]
fn clients_the_example_goes_from_data_to_a_model_that_says_where_it_comes_from() {
    let world = world();
    let bin = ready(&world);
    let copied = Command::new("cp").args(["-r", EXAMPLE]).arg(world.work()).status().unwrap();
    assert!(copied.success());
    let like = world.command(&[]);
    let said = like.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let path = |value: &OsStr| format!("{bin}:{}", value.to_str().unwrap());
    let index = env::vars_os().filter(|(name, _)| {
        name.to_str().is_some_and(|name| name.starts_with("PIP_") || name.starts_with("UV_"))
    });
    let mut script = Command::new("sh");
    script.arg("digits/run.sh").current_dir(world.work()).env_clear().envs(index);
    for (name, value) in said {
        let value = if name == "PATH" { path(value).into() } else { value.to_owned() };
        script.env(name, value);
    }
    let ran = script.env("WEFT", env!("CARGO_BIN_EXE_weft")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    for told in ["digits@v1", "digits-model@v1", "accuracy"] {
        assert!(out.contains(told), "{told}: {out}\n{err}");
    }

    let lineage = world.ok(&["data", "lineage", "digits-model"]).out;
    assert!(lineage.contains("digits@v1") && lineage.contains("digits-model@v1"), "{lineage}");
    let model = world.work().join("fetched");
    world.ok(&["data", "get", "digits-model@v1", model.to_str().unwrap()]);
    assert!(fetched(&model, "weights.npz") > 1_000 && fetched(&model, "metrics.json") > 10);
}

/// Bytes of a fetched file.
fn fetched(folder: &Path, name: &str) -> u64 {
    fs::metadata(folder.join(name)).map_or(0, |of| of.len())
}
