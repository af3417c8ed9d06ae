//! The container's limits and its ledger, and this process's place in it.
//!
//! Both are mapped at the first call that needs them. What cannot be read gives no limit, and no
//! limit is zero.

use crate::export::LAUNCHES;
use crate::truth;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use weft_cuda_abi::ledger::{DEVICES_MAX, Ledger, Place, Process, Slot, System};
use weft_cuda_abi::limits::{self, Limit};
use weft_cuda_abi::rates;
use weft_cuda_abi::share::{Bucket, WHOLE};

/// A container, as one of its processes sees it.
struct Tenant {
    limits: Vec<Limit>,
    ledger: Option<&'static Ledger>,
    /// What the agent gives of what others leave, by device; none: the shares.
    rates: Option<&'static [AtomicU64; DEVICES_MAX]>,
    /// This process's place, and whose it is: after a fork, another's.
    place: Mutex<Option<(u32, Place)>>,
}

static TENANT: OnceLock<Tenant> = OnceLock::new();

fn tenant() -> &'static Tenant {
    TENANT.get_or_init(|| {
        let limits = path("limits").and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let limits = limits::read(&limits).collect();
        let ledger = map("ledger", size_of::<Ledger>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: mapped for as long as the process lives, page by page, so aligned; long enough,
        // and all access is by atomic words.
        let ledger = ledger.map(|at| unsafe { &*at.cast::<Ledger>() });
        let rates = map("rates", rates::BYTES, libc::PROT_READ);
        // SAFETY: as above.
        let rates = rates.map(|at| unsafe { &*at.cast::<[AtomicU64; DEVICES_MAX]>() });
        let ledger = ledger.filter(|ledger| ledger.is_ready());
        Tenant { limits, ledger, rates, place: Mutex::new(None) }
    })
}

fn path(name: &str) -> Option<std::path::PathBuf> {
    let path = truth::file(name)?;
    Some(std::ffi::OsStr::from_bytes(path.to_bytes()).into())
}

/// Maps a file of so many bytes, shared; none where it is not there or shorter.
fn map(name: &str, bytes: usize, access: i32) -> Option<*mut libc::c_void> {
    let writes = access & libc::PROT_WRITE != 0;
    let file = fs::OpenOptions::new().read(true).write(writes).open(path(name)?).ok()?;
    if file.metadata().ok()?.len() < bytes as u64 {
        return None;
    }
    let file = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: a fresh mapping of a file that is long enough.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, file, 0) };
    (at != libc::MAP_FAILED).then_some(at)
}

const SYSTEM: System = System { alive, pause };

fn alive(process: Process) -> bool {
    started(process.number).is_some_and(|started| started == process.started)
}

fn pause() {
    std::thread::sleep(std::time::Duration::from_micros(20));
}

/// When a process started, cut to 32 bits; none where there is no such process, or it has ended and
/// only waits to be asked how.
fn started(number: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // Behind the name, which may hold anything: the state, and as the twentieth, the start.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let over = matches!(*fields.first()?, "Z" | "X");
    let started: u64 = fields.get(19)?.parse().ok()?;
    (!over).then_some(started as u32)
}

/// What tells this program from those that the process was before: bytes that the kernel draws
/// whenever a process becomes a program, the same for every copy of the library in it.
fn program() -> u64 {
    // SAFETY: asks for an address that was given at the program's start.
    let at = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const u64;
    // SAFETY: sixteen bytes, there for as long as the program lives.
    if at.is_null() { 0 } else { unsafe { at.read_unaligned() } }
}

/// This process's place, joined when there is none yet.
fn place(ledger: &'static Ledger) -> Option<Place> {
    let number = std::process::id();
    let mut place = tenant().place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, place)) = (*place).filter(|(whose, _)| *whose == number) {
        return Some(place);
    }
    let joined = ledger.join(Process { number, started: started(number)? }, program(), &SYSTEM)?;
    *place = Some((number, joined));
    let launches: *const AtomicU64 = &raw const ledger.slot(joined).launches;
    LAUNCHES.store(launches.cast_mut(), Ordering::Release);
    SLOT.store(std::ptr::from_ref(ledger.slot(joined)).cast_mut(), Ordering::Release);
    Some(joined)
}

/// This process's counters; null before it has joined.
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// This process's counters; none before it has joined.
pub(crate) fn slot() -> Option<&'static Slot> {
    // SAFETY: null, or in the ledger, which is mapped for as long as the process lives.
    unsafe { SLOT.load(Ordering::Acquire).as_ref() }
}

/// The place of a device in the container's order, and its limit; none where there is none.
fn limit_of(uuid: &[u8; 16]) -> Option<(usize, &'static Limit)> {
    tenant().limits.iter().enumerate().find(|(_, limit)| limit.uuid == *uuid)
}

/// A device's identifier, by its number; asked once, so that whoever holds a lock asks nobody.
pub(crate) fn uuid(device: i32) -> Option<[u8; 16]> {
    static KNOWN: [OnceLock<[u8; 16]>; NUMBERS_MAX] = [const { OnceLock::new() }; NUMBERS_MAX];
    let known = usize::try_from(device).ok().and_then(|number| KNOWN.get(number))?;
    if let Some(known) = known.get() {
        return Some(*known);
    }
    let mut uuid = [0; 16];
    let found = truth::device_uuid(&raw mut uuid, device) == 0;
    found.then(|| *known.get_or_init(|| uuid))
}

/// Numbers that devices have at most: more than any machine has devices.
const NUMBERS_MAX: usize = 64;

/// Memory that the container may use of a device, and that it holds.
pub(crate) fn memory(uuid: &[u8; 16]) -> (u64, u64) {
    let Some((device, limit)) = limit_of(uuid) else { return (0, 0) };
    let held = tenant().ledger.map_or(limit.memory, |ledger| ledger.held(device));
    (limit.memory, held)
}

/// Reserves memory of a device; false where that is more than the container may use.
pub(crate) fn reserve(device: i32, bytes: u64) -> bool {
    let reserved = || {
        let uuid = uuid(device)?;
        let (device, limit) = limit_of(&uuid)?;
        let ledger = tenant().ledger?;
        ledger.reserve(place(ledger)?, device, bytes, limit.memory, &SYSTEM).ok()?;
        OWN[device].fetch_add(bytes, Ordering::Relaxed);
        Some(())
    };
    reserved().is_some()
}

/// Bytes of each device that this process has reserved, in the container's order.
static OWN: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];

/// Bytes of the device at a place that this process has reserved.
pub(crate) fn own(place: usize) -> u64 {
    OWN[place].load(Ordering::Relaxed)
}

/// The place of a device in the container's order, and its identifier, where the container may not
/// use all of its memory.
pub(crate) fn slice(device: i32) -> Option<(usize, [u8; 16])> {
    let uuid = uuid(device)?;
    let (place, limit) = limit_of(&uuid)?;
    let mut all = 0;
    let known = truth::device_memory(&raw mut all, device) == 0;
    (known && place < DEVICES_MAX && limit.memory < all).then_some((place, uuid))
}

/// Whether the container may not use all of a device's memory, which is so many bytes.
pub(crate) fn is_slice_of(uuid: &[u8; 16], all: u64) -> bool {
    limit_of(uuid).is_none_or(|(_, limit)| limit.memory < all)
}

/// Whether a process is one of the container that uses devices.
pub(crate) fn is_ours(process: u32) -> bool {
    let all = tenant().ledger.into_iter().flat_map(|ledger| ledger.holders(0));
    all.into_iter().any(|(holder, ..)| holder.number == process)
}

/// Whether the container has less than the whole time of a device.
pub(crate) fn is_paced() -> bool {
    tenant().limits.iter().any(|limit| limit.milli < WHOLE)
}

/// What the container may spend of a device's time, and how fast that fills; none where it has the
/// whole device.
pub(crate) fn share(device: i32) -> Option<Share> {
    let limit = limit_of(&uuid(device)?);
    let Some((device, limit)) = limit else {
        return Some(Share { bucket: None, least: 0, given: None });
    };
    let bucket = tenant().ledger.and_then(|ledger| ledger.bucket(device));
    let given = tenant().rates.and_then(|rates| rates.get(device));
    (limit.milli < WHOLE).then_some(Share { bucket, least: limit.milli, given })
}

/// A share of a device's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// What is paid from; none where there is no ledger, and nothing is launched.
    pub(crate) bucket: Option<&'static Bucket>,
    /// What is the container's whatever others do, in thousandths.
    pub(crate) least: u32,
    /// What the agent says.
    given: Option<&'static AtomicU64>,
}

impl Share {
    /// The rate now: what the agent gives, and never less than the share.
    pub(crate) fn rate(&self, now: u64) -> u32 {
        let given = self.given.and_then(|word| rates::rate(word.load(Ordering::Relaxed), now));
        given.map_or(self.least, |rate| rate.max(self.least))
    }
}

/// Gives memory of a device back.
pub(crate) fn refund(device: i32, bytes: u64) {
    if bytes == 0 {
        return;
    }
    let refunded = || {
        let uuid = uuid(device)?;
        let (device, _) = limit_of(&uuid)?;
        let ledger = tenant().ledger?;
        ledger.refund(place(ledger)?, device, bytes);
        let less = |own: u64| Some(own.saturating_sub(bytes));
        OWN[device].fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?;
        Some(())
    };
    let _: Option<()> = refunded();
}

hooks! {
    [cuInit] (flags: u32) |real| {
        let result = real(flags);
        if result == 0 {
            // So that launches are counted from the first one on. Without a ledger nothing is.
            let _: Option<Place> = tenant().ledger.and_then(place);
        }
        result
    }
}
