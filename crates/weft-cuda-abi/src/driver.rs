//! The map from a name and a version to the symbol that a driver exports.
//!
//! `cuGetProcAddress(name, version, flags)` answers by this rule: of the revisions that exist at
//! the version the newest, in the form whose default stream was asked for, where there is one.

/// A function of the driver in one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// As programs ask for it, without revision: `cuMemAlloc`.
    pub name: &'static str,
    /// The first version of the driver that has it: 1000 × major + 10 × minor.
    pub since: u32,
    /// Which stream a null stream means.
    pub stream: DefaultStream,
    /// What the driver exports it as: `cuMemAlloc_v2`.
    pub symbol: &'static str,
    /// A letter a parameter: `p` an address, `h` a handle or callback, `l` 64 bits, `w` 32 bits or
    /// fewer, `f` a float, `m` a structure by value.
    pub parameters: &'static str,
}

/// Which stream a null stream means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultStream {
    /// The one of the context, which waits for all others.
    Legacy,
    /// The calling thread's own.
    Thread,
}

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// Every revision of every function: by name, then version.
pub fn revisions() -> &'static [Revision] {
    REVISIONS
}

/// The revision that a program of a version means by a name; none where there was none yet.
///
/// A function without a thread's form answers with its plain one, as the driver does.
pub fn answer(name: &str, version: u32, stream: DefaultStream) -> Option<&'static Revision> {
    let start = REVISIONS.partition_point(|revision| revision.name < name);
    let all = REVISIONS[start..].iter().take_while(|revision| revision.name == name);
    let there = all.filter(|revision| revision.since <= version);
    let newest =
        |wanted| there.clone().filter(|revision: &&Revision| revision.stream == wanted).last();
    match stream {
        DefaultStream::Thread => newest(stream).or_else(|| newest(DefaultStream::Legacy)),
        DefaultStream::Legacy => newest(stream),
    }
}

/// The name that a symbol is a revision of: `cuMemcpyHtoD_v2_ptds` is `cuMemcpyHtoD`.
pub fn base_name(symbol: &str) -> &str {
    let plain = symbol.strip_suffix("_ptds").or_else(|| symbol.strip_suffix("_ptsz"));
    let plain = plain.unwrap_or(symbol);
    match plain.rsplit_once("_v") {
        Some((name, number)) if number.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => plain,
    }
}
