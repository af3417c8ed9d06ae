//! Keys below keys, and the file of the one above all.

use crate::key;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use weft_gateway::{KeyError, WRAPPED_BYTES, master};

#[test]
fn a_wrapped_key_opens_for_what_it_is_and_nothing_else() {
    let (above, inner) = (key(), key());
    let wrapped = above.wrap(&inner, b"dataset 7").unwrap();
    assert!(above.unwrap(&wrapped, b"dataset 7").unwrap() == inner);
    for wrong in [above.unwrap(&wrapped, b"dataset 8"), key().unwrap(&wrapped, b"dataset 7")] {
        assert!(matches!(wrong, Err(KeyError::DoesNotOpen)));
    }
    for at in 0..WRAPPED_BYTES {
        let mut turned = wrapped;
        turned[at] ^= 1;
        assert!(above.unwrap(&turned, b"dataset 7").is_err(), "byte {at}");
    }
    assert_ne!(above.wrap(&inner, b"dataset 7").unwrap(), wrapped, "a nonce of its own");
}

#[test]
fn the_master_key_is_made_once_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| master(&path, true).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|two| two[0] == two[1]), "all have the same");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    assert!(master(&path, true).unwrap() == keys[0]);

    let told = |expected: &str| {
        let said = master(&path, true).unwrap_err().to_string();
        assert!(said.contains(expected) && said.contains("master"), "{said}");
    };
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    told("chmod 600");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for wrong in ["", "weft-master-key-1 00ff\n", &text.replace('k', "q"), &text.repeat(9)] {
        std::fs::write(&path, wrong).unwrap();
        told("is no key");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), *wrong, "it is never written over");
    }
    // What is sealed under a key that is lost is not sealed under a new one.
    let lost = master(&folder.path().join("lost"), false).unwrap_err().to_string();
    assert!(lost.contains("is missing") && lost.contains("bring back"), "{lost}");
    assert!(!folder.path().join("lost").exists());
    // A link could lead to what others chose.
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    symlink(folder.path().join("elsewhere"), &path).unwrap();
    told("symbolic links");
}
