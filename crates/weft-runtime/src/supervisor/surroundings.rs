//! What a program finds around it: the environment and the generated files of `/etc`.
//!
//! Made from scratch: nothing of the server's environment or the machine's accounts comes in.

use crate::gpu::Delivery;
use crate::launch::{Launch, Network};
use crate::network::PROXY_PORT;
use crate::network::server::{For, KEYS_PATH, S3_REGION};
use crate::sandbox::{DATA_TOKEN, INNER_ID, INNER_NAME, WORK};

/// Who brings one of these has S3 of his own in mind, and finds none of ours beside it.
const OWN_S3: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Who brings this tracks elsewhere.
const OWN_TRACKING: &str = "MLFLOW_TRACKING_URI";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a run's programs; the launch's own entries win.
pub(super) fn environment(launch: &Launch, gpu: Option<&Delivery>) -> Vec<(String, String)> {
    let mut path = PATH.to_owned();
    let mut env = launch.env.clone();
    let mut set = |name: &str, value: String| {
        env.entry(name.to_owned()).or_insert(value);
    };
    if let Some(environment) = &launch.environment {
        path = format!("{}/bin:{path}", environment.display());
        set("VIRTUAL_ENV", environment.display().to_string());
    }
    set("PATH", path);
    set("HOME", WORK.to_owned());
    set("USER", INNER_NAME.to_owned());
    set("LOGNAME", INNER_NAME.to_owned());
    set("SHELL", "/bin/sh".to_owned());
    set("LANG", "C.UTF-8".to_owned());
    set("TMPDIR", "/tmp".to_owned());
    // A log is followed while it is written: a buffered line is a line nobody sees.
    set("PYTHONUNBUFFERED", "1".to_owned());
    // Numeric libraries start a thread per core of the machine unless told what they may use.
    set("OMP_NUM_THREADS", launch.limits.cpu.0.div_ceil(1000).max(1).to_string());
    set("WEFT_WORKLOAD", launch.key.workload.to_string());
    set("WEFT_ATTEMPT", launch.key.attempt.to_string());
    set("WEFT_MEMBER", launch.key.member.to_string());
    if let Network::Outbound { .. } = launch.network {
        let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            set(name, proxy.clone());
        }
        for name in ["no_proxy", "NO_PROXY"] {
            set(name, "localhost,127.0.0.1,::1".to_owned());
        }
    }
    if !launch.data.is_empty() && !OWN_S3.iter().any(|name| launch.env.contains_key(*name)) {
        for (name, value) in s3(&launch.ports) {
            set(name, value);
        }
    }
    if !launch.env.contains_key(OWN_TRACKING) {
        for (name, value) in tracking(launch) {
            set(name, value);
        }
    }
    if gpu.is_some_and(|gpu| !gpu.cached) {
        // Its loader has no cache in which the driver could be named.
        let own = env.remove("LD_LIBRARY_PATH").filter(|own| !own.is_empty());
        let folders: Vec<String> = Delivery::folders().into_iter().chain(own).collect();
        env.insert("LD_LIBRARY_PATH".to_owned(), folders.join(":"));
    }
    // What keeps its part of a device is not its to say.
    env.extend(gpu.into_iter().flat_map(|gpu| gpu.env.iter().cloned()));
    env.into_iter().collect()
}

/// What tells S3 clients where the run's datasets are, and where to get keys. No secret is among
/// it: keys come from there to who asks in this sandbox, and are of no use elsewhere.
fn s3(ports: &[u16]) -> [(&'static str, String); 7] {
    let place = format!("http://127.0.0.1:{}", For::Datasets.port(ports));
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{place}{}", KEYS_PATH)),
        // Some clients look for keys there only with a file, whatever stands in it.
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", DATA_TOKEN.to_owned()),
        ("AWS_ENDPOINT_URL", place),
        ("AWS_REGION", S3_REGION.to_owned()),
        ("AWS_DEFAULT_REGION", S3_REGION.to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

/// What tells MLflow's clients where to track, and that they may: by the run's name, which is no
/// secret. What lets a program in is that it is in this sandbox; that it says so tells it from one
/// that was talked into fetching an address.
fn tracking(launch: &Launch) -> [(&'static str, String); 2] {
    let place = format!("http://127.0.0.1:{}", For::Tracking.port(&launch.ports));
    [(OWN_TRACKING, place), ("MLFLOW_TRACKING_TOKEN", launch.key.to_string())]
}

/// The files of `/etc` that say who and where one is.
pub(super) fn etc(launch: &Launch) -> Vec<(String, String)> {
    let (id, name, host) = (INNER_ID, INNER_NAME, &launch.hostname);
    let files = vec![
        (
            "passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n\
                 {name}:x:{id}:{id}:{name}:{WORK}:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("group", format!("root:x:0:\n{name}:x:{id}:\nnogroup:x:65534:\n")),
        ("hosts", format!("127.0.0.1 localhost {host}\n::1 localhost\n")),
        ("hostname", format!("{host}\n")),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("resolv.conf", String::new()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}
