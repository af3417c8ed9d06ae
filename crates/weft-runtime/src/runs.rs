//! The runs' directories: taking a launch over into one, finding it again, burying the dead.
//!
//! Everything here blocks; `Runtime` calls it from threads for that. The lock of a directory is
//! held by whoever works on it: the server while it prepares, then (the same open file, handed
//! down) the supervisor until its end. A free lock therefore means that nobody does.

use crate::bundle::Bundles;
use crate::cgroup::{self, Group};
use crate::gpu::{self, Gpus, RunLedger};
use crate::kept::Kept;
use crate::launch::{End, ExitRecord, Gpu, Launch, MemberKey, Root, Usage};
use crate::parking::Parking;
use crate::supervisor::TAKEN;
use crate::supervisor::log::now_ms;
use crate::supervisor::record::{
    self, CONTROL, EXIT, LOCK, ORDERS, Orders, Owner, STAGING, SUPERVISOR, WORK,
};
use crate::{RuntimeError, Started, failpoint, remove};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weft_types::{Epoch, Timestamp};

/// The server's Unix socket in the state directory: where supervisors ask for data.
pub const SERVER_SOCKET: &str = "api.sock";

/// The folder of all groups, below each hierarchy.
const GROUPS: &str = "weft";
/// First host user given to runs, far above any account and any usual subordinate range's start.
const FIRST_ID: u32 = 2_000_000;
/// Host users per state directory: runs that can exist at once.
const IDS: u32 = 4_096;
/// State directories whose ranges differ; two of the same are still apart by namespaces.
const RANGES: u32 = 512;
/// A started supervisor takes over within this, even on a machine that swaps.
const TAKE_OVER: Duration = Duration::from_secs(20);
/// Between two looks whether it has; only when another server is starting the same run.
const LOOK: Duration = Duration::from_millis(5);
/// What the supervisor may inherit: where to find programs, what a test asks of it, and the
/// machine's own way out.
const INHERITED: [&str; 7] = [
    "PATH",
    "WEFT_FAILPOINT",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
];

/// All runs of one state directory.
#[derive(Debug)]
pub(crate) struct Runs {
    dir: PathBuf,
    outputs: PathBuf,
    pub(crate) kept: Kept,
    server: PathBuf,
    supervisor_exe: PathBuf,
    /// What the names of its groups begin with, below each hierarchy.
    cgroup: PathBuf,
    parked: Arc<Parking>,
    ids: Option<Mutex<Ids>>,
    epoch: Mutex<Epoch>,
    gpus: Gpus,
}

/// Host users in use, by run.
#[derive(Debug)]
struct Ids {
    first: u32,
    used: BTreeMap<MemberKey, u32>,
}

impl Runs {
    /// Opens the folder, removes half-made runs, and buries those whose supervisor is gone.
    pub(crate) fn open(state_dir: &Path, supervisor_exe: &Path) -> Result<Runs, RuntimeError> {
        let dir = state_dir.join("runs");
        private_folder(&dir).map_err(io_error(&dir))?;
        let dir = dir.canonicalize().map_err(io_error(&dir))?;
        let id = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..6]);
        let first = FIRST_ID + u32::from_str_radix(&id[..6], 16).unwrap_or(0) % RANGES * IDS;
        let ids = can_use_ids(first).then(|| Mutex::new(Ids { first, used: BTreeMap::new() }));
        let cgroup = Path::new(GROUPS).join(format!("{id}-"));
        let users = ids.is_some();
        let parked = Parking::new(supervisor_exe, &cgroup, ids.is_none());
        let runs = Runs {
            outputs: dir.with_file_name("outputs"),
            server: dir.with_file_name(SERVER_SOCKET),
            kept: Kept::open(state_dir).map_err(io_error(state_dir))?,
            supervisor_exe: supervisor_exe.to_owned(),
            cgroup,
            parked: Arc::new(parked),
            ids,
            epoch: Mutex::new(Epoch(0)),
            gpus: Gpus::of(state_dir, &dir, &id, users),
            dir,
        };
        runs.clean();
        Parking::fill(&runs.parked);
        Ok(runs)
    }

    /// Every run that has a directory.
    pub(crate) fn list(&self) -> Vec<MemberKey> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut keys: Vec<MemberKey> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        keys.sort_unstable();
        keys
    }

    /// A run's directory, whether it is there or not.
    pub(crate) fn dir(&self, key: MemberKey) -> PathBuf {
        self.dir.join(key.to_string())
    }

    /// How it ended, if it did.
    pub(crate) fn exit(&self, key: MemberKey) -> Option<ExitRecord> {
        record::read(&self.dir(key), EXIT)
    }

    /// The environments of what has no exit record.
    pub(crate) fn environments_in_use(&self) -> Vec<PathBuf> {
        let live = self.list().into_iter().filter(|key| self.exit(*key).is_none());
        live.filter_map(|key| record::read::<Orders>(&self.dir(key), ORDERS)?.launch.environment)
            .collect()
    }

    /// The images of what has no exit record.
    pub(crate) fn images_in_use(&self) -> Vec<String> {
        let live = self.list().into_iter().filter(|key| self.exit(*key).is_none());
        let orders = live.filter_map(|key| record::read::<Orders>(&self.dir(key), ORDERS));
        orders.filter_map(|orders| digest_of(&orders.launch.root).map(str::to_owned)).collect()
    }

    /// What a run and the agent share of its parts of devices; none where it was given none, or
    /// it was released.
    pub(crate) fn ledger(&self, key: MemberKey) -> Option<RunLedger> {
        let gpu = record::read::<Orders>(&self.dir(key), ORDERS)?.launch.gpu?;
        self.gpus.ledger(key, gpu.slices)
    }

    /// What every run that is not over was given of parts of devices.
    pub(crate) fn parts(&self) -> Vec<(MemberKey, Gpu)> {
        let part = |key: MemberKey| {
            // What was released holds nothing, and there may be thousands of it.
            let dir = self.dir(key);
            let over = !dir.join(WORK).exists() || self.exit(key).is_some();
            let gpu = (!over).then(|| record::read::<Orders>(&dir, ORDERS))??.launch.gpu?;
            (!gpu.slices.is_empty()).then_some((key, gpu))
        };
        self.list().into_iter().filter_map(part).collect()
    }

    /// Ends MPS on all devices but these. Blocks for seconds.
    pub(crate) fn end_mps_but(&self, needed: &[String]) {
        self.gpus.end_mps_but(needed);
    }

    /// Who owns it, once somebody does.
    pub(crate) fn owner(&self, key: MemberKey) -> Option<Owner> {
        record::read(&self.dir(key), SUPERVISOR)
    }

    /// Starts a run, once. The image's folder is given where the root is one.
    pub(crate) fn start(
        &self,
        launch: &Launch,
        image: Option<PathBuf>,
        bundles: &Bundles,
    ) -> Result<Started, RuntimeError> {
        crate::legal::check(launch)?;
        self.admit(launch.epoch)?;
        let dir = self.dir(launch.key);
        private_folder(&dir).map_err(io_error(&dir))?;
        let Some(lock) = try_lock(&dir).map_err(io_error(&dir))? else {
            return self.taken_elsewhere(&dir);
        };
        if dir.join(SUPERVISOR).exists() || dir.join(EXIT).exists() {
            return Ok(Started::Before);
        }
        let mut orders = self.orders(launch, image)?;
        self.furnish(&dir, &orders, bundles)?;
        if launch.kept {
            let kept = self.kept.furnish(launch.key, orders.host_id);
            let failed = |source| RuntimeError::Io { what: "its kept folder".to_owned(), source };
            orders.kept = Some(kept.map_err(failed)?);
        }
        if let Some(gpu) = &launch.gpu {
            let (key, dir, group) = (launch.key, dir.as_path(), orders.host_id);
            let run = gpu::For { key, dir, image: orders.image.as_deref(), group };
            orders.gpu = Some(self.gpus.deliver(gpu, run)?);
        }
        self.hand_over(&dir, orders, lock)?;
        failpoint::hit("start-after-spawn");
        Ok(Started::Now)
    }

    /// Writes the orders and gives them to a supervisor: the ready one, else a new one. They name
    /// the group first, so that no other server takes it for a forgotten one meanwhile.
    fn hand_over(&self, dir: &Path, mut orders: Orders, lock: File) -> Result<(), RuntimeError> {
        let write = |orders: &Orders| record::write(dir, ORDERS, orders).map_err(io_error(dir));
        let own = orders.cgroup.clone();
        let ready = self.parked.take();
        if let Some(ready) = &ready {
            orders.cgroup = ready.cgroup.clone();
        }
        failpoint::hit("start-before-orders");
        write(&orders)?;
        failpoint::hit("start-before-spawn");
        let refused = match ready {
            Some(ready) => ready.run(dir, lock).err(),
            None => Some(lock),
        };
        Parking::fill(&self.parked);
        let Some(lock) = refused else { return Ok(()) };
        if orders.cgroup != own {
            // Whoever was ready clears its group when it goes, maybe late: that one is its own.
            orders.cgroup = own;
            write(&orders)?;
        }
        self.spawn(dir, lock)
    }

    /// Refuses an epoch older than one that was seen, here or by a server before.
    fn admit(&self, epoch: Epoch) -> Result<(), RuntimeError> {
        let mut seen = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch < *seen {
            return Err(RuntimeError::StaleEpoch { got: epoch, seen: *seen });
        }
        *seen = epoch;
        Ok(())
    }

    fn orders(&self, launch: &Launch, image: Option<PathBuf>) -> Result<Orders, RuntimeError> {
        let host_id = match &self.ids {
            None => None,
            Some(ids) => {
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                Some(ids.take(launch.key).ok_or_else(|| RuntimeError::Invalid {
                    field: "runs",
                    rule: format!("at most {IDS} can exist at once; remove some"),
                })?)
            }
        };
        // The members of a gang have a folder each: two may write the same names.
        let outputs = self.outputs.join(launch.key.workload.to_string());
        let outputs = match launch.gang {
            0 | 1 => outputs,
            _ => outputs.join(launch.key.member.to_string()),
        };
        Ok(Orders {
            launch: launch.clone(),
            host_id,
            cgroup: self.group_name(launch.key),
            image,
            outputs,
            kept: None,
            gpu: None,
            server: self.server.clone(),
            reserve: crate::room::reserve(&self.dir),
        })
    }

    /// Makes the working directory with the bundle in it.
    fn furnish(&self, dir: &Path, orders: &Orders, bundles: &Bundles) -> Result<(), RuntimeError> {
        let work = dir.join(WORK);
        // An earlier server may have died half-way: begin anew.
        remove::tree(&work).map_err(io_error(&work))?;
        DirBuilder::new().mode(0o755).create(&work).map_err(io_error(&work))?;
        let owner = orders.host_id.map(|id| (id, id));
        if let Some(bundle) = &orders.launch.bundle {
            bundles.unpack(bundle, &work, owner).map_err(RuntimeError::Bundle)?;
        }
        if let Some((uid, gid)) = owner {
            chown(&work, Some(uid), Some(gid)).map_err(io_error(&work))?;
        }
        Ok(())
    }

    /// Starts the supervisor and waits until it has taken over. It inherits the lock.
    fn spawn(&self, dir: &Path, lock: File) -> Result<(), RuntimeError> {
        let complaints = dir.join("supervisor.log");
        let failed = io_error(&self.supervisor_exe);
        let stderr = File::create(&complaints).map_err(io_error(&complaints))?;
        let mut command = supervisor(&self.supervisor_exe, dir);
        command.stdin(Stdio::from(lock)).stdout(Stdio::piped()).stderr(Stdio::from(stderr));
        let mut child = command.spawn().map_err(&failed)?;
        drop(command);
        let mut said = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut said).map_err(&failed)?;
        }
        child.wait().map_err(&failed)?;
        // One that died after it had taken over is a lost run, not a failed start.
        if said == TAKEN || dir.join(SUPERVISOR).exists() {
            return Ok(());
        }
        let why = fs::read_to_string(&complaints).unwrap_or_default();
        let why = if why.trim().is_empty() { "it gave no reason" } else { why.trim() };
        Err(failed(io::Error::other(format!("the supervisor did not take over: {why}"))))
    }

    /// Somebody else holds the lock: a supervisor, or a server that is just starting one.
    fn taken_elsewhere(&self, dir: &Path) -> Result<Started, RuntimeError> {
        let deadline = Instant::now() + TAKE_OVER;
        while Instant::now() < deadline {
            if dir.join(SUPERVISOR).exists() || dir.join(EXIT).exists() {
                return Ok(Started::Before);
            }
            std::thread::sleep(LOOK);
        }
        let why = "another process prepares the run and does not get on";
        Err(io_error(dir)(io::Error::new(io::ErrorKind::TimedOut, why)))
    }

    /// What it uses, while it runs.
    pub(crate) fn usage(&self, key: MemberKey) -> Option<Usage> {
        let dir = self.dir(key);
        if dir.join(EXIT).exists() {
            return None;
        }
        let owner = self.owner(key)?;
        owner.process.open()?;
        let watched: Usage = record::read(&dir, record::USAGE).unwrap_or_default();
        match owner.group.counts() {
            true => Some(Usage { disk: watched.disk, ..owner.group.usage() }),
            false => Some(watched),
        }
    }

    /// Makes sure that nothing of a run whose supervisor is gone lives, and says it is lost.
    /// None while somebody holds its lock. Not there: lost too, and nothing is written.
    pub(crate) fn bury(&self, key: MemberKey) -> io::Result<Option<ExitRecord>> {
        let dir = self.dir(key);
        let detail = "its supervisor went away, and how it ended is not known".to_owned();
        let lost =
            ExitRecord { end: End::Lost, at: Timestamp(now_ms()), detail, usage: Usage::default() };
        if !dir.exists() {
            return Ok(Some(lost));
        }
        let Some(_lock) = try_lock(&dir)? else { return Ok(None) };
        if let Some(exit) = self.exit(key) {
            return Ok(Some(exit));
        }
        self.end_group(key)?;
        let _ = fs::remove_file(dir.join(CONTROL));
        let _ = fs::remove_dir(dir.join(STAGING));
        record::write_exit(&dir, &lost)?;
        Ok(Some(lost))
    }

    /// Removes all there is of a run that is over.
    pub(crate) fn remove(&self, key: MemberKey) -> io::Result<()> {
        self.end_group(key)?;
        let dir = self.dir(key);
        // First out of the way by one step: a half-removed run must not look like a fresh one.
        let grave = self.dir.join(format!(".removed-{key}"));
        remove::tree(&grave)?;
        match fs::rename(&dir, &grave) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        failpoint::hit("remove-renamed");
        remove::tree(&grave)?;
        self.gpus.remove(key, &self.dir(key))?;
        if let Some(ids) = &self.ids {
            ids.lock().unwrap_or_else(PoisonError::into_inner).used.remove(&key);
        }
        Ok(())
    }

    /// Gives back what a run that is over still holds: its working directory and its user id.
    pub(crate) fn release(&self, key: MemberKey) -> io::Result<()> {
        if self.exit(key).is_none() {
            return Ok(());
        }
        remove::tree(&self.dir(key).join(WORK))?;
        self.gpus.remove(key, &self.dir(key))?;
        if let Some(ids) = &self.ids {
            ids.lock().unwrap_or_else(PoisonError::into_inner).used.remove(&key);
        }
        Ok(())
    }

    fn group_name(&self, key: MemberKey) -> PathBuf {
        let mut name = self.cgroup.as_os_str().to_owned();
        name.push(key.to_string());
        PathBuf::from(name)
    }

    /// Kills and removes the group the run has, or would have had.
    fn end_group(&self, key: MemberKey) -> io::Result<()> {
        let named = Group::named(&self.group_name(key));
        for group in self.owner(key).map(|owner| owner.group).into_iter().chain([named]) {
            group.kill()?;
            group.remove()?;
        }
        Ok(())
    }

    /// Clears what servers and supervisors that were killed left behind. What cannot be cleared
    /// now is tried again when the run is waited for or removed.
    fn clean(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".removed-") {
                let _ = remove::tree(&entry.path());
            }
        }
        let mut owned = Vec::new();
        for key in self.list() {
            let dir = self.dir(key);
            // What was released holds nothing, and there may be thousands of it.
            if self.exit(key).is_some() && !dir.join(WORK).exists() {
                continue;
            }
            let orders = record::read::<Orders>(&dir, ORDERS);
            if let Some(orders) = &orders {
                let mut seen = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
                *seen = (*seen).max(orders.launch.epoch);
            }
            self.clean_run(key);
            if let (Some(ids), Some(id)) = (&self.ids, orders.as_ref().and_then(|o| o.host_id)) {
                ids.lock().unwrap_or_else(PoisonError::into_inner).used.insert(key, id);
            }
            // A supervisor that is just taking over what the last server handed it has not said
            // so yet; the orders name the group it was given.
            owned.extend(orders.filter(|_| dir.exists()).map(|o| Group::named(&o.cgroup)));
            owned.extend(self.owner(key).map(|owner| owner.group));
        }
        self.clean_groups(&owned);
        self.gpus.keep_only(&self.list());
    }

    /// Removes the groups nobody owns.
    fn clean_groups(&self, owned: &[Group]) {
        let prefix = self.cgroup.file_name().unwrap_or_default().to_string_lossy();
        for group in cgroup::named_like(Path::new(GROUPS), &prefix) {
            if !owned.contains(&group) {
                let _ = group.kill().and_then(|()| group.remove());
            }
        }
    }

    fn clean_run(&self, key: MemberKey) {
        let dir = self.dir(key);
        // A torn record is none: a power failure came between its making and its end.
        if self.exit(key).is_some() {
            return;
        }
        if dir.join(SUPERVISOR).exists() {
            let _ = self.bury(key);
        } else if let Ok(Some(_lock)) = try_lock(&dir) {
            // Nothing of it ran: asked for again, it is started from the beginning.
            if !dir.join(SUPERVISOR).exists() {
                let _ = self.remove(key);
            }
        }
    }
}

impl Ids {
    /// The run's host user: the one it has, else the lowest free one.
    fn take(&mut self, key: MemberKey) -> Option<u32> {
        if let Some(id) = self.used.get(&key) {
            return Some(*id);
        }
        let taken: std::collections::BTreeSet<u32> = self.used.values().copied().collect();
        let id = (self.first..self.first + IDS).find(|id| !taken.contains(id))?;
        self.used.insert(key, id);
        Some(id)
    }
}

/// The command that starts a supervisor, with nothing of ours but what it needs.
pub(crate) fn supervisor(exe: &Path, dir: &Path) -> Command {
    let mut command = Command::new(exe);
    command.arg("__supervise").arg(dir).env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

/// The image a root stands for, by its digest.
pub(crate) fn digest_of(root: &Root) -> Option<&str> {
    match root {
        Root::HostUsr => None,
        Root::Image { digest } => Some(digest),
    }
}

/// A host user runs could have, where this process may give them one.
pub(crate) fn a_host_user() -> Option<u32> {
    can_use_ids(FIRST_ID).then_some(FIRST_ID)
}

/// Whether this process may run things as the host's users of the range.
fn can_use_ids(first: u32) -> bool {
    let Ok(sets) = rustix::thread::capabilities(None) else { return false };
    use rustix::thread::CapabilitySet as Cap;
    let needed = Cap::SYS_ADMIN | Cap::SETUID | Cap::SETGID | Cap::CHOWN | Cap::NET_ADMIN;
    sets.effective.contains(needed) && mapped("uid_map", first) && mapped("gid_map", first)
}

/// Whether this process's user namespace knows the ids of the range.
fn mapped(file: &str, first: u32) -> bool {
    let table = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    table.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|n| n.parse::<u64>().ok());
        let (Some(start), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        start <= u64::from(first) && u64::from(first + IDS) <= start + count
    })
}

fn private_folder(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The directory's lock, unless somebody holds it. Not there: a run that is being removed.
fn try_lock(dir: &Path) -> io::Result<Option<File>> {
    let path = dir.join(LOCK);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn io_error(what: &Path) -> impl Fn(io::Error) -> RuntimeError {
    let what = what.display().to_string();
    move |source| RuntimeError::Io { what: what.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server died after it had handed a run to a parked supervisor, which has not said yet
    /// that the run is its own: its lock is held, its group is only named in the orders.
    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn a_new_server_keeps_the_group_of_a_hand_over_and_removes_a_forgotten_one() {
        let state = tempfile::tempdir().unwrap();
        let exe = Path::new("/nonexistent/weft");
        let runs = Runs::open(state.path(), exe).unwrap();
        let group = |name: &str| {
            let mut path = runs.cgroup.clone().into_os_string();
            path.push(name);
            Group::named(Path::new(&path))
        };
        let (taken, forgotten) = (group("parked-1-0-0"), group("parked-1-0-1"));
        taken.make();
        forgotten.make();
        if !taken.exists() {
            eprintln!("SKIPPED: no control group can be made here");
            return;
        }
        let dir = runs.dir("w1-1-0".parse().unwrap());
        private_folder(&dir).unwrap();
        let _lock = try_lock(&dir).unwrap().unwrap();
        let mut cgroup = runs.cgroup.clone().into_os_string();
        cgroup.push("parked-1-0-0");
        record::write(&dir, ORDERS, &orders(PathBuf::from(cgroup))).unwrap();
        drop(Runs::open(state.path(), exe).unwrap());
        let seen = (taken.exists(), forgotten.exists());
        taken.remove().unwrap();
        forgotten.remove().unwrap();
        assert_eq!(seen, (true, false));
    }

    fn orders(cgroup: PathBuf) -> Orders {
        let limits = serde_json::json!({"cpu": 1, "memory": 1, "disk": 1, "pids": 1});
        let launch = serde_json::json!({
            "key": "w1-1-0", "epoch": 1, "root": "host-usr", "environment": null, "bundle": null,
            "setup": [], "command": ["true"], "env": {}, "outputs": [], "limits": limits,
            "devices": [], "network": "none", "ports": [], "hostname": "x", "stop_grace": 1,
        });
        let launch = serde_json::from_value(launch).unwrap();
        let (outputs, reserve) = (PathBuf::new(), 0);
        let (kept, gpu) = (None, None);
        Orders {
            host_id: None,
            image: None,
            server: PathBuf::new(),
            launch,
            cgroup,
            outputs,
            kept,
            gpu,
            reserve,
        }
    }
}
