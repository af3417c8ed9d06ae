//! Files: the host's, the platform's, other runs', and the sandbox's own frame.

use super::{PRELUDE, attack};
use crate::support::{Machine, key, python, shell};
use std::fs;
use std::os::unix::fs::MetadataExt;
use weft_runtime::End;

crate::escape::attempts! {
    write_to_usr: "EROFS|EACCES", "attempt(lambda: write('/usr/bin/evil', 'x'))";
    write_to_the_root: "EROFS|EACCES", "attempt(lambda: write('/evil', 'x'))";
    write_to_etc: "EROFS|EACCES", "attempt(lambda: write('/etc/passwd', 'x'))";
    make_a_device: "EPERM",
        "import stat; attempt(lambda: os.mknod('/work/disk', 0o666 | stat.S_IFBLK, os.makedev(254, 0)))";
    make_a_device_in_tmp: "EPERM",
        "import stat; attempt(lambda: os.mknod('/tmp/mem', 0o666 | stat.S_IFCHR, os.makedev(1, 1)))";
    open_a_disk_or_the_memory: "ENOENT\nENOENT\nENOENT\nENOENT", r"
for name in ['vda', 'mem', 'kmsg', 'kvm']:
    attempt(lambda: os.open('/dev/' + name, os.O_RDONLY))";
    read_the_hosts_passwords: "ENOENT", "attempt(lambda: read('/etc/shadow'))";
    list_the_hosts_home_folders: "[] []", "print(os.listdir('/root'), os.listdir('/home'))";
    read_kernel_memory: "ENOENT|ESCAPED b''", "attempt(lambda: read('/proc/kcore'))";
    read_the_kernels_keys: "ENOENT|ESCAPED b''", "attempt(lambda: read('/proc/keys'))";
    trigger_sysrq: "EROFS|ENOENT|EACCES", "attempt(lambda: write('/proc/sysrq-trigger', 'b'))";
    set_a_kernel_parameter: "EROFS|EACCES\nEROFS|EACCES", r"
attempt(lambda: write('/proc/sys/kernel/core_pattern', '|/work/evil'))
attempt(lambda: write('/proc/sys/net/ipv4/ip_forward', '1'))";
    write_to_interrupts: "EROFS|EACCES", "attempt(lambda: write('/proc/irq/default_smp_affinity', '1'))";
    reach_the_hardware_by_sys: "ENOENT\nEROFS|EACCES", r"
attempt(lambda: os.listdir('/sys/firmware'))
attempt(lambda: write('/sys/devices/system/cpu/cpu0/evil', '1'))";
    escape_by_a_control_group: "ENOENT\nENOENT", r"
attempt(lambda: os.listdir('/sys/fs/cgroup'))
attempt(lambda: write('/sys/fs/cgroup/memory/release_agent', '/work/evil'))";
    read_the_first_process: "EACCES\nEACCES\nEACCES\nEACCES", r"
for name in ['mem', 'environ', 'maps', 'fd/3']:
    attempt(lambda: read('/proc/1/' + name))";
    walk_through_the_first_process: "EACCES", "attempt(lambda: os.listdir('/proc/1/root'))";
    /// CVE-2019-5736: the runtime's own binary, written through a process of it.
    overwrite_the_runtime: "EACCES\nEACCES", r"
attempt(lambda: os.open('/proc/1/exe', os.O_WRONLY))
attempt(lambda: os.open('/proc/1/exe', os.O_RDONLY))";
    overwrite_its_own_program: "EROFS|EACCES", "attempt(lambda: os.open('/proc/self/exe', os.O_WRONLY))";
    find_inherited_descriptors: "[0, 1, 2]", r"
fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))
print([fd for fd in fds if os.path.exists(f'/proc/self/fd/{fd}') or fd < 3])";
    find_the_servers_environment: "[]", r"
known = {'HOME', 'LANG', 'LC_CTYPE', 'LOGNAME', 'MLFLOW_TRACKING_TOKEN', 'MLFLOW_TRACKING_URI', 'OMP_NUM_THREADS', 'PATH', 'PYTHONUNBUFFERED', 'SHELL', 'TMPDIR', 'USER', 'WEFT_ATTEMPT', 'WEFT_MEMBER', 'WEFT_WORKLOAD'}
print(sorted(set(os.environ) - known))";
    climb_above_the_root: "True", r"
fd = os.open('/', os.O_RDONLY)
for _ in range(64):
    os.chdir('..')
print(os.stat('.').st_ino == os.fstat(fd).st_ino and os.listdir('.') == os.listdir('/'))";
    see_the_hosts_mounts: "False", r"
lines = open('/proc/self/mountinfo').read().splitlines()
print(any(line.split()[4].startswith(('/sys/fs', '/var', '/home', '/root')) for line in lines))";
}

#[tokio::test]
async fn the_state_directory_is_not_there() {
    let machine = Machine::new();
    fs::write(machine.state.path().join("weft.db"), "secret").unwrap();
    let state = machine.state.path().display();
    let script = format!(
        "{PRELUDE}\nfor name in ['weft.db', 'runs', 'api.sock', '']:\n    \
         attempt(lambda: os.stat('{state}/' + name))"
    );
    let ran = machine.run(&python(&script)).await;
    assert_eq!(ran.printed(), "ENOENT\nENOENT\nENOENT\nENOENT");
}

#[tokio::test]
async fn another_runs_files_are_out_of_reach_even_by_a_link() {
    let machine = Machine::new();
    let mut other = shell("echo secret > kept");
    other.key = key(2);
    machine.run(&other).await.printed();
    let theirs = machine.work(other.key);
    assert_eq!(fs::read_to_string(theirs.join("kept")).unwrap(), "secret\n");
    let script = format!(
        "{PRELUDE}\nos.symlink('{0}/kept', '/work/link')\nattempt(lambda: read('/work/link'))\n\
         attempt(lambda: os.link('{0}/kept', '/work/hard'))",
        theirs.display()
    );
    assert_eq!(machine.run(&python(&script)).await.printed(), "ENOENT\nENOENT");
}

#[tokio::test]
async fn outputs_do_not_follow_links_out_of_the_working_folder() {
    let machine = Machine::new();
    let secret = machine.state.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let mut launch = shell(&format!(
        "mkdir out; ln -s {0} out/link; ln -s {1} dir; echo fine > out/fine",
        secret.display(),
        machine.state.path().display(),
    ));
    launch.outputs = vec!["out".to_owned(), "dir/secret".to_owned()];
    let ran = machine.run(&launch).await;
    assert_eq!(ran.exit.end, End::Exited(0));
    let kept = machine.state.path().join("outputs/w1");
    let found = walk(&kept);
    assert!(!found.iter().any(|(_, text)| text.contains("secret")), "{found:?}");
}

#[tokio::test]
async fn what_a_run_writes_belongs_to_nobody_on_the_host() {
    let machine = Machine::new();
    let ran = machine.run(&shell("echo x > file; id -u")).await;
    assert_eq!(ran.printed(), "1000");
    let owner = fs::metadata(machine.work(key(1)).join("file")).unwrap().uid();
    let own = rustix::process::geteuid().as_raw();
    assert!(if own == 0 { owner >= 2_000_000 } else { owner == own }, "{owner}");
}

#[tokio::test]
async fn a_library_preload_does_not_reach_the_supervisor() {
    let machine = Machine::new();
    let mut launch = shell("true");
    launch.env.insert("LD_PRELOAD".to_owned(), "/work/evil.so".to_owned());
    launch.env.insert("WEFT_FAILPOINT".to_owned(), "exit-before-write:abort".to_owned());
    assert_eq!(machine.run(&launch).await.exit.end, End::Exited(0));
}

#[tokio::test]
async fn temporary_files_are_each_runs_own() {
    let name = format!("/tmp/weft-{}", std::process::id());
    fs::write(&name, "host").unwrap();
    let ran = attack(&format!("attempt(lambda: read('{name}'))")).await;
    fs::remove_file(&name).unwrap();
    assert_eq!(ran.printed(), "ENOENT");
}

/// Every file below a folder and what it holds.
fn walk(folder: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                found.push((path, text));
            }
        }
    }
    found
}
