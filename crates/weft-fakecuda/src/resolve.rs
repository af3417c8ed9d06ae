//! How programs find functions: `cuGetProcAddress`, and tables that no header describes.
//!
//! The runtime library and those built on it ask for tables by a number of sixteen bytes. Which
//! places of them are called, and which tables may be refused, was found by running unmodified
//! libraries. The one called the integrity check has the runtime convinced that nobody stands
//! between it and its driver; the stand-in is the driver, and answers for itself.

use crate::call::{In, Out, Text};
use crate::context::{local, primary};
use crate::device::device;
use crate::driver::driver;
use crate::export::address;
use crate::outcome::{INVALID_VALUE, NOT_FOUND, Outcome};
use md2::{Digest, Md2};
use std::panic::catch_unwind;
use weft_cuda_abi::{DefaultStream, answer};

/// What a question for a name comes to, by the public header's numbers.
const FOUND: u32 = 0;
const NO_SUCH_NAME: u32 = 1;
const VERSION_TOO_OLD: u32 = 2;

/// The address of a name at a version.
fn find(name: Text, version: i32, flags: u64) -> Result<usize, u32> {
    let name = name.text().map_err(|_| NO_SUCH_NAME)?;
    let version = u32::try_from(version).unwrap_or(0).min(crate::watch::settings().version);
    let stream = if flags & 2 == 0 { DefaultStream::Legacy } else { DefaultStream::Thread };
    let Some(revision) = answer(name, version, stream) else {
        let later = answer(name, u32::MAX, stream).is_some();
        return Err(if later { VERSION_TOO_OLD } else { NO_SUCH_NAME });
    };
    address(revision.symbol).ok_or(NO_SUCH_NAME)
}

fn resolve(name: Text, out: Out<usize>, version: i32, flags: u64, status: Out<u32>) -> Outcome {
    if flags > 2 {
        return Err(INVALID_VALUE);
    }
    let found = find(name, version, flags);
    out.put(found.unwrap_or(0))?;
    status.offer(found.err().unwrap_or(FOUND));
    found.map(drop).map_err(|_| NOT_FOUND)
}

calls! {
    fn cuGetProcAddress(name: Text, out: Out<usize>, version: i32, flags: u64) {
        let mut status = FOUND;
        resolve(name, out, version, flags, Out::to(&mut status))
    }

    fn cuGetProcAddress_v2(
        name: Text,
        out: Out<usize>,
        version: i32,
        flags: u64,
        status: Out<u32>,
    ) {
        resolve(name, out, version, flags, status)
    }

    fn cuGetExportTable(out: Out<usize>, which: In<[u8; 16]>) {
        let which = which.get()?;
        let table = TABLES.iter().find(|(number, _)| *number == which).ok_or(NOT_FOUND)?;
        out.put(table.1.0.as_ptr() as usize)
    }
}

/// Addresses of functions; the first place of most is the size in bytes.
struct Table(&'static [*const ()]);

// SAFETY: addresses of code and small numbers, which never change.
unsafe impl Sync for Table {}

const NONE: *const () = std::ptr::null();

/// A number in a place where others have an address.
const fn size(places: usize) -> *const () {
    std::ptr::without_provenance(places * size_of::<usize>())
}

/// A function that does nothing and says that it went well.
extern "C" fn nothing() -> u32 {
    0
}

const NOTHING: *const () = nothing as *const ();

static RUNTIME: Table = Table(&[
    size(13),
    module_of as *const (),
    primary_of as *const (),
    NONE,
    NONE,
    NONE,
    module_of as *const (),
    NOTHING,
    module_of_image as *const (),
    NOTHING,
    NONE,
    NONE,
    NOTHING,
]);

static HOOKS: Table = Table(&[
    size(7),
    NONE,
    first_buffer as *const (),
    NONE,
    NONE,
    NONE,
    second_buffer as *const (),
]);

static TOOLS: Table = Table(&[size(4), NOTHING, NOTHING, NOTHING]);

static LOCAL: Table =
    Table(&[local::put as *const (), local::delete as *const (), local::get as *const (), NONE]);

static INTEGRITY: Table = Table(&[size(3), check as *const (), NONE]);

static CHECKS: Table = Table(&[size(4), NOTHING, NOTHING, NOTHING]);

/// Two tables without a known name, of which some places are called and nothing is expected.
static UNNAMED: Table = Table(&{
    let mut places = [NOTHING; 64];
    places[0] = size(64);
    places
});

/// Modules as tools see them; cuFFT finds the one function of each of its own so.
static MODULES: Table = Table(&{
    let mut places = [NOTHING; 64];
    places[0] = size(64);
    places[7] = each_function as *const ();
    places
});

/// The tables by their numbers; all others are refused.
static TABLES: &[([u8; 16], &Table)] = &[
    (*b"\x6b\xd5\xfb\x6c\x5b\xf4\xe7\x4a\x89\x87\xd9\x39\x12\xfd\x9d\xf9", &RUNTIME),
    (*b"\xa0\x94\x79\x8c\x2e\x74\x2e\x74\x93\xf2\x08\x00\x20\x0c\x0a\x66", &HOOKS),
    (*b"\x42\xd8\x5a\x81\x23\xf6\xcb\x47\x82\x98\xf6\xe7\x8a\x3a\xec\xdc", &TOOLS),
    (*b"\xc6\x93\x33\x6e\x11\x21\xdf\x11\xa8\xc3\x68\xf3\x55\xd8\x95\x93", &LOCAL),
    (*b"\xd4\x08\x20\x55\xbd\xe6\x70\x4b\x8d\x34\xba\x12\x3c\x66\xe1\xf2", &INTEGRITY),
    (*b"\x26\x3e\x88\x60\x7c\xd2\x61\x43\x92\xf6\xbb\xd5\x00\x6d\xfa\x7e", &CHECKS),
    (*b"\x21\x31\x8c\x60\x97\x14\x32\x48\x8c\xa6\x41\xff\x73\x24\xc8\xf2", &UNNAMED),
    (*b"\x6e\x16\x3f\xbe\xb9\x58\x44\x4d\x83\x5c\xe1\x82\xaf\xf1\x99\x1e", &MODULES),
    (*b"\x17\x34\xdc\x26\x80\x0d\x47\x45\x87\x26\xc0\xf1\xe7\xdd\x8b\xca", &UNNAMED),
];

extern "C" fn primary_of(out: Out<u64>, number: i32) -> u32 {
    crate::call::number(|| {
        device(number)?;
        out.put(primary(number, false)?)
    })
}

/// Calls back with each function of a module; answers how many there are.
extern "C" fn each_function(
    _context: u64,
    module: u64,
    call: Option<extern "C" fn(usize, u64, u64)>,
    data: usize,
) -> u64 {
    let Some(call) = call else { return 0 };
    let all = catch_unwind(|| crate::code::functions(module).unwrap_or_default());
    let all = all.unwrap_or_default();
    // Without the lock: whoever is called may call.
    all.iter().for_each(|function| call(data, *function, module));
    all.len() as u64
}

extern "C" fn module_of(out: Out<u64>, image: In<u8>) -> u32 {
    crate::call::number(|| crate::code::load_hidden(out, image))
}

extern "C" fn module_of_image(image: In<u8>, out: Out<u64>) -> u32 {
    module_of(out, image)
}

/// Room that the runtime library keeps its hooks in.
struct Buffer(std::cell::UnsafeCell<[u8; BUFFER]>);

/// More than any runtime was seen to use.
const BUFFER: usize = 4096;

// SAFETY: handed out as an address; the runtime library alone reads and writes it.
unsafe impl Sync for Buffer {}

static FIRST: Buffer = Buffer(std::cell::UnsafeCell::new([0; BUFFER]));
static SECOND: Buffer = Buffer(std::cell::UnsafeCell::new([0; BUFFER]));

extern "C" fn first_buffer(at: Out<usize>, bytes: Out<usize>) {
    at.offer(FIRST.0.get() as usize);
    bytes.offer(BUFFER);
}

extern "C" fn second_buffer(at: Out<usize>, bytes: Out<usize>) {
    at.offer(SECOND.0.get() as usize);
    bytes.offer(BUFFER);
}

/// The key of the check.
const KEY: [u8; 16] = [
    0x14, 0x6a, 0xdd, 0xae, 0x53, 0xa9, 0xa7, 0x52, 0xaa, 0x08, 0x41, 0x36, 0x0b, 0xf5, 0x5a, 0x9f,
];

/// Answers for a version and a second of time: two words that are known for versions that end with
/// 0 and 1, else a keyed digest of the process, the tables and the devices.
extern "C" fn check(version: u32, seconds: u64, out: Out<[u8; 16]>) -> u32 {
    crate::call::number(|| {
        let known = |first: u64| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&first.to_le_bytes());
            bytes[8..].copy_from_slice(&0x8ed3_83aa_1f4c_d1e8_u64.to_le_bytes());
            bytes
        };
        out.put(match version % 10 {
            0 => known(0x3341_181c_03cb_675c),
            1 => known(0x1841_181c_03cb_675c),
            _ => keyed(&claims(version, seconds)?),
        })
    })
}

/// What the digest is of.
fn claims(version: u32, seconds: u64) -> Outcome<Vec<u8>> {
    let driver = driver()?;
    // SAFETY: it only reads who the calling thread is.
    let thread = unsafe { pthread_self() };
    let mut bytes = Vec::new();
    for word in [driver.settings.version, version, std::process::id(), thread as u32] {
        bytes.extend(word.to_le_bytes());
    }
    for place in [RUNTIME.0.as_ptr() as u64, INTEGRITY.0.as_ptr() as u64, check as *const () as u64]
    {
        bytes.extend(place.to_le_bytes());
    }
    bytes.extend(seconds.to_le_bytes());
    for device in driver.devices {
        bytes.extend(device.uuid);
        for word in [0, device.bus, 0] {
            bytes.extend(word.to_le_bytes());
        }
    }
    Ok(bytes)
}

unsafe extern "C" {
    fn pthread_self() -> usize;
}

/// HMAC (RFC 2104) with MD2, whose block is as long as its digest.
fn keyed(message: &[u8]) -> [u8; 16] {
    let pad = |with: u8| KEY.map(|byte| byte ^ with);
    let inner = Md2::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Md2::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}
