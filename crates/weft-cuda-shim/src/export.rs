//! The exported symbols, and the table they jump through.
//!
//! The table is filled when the library is loaded, before anybody can call: with hooks, and with
//! the true driver's code where there is none.

use crate::hook::Hook;
use crate::{
    code, context, mapped, memory, moved, paced, pool, resolve, shared, tenant, truth, view,
};
use std::arch::naked_asm;
use std::ffi::CStr;
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
    truth::open();
    let paced = if tenant::is_paced() { paced::HOOKS } else { &[] };
    for (place, slot) in TABLE.iter().enumerate() {
        let all = HOOKS.iter().flat_map(|hooks| hooks.iter()).chain(paced);
        let hook = all.into_iter().find(|hook| hook.place == place);
        let code = hook.map_or_else(|| truth::code_or_absent(place), |hook| hook.code);
        slot.store(code.cast_mut(), Ordering::Release);
    }
}

/// Whether a symbol is more than a jump to the true driver.
fn is_watched(place: usize) -> bool {
    let hooked = HOOKS.iter().flat_map(|hooks| hooks.iter()).any(|hook| hook.place == place);
    let counted = SYMBOLS[place].to_str().map(weft_cuda_abi::class_of);
    hooked || counted == Ok(weft_cuda_abi::Class::Launch)
}

/// What a program gets in the place of an address of the true driver: the export of the same
/// symbol where that does more than jump, else the address itself.
pub(crate) fn stand_in(code: usize) -> usize {
    let mut same = (0..COUNT).filter(|place| truth::code(*place).map(|c| c as usize) == Some(code));
    same.find(|place| is_watched(*place)).map_or(code, |place| EXPORTED[place] as usize)
}
