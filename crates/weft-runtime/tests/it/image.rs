//! Images: pulled from a registry on the loopback or imported, checked byte by byte.

use crate::support::{Machine, launch};
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use weft_runtime::{ImageError, Images, Prepare, Progress, Registries, Root};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A small image of two layers, the second hiding a file of the first, behind an index.
struct Made {
    blobs: HashMap<String, Vec<u8>>,
    manifest: String,
    index: Vec<u8>,
}

fn make() -> Made {
    let tars = [
        tar(&[("bin/tool", "first"), ("etc/gone", "x"), ("etc/kept", "y")]),
        tar(&[("bin/tool", "second"), ("etc/.wh.gone", "")]),
    ];
    let mut blobs = HashMap::new();
    let mut put = |kind: &str, bytes: Vec<u8>| {
        let descriptor = json!({"mediaType": kind, "digest": digest(&bytes), "size": bytes.len()});
        blobs.insert(digest(&bytes), bytes);
        descriptor
    };
    let diff_ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
    let config = json!({
        "architecture": arch(), "os": "linux",
        "config": {"Env": ["PATH=/bin", "LD_PRELOAD=/evil.so"], "Cmd": ["tool"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = put(CONFIG, config.to_string().into_bytes());
    let layers: Vec<Value> = tars.iter().map(|tar| put(LAYER, gzip(tar))).collect();
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    let mut entry = put(MANIFEST, manifest.to_string().into_bytes());
    let manifest = entry["digest"].as_str().unwrap().to_owned();
    entry["platform"] = json!({"architecture": arch(), "os": "linux"});
    let other = json!({
        "mediaType": MANIFEST, "digest": digest(b"other"), "size": 5,
        "platform": {"architecture": "s390x", "os": "linux"},
    });
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "example.invalid/tool:1"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, entry]});
    Made { blobs, manifest, index: index.to_string().into_bytes() }
}

impl Made {
    /// As an OCI image layout.
    fn layout(&self, folder: &Path) {
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::write(folder.join("index.json"), &self.index).unwrap();
        for (digest, bytes) in &self.blobs {
            fs::write(folder.join("blobs").join(digest.replace(':', "/")), bytes).unwrap();
        }
    }
}

/// By path: the type and the body.
type Answers = Arc<Mutex<HashMap<String, (String, Vec<u8>)>>>;

/// A registry on the loopback: the read half of the OCI distribution specification.
struct Registry {
    address: String,
    requests: Arc<AtomicUsize>,
    answers: Answers,
    /// Paths with the credentials they were asked for with.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Registry {
    async fn serve(made: &Made) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut answers = HashMap::new();
        answers.insert("/v2/".to_owned(), ("application/json".to_owned(), b"{}".to_vec()));
        answers
            .insert("/v2/lab/tool/manifests/1".to_owned(), (INDEX.to_owned(), made.index.clone()));
        for (digest, bytes) in &made.blobs {
            let (kind, folder) = match *digest == made.manifest {
                true => (MANIFEST, "manifests"),
                false => ("application/octet-stream", "blobs"),
            };
            answers.insert(
                format!("/v2/lab/tool/{folder}/{digest}"),
                (kind.to_owned(), bytes.clone()),
            );
        }
        let answers = Arc::new(Mutex::new(answers));
        let requests = Arc::new(AtomicUsize::new(0));
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let (shared, counter, noted) = (answers.clone(), requests.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(answer(stream, shared.clone(), noted.clone()));
            }
        });
        Self { address, requests, answers, asked }
    }

    fn reference(&self) -> String {
        format!("{}/lab/tool:1", self.address)
    }

    /// Wants a token of this address before it says anything.
    fn challenge(&self, realm: &str) {
        let mut answers = self.answers.lock().unwrap();
        let first = answers.get_mut("/v2/").unwrap();
        first.0 = format!("challenge Bearer realm=\"{realm}\",service=\"test\"");
    }

    /// Answers elsewhere what is asked for here.
    fn redirect(&self, of: &str, to: &str) {
        for (path, (kind, _)) in self.answers.lock().unwrap().iter_mut() {
            if path.contains(of) {
                *kind = format!("redirect {to}{path}");
            }
        }
    }

    fn times_asked(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Changes what is served, without changing the name it is served by.
    fn tamper(&self, of: &str, change: impl Fn(&mut Vec<u8>)) {
        for (path, (_, bytes)) in self.answers.lock().unwrap().iter_mut() {
            if path.contains(of) {
                change(bytes);
            }
        }
    }
}

async fn answer(
    mut stream: TcpStream,
    answers: Answers,
    asked: Arc<Mutex<Vec<(String, String)>>>,
) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(request).ok()?;
    let path = text.split(' ').nth(1)?.split('?').next()?.to_owned();
    let shown = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    asked.lock().unwrap().push((path.clone(), shown.unwrap_or_default()));
    let found = answers.lock().unwrap().get(&path).cloned();
    let json = "application/json".to_owned();
    let (status, more, (kind, body)) = match found {
        Some((kind, body)) => match kind.split_once(' ') {
            Some(("challenge", how)) => {
                ("401 Unauthorized", format!("WWW-Authenticate: {how}\r\n"), (json, body))
            }
            Some(("redirect", to)) => ("302 Found", format!("Location: {to}\r\n"), (json, body)),
            _ => ("200 OK", String::new(), (kind, body)),
        },
        None => ("404 Not Found", String::new(), (json, b"{\"errors\":[]}".to_vec())),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    stream.shutdown().await.ok()
}

/// With registries on this machine allowed, as its operator allows them.
fn open(state: &Path) -> Images {
    let here = Registries::allowing(vec!["127.0.0.1".to_owned()]);
    Images::open(state).unwrap().pulling(here.into())
}

async fn obtain(images: &Images, reference: &str) -> Result<weft_runtime::Image, ImageError> {
    images.obtain(reference, &mut |_| {}).await
}

fn check_content(images: &Images, digest: &str) {
    let rootfs = images.rootfs(digest).unwrap();
    assert_eq!(fs::read_to_string(rootfs.join("bin/tool")).unwrap(), "second");
    assert_eq!(fs::read_to_string(rootfs.join("etc/kept")).unwrap(), "y");
    assert!(!rootfs.join("etc/gone").exists());
}

fn leftovers(state: &Path) -> usize {
    fs::read_dir(state.join("images/.building")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn an_image_is_pulled_once_named_and_removed() {
    let state = tempfile::tempdir().unwrap();
    let made = make();
    let registry = Registry::serve(&made).await;
    let images = open(state.path());
    let mut told = Vec::new();
    let mut tell = |progress: Progress| told.push(progress.percent.unwrap());
    let image = images.obtain(&registry.reference(), &mut tell).await.unwrap();
    assert!(told.is_sorted() && told.last() >= Some(&70), "{told:?}");
    assert_eq!(
        (&image.digest, image.references.as_slice()),
        (&made.manifest, &[registry.reference()][..])
    );
    assert_eq!(image.config.env.keys().collect::<Vec<_>>(), ["PATH"]);
    assert_eq!(image.config.cmd, ["tool"]);
    check_content(&images, &image.digest);
    let asked = registry.requests.load(Ordering::Relaxed);
    assert_eq!(obtain(&images, &registry.reference()).await.unwrap(), image);
    assert_eq!(obtain(&images, &image.digest).await.unwrap(), image);
    assert_eq!(registry.requests.load(Ordering::Relaxed), asked, "what is here is not asked for");
    assert_eq!(images.list().unwrap(), std::slice::from_ref(&image));
    assert!(images.remove(&registry.reference(), &[]).unwrap());
    assert!(!images.remove(&registry.reference(), &[]).unwrap());
    assert!(matches!(images.rootfs(&image.digest), Err(ImageError::Unknown(_))));
    assert!(images.list().unwrap().is_empty());
    assert_eq!(leftovers(state.path()), 0);
}

#[tokio::test]
async fn by_digest_and_at_the_same_time() {
    let state = tempfile::tempdir().unwrap();
    let made = make();
    let registry = Registry::serve(&made).await;
    let (one, two) = (open(state.path()), open(state.path()));
    let pinned = format!("{}/lab/tool@{}", registry.address, made.manifest);
    let tagged = registry.reference();
    let got = tokio::join!(obtain(&one, &pinned), obtain(&two, &tagged), obtain(&one, &tagged));
    for image in [got.0, got.1, got.2] {
        assert_eq!(image.unwrap().digest, made.manifest);
    }
    check_content(&one, &made.manifest);
    assert_eq!(one.find(&pinned).unwrap().unwrap().references, [tagged, pinned]);
    assert_eq!(leftovers(state.path()), 0);
}

#[tokio::test]
async fn whatever_is_changed_on_the_way_is_refused() {
    let made = make();
    let layer = made.blobs.keys().map(|digest| digest.as_str());
    for of in layer.chain(["manifests/1"]) {
        let state = tempfile::tempdir().unwrap();
        let registry = Registry::serve(&made).await;
        let images = open(state.path());
        registry.tamper(of, |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        });
        let refused = obtain(&images, &registry.reference()).await;
        assert!(refused.is_err(), "{of}");
        registry.tamper(of, |bytes| bytes.extend_from_slice(&[b' '; 4096]));
        assert!(obtain(&images, &registry.reference()).await.is_err(), "{of}");
        assert!(images.list().unwrap().is_empty());
        assert_eq!(leftovers(state.path()), 0);
    }
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let state = tempfile::tempdir().unwrap();
    let registry = Registry::serve(&make()).await;
    let images = open(state.path());
    let missing = format!("{}/lab/none:1", registry.address);
    let refused = obtain(&images, &missing).await.unwrap_err();
    assert!(refused.to_string().contains("lab/none:1"), "{refused}");
    let unknown = obtain(&images, &digest(b"")).await;
    assert!(matches!(unknown, Err(ImageError::Unknown(_))));
    let bad = obtain(&images, "NOT A REFERENCE").await;
    assert!(matches!(bad, Err(ImageError::Reference { .. })));
}

#[tokio::test]
async fn a_layout_is_imported_as_folder_tar_and_gzipped_tar() {
    let temp = tempfile::tempdir().unwrap();
    let made = make();
    let folder = temp.path().join("layout");
    made.layout(&folder);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", &folder).unwrap();
    let archive = builder.into_inner().unwrap();
    fs::write(temp.path().join("image.tar"), &archive).unwrap();
    fs::write(temp.path().join("image.tar.gz"), gzip(&archive)).unwrap();
    for from in ["layout", "image.tar", "image.tar.gz"] {
        let state = tempfile::tempdir().unwrap();
        let images = open(state.path());
        let image = images.import(&temp.path().join(from), None).await.unwrap();
        assert_eq!(image.digest, made.manifest, "{from}");
        assert_eq!(image.references, ["example.invalid/tool:1"]);
        check_content(&images, &image.digest);
        let named = images.import(&temp.path().join(from), Some("mine:2")).await.unwrap();
        assert_eq!(named.references, ["docker.io/library/mine:2", "example.invalid/tool:1"]);
        assert!(images.remove("mine:2", &[]).unwrap());
        assert_eq!(images.list().unwrap().len(), 1, "its other name keeps it");
        assert_eq!(leftovers(state.path()), 0);
    }
}

#[tokio::test]
async fn what_docker_saved_is_imported() {
    let temp = tempfile::tempdir().unwrap();
    let layer = tar(&[("bin/tool", "second"), ("etc/kept", "y")]);
    let config = json!({
        "architecture": arch(), "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer), digest(&layer)]},
    });
    let config = config.to_string();
    let manifest = json!([{
        "Config": "config.json", "RepoTags": ["lab/tool:7"],
        "Layers": ["a/layer.tar", "b/layer.tar"],
    }]);
    for folder in ["a", "b"] {
        fs::create_dir(temp.path().join(folder)).unwrap();
    }
    fs::write(temp.path().join("config.json"), &config).unwrap();
    fs::write(temp.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(temp.path().join("a/layer.tar"), &layer).unwrap();
    // Docker writes a layer once and links to it.
    std::os::unix::fs::symlink("../a/layer.tar", temp.path().join("b/layer.tar")).unwrap();
    let state = tempfile::tempdir().unwrap();
    let images = open(state.path());
    let image = images.import(temp.path(), None).await.unwrap();
    assert_eq!(image.digest, digest(config.as_bytes()));
    assert_eq!(image.references, ["docker.io/lab/tool:7"]);
    check_content(&images, &image.digest);
    fs::write(temp.path().join("a/layer.tar"), tar(&[("bin/tool", "other")])).unwrap();
    fs::write(temp.path().join("config.json"), config + " ").unwrap();
    let refused = images.import(temp.path(), None).await.unwrap_err();
    assert!(matches!(refused, ImageError::Digest { .. }), "{refused}");
}

/// A program without libraries, to be the whole of an image.
fn static_program() -> Option<Vec<u8>> {
    let bytes = fs::read("/bin/busybox").ok()?;
    let names_a_loader = bytes.windows(4).any(|window| window == b"/ld-");
    (!names_a_loader).then_some(bytes)
}

/// A layer with that program; none where the machine has none, which is said.
#[expect(clippy::print_stderr, reason = "what a machine cannot test is said loudly")]
fn layer_of_a_program() -> Option<tar::Builder<Vec<u8>>> {
    let Some(program) = static_program() else {
        eprintln!("NOT TESTED: a run in an image needs a static /bin/busybox");
        return None;
    };
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o6755);
    builder.append_data(&mut header, "opt/bin/busybox", program.as_slice()).unwrap();
    add_link(&mut builder, "bin", "opt/bin");
    Some(builder)
}

fn add_link(builder: &mut tar::Builder<Vec<u8>>, at: &str, to: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, at, to).unwrap();
}

/// The root of a run in an image of one layer.
async fn root_of(machine: &Machine, layer: tar::Builder<Vec<u8>>) -> Root {
    let layer = layer.into_inner().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let config = json!({
        "architecture": arch(), "os": "linux", "rootfs": {"diff_ids": [digest(&layer)]},
    });
    let manifest = json!([{"Config": "config.json", "Layers": ["layer.tar"]}]);
    fs::write(temp.path().join("layer.tar"), &layer).unwrap();
    fs::write(temp.path().join("config.json"), config.to_string()).unwrap();
    fs::write(temp.path().join("manifest.json"), manifest.to_string()).unwrap();
    let image = machine.runtime.images().import(temp.path(), Some("busy:1")).await.unwrap();
    let want = Prepare { image: Some("busy:1".into()), ..Prepare::default() };
    let prepared = machine.runtime.prepare(&want, |_| {}).await.unwrap();
    assert_eq!(prepared.root, Root::Image { digest: image.digest });
    prepared.root
}

#[tokio::test]
async fn a_run_sees_its_image_and_nothing_else() {
    let Some(layer) = layer_of_a_program() else { return };
    let machine = Machine::new();
    let root = root_of(&machine, layer).await;
    let script = "b=/bin/busybox; $b ls -l /opt/bin | $b grep -c 'rwxr-xr-x.*busybox'; \
        $b test ! -e /usr; $b touch /opt/x 2>&1 || $b echo sealed; $b touch /work/x";
    let mut launch = launch(["/bin/busybox", "sh", "-uc", script]);
    launch.root = root;
    let ran = machine.run(&launch).await;
    let lines: Vec<&str> = ran.printed().lines().collect();
    assert_eq!((lines[0], lines.last()), ("1", Some(&"sealed")), "{lines:?}");
}

/// An image decides where its links lead; what is made for a run by name is made before they are
/// there, so that no file of the machine is reached by them.
#[tokio::test]
async fn links_at_the_top_of_an_image_lead_nowhere_while_a_run_is_made() {
    let Some(mut layer) = layer_of_a_program() else { return };
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "ours").unwrap();
    let names = ["hosts", "passwd", "group", "hostname", "nsswitch.conf", "resolv.conf"];
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        layer.append_data(&mut header, format!("etc/{name}"), &b"x"[..]).unwrap();
        add_link(&mut layer, &format!(".{name}"), victim.to_str().unwrap());
        add_link(&mut layer, name, victim.to_str().unwrap());
    }
    // Of what the sandbox has where an image brings none, and of where it puts what it brings.
    add_link(&mut layer, "home", "opt");
    add_link(&mut layer, "var", outside.path().to_str().unwrap());
    let machine = Machine::new();
    let root = root_of(&machine, layer).await;
    let script = "b=/bin/busybox; $b grep -c localhost /etc/hosts; $b ls /home; \
        $b sh -c 'echo x > /etc/hosts' 2>&1 || $b echo sealed";
    let mut launch = launch(["/bin/busybox", "sh", "-uc", script]);
    launch.root = root;
    let ran = machine.run(&launch).await;
    let lines: Vec<&str> = ran.printed().lines().collect();
    assert_eq!((lines[1], lines.last()), ("bin", Some(&"sealed")), "{lines:?}");
    assert_ne!(lines[0], "0", "the generated file is there: {lines:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "ours");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn archives_that_reach_outside_or_are_no_image_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let images = open(state.path());
    let path = temp.path().join("archive.tar");
    fs::write(&path, tar(&[("readme", "no image")])).unwrap();
    let refused = images.import(&path, None).await.unwrap_err();
    assert!(refused.to_string().contains("index.json"), "{refused}");
    fs::write(&path, "not a tar").unwrap();
    assert!(images.import(&path, None).await.is_err());
    let folder = temp.path().join("layout");
    let escape = json!([{"Config": "../secret", "Layers": []}]).to_string();
    fs::create_dir(&folder).unwrap();
    fs::write(
        temp.path().join("secret"),
        r#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[]}}"#,
    )
    .unwrap();
    fs::write(folder.join("manifest.json"), escape).unwrap();
    assert!(images.import(&folder, None).await.is_err());
    assert!(images.list().unwrap().is_empty());
    assert_eq!(leftovers(state.path()), 0);
}

/// Pulled as if the two registries were all that the operator allows.
fn only(state: &Path, allow: &[&str]) -> Images {
    let allow = allow.iter().map(|host| (*host).to_owned()).collect();
    Images::open(state).unwrap().pulling(Registries::allowing(allow).into())
}

/// What a user writes as a reference does not reach the server's own network.
#[tokio::test]
async fn a_registry_at_a_private_address_needs_the_operator() {
    let state = tempfile::tempdir().unwrap();
    let registry = Registry::serve(&make()).await;
    let port = registry.address.rsplit(':').next().unwrap();
    let images = only(state.path(), &["registry.invalid", "127.0.0.1:1"]);
    for host in ["127.0.0.1", "localhost", "127.1"] {
        let refused = obtain(&images, &format!("{host}:{port}/lab/tool:1")).await.unwrap_err();
        let text = refused.to_string();
        let says = ["private network", "hint: the operator can allow it"];
        assert!(says.iter().all(|part| text.contains(part)), "{host}: {text}");
    }
    assert_eq!(registry.times_asked(), 0);
    // What is not there is no matter of leave.
    let gone = obtain(&images, "127.0.0.1:1/lab/tool:1").await.unwrap_err().to_string();
    assert!(gone.contains("refused") && !gone.contains("hint"), "{gone}");
    let images = only(state.path(), &[&registry.address]);
    obtain(&images, &registry.reference()).await.unwrap();
}

/// A registry anybody may set up sends its callers on: not to where they may not go themselves.
#[tokio::test]
async fn neither_redirects_nor_token_addresses_lead_inside() {
    let inside = Registry::serve(&make()).await;
    for what in ["manifests", "blobs", "token"] {
        let state = tempfile::tempdir().unwrap();
        let registry = Registry::serve(&make()).await;
        match what {
            "token" => registry.challenge(&format!("http://{}/token", inside.address)),
            path => registry.redirect(path, &format!("http://{}", inside.address)),
        }
        let images = only(state.path(), &[&registry.address]);
        // One that asks for a token and then gives without: its image is no secret.
        let pulled = obtain(&images, &registry.reference()).await.map_err(|e| e.to_string());
        let refused = matches!(&pulled, Err(text) if text.contains("private network"));
        assert!(refused || what == "token", "{what}: {pulled:?}");
        assert!(registry.times_asked() > 0, "{what}");
        assert_eq!(leftovers(state.path()), 0);
    }
    assert_eq!(inside.times_asked(), 0);
}

fn logged_in(state: &Path, allow: &[&str], registry: &str) -> Images {
    let login = json!({ "auths": { registry: { "auth": "dXNlcjpwYXNz" } } });
    fs::write(state.join("config.json"), login.to_string()).unwrap();
    let allow = allow.iter().map(|host| (*host).to_owned()).collect();
    let rules = Registries::allowing(allow).logged_in(state.to_owned());
    Images::open(state).unwrap().pulling(rules.into())
}

/// The server's own credentials go to the registry they are for, and to no host it names.
#[tokio::test]
async fn credentials_stay_with_their_registry() {
    const BASIC: &str = "Basic dXNlcjpwYXNz";
    let state = tempfile::tempdir().unwrap();
    let (registry, thief) = (Registry::serve(&make()).await, Registry::serve(&make()).await);
    let thief_port = thief.address.rsplit(':').next().unwrap();
    registry.challenge(&format!("http://localhost:{thief_port}/token"));
    let images = logged_in(state.path(), &["127.0.0.1"], &registry.address);
    let refused = obtain(&images, &registry.reference()).await.unwrap_err().to_string();
    assert!(refused.contains("`localhost` is not a host the server's credentials"), "{refused}");
    assert_eq!(thief.times_asked(), 0);

    // Its own host hands out a token, which then serves instead.
    registry.challenge(&format!("http://{}/token", registry.address));
    let token = json!({ "token": "t0ken" }).to_string().into_bytes();
    registry.answers.lock().unwrap().insert("/token".into(), ("application/json".into(), token));
    obtain(&images, &registry.reference()).await.unwrap();
    let asked = registry.asked.lock().unwrap().clone();
    let with =
        |shown: &'static str| asked.iter().filter(move |(_, s)| s == shown).map(|(path, _)| path);
    assert!(with(BASIC).all(|path| path == "/token") && with(BASIC).count() > 0, "{asked:?}");
    assert!(with("Bearer t0ken").any(|path| path.contains("/blobs/")), "{asked:?}");
}

/// A registry that makes no tokens is shown the credentials itself, and leads nowhere else.
#[tokio::test]
async fn a_registry_without_tokens_is_shown_the_credentials() {
    let state = tempfile::tempdir().unwrap();
    let (registry, other) = (Registry::serve(&make()).await, Registry::serve(&make()).await);
    let first = "challenge Basic realm=\"lab\"".to_owned();
    registry.answers.lock().unwrap().get_mut("/v2/").unwrap().0 = first;
    let images = logged_in(state.path(), &["127.0.0.1"], &registry.address);
    obtain(&images, &registry.reference()).await.unwrap();
    let asked = registry.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|(path, s)| path.contains("/blobs/") && s.starts_with("Basic ")));

    let port = other.address.rsplit(':').next().unwrap();
    let again = tempfile::tempdir().unwrap();
    let images = logged_in(again.path(), &["127.0.0.1"], &registry.address);
    registry.redirect("blobs", &format!("http://localhost:{port}"));
    let refused = obtain(&images, &registry.reference()).await.unwrap_err().to_string();
    assert!(refused.contains("`localhost` is not a host"), "{refused}");
    assert_eq!(other.times_asked(), 0);
}

#[tokio::test]
async fn an_image_leaves_the_reserve_of_the_disk() {
    let state = tempfile::tempdir().unwrap();
    let made = make();
    let registry = Registry::serve(&made).await;
    let images = open(state.path()).keeping(Some(u64::MAX));
    let pulled = obtain(&images, &registry.reference()).await.unwrap_err();
    assert!(pulled.is_full(), "{pulled}");
    made.layout(&state.path().join("layout"));
    let imported = images.import(&state.path().join("layout"), None).await.unwrap_err();
    assert!(imported.is_full(), "{imported}");
    let archive = state.path().join("archive.tar");
    fs::write(&archive, tar(&[("index.json", "{}")])).unwrap();
    let imported = images.import(&archive, None).await.unwrap_err();
    assert!(imported.is_full(), "{imported}");
    assert!(images.list().unwrap().is_empty());
    assert_eq!(leftovers(state.path()), 0);
}
