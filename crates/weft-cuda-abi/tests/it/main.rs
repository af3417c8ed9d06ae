//! The tables against the rules they follow, and the classes against every name there is.

#[cfg(not(loom))]
mod delivered;
#[cfg(not(loom))]
mod ledger;
#[cfg(loom)]
mod orders;
#[cfg(not(loom))]
mod share;

use std::collections::{BTreeMap, BTreeSet};
use weft_cuda_abi::{
    CLASSES, Class, DefaultStream, Revision, answer, base_name, class_of, management_symbols,
    revisions,
};

#[test]
fn each_version_gets_the_revision_of_its_time() {
    let symbol = |name, version, stream| answer(name, version, stream).map(|found| found.symbol);
    let legacy = |name, version| symbol(name, version, DefaultStream::Legacy);
    assert_eq!(legacy("cuMemAlloc", 2000), Some("cuMemAlloc"));
    assert_eq!(legacy("cuMemAlloc", 3010), Some("cuMemAlloc"));
    assert_eq!(legacy("cuMemAlloc", 3020), Some("cuMemAlloc_v2"));
    assert_eq!(legacy("cuMemAlloc", 13_050), Some("cuMemAlloc_v2"));
    assert_eq!(legacy("cuMemAllocAsync", 11_010), None, "it came with 11.2");
    assert_eq!(legacy("cuCtxCreate", 12_040), Some("cuCtxCreate_v3"));
    assert_eq!(legacy("cuCtxCreate", 12_050), Some("cuCtxCreate_v4"));
    assert_eq!(legacy("cuMulticastBindMem", 12_000), None, "it came with 12.1");
    assert_eq!(legacy("cuNothing", 13_000), None);
    let thread = |name, version| symbol(name, version, DefaultStream::Thread);
    assert_eq!(thread("cuMemcpyHtoD", 12_000), Some("cuMemcpyHtoD_v2_ptds"));
    assert_eq!(thread("cuLaunchKernel", 7000), Some("cuLaunchKernel_ptsz"));
    assert_eq!(thread("cuStreamGetCaptureInfo", 11_030), Some("cuStreamGetCaptureInfo_v2_ptsz"));
    assert_eq!(thread("cuMemAlloc", 12_000), Some("cuMemAlloc_v2"), "it knows no stream");
}

#[test]
fn the_table_is_in_order_and_each_symbol_is_one_revision() {
    let key = |r: &Revision| (r.name, r.since, r.symbol);
    assert!(revisions().is_sorted_by_key(key));
    let mut of = BTreeMap::new();
    for revision in revisions() {
        assert_eq!(of.insert(revision.symbol, revision), None, "{}", revision.symbol);
        assert_eq!(base_name(revision.symbol), revision.name);
        let known = |letter| "phlwfm".contains(letter);
        assert!(revision.parameters.chars().all(known), "{revision:?}");
    }
    assert!(management_symbols().is_sorted());
}

#[test]
fn every_revision_is_the_answer_at_its_own_version() {
    for revision in revisions() {
        let found = answer(revision.name, revision.since, revision.stream);
        assert_eq!(found, Some(revision));
    }
}

#[test]
fn a_class_names_functions_that_exist_once_and_in_order() {
    let known: BTreeSet<_> = revisions().iter().map(|revision| revision.name).collect();
    let mut seen = BTreeSet::new();
    for (class, names) in CLASSES {
        assert!(names.is_sorted(), "{class:?}: searched by halves");
        for name in *names {
            assert!(known.contains(name), "{name} is no function of the driver");
            assert!(seen.insert(name), "{name} is in two classes");
        }
    }
    assert_eq!(class_of("cuMemcpyDtoHAsync_v2_ptsz"), Class::Copy);
    assert_eq!(class_of("cuCtxGetCurrent"), Class::Pass);
}

/// Words of names that take a device's memory or time, or let somebody else's in.
const SUSPECT: [&str; 16] = [
    "Alloc",
    "Batch",
    "Bind",
    "Create",
    "Decompress",
    "Import",
    "Instantiate",
    "Launch",
    "Load",
    "Map",
    "Memcpy",
    "Memset",
    "Open",
    "Prefetch",
    "Reserve",
    "Retain",
];

/// Suspect names that are harmless, by their beginning, and why.
const HARMLESS: &[(&str, &str)] = &[
    ("cuEventCreate", "an event, a few bytes within the context's own memory"),
    ("cuFuncIsLoaded", "asks, and loads nothing"),
    ("cuGraphAddBatchMemOpNode", "writes and waits for single words"),
    ("cuGraphAddMem", "a node that copies or frees; it runs by cuGraphLaunch"),
    ("cuGraphConditionalHandleCreate", "a handle of a graph on the host"),
    ("cuGraphCreate", "a graph is on the host until it is instantiated"),
    ("cuGraphRetainUserObject", "a count of references on the host"),
    ("cuGraphicsMap", "memory of a graphics context, which a tenant has none of"),
    ("cuGraphicsUnmap", "likewise"),
    ("cuGreenCtxStreamCreate", "a stream, within the context's own memory"),
    ("cuImportExternalSemaphore", "a semaphore holds no memory to speak of"),
    ("cuIpcOpenEventHandle", "an event of another process"),
    ("cuLaunchHostFunc", "a call on the host"),
    ("cuLinkCreate", "links on the host; what it makes is loaded as a module"),
    ("cuLogicalEndpoint", "addresses of what was charged when it was created"),
    ("cuMemAddressReserve", "addresses without memory behind them"),
    ("cuMemAllocHost", "memory of the host, which its control group limits"),
    ("cuMemDiscardBatchAsync", "gives up contents, not memory"),
    ("cuMemHostAlloc", "memory of the host, which its control group limits"),
    ("cuMemMap", "puts what cuMemCreate took at an address"),
    ("cuMemPoolCreate", "an empty pool; what is taken from it is charged"),
    ("cuMemUnmap", "takes what cuMemCreate took from its address"),
    ("cuMulticastBind", "binds what was charged when it was created"),
    ("cuMulticastUnbind", "likewise"),
    ("cuStreamBatchMemOp", "writes and waits for single words"),
    ("cuStreamCreate", "a stream, within the context's own memory"),
    ("cuSurfObjectCreate", "describes an array that is charged"),
    ("cuTensorMap", "a description in the host's memory"),
    ("cuTexObjectCreate", "describes an array that is charged"),
    ("cuTexRefCreate", "describes an array that is charged"),
    ("cuUserObject", "a count of references on the host"),
];

#[test]
fn every_name_that_sounds_of_memory_or_work_has_a_class_or_a_reason() {
    let names: BTreeSet<_> = revisions().iter().map(|revision| revision.name).collect();
    // What only asks or sets takes nothing; what brings code in by asking for it is classed.
    let asks = |name: &str| name.contains("Get") || name.contains("Set");
    let sounds = |name: &str| !asks(name) && SUSPECT.iter().any(|word| name.contains(word));
    let harmless = |name: &str| HARMLESS.iter().any(|(start, _)| name.starts_with(start));
    let suspect = names.iter().filter(|name| sounds(name) && class_of(name) == Class::Pass);
    let unseen: Vec<_> = suspect.filter(|name| !harmless(name)).collect();
    assert!(unseen.is_empty(), "neither classed nor harmless: {unseen:?}");
    for (start, _) in HARMLESS {
        let needed = |name: &&&str| name.starts_with(start) && class_of(name) == Class::Pass;
        assert!(names.iter().any(|name| needed(&name)), "{start}: no such name needs a reason");
    }
}

#[test]
fn a_folder_is_written_into_a_copy_that_has_the_mark_and_room() {
    use weft_cuda_abi::folder::{ROOM, path, with, write};
    let mut library = [vec![1; 99], with(b"/nowhere").to_vec(), vec![2; 99]].concat();
    let found = |library: &[u8]| {
        let place: [u8; ROOM] = library[99..99 + ROOM].try_into().expect("as long");
        path(&place).map(<[u8]>::to_vec)
    };
    assert_eq!(found(&library), Some(b"/nowhere".to_vec()));
    assert!(write(&mut library, b"/run/weft/gpu"));
    assert_eq!(found(&library), Some(b"/run/weft/gpu".to_vec()));
    assert!(library.starts_with(&[1; 99]) && library.ends_with(&[2; 99]));
    let long = vec![b'x'; ROOM];
    for wrong in [&b""[..], b"/a\0b", &long] {
        assert!(!write(&mut library, wrong));
    }
    assert_eq!(found(&library), Some(b"/run/weft/gpu".to_vec()), "nothing was written");
    assert!(!write(&mut [0; 999], b"/run"), "no mark");
}
