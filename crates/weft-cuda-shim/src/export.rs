//! The exported symbols, and the table they jump through.
//!
//! The table is filled when the library is loaded, before anybody can call: with hooks, and with
//! the true driver's code where there is none.

use crate::hook::Hook;
use crate::{
    code, context, graph, mapped, memory, moved, paced, pool, resolve, shared, tenant, truth, view,
};
use std::arch::naked_asm;
use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// One jump through the table.
macro_rules! export {
    ($symbol:ident, $place:literal) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol() {
            naked_asm!(
                "jmp qword ptr [rip + {table} + 8 * {place}]",
                table = sym TABLE,
                place = const $place
            )
        }
    };
}

/// Counts, then jumps; all arguments stay where they are.
macro_rules! launch {
    ($symbol:ident, $place:literal) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol() {
            naked_asm!(
                "mov r11, qword ptr [rip + {counter}]",
                "lock inc qword ptr [r11]",
                "jmp qword ptr [rip + {table} + 8 * {place}]",
                counter = sym LAUNCHES,
                table = sym TABLE,
                place = const $place
            )
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/exports.rs"));

/// Where each export jumps.
static TABLE: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(std::ptr::null_mut()) }; COUNT];

/// What launches count in: this process's word in the ledger; before it has one, [`NOWHERE`].
pub(crate) static LAUNCHES: AtomicPtr<AtomicU64> =
    AtomicPtr::new(std::ptr::addr_of!(NOWHERE).cast_mut());

static NOWHERE: AtomicU64 = AtomicU64::new(0);

/// Every hook.
const HOOKS: &[&[Hook]] = &[
    code::HOOKS,
    context::HOOKS,
    graph::HOOKS,
    mapped::HOOKS,
    memory::HOOKS,
    moved::HOOKS,
    pool::HOOKS,
    resolve::HOOKS,
    shared::HOOKS,
    tenant::HOOKS,
    view::HOOKS,
];

#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

/// Opens the true libraries and fills the table. Runs once, when the library is loaded.
extern "C" fn loaded() {
    crate::mps::keep();
    truth::open();
    for (place, slot) in TABLE.iter().enumerate() {
        slot.store(truth::code_or_absent(place).cast_mut(), Ordering::Release);
    }
    let paced = if tenant::is_paced() { paced::HOOKS } else { &[] };
    for hook in every_hook().chain(paced) {
        TABLE[hook.place].store(hook.code.cast_mut(), Ordering::Release);
    }
    let _ = STAND_INS.set(stand_ins());
}

/// From now on launches of graphs are looked at, also where none of them is paced: until then they
/// go straight to the driver.
pub(crate) fn look_at_graphs() {
    if !tenant::is_paced() {
        for hook in graph::launches::HOOKS {
            TABLE[hook.place].store(hook.code.cast_mut(), Ordering::Release);
        }
    }
}

fn every_hook() -> impl Iterator<Item = &'static Hook> {
    HOOKS.iter().flat_map(|hooks| hooks.iter())
}

/// By the address of the true driver: the export of the same symbol, where that does more than
/// jump. Programs ask for thousands of functions when they start, so it is looked up by halves.
static STAND_INS: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

fn stand_ins() -> Vec<(usize, usize)> {
    let hooked = every_hook().map(|hook| hook.place);
    let counted = (0..COUNT).filter(|place| LAUNCH[*place]);
    let pair = |place: usize| Some((truth::code(place)? as usize, EXPORTED[place] as usize));
    let mut all: Vec<_> = hooked.chain(counted).filter_map(pair).collect();
    all.sort_unstable();
    // Where the driver has one function for several symbols, one stands for them.
    all.dedup_by_key(|(code, _)| *code);
    all
}

/// What a program gets in the place of an address of the true driver.
pub(crate) fn stand_in(code: usize) -> usize {
    let all = STAND_INS.get().map_or(&[][..], Vec::as_slice);
    let found = all.binary_search_by_key(&code, |(code, _)| *code);
    found.map_or(code, |at| all[at].1)
}
