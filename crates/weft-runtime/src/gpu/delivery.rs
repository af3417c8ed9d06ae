//! What one run finds of the driver: put together before its start, mounted by its sandbox.

use super::cache::Cache;
use super::check::TRY_MPS;
use super::driver::{DRIVER, LOADER_CACHE, MANAGEMENT};
use super::library::Library;
use super::mps::{CONTROL, Mps, PIPES_VARIABLE};
use super::names::{Names, is_one};
use super::shared::{LEDGER, LIMITS, RATES};
use super::{FOLDER, GpuError, RunLedger, Shared};
use crate::launch::{Gpu, MemberKey, Slice};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The library's names in a run, for programs and for who builds one.
const LIBRARY: [&str; 4] = [DRIVER, MANAGEMENT, "libcuda.so", "libnvidia-ml.so"];
/// The loader's cache, in the run's directory and in its folder inside.
const CACHE: &str = "loader-cache";
/// The folder of the pipes of its device's MPS, inside.
pub(super) const MPS: &str = "mps";
/// What its programs' environment has for MPS, likewise.
const VARIABLES: &str = "variables";
/// Largest cache that is read: a full distribution's has half a mebibyte.
const CACHE_MAX: u64 = 16 << 20;

/// Everything that parts of devices need on this machine.
#[derive(Debug)]
pub(crate) struct Gpus {
    library: Library,
    shared: Shared,
    names: Names,
    mps: Mps,
}

/// What a run finds below `/run/weft/gpu`, and elsewhere in the driver's place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Files of the machine.
    pub(crate) binds: Vec<Bind>,
    /// Places in the run's file system where our library stands, whatever stood there.
    pub(crate) covers: Vec<PathBuf>,
    /// Whether the loader of the run's file system has a cache, and finds ours in its place.
    pub(crate) cached: bool,
    /// Programs that are run before its own, and must find our library: paths inside.
    pub(crate) checks: Vec<String>,
    /// Variables that its programs have, whatever else is said.
    #[serde(default)]
    pub(crate) env: Vec<(String, String)>,
}

/// A file of the machine that a run sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// The file.
    pub(crate) from: PathBuf,
    /// Where, below the folder.
    pub(crate) at: String,
    /// Whether the run may write it.
    pub(crate) writable: bool,
}

/// A run, as far as a delivery depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For<'a> {
    /// Which.
    pub(crate) key: MemberKey,
    /// Its directory.
    pub(crate) dir: &'a Path,
    /// Its image; none: the machine's own file system.
    pub(crate) image: Option<&'a Path>,
    /// The group it runs as, where that is another than this process's.
    pub(crate) group: Option<u32>,
}

impl Gpus {
    /// Of a state directory, whose runs are in this folder and have this name of their own.
    /// `users`: whether runs have users of their own.
    pub(crate) fn of(state_dir: &Path, runs: &Path, id: &str, users: bool) -> Self {
        let (library, shared) = (Library::of_this_program(state_dir), Shared::of(runs, id));
        Self { library, shared, names: Names::default(), mps: Mps::of(state_dir, id, users) }
    }

    /// Makes ready what a run was given.
    pub(crate) fn deliver(&self, gpu: &Gpu, run: For<'_>) -> Result<Delivery, GpuError> {
        let mut it = Delivery::default();
        for file in gpu.driver.files() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            it.bind(file, format!("driver/{name}"));
        }
        if !gpu.slices.is_empty() {
            self.guard(&mut it, gpu, run)?;
        }
        if let Some(mut cache) = cache_of(run.image) {
            lead(&mut cache, gpu);
            let file = run.dir.join(CACHE);
            fs::write(&file, cache.write()).map_err(GpuError::io(file.display().to_string()))?;
            it.bind(&file, CACHE.to_owned());
            it.cached = true;
        }
        Ok(it)
    }

    /// A run's ledger; none where it has none, or was released.
    pub(crate) fn ledger(&self, key: MemberKey, slices: Vec<Slice>) -> Option<RunLedger> {
        self.shared.open(key, slices)
    }

    /// Removes what a run shared, and what was made for it in its directory. Absent is done.
    pub(crate) fn remove(&self, key: MemberKey, dir: &Path) -> io::Result<()> {
        for file in [CACHE, VARIABLES] {
            match fs::remove_file(dir.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.shared.remove(key)
    }

    /// Removes what runs shared that are not there any more, of whatever state directory.
    pub(crate) fn keep_only(&self, there: &[MemberKey]) {
        self.shared.keep_only(there);
        self.shared.sweep();
    }

    /// The pipes of the device's MPS, where that keeps the run's part.
    fn served(&self, gpu: &Gpu) -> Result<Option<PathBuf>, GpuError> {
        if !gpu.mps {
            return Ok(None);
        }
        let [slice] = &gpu.slices[..] else { return Err(GpuError::MpsDevices(gpu.slices.len())) };
        let missing = || GpuError::Mps { why: format!("the driver has no {CONTROL}") };
        let control = gpu.driver.control().ok_or_else(missing)?;
        self.mps.serve(control, &slice.uuid).map(Some)
    }

    /// Ends the daemons of MPS of all devices but these. Blocks.
    pub(crate) fn end_mps_but(&self, needed: &[String]) {
        self.mps.end_but(needed);
    }

    /// Puts the library before the driver.
    fn guard(&self, it: &mut Delivery, gpu: &Gpu, run: For<'_>) -> Result<(), GpuError> {
        let slices = &gpu.slices;
        let pipes = self.served(gpu)?;
        let ready = self.library.ready()?;
        for name in LIBRARY {
            it.bind(&ready.library, format!("lib/{name}"));
        }
        let asked = |name: &str| name != TRY_MPS || pipes.is_some();
        for (name, program) in ready.checks.iter().filter(|(name, _)| asked(name)) {
            it.bind(program, (*name).to_owned());
            it.checks.push(format!("{FOLDER}/{name}"));
        }
        if let (Some(pipes), [slice]) = (pipes, &slices[..]) {
            it.bind(&pipes, MPS.to_owned());
            it.env = variables(slice);
            // The library sets them again where a program was started without them.
            let file = run.dir.join(VARIABLES);
            let lines: String =
                it.env.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            fs::write(&file, lines).map_err(GpuError::io(file.display().to_string()))?;
            it.bind(&file, VARIABLES.to_owned());
        }
        let shared = self.shared.make(run.key, slices, gpu.mps, run.group)?;
        for name in [LIMITS, RATES, LEDGER] {
            it.bind(&shared.join(name), name.to_owned());
        }
        it.binds.iter_mut().filter(|bind| bind.at == LEDGER).for_each(|bind| bind.writable = true);
        it.covers = match run.image {
            Some(image) => self.names.of_image(image).to_vec(),
            None => Names::of_machine(),
        };
        Ok(())
    }
}

impl Delivery {
    /// Where the loader finds the library without a cache, and the driver's own files.
    pub(crate) fn folders() -> [String; 2] {
        [format!("{FOLDER}/lib"), format!("{FOLDER}/driver")]
    }

    /// The file on this machine that the run may write; none where it has no part of a device.
    pub(crate) fn ledger(&self) -> Option<&Path> {
        self.binds.iter().find(|bind| bind.writable).map(|bind| bind.from.as_path())
    }

    /// What covers the places.
    pub(crate) fn cover() -> PathBuf {
        Path::new(FOLDER).join("lib").join(DRIVER)
    }

    /// What stands in the place of the loader's cache.
    pub(crate) fn cache() -> (PathBuf, &'static Path) {
        (Path::new(FOLDER).join(CACHE), Path::new(LOADER_CACHE))
    }

    fn bind(&mut self, from: &Path, at: String) {
        self.binds.push(Bind { from: from.to_owned(), at, writable: false });
    }
}

/// By which a client of MPS is kept to its part; the daemon sees one device. Narrower than the
/// share is never said: of processors the next hundredth, of memory the mebibyte below, since the
/// library refuses at the byte.
fn variables(slice: &Slice) -> Vec<(String, String)> {
    let memory = format!("0={}M", (slice.memory.0 >> 20).max(1));
    let processors = slice.milli.0.div_ceil(10).clamp(1, 100).to_string();
    let all = [
        (PIPES_VARIABLE, format!("{FOLDER}/{MPS}")),
        ("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", memory),
        ("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", processors),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Has the driver's names lead into the folder.
fn lead(cache: &mut Cache, gpu: &Gpu) {
    let folder = Path::new(FOLDER);
    let whole = gpu.slices.is_empty();
    for file in gpu.driver.files().iter().filter(|file| whole || !is_one(file)) {
        let name = file.file_name().unwrap_or_default();
        if let Some(name) = name.to_str().filter(|name| name.contains(".so")) {
            cache.lead(name, &folder.join("driver").join(name));
        }
    }
    for name in LIBRARY.into_iter().filter(|_| !whole) {
        cache.lead(name, &folder.join("lib").join(name));
    }
}

/// Tries to open a path inside a root while others rename or mount: any of that anywhere on the
/// machine at the same moment has a path with `..` in it refused (openat2(2)).
const TRIES: usize = 64;

/// Opens a path as if this folder were the root, wherever links in it lead.
pub(crate) fn open_inside(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(&root, path, flags, Mode::empty(), inside);
    let settled = |found: &Result<OwnedFd, Errno>| !matches!(found, Err(Errno::AGAIN));
    (1..TRIES).map(|_| open()).find(settled).unwrap_or_else(open)
}

/// The loader's cache of an image, or of the machine. An image decides what lies there: the path
/// is resolved inside it.
fn cache_of(image: Option<&Path>) -> Option<Cache> {
    let root = openat(CWD, image.unwrap_or(Path::new("/")), OFlags::PATH, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let path = Path::new(LOADER_CACHE.trim_start_matches('/'));
    let file = File::from(open_inside(&root, path, flags).ok()?);
    let mut bytes = Vec::new();
    let regular = file.metadata().is_ok_and(|about| about.is_file());
    (regular && file.take(CACHE_MAX).read_to_end(&mut bytes).is_ok()).then_some(())?;
    Cache::read(&bytes)
}
