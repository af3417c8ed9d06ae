//! The supervisor alone: what tests and benches of this crate start instead of the `weft` binary.
//!
//! `start`, `run` and `forget` are a server that does one thing: crash tests kill it while it
//! does, and tests without rights run it as nobody.

use std::path::Path;
use weft_runtime::{Launch, Runtime};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["__supervise", dir] => weft_runtime::supervise(Path::new(dir)),
        [what @ ("start" | "run" | "forget"), state, launch] => serve_once(what, state, launch),
        _ => std::process::exit(2),
    }
}

fn serve_once(what: &str, state: &str, launch: &str) {
    let tokio = tokio::runtime::Runtime::new().expect("an async runtime");
    tokio.block_on(async {
        let launch = std::fs::read(launch).expect("a launch file");
        let launch: Launch = serde_json::from_slice(&launch).expect("a launch");
        let own = std::env::current_exe().expect("the own path");
        let runtime = Runtime::open(Path::new(state), &own).expect("a state directory");
        match what {
            "start" => drop(runtime.start(&launch).await.expect("a start")),
            "run" => {
                runtime.start(&launch).await.expect("a start");
                runtime.wait(launch.key).await;
            }
            _ => {
                runtime.forget(launch.key).await.expect("a removal");
                runtime.end_mps_but(Vec::new()).await.expect("nobody needs it");
            }
        }
    });
}
