//! What must not be left when everything has ended: processes, mounts, control groups, files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything found that still belongs to that state, one sentence each.
pub(super) fn find(state: &Path) -> Vec<String> {
    let mark = state.to_string_lossy().into_owned();
    let mut found = processes(&mark);
    found.extend(mounts(&mark));
    found.extend(groups(state));
    found.extend(half_files(state));
    found.extend(kept(state));
    found
}

/// Folders that are kept for a workload's next start, where none will have one.
fn kept(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(state.join("kept")).into_iter().flatten().flatten();
    entries.map(|entry| format!("a kept folder is left: {}", entry.path().display())).collect()
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

/// Control groups of this state's runs: the runtime calls them `weft/<state>-…`, the state by
/// the start of a digest of its `runs` folder.
fn groups(state: &Path) -> Vec<String> {
    let Some(front) = fingerprint(&state.join("runs")) else {
        return vec!["`sha256sum` is missing, control groups are not looked at".to_owned()];
    };
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.file_name().to_string_lossy().starts_with(&front) {
                found.push(format!("a control group is left: {}", entry.path().display()));
            }
            folders.push(entry.path());
        }
    }
    found
}

fn fingerprint(runs: &Path) -> Option<String> {
    let path = runs.canonicalize().ok()?;
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    child.stdin.take()?.write_all(path.as_os_str().as_encoded_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok()?.get(..12).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_found() {
        let state = tempfile::tempdir().expect("a folder");
        fs::create_dir(state.path().join("runs")).expect("a folder");
        assert_eq!(find(state.path()), Vec::<String>::new());

        fs::write(state.path().join("runs/exit.json.tmp"), "").expect("a file");
        let mut sleeper = Command::new("sleep");
        let mut child = sleeper.arg("60").current_dir(state.path()).spawn().expect("a process");
        let found = find(state.path());
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
