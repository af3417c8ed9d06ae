//! The true libraries, and calls of them.

use crate::export::{COUNT, SYMBOLS};
use std::ffi::{CStr, CString, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use weft_cuda_abi::{folder, mark};

/// Where this copy of the library finds everything, until whoever delivers it writes another path.
#[used]
static FOLDER: [u8; folder::ROOM] = folder::with(b"/run/weft/gpu");

/// Which build this is; no driver exports the name.
#[used]
#[unsafe(no_mangle)]
static weft_gpu_layout: [u8; mark::ROOM] = mark::this(env!("CARGO_PKG_VERSION"));

/// The code of each symbol in its true library; null where it has none.
static CODE: [AtomicPtr<()>; COUNT] = [const { AtomicPtr::new(std::ptr::null_mut()) }; COUNT];

/// The result of a function of the driver where there is no driver: `CUDA_ERROR_NO_DEVICE`.
const NO_DEVICE: u32 = 100;
/// Of one that the driver does not have: `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;
/// Of the management library: `NVML_ERROR_DRIVER_NOT_LOADED`, `NVML_ERROR_FUNCTION_NOT_FOUND`.
const NO_DRIVER: u32 = 9;
const NO_FUNCTION: u32 = 13;

/// A file in the folder of this copy.
pub(crate) fn file(name: &str) -> Option<CString> {
    // SAFETY: the static itself; read so that what was written into the copy is seen.
    let bytes = unsafe { std::ptr::read_volatile(&raw const FOLDER) };
    let mut path = folder::path(&bytes)?.to_vec();
    path.push(b'/');
    path.extend(name.bytes());
    CString::new(path).ok()
}

/// Opens the true libraries.
pub(crate) fn open() {
    let driver = library("driver/libcuda.so.1");
    let management = library("driver/libnvidia-ml.so.1");
    for (place, symbol) in SYMBOLS.iter().enumerate() {
        let library = if is_management(symbol) { management } else { driver };
        if !library.is_null() {
            // SAFETY: an open library and a text.
            let code = unsafe { libc::dlsym(library, symbol.as_ptr()) };
            CODE[place].store(code.cast(), Ordering::Release);
        }
    }
}

fn library(name: &str) -> *mut c_void {
    // SAFETY: a path; the driver's own constructors run, as they would without this library.
    let open =
        |path: CString| unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    file(name).map_or(std::ptr::null_mut(), open)
}

fn is_management(symbol: &CStr) -> bool {
    symbol.to_bytes().starts_with(b"nvml")
}

/// The true code of a symbol.
pub(crate) fn code(place: usize) -> Option<*const ()> {
    let code = CODE[place].load(Ordering::Acquire);
    (!code.is_null()).then_some(code.cast_const())
}

/// The true code of a symbol, or a function that says that there is none.
pub(crate) fn code_or_absent(place: usize) -> *const () {
    let absent = if is_management(SYMBOLS[place]) {
        no_function as *const ()
    } else {
        no_symbol as *const ()
    };
    code(place).unwrap_or(absent)
}

/// What a symbol answers that has no true code.
pub(crate) fn absent(place: usize) -> u32 {
    if is_management(SYMBOLS[place]) { no_function() } else { no_symbol() }
}

extern "C" fn no_symbol() -> u32 {
    if code(crate::export::place::cuInit).is_some() { NOT_SUPPORTED } else { NO_DEVICE }
}

extern "C" fn no_function() -> u32 {
    if code(crate::export::place::nvmlInit_v2).is_some() { NO_FUNCTION } else { NO_DRIVER }
}

/// Declares calls of true functions; each answers as the driver does, or that there is none.
macro_rules! true_calls {
    ($($(#[$doc:meta])* fn $name:ident as $symbol:ident ($($arg:ident: $type:ty),*);)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) -> u32 {
            let place = crate::export::place::$symbol;
            let Some(code) = code(place) else { return absent(place) };
            // SAFETY: the true function of this symbol, which is called so.
            let call: extern "C" fn($($type),*) -> u32 = unsafe { std::mem::transmute(code) };
            call($($arg),*)
        }
    )*};
}

true_calls! {
    /// Makes the driver ready.
    fn init as cuInit (flags: u32);
    /// An attribute of a device.
    fn attribute as cuDeviceGetAttribute (value: *mut i32, attribute: u32, device: i32);
    /// A device's own context, made where there is none.
    fn primary_retain as cuDevicePrimaryCtxRetain (context: *mut u64, device: i32);
    /// Takes memory of the current context's device.
    fn take as cuMemAlloc_v2 (at: *mut u64, bytes: u64);
    /// The device of the current context.
    fn current_device as cuCtxGetDevice (device: *mut i32);
    /// The current context.
    fn current_context as cuCtxGetCurrent (context: *mut u64);
    /// Makes a context current, above the one that is.
    fn push as cuCtxPushCurrent_v2 (context: u64);
    /// Takes the current context off.
    fn pop as cuCtxPopCurrent_v2 (context: *mut u64);
    /// Ends a context.
    fn context_destroy as cuCtxDestroy_v2 (context: u64);
    /// A limit of the current context.
    fn context_limit as cuCtxGetLimit (value: *mut u64, limit: u32);
    /// Gives up a device's own context once.
    fn primary_release as cuDevicePrimaryCtxRelease_v2 (device: i32);
    /// How many devices there are.
    fn device_count as cuDeviceGetCount (count: *mut i32);
    /// All memory of a device.
    fn device_memory as cuDeviceTotalMem_v2 (bytes: *mut u64, device: i32);
    /// Ends an image.
    fn module_unload as cuModuleUnload (module: u64);
    /// Ends a library.
    fn library_unload as cuLibraryUnload (library: u64);
    /// The context of a stream.
    fn stream_context as cuStreamGetCtx (stream: usize, context: *mut u64);
    /// Waits until a stream has nothing to do.
    fn stream_wait as cuStreamSynchronize (stream: usize);
    /// The pool that a device's streams take from.
    fn pool_of as cuDeviceGetMemPool (pool: *mut u64, device: i32);
    /// The pool that a device has from the beginning.
    fn first_pool as cuDeviceGetDefaultMemPool (pool: *mut u64, device: i32);
    /// An amount of a pool.
    fn pool_attribute as cuMemPoolGetAttribute (pool: u64, attribute: u32, bytes: *mut u64);
    /// Gives the device what a pool does not use.
    fn pool_trim as cuMemPoolTrimTo (pool: u64, keep: u64);
    /// Gives memory back in the order of a stream.
    fn free_ordered as cuMemFreeAsync (at: u64, stream: usize);
    /// Where memory begins, and its bytes.
    fn address_range as cuMemGetAddressRange_v2 (base: *mut u64, bytes: *mut u64, at: u64);
    /// An attribute of memory that is a number of 32 bits.
    fn pointer_number as cuPointerGetAttribute (number: *mut i32, attribute: u32, at: u64);
    /// Closes memory of another process.
    fn close_handle as cuIpcCloseMemHandle (at: u64);
    /// What memory is that has no address.
    fn properties as cuMemGetAllocationPropertiesFromHandle (out: *mut [u64; 16], handle: u64);
    /// Whether a stream is captured.
    fn is_capturing as cuStreamIsCapturing (stream: usize, status: *mut u32);
    /// The nodes of a graph, and how many they are.
    fn graph_nodes as cuGraphGetNodes (graph: usize, nodes: *mut usize, count: *mut usize);
    /// The type of a node.
    fn node_type as cuGraphNodeGetType (node: usize, kind: *mut u32);
    /// The graph that a node is.
    fn node_graph as cuGraphChildGraphNodeGetGraph (node: usize, graph: *mut usize);
    /// What a node takes, and where.
    fn memory_node as cuGraphMemAllocNodeGetParams (node: usize, out: *mut [u64; 32]);
    /// What a node frees.
    fn free_node as cuGraphMemFreeNodeGetParams (node: usize, at: *mut u64);
    /// Brings a graph onto the device without launching it.
    fn graph_upload as cuGraphUpload (exec: usize, stream: usize);
    /// An amount of what graphs have of a device.
    fn graph_memory as cuDeviceGetGraphMemAttribute (device: i32, attribute: u32, bytes: *mut u64);
    /// Gives a device what is kept for graphs and not needed.
    fn graph_trim as cuDeviceGraphMemTrim (device: i32);
    /// Exchanges how strictly the calling thread's calls are held to captures.
    fn exchange_capture_mode as cuThreadExchangeStreamCaptureMode (mode: *mut u32);
    /// Makes an event.
    fn event_create as cuEventCreate (event: *mut usize, flags: u32);
    /// Records an event.
    fn event_record as cuEventRecord (event: usize, stream: usize);
    /// Whether all before an event is over.
    fn event_query as cuEventQuery (event: usize);
    /// Milliseconds between two events.
    fn event_elapsed as cuEventElapsedTime (milliseconds: *mut f32, start: usize, end: usize);
    /// Ends an event.
    fn event_destroy as cuEventDestroy_v2 (event: usize);
    /// Whether the context of a device is there.
    fn primary_state as cuDevicePrimaryCtxGetState (device: i32, flags: *mut u32, active: *mut i32);
    /// The identifier of a device.
    fn device_uuid as cuDeviceGetUuid_v2 (uuid: *mut [u8; 16], device: i32);
    /// Opens the management library.
    fn management_init as nvmlInit_v2 ();
    /// The management library's device of an identifier.
    fn management_device as nvmlDeviceGetHandleByUUID (text: *const u8, device: *mut usize);
    /// Memory of a device: all, free, taken.
    fn management_memory as nvmlDeviceGetMemoryInfo (device: usize, memory: *mut [u64; 3]);
    /// What processes have of a device.
    fn management_holders as nvmlDeviceGetComputeRunningProcesses_v3
        (device: usize, count: *mut u32, all: *mut crate::overhead::Holder);
    /// The identifier of a device, as a text.
    fn management_uuid as nvmlDeviceGetUUID (device: usize, text: *mut u8, room: u32);
}
