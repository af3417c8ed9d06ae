"""Four gibibytes of a device of 141: seen, and not to be passed on any path."""

import os

from driver import *

GIB = 1 << 30
LIMIT = 4 * GIB
context()
assert info() == (LIMIT, LIMIT), info()
total, ml = u64(), c.CDLL("libnvidia-ml.so.1")
ok(cu.cuDeviceTotalMem_v2(c.byref(total), 0))
assert total.value == LIMIT
device, memory, name = u64(), (u64 * 3)(), c.create_string_buffer(64)
ok(ml.nvmlInit_v2())
ok(ml.nvmlDeviceGetHandleByIndex_v2(0, c.byref(device)))
ok(ml.nvmlDeviceGetMemoryInfo(device, memory))
assert list(memory) == [LIMIT, LIMIT, 0]
ok(ml.nvmlDeviceGetName(device, name, 64))
assert name.value == b"NVIDIA H200", "what it is stays true"


class Properties(c.Structure):
    _fields_ = [(n, u32) for n in ("kind", "handles", "place")] + [("device", i32), ("rest", u64 * 2)]


pool = u64()
ok(cu.cuDeviceGetDefaultMemPool(c.byref(pool), 0))
on_device = Properties(1, 1, 1, 0)
at, pitch = u64(), u64()
out = c.byref(at)
ways = {
    "cuMemAlloc_v2": (lambda size: cu.cuMemAlloc_v2(out, u64(size)), cu.cuMemFree_v2),
    "cuMemAllocManaged": (lambda size: cu.cuMemAllocManaged(out, u64(size), 1), cu.cuMemFree_v2),
    "cuMemAllocPitch_v2": (
        lambda size: cu.cuMemAllocPitch_v2(out, c.byref(pitch), u64(1 << 20), u64(size >> 20), 4),
        cu.cuMemFree_v2,
    ),
    "cuMemAllocAsync": (
        lambda size: cu.cuMemAllocAsync(out, u64(size), None),
        lambda at: cu.cuMemFreeAsync(at, None) or cu.cuStreamSynchronize(None),
    ),
    "cuMemAllocAsync_ptsz": (
        lambda size: cu.cuMemAllocAsync_ptsz(out, u64(size), None),
        lambda at: cu.cuMemFreeAsync_ptsz(at, None) or cu.cuCtxSynchronize(),
    ),
    "cuMemAllocFromPoolAsync": (
        lambda size: cu.cuMemAllocFromPoolAsync(out, u64(size), pool, None),
        lambda at: cu.cuMemFreeAsync(at, None) or cu.cuStreamSynchronize(None),
    ),
    "cuMemCreate": (
        lambda size: cu.cuMemCreate(out, u64(size), c.byref(on_device), u64(0)),
        cu.cuMemRelease,
    ),
}
for way, (get, give) in ways.items():
    ok(get(3 * GIB), way)
    held = u64(at.value)
    assert info() == (GIB, LIMIT), way
    for other, (again, _) in ways.items():
        assert again(2 * GIB) == 2, (way, other)
    ok(get(GIB), way)
    assert info() == (0, LIMIT), way
    assert cu.cuMemAlloc_v2(out, u64(2 << 20)) == 2, way
    ok(give(at), way)
    ok(give(held), way)
    assert info() == (LIMIT, LIMIT), way

# More than there can be is refused, not added up to little.
for way, (get, _) in ways.items():
    assert get((1 << 64) - (2 << 20)) in (1, 2), way
assert cu.cuMemAllocPitch_v2(out, c.byref(pitch), u64(1 << 63), u64(4), 4) == 2

# PyTorch's expandable segments: addresses for more than there is, memory piece by piece.
base = u64()
ok(cu.cuMemAddressReserve(c.byref(base), u64(9 * GIB >> 1), u64(0), u64(0), u64(0)))
PIECE, pieces = 20 << 20, []
while cu.cuMemCreate(out, u64(PIECE), c.byref(on_device), u64(0)) == 0:
    ok(cu.cuMemMap(u64(base.value + len(pieces) * PIECE), u64(PIECE), u64(0), at, u64(0)))
    pieces.append(at.value)
assert len(pieces) == LIMIT // PIECE, len(pieces)
# A mapping holds what its handle has given up.
for handle in pieces:
    ok(cu.cuMemRelease(u64(handle)))
assert info()[0] == LIMIT - len(pieces) * PIECE
ok(cu.cuMemUnmap(base, u64(len(pieces) * PIECE)))
assert info() == (LIMIT, LIMIT)

# What is not counted is not had.
nothing = [u64(0)] * 8
assert cu.cuMulticastCreate(*nothing) == 801
assert cu.cuArray3DCreate(*nothing) == 801

# A second context has no memory of its own.
second = u64()
ok(cu.cuMemAlloc_v2(out, u64(3 * GIB)))
ok(cu.cuCtxCreate_v2(c.byref(second), 0, 0))
assert info() == (GIB, LIMIT)
assert cu.cuMemAlloc_v2(out, u64(2 * GIB)) == 2
ok(cu.cuCtxDestroy_v2(second))

# What a captured stream takes its graph takes, when it is launched.
stream, graph, exec = u64(), u64(), u64()
ok(cu.cuStreamCreate(c.byref(stream), 1))
ok(cu.cuStreamBeginCapture_v2(stream, 0))
left, too = u64(), u64()
ok(cu.cuMemAllocAsync(c.byref(left), u64(2 << 20), stream))
ok(cu.cuMemAllocFromPoolAsync(c.byref(too), u64(2 << 20), pool, stream))
ok(cu.cuStreamEndCapture(stream, c.byref(graph)))
ok(cu.cuGraphInstantiateWithFlags(c.byref(exec), graph, u64(1)))
free = info()[0]
ok(cu.cuGraphLaunch(exec, stream))
ok(cu.cuGraphLaunch(exec, stream))
assert info()[0] == free - (4 << 20)
ok(cu.cuMemFree_v2(left))
ok(cu.cuMemFree_v2(too))
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == free

# Who else is on the device, and what he has of it, is not seen; what is left of it is.


class Holder(c.Structure):
    _fields_ = [("process", u32), ("bytes", u64), ("instances", u32 * 2)]


holders, count = (Holder * 8)(), u32(8)
ok(cu.cuMemAlloc_v2(out, u64(GIB)))
ok(ml.nvmlDeviceGetComputeRunningProcesses_v3(device, c.byref(count), holders))
assert [holder.process for holder in holders[: count.value]] == [os.getpid()]
first = (u64 * 16)()
count.value = 8
ok(ml.nvmlDeviceGetComputeRunningProcesses(device, c.byref(count), first))
assert (count.value, first[0] & 0xFFFF_FFFF, first[1]) == (1, os.getpid(), LIMIT), list(first)
