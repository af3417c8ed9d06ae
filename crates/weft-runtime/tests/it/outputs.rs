//! Outputs: exactly what was named, nothing from outside, all or nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use weft_runtime::outputs::{self, OutputError};

/// The disk limit of these runs.
const MOST: u64 = 1 << 20;

struct Ground {
    _temp: tempfile::TempDir,
    work: PathBuf,
    dest: PathBuf,
}

fn ground() -> Ground {
    let temp = tempfile::tempdir().unwrap();
    let (work, dest) = (temp.path().join("work"), temp.path().join("outputs/w1"));
    fs::create_dir_all(work.join("model/deep")).unwrap();
    fs::create_dir_all(dest.parent().unwrap()).unwrap();
    fs::write(temp.path().join("secret"), "secret").unwrap();
    for (path, text) in [
        ("model/weights.bin", "123"),
        ("model/deep/note", "n"),
        ("metrics.json", "{}"),
        ("ckpt-1.pt", "1"),
        ("ckpt-2.pt", "2"),
        ("train.py", "source"),
    ] {
        fs::write(work.join(path), text).unwrap();
    }
    Ground { _temp: temp, work, dest }
}

impl Ground {
    fn collect(&self, patterns: &[&str]) -> Result<outputs::Collected, OutputError> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        outputs::collect(&self.work, &patterns, &self.dest, MOST)
    }

    fn listed(&self) -> String {
        let files = outputs::list(&self.dest).unwrap();
        files.iter().map(|f| f.path.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn what_is_named_is_copied() {
    let g = ground();
    let done = g.collect(&["model/", "*.pt", "./metrics.json", "model/deep", "none/x"]).unwrap();
    assert_eq!(g.listed(), "ckpt-1.pt ckpt-2.pt metrics.json model/deep/note model/weights.bin");
    assert_eq!((done.files, done.bytes, done.skipped), (5, 8, 0));
    assert_eq!(done.missing, ["none/x"]);
    let again = g.collect(&["metrics.json"]).unwrap();
    assert_eq!((again.files, g.listed().as_str()), (1, "metrics.json"));
    assert_eq!(fs::read_dir(g.dest.parent().unwrap()).unwrap().count(), 1, "nothing beside it");
}

#[test]
fn holes_and_second_names_do_not_make_the_copy_larger_than_the_run() {
    let g = ground();
    fs::create_dir(g.work.join("holes")).unwrap();
    for n in 0..3 {
        let file = fs::File::create(g.work.join(format!("holes/{n}"))).unwrap();
        file.set_len(MOST / 2).unwrap();
    }
    let refused = g.collect(&["holes"]).unwrap_err();
    assert!(matches!(refused, OutputError::TooMuch { limit: MOST, .. }), "{refused}");
    fs::create_dir(g.work.join("names")).unwrap();
    fs::write(g.work.join("names/0"), vec![1; MOST as usize / 2]).unwrap();
    for n in 1..3 {
        fs::hard_link(g.work.join("names/0"), g.work.join(format!("names/{n}"))).unwrap();
    }
    assert!(g.collect(&["names"]).is_err());
    assert!(!g.dest.exists());
    assert_eq!(g.collect(&["names/0", "names/1"]).unwrap().bytes, MOST);
}

#[test]
fn the_whole_folder_can_be_named() {
    let g = ground();
    assert_eq!(g.collect(&["."]).unwrap().files, 6);
}

#[test]
fn links_and_special_files_stay_out() {
    let g = ground();
    symlink("../secret", g.work.join("model/link")).unwrap();
    symlink("..", g.work.join("up")).unwrap();
    symlink("../work/model", g.work.join("alias")).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mkfifoat(rustix::fs::CWD, g.work.join("model/pipe"), mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(g.work.join("model/socket")).unwrap();
    let done = g.collect(&["model", "up/secret", "up", "alias/weights.bin", "u*/secret"]).unwrap();
    assert_eq!(g.listed(), "model/deep/note model/weights.bin");
    assert_eq!((done.skipped, done.missing.len()), (4, 4));
}

#[test]
fn too_much_collects_nothing() {
    let g = ground();
    g.collect(&["metrics.json"]).unwrap();
    let sparse = fs::File::create(g.work.join("model/sparse")).unwrap();
    sparse.set_len(outputs::OUTPUT_BYTES_MAX).unwrap();
    let refused = g.collect(&["model"]).unwrap_err();
    assert!(refused.to_string().contains("model/"), "{refused}");
    assert_eq!(g.listed(), "metrics.json", "the earlier outputs stay");
    let mut deep = g.work.clone();
    (0..70).for_each(|_| deep.push("d"));
    fs::create_dir_all(&deep).unwrap();
    assert!(matches!(g.collect(&["d"]), Err(OutputError::TooMuch { .. })));
}

#[test]
fn opening_stays_inside() {
    let g = ground();
    g.collect(&["model"]).unwrap();
    symlink("../../secret", g.dest.join("model/link")).unwrap();
    let open = |path: &str| outputs::open(&g.dest, Path::new(path));
    assert!(open("model/weights.bin").is_ok());
    for bad in ["../../secret", "/etc/passwd", "model/link", "model", "none", ""] {
        assert!(matches!(open(bad), Err(OutputError::Unknown(_))), "{bad}");
    }
    assert!(outputs::list(Path::new("/nonexistent/weft")).unwrap().is_empty());
}
