"""Memory: its limit to the byte, what comes back, what an address is."""

from driver import *

assert cu.cuMemGetInfo_v2(c.byref(u64()), c.byref(u64())) == 3, "not initialised"
context()
free, total = info()
assert free == total == 23034 << 20, total

block = take(1 << 20)
assert info() == (total - (1 << 20), total)
data = bytes(range(256)) * 4096
back = c.create_string_buffer(1 << 20)
ok(cu.cuMemcpyHtoD_v2(block, data, c.c_size_t(1 << 20)))
other = take(1 << 20)
ok(cu.cuMemcpyDtoD_v2(other, block, c.c_size_t(1 << 20)))
ok(cu.cuMemcpyDtoH_v2(back, other, c.c_size_t(1 << 20)))
assert back.raw == data
ok(cu.cuMemsetD32_v2(other, u32(0x01020304), c.c_size_t(2)))
ok(cu.cuMemcpyDtoH_v2(back, other, c.c_size_t(12)))
assert back.raw[:12] == b"\4\3\2\1" * 2 + data[8:12]

# An address inside a block is the block's.
base, size, kind = u64(), u64(), u32()
inside = u64(block.value + 777)
ok(cu.cuMemGetAddressRange_v2(c.byref(base), c.byref(size), inside))
assert (base.value, size.value) == (block.value, 1 << 20)
ok(cu.cuPointerGetAttribute(c.byref(kind), 2, inside))
assert kind.value == 2
assert cu.cuPointerGetAttribute(c.byref(kind), 2, u64(4096)) == 1, "nobody's"

# The limit holds to the grain, for all contexts together.
rest = info()[0]
assert cu.cuMemAlloc_v2(c.byref(u64()), c.c_size_t(rest + 1)) == 2
last = take(rest)
assert info()[0] == 0
assert cu.cuMemAlloc_v2(c.byref(u64()), c.c_size_t(1)) == 2
assert cu.cuMemAllocManaged(c.byref(u64()), c.c_size_t(1), 1) == 2
assert cu.cuMemAllocAsync(c.byref(u64()), c.c_size_t(1), None) == 2
for at in (last, block, other):
    ok(cu.cuMemFree_v2(at))
assert cu.cuMemFree_v2(block) == 1, "twice"
assert info() == (total, total)

# What was given back is empty when it is taken again.
again = take(1 << 20)
ok(cu.cuMemcpyDtoH_v2(back, again, c.c_size_t(1 << 20)))
assert back.raw == bytes(1 << 20)

# A context that ends gives all of it back.
top = u64()
ok(cu.cuCtxGetCurrent(c.byref(top)))
ok(cu.cuCtxDestroy_v2(top))
context()
assert info() == (total, total)

# Host memory is none of the device's.
host = u64()
ok(cu.cuMemHostAlloc(c.byref(host), c.c_size_t(1 << 20), 0))
assert info() == (total, total)
ok(cu.cuMemFreeHost(host))
assert cu.cuMemFreeHost(host) == 1
