"""Memory that is created, mapped, shared and given back; it counts while anybody has it."""

import os

from driver import *

GRANULE = 2 << 20


class Properties(c.Structure):
    _fields_ = [(n, u32) for n in ("kind", "handles", "place")] + [("device", i32), ("rest", u64 * 2)]


class Access(c.Structure):
    _fields_ = [("place", u32), ("device", i32), ("flags", u32)]


context()
total = info()[1]
on_device, write = Properties(1, 1, 1, 0), Access(1, 0, 3)


def reserve(size):
    at = u64()
    ok(cu.cuMemAddressReserve(c.byref(at), u64(size), u64(0), u64(0), u64(0)))
    return at.value


def create(size):
    handle = u64()
    return cu.cuMemCreate(c.byref(handle), u64(size), c.byref(on_device), u64(0)), handle


base = reserve(1 << 40)
assert info()[0] == total, "addresses are no memory"
result, handle = create(GRANULE)
ok(result)
assert info()[0] == total - GRANULE
assert create(GRANULE + 1)[0] == 1
assert create(total // GRANULE * GRANULE)[0] == 2, "beyond the device"
for at in (base, base + GRANULE):
    ok(cu.cuMemMap(u64(at), u64(GRANULE), u64(0), handle, u64(0)))
    ok(cu.cuMemSetAccess(u64(at), u64(GRANULE), c.byref(write), u64(1)))
ok(cu.cuMemcpyHtoD_v2(u64(base), b"twice there", u64(11)))
back = c.create_string_buffer(11)
ok(cu.cuMemcpyDtoH_v2(back, u64(base + GRANULE), u64(11)))
assert back.raw == b"twice there"
kind = u32()
ok(cu.cuPointerGetAttribute(c.byref(kind), 2, u64(base + 5)))
assert kind.value == 2
assert cu.cuMemFree_v2(u64(base)) == 1, "not taken that way"

# Another process has it by its descriptor.
descriptor = i32()
ok(cu.cuMemExportToShareableHandle(c.byref(descriptor), handle, 1, u64(0)))
assert os.pread(descriptor.value, 11, 0) == b"twice there"
shared = u64()
ok(cu.cuMemImportFromShareableHandle(c.byref(shared), u64(descriptor.value), 1))
assert info()[0] == total - GRANULE, "charged once"
ok(cu.cuMemRelease(shared))

# It counts until its last handle and its last mapping are gone.
kept = u64()
ok(cu.cuMemRetainAllocationHandle(c.byref(kept), u64(base + 77)))
ok(cu.cuMemRelease(handle))
ok(cu.cuMemUnmap(u64(base), u64(2 * GRANULE)))
assert info()[0] == total - GRANULE
ok(cu.cuMemRelease(kept))
assert info()[0] == total
assert cu.cuMemRelease(kept) == 400
assert cu.cuMemUnmap(u64(base), u64(GRANULE)) == 1
ok(cu.cuMemAddressFree(u64(base), u64(1 << 40)))
