//! What a call of the driver means to a tenant's limits.
//!
//! A class is of a name and holds for all its revisions. A name in no list is [`Class::Pass`]; a
//! test goes through every name that sounds of memory or work and asks for a reason, so that a new
//! version of the headers cannot bring a way around a limit unseen.

/// What a call means to the limits of the tenant that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing: it goes straight to the driver.
    Pass,
    /// It hands out addresses of functions: what it answers is looked through.
    Resolve,
    /// It takes device memory: reserved before the call, given back if that fails.
    Charge,
    /// It gives device memory back.
    Refund,
    /// It opens memory that was charged to whoever made it.
    Share,
    /// It makes or ends a context, whose own memory is measured.
    Context,
    /// It brings code or its variables onto the device, whose memory is measured.
    Module,
    /// It tells how much memory there is.
    View,
    /// It has the device compute.
    Launch,
    /// It moves bytes to, from or on the device.
    Copy,
}

/// The names of each class but [`Class::Pass`].
pub const CLASSES: &[(Class, &[&str])] = &[
    (Class::Resolve, &["cuGetExportTable", "cuGetProcAddress"]),
    (
        Class::Charge,
        &[
            "cuArray3DCreate",
            "cuArrayCreate",
            // A graph's memory is taken when it is launched or uploaded, known when it is made.
            "cuGraphAddMemAllocNode",
            "cuGraphAddNode",
            "cuGraphExecChildGraphNodeSetParams",
            "cuGraphExecNodeSetParams",
            "cuGraphExecUpdate",
            "cuGraphInstantiate",
            "cuGraphInstantiateWithFlags",
            "cuGraphInstantiateWithParams",
            "cuGraphUpload",
            "cuMemAlloc",
            "cuMemAllocAsync",
            "cuMemAllocFromPoolAsync",
            "cuMemAllocManaged",
            "cuMemAllocPitch",
            "cuMemCreate",
            "cuMipmappedArrayCreate",
            "cuMulticastCreate",
        ],
    ),
    (
        Class::Refund,
        &[
            "cuArrayDestroy",
            "cuDestroyExternalMemory",
            "cuDeviceGraphMemTrim",
            "cuGraphExecDestroy",
            "cuIpcCloseMemHandle",
            "cuMemFree",
            "cuMemFreeAsync",
            "cuMemPoolDestroy",
            "cuMemPoolTrimTo",
            "cuMemRelease",
            "cuMipmappedArrayDestroy",
        ],
    ),
    (
        Class::Share,
        &[
            "cuImportExternalMemory",
            "cuIpcOpenMemHandle",
            "cuLogicalEndpointImport",
            "cuMemImportFromShareableHandle",
            "cuMemPoolImportFromShareableHandle",
            "cuMemPoolImportPointer",
            "cuMemRetainAllocationHandle",
        ],
    ),
    (
        Class::Context,
        &[
            "cuCtxCreate",
            "cuCtxDestroy",
            "cuCtxDetach",
            "cuCtxFromGreenCtx",
            // The heap, stack and print buffer of kernels.
            "cuCtxSetLimit",
            "cuDevicePrimaryCtxRelease",
            "cuDevicePrimaryCtxReset",
            "cuDevicePrimaryCtxRetain",
            "cuGreenCtxCreate",
            "cuGreenCtxDestroy",
        ],
    ),
    (
        Class::Module,
        &[
            "cuFuncLoad",
            "cuLibraryGetGlobal",
            "cuLibraryGetKernel",
            "cuLibraryGetManaged",
            "cuLibraryGetModule",
            "cuLibraryLoadData",
            "cuLibraryLoadFromFile",
            "cuLibraryUnload",
            "cuModuleGetFunction",
            "cuModuleGetGlobal",
            "cuModuleLoad",
            "cuModuleLoadData",
            "cuModuleLoadDataEx",
            "cuModuleLoadFatBinary",
            "cuModuleUnload",
        ],
    ),
    (
        Class::View,
        &[
            "cuDeviceGetGraphMemAttribute",
            "cuDeviceTotalMem",
            "cuMemGetInfo",
            "cuMemPoolGetAttribute",
        ],
    ),
    (
        Class::Launch,
        &[
            "cuGraphLaunch",
            "cuLaunch",
            "cuLaunchCooperativeKernel",
            "cuLaunchCooperativeKernelMultiDevice",
            "cuLaunchGrid",
            "cuLaunchGridAsync",
            "cuLaunchKernel",
            "cuLaunchKernelEx",
            "cuMemBatchDecompressAsync",
        ],
    ),
    (Class::Copy, COPIES),
];

/// Copies and sets, most of them once for each pair of kinds of memory.
const COPIES: &[&str] = &[
    "cuFabricCpyBatchAsync",
    "cuMemDiscardAndPrefetchBatchAsync",
    "cuMemPrefetchAsync",
    "cuMemPrefetchBatchAsync",
    "cuMemcpy",
    "cuMemcpy2D",
    "cuMemcpy2DAsync",
    "cuMemcpy2DUnaligned",
    "cuMemcpy3D",
    "cuMemcpy3DAsync",
    "cuMemcpy3DBatchAsync",
    "cuMemcpy3DPeer",
    "cuMemcpy3DPeerAsync",
    "cuMemcpy3DWithAttributesAsync",
    "cuMemcpyAsync",
    "cuMemcpyAtoA",
    "cuMemcpyAtoD",
    "cuMemcpyAtoH",
    "cuMemcpyAtoHAsync",
    "cuMemcpyBatchAsync",
    "cuMemcpyDtoA",
    "cuMemcpyDtoD",
    "cuMemcpyDtoDAsync",
    "cuMemcpyDtoH",
    "cuMemcpyDtoHAsync",
    "cuMemcpyHtoA",
    "cuMemcpyHtoAAsync",
    "cuMemcpyHtoD",
    "cuMemcpyHtoDAsync",
    "cuMemcpyPeer",
    "cuMemcpyPeerAsync",
    "cuMemcpyWithAttributesAsync",
    "cuMemsetD16",
    "cuMemsetD16Async",
    "cuMemsetD2D16",
    "cuMemsetD2D16Async",
    "cuMemsetD2D32",
    "cuMemsetD2D32Async",
    "cuMemsetD2D8",
    "cuMemsetD2D8Async",
    "cuMemsetD32",
    "cuMemsetD32Async",
    "cuMemsetD8",
    "cuMemsetD8Async",
];

/// The class of a function, by its name or by any of its symbols.
pub fn class_of(symbol: &str) -> Class {
    let name = crate::base_name(symbol);
    let listed = CLASSES.iter().find(|(_, names)| names.binary_search(&name).is_ok());
    listed.map_or(Class::Pass, |(class, _)| *class)
}
