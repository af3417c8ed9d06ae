//! Memory that a run shares with the agent: its limits, its ledger and its rates.
//!
//! Three small files for each run that has parts of devices, in a file system that is memory: a
//! disk would write the ledger back with each launch. They outlive the server, as runs do, and go
//! when the run is released. Limits and rates are the agent's, and read-only inside. The ledger is
//! written by the run's processes as they like, so it is never mapped here: what is cut short or
//! nonsense is read as none.

use super::GpuError;
use crate::launch::{MemberKey, Slice};
use rustix::fs::{OFlags, statfs};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown,
};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use weft_cuda_abi::ledger::DEVICES_MAX;
use weft_cuda_abi::limits::{self, Limit};
use weft_cuda_abi::reading::{self, BUCKETS, Spent};
use weft_cuda_abi::{rates, share};

/// A file system in memory that every Linux system mounts (FHS 3.0; POSIX shared memory).
const MEMORY: &str = "/dev/shm";
/// The kernel's word for a file system in memory (`TMPFS_MAGIC`, statfs(2)).
const TMPFS: i64 = 0x0102_1994;

pub(super) const LIMITS: &str = "limits";
pub(super) const LEDGER: &str = "ledger";
pub(super) const RATES: &str = "rates";

/// What the folders of all state directories begin with.
const FOLDERS: &str = "weft-";
/// The file in such a folder that says which state directory it is of.
const OF: &str = "of";

/// What all runs of a state directory share with their agent.
#[derive(Debug)]
pub(super) struct Shared {
    dir: PathBuf,
    /// The folder of the runs themselves.
    runs: PathBuf,
    /// Held while folders are made or removed: the last run's goes with it.
    making: Mutex<()>,
}

/// What the processes of one run hold of its parts of devices, and what they are given.
#[derive(Debug)]
pub struct RunLedger {
    slices: Vec<Slice>,
    ledger: File,
    rates: File,
}

impl RunLedger {
    /// The parts, in the order of the ledger's devices.
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// The ledger's bytes now, for [`reading::Reading::of`]; none where they cannot be read. The
    /// run writes them: they may say anything.
    pub fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; reading::BYTES];
        self.ledger.read_exact_at(&mut bytes, 0).is_ok().then_some(bytes)
    }

    /// What it says that it spent of each part's device; none where it cannot be read.
    pub fn spent(&self) -> Option<Vec<Spent>> {
        let mut buckets = vec![0; BUCKETS.len()];
        self.ledger.read_exact_at(&mut buckets, BUCKETS.start as u64).ok()?;
        Some((0..self.slices.len()).map(|device| reading::spent(&buckets, device)).collect())
    }

    /// Gives it a rate of a part's device, in thousandths, for [`rates::HOLDS_NS`] from now on.
    pub fn give(&self, device: usize, rate: u32) -> io::Result<()> {
        let at = device.min(DEVICES_MAX - 1) * size_of::<u64>();
        let word = rates::word(rate.min(share::WHOLE), steady_ns());
        self.rates.write_all_at(&word.to_le_bytes(), at as u64)
    }
}

/// The system's steady clock, by which rates run out.
fn steady_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

impl Shared {
    /// Of the runs in this folder, which have this name of their own.
    pub(super) fn of(runs: &Path, id: &str) -> Self {
        let dir = Path::new(MEMORY).join(format!("{FOLDERS}{id}"));
        Self { dir, runs: runs.to_owned(), making: Mutex::default() }
    }

    /// Makes a run's files anew. Its ledger is written by this group, none: by this user. Where
    /// there is no room for all of them nothing is left of them.
    pub(super) fn make(
        &self,
        key: MemberKey,
        slices: &[Slice],
        mps: bool,
        group: Option<u32>,
    ) -> Result<PathBuf, GpuError> {
        let limits = limits_of(slices, mps)?;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.own_folder()?;
        let dir = self.dir_of(key);
        let made = (|| {
            crate::remove::tree(&dir)?;
            private().create(&dir)?;
            write(&dir.join(LIMITS), &limits, 0o444)?;
            write(&dir.join(RATES), &[0; rates::BYTES], 0o644)?;
            // Every byte is written: memory that is not there must be missed now, not by a run.
            let mut ledger = vec![0; reading::BYTES];
            ledger[..reading::head().len()].copy_from_slice(&reading::head());
            write(&dir.join(LEDGER), &ledger, 0o660)?;
            chown(dir.join(LEDGER), None, group)
        })();
        match made {
            Ok(()) => Ok(dir),
            Err(error) => {
                let _ = crate::remove::tree(&dir);
                Err(failed(&dir, error))
            }
        }
    }

    /// A run's ledger; none where it has none.
    pub(super) fn open(&self, key: MemberKey, slices: Vec<Slice>) -> Option<RunLedger> {
        let dir = self.dir_of(key);
        let open = |name: &str, writes: bool| {
            let mut options = OpenOptions::new();
            options.read(true).write(writes).custom_flags(OFlags::NOFOLLOW.bits() as i32);
            options.open(dir.join(name)).ok()
        };
        let (ledger, rates) = (open(LEDGER, false)?, open(RATES, true)?);
        (!slices.is_empty()).then_some(RunLedger { slices, ledger, rates })
    }

    /// Removes a run's files, and with the last one the folder. Absent is done.
    pub(super) fn remove(&self, key: MemberKey) -> io::Result<()> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_ours(&self.dir).unwrap_or(false) {
            // Absent, or another's, which a link of his could lead anywhere.
            return Ok(());
        }
        crate::remove::tree(&self.dir_of(key))?;
        let left = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        if left.map(|entry| entry.file_name()).all(|name| name == OF) {
            crate::remove::tree(&self.dir)?;
        }
        Ok(())
    }

    /// Removes the files of runs that are not there any more.
    pub(super) fn keep_only(&self, there: &[MemberKey]) {
        if !is_ours(&self.dir).unwrap_or(false) {
            return;
        }
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let key = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(key) = key.filter(|key| !there.contains(key)) {
                let _ = self.remove(key);
            }
        }
    }

    /// Removes what is left of state directories that are not there any more.
    pub(super) fn sweep(&self) {
        for entry in fs::read_dir(MEMORY).into_iter().flatten().flatten() {
            let dir = entry.path();
            let named = entry.file_name().to_string_lossy().starts_with(FOLDERS);
            if !named || dir == self.dir || !is_ours(&dir).unwrap_or(false) {
                continue;
            }
            let of = fs::read(dir.join(OF)).ok().filter(|of| !of.is_empty());
            if of.is_some_and(|of| !Path::new(OsStr::from_bytes(&of)).exists()) {
                let _ = crate::remove::tree(&dir);
            }
        }
    }

    fn dir_of(&self, key: MemberKey) -> PathBuf {
        self.dir.join(key.to_string())
    }

    /// Makes the folder. It lies where everybody may make one: another's is refused.
    fn own_folder(&self) -> Result<(), GpuError> {
        is_memory()?;
        match private().create(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| failed(&self.dir, error))?,
        }
        if !is_ours(&self.dir).map_err(|error| failed(&self.dir, error))? {
            return Err(GpuError::Taken(self.dir.clone()));
        }
        let of = fs::write(self.dir.join(OF), self.runs.as_os_str().as_bytes());
        of.map_err(|error| failed(&self.dir, error))
    }
}

/// Why files there could not be made.
fn failed(dir: &Path, error: io::Error) -> GpuError {
    match error.kind() {
        io::ErrorKind::StorageFull => {
            let bytes = reading::BYTES + rates::BYTES + limits::head(0).len();
            GpuError::Full { memory: MEMORY.into(), bytes }
        }
        _ => GpuError::io(dir.display().to_string())(error),
    }
}

/// Whether a folder is this user's own.
pub(super) fn is_ours(dir: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(dir)?;
    Ok(found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

/// Whether there is memory to share.
pub(super) fn is_memory() -> Result<(), GpuError> {
    let found = statfs(MEMORY).is_ok_and(|found| found.f_type == TMPFS);
    if found { Ok(()) } else { Err(GpuError::NotMemory(MEMORY.into())) }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    // Whatever mask this process was started with.
    file.set_permissions(Permissions::from_mode(mode))
}

/// The share of time of a run whose processors are limited by MPS: counted by the library, which
/// looks at what has less than the whole, and all but not paced.
const COUNTED: u32 = share::WHOLE - 1;

/// The file of limits; where MPS keeps processors apart, time is not.
fn limits_of(slices: &[Slice], mps: bool) -> Result<Vec<u8>, GpuError> {
    if slices.len() > DEVICES_MAX {
        return Err(GpuError::TooMany(slices.len()));
    }
    let mut bytes = limits::head(slices.len() as u32).to_vec();
    for slice in slices {
        let uuid = uuid(&slice.uuid).ok_or_else(|| GpuError::Uuid(slice.uuid.clone()))?;
        let milli = if mps { COUNTED } else { u32::try_from(slice.milli.0).unwrap_or(0) };
        bytes.extend(Limit { uuid, memory: slice.memory.0, milli }.write());
    }
    Ok(bytes)
}

/// The sixteen bytes that the driver writes as `GPU-…`.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.strip_prefix("GPU-")?.chars().filter(|c| *c != '-').collect();
    hex::decode(digits).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_cuda_abi::reading::Reading;
    use weft_types::{Bytes, MilliGpu};

    fn slice() -> Slice {
        let uuid = "GPU-77656674-2d66-616b-6563-756461000000".to_owned();
        Slice { uuid, memory: Bytes(10), milli: MilliGpu(300) }
    }

    /// Files of a test's own; gone with it.
    struct Own(Shared);

    impl Own {
        fn new(name: &str) -> Self {
            Self(Shared::of(Path::new("/"), &format!("test-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = crate::remove::tree(&self.0.dir);
        }
    }

    #[test]
    fn what_a_run_writes_is_read_and_never_believed_whole() {
        let (own, key) = (Own::new("hostile"), "w1-1-0".parse().unwrap());
        let dir = own.0.make(key, &[slice()], false, None).unwrap();
        let given = limits::read(&fs::read(dir.join(LIMITS)).unwrap()).next().unwrap();
        assert_eq!(
            (&given.uuid[..13], given.memory, given.milli),
            (&b"weft-fakecuda"[..], 10, 300)
        );
        let ledger = own.0.open(key, vec![slice()]).unwrap();
        let bytes = ledger.read().unwrap();
        assert_eq!(Reading::of(&bytes).map(|read| read.memory(0)), Some(0));
        assert_eq!(ledger.spent(), Some(vec![Spent::default()]));
        // Nonsense, then nothing, then too much.
        fs::write(dir.join(LEDGER), vec![0xff; reading::BYTES]).unwrap();
        assert!(Reading::of(&ledger.read().unwrap()).is_none());
        assert_eq!(ledger.spent().unwrap()[0].ns, u64::MAX);
        fs::write(dir.join(LEDGER), "").unwrap();
        assert_eq!((ledger.read(), ledger.spent()), (None, None));
        fs::write(dir.join(LEDGER), vec![0; 2 * reading::BYTES]).unwrap();
        assert_eq!(ledger.read().map(|bytes| bytes.len()), Some(reading::BYTES));
        // A run that was started anew begins with nothing.
        own.0.make(key, &[slice()], false, None).unwrap();
        assert!(Reading::of(&own.0.open(key, vec![slice()]).unwrap().read().unwrap()).is_some());
    }

    #[test]
    fn rates_are_given_by_device_and_run_out() {
        let (own, key) = (Own::new("rates"), "w1-1-0".parse().unwrap());
        let dir = own.0.make(key, &[slice(), slice()], false, None).unwrap();
        let ledger = own.0.open(key, vec![slice(), slice()]).unwrap();
        ledger.give(1, 700).unwrap();
        let bytes = fs::read(dir.join(RATES)).unwrap();
        let word = |at: usize| u64::from_le_bytes(bytes[8 * at..][..8].try_into().unwrap());
        assert_eq!((rates::rate(word(0), steady_ns()), bytes.len()), (None, rates::BYTES));
        assert_eq!(rates::rate(word(1), steady_ns()), Some(700));
        assert_eq!(rates::rate(word(1), steady_ns() + 2 * rates::HOLDS_NS), None);
    }

    #[test]
    fn files_go_with_their_run_and_the_folder_with_the_last() {
        let own = Own::new("gone");
        let keys = ["w1-1-0", "w2-1-0"].map(|key| key.parse().unwrap());
        for key in keys {
            own.0.make(key, &[slice()], false, None).unwrap();
        }
        own.0.keep_only(&keys[..1]);
        assert!(own.0.open(keys[1], vec![slice()]).is_none());
        assert!(own.0.open(keys[0], vec![slice()]).is_some());
        own.0.remove(keys[0]).unwrap();
        own.0.remove(keys[0]).unwrap();
        assert!(!own.0.dir.exists());
    }

    #[test]
    fn what_a_removed_state_directory_left_is_swept() {
        let (own, key) = (Own::new("sweeps"), "w1-1-0".parse().unwrap());
        let state = tempfile::tempdir().unwrap();
        let name = format!("test-swept-{}", std::process::id());
        let other = Own(Shared::of(state.path(), &name));
        other.0.make(key, &[slice()], false, None).unwrap();
        own.0.sweep();
        assert!(other.0.open(key, vec![slice()]).is_some(), "its state directory is there");
        drop(state);
        own.0.sweep();
        assert!(!other.0.dir.exists());
    }

    /// In a name space of its own, with little memory to share: a run has all of its files, each
    /// with its memory, or none of them and is told why.
    #[test]
    #[ignore = "the child of a test: cargo test -p weft-runtime --lib full"]
    #[expect(clippy::print_stdout, reason = "says to the test that runs it how it went")]
    fn in_little_memory() {
        let (own, key) = (Own::new("full"), "w1-1-0".parse().unwrap());
        match own.0.make(key, &[slice()], false, None) {
            Ok(dir) => {
                let mut rest = File::create(own.0.dir.join("rest")).unwrap();
                while rest.write_all(&[1; 4096]).is_ok() {}
                for (name, bytes) in [(LEDGER, reading::BYTES), (RATES, rates::BYTES)] {
                    let file = OpenOptions::new().write(true).open(dir.join(name)).unwrap();
                    file.write_all_at(&vec![1; bytes], 0).expect("its memory is its own");
                }
                print!("made");
            }
            Err(error) => {
                assert!(!own.0.dir_of(key).exists(), "nothing is left");
                print!("{error}");
            }
        }
    }

    #[test]
    fn where_memory_to_share_is_full_a_run_is_refused() {
        let made = [4, 8, 16, 32, 64, 128].map(|kib| {
            let mount =
                format!("mount -t tmpfs -o size={kib}k none {MEMORY} && exec \"$0\" \"$@\"");
            let mut child = std::process::Command::new("unshare");
            child.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]);
            child.arg(std::env::current_exe().unwrap()).args(["--ignored", "--nocapture"]);
            let output = child.arg("in_little_memory").output().expect("util-linux");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{kib} KiB: {said}");
            let full = "/dev/shm is full: a run with parts of devices shares its figures there";
            assert!(said.contains("made") != said.contains(full), "{kib} KiB: {said}");
            said.contains("made")
        });
        assert_eq!((made[0], made[5]), (false, true), "{made:?}");
        assert!(made.is_sorted(), "{made:?}");
    }

    #[test]
    fn what_is_no_device_or_too_many_is_refused() {
        let (own, key) = (Own::new("refused"), "w1-1-0".parse().unwrap());
        for uuid in ["SIM-0", "GPU-12", "GPU-", "77656674-2d66-616b-6563-756461000000"] {
            let slice = Slice { uuid: uuid.to_owned(), ..slice() };
            let refused = own.0.make(key, &[slice], false, None).unwrap_err().to_string();
            assert!(refused.contains(uuid), "{refused}");
        }
        let many = vec![slice(); DEVICES_MAX + 1];
        assert!(matches!(own.0.make(key, &many, false, None), Err(GpuError::TooMany(17))));
        assert!(!own.0.dir.exists(), "nothing was made for them");
    }
}
