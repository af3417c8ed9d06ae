//! The programs that see whether our library answers under the driver's names, before the command.
//!
//! Each is a few hundred bytes that the loader of the run's own file system loads as it loads the
//! run's programs, with their environment: it asks for one of the two names, and for one symbol
//! that our library alone exports. So it ends with the layout that the library says, where that is
//! what answers and loads there; where something else answers, or the library needs a newer C
//! library than there is, the loader says so and the program does not run.
//!
//! Written byte by byte, since nothing that is compiled would be as sure to run everywhere: an
//! executable of two pages (System V ABI, x86-64 supplement), that links to nothing else.

use super::driver::{DRIVER, MANAGEMENT};
use weft_cuda_abi::mark;

/// The programs' names, the library that each asks for, and what it does with it.
pub(super) const NAMES: [(&str, &str, Asks); 3] = [
    ("check-driver", DRIVER, Asks::Layout),
    ("check-management", MANAGEMENT, Asks::Layout),
    (TRY_MPS, DRIVER, Asks::Mps),
];

/// The program that is for runs which MPS serves alone.
pub(super) const TRY_MPS: &str = "check-mps";

/// What a program asks of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// Which layout its mark says.
    Layout,
    /// Whether MPS serves the process and keeps its limit: the library tries it.
    Mps,
}

impl Asks {
    fn symbol(self) -> &'static str {
        match self {
            Asks::Layout => mark::NAME,
            Asks::Mps => mark::TRY_MPS,
        }
    }

    /// What the symbol is: an object, or a function.
    fn sort(self) -> u8 {
        match self {
            Asks::Layout => 1,
            Asks::Mps => 2,
        }
    }
}

/// The loader of programs for x86-64.
const LOADER: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";
/// Where it stands in memory: where executables do.
const BASE: u64 = 0x40_0000;
const PAGE: u64 = 0x1000;
/// Sizes of the format's parts.
const HEAD: u64 = 64;
const SEGMENT: u64 = 56;
const SYMBOL: u64 = 24;
const RELOCATION: u64 = 24;

/// The program that asks a library.
pub(super) fn program(library: &str, asks: Asks) -> Vec<u8> {
    let segments = 5;
    let mut names = vec![0];
    let library_at = add_text(&mut names, library);
    let symbol_at = add_text(&mut names, asks.symbol());
    // One after the other in the first page: what is only read, and the code.
    let loader = HEAD + segments * SEGMENT;
    let texts = loader + LOADER.len() as u64;
    let symbols = (texts + names.len() as u64).next_multiple_of(8);
    let relocations = symbols + 2 * SYMBOL;
    let code = relocations + RELOCATION;
    let code_end = code + code_bytes(asks, 0).len() as u64;
    // In the second what the loader writes: its table, and the address of the symbol.
    let table_at = code_end.next_multiple_of(16);
    let table = [
        (1, library_at),          // NEEDED
        (5, BASE + texts),        // STRTAB
        (10, names.len() as u64), // STRSZ
        (6, BASE + symbols),      // SYMTAB
        (11, SYMBOL),             // SYMENT
        (7, BASE + relocations),  // RELA
        (8, RELOCATION),          // RELASZ
        (9, RELOCATION),          // RELAENT
        (21, 0),                  // DEBUG
        (24, 0),                  // BIND_NOW
        (0, 0),
    ];
    let table_bytes = table.len() as u64 * 16;
    let address = BASE + PAGE + table_at + table_bytes;

    let mut file = head(BASE + code, segments);
    let at = |at: u64| [at, BASE + at, BASE + at];
    let second = |at: u64| [at, BASE + PAGE + at, BASE + PAGE + at];
    let loader_bytes = LOADER.len() as u64;
    segment(&mut file, 3, READ, at(loader), loader_bytes, 1);
    segment(&mut file, 1, READ | RUN, at(0), code_end, PAGE);
    segment(&mut file, 1, READ | WRITE, second(table_at), table_bytes + 8, PAGE);
    segment(&mut file, 2, READ | WRITE, second(table_at), table_bytes, 8);
    segment(&mut file, 0x6474_e551, READ | WRITE, [0; 3], 0, 16); // GNU_STACK: no code on it.
    file.extend_from_slice(LOADER);
    file.extend_from_slice(&names);
    file.resize((symbols + SYMBOL) as usize, 0);
    // The symbol: global, an object or a function, defined elsewhere.
    file.extend((symbol_at as u32).to_le_bytes());
    file.extend([1 << 4 | asks.sort(), 0, 0, 0]);
    file.resize(relocations as usize, 0);
    // Its address is put there: GLOB_DAT, the first symbol.
    for word in [address, 1 << 32 | 6, 0] {
        file.extend(word.to_le_bytes());
    }
    let next = BASE + code + AFTER_LOAD;
    file.extend(code_bytes(asks, (address - next) as u32));
    file.resize(table_at as usize, 0);
    for (tag, value) in table {
        file.extend(u64::to_le_bytes(tag));
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 8]);
    file
}

/// What may be done with a part of memory.
const RUN: u32 = 1;
const WRITE: u32 = 2;
const READ: u32 = 4;

/// Bytes of the code's first instruction, from whose end it counts.
const AFTER_LOAD: u64 = 7;

/// With what a check ends where the library of this build answers.
pub(crate) const fn answer() -> i32 {
    mark::answer()
}

/// Ends with the layout that stands in the library's mark and [`mark::ANSWERS`], or with what the
/// library's function answers: the stack is as a call wants it when a program begins.
fn code_bytes(asks: Asks, address_from_next: u32) -> Vec<u8> {
    let [a, b, c, d] = address_from_next.to_le_bytes();
    let mut code = vec![0x48, 0x8b, 0x05, a, b, c, d]; // mov rax, [rip + address]
    match asks {
        Asks::Layout => {
            code.extend([0x8b, 0x78, mark::LAYOUT_AT as u8]); // mov edi, [rax + LAYOUT_AT]
            code.extend([0x83, 0xcf, mark::ANSWERS as u8]); // or edi, ANSWERS
        }
        Asks::Mps => code.extend([0xff, 0xd0, 0x89, 0xc7]), // call rax; mov edi, eax
    }
    code.extend([0xb8, 231, 0, 0, 0]); // mov eax, exit_group
    code.extend([0x0f, 0x05]); // syscall
    code
}

fn head(entry: u64, segments: u64) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]); // an executable, for x86-64
    file.extend(entry.to_le_bytes());
    file.extend(HEAD.to_le_bytes());
    file.extend([0; 12]); // no sections, no flags
    for half in [HEAD as u16, SEGMENT as u16, segments as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    file
}

fn segment(file: &mut Vec<u8>, kind: u32, flags: u32, at: [u64; 3], bytes: u64, align: u64) {
    file.extend(kind.to_le_bytes());
    file.extend(flags.to_le_bytes());
    for word in at.into_iter().chain([bytes, bytes, align]) {
        file.extend(word.to_le_bytes());
    }
}

fn add_text(names: &mut Vec<u8>, text: &str) -> u64 {
    let at = names.len() as u64;
    names.extend(text.bytes());
    names.push(0);
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Output};

    /// Runs the program that asks a name's library, with a folder in which the loader looks first.
    fn run(name: &str, asks: Asks, folder: &std::path::Path) -> Output {
        let program = folder.join("check");
        // Written by another process: one that this test forks meanwhile would keep it open, and
        // a file that is open for writing does not run.
        let parts = folder.join("parts");
        fs::write(&parts, super::program(name, asks)).unwrap();
        let copied = Command::new("cp").arg(&parts).arg(&program).status().unwrap();
        assert!(copied.success());
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Command::new(&program).env("LD_LIBRARY_PATH", folder).output().unwrap()
    }

    #[test]
    fn it_ends_with_the_layout_of_the_library_that_answers() {
        let test = std::env::current_exe().unwrap();
        let shim = test.with_file_name("libweft_cuda_shim.so");
        let folder = tempfile::tempdir().unwrap();
        for (_, name, asks) in NAMES.into_iter().filter(|(.., asks)| *asks == Asks::Layout) {
            let none = run(name, asks, folder.path());
            let said = String::from_utf8_lossy(&none.stderr).into_owned();
            assert!(none.status.code() == Some(127) && said.contains(name), "{none:?}");
            std::os::unix::fs::symlink(&shim, folder.path().join(name)).unwrap();
            let found = run(name, asks, folder.path());
            assert_eq!(found.status.code(), Some(answer()), "{found:?}");
        }
        // It is called, and says what is missing: there is no driver behind it here.
        let tried = run(DRIVER, Asks::Mps, folder.path());
        let said = String::from_utf8_lossy(&tried.stderr).into_owned();
        assert!(tried.status.code() == Some(1) && said == "cuInit answered 100\n", "{tried:?}");
    }

    #[test]
    fn another_library_of_the_name_does_not_answer() {
        let folder = tempfile::tempdir().unwrap();
        let libc = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
        let other = libc.iter().find(|path| std::path::Path::new(path).exists()).unwrap();
        std::os::unix::fs::symlink(other, folder.path().join(DRIVER)).unwrap();
        let refused = run(DRIVER, Asks::Layout, folder.path());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(127) && said.contains(mark::NAME), "{refused:?}");
    }
}
