//! The power is cut, the process dies, syncs fail, the disk is full: what was acknowledged is
//! there, and nothing else has changed.
//!
//! Where it may be mounted, the state lies on an ext4 in a file: what its kernel has not written
//! there when the process dies is lost, as it is by a cut of power.

use crate::datasets::{ALL, NOW, Place, nothing};
use crate::{Small, noise};
use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weft_gateway::{DataError, Finish, Notes, PackError, master};
use weft_store::{At, Expected, StoreError};
use weft_types::Timestamp;

/// Set for the process that is to die: the state's folder.
const CHILD: &str = "WEFT_GATEWAY_POWER";
/// Steps of a child at most.
const STEPS: u64 = 60;

/// The bytes of an object by its number: small ones, and some of several chunks.
fn body(n: u64) -> Vec<u8> {
    noise(n, if n.is_multiple_of(9) { 700_000 } else { 1 + (n % 5 * 10_000) as usize })
}

async fn open(dir: &Path) -> Place {
    Place::open(dir, &master(&dir.join("master"), true).unwrap()).await
}

fn say(what: &str, n: u64) {
    std::io::stderr().write_all(format!("{what} {n}\n").as_bytes()).unwrap();
}

/// Puts, puts in parts, deletes and collects until it dies; for the next tests.
#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-gateway --test it power"]
async fn works_until_it_dies() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    // A name of its own: where a file is written over, the kernel writes by itself.
    std::fs::write(dir.join(format!("unsynced-{}", std::process::id())), [7; 5_000]).unwrap();
    let place = open(&dir).await;
    let started = place.store.read(|r| r.datasets()).await.unwrap()[0].changes;
    for n in started..started + STEPS {
        if step(&place, n).await.is_ok() {
            say("put", n);
        }
        if n % 3 != 0 && n >= 5 {
            say("deletes", n - 5);
            let path = (n - 5).to_string();
            let (data, dataset) = (&place.data, &place.dataset);
            let _ = data.delete(dataset, &path, Expected::Anything, nothing(), NOW).await;
        }
        if n % 8 == 0 {
            let _ = place.data.forget(Timestamp(NOW.0 + 1)).await;
            let _ = place.data.collect(Timestamp(NOW.0 + 2)).await;
        }
    }
}

async fn step(place: &Place, n: u64) -> Result<(), DataError> {
    let (data, dataset, path) = (&place.data, &place.dataset, n.to_string());
    let (expected, bytes) = (Expected::Absent, body(n));
    if !n.is_multiple_of(4) {
        let staged = data.stage(dataset, &bytes[..]).await?;
        data.commit(dataset, &path, staged, Notes::new(), expected, nothing(), NOW).await?;
        return Ok(());
    }
    let upload = data.begin_upload(dataset, &path, Notes::new(), nothing(), NOW).await?;
    let (mut parts, halves) = (Vec::new(), bytes.split_at(bytes.len() / 2));
    for (number, half) in [(1, halves.0), (2, halves.1)] {
        let staged = data.stage(dataset, half).await?;
        let kept = data.keep_part(dataset, upload, number, staged, Notes::new(), nothing(), NOW);
        parts.push((number, kept.await?.tag));
    }
    let finish = Finish { parts, notes: Notes::new(), expected };
    data.finish_upload(dataset, upload, finish, nothing(), NOW).await?;
    Ok(())
}

/// What children have said.
#[derive(Default)]
struct Said {
    put: BTreeSet<u64>,
    deletes: BTreeSet<u64>,
}

impl Said {
    /// Runs a child that dies there, or goes through; whether it died.
    fn listen(&mut self, dir: &Path, failpoint: &str) -> bool {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "power::works_until_it_dies", "--nocapture"]);
        child.env(CHILD, dir).env("WEFT_FAILPOINT", failpoint);
        let child = child.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        for line in child.stderr.lines().map_while(Result::ok) {
            let Some((what, n)) = line.split_once(' ') else { continue };
            match (what, n.parse()) {
                ("put", Ok(n)) => drop(self.put.insert(n)),
                ("deletes", Ok(n)) => drop(self.deletes.insert(n)),
                _ => {}
            }
        }
        !child.status.success()
    }

    /// All that was acknowledged is there as it was put, and the state is whole.
    async fn assert_kept(&self, dir: &Path) {
        let place = open(dir).await;
        for n in self.put.difference(&self.deletes) {
            assert_eq!(place.get(&n.to_string(), At::Now, ALL).await, body(*n), "object {n}");
        }
        let told = place.data.scrub(place.dataset.id, |damage| panic!("{damage:?}")).await.unwrap();
        assert!(told.objects >= self.put.difference(&self.deletes).count() as u64);
        let broken = place
            .store
            .read(|r| Ok::<_, StoreError>([r.check_integrity()?, r.check_chunks(9)?].concat()));
        assert_eq!(broken.await.unwrap(), Vec::<String>::new());
        place.store.close().await.unwrap();
    }
}

/// A folder that is a file system of its own, where that may be.
struct Disk {
    folder: tempfile::TempDir,
    mounted: bool,
}

fn run(command: &str, args: &[&str], path: &[&Path]) -> bool {
    Command::new(command).args(args).args(path).output().is_ok_and(|out| out.status.success())
}

impl Disk {
    fn new() -> Self {
        let folder = crate::fast_dir();
        let mut disk = Self { folder, mounted: false };
        std::fs::create_dir(disk.path()).unwrap();
        std::fs::File::create(disk.image()).unwrap().set_len(96 << 20).unwrap();
        disk.mounted = run("mkfs.ext4", &["-q"], &[&disk.image()]) && disk.mount();
        if !disk.mounted {
            let skipped =
                b"SKIPPED cuts of power: mounting needs root; processes die all the same\n";
            let _ = std::io::stderr().write_all(skipped);
        }
        disk
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Nothing is written by itself for minutes.
    fn mount(&self) -> bool {
        run("mount", &["-o", "loop,commit=300"], &[&self.image(), &self.path()])
    }

    /// All that the disk does not have by now is lost.
    fn cut(&self) {
        if !self.mounted {
            return;
        }
        let then = self.folder.path().join("then");
        std::fs::copy(self.image(), &then).unwrap();
        assert!(run("umount", &[], &[&self.path()]), "nobody is left who uses it");
        std::fs::rename(then, self.image()).unwrap();
        assert!(self.mount());
        for entry in std::fs::read_dir(self.path()).unwrap().map(Result::unwrap) {
            let unsynced = entry.file_name().to_string_lossy().starts_with("unsynced");
            let lost = !unsynced || std::fs::read(entry.path()).unwrap().is_empty();
            assert!(lost, "this cut loses nothing, so it says nothing");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            run("umount", &["-l"], &[&self.path()]);
        }
    }
}

/// Where a child dies, and at which time that it comes there.
const DEATHS: [(&str, u32); 12] = [
    ("gateway.pack.begun", 1),
    ("gateway.pack.appended", 9),
    ("gateway.pack.sync", 14),
    ("gateway.pack.synced", 7),
    ("gateway.pack.ended", 1),
    ("store.commit.before", 23),
    ("store.commit.sync", 17),
    ("store.commit.after", 31),
    ("gateway.collect.copied", 1),
    ("gateway.collect.moved", 1),
    ("gateway.collect.removed", 2),
    ("store.close", 1),
];

#[cfg(debug_assertions)]
#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_cut_of_power() {
    let (disk, mut said) = (Disk::new(), Said::default());
    for (point, nth) in DEATHS {
        let died = said.listen(&disk.path(), &format!("{point}:abort:{nth}"));
        assert!(died || point == "store.close", "{point} was passed {nth} times");
        disk.cut();
        said.assert_kept(&disk.path()).await;
    }
    assert!(said.put.len() > 50 && !said.deletes.is_empty(), "{}", said.put.len());
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn who_is_told_of_a_failed_sync_has_lost_nothing_else() {
    let (disk, mut said) = (Disk::new(), Said::default());
    for point in
        ["gateway.pack.sync:error:5", "gateway.pack.appended:error:8", "store.begin:error:9"]
    {
        let before = said.put.len();
        assert!(!said.listen(&disk.path(), point), "{point}");
        let put = said.put.len() - before;
        // It may have struck who collects.
        assert!((STEPS as usize / 2..=STEPS as usize).contains(&put), "{point}: {put}");
        disk.cut();
        said.assert_kept(&disk.path()).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let Some(small) = Small::mount(24 << 20, 16 << 20) else { return };
    let place = open(small.path()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    let mut kept = 0;
    let refused = loop {
        let staged = data.stage(dataset, &noise(kept, 200_000)[..]).await;
        let put = match staged {
            Err(error) => Err(error),
            Ok(staged) => {
                let (path, absent) = (kept.to_string(), Expected::Absent);
                data.commit(dataset, &path, staged, Notes::new(), absent, nothing(), NOW).await
            }
        };
        match put {
            Ok(put) => assert!(put.is_some()),
            Err(error) => break error,
        }
        kept += 1;
        assert!(kept < 100, "it never filled");
    };
    assert!(matches!(refused, DataError::Pack(PackError::Full(_))), "{refused}");
    assert!(kept > 15, "{kept}");
    for n in 0..kept {
        assert_eq!(place.get(&n.to_string(), At::Now, ALL).await, noise(n, 200_000), "object {n}");
    }
    // The index has room for what makes some.
    for n in 0..kept - 3 {
        if n == 5 {
            std::fs::remove_file(small.ballast()).unwrap();
        }
        let path = n.to_string();
        let gone = data.delete(dataset, &path, Expected::Present, nothing(), NOW).await;
        gone.unwrap().unwrap();
    }
    place.forget().await;
    let collected = data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert!(collected.chunks >= kept - 3 && collected.freed.0 > 0, "{collected:?}");
    for n in 1_000..1_005 {
        place.put(&n.to_string(), &noise(n, 200_000)).await;
    }
    for n in (kept - 3..kept).chain(1_000..1_005) {
        assert_eq!(place.get(&n.to_string(), At::Now, ALL).await, noise(n, 200_000), "object {n}");
    }
    assert_eq!(place.store.read(|r| r.check_chunks(9)).await.unwrap(), Vec::<String>::new());
}
