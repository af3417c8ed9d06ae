//! The stand-in for MPS: a daemon under a private folder, its clients and their limits.

use crate::fake;
use crate::trial::Trial;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The stand-in for the control program.
fn program() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/control/nvidia-cuda-mps-control"))
}

/// A daemon of a test's own; gone with it.
struct Daemon {
    trial: Trial,
    child: Child,
}

impl Daemon {
    fn new() -> Self {
        let trial = fake();
        std::fs::create_dir(trial.path("pipes")).expect("a folder");
        let mut daemon = control(&trial);
        daemon.env("CUDA_VISIBLE_DEVICES", "GPU-77656674-2d66-616b-6563-756461000000").arg("-f");
        let child = daemon.spawn().expect("it starts");
        let it = Self { trial, child };
        while !it.trial.path("pipes/nvidia-cuda-mps-control.pid").exists() {
            std::thread::yield_now();
        }
        it
    }

    /// What a command answers.
    fn ask(&self, command: &str) -> String {
        let mut asking = control(&self.trial);
        let mut asking =
            asking.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        writeln!(asking.stdin.take().expect("piped"), "{command}").expect("it reads");
        let output = asking.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A client with these variables.
    fn client(&self, env: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut client = self.trial.command("mps.py", "devices=1xH100-80", arguments);
        client.env("CUDA_MPS_PIPE_DIRECTORY", self.trial.path("pipes"));
        client.envs(env.iter().copied());
        client
    }

    #[track_caller]
    fn passes(&self, env: &[(&str, &str)], arguments: &[&str]) {
        let status = self.client(env, arguments).status().expect("it runs");
        assert!(status.success(), "{env:?} {arguments:?}: {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn control(trial: &Trial) -> Command {
    let mut control = Command::new(program());
    control.env("CUDA_MPS_PIPE_DIRECTORY", trial.path("pipes"));
    control.env("CUDA_MPS_LOG_DIRECTORY", trial.path("logs"));
    control
}

#[test]
fn a_client_has_the_narrower_of_its_own_limits_and_its_servers() {
    const LIMIT: &str = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT";
    const PART: &str = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
    let daemon = Daemon::new();
    // Without a variable of its own: all of 132 processors.
    daemon.passes(&[(LIMIT, "0=64M")], &["client", "1", "132", "64"]);
    daemon.passes(&[(LIMIT, "0=1G"), (PART, "25")], &["client", "1", "33", "1024"]);
    assert_eq!(daemon.ask("get_server_list").lines().count(), 1);
    // What is set for servers holds for those that are started from then on.
    let daemon = Daemon::new();
    daemon.ask("set_default_device_pinned_mem_limit 0 128M");
    daemon.ask("set_default_active_thread_percentage 50");
    daemon.passes(&[], &["client", "1", "66", "128"]);
    daemon.passes(&[(LIMIT, "0=1G"), (PART, "90")], &["client", "1", "66", "128"]);
    daemon.passes(&[(LIMIT, "0=64M"), (PART, "25")], &["client", "1", "33", "64"]);
}

#[test]
fn without_a_daemon_it_goes_on_without_and_without_its_server_it_stops() {
    let trial = fake();
    let all = "81559";
    let mut alone = trial.command("mps.py", "devices=1xH100-80", &["client", "0", "132", all]);
    alone.env("CUDA_MPS_PIPE_DIRECTORY", trial.path("none"));
    alone.env("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=64M");
    assert!(alone.status().expect("it runs").success(), "no daemon, no limit");
    let daemon = Daemon::new();
    let mut orphan = daemon.client(&[], &["orphan"]);
    let mut orphan = orphan.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    let mut line = String::new();
    let out = orphan.stdout.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("read");
    assert_eq!(line, "client\n");
    drop(daemon);
    writeln!(orphan.stdin.take().expect("piped"), "go on").expect("it reads");
    assert!(orphan.wait().expect("it ends").success());
}
