//! Contexts, and the stack of them that each thread has.

use crate::call::{In, Out};
use crate::device::device;
use crate::driver::{State, driver, with};
use crate::outcome::{INVALID_CONTEXT, INVALID_VALUE, Outcome};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;

/// A context.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// On which device.
    pub(crate) device: i32,
    /// As it was made.
    flags: u32,
    /// Limits that were set, by their numbers.
    limits: BTreeMap<u32, u64>,
}

thread_local! {
    /// Never dropped: libraries end what they made when the process exits, after a thread's own
    /// things are gone, and must still have the thread's context then.
    static STACK: RefCell<ManuallyDrop<Vec<u64>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

/// The calling thread's context; an error where it has none, or one that is gone.
pub(crate) fn current() -> Outcome<u64> {
    STACK.with_borrow(|stack| stack.last().copied()).filter(|c| *c != 0).ok_or(INVALID_CONTEXT)
}

/// The device of the calling thread's context.
pub(crate) fn current_device(state: &State) -> Outcome<usize> {
    let context = state.contexts.get(current()?).map_err(|_| INVALID_CONTEXT)?;
    Ok(context.device as usize)
}

fn push(context: u64) {
    STACK.with_borrow_mut(|stack| stack.push(context));
}

fn pop() -> Option<u64> {
    STACK.with_borrow_mut(|stack| stack.pop())
}

/// Makes a context and makes it current.
fn create(out: Out<u64>, flags: u32, number: i32) -> Outcome {
    device(number)?;
    let context = Context { device: number, flags, ..Context::default() };
    let handle = with(|state| add(state, context))?;
    out.put(handle)?;
    push(handle);
    Ok(())
}

/// Adds a context, which takes memory of its device.
fn add(state: &mut State, context: Context) -> Outcome<u64> {
    state.charge(context.device as usize, driver()?.settings.context)?;
    Ok(state.contexts.add(context))
}

/// The limit by its public number: the heap that kernels take from, and its size before it is set.
const HEAP: u32 = 2;
const HEAP_BYTES: u64 = 8 << 20;

/// What a context takes beyond what each does: a larger heap.
fn heap(context: &Context) -> u64 {
    context.limits.get(&HEAP).map_or(0, |heap| heap.saturating_sub(HEAP_BYTES))
}

fn set_heap(state: &mut State, handle: u64, bytes: u64) -> Outcome {
    let context = state.contexts.get(handle)?;
    let (device, before) = (context.device as usize, heap(context));
    state.used[device] -= before;
    state.charge(device, bytes.saturating_sub(HEAP_BYTES)).inspect_err(|_| {
        state.used[device] += before;
    })
}

/// Ends what a context holds: memory of the device, streams, events, code.
fn end(state: &mut State, handle: u64) -> Outcome {
    let of = |owner: u64| owner == handle;
    let held = state.blocks.iter().filter(|(_, block)| of(block.context));
    let held: Vec<u64> = held.map(|(at, _)| *at).collect();
    held.into_iter().try_for_each(|at| state.release(at))?;
    let streams: Vec<_> =
        state.streams.iter().filter(|(_, s)| of(s.context)).map(|s| s.0).collect();
    streams.into_iter().try_for_each(|stream| state.streams.remove(stream).map(drop))?;
    state.end_graph_memory(handle);
    state.kept.retain(|(context, _), _| *context != handle);
    state.end_code(handle);
    let ended = state.contexts.remove(handle).map_err(|_| INVALID_CONTEXT)?;
    state.used[ended.device as usize] -= driver()?.settings.context + heap(&ended);
    Ok(())
}

/// The primary context of a device, made where there is none; retained once more if asked.
pub(crate) fn primary(number: i32, retain: bool) -> Outcome<u64> {
    device(number)?;
    with(|state| {
        let (mut handle, retained) = state.primary[number as usize];
        if handle == 0 {
            handle = add(state, Context { device: number, ..Context::default() })?;
        }
        state.primary[number as usize] = (handle, retained + u32::from(retain));
        Ok(handle)
    })
}

calls! {
    fn cuCtxCreate_v2(out: Out<u64>, flags: u32, number: i32) {
        create(out, flags, number)
    }

    fn cuCtxCreate_v3(out: Out<u64>, _affinity: usize, count: i32, flags: u32, number: i32) {
        if count == 0 { create(out, flags, number) } else { Err(crate::outcome::NOT_SUPPORTED) }
    }

    fn cuCtxCreate_v4(out: Out<u64>, _parameters: usize, flags: u32, number: i32) {
        create(out, flags, number)
    }

    fn cuCtxDestroy_v2(handle: u64) {
        with(|state| end(state, handle))?;
        STACK.with_borrow_mut(|stack| {
            if stack.last() == Some(&handle) {
                stack.pop();
            }
        });
        Ok(())
    }

    fn cuCtxPushCurrent_v2(handle: u64) {
        with(|state| state.contexts.get(handle).map(drop).map_err(|_| INVALID_CONTEXT))?;
        push(handle);
        Ok(())
    }

    fn cuCtxPopCurrent_v2(out: Out<u64>) {
        driver()?;
        out.offer(pop().ok_or(INVALID_CONTEXT)?);
        Ok(())
    }

    fn cuCtxSetCurrent(handle: u64) {
        driver()?;
        pop();
        if handle != 0 {
            push(handle);
        }
        Ok(())
    }

    fn cuCtxGetCurrent(out: Out<u64>) {
        driver()?;
        out.put(current().unwrap_or(0))
    }

    fn cuCtxGetDevice(out: Out<i32>) {
        out.put(with(|state| current_device(state))? as i32)
    }

    fn cuCtxGetDevice_v2(out: Out<i32>, handle: u64) {
        let context = if handle == 0 { current()? } else { handle };
        out.put(with(|state| Ok(state.contexts.get(context)?.device))?)
    }

    fn cuCtxGetFlags(out: Out<u32>) {
        let context = current()?;
        out.put(with(|state| Ok(state.contexts.get(context)?.flags))?)
    }

    fn cuCtxGetId(handle: u64, out: Out<u64>) {
        let context = if handle == 0 { current()? } else { handle };
        with(|state| state.contexts.get(context).map(drop))?;
        out.put(context)
    }

    fn cuCtxGetApiVersion(handle: u64, out: Out<u32>) {
        with(|state| if handle == 0 { Ok(()) } else { state.contexts.get(handle).map(drop) })?;
        out.put(crate::watch::settings().version)
    }

    fn cuCtxSetLimit(limit: u32, value: u64) {
        let context = current()?;
        with(|state| {
            if limit == HEAP {
                set_heap(state, context, value)?;
            }
            state.contexts.get_mut(context)?.limits.insert(limit, value);
            Ok(())
        })
    }

    fn cuCtxGetLimit(out: Out<u64>, limit: u32) {
        let context = current()?;
        // The stack of a thread, the print buffer, the heap: the driver's own sizes.
        let usual = match limit {
            0 => 1 << 10,
            1 => 1 << 20,
            HEAP => HEAP_BYTES,
            _ => 0,
        };
        let set = with(|state| Ok(state.contexts.get(context)?.limits.get(&limit).copied()))?;
        out.put(set.unwrap_or(usual))
    }

    fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        current()?;
        least.offer(0);
        greatest.offer(-5);
        Ok(())
    }

    fn cuCtxGetCacheConfig(out: Out<u32>) {
        current()?;
        out.put(0)
    }

    fn cuCtxSetCacheConfig(_config: u32) {
        current().map(drop)
    }

    fn cuCtxGetSharedMemConfig(out: Out<u32>) {
        current()?;
        out.put(0)
    }

    fn cuCtxSetSharedMemConfig(_config: u32) {
        current().map(drop)
    }

    fn cuCtxEnablePeerAccess(peer: u64, flags: u32) {
        current()?;
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        with(|state| state.contexts.get(peer).map(drop).map_err(|_| INVALID_CONTEXT))
    }

    fn cuDevicePrimaryCtxRetain(out: Out<u64>, number: i32) {
        out.put(primary(number, true)?)
    }

    fn cuDevicePrimaryCtxRelease_v2(number: i32) {
        device(number)?;
        with(|state| {
            let (handle, retained) = state.primary[number as usize];
            let left = retained.checked_sub(1).ok_or(INVALID_CONTEXT)?;
            state.primary[number as usize] = (handle, left);
            if left == 0 {
                state.primary[number as usize] = (0, 0);
                end(state, handle)?;
            }
            Ok(())
        })
    }

    fn cuDevicePrimaryCtxReset_v2(number: i32) {
        device(number)?;
        with(|state| match std::mem::take(&mut state.primary[number as usize]) {
            (0, _) => Ok(()),
            (handle, _) => end(state, handle),
        })
    }

    fn cuDevicePrimaryCtxSetFlags_v2(number: i32, flags: u32) {
        device(number)?;
        with(|state| {
            let handle = state.primary[number as usize].0;
            if let Ok(context) = state.contexts.get_mut(handle) {
                context.flags = flags;
            }
            Ok(())
        })
    }

    fn cuDevicePrimaryCtxGetState(number: i32, flags: Out<u32>, active: Out<i32>) {
        device(number)?;
        let found = with(|state| {
            let handle = state.primary[number as usize].0;
            Ok(state.contexts.get(handle).ok().map(|context| context.flags))
        })?;
        flags.offer(found.unwrap_or(0));
        active.offer(i32::from(found.is_some()));
        Ok(())
    }
}

/// What contexts keep for whoever asks: the hidden table of that name.
pub(crate) mod local {
    use super::{In, Out, Outcome, current, with};
    use crate::outcome::INVALID_HANDLE;

    /// The context that a caller means: none and all ones are the current one.
    fn meant(context: u64) -> Outcome<u64> {
        if matches!(context, 0 | u64::MAX) { current() } else { Ok(context) }
    }

    pub(crate) extern "C" fn put(context: u64, key: usize, value: usize, _end: In<u8>) -> u32 {
        crate::call::number(|| {
            let context = meant(context)?;
            with(|state| {
                state.kept.insert((context, key), value);
                Ok(())
            })
        })
    }

    pub(crate) extern "C" fn delete(context: u64, key: usize) -> u32 {
        crate::call::number(|| {
            let context = meant(context)?;
            with(|state| state.kept.remove(&(context, key)).map(drop).ok_or(INVALID_HANDLE))
        })
    }

    pub(crate) extern "C" fn get(value: Out<usize>, context: u64, key: usize) -> u32 {
        crate::call::number(|| {
            let context = meant(context)?;
            value.put(with(|state| state.kept.get(&(context, key)).copied().ok_or(INVALID_HANDLE))?)
        })
    }
}
