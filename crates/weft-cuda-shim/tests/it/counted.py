"""Launches and bytes that were moved stand in the ledger."""

import mmap
import struct
import sys

from driver import *

PTX = b".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry work(.param .u64 x) { ret; }"


def slot():
    """Launches, bytes to and from devices of the first process."""
    with open(sys.argv[1], "rb") as file:
        return struct.unpack_from("<3Q", file.read(), 128 + 8)


context()
module, work, at = u64(), u64(), take(4096)
ok(cu.cuModuleLoadData(c.byref(module), PTX))
ok(cu.cuModuleGetFunction(c.byref(work), module, b"work"))
places = (c.c_void_p * 1)(c.cast(c.pointer(at), c.c_void_p))
for launch in (cu.cuLaunchKernel, cu.cuLaunchKernel_ptsz):
    for _ in range(5):
        ok(launch(work, 1, 1, 1, 32, 1, 1, 0, None, places, None))
ok(cu.cuLaunchCooperativeKernel(work, 1, 1, 1, 32, 1, 1, 0, None, places))
how = (c.c_uint32 * 16)(1, 1, 1, 32, 1, 1)
ok(cu.cuLaunchKernelEx(how, work, places, None))
back = c.create_string_buffer(4096)
ok(cu.cuMemcpyHtoD_v2(at, back, u64(4096)))
ok(cu.cuMemcpyHtoDAsync_v2(at, back, u64(100), None))
ok(cu.cuMemcpyDtoH_v2(back, at, u64(77)))
assert cu.cuMemcpyDtoH_v2(back, None, u64(77)) == 1, "refused, so not counted"
assert slot() == (12, 4196, 77), slot()
