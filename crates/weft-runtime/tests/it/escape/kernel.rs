//! The kernel's doors: mounts, namespaces, tracing, and calls no workload has a use for.

crate::escape::attempts! {
    mount_a_tmpfs: "EPERM",
        "attempt(lambda: syscall(165, b'none', b'/tmp', b'tmpfs', 0, 0))";
    unmount_proc: "EPERM", "attempt(lambda: syscall(166, b'/proc', 2))";
    unmount_a_mask: "EPERM", "attempt(lambda: syscall(166, b'/proc/kcore', 2))";
    remount_usr_writable: "EPERM",
        "attempt(lambda: syscall(165, b'none', b'/usr', b'', 0x1000 | 0x20, 0))";
    mount_by_the_new_calls: "EPERM\nEPERM\nEPERM", r"
attempt(lambda: syscall(428, -100, b'/', 0))
attempt(lambda: syscall(430, b'tmpfs', 0))
attempt(lambda: syscall(442, -100, b'/usr', 0, ctypes.create_string_buffer(32), 32))";
    pivot_the_root: "EPERM", "attempt(lambda: syscall(155, b'/tmp', b'/tmp'))";
    chroot: "EPERM", "os.mkdir('/tmp/jail'); attempt(lambda: os.chroot('/tmp/jail'))";
    new_user_namespace: "EPERM", "attempt(lambda: syscall(272, 0x10000000))";
    new_network_namespace: "EPERM", "attempt(lambda: syscall(272, 0x40000000))";
    new_mount_namespace: "EPERM", "attempt(lambda: syscall(272, 0x00020000))";
    new_time_namespace: "EPERM", "attempt(lambda: syscall(272, 0x80))";
    clone_into_a_user_namespace: "EPERM",
        "attempt(lambda: syscall(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))";
    /// Its flags lie in memory, which no filter can read: it is not there at all.
    clone3: "ENOSYS", "attempt(lambda: syscall(435, ctypes.create_string_buffer(88), 88))";
    join_a_namespace_of_init: "EACCES", "attempt(lambda: os.open('/proc/1/ns/net', os.O_RDONLY))";
    join_its_own_namespace: "EPERM",
        "fd = os.open('/proc/self/ns/net', os.O_RDONLY); attempt(lambda: syscall(308, fd, 0))";
    trace_init: "EPERM", "attempt(lambda: syscall(101, 16, 1, 0, 0))";
    be_traced: "EPERM", "attempt(lambda: syscall(101, 0, 0, 0, 0))";
    read_another_process: "EPERM", r"
buffer = ctypes.create_string_buffer(64)
vector = struct.pack('QQ', ctypes.addressof(buffer), 64)
attempt(lambda: syscall(310, os.getpid(), vector, 1, vector, 1, 0))";
    raw_socket: "EPERM", "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))";
    raw_socket_v6: "EPERM", "attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58))";
    packet_socket: "EPERM", "attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))";
    netfilter_socket: "EPERM", "attempt(lambda: socket.socket(16, socket.SOCK_RAW, 12))";
    audit_socket: "EPERM", "attempt(lambda: socket.socket(16, socket.SOCK_RAW, 9))";
    virtual_machine_socket: "EPERM", "attempt(lambda: socket.socket(40, socket.SOCK_STREAM, 0))";
    kernel_crypto_socket: "EPERM", "attempt(lambda: socket.socket(38, 5, 0))";
    io_uring: "EPERM", "attempt(lambda: syscall(425, 8, ctypes.create_string_buffer(120)))";
    bpf: "EPERM", "attempt(lambda: syscall(321, 0, ctypes.create_string_buffer(128), 128))";
    perf_events: "EPERM",
        "attempt(lambda: syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))";
    userfaultfd: "EPERM", "attempt(lambda: syscall(323, 1))";
    keys: "EPERM\nEPERM\nEPERM", r"
attempt(lambda: syscall(250, 0, -3, 0))
attempt(lambda: syscall(248, b'user', b'x', b'y', 1, -3))
attempt(lambda: syscall(249, b'user', b'x', 0, 0))";
    load_a_module: "EPERM\nEPERM", r"
attempt(lambda: syscall(175, b'', 0, b''))
attempt(lambda: syscall(313, 0, b'', 0))";
    load_a_kernel: "EPERM", "attempt(lambda: syscall(320, 0, 0, 0, 0, 0))";
    reboot: "EPERM", "attempt(lambda: syscall(169, 0xfee1dead, 672274793, 0, 0))";
    swap: "EPERM", "write('/work/swap', 'x'); attempt(lambda: syscall(167, b'/work/swap', 0))";
    open_by_handle: "EPERM",
        "attempt(lambda: syscall(304, 0, ctypes.create_string_buffer(16), 0))";
    steal_a_descriptor: "EPERM", r"
fd = syscall(434, os.getppid(), 0)
attempt(lambda: syscall(438, fd, 0, 0))";
    io_ports: "EPERM\nEPERM", r"
attempt(lambda: syscall(172, 3))
attempt(lambda: syscall(173, 0x80, 1, 1))";
    set_the_time: "EPERM\nEPERM", r"
attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt(lambda: syscall(164, ctypes.create_string_buffer(16), 0))";
    set_the_host_name: "EPERM", "attempt(lambda: socket.sethostname('evil'))";
    read_the_kernel_log: "EPERM", "attempt(lambda: syscall(103, 3, \
     ctypes.create_string_buffer(99), 99))";
    /// Would type into the terminal of whoever runs `weft exec`.
    push_input_into_a_terminal: "EPERM", r"
import fcntl
master, slave = os.openpty()
attempt(lambda: fcntl.ioctl(slave, 0x5412, b'x'))";
    disable_address_randomisation: "EPERM", "attempt(lambda: syscall(135, 0x0040000))";
    compat_calls_by_the_x32_door: "ENOSYS", "attempt(lambda: syscall(0x40000000 | 165, 0, 0, 0, 0, \
     0))";
    become_root: "EINVAL\nEINVAL\nEPERM", r"
attempt(lambda: os.setuid(0))
attempt(lambda: os.setgid(0))
attempt(lambda: os.setgroups([0]))";
    regain_capabilities: "EPERM", r"
header = struct.pack('Ii', 0x20080522, 0)
attempt(lambda: syscall(126, header, struct.pack('6I', 1 << 21, 1 << 21, 0, 0, 0, 0)))";
    hold_any_capability: "0000000000000000 0000000000000000 1 2", r"
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
print(*[status[name].strip() for name in ['CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp']])";
    /// `mount` and `su` are setuid on the host.
    gain_by_setuid_programs: "True 1000 0", r"
import stat, subprocess
found = [path for path in ['/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd'] if os.path.exists(path) and os.stat(path).st_mode & stat.S_ISUID]
copy = '/work/id'
import shutil; shutil.copy('/usr/bin/id', copy); os.chmod(copy, 0o6755)
print(bool(found), subprocess.check_output([copy, '-u'], text=True).strip(), subprocess.run(['/usr/bin/mount', '-t', 'tmpfs', 'x', '/tmp'], capture_output=True).returncode == 0 and 1 or 0)";
}
