//! Unmodified PyTorch, cuBLAS, cuDNN, cuFFT, NCCL and Triton, through the library against without
//! it: the driver must get the same calls, and a slice must be what they see.
//!
//! Some gigabytes of packages: `cargo xtask test --full` fetches them and runs these tests.

use crate::calls::is_in;
use crate::container::Container;
use crate::trial::{Trial, built};
use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

const GIB: u64 = 1 << 30;

/// Where `cargo xtask test --full` puts the packages.
fn packages() -> PathBuf {
    let test = env::current_exe().expect("this program");
    let found = test.ancestors().take(5).map(|folder| folder.join("cuda-stack"));
    found
        .into_iter()
        .find(|folder| folder.join("done").exists())
        .expect("`cargo xtask test --full`")
}

/// A job of `stack.py`, not yet run.
fn command(trial: &Trial, job: &str, settings: &str, allocator: &str) -> Command {
    let mut command = trial.command("stack.py", settings, &[job]);
    command.env("PYTHONPATH", packages()).env("PYTORCH_CUDA_ALLOC_CONF", allocator);
    command.env("PYTHONUNBUFFERED", "1");
    // One process and few threads, and nothing kept from another run.
    command.env("TORCHINDUCTOR_COMPILE_THREADS", "1").env("OMP_NUM_THREADS", "1");
    command.env("TORCHINDUCTOR_CACHE_DIR", trial.path("inductor"));
    command.env("TRITON_CACHE_DIR", trial.path("triton"));
    command
}

/// What a job printed, which ends well.
fn said(job: &str, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{job}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// How often a job is run again that PyTorch has ended as in [`is_ended_by_pytorch`].
const AGAIN: usize = 2;

/// Whether a job had said what it says last, and was then ended by PyTorch itself as it exited.
///
/// One run in some fifty ends so on a busy machine, with these words of the C++ library, which
/// neither of our libraries has; neither keeps a thread or does anything at exit. At that moment
/// there is one thread beside the job's own: that in which PyTorch computes gradients. Without any
/// driver PyTorch ends so when such a thread waits for the interpreter while Python (3.9 to 3.13)
/// ends it (pytorch/pytorch#38228, #190489).
fn is_ended_by_pytorch(output: &Output) -> bool {
    let words = b"terminate called without an active exception\n";
    output.status.signal() == Some(libc::SIGABRT)
        && output.stderr.ends_with(words)
        && output.stdout.ends_with(b"\n")
}

/// The calls of a thread, but those that differ from run to run without the library too: how often
/// cuBLAS asks for the context, and in which order a process that exits gives up its code.
fn stable(mut calls: Vec<String>) -> Vec<String> {
    let varies = ["cuLibraryUnload ", "cuCtxGetCurrent "];
    calls.retain(|call| !varies.iter().any(|name| call.starts_with(name)));
    calls
}

/// The traces of a job, a list for each thread.
fn traces(trial: &Trial, job: &str, allocator: &str) -> Vec<Vec<String>> {
    let settings = format!("devices=1xH100-80 trace={}", trial.path("calls").display());
    let mut command = command(trial, job, &settings, allocator);
    let mut run = || command.output().expect("python3 runs");
    let mut output = run();
    for _ in 0..AGAIN {
        if is_ended_by_pytorch(&output) {
            drop(trial.traces());
            output = run();
        }
    }
    said(job, &output);
    trial.traces().into_iter().map(stable).collect()
}

/// Every thread's calls are those of one thread without the library. Which thread is which follows
/// from what they call: the system starts them as it likes.
fn are_unchanged(job: &str, mut whole: Vec<Vec<String>>, direct: &[Vec<String>]) {
    assert_eq!(whole.len(), direct.len(), "{job}: threads");
    assert!(direct[0].len() > 500, "{job}: {} calls", direct[0].len());
    for (thread, direct) in direct.iter().enumerate() {
        let outcomes: Vec<_> = whole.iter().map(|whole| is_in(direct, whole)).collect();
        let found = outcomes.iter().position(Result::is_ok);
        let found = found.unwrap_or_else(|| panic!("{job}, thread {thread}: {outcomes:?}"));
        whole.swap_remove(found);
    }
}

/// A job's calls through the library are those without it.
fn is_unchanged(job: &str, allocator: &str) {
    let direct = traces(&Trial::new(&built("libweft_fakecuda.so")), job, allocator);
    let whole = traces(&Container::new(&[u64::MAX]).trial, job, allocator);
    are_unchanged(job, whole, &direct);
}

macro_rules! jobs {
    ($($name:ident: $job:literal, $allocator:literal;)*) => {$(
        #[test]
        #[ignore = "gigabytes of packages: cargo xtask test --full"]
        fn $name() {
            is_unchanged($job, $allocator);
        }
    )*};
}

jobs! {
    stack_trains_a_transformer: "transformer", "";
    stack_trains_in_bf16: "bf16", "";
    stack_trains_in_fp16: "fp16", "";
    stack_trains_convolutions: "convolutions", "";
    stack_trains_in_expandable_segments: "transformer", "expandable_segments:True";
    stack_trains_by_the_drivers_own_pools: "transformer", "backend:cudaMallocAsync";
    stack_replays_a_graph: "graph", "";
    stack_replays_a_graph_that_takes_memory: "graph", "backend:cudaMallocAsync";
    stack_compiles: "compiled", "";
    stack_does_algebra: "algebra", "";
    stack_transforms: "transforms", "";
    stack_moves_pinned_memory: "moved", "";
}

#[test]
#[ignore = "gigabytes of packages: cargo xtask test --full"]
fn stack_sees_its_slice_and_is_refused_memory_at_its_limit() {
    // Contexts and code as large as on a real device: they are part of the slice.
    let settings = "devices=1xH100-80 context=300MiB module=1MiB";
    for allocator in ["", "expandable_segments:True", "backend:cudaMallocAsync"] {
        let container = Container::new(&[4 * GIB]);
        let mut command = command(&container.trial, "limit", settings, allocator);
        let said = said(allocator, &command.output().expect("python3 runs"));
        let (error, seen) = said.trim_end().rsplit_once('\n').expect("two lines");
        let (count, error) = error.split_once(' ').expect("how many it had");
        assert!(["13", "14"].contains(&count), "{allocator}: {count} of 256 MiB");
        assert!(error.contains("out of memory"), "{allocator}: {error}");
        if !allocator.starts_with("backend") {
            assert!(error.contains("total capacity of 4.00 GiB"), "{allocator}: {error}");
        }
        let seen: Vec<u64> = seen.split(' ').filter_map(|n| n.parse().ok()).collect();
        let without_context = 4 * GIB - (300 << 20);
        assert_eq!(seen[1], 4 * GIB, "{allocator}");
        assert!((2 * GIB..without_context).contains(&seen[0]), "{allocator}: {seen:?}");
    }
}

#[test]
#[ignore = "gigabytes of packages: cargo xtask test --full"]
fn stack_runs_with_a_part_of_the_time() {
    let pools = "backend:cudaMallocAsync";
    for (job, allocator) in [("transformer", ""), ("graph", ""), ("graph", pools), ("moved", "")] {
        let container = Container::with(&[4 * GIB], 300);
        let settings = "devices=1xH100-80 clock=real";
        let mut command = command(&container.trial, job, settings, allocator);
        said(job, &command.output().expect("python3 runs"));
    }
}

/// Runs a rank of a job in each trial at once.
fn ranks(trials: [&Trial; 2], settings: &str) {
    let meeting = trials[0].path("meeting");
    let children = [0, 1].map(|rank| {
        let trial = trials[rank];
        let settings = format!("{settings} trace={}", trial.path("calls").display());
        let mut command = command(trial, "ranks", &settings, "");
        command.env("RANK", rank.to_string()).env("MEETING", &meeting);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("python3 runs")
    });
    for child in children {
        said("ranks", &child.wait_with_output().expect("it ends"));
    }
}

#[test]
#[ignore = "gigabytes of packages: cargo xtask test --full"]
fn stack_reduces_over_two_ranks() {
    let settings = "devices=2xH100-80";
    let fake = built("libweft_fakecuda.so");
    let direct = [Trial::new(&fake), Trial::new(&fake)];
    ranks(direct.each_ref(), settings);
    let whole = [0, 1].map(|_| Container::new(&[u64::MAX; 2]));
    ranks(whole.each_ref().map(|container| &container.trial), settings);
    for (whole, direct) in whole.iter().zip(&direct) {
        let calls = |trial: &Trial| trial.traces().into_iter().map(stable).collect::<Vec<_>>();
        are_unchanged("ranks", calls(&whole.trial), &calls(direct));
    }
}
