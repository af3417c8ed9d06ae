"""Where what the library needs is missing, memory is refused with the number that is expected."""

import sys

import ctypes as c

cu = c.CDLL("libcuda.so.1")
expected = int(sys.argv[1])
at, free, total = c.c_uint64(), c.c_uint64(), c.c_uint64()
if expected == 100:
    assert cu.cuInit(0) == 100
    assert cu.cuMemAlloc_v2(c.byref(at), c.c_size_t(4096)) == 100
    sys.exit()
assert cu.cuInit(0) == 0
assert cu.cuCtxCreate_v2(c.byref(at), 0, 0) == 0
assert cu.cuMemAlloc_v2(c.byref(at), c.c_size_t(4096)) == expected
assert cu.cuMemAllocAsync(c.byref(at), c.c_size_t(4096), None) == expected
assert cu.cuMemGetInfo_v2(c.byref(free), c.byref(total)) == 0
assert free.value == 0, free.value
