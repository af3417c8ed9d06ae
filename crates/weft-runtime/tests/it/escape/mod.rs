//! Attempts to get out of the sandbox or to take more than was given, one test each.
//!
//! Every attack is made for real by a program inside, and prints `ESCAPED` when it has the
//! effect it is after, else what stopped it. A script with an error in it ends with a traceback
//! and an exit code, which no test accepts: each test can fail.

mod files;
mod kernel;
mod neighbours;
mod network;
mod resources;

use crate::support::{Machine, Ran, python};

/// What every attack has at hand: system calls by number, and a verdict.
pub(crate) const PRELUDE: &str = r#"
import ctypes, errno, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def syscall(nr, *args):
    args = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    got = libc.syscall(ctypes.c_long(nr), *args)
    if got == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
def attempt(attack):
    try:
        got = attack()
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print('ESCAPED', got)
def write(path, text):
    with open(path, 'w') as file:
        file.write(text)
def read(path):
    with open(path, 'rb') as file:
        return file.read(4096)
"#;

/// Runs an attack and gives what it left.
pub(crate) async fn attack(script: &str) -> Ran {
    Machine::new().run(&python(&format!("{PRELUDE}\n{script}"))).await
}

/// Compares line by line; `|` separates what different kernels say to the same refusal.
#[track_caller]
pub(crate) fn expect(ran: &Ran, wanted: &str) {
    let printed = ran.printed();
    let same = printed.lines().count() == wanted.lines().count()
        && printed.lines().zip(wanted.lines()).all(|(got, any)| any.split('|').any(|w| w == got));
    assert!(same, "printed:\n{printed}\nwanted:\n{wanted}");
}

/// `name: "what it must print", "attack"` — each its own test.
macro_rules! attempts {
    ($($(#[$doc:meta])* $name:ident: $wanted:literal, $script:literal;)*) => {$(
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            crate::escape::expect(&crate::escape::attack($script).await, $wanted);
        }
    )*};
}
pub(crate) use attempts;
