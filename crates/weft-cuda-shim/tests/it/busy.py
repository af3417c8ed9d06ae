"""Launches kernels for so many seconds, a few on their way at a time.

Prints the microseconds that they took of the device, and those that have passed.
"""

import sys
import time

from driver import *

PTX = b".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry work(.param .u64 x) { ret; }"
seconds, kernel_us = float(sys.argv[1]), int(sys.argv[2])
context()
module, work, at = u64(), u64(), take(4096)
ok(cu.cuModuleLoadData(c.byref(module), PTX))
ok(cu.cuModuleGetFunction(c.byref(work), module, b"work"))
places = (c.c_void_p * 1)(c.cast(c.pointer(at), c.c_void_p))
launched, start = 0, time.monotonic()
while time.monotonic() - start < seconds:
    for _ in range(4):
        ok(cu.cuLaunchKernel(work, 1, 1, 1, 32, 1, 1, 0, None, places, None))
    ok(cu.cuCtxSynchronize())
    launched += 4
print(launched * kernel_us, int((time.monotonic() - start) * 1e6))
