//! Copies an interpreter that sandboxes cannot see into the environment.
//!
//! Only what running needs: the program, its library and the standard library. Left out are
//! headers, tests, static libraries and whatever was installed into it. Times are kept, because
//! compiled files are tied to their source's.

use super::EnvironmentError;
use super::interpreter::Interpreter;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Parts of a standard library that no program imports.
const LEFT_OUT: [&str; 6] =
    ["site-packages", "dist-packages", "test", "idlelib", "turtledemo", "ensurepip"];

/// A search path for libraries relative to the program (`ld.so(8)`).
const BESIDE: &[u8] = b"$ORIGIN/../lib";

/// Copies the interpreter below `to` and returns the copy's program. Blocks on the disk.
pub(super) fn copy(from: &Interpreter, to: &Path) -> Result<PathBuf, EnvironmentError> {
    let name = format!("python{}", from.short());
    let program = to.join("bin").join(&name);
    fs::create_dir_all(to.join("bin"))?;
    copy_file(&from.executable, &program)?;
    if from.shared && !find_library_beside_it(&program, &from.libraries)? {
        let reason = "where its library is cannot be changed";
        return Err(EnvironmentError::NotMovable { python: from.to_string(), reason });
    }
    for entry in fs::read_dir(from.prefix.join("lib"))? {
        let entry = entry?;
        let file_name = entry.file_name();
        let library = file_name.to_string_lossy();
        if library.starts_with("libpython") && library.contains(".so") {
            fs::create_dir_all(to.join("lib"))?;
            copy_file(&entry.path(), &to.join("lib").join(&file_name))?;
        }
    }
    copy_folder(&from.prefix.join("lib").join(&name), &to.join("lib").join(&name))?;
    // Where packages would be, and where a copied interpreter looks for it.
    fs::create_dir_all(to.join("lib").join(&name).join("site-packages"))?;
    Ok(program)
}

/// Makes the program look for its library relative to itself. Builds meant to be moved do; in
/// others the search path is overwritten in place, as chrpath does, since the new one is shorter.
fn find_library_beside_it(program: &Path, libraries: &str) -> io::Result<bool> {
    let mut bytes = fs::read(program)?;
    if position(&bytes, b"$ORIGIN").is_some() {
        return Ok(true);
    }
    let old = [b"\0", libraries.as_bytes(), b"\0"].concat();
    if libraries.len() < BESIDE.len() {
        return Ok(false);
    }
    let Some(at) = position(&bytes, &old) else { return Ok(false) };
    let path = &mut bytes[at + 1..at + old.len()];
    path.fill(0);
    path[..BESIDE.len()].copy_from_slice(BESIDE);
    fs::write(program, bytes)?;
    Ok(true)
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let name = entry.file_name();
            let kind = entry.file_type()?;
            if kind.is_dir() && !is_left_out(&name) {
                folders.push((entry.path(), to.join(&name)));
            } else if entry.path().is_file() && entry.path().extension() != Some(OsStr::new("a")) {
                copy_file(&entry.path(), &to.join(&name))?;
            }
        }
    }
    Ok(())
}

fn is_left_out(name: &OsStr) -> bool {
    LEFT_OUT.iter().any(|left_out| name == *left_out)
        || name.to_string_lossy().starts_with("config-")
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let modified = fs::metadata(from)?.modified()?;
    fs::File::open(to)?.set_modified(modified)
}
