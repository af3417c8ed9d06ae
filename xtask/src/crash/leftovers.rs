//! What must not be left when everything has ended: processes, mounts, control groups, files.

use std::fs;
use std::path::Path;

/// Everything found that still belongs to that state, one sentence each.
pub(super) fn find(state: &Path) -> Vec<String> {
    let mark = state.to_string_lossy().into_owned();
    let mut found = processes(&mark);
    found.extend(mounts(&mark));
    found.extend(groups(&mark));
    found.extend(half_files(state));
    found
}

/// Processes whose command line, environment or working folder names the state.
fn processes(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|b| b.is_ascii_digit()) || name == std::process::id().to_string() {
            continue;
        }
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let names = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(mark);
        let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let here = folder.to_string_lossy().starts_with(mark);
        if names(read("cmdline")) || names(read("environ")) || here {
            let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            found.push(format!("process {name} is left: {line}"));
        }
    }
    found
}

fn mounts(mark: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let left = table.lines().filter(|line| line.contains(mark));
    left.map(|line| format!("a mount is left: {line}")).collect()
}

/// Control groups of members of this state; Weft names them after the state's folder.
fn groups(mark: &str) -> Vec<String> {
    let name = mark.rsplit('/').next().unwrap_or(mark).to_owned();
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.path().to_string_lossy().contains(&name) {
                found.push(format!("a control group is left: {}", entry.path().display()));
            }
            folders.push(entry.path());
        }
    }
    found
}

/// Files that were being written when the server was struck.
fn half_files(state: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![state.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if [".tmp", ".partial", ".new"].iter().any(|end| name.ends_with(end)) {
                found.push(format!("half a file is left: {}", entry.path().display()));
            }
        }
    }
    found
}
