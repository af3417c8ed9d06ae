//! The few system calls no safe crate offers, each wrapped once.
//!
//! Used by the rest of `sandbox` and by the supervisor. The only unsafe code of the crate's
//! container half stands here.

use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Every namespace a sandbox has for itself, but the user namespace, which is entered last.
pub(crate) const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNET) as u64;

/// What a fork gave: which side this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's id and a descriptor of it.
    Parent { pid: i32, pidfd: OwnedFd },
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks into new namespaces, and into a v2 cgroup where one is given. The caller must have one
/// thread only: the child goes on with Rust code that allocates.
pub(crate) fn fork_into(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the structure lives through the call; without CLONE_VM or a stack the child goes on
    // with a copy of this one, as after fork; there is one thread, so no lock is left held.
    let got = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match got {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        // SAFETY: the kernel has put a new descriptor there, owned by nobody else.
        pid => Ok(Fork::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// Plain fork, for one thread only: zero in the child.
pub(crate) fn fork() -> io::Result<i32> {
    // SAFETY: see `fork_into`: no other thread can hold a lock the child would need.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// Whether a process may enter such new namespaces. Safe with several threads: the child makes
/// two system calls and nothing else.
pub(crate) fn try_unshare(namespaces: i32) -> bool {
    // SAFETY: between fork and exit the child only calls what may be called in a signal handler.
    unsafe {
        match libc::fork() {
            -1 => false,
            0 => libc::_exit(i32::from(libc::unshare(namespaces) != 0)),
            pid => {
                let mut status = 0;
                libc::waitpid(pid, &raw mut status, 0) == pid && status == 0
            }
        }
    }
}

/// The kernel's version of Landlock; zero without it.
pub(crate) fn landlock_abi() -> i64 {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no structure and only answers.
    let got = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) };
    got.max(0)
}

/// Ends this process at once, without running destructors or flushing: for a forked child.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns, touches nothing.
    unsafe { libc::_exit(code) }
}

/// Sets attributes (`libc::MOUNT_ATTR_*`) on a mount, or on the whole tree under it.
pub(crate) fn restrict_mount(path: &CStr, attributes: u64, tree: bool) -> io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: both pointers live through the call, and the size is the structure's.
    let got = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    done(got)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the callers own every descriptor of the process at this point, and use none of
    // those closed afterwards.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Marks every descriptor from `first` on as closed by the next program.
pub(crate) fn hide_from(first: u32) -> io::Result<()> {
    let flag = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: only a flag of the descriptors changes.
    done(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flag) })
}

/// Moves a descriptor to a number; the number's old one is closed.
pub(crate) fn move_to(fd: OwnedFd, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // It stands where it should: it stays open under its number, owned by nobody.
        let _ = fd.into_raw_fd();
        return Ok(());
    }
    // SAFETY: called on a forked child's own table, before it uses what stood there.
    done(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into())
}

/// Brings up the loopback device of this network namespace.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: all zeroes is a legal ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request lives through the call and is of the type it wants.
    done(
        unsafe {
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request)
        }
        .into(),
    )
}

/// A session keyring of its own, so that none of the parent's keys is reachable.
pub(crate) fn own_keyring() -> io::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for a new, unnamed keyring.
    let got = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, none) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Loads a seccomp filter for this process and all it starts.
pub(crate) fn load_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program lives through the call, which copies it.
    done(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })
}

/// Sets a resource limit. Lowering always works; raising is refused without the capability.
pub(crate) fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure lives through the call.
    done(unsafe { libc::setrlimit(resource as _, &raw const limit) }.into())
}

/// A resource limit's soft and hard value.
pub(crate) fn limit(resource: u32) -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives through the call; a failure leaves zeroes.
    unsafe { libc::getrlimit(resource as _, &raw mut limit) };
    (limit.rlim_cur, limit.rlim_max)
}

/// Restores the default action of every signal and unblocks all of them.
pub(crate) fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: setting the default action is legal for every signal; those that refuse it
        // (KILL, STOP, the C library's own) are meant to.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an emptied set is a legal mask, and lives through both calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Ignores a signal, in this process and what it forks.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: ignoring is a legal action for the signals the callers name.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// A descriptor that is readable when a child has ended; the signal itself is blocked.
pub(crate) fn child_events() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before its use and lives through every call; the
    // descriptor is new and owned by nobody else.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// Takes the end of one child that has ended: its id and raw wait status.
pub(crate) fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status lives through the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Sends a signal to everything this process may signal but itself and init.
pub(crate) fn signal_all(signal: i32) {
    // SAFETY: touches no memory. Only called by init of a pid namespace, where it reaches the
    // namespace's processes only.
    unsafe { libc::kill(-1, signal) };
}

/// Sends a signal to a process group.
pub(crate) fn signal_group(group: i32, signal: i32) {
    if group > 1 {
        // SAFETY: touches no memory.
        unsafe { libc::kill(-group, signal) };
    }
}

/// Waits for a child's end: its raw status, and the processor time in microseconds and the
/// largest resident size in bytes of it and of what it waited for.
pub(crate) fn wait_child(pid: i32) -> io::Result<(i32, u64, u64)> {
    let mut status = 0;
    // SAFETY: all zeroes is a legal rusage; both live through the call.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: as above.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
        match got {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            _ => break,
        }
    }
    let micros = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    Ok((status, micros(used.ru_utime) + micros(used.ru_stime), used.ru_maxrss as u64 * 1024))
}

/// The unit of the times in `/proc/<pid>/stat`.
pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: touches no memory.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100)
}

/// Bytes of a page of memory.
pub(crate) fn page_size() -> u64 {
    // SAFETY: touches no memory.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Replaces this process by a program. Returns only on failure.
pub(crate) fn execute(program: &CStr, argv: &[*const libc::c_char], env: &[*const libc::c_char]) {
    debug_assert!(argv.last().is_some_and(|p| p.is_null()));
    debug_assert!(env.last().is_some_and(|p| p.is_null()));
    // SAFETY: both lists end with a null pointer, and their strings outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
}

fn done(got: libc::c_long) -> io::Result<()> {
    if got == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
