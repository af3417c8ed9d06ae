//! One run from the making of its sandbox to its end: the supervisor's main loop.

use super::cell::Cell;
use super::check::Checks;
use super::control::{self, Shared, Stage};
use super::data::Mounts;
use super::link::{self, CHECK, COMMAND, DATASETS, Link, PROXY, SETUP, TRACKING};
use super::log::{Log, Stream, now_ms};
use super::record::{Orders, STAGING, STARTED, WORK};
use super::surroundings;
use super::watch::{Verdict, Watch};
use crate::cgroup::Group;
use crate::kept;
use crate::launch::{End, ExitRecord, Launch, Network, Usage};
use crate::network;
use crate::network::server::For;
use crate::outputs;
use crate::sandbox::message::{Ask, Say};
use crate::sandbox::{Init, Plan, kernel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weft_types::{Bytes, Timestamp};

/// One read from a stream: a pipe's whole buffer.
const CHUNK: usize = 64 << 10;
/// Above every ordinary process, below what a person marked as first to go.
const OOM_SCORE: &str = "500";
/// How often limits the kernel does not enforce are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long what a killed run wrote last is waited for. Its pipes close with its processes; a
/// descriptor passed elsewhere must not hold up the end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// A run whose sandbox is being made, or stands.
#[derive(Debug)]
pub(super) struct Run {
    dir: PathBuf,
    orders: Orders,
    env: Vec<(String, String)>,
    group: Group,
    log: Log,
    listener: UnixListener,
    init: Guard,
    shared: Arc<Shared>,
    /// Reading ends of standard output and error; none once it has ended.
    streams: [Option<OwnedFd>; 2],
    /// Writing ends, until the command has them.
    writers: Option<[OwnedFd; 2]>,
    watch: Watch,
    data: Mounts,
    /// What is to be checked before its first program, and the complaint of what is checked now.
    checks: Checks,
    /// Set once it is to end: when what is left is killed.
    kill_at: Option<Instant>,
    stopping: bool,
    /// How its command ended, whatever the run's end is said to be.
    command: Option<End>,
    /// How it ended, once that is known.
    outcome: Option<(End, String)>,
    began: bool,
}

/// Init's process; killed when the supervisor gives up before its time.
#[derive(Debug)]
struct Guard {
    pid: i32,
    pidfd: OwnedFd,
}

impl Run {
    /// Starts the making of the sandbox; it goes on in the loop.
    pub(super) fn begin(
        dir: &Path,
        orders: Orders,
        mut cell: Cell,
        mut log: Log,
        listener: UnixListener,
    ) -> io::Result<Run> {
        let launch = &orders.launch;
        let env = surroundings::environment(launch, orders.gpu.as_ref());
        let forwards = network::Forward::bind(dir, &launch.ports)?;
        let counted = cell.group.limits_memory();
        let plan = Box::new(plan(dir, &orders, counted)?);
        let data = build(&mut cell, &orders, plan)?;
        let Cell { group, init: Init { pid, pidfd, line }, .. } = cell;
        let init = Guard { pid, pidfd };
        let missing = group.limit(&launch.limits, &launch.devices);
        if !missing.is_empty() {
            let text = format!("not limited by this machine: {}", missing.join(", "));
            log.say(&text);
        }
        // Workloads go before the machine's own services when memory runs out; best effort.
        let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE);
        let shared = Arc::new(Shared::new(Link::new(line), env.clone())?);
        shared.link.tell(&Ask::Go, &[])?;
        let inside = Arc::clone(&shared);
        let socket: network::SocketMaker = Arc::new(move |listen| inside.link.socket(listen));
        network::serve_forwards(&socket, forwards);
        for (id, port) in listeners(launch) {
            // Asked for before the first program: it listens before anybody can look for it.
            shared.link.tell(&Ask::Socket { id, listen: Some(port) }, &[])?;
        }
        let (out, out_writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (err, err_writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let watch = Watch::new(dir, &orders, pid, !counted);
        let mut run = Run {
            dir: dir.to_owned(),
            env,
            group,
            log,
            listener,
            init,
            shared,
            streams: [Some(out), Some(err)],
            writers: Some([out_writer, err_writer]),
            watch,
            data,
            checks: Checks::of(orders.gpu.as_ref()),
            kill_at: None,
            stopping: false,
            command: None,
            outcome: None,
            began: false,
            orders,
        };
        // Not waiting for the sandbox to stand: init reads this when it does.
        run.first_program();
        Ok(run)
    }

    /// Runs it to its end and says how it ended.
    pub(super) fn finish(mut self) -> ExitRecord {
        let mut next_look = Instant::now() + LOOK;
        while !self.over() {
            let until = self.kill_at.map_or(next_look, |at| at.min(next_look));
            self.step(until);
            if Instant::now() >= next_look {
                self.look();
                next_look = Instant::now() + LOOK;
            }
        }
        self.shared.set_stage(Stage::Over);
        // First, so that nobody in there waits for data while it is to end.
        self.data.end(&self.orders.launch.data, &mut self.log);
        // Read while the group still stands, after the last process has gone.
        let rest = self.init.end();
        if let Err(error) = self.group.kill() {
            self.log.say(&error.to_string());
        }
        self.drain();
        let (end, detail) = self.conclude();
        if !detail.is_empty() {
            self.log.say(&detail);
        }
        let usage = self.usage(rest);
        if let Err(error) = self.group.remove() {
            self.log.say(&format!("its control group could not be removed: {error}"));
        }
        let detail = self.keep_outputs(detail);
        self.sync_kept();
        ExitRecord { end, at: Timestamp(now_ms()), detail, usage }
    }

    fn over(&self) -> bool {
        let late = self.kill_at.is_some_and(|at| Instant::now() >= at);
        (self.outcome.is_some() && !self.stopping) || late
    }

    /// Waits for the next thing to happen, at most until then, and handles it.
    fn step(&mut self, until: Instant) {
        let (ready, timeout) = (PollFlags::IN, until.saturating_duration_since(Instant::now()));
        let mut fds = vec![
            PollFd::new(&self.shared.link, ready),
            PollFd::new(&self.init.pidfd, ready),
            PollFd::new(&self.listener, ready),
            PollFd::new(&self.shared.wake, ready),
        ];
        let streams: Vec<usize> = (0..2).filter(|at| self.streams[*at].is_some()).collect();
        fds.extend(self.streams.iter().flatten().map(|stream| PollFd::new(stream, ready)));
        let timeout = Timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(1),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            // Out of kernel memory: try again, a little later.
            Err(_) => std::thread::sleep(LOOK),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for (at, _) in streams.iter().zip(&ready[4..]).filter(|(_, ready)| **ready) {
            self.read(*at);
        }
        if ready[0] {
            self.hear();
        } else if ready[1] {
            self.init_gone();
        }
        if ready[2] {
            control::accept(&self.listener, &self.shared);
        }
        if ready[3] {
            for now in self.shared.take_stops() {
                self.stop(now);
            }
        }
    }

    /// Handles one message of init.
    fn hear(&mut self) {
        match self.shared.link.receive() {
            Ok(Some((say, fds))) => match say {
                Say::Ready | Say::Mounted => {}
                Say::Failed { step } => self.not_started(&format!("sandbox: {step}")),
                Say::Began { id: COMMAND } => self.command_began(),
                Say::Began { id: SETUP | CHECK } => {}
                Say::Refused { id: COMMAND | SETUP, why } => self.not_started(&why),
                Say::Refused { id: CHECK, why } => self.not_started(&self.checks.refused(&why)),
                Say::Ended { id: CHECK, status } => self.check_ended(status),
                Say::Refused { id: PROXY, why } => self.not_started(&format!("proxy: {why}")),
                Say::Refused { id: DATASETS | TRACKING, why } => {
                    self.not_started(&format!("its way to the server: {why}"));
                }
                Say::Socket { id: PROXY } => self.proxy(fds),
                Say::Socket { id: DATASETS } => {
                    self.data.serve_clients(For::Datasets, &self.orders, fds);
                }
                Say::Socket { id: TRACKING } => {
                    self.data.serve_clients(For::Tracking, &self.orders, fds);
                }
                Say::Ended { id: SETUP, status } => self.setup_ended(status),
                Say::Ended { id: COMMAND, status } => self.command_ended(status),
                Say::Alone => self.alone(),
                Say::Began { id }
                | Say::Refused { id, .. }
                | Say::Ended { id, .. }
                | Say::Socket { id } => self.shared.link.deliver(id, say, fds),
            },
            Ok(None) => self.init_gone(),
            Err(error) => self.not_started(&format!("sandbox: {error}")),
        }
    }

    fn proxy(&mut self, fds: Vec<OwnedFd>) {
        if let (Network::Outbound { allow }, Some(listener)) =
            (&self.orders.launch.network, fds.into_iter().next())
        {
            network::serve_proxy(listener, allow.clone());
        }
    }

    /// The next check, or when there is none the setup, or the command.
    fn first_program(&mut self) {
        match self.checks.next(&self.env, &self.shared.link) {
            Some(Ok(())) => return,
            Some(Err(error)) => return self.not_started(&self.checks.refused(&error.to_string())),
            None => {}
        }
        let lines = &self.orders.launch.setup;
        if lines.is_empty() {
            return self.spawn(COMMAND, self.orders.launch.command.clone());
        }
        self.log.say(&format!("setup: {} lines", lines.len()));
        let script = lines.join("\n");
        self.spawn(SETUP, ["sh", "-euc", &script].map(str::to_owned).to_vec());
    }

    fn spawn(&mut self, id: u32, argv: Vec<String>) {
        let last = id == COMMAND;
        let spawned = (|| {
            let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
            let [out, err] = self.writers.as_ref().ok_or(Errno::PIPE)?;
            let ask = Ask::Spawn { id, argv, env: self.env.clone(), tty: None };
            self.shared.link.tell(&ask, &[&null, out, err])
        })();
        if let Err(error) = spawned {
            self.not_started(&error.to_string());
        }
        if last {
            // From now on the streams end when the last program lets go of them.
            self.writers = None;
        }
    }

    fn check_ended(&mut self, status: i32) {
        match self.checks.ended(outcome(status)) {
            Ok(()) if self.stopping => {}
            Ok(()) => self.first_program(),
            Err(why) => self.not_started(&why),
        }
    }

    fn setup_ended(&mut self, status: i32) {
        match outcome(status) {
            End::Exited(0) if self.stopping => {}
            End::Exited(0) => {
                self.log.say("setup: done");
                self.spawn(COMMAND, self.orders.launch.command.clone());
            }
            end => self.not_started(&format!("setup {}", phrase(end))),
        }
    }

    fn command_began(&mut self) {
        self.began = true;
        let _ = fs::write(self.dir.join(STARTED), now_ms().to_string());
        self.shared.set_stage(Stage::Running);
    }

    fn command_ended(&mut self, status: i32) {
        let end = outcome(status);
        self.command = Some(end);
        self.outcome.get_or_insert((end, String::new()));
        if self.stopping {
            // What it started between our signal and its end has not heard of it.
            let _ = self.shared.link.tell(&Ask::SignalAll { signal: libc::SIGTERM }, &[]);
        }
    }

    fn not_started(&mut self, why: &str) {
        self.outcome.get_or_insert((End::NotStarted, why.to_owned()));
        self.stopping = false;
    }

    /// Nothing is left inside: a stop need not wait for its grace.
    fn alone(&mut self) {
        if self.stopping {
            self.kill_at = Some(Instant::now());
        }
    }

    /// Init died: the kernel has ended everything in the sandbox with it.
    fn init_gone(&mut self) {
        let why = "everything in it was killed from outside".to_owned();
        self.outcome.get_or_insert((End::Signalled(libc::SIGKILL), why));
        self.kill_at = Some(Instant::now());
    }

    fn stop(&mut self, now: bool) {
        let first = !self.stopping && self.outcome.is_none();
        if first {
            self.log.say(if now { "stop: killed" } else { "stop: asked to end" });
            self.stopping = true;
            self.outcome = Some((End::Stopped, String::new()));
        }
        let grace = Duration::from_millis(self.orders.launch.stop_grace.0);
        let in_making = !self.began && self.orders.launch.setup.is_empty();
        if now || in_making {
            self.kill_at = Some(Instant::now());
        } else if first {
            self.kill_at = Instant::now().checked_add(grace);
            let _ = self.shared.link.tell(&Ask::SignalAll { signal: libc::SIGTERM }, &[]);
        }
    }

    /// Looks at what the kernel does not limit by itself.
    fn look(&mut self) {
        self.data.look(&mut self.log);
        let oom_kills = self.group.oom_kills();
        if let Some(Verdict { end, why }) = self.watch.look(oom_kills) {
            self.outcome = Some((end, why));
            self.kill_at = Some(Instant::now());
        }
    }

    fn read(&mut self, at: usize) {
        let stream = [Stream::Out, Stream::Err][at];
        let Some(pipe) = &self.streams[at] else { return };
        let mut chunk = vec![0; CHUNK];
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) => {
                self.log.finish(stream);
                self.streams[at] = None;
            }
            Ok(length) => self.log.take(stream, &chunk[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.streams[at] = None,
        }
    }

    /// Reads what is left in the streams; every writer is gone.
    fn drain(&mut self) {
        self.writers = None;
        let deadline = Instant::now() + DRAIN_PATIENCE;
        while self.streams.iter().any(Option::is_some) && Instant::now() < deadline {
            for at in 0..2 {
                let Some(stream) = &self.streams[at] else { continue };
                let mut fds = [PollFd::new(stream, PollFlags::IN)];
                let soon = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                if matches!(poll(&mut fds, Some(&soon)), Ok(1..)) {
                    self.read(at);
                }
            }
        }
        self.log.finish(Stream::Out);
        self.log.finish(Stream::Err);
    }

    /// How it ended, and what to tell people about it.
    fn conclude(&mut self) -> (End, String) {
        let (end, why) = self.outcome.take().unwrap_or((End::Lost, String::new()));
        let limits = &self.orders.launch.limits;
        if end == End::Stopped && self.has_finished() {
            return (End::Exited(0), String::new());
        }
        let failed = matches!(end, End::Exited(1..) | End::Signalled(_));
        if failed && self.group.oom_kills() > 0 {
            return (End::OutOfMemory, super::watch::memory_full(limits.memory));
        }
        if end == End::Signalled(libc::SIGXFSZ) {
            return (End::OutOfDisk, super::watch::disk_full(limits.disk));
        }
        (end, why)
    }

    /// Whether its command used its grace to end its work, and says so. That it ended with 0 is
    /// not enough: so does one that only saved what it had.
    fn has_finished(&self) -> bool {
        let kept = self.orders.kept.as_deref();
        self.command == Some(End::Exited(0)) && kept.is_some_and(kept::has_finished)
    }

    /// What it saved is on disk before it is said to have ended.
    fn sync_kept(&mut self) {
        let Some(kept) = &self.orders.kept else { return };
        if let Err(error) = kept::sync(kept) {
            self.log.say(&format!("what it saved may not survive a power failure: {error}"));
        }
    }

    fn usage(&mut self, (cpu_us, largest): (u64, u64)) -> Usage {
        let mut usage = match self.group.counts() {
            true => self.group.usage(),
            false => Usage { cpu_us, memory_peak: Bytes(largest), ..Usage::default() },
        };
        usage.memory_peak = usage.memory_peak.max(self.watch.memory_peak());
        (usage.memory, usage.pids) = (Bytes(0), 0);
        usage.disk = self.watch.measure();
        usage
    }

    fn keep_outputs(&mut self, detail: String) -> String {
        let wanted = &self.orders.launch.outputs;
        if wanted.is_empty() || !self.began {
            return detail;
        }
        let work = self.dir.join(WORK);
        let most = self.orders.launch.limits.disk.0;
        let Err(error) = outputs::collect(&work, wanted, &self.orders.outputs, most) else {
            return detail;
        };
        let problem = format!("its outputs were not kept: {error}");
        self.log.say(&problem);
        // More people see how it ended than may read its log, and names are data, too.
        let problem = match self.orders.launch.data.is_empty() {
            true => problem,
            false => "its outputs were not kept: its log says why".to_owned(),
        };
        if detail.is_empty() { problem } else { format!("{detail}; {problem}") }
    }
}

impl Guard {
    /// Kills it, and with it the sandbox, and waits: its processor time in microseconds and the
    /// largest resident size in bytes, of it and all it reaped.
    fn end(&mut self) -> (u64, u64) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        kernel::wait_child(self.pid).map_or((0, 0), |(_, cpu_us, largest)| (cpu_us, largest))
    }
}

/// What listens inside on the supervisor's behalf, and where.
fn listeners(launch: &Launch) -> Vec<(u32, u16)> {
    let is_outbound = matches!(launch.network, Network::Outbound { .. });
    let proxy = is_outbound.then_some((PROXY, network::PROXY_PORT));
    let datasets = For::Datasets.port(&launch.ports);
    let datasets = (!launch.data.is_empty()).then_some((DATASETS, datasets));
    let tracking = (TRACKING, For::Tracking.port(&launch.ports));
    proxy.into_iter().chain(datasets).chain([tracking]).collect()
}

/// What a raw wait status says.
fn outcome(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signalled(libc::WTERMSIG(status))
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

pub(super) fn phrase(end: End) -> String {
    match end {
        End::Exited(code) => format!("failed with exit code {code}"),
        End::Signalled(signal) => format!("was ended by signal {signal}"),
        other => format!("ended: {other:?}"),
    }
}

/// Has the sandbox made, and takes over what its datasets are served by.
fn build(cell: &mut Cell, orders: &Orders, plan: Box<Plan>) -> io::Result<Mounts> {
    let (door, has_data) = (Path::new(weft_mount::DEVICE), !orders.launch.data.is_empty());
    if has_data {
        cell.settle()?;
        // The sandbox's own code opens it where it mounts it, and says what hinders it; nothing
        // else runs in there yet.
        let _ = cell.group.lend(door, true);
    }
    match cell.init.line.send(&Ask::Build(plan), &[]) {
        Err(error) if !link::is_gone(&error) => return Err(error),
        _ => {}
    }
    cell.settle()?;
    let data = Mounts::serve(orders, &cell.init.line, cell.init.pid)?;
    if has_data {
        cell.group.lend(door, false)?;
    }
    Ok(data)
}

fn plan(dir: &Path, orders: &Orders, counted: bool) -> io::Result<Plan> {
    let launch = &orders.launch;
    let dir = dir.canonicalize()?;
    let staging = dir.join(STAGING);
    fs::create_dir_all(&staging)?;
    Ok(Plan {
        staging,
        work: dir.join(WORK),
        kept: orders.kept.clone(),
        image: orders.image.clone(),
        environment: launch.environment.clone(),
        data: launch.data.iter().map(|data| data.to.clone()).collect(),
        etc: surroundings::etc(launch),
        devices: launch.devices.clone(),
        gpu: orders.gpu.clone(),
        hostname: launch.hostname.clone(),
        memory: launch.limits.memory.0,
        disk: launch.limits.disk.0,
        pids: launch.limits.pids,
        data_limit: (!counted).then_some(launch.limits.memory.0),
        host_id: orders.host_id,
    })
}
