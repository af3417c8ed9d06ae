//! A container as the agent would make it: its library, its driver, its limits and its ledger; for
//! the tests and the benches.

use crate::trial::{Trial, built};
use std::fs;
use weft_cuda_abi::folder;
use weft_cuda_abi::ledger::Ledger;
use weft_cuda_abi::limits::{Limit, head};

/// The identifier of the stand-in's first devices.
fn uuid(device: u8) -> [u8; 16] {
    let mut uuid = *b"weft-fakecuda\0\0\0";
    uuid[15] = device;
    uuid
}

/// A container: its library, its driver, and the memory it may use of its devices.
pub(crate) struct Container {
    /// Where its programs run.
    pub(crate) trial: Trial,
    folder: tempfile::TempDir,
}

impl Container {
    /// With the whole time of its devices.
    pub(crate) fn new(memory: &[u64]) -> Self {
        Self::with(memory, 1000)
    }

    /// With so many thousandths of the time of each device.
    pub(crate) fn with(memory: &[u64], milli: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let it = |name: &str| folder.path().join(name);
        fs::create_dir(it("driver")).expect("a folder");
        for name in ["driver/libcuda.so.1", "driver/libnvidia-ml.so.1"] {
            std::os::unix::fs::symlink(built("libweft_fakecuda.so"), it(name)).expect("a link");
        }
        let mut limits = head(memory.len() as u32).to_vec();
        for (device, memory) in memory.iter().enumerate() {
            let limit = Limit { uuid: uuid(device as u8), memory: *memory, milli };
            limits.extend(limit.write());
        }
        fs::write(it("limits"), limits).expect("written");
        let mut ledger = vec![0; size_of::<Ledger>()];
        ledger[..8].copy_from_slice(b"weftldgr");
        ledger[8] = 1;
        fs::write(it("ledger"), ledger).expect("written");
        let mut library = fs::read(built("libweft_cuda_shim.so")).expect("cargo has built it");
        let path = folder.path().to_str().expect("a text").as_bytes();
        assert!(folder::write(&mut library, path), "the library has its mark");
        fs::write(it("library.so"), library).expect("written");
        Self { trial: Trial::new(&it("library.so")), folder }
    }

    /// A file of its folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }
}
