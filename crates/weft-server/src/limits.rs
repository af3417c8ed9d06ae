//! What one user may take of a server, so that the others still get theirs.
//!
//! Each has a default with its reason, and a name under which an operator sets it
//! (`weft up --limit <name>=<number>`). Set once, at the start.

use weft_types::Bytes;

/// Workloads of one user that have not ended: a quarter of what the planner is promised for.
const LIVE_PER_USER: u64 = 5_000;
/// Workloads of one queue that have not ended: what `docs/benchmarks.md` plans in 100 ms.
const LIVE_PER_QUEUE: u64 = 20_000;
/// Bundles of one user that are kept: sixteen of the largest. They go a week after their last
/// use; larger data belongs in a dataset.
const BUNDLE_BYTES_PER_USER: u64 = 16 << 30;
/// Uploads of one user at once: each holds a file, a connection and up to a bundle of disk that
/// no quota counts yet. One person sends one or two.
const UPLOADS_PER_USER: u64 = 4;
/// Streams of one user at once, half of all there are: two hundred followed runs take two each.
const STREAMS_PER_USER: u64 = 512;

/// Good tokens of one user: one for each machine and script. It also bounds what revoking one
/// takes with it in a transaction.
const TOKENS_PER_USER: u64 = 200;
/// Bytes of what one team tracked: a hundred runs a day for a year, each of ten thousand points.
const TRACKING_BYTES_PER_QUEUE: u64 = 16 << 30;
/// Requests being worked on at once, of all users, streams not counted. Past it the answer is
/// 503 at once: waiting in a line nobody sees helps neither side.
const REQUESTS: u64 = 1_024;
/// Streams open at once, of all users: each costs a task and a connection, some ten kilobytes.
const STREAMS: u64 = 1_024;

/// What one user may take of a server, and all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Workloads of one user that have not ended.
    pub live_per_user: u64,
    /// Workloads of one queue that have not ended.
    pub live_per_queue: u64,
    /// Bytes of all bundles of one user that are kept.
    pub bundle_bytes_per_user: Bytes,
    /// Uploads of one user at once.
    pub uploads_per_user: u64,
    /// Streams of one user at once: followed logs, watches, events, programs run inside.
    pub streams_per_user: u64,
    /// Tokens of one user that are good.
    pub tokens_per_user: u64,
    /// Bytes of what one team tracked: parameters, tags, points of metrics.
    pub tracking_bytes_per_queue: Bytes,
    /// Requests being worked on at once, of all users.
    pub requests: u64,
    /// Streams at once, of all users.
    pub streams: u64,
    /// Kept free of the state's file system by uploads and images; none: the usual reserve, the
    /// least of a twentieth and 1 GiB.
    pub disk_reserve: Option<Bytes>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            live_per_user: LIVE_PER_USER,
            live_per_queue: LIVE_PER_QUEUE,
            bundle_bytes_per_user: Bytes(BUNDLE_BYTES_PER_USER),
            uploads_per_user: UPLOADS_PER_USER,
            streams_per_user: STREAMS_PER_USER,
            tokens_per_user: TOKENS_PER_USER,
            tracking_bytes_per_queue: Bytes(TRACKING_BYTES_PER_QUEUE),
            requests: REQUESTS,
            streams: STREAMS,
            disk_reserve: None,
        }
    }
}

/// The names under which they are set, each with its unit.
pub const LIMIT_NAMES: [&str; 10] = [
    "workloads-per-user",
    "workloads-per-queue",
    "bundle-bytes-per-user",
    "uploads-per-user",
    "streams-per-user",
    "tokens-per-user",
    "tracking-bytes-per-queue",
    "requests",
    "streams",
    "disk-reserve-bytes",
];

impl Limits {
    /// Sets one of them by `<name>=<number>`, or says what is wrong with that.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, number) = text.split_once('=').unwrap_or((text, ""));
        let read = match number.parse::<u64>() {
            Ok(read) => read,
            Err(_) if LIMIT_NAMES.contains(&name) => {
                return Err(format!("{name}: `{number}` is not a number; write {name}=100"));
            }
            Err(_) => 0,
        };
        let field = match name {
            "workloads-per-user" => &mut self.live_per_user,
            "workloads-per-queue" => &mut self.live_per_queue,
            "bundle-bytes-per-user" => &mut self.bundle_bytes_per_user.0,
            "uploads-per-user" => &mut self.uploads_per_user,
            "streams-per-user" => &mut self.streams_per_user,
            "tokens-per-user" => &mut self.tokens_per_user,
            "tracking-bytes-per-queue" => &mut self.tracking_bytes_per_queue.0,
            "requests" => &mut self.requests,
            "streams" => &mut self.streams,
            "disk-reserve-bytes" => &mut self.disk_reserve.get_or_insert_default().0,
            _ => {
                let known = LIMIT_NAMES.join(", ");
                return Err(format!("there is no limit `{name}`; there are {known}"));
            }
        };
        *field = read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_set_by_its_name() {
        let mut limits = Limits::default();
        for name in LIMIT_NAMES {
            limits.set(&format!("{name}=3")).unwrap();
        }
        let three = Limits {
            live_per_user: 3,
            live_per_queue: 3,
            bundle_bytes_per_user: Bytes(3),
            uploads_per_user: 3,
            streams_per_user: 3,
            tokens_per_user: 3,
            tracking_bytes_per_queue: Bytes(3),
            requests: 3,
            streams: 3,
            disk_reserve: Some(Bytes(3)),
        };
        assert_eq!(limits, three);
        for bad in ["", "x=1", "uploads-per-user", "uploads-per-user=", "uploads-per-user=-1"] {
            assert!(limits.set(bad).is_err(), "{bad}");
        }
        assert_eq!(limits, three, "what is refused changes nothing");
    }

    #[test]
    fn each_is_documented() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
        let read = |page: &str| std::fs::read_to_string(format!("{docs}/{page}")).unwrap();
        let pages = ["errors/limit-reached.md", "errors/busy.md", "guide/operations.md"].map(read);
        for name in LIMIT_NAMES {
            let told = [format!("`{name}`"), format!("--limit {name}=")];
            let is_told = pages.iter().any(|page| told.iter().any(|text| page.contains(text)));
            assert!(is_told, "{name}");
        }
    }
}
