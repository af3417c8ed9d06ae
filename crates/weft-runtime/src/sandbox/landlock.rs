//! Landlock on top of the mounts: a second, independent wall around the file system.
//!
//! Applied by init before the filter. Best effort: what the kernel's ABI lacks is left out, and
//! the mounts alone still hold. From ABI 6 on it also closes abstract Unix sockets and signals
//! towards the outside, which the network and pid namespaces close first.

use crate::gpu;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

/// Restricts this process and all it starts: everything may be read and run, files may be made
/// in the working, temporary and kept folders only, and written where the kernel offers files.
pub(crate) fn restrict() -> Result<(), RulesetError> {
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let written = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(abi)))?
        // What is not there is left out: not every run has a kept folder.
        .add_rules(path_beneath_rules(["/work", "/tmp", "/dev/shm", crate::CHECKPOINT], all))?
        // Its length is not the run's to change, where the kernel can tell that apart.
        .add_rules(path_beneath_rules(
            // Pipes of MPS: to speak by, and of no length.
            [gpu::ledger(), gpu::mps()],
            AccessFs::from_read(abi) | AccessFs::WriteFile,
        ))?
        .add_rules(path_beneath_rules(["/dev", "/proc"], AccessFs::from_read(abi) | written))?
        .restrict_self()?;
    Ok(())
}
