//! Child processes of the environment builder: a clean environment, output by the line.
//!
//! The server's variables may hold secrets, so children get a named few: where programs and
//! certificates are, and how this machine reaches its package index.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

/// Variables children may see, besides those that start with a prefix below.
const PASSED: [&str; 35] = [
    "ALL_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "NETRC",
    "NO_PROXY",
    "PATH",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "UV_CONFIG_FILE",
    "UV_FIND_LINKS",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_NATIVE_TLS",
    "UV_OFFLINE",
    "UV_SYSTEM_CERTS",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Families of variables: the indexes uv knows and their credentials.
const PASSED_PREFIXES: [&str; 3] = ["UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX"];

/// Lines of output kept to explain a failure.
const TAIL_LINES: usize = 12;

/// The server's variables, as far as children may see them.
#[derive(Debug, Clone)]
pub(super) struct Environ {
    variables: BTreeMap<String, OsString>,
    pyenv_root: Option<OsString>,
}

impl Environ {
    pub(super) fn new(all: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environ = Self { variables: BTreeMap::new(), pyenv_root: None };
        for (name, value) in all {
            let Some(name) = name.to_str() else { continue };
            let family = PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if name == "PYENV_ROOT" {
                environ.pyenv_root = Some(value);
            } else if family || PASSED.contains(&name) {
                environ.variables.insert(name.to_owned(), value);
            }
        }
        environ
    }

    /// A variable children see, or where pyenv is.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        match name {
            "PYENV_ROOT" => self.pyenv_root.as_deref(),
            _ => self.variables.get(name).map(OsString::as_os_str),
        }
    }

    /// The absolute folders of `PATH`.
    pub(super) fn path_folders(&self) -> Vec<PathBuf> {
        let path = self.get("PATH").unwrap_or_default();
        std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()
    }

    /// A command that sees these variables only and ends when its future is dropped.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) ok: bool,
    /// The last line of standard output.
    pub(super) last: String,
    tail: VecDeque<String>,
}

impl Answer {
    /// The last lines of both streams, for people.
    pub(super) fn tail(&self) -> String {
        self.tail.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Runs a child to its end, showing each line of its output and errors.
pub(super) async fn run(mut command: Command, mut line: impl FnMut(&str)) -> io::Result<Answer> {
    let mut child = command.spawn()?;
    let mut out = lines(child.stdout.take());
    let mut err = lines(child.stderr.take());
    let (mut last, mut tail) = (String::new(), VecDeque::new());
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let (next, is_out) = tokio::select! {
            next = read(&mut out), if out_open => (next?, true),
            next = read(&mut err), if err_open => (next?, false),
        };
        let Some(text) = next else {
            *(if is_out { &mut out_open } else { &mut err_open }) = false;
            continue;
        };
        line(&text);
        if is_out {
            last.clone_from(&text);
        }
        if !text.trim().is_empty() {
            tail.push_back(text);
            tail.drain(..tail.len().saturating_sub(TAIL_LINES));
        }
    }
    Ok(Answer { ok: child.wait().await?.success(), last, tail })
}

type Lines<R> = Option<tokio::io::Lines<BufReader<R>>>;

fn lines<R: AsyncRead + Unpin>(stream: Option<R>) -> Lines<R> {
    stream.map(|stream| BufReader::new(stream).lines())
}

async fn read<R: AsyncRead + Unpin>(lines: &mut Lines<R>) -> io::Result<Option<String>> {
    match lines {
        Some(lines) => lines.next_line().await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn children_see_no_secrets() {
        let all = [
            ("PATH", "/usr/bin:relative:/bin"),
            ("UV_INDEX_CORP_PASSWORD", "for the index"),
            ("UV_PUBLISH_TOKEN", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("WEFT_TOKEN", "secret"),
            ("PYTHONPATH", "/elsewhere"),
            ("LD_PRELOAD", "/elsewhere.so"),
        ];
        let environ = Environ::new(all.map(|(n, v)| (n.into(), v.into())));
        assert_eq!(environ.path_folders(), [Path::new("/usr/bin"), Path::new("/bin")]);
        let mut seen = Vec::new();
        let answer = run(environ.command(Path::new("/usr/bin/env")), |line| {
            seen.push(line.split('=').next().unwrap_or_default().to_owned());
        });
        assert!(answer.await.unwrap().ok);
        seen.sort();
        assert_eq!(seen, ["PATH", "UV_INDEX_CORP_PASSWORD"]);
    }

    #[tokio::test]
    async fn both_streams_are_read_and_the_tail_kept() {
        let environ = Environ::new([("PATH".into(), "/usr/bin:/bin".into())]);
        let mut command = environ.command(Path::new("/bin/sh"));
        command.args(["-c", "for i in $(seq 30); do echo out $i; done; echo why >&2; exit 3"]);
        let mut seen = Vec::new();
        let answer = run(command, |line| seen.push(line.to_owned())).await.unwrap();
        assert_eq!((seen.len(), answer.ok, answer.last.as_str()), (31, false, "out 30"));
        assert!(seen.contains(&"why".to_owned()));
        assert_eq!(answer.tail().lines().count(), TAIL_LINES);
    }
}
