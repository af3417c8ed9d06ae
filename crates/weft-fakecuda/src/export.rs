//! The exported symbols, and the table they jump through.
//!
//! Each export is one jump: what stands in its place of the table is set when the library is
//! loaded, before anybody can call. Where calls are watched the place holds the symbol's twin,
//! which hands all registers to `watch.rs` and goes on, or comes back with the fault it was told.

use crate::call::Call;
use crate::{
    array, checkpoint, code, context, copy, device, graph, graph_memory, ipc, launch, memory, nvml,
    nvml_event, nvml_health, nvml_instance, nvml_mig, pool, resolve, stream, vmm, watch, work,
};
use std::arch::naked_asm;
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! export {
    ($symbol:ident, $watched:ident, $index:literal) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol() {
            naked_asm!(
                "jmp qword ptr [rip + {table} + 8 * {index}]",
                table = sym TABLE,
                index = const $index
            )
        }

        #[unsafe(naked)]
        unsafe extern "C" fn $watched() {
            naked_asm!(
                "mov r11d, {index}",
                "jmp {watch}",
                index = const $index,
                watch = sym watched
            )
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/exports.rs"));

/// Where each export jumps.
static TABLE: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(std::ptr::null_mut()) }; COUNT];
/// Where each would jump if nobody watched.
static TARGETS: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(std::ptr::null_mut()) }; COUNT];

/// Every function that is offered.
const OFFERED: &[&[Call]] = &[
    array::CALLS,
    checkpoint::CALLS,
    code::CALLS,
    context::CALLS,
    copy::CALLS,
    device::CALLS,
    graph::CALLS,
    graph_memory::CALLS,
    ipc::CALLS,
    launch::CALLS,
    memory::CALLS,
    nvml::CALLS,
    &[nvml::TEXT],
    nvml_event::CALLS,
    nvml_health::CALLS,
    nvml_instance::CALLS,
    nvml_mig::CALLS,
    pool::CALLS,
    resolve::CALLS,
    stream::CALLS,
    vmm::CALLS,
    work::CALLS,
];

/// First revisions that take the same arguments as the second and do what it does: what changed is
/// on whose behalf, or only the symbol.
const SAME_AS_SECOND: &[&str] = &[
    "cuCtxDestroy",
    "cuCtxPopCurrent",
    "cuCtxPushCurrent",
    "cuDevicePrimaryCtxRelease",
    "cuDevicePrimaryCtxReset",
    "cuDevicePrimaryCtxSetFlags",
    "cuEventDestroy",
    "cuStreamDestroy",
];

#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

/// Fills the table. Runs once, when the library is loaded.
extern "C" fn loaded() {
    let watching = watch::begin();
    for (index, (symbol, _)) in SYMBOLS.iter().enumerate() {
        let target = code_of(symbol);
        TARGETS[index].store(target.cast_mut(), Ordering::Relaxed);
        let watched = WATCHED[index] as *const ();
        let place = if watching { watched } else { target };
        TABLE[index].store(place.cast_mut(), Ordering::Release);
    }
}

/// The code behind a symbol.
///
/// The form with the thread's own default stream is the plain one: work is done in the order of the
/// calls, which is an order that either allows.
fn code_of(symbol: &str) -> *const () {
    let plain = symbol.strip_suffix("_ptds").or_else(|| symbol.strip_suffix("_ptsz"));
    let plain = plain.unwrap_or(symbol);
    let named = |wanted: &str| {
        let all = OFFERED.iter().flat_map(|calls| calls.iter());
        all.into_iter().find(|call| call.symbol == wanted).map(|call| call.code)
    };
    let newer = || SAME_AS_SECOND.contains(&plain).then(|| named(&format!("{plain}_v2"))).flatten();
    let absent =
        if symbol.starts_with("nvml") { nvml::absent as *const () } else { absent as *const () };
    named(plain).or_else(newer).unwrap_or(absent)
}

/// A function that is not offered.
extern "C" fn absent() -> u32 {
    crate::outcome::NOT_SUPPORTED.0
}

/// The address that a program gets for a symbol: the same as by asking the loader.
pub(crate) fn address(symbol: &str) -> Option<usize> {
    let index = SYMBOLS.iter().position(|(known, _)| *known == symbol)?;
    Some(EXPORTED[index] as usize)
}

/// Keeps the registers that hold arguments, has the call noted, and goes on to the function, or
/// back with the number that [`watch::seen`] returns.
#[unsafe(naked)]
unsafe extern "C" fn watched() {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "sub rsp, 192",
        "mov [rsp], rdi",
        "mov [rsp + 8], rsi",
        "mov [rsp + 16], rdx",
        "mov [rsp + 24], rcx",
        "mov [rsp + 32], r8",
        "mov [rsp + 40], r9",
        "mov [rsp + 48], rax",
        "mov [rsp + 56], r11",
        "movups [rsp + 64], xmm0",
        "movups [rsp + 80], xmm1",
        "movups [rsp + 96], xmm2",
        "movups [rsp + 112], xmm3",
        "movups [rsp + 128], xmm4",
        "movups [rsp + 144], xmm5",
        "movups [rsp + 160], xmm6",
        "movups [rsp + 176], xmm7",
        "mov edi, r11d",
        "mov rsi, rsp",
        "lea rdx, [rbp + 16]",
        "call {seen}",
        "mov r10, rax",
        "mov rdi, [rsp]",
        "mov rsi, [rsp + 8]",
        "mov rdx, [rsp + 16]",
        "mov rcx, [rsp + 24]",
        "mov r8, [rsp + 32]",
        "mov r9, [rsp + 40]",
        "mov rax, [rsp + 48]",
        "mov r11, [rsp + 56]",
        "movups xmm0, [rsp + 64]",
        "movups xmm1, [rsp + 80]",
        "movups xmm2, [rsp + 96]",
        "movups xmm3, [rsp + 112]",
        "movups xmm4, [rsp + 128]",
        "movups xmm5, [rsp + 144]",
        "movups xmm6, [rsp + 160]",
        "movups xmm7, [rsp + 176]",
        "leave",
        "cmp r10, {go_on}",
        "jne 2f",
        "lea r10, [rip + {targets}]",
        "jmp qword ptr [r10 + 8 * r11]",
        "2:",
        "mov eax, r10d",
        "ret",
        seen = sym watch::seen,
        targets = sym TARGETS,
        go_on = const watch::GO_ON,
    )
}
