//! The names of the management library, NVML.

/// Every symbol that NVML's header declares, ascending. Programs also ask for names without their
/// version, which the library exports beside the numbered ones.
pub fn management_symbols() -> &'static [&'static str] {
    crate::driver::MANAGEMENT
}
