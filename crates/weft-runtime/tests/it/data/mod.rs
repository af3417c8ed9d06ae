//! Datasets as folders: what a program finds there, and what it cannot do.

mod server;

use crate::support::{Machine, PATIENCE, python, shell};
use hyper::StatusCode;
use server::Shelf;
use std::path::PathBuf;
use weft_runtime::{DataMount, End, Launch};

/// With `claims@v7` at `/data/claims`.
fn with_data(launch: Launch) -> Launch {
    let (dataset, version) = ("claims".to_owned(), "v7".to_owned());
    let data = vec![DataMount { dataset, version, to: PathBuf::from("/data/claims") }];
    Launch { data, ..launch }
}

#[tokio::test]
async fn a_file_is_read_as_any_other() {
    let m = Machine::new();
    let objects = [("a.csv", b"x,y\n1,2\n".to_vec()), ("deep/er/b.csv", b"deep\n".to_vec())];
    let shelf = Shelf::open(m.state.path(), &objects);
    let look =
        "cat /data/claims/a.csv; cat /data/claims/deep/er/b.csv; cd /data/claims; find . | sort";
    let ran = m.run(&with_data(shell(look))).await;
    let wanted = "x,y\n1,2\ndeep\n.\n./a.csv\n./deep\n./deep/er\n./deep/er/b.csv";
    assert_eq!(ran.printed(), wanted);
    assert!(shelf.asked().iter().all(|asked| asked.contains(" w1-1-0 ")));
}

/// Waits until it is so; a hang is a failure.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it does not come to that");
}

/// Bytes that say where they stand.
fn pattern(length: usize) -> Vec<u8> {
    (0..length / 8).flat_map(|n| (n as u64).to_le_bytes()).collect()
}

#[tokio::test]
async fn large_files_are_read_in_any_order() {
    let m = Machine::new();
    let objects = [("big", pattern(40 << 20)), ("empty", Vec::new()), ("odd", vec![7; 1_048_577])];
    let shelf = Shelf::open(m.state.path(), &objects);
    let script = "
import os, random, mmap, hashlib, struct, threading
path = '/data/claims/big'
size = os.stat(path).st_size
def at(f, n, bytes=8):
    return os.pread(f, bytes, n)
f = os.open(path, os.O_RDONLY)
random.seed(1)
for _ in range(300):
    n = random.randrange(size // 8)
    assert struct.unpack('<Q', at(f, n * 8))[0] == n, n
assert at(f, size) == b'' and at(f, size - 4, 100) == struct.pack('<Q', size // 8 - 1)[4:]
whole = hashlib.sha256()
with open(path, 'rb') as g:
    while piece := g.read(1 << 16):
        whole.update(piece)
with open(path, 'rb') as g:
    m = mmap.mmap(g.fileno(), 0, prot=mmap.PROT_READ)
    assert hashlib.sha256(m).digest() == whole.digest()
def reads(start):
    with open(path, 'rb') as g:
        g.seek(start)
        for n in range(start // 8, min((start + (6 << 20)) // 8, size // 8), 512):
            assert struct.unpack('<Q', g.read(4096)[:8])[0] == n
threads = [threading.Thread(target=reads, args=(k << 22,)) for k in range(10)]
[t.start() for t in threads]; [t.join() for t in threads]
print(size, whole.hexdigest()[:8], len(open('/data/claims/empty').read()), os.stat('/data/claims/odd').st_size,
      set(open('/data/claims/odd', 'rb').read()))
";
    let ran = m.run(&with_data(python(script))).await;
    assert_eq!(ran.printed(), "41943040 79e6536d 0 1048577 {7}");
    // All of it was fetched about once: the kernel has what was read.
    let asked = shelf.asked();
    let bytes: u64 = asked.iter().filter(|asked| asked.contains("/big?")).map(|a| length(a)).sum();
    assert!(bytes < 70 << 20, "{bytes} bytes in {} requests", asked.len());
}

/// Bytes that a request asked for.
fn length(asked: &str) -> u64 {
    let range = asked.rsplit_once("bytes=").unwrap().1.split_once('-').unwrap();
    range.1.parse::<u64>().unwrap() + 1 - range.0.parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_server_that_goes_away_is_waited_for() {
    let m = Machine::new();
    let mut shelf = Shelf::open(m.state.path(), &[("a", pattern(24 << 20)), ("b", b"b".to_vec())]);
    // It reads as it is told to, so that the server is away in the middle of it.
    let script = "
import os, sys
f = open('/data/claims/a', 'rb', buffering=0)
sum = 0
for part in range(24):
    while not os.path.exists(f'/work/{part // 8}'):
        pass
    if part == 8:
        os.rename('/work/0', '/work/reached')
    piece = f.read(1 << 20)
    while len(piece) < 1 << 20:
        piece += f.read((1 << 20) - len(piece))
    sum += piece[1 << 19]
print(sum, open('/data/claims/b').read())
";
    let launch = with_data(python(script));
    m.runtime.start(&launch).await.unwrap();
    let work = m.work(launch.key);
    std::fs::write(work.join("0"), "").unwrap();
    std::fs::write(work.join("1"), "").unwrap();
    until(|| work.join("reached").exists()).await;
    shelf.go();
    std::fs::write(work.join("2"), "").unwrap();
    let log = m.runtime.log_path(launch.key);
    let said = |text: &str| std::fs::read_to_string(&log).unwrap().contains(text);
    until(|| said("the server is away")).await;
    shelf.come();
    let ran = m.ended(launch.key).await;
    let sum: u64 = (0..24_usize)
        .map(|n| u64::from(pattern((n << 20) + (1 << 19) + 8)[(n << 20) + (1 << 19)]))
        .sum();
    assert_eq!(ran.printed(), format!("{sum} b"));
}

#[tokio::test]
async fn who_waits_can_be_ended() {
    let m = Machine::new();
    let mut shelf = Shelf::open(m.state.path(), &[("a", pattern(8 << 20))]);
    let script = "
import os, subprocess, sys
f = os.open('/data/claims/a', os.O_RDONLY)
os.pread(f, 1, 0)
open('/work/ready', 'w').close()
while not os.path.exists('/work/go'):
    pass
child = subprocess.Popen(['tail', '-c', '1', '/data/claims/a'])
try:
    child.wait(0.05)
except subprocess.TimeoutExpired:
    child.terminate()
    print(child.wait())
sys.stdout.flush()
os.pread(f, 1, 6 << 20)
print('NEVER')
";
    let launch = with_data(python(script));
    m.runtime.start(&launch).await.unwrap();
    let work = m.work(launch.key);
    until(|| work.join("ready").exists()).await;
    shelf.go();
    std::fs::write(work.join("go"), "").unwrap();
    let log = m.runtime.log_path(launch.key);
    until(|| std::fs::read_to_string(&log).unwrap().contains("-15")).await;
    // Killed in the middle of a read that nothing answers.
    m.runtime.stop(launch.key, true).await.unwrap();
    let ran = m.ended(launch.key).await;
    assert_eq!((ran.exit.end, ran.out.as_str()), (End::Stopped, "-15\n"));
}

#[tokio::test]
async fn what_is_refused_is_an_error_at_once() {
    let m = Machine::new();
    let shelf = Shelf::open(m.state.path(), &[("a", b"a".to_vec())]);
    let script = "
import os
def tried(what):
    try:
        what()
        print('READ')
    except OSError as e:
        print(e.strerror)
print(os.listdir('/data/claims'))
os.mkfifo('/work/refuse'); open('/work/refuse', 'w').close()
tried(lambda: open('/data/claims/a').read())
";
    let launch = with_data(python(script));
    m.runtime.start(&launch).await.unwrap();
    let fifo = m.work(launch.key).join("refuse");
    until(|| fifo.exists()).await;
    shelf.refuse(Some(StatusCode::FORBIDDEN));
    let opened = tokio::task::spawn_blocking(move || std::fs::read(fifo)).await.unwrap();
    opened.unwrap();
    let ran = m.ended(launch.key).await;
    assert_eq!(ran.printed(), "['a']\nPermission denied");
}

#[tokio::test]
async fn names_are_shown_as_far_as_a_file_can_have_them() {
    let m = Machine::new();
    let long = "x".repeat(255);
    let longer = "y".repeat(256);
    let deep = vec!["d"; 60].join("/");
    let objects = [
        "a",
        "a/b",
        "c/",
        "c/d",
        "new\nline",
        "üñí/☃",
        "%41",
        "sp ace",
        "//x",
        "/y",
        "e//f",
        "../up",
        "./here",
        "z/../up",
        &long,
        &longer,
        &deep,
    ];
    let objects: Vec<_> = objects.iter().map(|path| (*path, path.as_bytes().to_vec())).collect();
    let _shelf = Shelf::open(m.state.path(), &objects);
    let script = "
import os
root = '/data/claims/'
for at, folders, files in os.walk(root):
    folders.sort()
    for name in sorted(files):
        path = os.path.join(at, name)[len(root):]
        assert open(root + path, 'rb').read() == path.encode(), path
        print(ascii(path if len(path) < 100 else path[:4] + str(len(path))))
for escape in ['../claims/../../etc/passwd', 'a/../../../etc/passwd']:
    assert open(root + escape).read() == open('/etc/passwd').read()
";
    let ran = m.run(&with_data(python(script))).await;
    let wanted = ["'%41'", "'new\\nline'", "'sp ace'", "'xxxx255'", "'a/b'", "'c/d'"];
    let wanted = [&wanted[..], &["'d/d/119'", "'\\xfc\\xf1\\xed/\\u2603'"]].concat().join("\n");
    assert_eq!(ran.printed(), wanted);
    // `a`, `//x` and `/y` in one, `e//f`, `../up`, `./here`, `z/../up`, and what is too long.
    assert!(ran.weft.contains("data: 7 objects of claims@v7 are not shown"), "{}", ran.weft);
}

#[tokio::test]
async fn nothing_can_be_changed_or_reached_behind_it() {
    let m = Machine::new();
    let _shelf = Shelf::open(m.state.path(), &[("a", b"a".to_vec()), ("f/b", b"b".to_vec())]);
    let script = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def called(got):
    if got != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
root = '/data/claims'
mnt = root.encode()
for attack in [
    lambda: open(root + '/a', 'w'),
    lambda: open(root + '/a', 'r+'),
    lambda: open(root + '/new', 'w'),
    lambda: os.unlink(root + '/a'),
    lambda: os.rename(root + '/a', root + '/c'),
    lambda: os.mkdir(root + '/d'),
    lambda: os.symlink('/etc/passwd', root + '/s'),
    lambda: os.link(root + '/a', root + '/l'),
    lambda: os.chmod(root + '/a', 0o777),
    lambda: os.chown(root + '/a', 1000, 1000),
    lambda: os.utime(root + '/a'),
    lambda: os.truncate(root + '/a', 0),
    lambda: os.setxattr(root + '/a', 'user.x', b'x'),
    lambda: os.mknod(root + '/n'),
    lambda: os.rmdir(root),
    lambda: os.execv(root + '/a', ['a']),
    lambda: called(libc.umount2(mnt, 2)),
    lambda: called(libc.mount(b'none', mnt, b'tmpfs', 0, None)),
    lambda: called(libc.mount(None, mnt, None, 32 | 4096, None)),
    lambda: os.open('/dev/fuse', os.O_RDWR),
    lambda: os.listdir('/sys/fs/fuse/connections'),
    lambda: os.listdir('/proc/1/fd'),
    lambda: os.open('/proc/1/mem', os.O_RDONLY),
]:
    try:
        attack()
        print('DONE')
    except OSError as e:
        pass
links = ['/proc/self/fd/' + fd for fd in os.listdir('/proc/self/fd')]
print([os.readlink(link) for link in links if os.path.exists(link) and 'fuse' in os.readlink(link)])
print(open(root + '/a').read(), os.stat(root + '/f/b').st_size, oct(os.stat(root + '/a').st_mode))
print([line.split()[5] for line in open('/proc/self/mountinfo') if ' /data/claims ' in line])
print([name for name, value in os.environ.items() if 'api.sock' in value or 'RUN' in name])
";
    let ran = m.run(&with_data(python(script))).await;
    let wanted = "[]\na 1 0o100444\n['ro,nosuid,nodev,noexec,relatime']\n[]";
    assert_eq!(ran.printed(), wanted);
}

#[tokio::test]
async fn thousands_of_files_are_opened_at_once() {
    let m = Machine::new();
    let names: Vec<String> = (0..3_000).map(|n| format!("{}/{n}", n % 7)).collect();
    let objects: Vec<_> = names.iter().map(|n| (n.as_str(), n.clone().into_bytes())).collect();
    let shelf = Shelf::with_pages(m.state.path(), &objects, 1_000);
    let script = "
import os, concurrent.futures as c
root = '/data/claims/'
paths = [os.path.join(at, name) for at, _, files in os.walk(root) for name in files]
files = [os.open(path, os.O_RDONLY) for path in paths]
def reads(n):
    return os.read(files[n], 100) == paths[n][len(root):].encode()
with c.ThreadPoolExecutor(32) as pool:
    print(len(files), all(pool.map(reads, range(len(files)))))
";
    let mut launch = with_data(python(script));
    launch.limits.pids = 100;
    assert_eq!(m.run(&launch).await.printed(), "3000 True");
    // Each was asked for once, and nothing to look it up: its folder's list says all.
    assert_eq!(shelf.asked().len(), 3_000 + 1 + 7);
}

#[tokio::test]
async fn what_is_damaged_is_an_error_and_is_not_tried_for_long() {
    let m = Machine::new();
    let shelf = Shelf::open(m.state.path(), &[("bad", pattern(3 << 20)), ("good", b"x".to_vec())]);
    let script = "
import os
f = os.open('/data/claims/bad', os.O_RDONLY)
try:
    while os.read(f, 1 << 16):
        pass
    print('READ')
except OSError as e:
    print(e.strerror)
print(open('/data/claims/good').read())
";
    shelf.damage("bad", 1 << 20);
    assert_eq!(m.run(&with_data(python(script))).await.printed(), "Input/output error\nx");
}
