//! A server of its own with three people, each of a team, and the tests' configuration.

use crate::server::{Answer, Server, parse, weft};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The people: whose tests they are, somebody else, and one whom the suite calls a tenant.
const PEOPLE: [&str; 3] = ["main", "alt", "tenant"];

/// Room for a person's buckets: a team that nobody gave some has none, and the suite's largest
/// objects are tens of megabytes.
const ROOM: &str = "20GB";

/// The sections that the suite insists on, and who stands in each.
const SECTIONS: [(&str, usize); 6] = [
    ("s3 main", 0),
    ("s3 alt", 1),
    ("s3 tenant", 2),
    ("iam", 0),
    ("iam root", 0),
    ("iam alt root", 1),
];

/// A key for S3 as `POST /data/keys` gives it.
struct Key {
    id: String,
    secret: String,
}

/// A running server, and the folder with all that belongs to it.
pub(super) struct World {
    folder: tempfile::TempDir,
    server: Server,
}

impl World {
    pub(super) fn begin(binary: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let state = folder.path().join("state");
        std::fs::create_dir(&state).map_err(|e| e.to_string())?;
        let args = ["--listen", "127.0.0.1:0"];
        let mut server = Server::spawn(binary, &state, &args, None)?;
        server.ready().ok_or("the server died while starting")?;
        let told = told(binary, &state, &["data", "key", "--json"])?;
        let address = text(&told, "endpoint")?.trim_start_matches("http://").to_owned();
        let (host, port) = address.split_once(':').ok_or("the server has no port")?;
        let mut config = format!(
            "[DEFAULT]\nhost = {host}\nport = {port}\nis_secure = False\nssl_verify = False\n\
             [fixtures]\nbucket prefix = weft-{{random}}-\n"
        );
        let mut keys = Vec::new();
        for person in PEOPLE {
            keys.push(key(binary, &state, person, &address)?);
        }
        for (section, at) in SECTIONS {
            let (who, key) = (PEOPLE[at], &keys[at]);
            // Writing to a string cannot fail.
            let _ = write!(
                config,
                "[{section}]\ndisplay_name = {who}\nuser_id = {who}\nemail = {who}@example.com\n\
                 api_name = us-weft-1\naccess_key = {}\nsecret_key = {}\ntenant = \n",
                key.id, key.secret
            );
        }
        let world = Self { folder, server };
        world.write("s3tests.conf", &config)?;
        world.write("weft_s3_tests.py", include_str!("plugin.py"))?;
        Ok(world)
    }

    /// A file that only its owner reads: there are keys in it.
    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600);
        let mut file = file.open(self.folder().join(name)).map_err(|e| e.to_string())?;
        file.write_all(text.as_bytes()).map_err(|e| e.to_string())
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The suite's configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.folder().join("s3tests.conf")
    }

    pub(super) fn end(self) -> Result<(), String> {
        self.server.stop()
    }
}

/// What a command answers in JSON.
fn told(binary: &Path, state: &Path, args: &[&str]) -> Result<serde_json::Value, String> {
    let output = weft(binary, state, args).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`weft {}`: {errors}", args.join(" ")));
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn text<'v>(value: &'v serde_json::Value, name: &str) -> Result<&'v str, String> {
    value[name].as_str().ok_or_else(|| format!("the server's answer has no `{name}`"))
}

/// A person of a team of their own, with a key that they make themselves.
fn key(binary: &Path, state: &Path, person: &str, address: &str) -> Result<Key, String> {
    let team = format!("team-{person}");
    told(binary, state, &["admin", "queue", "set", &team, "--data", ROOM])?;
    told(binary, state, &["admin", "user", "add", person, "--queue", &team])?;
    let token = told(binary, state, &["admin", "token", "create", "--user", person, "--json"])?;
    let token = text(&token, "secret")?;
    let body = r#"{"scope":"write","expires_in_ms":36000000}"#;
    let request = format!(
        "POST /api/v1/data/keys HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nIdempotency-Key: {person}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    let answer = parse(&bytes).filter(Answer::ok).ok_or("no key was made")?;
    let text = |name| text(&answer.body, name).map(str::to_owned);
    Ok(Key { id: text("access_key_id")?, secret: text("secret_access_key")? })
}
