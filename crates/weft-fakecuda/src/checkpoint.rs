//! Suspending a process: its memory leaves the devices, and comes back.
//!
//! `WEFT_FAKECUDA` arms it with the word `checkpoint=on`. A process is asked by its number, its
//! own or another's: each that has initialised the driver waits for such questions in a thread of
//! its own, at a socket of the network's name space, so whoever shares that and its user may ask.
//!
//! What is refused is what hardware is reported to refuse: clients of MPS, devices in MIG mode,
//! managed memory. A process that has opened another's memory is checkpointed and never comes
//! back, as is reported. Absent: the caller's own storage, and restoring onto another device.

use crate::call::{In, Out};
use crate::driver::{State, driver, with};
use crate::gate::{self, Stage};
use crate::memory::Kind;
use crate::outcome::{
    Code, INVALID_VALUE, NOT_INITIALIZED, NOT_SUPPORTED, OUT_OF_MEMORY, Outcome, UNKNOWN,
};
use rustix::fs::{FallocateFlags, FileType, SeekFrom, fallocate, fstat, seek};
use rustix::io::{Errno, pread, pwrite};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Mutex, PoisonError};

/// What the sockets' names begin with; the process's number stands behind.
const NAME: &str = "weft-fakecuda-checkpoint-";

/// Words of the structures of arguments: 64 bytes each.
const WORDS: usize = 8;

/// A part of a device's memory that was written, by its place in the file.
struct Extent {
    at: u64,
    bytes: Vec<u8>,
}

/// What is kept of a process while its devices have none of it.
struct Kept {
    /// Bytes of each device.
    used: Vec<u64>,
    /// What stood in each file, in the order in which [`files`] gives them.
    files: Vec<Vec<Extent>>,
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

/// The number of the thread that answers others; none before `cuInit`.
static THREAD: Mutex<Option<i32>> = Mutex::new(None);

/// Lets others ask from now on. Called once, by `cuInit`.
pub(crate) fn begin() {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if !crate::watch::settings().checkpoint || thread.is_some() {
        return;
    }
    let Ok(name) = address(std::process::id()) else { return };
    let Ok(listener) = UnixListener::bind_addr(&name) else { return };
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        let _ = tell.send(own);
        listener.incoming().flatten().for_each(|caller| _ = serve(&caller));
    });
    *thread = told.recv().ok();
}

fn address(process: u32) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{NAME}{process}"))
}

/// Answers one question: a word and a number, then a result and a value.
fn serve(mut caller: &UnixStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(caller).read_line(&mut line)?;
    let (word, number) = line.trim().split_once(' ').unwrap_or_default();
    let mut value = 0;
    let outcome = own(word, number.parse().unwrap_or(0)).map(|found| value = found);
    writeln!(caller, "{} {value}", outcome.err().map_or(0, |code| code.0))
}

/// Does to this process what is asked.
fn own(what: &str, number: u32) -> Outcome<u32> {
    let done = match what {
        "state" => return Ok(gate::stage() as u32),
        "lock" if crate::mps::is_client() => Err(NOT_SUPPORTED),
        "lock" => gate::lock(number),
        "checkpoint" => gate::pass_on(Stage::Locked, Stage::Checkpointed, checkpoint),
        "restore" => gate::pass_on(Stage::Checkpointed, Stage::Locked, restore),
        "unlock" => gate::pass_on(Stage::Locked, Stage::Running, || Ok(())),
        "thread" => {
            let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
            return thread.map(i32::cast_unsigned).ok_or(NOT_INITIALIZED);
        }
        _ => Err(INVALID_VALUE),
    };
    done.map(|()| 0)
}

/// Asks a process, this one or another.
fn ask(process: i32, what: &str, number: u32) -> Outcome<u32> {
    if !crate::watch::settings().checkpoint {
        return Err(NOT_SUPPORTED);
    }
    let process = u32::try_from(process).map_err(|_| INVALID_VALUE)?;
    if process == std::process::id() {
        driver()?;
        return own(what, number);
    }
    let asked = || -> std::io::Result<String> {
        let mut answer = String::new();
        let mut other = UnixStream::connect_addr(&address(process)?)?;
        writeln!(other, "{what} {number}")?;
        BufReader::new(other).read_line(&mut answer)?;
        Ok(answer)
    };
    // Nobody is there who has initialised the driver.
    let answer = asked().map_err(|_| INVALID_VALUE)?;
    let (code, value) = answer.trim().split_once(' ').ok_or(UNKNOWN)?;
    match code.parse().map_err(|_| UNKNOWN)? {
        0 => value.parse().map_err(|_| UNKNOWN),
        code => Err(Code(code)),
    }
}

/// Every file with memory of this process on devices.
fn files<T>(state: &State, each: impl FnMut(BorrowedFd<'_>) -> T) -> Vec<T> {
    let arenas = state.arenas.iter().flatten().map(|arena| arena.file().as_fd());
    let own = state.physical.iter().filter(|(_, physical)| physical.is_own());
    arenas.chain(own.map(|(_, physical)| physical.file().as_fd())).map(each).collect()
}

/// Takes all of this process's memory off the devices. Where it is refused the process stays
/// locked.
fn checkpoint() -> Result<(), (Stage, Code)> {
    let kept = with(|state| {
        let on_mig = |(_, context): (u64, &crate::context::Context)| {
            driver().is_ok_and(|driver| driver.devices[context.device as usize].mig)
        };
        if state.contexts.iter().any(on_mig) {
            return Err(OUT_OF_MEMORY);
        }
        if state.blocks.values().any(|block| block.kind == Kind::Managed) {
            return Err(NOT_SUPPORTED);
        }
        if files(state, is_file).contains(&false) {
            return Err(NOT_SUPPORTED);
        }
        let files: Outcome<Vec<_>> = files(state, take_out).into_iter().collect();
        let neighbour = driver()?.settings.neighbour;
        let used = state.used.iter_mut().map(|used| std::mem::replace(used, neighbour));
        let used = used.collect();
        Ok(files.map(|files| Kept { used, files }))
    });
    // What is lost on the way is not brought back by anybody.
    let kept = kept.map_err(|code| (Stage::Locked, code))?.map_err(|code| (Stage::Failed, code))?;
    *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    Ok(())
}

/// Brings it back. Where the devices have no room it stays checkpointed.
fn restore() -> Result<(), (Stage, Code)> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let result = with(|state| {
        let opened = state.blocks.values().any(|block| block.kind == Kind::Opened);
        if opened || state.physical.iter().any(|(_, physical)| !physical.is_own()) {
            return Ok(Err((Stage::Failed, INVALID_VALUE)));
        }
        let Some(it) = kept.as_ref() else { return Err(UNKNOWN) };
        let mut contents = it.files.iter();
        let written =
            files(state, |file| put_back(file, contents.next().map_or(&[], Vec::as_slice)));
        written.into_iter().collect::<Outcome<Vec<()>>>()?;
        state.used.clone_from(&it.used);
        Ok(Ok(()))
    });
    result.map_err(|code| (Stage::Checkpointed, code))??;
    *kept = None;
    Ok(())
}

/// Whether memory is in a file that can be emptied: a process that may make none has it elsewhere.
fn is_file(file: BorrowedFd<'_>) -> bool {
    fstat(file).is_ok_and(|about| FileType::from_raw_mode(about.st_mode).is_file())
}

/// What was written of a file; nothing of it is left there.
fn take_out(file: BorrowedFd<'_>) -> Outcome<Vec<Extent>> {
    let (mut found, mut at) = (Vec::new(), 0);
    loop {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(_) => return Err(UNKNOWN),
        };
        let end = seek(file, SeekFrom::Hole(start)).map_err(|_| UNKNOWN)?;
        let mut bytes = vec![0; (end - start) as usize];
        let mut read = 0;
        while read < bytes.len() {
            let more = pread(file, &mut bytes[read..], start + read as u64);
            read += more.ok().filter(|more| *more > 0).ok_or(UNKNOWN)?;
        }
        found.push(Extent { at: start, bytes });
        at = end;
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for extent in &found {
        let length = extent.bytes.len() as u64;
        fallocate(file, flags, extent.at, length).map_err(|_| UNKNOWN)?;
    }
    Ok(found)
}

fn put_back(file: BorrowedFd<'_>, contents: &[Extent]) -> Outcome {
    for Extent { at, bytes } in contents {
        let mut written = 0;
        while written < bytes.len() {
            let more = pwrite(file, &bytes[written..], at + written as u64);
            written += more.ok().filter(|more| *more > 0).ok_or(OUT_OF_MEMORY)?;
        }
    }
    Ok(())
}

/// The words of a structure of arguments; none where the caller has none to give.
fn arguments(at: In<[u64; WORDS]>) -> Outcome<[u64; WORDS]> {
    if at.address() == 0 { Ok([0; WORDS]) } else { at.get() }
}

calls! {
    fn cuCheckpointProcessGetState(process: i32, state: Out<u32>) {
        state.put(ask(process, "state", 0)?)
    }

    fn cuCheckpointProcessGetRestoreThreadId(process: i32, thread: Out<i32>) {
        thread.put(ask(process, "thread", 0)?.cast_signed())
    }

    fn cuCheckpointProcessLock(process: i32, arguments_at: In<[u64; WORDS]>) {
        let [first, rest @ ..] = arguments(arguments_at)?;
        // The time is the lower half of the first word; all else must be zero.
        let milliseconds = u32::try_from(first).map_err(|_| INVALID_VALUE)?;
        if rest != [0; WORDS - 1] {
            return Err(INVALID_VALUE);
        }
        ask(process, "lock", milliseconds).map(drop)
    }

    fn cuCheckpointProcessCheckpoint(process: i32, arguments_at: In<[u64; WORDS]>) {
        if arguments(arguments_at)? != [0; WORDS] {
            return Err(NOT_SUPPORTED);
        }
        ask(process, "checkpoint", 0).map(drop)
    }

    fn cuCheckpointProcessRestore(process: i32, arguments_at: In<[u64; WORDS]>) {
        if arguments(arguments_at)? != [0; WORDS] {
            return Err(NOT_SUPPORTED);
        }
        ask(process, "restore", 0).map(drop)
    }

    fn cuCheckpointProcessUnlock(process: i32, arguments_at: In<[u64; WORDS]>) {
        if arguments(arguments_at)? != [0; WORDS] {
            return Err(INVALID_VALUE);
        }
        ask(process, "unlock", 0).map(drop)
    }
}
