//! The library between a program and the driver, on the stand-in: what programs see, what they are
//! refused, what is counted, and what happens when anything it needs is missing.

#[path = "../../../weft-fakecuda/tests/it/trial.rs"]
mod trial;

mod container;
mod stack;

use container::Container;
use std::fs;
use trial::{Trial, built, runtimes};
use weft_cuda_abi::{Class, class_of, revisions};

/// The tables of symbols.
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
const MANAGEMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/nvml.tsv");

const GIB: u64 = 1 << 30;
const L4: u64 = 23_034 << 20;

#[test]
fn a_slice_is_a_device_and_its_limit_holds_on_every_path() {
    Container::new(&[4 * GIB]).trial.passes("slice.py", "devices=1xH200-141", &[]);
}

#[test]
fn a_whole_device_is_as_without_the_library() {
    for program in ["memory.py", "mapped.py"] {
        Container::new(&[L4]).trial.passes(program, "devices=1xL4-24", &[]);
    }
    let settings = "devices=1xH100-80 kernel=1ms kernel.fill=3ms";
    Container::new(&[u64::MAX]).trial.passes("kernels.py", settings, &[]);
}

#[test]
#[expect(clippy::print_stdout, reason = "says what was left out")]
fn unmodified_runtimes_run_and_call_what_they_call_without_it() {
    let runtimes = runtimes();
    if runtimes.is_empty() {
        println!("left out: no runtime library; `cargo xtask test` fetches them");
    }
    for runtime in runtimes {
        let calls = |trial: &Trial| {
            let trace = trial.path("calls");
            let settings = format!("devices=2xH200-141 trace={}", trace.display());
            trial.passes("runtime.py", &settings, &[&runtime.to_string_lossy()]);
            // What the library asks of the driver for itself.
            let own = |line: &String| {
                let asked = [
                    "cuCtxGetDevice",
                    "cuCtxGetCurrent",
                    "cuDeviceGetUuid",
                    "cuDevicePrimaryCtxGetState",
                    "cuStreamIsCapturing",
                ];
                asked.iter().any(|call| line.starts_with(call))
            };
            trial.trace().into_iter().filter(|line| !own(line)).collect::<Vec<_>>()
        };
        let whole = Container::new(&[u64::MAX; 2]);
        let direct = Trial::new(&built("libweft_fakecuda.so"));
        let (whole, direct) = (calls(&whole.trial), calls(&direct));
        let differ = whole.iter().zip(&direct).find(|(a, b)| a != b);
        assert_eq!(differ, None, "{}", runtime.display());
        assert_eq!(whole.len(), direct.len(), "{}", runtime.display());
    }
}

#[test]
fn every_way_to_a_function_leads_to_its_hook_or_to_the_driver() {
    let container = Container::new(&[4 * GIB]);
    let runtimes = runtimes();
    let runtimes: Vec<_> = runtimes.iter().map(|path| path.to_string_lossy()).collect();
    let driver = container.path("driver/libcuda.so.1");
    let mut arguments = vec![DRIVER, &driver];
    arguments.extend(runtimes.iter().map(AsRef::as_ref));
    let said = container.trial.passes("ways.py", "devices=1xH100-80", &arguments);
    // What takes memory or launches is hooked, or nobody has thought of it.
    let hooked: Vec<&str> = said.lines().collect();
    let must = [Class::Charge, Class::Refund, Class::View, Class::Launch, Class::Resolve];
    let missing: Vec<_> = revisions()
        .iter()
        .filter(|revision| must.contains(&class_of(revision.symbol)))
        .filter(|revision| !hooked.contains(&revision.symbol))
        .filter(|revision| !UNHOOKED.iter().any(|(name, _)| *name == revision.name))
        .map(|revision| revision.symbol)
        .collect();
    assert!(missing.is_empty(), "neither hooked nor reasoned: {missing:?}");
}

/// Functions of classes that matter, without a hook, and why.
const UNHOOKED: &[(&str, &str)] = &[
    ("cuDestroyExternalMemory", "what it ends was charged to whoever made it"),
    ("cuDeviceGetGraphMemAttribute", "graphs that take memory are refused"),
    ("cuDeviceGraphMemTrim", "likewise"),
    ("cuGetExportTable", "its tables are the driver's, untouched, or the runtime refuses it"),
    ("cuGraphExecDestroy", "graphs that take memory are refused"),
    ("cuGraphInstantiate", "likewise"),
    ("cuGraphInstantiateWithFlags", "likewise"),
    ("cuGraphInstantiateWithParams", "likewise"),
    ("cuIpcCloseMemHandle", "what it ends was charged to whoever made it"),
    ("cuMemPoolDestroy", "what was taken from a pool is given back one by one"),
    ("cuMemPoolGetAttribute", "of a pool, which holds what its process took"),
    ("cuMemPoolTrimTo", "what was taken from a pool is given back one by one"),
];

#[test]
fn nulls_answer_as_the_driver_does() {
    let of = |trial: &Trial| trial.passes("results.py", "devices=2xH100-80", &[DRIVER, MANAGEMENT]);
    let container = Container::new(&[80 * GIB; 2]);
    assert_eq!(of(&container.trial), of(&Trial::new(&built("libweft_fakecuda.so"))));
}

#[test]
fn what_is_missing_gives_no_limit_and_no_limit_is_zero() {
    let settings = "devices=1xL4-24";
    let refused = |container: &Container, result: &str| {
        container.trial.passes("refused.py", settings, &[result]);
    };
    for file in ["limits", "ledger"] {
        let container = Container::new(&[GIB]);
        fs::remove_file(container.path(file)).expect("it was there");
        refused(&container, "2");
        fs::write(container.path(file), "nonsense").expect("written");
        refused(&container, "2");
    }
    let other = Container::new(&[]);
    refused(&other, "2");
    let container = Container::new(&[GIB]);
    fs::remove_file(container.path("driver/libcuda.so.1")).expect("it was there");
    refused(&container, "100");
}

#[test]
fn launches_and_bytes_are_counted() {
    let container = Container::new(&[GIB]);
    let ledger = container.path("ledger");
    container.trial.passes("counted.py", "devices=1xH100-80", &[&ledger]);
}

#[test]
fn processes_that_race_and_die_never_hold_more_than_the_limit() {
    let container = Container::new(&[GIB]);
    let ledger = container.path("ledger");
    container.trial.passes("storm.py", "devices=1xH100-80", &[&ledger, "1073741824"]);
}

#[test]
fn two_containers_never_have_more_than_their_shares_of_one_device() {
    let shares = [700, 300];
    let containers = shares.map(|share| Container::with(&[GIB], share));
    let time = containers[0].path("time");
    fs::write(&time, [0; 8]).expect("written");
    let settings = format!("devices=1xH100-80 clock=real shared={time} kernel=500us");
    let used = std::thread::scope(|scope| {
        let runs = containers.each_ref().map(|container| {
            let settings = settings.clone();
            scope.spawn(move || container.trial.passes("busy.py", &settings, &["1.0", "500"]))
        });
        runs.map(|run| run.join().expect("no panic"))
    });
    for (share, used) in shares.iter().zip(used) {
        let figures: Vec<u64> = used.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [used_us, passed_us] = figures[..] else { panic!("two figures: {used}") };
        // Its share of what has passed, a burst, and what was launched before a kernel was known.
        let most = passed_us * u64::from(*share) / 1000 + 20_000 + 32 * 500;
        assert!(used_us <= most, "{share}: {used_us} of {passed_us} us, at most {most}");
        assert!(used_us > 0);
    }
}
