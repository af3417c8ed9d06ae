//! Bundles: what is stored has its digest and unpacks; nothing else is.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};
use weft_runtime::{BundleError, Bundles};

const HOUR: Duration = Duration::from_secs(3600);

fn archive(files: &[(&str, &str)]) -> (String, Vec<u8>) {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    (hex::encode(Sha256::digest(&bytes)), bytes)
}

fn send(bundles: &Bundles, sha256: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let mut upload = bundles.begin(sha256)?;
    bytes.chunks(700).try_for_each(|chunk| upload.write(chunk))?;
    upload.check()?.store()
}

fn leftovers(state: &Path) -> usize {
    fs::read_dir(state.join("bundles/.building")).map_or(0, Iterator::count)
}

#[test]
fn a_bundle_goes_in_and_unpacks() {
    let state = tempfile::tempdir().unwrap();
    let bundles = Bundles::open(state.path()).unwrap();
    let (sha256, bytes) = archive(&[("train.py", "print(1)"), ("data/x.csv", "1,2")]);
    assert!(!bundles.has(&sha256));
    send(&bundles, &sha256, &bytes).unwrap();
    send(&bundles, &sha256, &bytes).unwrap();
    assert!(bundles.has(&sha256));
    assert_eq!(bundles.list().unwrap(), std::slice::from_ref(&sha256));
    let work = tempfile::tempdir().unwrap();
    bundles.unpack(&sha256, work.path(), None).unwrap();
    assert_eq!(fs::read_to_string(work.path().join("data/x.csv")).unwrap(), "1,2");
    bundles.remove(&sha256).unwrap();
    let gone = bundles.unpack(&sha256, work.path(), None);
    assert!(matches!(gone, Err(BundleError::Unknown(_))));
    assert_eq!(leftovers(state.path()), 0);
}

#[test]
fn what_is_named_or_was_wanted_lately_stays() {
    let state = tempfile::tempdir().unwrap();
    let bundles = Bundles::open(state.path()).unwrap();
    let old = |text: &str| {
        let (sha256, bytes) = archive(&[("f", text)]);
        send(&bundles, &sha256, &bytes).unwrap();
        let file = fs::File::open(state.path().join("bundles").join(&sha256)).unwrap();
        file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
        sha256
    };
    let (named, wanted, unused) = (old("named"), old("wanted"), old("unused"));
    assert!(bundles.has(&wanted));
    let (fresh, bytes) = archive(&[("f", "fresh")]);
    send(&bundles, &fresh, &bytes).unwrap();
    let names = BTreeSet::from([named.clone()]);
    assert_eq!(bundles.collect_garbage(HOUR, &names).unwrap(), 1);
    assert!(bundles.has(&named) && bundles.has(&wanted) && bundles.has(&fresh));
    assert!(!bundles.has(&unused));
}

#[test]
fn a_wrong_digest_a_broken_archive_and_a_bad_name_leave_nothing() {
    let state = tempfile::tempdir().unwrap();
    let bundles = Bundles::open(state.path()).unwrap();
    let (sha256, mut bytes) = archive(&[("f", "text")]);
    bytes[600] ^= 1;
    let refused = send(&bundles, &sha256, &bytes).unwrap_err();
    assert!(matches!(refused, BundleError::Digest { .. }), "{refused}");
    let junk = b"no archive";
    let name = hex::encode(Sha256::digest(junk));
    assert!(matches!(send(&bundles, &name, junk), Err(BundleError::Archive(_))));
    for bad in ["", "../../etc/passwd", &"A".repeat(64), &"a".repeat(63)] {
        assert!(matches!(bundles.begin(bad), Err(BundleError::Name(_))), "{bad}");
    }
    assert!(bundles.list().unwrap().is_empty());
    assert_eq!(leftovers(state.path()), 0);
}

#[test]
fn opening_removes_what_a_killed_server_left() {
    let state = tempfile::tempdir().unwrap();
    let half = state.path().join("bundles/.building/half/tree");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("bundle"), "…").unwrap();
    Bundles::open(state.path()).unwrap();
    assert_eq!(leftovers(state.path()), 0);
}

/// The process that is struck by a failpoint: run by the test below, not by itself.
#[test]
#[ignore = "the struck child of a test: cargo test -p weft-runtime --test it bundle::"]
fn struck_upload() {
    let Some(state) = std::env::var_os("STATE") else { return };
    let bundles = Bundles::open(Path::new(&state)).unwrap();
    let (sha256, bytes) = archive(&[("f", "text")]);
    send(&bundles, &sha256, &bytes).unwrap();
}

#[test]
fn a_crash_before_or_after_the_rename_leaves_all_or_nothing() {
    for (point, is_there) in [("artefact-before-rename", false), ("artefact-renamed", true)] {
        let state = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "bundle::struck_upload", "--ignored"]);
        child.env("STATE", state.path()).env("WEFT_FAILPOINT", format!("{point}:abort"));
        let ended = child.output().unwrap().status;
        assert!(ended.code().is_none(), "{point} was not passed: {ended}");
        let bundles = Bundles::open(state.path()).unwrap();
        let (sha256, bytes) = archive(&[("f", "text")]);
        assert_eq!(bundles.has(&sha256), is_there, "{point}");
        assert_eq!(leftovers(state.path()), 0);
        send(&bundles, &sha256, &bytes).unwrap();
    }
}
