//! The system-call filter: an allow-list, compiled to one BPF program.
//!
//! Built by the supervisor before the fork, loaded by init last of all. What is not on the list
//! gets `EPERM`; what this table has never heard of gets `ENOSYS`, so that libraries fall back
//! as on an older kernel. Sources: the default profiles of Docker (moby/profiles) and systemd
//! (`@system-service`), minus what no training or serving program needs. The kernel caches the
//! verdict of calls allowed whatever their arguments, so their order costs nothing.

use libc::{SYS_clone, SYS_clone3, SYS_ioctl, SYS_personality, SYS_prctl, sock_filter};
use libc::{SYS_socket, SYS_socketpair, SYS_unshare};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7;

/// Numbers from here on are the x32 ABI's on x86-64: a second door to every call.
const X32_BIT: u32 = 0x4000_0000;
/// The newest call this table was written with (`mseal`); later ones do not exist here.
const NEWEST: u32 = 462;

const NR: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32
    // CLONE_NEWTIME
    | 0x80;

/// The whole filter.
pub(crate) fn filter() -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCH_OFFSET),
        jump(EQUAL, ARCH, 1, 0),
        ret(KILL),
        load(NR),
        jump(AT_LEAST, X32_BIT, 0, 1),
        ret(UNKNOWN),
    ];
    let mut allowed: Vec<u32> = EVERYWHERE.iter().chain(&OLDER).map(|&nr| nr as u32).collect();
    allowed.sort_unstable();
    for (first, last) in ranges(&allowed) {
        match first == last {
            true => program.extend([jump(EQUAL, first, 0, 1), ret(ALLOW)]),
            false => program.extend([
                jump(AT_LEAST, first, 0, 2),
                jump(AT_LEAST, last + 1, 1, 0),
                ret(ALLOW),
            ]),
        }
    }
    program.extend(guarded(SYS_clone, only_without(argument(0), NAMESPACE_FLAGS)));
    program.extend(guarded(SYS_unshare, only_without(argument(0), NAMESPACE_FLAGS)));
    program.extend(guarded(SYS_ioctl, none_of(argument(1), &[0x5412, 0x541C])));
    program.extend(guarded(SYS_personality, one_of(argument(0), &HARMLESS_PERSONALITIES)));
    program.extend(guarded(SYS_prctl, none_of(argument(0), &REFUSED_PRCTL)));
    program.extend(guarded(SYS_socketpair, one_of(argument(0), &[libc::AF_UNIX as u32])));
    program.extend(guarded(SYS_socket, sockets()));
    program.extend([jump(EQUAL, SYS_clone3 as u32, 0, 1), ret(UNKNOWN)]);
    program.extend([jump(AT_LEAST, NEWEST + 1, 0, 1), ret(UNKNOWN), ret(REFUSE)]);
    program
}

/// `UNAME26` and the default, alone and with `ADDR_COMPAT_LAYOUT`; all ones asks for the current.
const HARMLESS_PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `PR_SET_MM`: rewrites where the kernel thinks the program's memory lies.
const REFUSED_PRCTL: [u32; 1] = [35];

/// TCP, UDP and Unix sockets, and the route family of netlink that listing one's own interfaces
/// needs; no raw or packet sockets, no other family.
fn sockets() -> Vec<sock_filter> {
    const TYPE_MASK: u32 = 0xff;
    let netlink = vec![
        load(argument(2)),
        jump(EQUAL, libc::NETLINK_ROUTE as u32, 0, 1),
        ret(ALLOW),
        ret(REFUSE),
    ];
    let internet = vec![
        load(argument(1)),
        step(AND, TYPE_MASK),
        jump(EQUAL, libc::SOCK_STREAM as u32, 1, 0),
        jump(EQUAL, libc::SOCK_DGRAM as u32, 0, 1),
        ret(ALLOW),
        ret(REFUSE),
    ];
    let mut body = vec![load(argument(0)), jump(EQUAL, libc::AF_UNIX as u32, 0, 1), ret(ALLOW)];
    body.push(jump(EQUAL, libc::AF_NETLINK as u32, 0, netlink.len() as u8));
    body.extend(netlink);
    body.push(jump(EQUAL, libc::AF_INET as u32, 1, 0));
    body.push(jump(EQUAL, libc::AF_INET6 as u32, 0, internet.len() as u8));
    body.extend(internet);
    body.push(ret(REFUSE));
    body
}

fn only_without(offset: u32, bits: u32) -> Vec<sock_filter> {
    vec![load(offset), jump(ANY_BIT, bits, 0, 1), ret(REFUSE), ret(ALLOW)]
}

fn none_of(offset: u32, values: &[u32]) -> Vec<sock_filter> {
    let refused = values.iter().flat_map(|&v| [jump(EQUAL, v, 0, 1), ret(REFUSE)]);
    [load(offset)].into_iter().chain(refused).chain([ret(ALLOW)]).collect()
}

fn one_of(offset: u32, values: &[u32]) -> Vec<sock_filter> {
    let allowed = values.iter().flat_map(|&v| [jump(EQUAL, v, 0, 1), ret(ALLOW)]);
    [load(offset)].into_iter().chain(allowed).chain([ret(REFUSE)]).collect()
}

/// `body` for this call only; it ends with a verdict on every path.
fn guarded(call: libc::c_long, body: Vec<sock_filter>) -> Vec<sock_filter> {
    let skip = body.len() as u8;
    [jump(EQUAL, call as u32, 0, skip)].into_iter().chain(body).collect()
}

/// Runs of neighbouring numbers.
fn ranges(sorted: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &nr in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 >= nr => *last = nr,
            _ => ranges.push((nr, nr)),
        }
    }
    ranges
}

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> sock_filter {
    step(LOAD, offset)
}

fn ret(verdict: u32) -> sock_filter {
    step(RETURN, verdict)
}

fn jump(code: u16, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code, jt: yes, jf: no, k }
}

/// Allowed whatever the arguments.
#[rustfmt::skip]
const EVERYWHERE: [libc::c_long; 245] = [
    libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_fstat, libc::SYS_lseek,
    libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_brk, libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_readv, libc::SYS_writev, libc::SYS_sched_yield, libc::SYS_mremap, libc::SYS_msync,
    libc::SYS_mincore, libc::SYS_madvise, libc::SYS_shmget, libc::SYS_shmat, libc::SYS_shmctl,
    libc::SYS_shmdt, libc::SYS_dup, libc::SYS_nanosleep, libc::SYS_getitimer, libc::SYS_setitimer,
    libc::SYS_getpid, libc::SYS_sendfile, libc::SYS_connect, libc::SYS_accept, libc::SYS_sendto,
    libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_shutdown, libc::SYS_bind,
    libc::SYS_listen, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_setsockopt,
    libc::SYS_getsockopt, libc::SYS_execve, libc::SYS_exit, libc::SYS_wait4, libc::SYS_kill,
    libc::SYS_uname, libc::SYS_semget, libc::SYS_semop, libc::SYS_semctl, libc::SYS_semtimedop,
    libc::SYS_msgget, libc::SYS_msgsnd, libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_fcntl,
    libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_truncate, libc::SYS_ftruncate,
    libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_fchmod, libc::SYS_fchown,
    libc::SYS_umask, libc::SYS_gettimeofday, libc::SYS_getrlimit, libc::SYS_setrlimit,
    libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_times, libc::SYS_getuid, libc::SYS_getgid,
    libc::SYS_geteuid, libc::SYS_getegid, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setpgid,
    libc::SYS_getppid, libc::SYS_setsid, libc::SYS_setreuid, libc::SYS_setregid,
    libc::SYS_getgroups, libc::SYS_setgroups, libc::SYS_setresuid, libc::SYS_getresuid,
    libc::SYS_setresgid, libc::SYS_getresgid, libc::SYS_getpgid, libc::SYS_setfsuid,
    libc::SYS_setfsgid, libc::SYS_getsid, libc::SYS_capget, libc::SYS_capset,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigsuspend, libc::SYS_sigaltstack, libc::SYS_statfs, libc::SYS_fstatfs,
    libc::SYS_getpriority, libc::SYS_setpriority, libc::SYS_sched_setparam,
    libc::SYS_sched_getparam, libc::SYS_sched_setscheduler, libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min,
    libc::SYS_sched_rr_get_interval, libc::SYS_mlock, libc::SYS_munlock, libc::SYS_mlockall,
    libc::SYS_munlockall, libc::SYS_sync, libc::SYS_gettid, libc::SYS_readahead,
    libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr, libc::SYS_getxattr,
    libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_listxattr, libc::SYS_llistxattr,
    libc::SYS_flistxattr, libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr,
    libc::SYS_tkill, libc::SYS_futex, libc::SYS_sched_setaffinity, libc::SYS_sched_getaffinity,
    libc::SYS_io_setup, libc::SYS_io_destroy, libc::SYS_io_getevents, libc::SYS_io_submit,
    libc::SYS_io_cancel, libc::SYS_remap_file_pages, libc::SYS_getdents64,
    libc::SYS_set_tid_address, libc::SYS_restart_syscall, libc::SYS_fadvise64,
    libc::SYS_timer_create, libc::SYS_timer_settime, libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun, libc::SYS_timer_delete, libc::SYS_clock_gettime,
    libc::SYS_clock_getres, libc::SYS_clock_nanosleep, libc::SYS_exit_group, libc::SYS_epoll_ctl,
    libc::SYS_tgkill, libc::SYS_mbind, libc::SYS_set_mempolicy, libc::SYS_get_mempolicy,
    libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify, libc::SYS_mq_getsetattr, libc::SYS_waitid, libc::SYS_ioprio_set,
    libc::SYS_ioprio_get, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    libc::SYS_openat, libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_fchownat,
    libc::SYS_newfstatat, libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_linkat,
    libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_fchmodat, libc::SYS_faccessat,
    libc::SYS_pselect6, libc::SYS_ppoll, libc::SYS_set_robust_list, libc::SYS_get_robust_list,
    libc::SYS_splice, libc::SYS_tee, libc::SYS_sync_file_range, libc::SYS_vmsplice,
    libc::SYS_utimensat, libc::SYS_epoll_pwait, libc::SYS_timerfd_create, libc::SYS_fallocate,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_accept4, libc::SYS_signalfd4,
    libc::SYS_eventfd2, libc::SYS_epoll_create1, libc::SYS_dup3, libc::SYS_pipe2,
    libc::SYS_inotify_init1, libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_recvmmsg, libc::SYS_prlimit64, libc::SYS_syncfs, libc::SYS_sendmmsg,
    libc::SYS_getcpu, libc::SYS_sched_setattr, libc::SYS_sched_getattr, libc::SYS_renameat2,
    libc::SYS_seccomp, libc::SYS_getrandom, libc::SYS_memfd_create, libc::SYS_execveat,
    libc::SYS_membarrier, libc::SYS_mlock2, libc::SYS_copy_file_range, libc::SYS_preadv2,
    libc::SYS_pwritev2, libc::SYS_pkey_mprotect, libc::SYS_pkey_alloc, libc::SYS_pkey_free,
    libc::SYS_statx, libc::SYS_rseq, libc::SYS_pidfd_send_signal, libc::SYS_pidfd_open,
    libc::SYS_close_range, libc::SYS_openat2, libc::SYS_faccessat2, libc::SYS_process_madvise,
    libc::SYS_epoll_pwait2, libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self, libc::SYS_process_mrelease, libc::SYS_futex_waitv,
    libc::SYS_set_mempolicy_home_node, libc::SYS_fchmodat2, libc::SYS_mseal,
];

/// The same under the names only x86-64 still has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: [libc::c_long; 36] = [
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_poll, libc::SYS_access,
    libc::SYS_pipe, libc::SYS_select, libc::SYS_dup2, libc::SYS_pause, libc::SYS_alarm,
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_getdents, libc::SYS_rename, libc::SYS_mkdir,
    libc::SYS_rmdir, libc::SYS_creat, libc::SYS_link, libc::SYS_unlink, libc::SYS_symlink,
    libc::SYS_readlink, libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_getpgrp,
    libc::SYS_utime, libc::SYS_mknod, libc::SYS_arch_prctl, libc::SYS_time, libc::SYS_epoll_create,
    libc::SYS_epoll_wait, libc::SYS_utimes, libc::SYS_inotify_init, libc::SYS_futimesat,
    libc::SYS_signalfd, libc::SYS_eventfd,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [libc::c_long; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on a call, as the kernel would.
    fn verdict(nr: libc::c_long, args: [u64; 3]) -> u32 {
        let program = filter();
        let word = |offset: u32| match offset {
            NR => nr as u32,
            ARCH_OFFSET => ARCH,
            _ => args[(offset as usize - 16) / 8] as u32,
        };
        let (mut at, mut value) = (0usize, 0u32);
        loop {
            let step = program[at];
            at += 1;
            let yes = match step.code {
                LOAD => {
                    value = word(step.k);
                    continue;
                }
                AND => {
                    value &= step.k;
                    continue;
                }
                RETURN => return step.k,
                EQUAL => value == step.k,
                AT_LEAST => value >= step.k,
                ANY_BIT => value & step.k != 0,
                other => panic!("code {other}"),
            };
            at += usize::from(if yes { step.jt } else { step.jf });
        }
    }

    #[test]
    fn everyday_calls_pass_and_the_kernels_doors_do_not() {
        for nr in [libc::SYS_read, libc::SYS_openat, libc::SYS_execve, libc::SYS_futex] {
            assert_eq!(verdict(nr, [0; 3]), ALLOW, "{nr}");
        }
        let closed = [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_ptrace,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_keyctl,
            libc::SYS_setns,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_init_module,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_getfd,
            libc::SYS_chroot,
        ];
        for nr in closed {
            assert_eq!(verdict(nr, [0; 3]), REFUSE, "{nr}");
        }
    }

    #[test]
    fn arguments_decide_where_a_call_has_two_faces() {
        assert_eq!(verdict(SYS_clone, [libc::CLONE_THREAD as u64, 0, 0]), ALLOW);
        assert_eq!(verdict(SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0]), REFUSE);
        assert_eq!(verdict(SYS_unshare, [libc::CLONE_FILES as u64, 0, 0]), ALLOW);
        assert_eq!(verdict(SYS_unshare, [libc::CLONE_NEWNET as u64, 0, 0]), REFUSE);
        assert_eq!(verdict(SYS_clone3, [0; 3]), UNKNOWN);
        assert_eq!(verdict(SYS_ioctl, [0, 0x5412, 0]), REFUSE);
        assert_eq!(verdict(SYS_ioctl, [0, 0x5401, 0]), ALLOW);
        assert_eq!(verdict(SYS_personality, [0x40000, 0, 0]), REFUSE);
        assert_eq!(verdict(SYS_personality, [0xffff_ffff, 0, 0]), ALLOW);
    }

    #[test]
    fn sockets_of_three_families_and_no_raw_ones() {
        let (stream, raw) = (libc::SOCK_STREAM as u64, libc::SOCK_RAW as u64);
        let cloexec = libc::SOCK_CLOEXEC as u64;
        let socket =
            |family: i32, kind, protocol| verdict(SYS_socket, [family as u64, kind, protocol]);
        assert_eq!(socket(libc::AF_UNIX, stream, 0), ALLOW);
        assert_eq!(socket(libc::AF_INET, stream | cloexec, 0), ALLOW);
        assert_eq!(socket(libc::AF_INET6, libc::SOCK_DGRAM as u64, 0), ALLOW);
        assert_eq!(socket(libc::AF_INET, raw, 0), REFUSE);
        assert_eq!(socket(libc::AF_INET6, raw | cloexec, 0), REFUSE);
        assert_eq!(socket(libc::AF_PACKET, raw, 0), REFUSE);
        assert_eq!(socket(libc::AF_NETLINK, raw, libc::NETLINK_ROUTE as u64), ALLOW);
        assert_eq!(socket(libc::AF_NETLINK, raw, 9), REFUSE);
        assert_eq!(socket(libc::AF_VSOCK, stream, 0), REFUSE);
    }

    #[test]
    fn unknown_calls_look_like_an_older_kernel() {
        assert_eq!(verdict(libc::c_long::from(NEWEST) + 1, [0; 3]), UNKNOWN);
        assert_eq!(verdict(libc::c_long::from(X32_BIT), [0; 3]), UNKNOWN);
    }
}
