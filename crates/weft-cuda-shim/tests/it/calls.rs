//! What the driver is called through the library, against without it.

/// What the library asks of the driver for itself.
const OWN: &[&str] = &[
    "cuCtxGetCurrent",
    "cuCtxGetDevice",
    "cuCtxGetLimit",
    "cuCtxPopCurrent_v2",
    "cuCtxPushCurrent_v2",
    "cuDeviceGetCount",
    "cuDeviceGetGraphMemAttribute",
    "cuDeviceGetDefaultMemPool",
    "cuDeviceGetMemPool",
    "cuDeviceGetUuid",
    "cuDeviceTotalMem_v2",
    "cuDevicePrimaryCtxGetState",
    "cuGraphGetNodes",
    "cuGraphMemAllocNodeGetParams",
    "cuGraphMemFreeNodeGetParams",
    "cuGraphNodeGetType",
    "cuMemGetAddressRange_v2",
    "cuMemGetAllocationPropertiesFromHandle",
    "cuMemPoolGetAttribute",
    "cuPointerGetAttribute",
    "cuStreamGetCtx",
    "cuStreamIsCapturing",
];

/// Whether a thread's calls are in another's, in their order, and all others there are the
/// library's own; if not, the first that is not.
pub(crate) fn is_in(part: &[String], all: &[String]) -> Result<(), String> {
    let mut wanted = part.iter().peekable();
    for call in all {
        let name = call.split(' ').next().unwrap_or_default();
        if wanted.next_if_eq(&call).is_none() && !OWN.iter().any(|own| name.starts_with(own)) {
            let missed = wanted.peek().map_or("the end", |missed| missed.as_str());
            return Err(format!("`{call}` where without the library is `{missed}`"));
        }
    }
    wanted.next().map_or(Ok(()), |missed| Err(format!("`{missed}` is not called")))
}
