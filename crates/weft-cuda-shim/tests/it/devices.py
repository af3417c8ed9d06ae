"""Two devices: what is taken in the order of a stream or of a pool counts for theirs, whichever
context is current."""

from driver import *

GIB = 1 << 30
ok(cu.cuInit(0))
contexts, streams, pools, at = [u64(), u64()], [u64(), u64()], [u64(), u64()], u64()
for device in (0, 1):
    ok(cu.cuCtxCreate_v2(c.byref(contexts[device]), 0, device))
    ok(cu.cuStreamCreate(c.byref(streams[device]), 1))
    place = (u32 * 22)(1, 1, 1, device)
    ok(cu.cuMemPoolCreate(c.byref(pools[device]), place))


def left():
    """Bytes that are free of each."""
    both = []
    for context in contexts:
        ok(cu.cuCtxSetCurrent(context))
        both.append(info()[0])
    return both


whole = left()
assert whole == [4 * GIB, 2 * GIB]
ok(cu.cuCtxSetCurrent(contexts[0]))
ok(cu.cuMemAllocAsync(c.byref(at), u64(GIB), streams[1]))
assert left() == [4 * GIB, GIB]
ok(cu.cuCtxSetCurrent(contexts[0]))
assert cu.cuMemAllocAsync(c.byref(at), u64(2 * GIB), streams[1]) == 2, "of the second's 2 GiB"
ok(cu.cuMemAllocFromPoolAsync(c.byref(at), u64(GIB), pools[1], streams[0]))
assert left() == [4 * GIB, 0]
ok(cu.cuCtxSetCurrent(contexts[1]))
ok(cu.cuMemAllocFromPoolAsync(c.byref(at), u64(3 * GIB), pools[0], None))
assert left() == [GIB, 0]
ok(cu.cuMemFreeAsync(at, streams[0]))
ok(cu.cuCtxSynchronize())
assert left() == [4 * GIB, 0]
