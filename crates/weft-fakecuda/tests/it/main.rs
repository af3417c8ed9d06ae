//! The stand-in as programs meet it: loaded by name, called through C, by unmodified libraries.
//!
//! Each test is a Python program beside this file, in a process of its own with what
//! `WEFT_FAKECUDA` says, since a driver is made once in a process.

mod mps;
mod trial;

use trial::{Trial, built, runtimes};
use weft_device::{DeviceDriver, Nvml, Simulated};

/// The stand-in under the driver's names.
fn fake() -> Trial {
    Trial::new(&built("libweft_fakecuda.so"))
}

#[test]
fn memory_is_the_devices_and_comes_back() {
    fake().passes("memory.py", "devices=1xL4-24", &[]);
}

#[test]
fn addresses_and_memory_are_apart() {
    fake().passes("mapped.py", "devices=1xL4-24", &[]);
}

#[test]
fn pools_keep_what_they_may_and_memory_goes_between_processes() {
    fake().passes("pools.py", "devices=1xL4-24", &[]);
    fake().passes("shared.py", "devices=1xL4-24", &[]);
}

#[test]
fn a_process_leaves_its_devices_and_comes_back() {
    let on = "devices=1xH100-80 checkpoint=on";
    for who in ["by_itself", "by_another", "opened"] {
        fake().passes("suspend.py", on, &[who]);
    }
    fake().passes("suspend.py", "devices=1xH100-80", &["off"]);
    fake().passes("suspend.py", "devices=A100-40:mig checkpoint=on", &["mig"]);
    // What fails once, by a test's word, is as it was and can be done again.
    let fails = format!("{on} fault=cuCheckpointProcessRestore@1:2");
    fake().passes("suspend.py", &fails, &["again"]);
}

#[test]
fn graphs_take_memory_when_they_are_launched_and_keep_it_until_they_are_trimmed() {
    fake().passes("graphs.py", "devices=1xL4-24", &[]);
}

#[test]
fn kernels_by_name_compute_and_time_is_what_was_waited_for() {
    fake().passes("kernels.py", "devices=1xH100-80 kernel=1ms kernel.fill=3ms", &[]);
}

#[test]
fn the_functions_of_a_module_are_found_without_their_names() {
    fake().passes("tables.py", "devices=1xH100-80", &[]);
}

#[test]
fn every_name_at_every_version_is_its_symbol() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
    fake().passes("names.py", "devices=1xH100-80", &[table]);
}

#[test]
fn no_call_with_nothing_but_nulls_ends_the_process() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
    let management = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/nvml.tsv");
    fake().passes("nulls.py", "devices=2xH100-80", &[table, management]);
}

#[test]
fn management_answers_without_the_driver() {
    fake().passes("management.py", "devices=2xH200-141", &[]);
}

/// What the product's own reader of devices sees, in a process whose environment declares some.
#[test]
#[ignore = "the child of a test: cargo test -p weft-fakecuda --test it the_products_own_reader"]
fn the_reader() {
    let library = std::env::var_os("LIBRARY").expect("said by the test below");
    let driver = Nvml::load_from(&library);
    assert_eq!((driver.simulated(), driver.warning()), (false, None));
    let seen = driver.inventory();
    let declared: Simulated = "2xH200-141,A100-40:mig".parse().expect("as the environment says");
    let declared = declared.inventory();
    assert_eq!(seen.len(), declared.len());
    for (seen, declared) in seen.iter().zip(&declared) {
        assert_eq!(Some(seen.product.as_str()), declared.product.strip_suffix(" (simulated)"));
        assert_eq!((&seen.class, &seen.health), (&declared.class, &declared.health));
        assert_eq!(seen.mode, declared.mode, "{}", seen.product);
        assert!(seen.uuid.starts_with("GPU-"), "{}", seen.uuid);
    }
}

#[test]
fn the_products_own_reader_sees_what_the_simulated_driver_declares() {
    let test = std::env::current_exe().expect("this program");
    let mut reader = std::process::Command::new(test);
    reader.args(["--ignored", "--exact", "the_reader"]);
    reader.env("WEFT_FAKECUDA", "devices=2xH200-141,A100-40:mig");
    let output = reader.env("LIBRARY", built("libweft_fakecuda.so")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_file_beside_it_says_what_no_environment_does() {
    let test = std::env::current_exe().expect("this program");
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libnvidia-ml.so.1");
    std::os::unix::fs::symlink(built("libweft_fakecuda.so"), &library).expect("a link");
    std::fs::write(folder.path().join("weft-fakecuda"), "devices=2xH200-141,A100-40:mig\n")
        .expect("written");
    let mut reader = std::process::Command::new(test);
    reader.args(["--ignored", "--exact", "the_reader"]).env_remove("WEFT_FAKECUDA");
    let output = reader.env("LIBRARY", library).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[expect(clippy::print_stdout, reason = "says what ran, and what was left out")]
fn unmodified_runtimes_run() {
    let runtimes = runtimes();
    if runtimes.is_empty() {
        println!("left out: no runtime library; `cargo xtask test` fetches them");
    }
    for runtime in runtimes {
        let said = fake().passes("runtime.py", "devices=2xH200-141", &[&runtime.to_string_lossy()]);
        println!("{said}");
    }
}

#[test]
fn the_same_program_leaves_the_same_trace() {
    let trial = fake();
    let settings = format!("devices=1xL4-24 trace={}", trial.path("calls").display());
    trial.passes("memory.py", &settings, &[]);
    let first = trial.trace();
    trial.passes("memory.py", &settings, &[]);
    assert_eq!(trial.trace(), first);
    assert_eq!(first[0], "cuMemGetInfo_v2 & &");
    assert!(first.iter().any(|line| line == "cuMemAlloc_v2 & 0x100000"), "{first:?}");
}

#[test]
fn faults_come_at_their_call() {
    let trial = fake();
    trial.passes("faults.py", "devices=1xL4-24 fault=cuMemAlloc_v2@2:2", &["2"]);
    let crashed = trial.run("faults.py", "devices=1xL4-24 fault=cuMemAlloc_v2@2:crash", &["2"]);
    assert!(!crashed.status.success());
    let refused = trial.run("faults.py", "devices=1xTPU-9", &["2"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("WEFT_FAKECUDA: `devices=1xTPU-9` is not understood"), "{said}");
}
