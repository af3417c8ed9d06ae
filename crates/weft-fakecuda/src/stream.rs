//! Streams, events, and the clock of the devices.
//!
//! What a stream is given is done at once, which is an order it may be done in: a call waits for
//! nothing that comes after it. What remains is the time it would take. A device computes one thing
//! after the other; a stream is ready when the last it was given is over. By the virtual clock time
//! is what somebody waited for, by the real one waiting takes as long as it says.

use crate::call::Out;
use crate::context::{current, current_device};
use crate::driver::{State, with};
use crate::outcome::{Code, INVALID_HANDLE, INVALID_VALUE, NOT_READY, Outcome};
use crate::settings::Settings;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::time::{ClockId, clock_gettime};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// By the virtual clock a question takes so many nanoseconds: who asks until it is done gets there.
const QUESTION_NS: u64 = 1000;

/// A stream that a program made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    /// Whose.
    pub(crate) context: u64,
    priority: i32,
    flags: u32,
    /// When the last it was given is over.
    ready: u64,
    /// The graph that takes what it is given instead, while it is captured.
    pub(crate) captured: Option<u64>,
}

/// An event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    flags: u32,
    /// When what came before it is over; none before it is recorded.
    over: Option<u64>,
}

/// The time of the devices, in nanoseconds: since `cuInit`, or of the system's steady clock.
#[derive(Debug)]
pub(crate) struct Clock {
    real: bool,
    now: u64,
    /// When each device is free: this process's, or that of all which share the devices.
    free: &'static [AtomicU64],
    /// When the last that each device's default streams were given is over.
    ready: Vec<u64>,
}

impl Clock {
    /// For so many devices.
    pub(crate) fn new(devices: usize, settings: &Settings) -> Self {
        // A client of MPS has processors of its own: it waits for nobody who has others.
        let alone = crate::mps::is_client();
        let path = settings.shared.as_ref().filter(|_| !alone);
        let free = path.map(|path| shared(path, devices));
        let own = || &*Vec::leak((0..devices).map(|_| AtomicU64::new(0)).collect());
        let free = free.unwrap_or_else(own);
        Self { real: settings.real_clock, now: 0, free, ready: vec![0; devices] }
    }

    fn now(&self) -> u64 {
        if !self.real {
            return self.now;
        }
        let time = clock_gettime(ClockId::Monotonic);
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    }

    /// Keeps a device for so long, from a moment on or when it is free; until when.
    fn occupy(&self, device: usize, from: u64, nanoseconds: u64) -> u64 {
        let later = |free: u64| Some(free.max(from) + nanoseconds);
        let before = self.free[device].fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
        before.unwrap_or_else(|free| free).max(from) + nanoseconds
    }

    /// Whether a moment has passed; asking takes time.
    fn passed(&mut self, moment: u64) -> bool {
        self.now += QUESTION_NS;
        self.now() >= moment
    }
}

/// When devices are free, in a file that processes share; ends the process where it cannot be had.
fn shared(path: &str, devices: usize) -> &'static [AtomicU64] {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path);
    let bytes = devices * size_of::<AtomicU64>();
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let mapped = file.ok().filter(|file| file.metadata().is_ok_and(|m| m.len() >= bytes as u64));
    // SAFETY: a fresh mapping of a file that is long enough.
    let mapped = mapped.and_then(|file| unsafe {
        mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, &file, 0).ok()
    });
    let Some(at) = mapped else {
        let _ = writeln!(std::io::stderr(), "WEFT_FAKECUDA: shared={path}: not {bytes} bytes");
        std::process::abort()
    };
    // SAFETY: mapped for as long as the process lives, at a page.
    unsafe { std::slice::from_raw_parts(at.cast(), devices) }
}

impl State {
    /// A device computes for so long, for a stream.
    pub(crate) fn compute(&mut self, stream: u64, nanoseconds: u64) -> Outcome {
        // On a part of the processors it takes so much longer.
        let nanoseconds = (nanoseconds as f64 * 100.0 / crate::mps::percentage()) as u64;
        let device = current_device(self)?;
        let from = self.ready(stream, device)?.max(self.clock.now());
        let over = self.clock.occupy(device, from, nanoseconds);
        self.set_ready(stream, device, over)
    }

    /// Whether a stream has something to do; of one that is gone all is over.
    pub(crate) fn is_busy(&self, stream: u64, device: usize) -> bool {
        self.ready(stream, device).is_ok_and(|moment| moment > self.clock.now())
    }

    /// When a stream is ready.
    fn ready(&self, stream: u64, device: usize) -> Outcome<u64> {
        if is_default(stream) {
            return Ok(self.clock.ready[device]);
        }
        Ok(self.streams.get(stream)?.ready)
    }

    fn set_ready(&mut self, stream: u64, device: usize, moment: u64) -> Outcome {
        if is_default(stream) {
            self.clock.ready[device] = moment;
        } else {
            self.streams.get_mut(stream)?.ready = moment;
        }
        Ok(())
    }
}

/// Null, and the two numbers that mean the default streams.
pub(crate) fn is_default(stream: u64) -> bool {
    stream <= 2
}

/// Waits until a moment.
fn wait_until(moment: u64) -> Outcome {
    let rest = with(|state| {
        state.clock.now = state.clock.now.max(moment);
        state.shrink_pools()?;
        Ok(moment.saturating_sub(state.clock.now()))
    })?;
    // Without the lock: others go on meanwhile. Nothing is left by the virtual clock.
    std::thread::sleep(Duration::from_nanos(rest));
    Ok(())
}

fn create(out: Out<u64>, flags: u32, priority: i32) -> Outcome {
    let context = current()?;
    if flags > 1 {
        return Err(INVALID_VALUE);
    }
    let stream = Stream { context, flags, priority: priority.clamp(-5, 0), ..Stream::default() };
    out.put(with(|state| Ok(state.streams.add(stream)))?)
}

/// Something of a stream; the default ones are as they are from the beginning.
fn of<T: Default>(stream: u64, what: impl Fn(&Stream) -> T) -> Outcome<T> {
    current()?;
    with(
        |state| {
            if is_default(stream) { Ok(T::default()) } else { state.streams.get(stream).map(what) }
        },
    )
}

/// When all is over that a context's streams were given.
fn all_over(state: &State, context: u64) -> Outcome<u64> {
    let device = state.contexts.get(context)?.device as usize;
    let own = state.streams.iter().filter(|(_, stream)| stream.context == context);
    Ok(own.map(|(_, stream)| stream.ready).max().unwrap_or(0).max(state.clock.ready[device]))
}

fn record(event: u64, stream: u64) -> Outcome {
    with(|state| {
        let device = current_device(state)?;
        let over = state.ready(stream, device)?.max(state.clock.now());
        state.events.get_mut(event)?.over = Some(over);
        Ok(())
    })
}

calls! {
    fn cuStreamCreate(out: Out<u64>, flags: u32) {
        create(out, flags, 0)
    }

    fn cuStreamCreateWithPriority(out: Out<u64>, flags: u32, priority: i32) {
        create(out, flags, priority)
    }

    fn cuStreamDestroy_v2(stream: u64) {
        with(|state| state.streams.remove(stream).map(drop))
    }

    fn cuStreamGetPriority(stream: u64, priority: Out<i32>) {
        priority.put(of(stream, |stream| stream.priority)?)
    }

    fn cuStreamGetFlags(stream: u64, flags: Out<u32>) {
        flags.put(of(stream, |stream| stream.flags)?)
    }

    fn cuStreamGetId(stream: u64, id: Out<u64>) {
        of(stream, |_| ())?;
        id.put(stream)
    }

    fn cuStreamGetCtx(stream: u64, out: Out<u64>) {
        let context = of(stream, |stream| stream.context)?;
        out.put(if context == 0 { current()? } else { context })
    }

    fn cuStreamSynchronize(stream: u64) {
        let moment = with(|state| {
            let device = current_device(state)?;
            state.ready(stream, device)
        })?;
        wait_until(moment)
    }

    fn cuStreamQuery(stream: u64) {
        let passed = with(|state| {
            let device = current_device(state)?;
            let moment = state.ready(stream, device)?;
            Ok(state.clock.passed(moment))
        })?;
        if passed { Ok(()) } else { Err(NOT_READY) }
    }

    fn cuStreamWaitEvent(stream: u64, event: u64, _flags: u32) {
        with(|state| {
            let device = current_device(state)?;
            let over = state.events.get(event)?.over.unwrap_or(0);
            let ready = state.ready(stream, device)?.max(over);
            state.set_ready(stream, device, ready)
        })
    }

    fn cuCtxSynchronize() {
        let context = current()?;
        wait_until(with(|state| all_over(state, context))?)
    }

    fn cuCtxSynchronize_v2(context: u64) {
        with(|state| state.contexts.get(context).map(drop))?;
        wait_until(with(|state| all_over(state, context))?)
    }

    fn cuEventCreate(out: Out<u64>, flags: u32) {
        current()?;
        out.put(with(|state| Ok(state.events.add(Event { flags, over: None })))?)
    }

    fn cuEventDestroy_v2(event: u64) {
        with(|state| state.events.remove(event).map(drop))
    }

    fn cuEventRecord(event: u64, stream: u64) {
        record(event, stream)
    }

    fn cuEventRecordWithFlags(event: u64, stream: u64, _flags: u32) {
        record(event, stream)
    }

    fn cuEventQuery(event: u64) {
        let passed = with(|state| {
            let over = state.events.get(event)?.over.unwrap_or(0);
            Ok(state.clock.passed(over))
        })?;
        if passed { Ok(()) } else { Err(NOT_READY) }
    }

    fn cuEventSynchronize(event: u64) {
        wait_until(with(|state| Ok(state.events.get(event)?.over.unwrap_or(0)))?)
    }

    fn cuEventElapsedTime(milliseconds: Out<f32>, start: u64, end: u64) {
        let (from, to) = with(|state| {
            let over = |event: u64| {
                let event = state.events.get(event)?;
                // Made without times: bit 1 of its flags.
                let over = event.over.filter(|_| event.flags & 2 == 0);
                over.ok_or(INVALID_HANDLE)
            };
            Ok((over(start)?, over(end)?))
        })?;
        if !with(|state| Ok(state.clock.now() >= to))? {
            return Err(NOT_READY);
        }
        milliseconds.put((to as f64 - from as f64) as f32 / 1e6)
    }

    fn cuEventElapsedTime_v2(milliseconds: Out<f32>, start: u64, end: u64) {
        match cuEventElapsedTime(milliseconds, start, end) {
            0 => Ok(()),
            code => Err(Code(code)),
        }
    }
}
