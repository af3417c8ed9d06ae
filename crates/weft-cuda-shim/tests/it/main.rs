//! The library between a program and the driver, on the stand-in: what programs see, what they are
//! refused, what is counted, and what happens when anything it needs is missing.

#[path = "../../../weft-fakecuda/tests/it/trial.rs"]
mod trial;

mod calls;
mod container;
mod stack;

use container::Container;
use std::fs;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use trial::{Trial, built, runtimes};
use weft_cuda_abi::{Class, class_of, revisions};

/// The tables of symbols.
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
const MANAGEMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/nvml.tsv");

const GIB: u64 = 1 << 30;
const L4: u64 = 23_034 << 20;

#[test]
fn a_slice_is_a_device_and_its_limit_holds_on_every_path() {
    let settings = "devices=1xH200-141 neighbour=512MiB";
    Container::new(&[4 * GIB]).trial.passes("slice.py", settings, &[]);
}

#[test]
fn ordered_memory_counts_for_the_device_it_is_of() {
    let container = Container::new(&[4 * GIB, 2 * GIB]);
    container.trial.passes("devices.py", "devices=2xH100-80", &[]);
}

/// Every attempt and what it comes to is a row of the page.
#[test]
fn no_way_around_the_limit_takes_more_than_it() {
    let container = Container::new(&[4 * GIB]);
    let driver = container.path("driver/libcuda.so.1");
    let settings = "devices=2xH100-80 context=64MiB module=1MiB";
    let said = container.trial.passes("bypass.py", settings, &[&driver, "4294967296"]);
    let tried: Vec<&str> = said.lines().collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/gpu-limits.md");
    let page = fs::read_to_string(page).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(tried, rows, "the attempts, and the rows of docs/reference/gpu-limits.md");
}

/// A program with the runtime library in it, by the system's C compiler.
#[test]
#[expect(clippy::print_stdout, reason = "says what was left out")]
fn a_runtime_that_is_linked_statically_is_held_too() {
    let container = Container::new(&[GIB]);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/static.c");
    let program = container.path("static");
    for runtime in runtimes() {
        let archive = runtime.with_file_name("libcudart_static.a");
        if !archive.exists() {
            println!("left out: {} is not there", archive.display());
            continue;
        }
        let mut compile = Command::new("cc");
        compile.args(["-o", &program, source]).arg(&archive);
        compile.args(["-lstdc++", "-lpthread", "-ldl", "-lrt"]);
        assert!(compile.status().expect("a C compiler").success(), "{}", archive.display());
        let mut run = Command::new(&program);
        run.env("LD_LIBRARY_PATH", container.trial.path(""));
        run.env("WEFT_FAKECUDA", "devices=1xH100-80");
        let output = run.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, format!("{GIB} 0 {GIB}\n"), "{}: {}", archive.display(), output.status);
    }
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
            let settings = format!("devices=2xH200-141 trace={}", trial.path("calls").display());
            trial.passes("runtime.py", &settings, &[&runtime.to_string_lossy()]);
            trial.trace()
        };
        let whole = Container::new(&[u64::MAX; 2]);
        let direct = Trial::new(&built("libweft_fakecuda.so"));
        let outcome = calls::is_in(&calls(&direct), &calls(&whole.trial));
        assert_eq!(outcome, Ok(()), "{}", runtime.display());
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
    ("cuDeviceGetGraphMemAttribute", "of this process, as true as `cuMemPoolGetAttribute`"),
    ("cuGetExportTable", "its tables are the driver's, untouched, or the runtime refuses it"),
    ("cuMemPoolGetAttribute", "of a pool, which holds what its process took"),
];

#[test]
fn nulls_answer_as_the_driver_does() {
    let of = |trial: &Trial| trial.passes("results.py", "devices=2xH100-80", &[DRIVER, MANAGEMENT]);
    let container = Container::new(&[80 * GIB; 2]);
    assert_eq!(of(&container.trial), of(&Trial::new(&built("libweft_fakecuda.so"))));
}

/// Seeds of the calls with anything, and how many calls each makes.
const SEEDS: std::ops::Range<u64> = 0..4;
const CALLS: &str = "1000";

/// What the library refuses whatever it is called with, because it does not count it.
const REFUSED: &[&str] = &[
    "cuArray3DCreate",
    "cuArrayCreate",
    "cuMemPoolImportFromShareableHandle",
    "cuMulticastCreate",
];

#[test]
fn calls_with_anything_answer_as_the_driver_does() {
    let container = Container::new(&[u64::MAX; 2]);
    let driver = container.path("driver/libcuda.so.1");
    let said = container.trial.passes("ways.py", "devices=2xH100-80", &[DRIVER, &driver]);
    let hooked: Vec<&str> = said.lines().filter(|symbol| !REFUSED.contains(symbol)).collect();
    assert!(hooked.len() > 80, "{hooked:?}");
    for seed in SEEDS {
        let of = |trial: &Trial| {
            let arguments = [DRIVER, &seed.to_string(), CALLS, &hooked.join(",")];
            trial.passes("fuzz.py", "devices=2xH100-80", &arguments)
        };
        let (whole, direct) =
            (of(&container.trial), of(&Trial::new(&built("libweft_fakecuda.so"))));
        // What is wrong and too much at once may be refused as the one or the other.
        let is_same = |whole: &str, direct: &str| {
            let wrong = |call: &str| ["1", "400"].map(|result| format!("{call} {result} 0"));
            let too_much = whole.strip_suffix(" 2 0");
            whole == direct || too_much.is_some_and(|call| wrong(call).iter().any(|w| w == direct))
        };
        let mut both = whole.lines().zip(direct.lines()).enumerate();
        let differ = both.find(|(_, (whole, direct))| !is_same(whole, direct));
        assert_eq!(differ, None, "seed {seed}: through the library, without it");
        assert_eq!(whole.lines().count(), direct.lines().count(), "seed {seed}");
    }
}

#[test]
fn memory_of_graphs_counts_as_the_driver_keeps_it() {
    for milli in [1000, 300] {
        let container = Container::with(&[4 * GIB, 2 * GIB], milli);
        let settings = "devices=2xH100-80 kernel=1ms";
        let driver = container.path("driver/libcuda.so.1");
        container.trial.passes("graphed.py", settings, &[&driver, &container.path("ledger")]);
    }
}

#[test]
fn graphs_that_take_no_memory_are_not_looked_at() {
    let calls = |trial: &Trial| {
        let settings = format!("devices=1xH100-80 trace={}", trial.path("calls").display());
        trial.passes("plain.py", &settings, &[]);
        let all = trial.trace();
        let first = all.iter().position(|call| call.starts_with("cuGraphCreate"));
        all[first.expect("it makes a graph")..].to_vec()
    };
    let slice = Container::new(&[4 * GIB]);
    let direct = calls(&Trial::new(&built("libweft_fakecuda.so")));
    assert_eq!(direct.len(), 13);
    assert_eq!(calls(&slice.trial), direct, "the library asks the driver nothing");
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

#[test]
fn what_the_agent_gives_is_used_and_runs_out_with_it() {
    let container = Container::with(&[GIB], 100);
    let rates = fs::File::create(container.path("rates")).expect("made");
    rates.set_len(weft_cuda_abi::rates::BYTES as u64).expect("as long as it is");
    let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
    let settings = "devices=1xH100-80 clock=real kernel=500us";
    let busy = |seconds: &str| {
        let used = container.trial.passes("busy.py", settings, &[seconds, "500"]);
        let figures: Vec<u64> = used.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        figures[0] * 1000 / figures[1]
    };
    let given = std::thread::scope(|scope| {
        let rates = &rates;
        scope.spawn(move || {
            let period = Duration::from_nanos(weft_cuda_abi::share::PERIOD_NS);
            while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
                let word = weft_cuda_abi::rates::word(900, now).to_le_bytes();
                std::os::unix::fs::FileExt::write_all_at(rates, &word, 0).expect("written");
            }
        });
        let used = busy("0.4");
        drop(end);
        used
    });
    assert!(given >= 300, "{given} thousandths of what it was given, 900");
    // The agent is gone: its last word has run out before a program has started, or soon after.
    let left = busy("0.6");
    assert!(left <= 400, "{left} thousandths of a share of 100");
}
