//! How a hook is declared: its symbols, its parameters, and what it does around the true function.

/// A hook, by the symbol it stands for.
pub(crate) struct Hook {
    /// Its place in the table.
    pub(crate) place: usize,
    /// Its code.
    pub(crate) code: *const (),
}

// SAFETY: an address of code, which is there as long as the process and never changes.
unsafe impl Sync for Hook {}

/// Declares hooks. Each has the symbols that are called alike; `$real` is the true function of the
/// symbol that was called. All are listed in `HOOKS`.
macro_rules! hooks {
    ($(
        $(#[$doc:meta])*
        [$($name:ident),+] ($($arg:ident: $type:ty),* $(,)?) |$real:ident| $body:block
    )*) => {
        /// The hooks of this file.
        pub(crate) const HOOKS: &[crate::hook::Hook] = &[$($(crate::hook::Hook {
            place: crate::export::place::$name,
            code: $name as *const (),
        }),+),*];
        $(hooks!(@each [$($name),+] ($($arg: $type),*) |$real| $body);)*
    };
    (@each [$name:ident $(, $rest:ident)*] $args:tt |$real:ident| $body:block) => {
        hooks!(@one $name $args |$real| $body);
        hooks!(@each [$($rest),*] $args |$real| $body);
    };
    (@each [] $args:tt |$real:ident| $body:block) => {};
    (@one $name:ident ($($arg:ident: $type:ty),*) |$real:ident| $body:block) => {
        #[expect(non_snake_case, reason = "the driver's name")]
        extern "C" fn $name($($arg: $type),*) -> u32 {
            let place = crate::export::place::$name;
            let Some(code) = crate::truth::code(place) else { return crate::truth::absent(place) };
            // SAFETY: the true function of this symbol, which is called like this hook.
            let $real: extern "C" fn($($type),*) -> u32 = unsafe { std::mem::transmute(code) };
            $body
        }
    };
}
