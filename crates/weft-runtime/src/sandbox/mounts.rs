//! The file system a run sees: a small read-only tree put together from binds, then pivoted to.
//!
//! Runs in the child, in its own mount namespace, before it gives up its rights. Every path
//! below the staging folder is on a fresh tmpfs of ours, and an image's own links are put there
//! last, so nothing a workload or an image contains can be walked through by these mounts; see
//! `image_etc` for the one exception.

use super::Plan;
use super::Step;
use super::delivered;
use super::kernel::restrict_mount;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};
use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

/// Read-only, and no setuid programs or device nodes.
const SEALED: u64 = libc::MOUNT_ATTR_RDONLY | INERT;
/// No setuid programs or device nodes.
const INERT: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Everything of the host's root that belongs to its programs, beside `/usr`.
const HOST_PROGRAMS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// What programs need of the host's `/etc`; no account, key or service configuration.
const HOST_ETC: [&str; 9] = [
    "alternatives",
    "ca-certificates",
    "fonts",
    "ld.so.cache",
    "localtime",
    "mime.types",
    "pki",
    "ssl",
    "R",
];
/// Top-level names of an image that the sandbox provides itself.
const OWN_FOLDERS: [&str; 6] = ["dev", "proc", "sys", "tmp", "work", "run"];
/// Devices every program expects; anything else must be given.
const BASIC_DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Read-only in `/proc`, as the OCI runtimes do.
const PROC_READONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Not to be seen in `/proc`: the host's memory, keys, timers and hardware.
const PROC_HIDDEN: [&str; 10] = [
    "acpi",
    "asound",
    "kcore",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// Processor topology, which numeric libraries read to choose their threads.
const SYS_SHOWN: [&str; 2] = ["devices/system/cpu", "devices/system/node"];
/// Folders, links and small generated files: nothing of a workload is ever written there.
const ROOT_BYTES: u64 = 1 << 20;

/// Builds the tree and makes it this process's root; what the requests of mounted datasets come
/// by, in their order.
pub(super) fn enter(plan: &Plan) -> Result<Vec<OwnedFd>, Step> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Step::of("mounts: private"))?;
    tmpfs(&plan.staging, ROOT_BYTES, 0o755).map_err(Step::of("mounts: root"))?;
    let tree = Tree { root: plan.staging.clone() };
    tree.root_files(plan).map_err(Step::of("mounts: root file system"))?;
    tree.proc().map_err(Step::of("mounts: /proc"))?;
    tree.sys().map_err(Step::of("mounts: /sys"))?;
    tree.dev(plan).map_err(Step::of("mounts: /dev"))?;
    tree.scratch(plan).map_err(Step::of("mounts: /tmp and /work"))?;
    if let Some(environment) = &plan.environment {
        tree.bind_sealed(environment, environment).map_err(Step::of("mounts: environment"))?;
    }
    if let Some(image) = &plan.image {
        tree.image_links(image).map_err(Step::of("mounts: the image's links"))?;
    }
    if let Some(delivery) = &plan.gpu {
        delivered::mount(&tree, delivery).map_err(Step::of("mounts: the accelerators' driver"))?;
    }
    let data = plan.data.iter().map(|at| tree.dataset(at));
    let data = data.collect::<io::Result<_>>().map_err(Step::of("mounts: data"))?;
    rustix::process::chdir(&tree.root).map_err(Step::of("mounts: chdir"))?;
    rustix::process::pivot_root(".", ".").map_err(Step::of("mounts: pivot_root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(Step::of("mounts: old root"))?;
    restrict_mount(c"/", SEALED, false).map_err(Step::of("mounts: seal"))?;
    rustix::process::chdir("/work").map_err(Step::of("mounts: /work"))?;
    Ok(data)
}

pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    fn root_files(&self, plan: &Plan) -> io::Result<()> {
        let brings = |name: &str| match &plan.image {
            Some(image) => {
                !OWN_FOLDERS.contains(&name) && !plan.holds(name) && is_there(&image.join(name))
            }
            None => false,
        };
        if let Some(image) = &plan.image {
            plan.check_places(image)?;
        }
        let folders = ["etc", "var", "run", "root", "home", "opt", "mnt"];
        for folder in folders.into_iter().filter(|folder| !brings(folder)) {
            self.folder(Path::new(folder))?;
        }
        if !plan.data.is_empty() {
            let token = self.root.join(super::DATA_TOKEN.trim_start_matches('/'));
            fs::File::create_new(token)?.write_all(b"weft")?;
        }
        match &plan.image {
            None => {
                self.bind_sealed(Path::new("/usr"), Path::new("usr"))?;
                for name in HOST_PROGRAMS {
                    self.same(&Path::new("/").join(name), name)?;
                }
                for name in HOST_ETC {
                    self.same(&Path::new("/etc").join(name), &format!("etc/{name}"))?;
                }
                symlink("../tmp", self.root.join("var/tmp"))?;
                for (name, text) in &plan.etc {
                    fs::write(self.root.join("etc").join(name), text)?;
                }
                Ok(())
            }
            Some(image) => {
                for (name, path) in entries(image)? {
                    if !plan.holds(&name) && !fs::symlink_metadata(&path)?.is_symlink() {
                        self.bind_sealed(&path, Path::new(&name))?;
                    }
                }
                self.image_etc(plan)
            }
        }
    }

    /// Puts the generated files over the image's own, where it has them. The path is resolved
    /// by the kernel inside the tree and without links: an image decides what lies there. The file
    /// itself is made in a folder that no image brings.
    fn image_etc(&self, plan: &Plan) -> io::Result<()> {
        let root = rustix::fs::openat(CWD, &self.root, OFlags::PATH, Mode::empty())?;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = |path: &str| openat2(&root, path, flags, Mode::empty(), inside);
        let by_descriptor =
            |file: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        for (name, text) in &plan.etc {
            let path = format!("etc/{name}");
            let Ok(target) = open(&path) else { continue };
            let source = self.root.join("run").join(name);
            fs::File::create_new(&source)?.write_all(text.as_bytes())?;
            mount_bind_recursive(&source, by_descriptor(&target))?;
            restrict_mount(&c_path(&by_descriptor(&open(&path)?))?, SEALED, false)?;
            fs::remove_file(&source)?;
        }
        Ok(())
    }

    /// The links at the top of an image, once nothing is made below the tree by its path any more.
    fn image_links(&self, image: &Path) -> io::Result<()> {
        for (name, path) in entries(image)? {
            if fs::symlink_metadata(&path)?.is_symlink() {
                symlink(fs::read_link(&path)?, self.root.join(name))?;
            }
        }
        Ok(())
    }

    fn proc(&self) -> io::Result<()> {
        let at = self.folder(Path::new("proc"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("proc", &at, "proc", flags, None)?;
        for name in PROC_READONLY {
            let path = at.join(name);
            if path.exists() {
                mount_bind_recursive(&path, &path)?;
                restrict_mount(&c_path(&path)?, libc::MOUNT_ATTR_RDONLY, true)?;
            }
        }
        for name in PROC_HIDDEN {
            let path = at.join(name);
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    tmpfs(&path, ROOT_BYTES, 0o555)?;
                    restrict_mount(&c_path(&path)?, SEALED, false)?;
                }
                Ok(_) => mount_bind_recursive("/dev/null", &path)?,
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn sys(&self) -> io::Result<()> {
        for shown in SYS_SHOWN {
            let source = Path::new("/sys").join(shown);
            if source.is_dir() {
                self.bind_sealed(&source, &Path::new("sys").join(shown))?;
            }
        }
        Ok(())
    }

    fn dev(&self, plan: &Plan) -> io::Result<()> {
        let at = self.folder(Path::new("dev"))?;
        tmpfs(&at, ROOT_BYTES, 0o755)?;
        let basic = BASIC_DEVICES.iter().map(|name| Path::new("/dev").join(name));
        for device in basic.chain(plan.devices.iter().cloned()) {
            let target = self.inside(&device);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::File::create(&target)?;
            mount_bind_recursive(&device, &target)?;
        }
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
            ("ptmx", "pts/ptmx"),
        ];
        for (name, target) in links {
            symlink(target, at.join(name))?;
        }
        let pts = self.folder(Path::new("dev/pts"))?;
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("devpts", &pts, "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620")?;
        tmpfs(&self.folder(Path::new("dev/shm"))?, plan.memory / 2, 0o1777)?;
        restrict_mount(&c_path(&at)?, libc::MOUNT_ATTR_RDONLY, false)?;
        Ok(())
    }

    fn scratch(&self, plan: &Plan) -> io::Result<()> {
        tmpfs(&self.folder(Path::new("tmp"))?, plan.memory / 2, 0o1777)?;
        let work = self.folder(Path::new("work"))?;
        mount_bind_recursive(&plan.work, &work)?;
        restrict_mount(&c_path(&work)?, INERT, true)?;
        let Some(kept) = &plan.kept else { return Ok(()) };
        let at = self.folder(Path::new(crate::CHECKPOINT))?;
        mount_bind_recursive(kept, &at)?;
        restrict_mount(&c_path(&at)?, INERT, true)
    }

    /// Mounts a dataset's folder. Its requests are answered later, so that nothing here may look
    /// into it. Its mount is read-only from the first moment, and so are its files.
    fn dataset(&self, at: &Path) -> io::Result<OwnedFd> {
        let fuse = weft_mount::open().map_err(|error| {
            let why = format!("{}: {error}; see `weft doctor`", weft_mount::DEVICE);
            io::Error::new(error.kind(), why)
        })?;
        let options = CString::new(weft_mount::options(&fuse))?;
        let folder = self.folder(at)?;
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("weft", &folder, weft_mount::FILE_SYSTEM, flags, options.as_c_str())?;
        Ok(fuse)
    }

    /// The same entry as `source`: a link stays a link, a folder or file is bound, sealed. What
    /// is not there is left out.
    fn same(&self, source: &Path, name: &str) -> io::Result<()> {
        let Ok(meta) = fs::symlink_metadata(source) else { return Ok(()) };
        if meta.is_symlink() {
            let target = fs::read_link(source)?;
            return symlink(target, self.root.join(name));
        }
        self.bind_sealed(source, Path::new(name))
    }

    /// Binds a file or folder, read-only.
    pub(super) fn bind_sealed(&self, source: &Path, inside: &Path) -> io::Result<()> {
        self.bind(source, inside, SEALED)
    }

    /// Binds a file or folder that may be written.
    pub(super) fn bind_inert(&self, source: &Path, inside: &Path) -> io::Result<()> {
        self.bind(source, inside, INERT)
    }

    fn bind(&self, source: &Path, inside: &Path, attributes: u64) -> io::Result<()> {
        let target = match fs::metadata(source)?.is_dir() {
            true => self.folder(inside)?,
            false => {
                let target = self.inside(inside);
                fs::File::create(&target)?;
                target
            }
        };
        mount_bind_recursive(source, &target)?;
        restrict_mount(&c_path(&target)?, attributes, true)
    }

    /// Where it is put together.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn folder(&self, inside: &Path) -> io::Result<PathBuf> {
        let path = self.inside(inside);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The path in the staging tree: never above it, whatever the path says.
    pub(super) fn inside(&self, path: &Path) -> PathBuf {
        let plain = path.components().filter(|part| matches!(part, Component::Normal(_)));
        plain.fold(self.root.clone(), |at, part| at.join(part))
    }
}

impl Plan {
    /// Whether datasets are mounted in, or as, this folder at the top.
    fn holds(&self, name: &str) -> bool {
        self.data.iter().any(|at| at.components().nth(1).is_some_and(|top| top.as_os_str() == name))
    }

    /// Refuses a place for a dataset that an image has already: what it brings there would be gone,
    /// and what is made in it could lead elsewhere. An empty folder brings nothing.
    fn check_places(&self, image: &Path) -> io::Result<()> {
        for at in &self.data {
            let Some(top) = at.components().nth(1) else { continue };
            let brought = image.join(top.as_os_str());
            let Ok(meta) = fs::symlink_metadata(&brought) else { continue };
            if !meta.is_dir() || fs::read_dir(&brought)?.next().is_some() {
                let (at, top) = (at.display(), top.as_os_str().display());
                let why = format!(
                    "{at}: the image has `/{top}` itself; mount it elsewhere, as in `to: /data/x`"
                );
                return Err(io::Error::other(why));
            }
        }
        Ok(())
    }
}

/// What lies at the top of an image and is not the sandbox's to provide.
fn entries(image: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(image)? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name.ok().filter(|name| !OWN_FOLDERS.contains(&name.as_str()));
        found.extend(name.map(|name| (name, entry.path())));
    }
    Ok(found)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn tmpfs(at: &Path, bytes: u64, mode: u32) -> io::Result<()> {
    let options = format!("size={bytes},mode={mode:o}");
    let options = CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", at, "tmpfs", flags, options.as_c_str())?;
    Ok(())
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
