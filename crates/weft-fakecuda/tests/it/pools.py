"""What a pool keeps counts as taken until it is trimmed, or somebody waits."""

from driver import *

MIB = 1 << 20
RESERVED, MOST, USED = 5, 6, 7


def amount(pool, number):
    value = u64()
    ok(cu.cuMemPoolGetAttribute(pool, number, c.byref(value)))
    return value.value


context()
total, pool, at, own = info()[1], u64(), u64(), u64()
ok(cu.cuDeviceGetDefaultMemPool(c.byref(pool), 0))
ok(cu.cuMemAllocAsync(c.byref(at), u64(40 * MIB), None))
assert amount(pool, RESERVED) == 64 * MIB and amount(pool, USED) == 40 * MIB
assert info()[0] == total - 64 * MIB
ok(cu.cuMemFreeAsync(at, None))
assert amount(pool, USED) == 0 and info()[0] == total - 64 * MIB, "kept"
ok(cu.cuStreamSynchronize(None))
assert info()[0] == total and amount(pool, MOST) == 64 * MIB

# A threshold keeps it beyond a wait, for whoever takes next; a trim does not.
ok(cu.cuMemPoolSetAttribute(pool, 4, c.byref(u64(1 << 40))))
ok(cu.cuMemAllocAsync(c.byref(at), u64(64 * MIB), None))
ok(cu.cuMemFree_v2(at))
ok(cu.cuCtxSynchronize())
assert info()[0] == total - 64 * MIB
ok(cu.cuMemAllocAsync(c.byref(at), u64(64 * MIB), None))
assert info()[0] == total - 64 * MIB
ok(cu.cuMemFreeAsync(at, None))
ok(cu.cuMemPoolTrimTo(pool, u64(0)))
assert info()[0] == total

# A pool of one's own ends with the last that is taken from it.
properties = (u32 * 22)(1, 0, 1, 0)
ok(cu.cuMemPoolCreate(c.byref(own), properties))
ok(cu.cuMemAllocFromPoolAsync(c.byref(at), u64(MIB), own, None))
ok(cu.cuMemPoolDestroy(own))
assert info()[0] == total - MIB
ok(cu.cuMemFreeAsync(at, None))
assert info()[0] == total
assert cu.cuMemPoolDestroy(own) == 400 and cu.cuMemPoolDestroy(pool) == 1
