# Launches kernels of half a millisecond, a few on their way at a time, and says after each tenth
# of a second how much of the device's time they were.
PTX = b".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry work(.param .u64 x) { ret; }"
module, work, at = u64(), u64(), u64()
ok(cu.cuMemAlloc_v2(c.byref(at), u64(4096)))
ok(cu.cuModuleLoadData(c.byref(module), PTX))
ok(cu.cuModuleGetFunction(c.byref(work), module, b"work"))
places = (c.c_void_p * 1)(c.cast(c.pointer(at), c.c_void_p))
while True:
    launched, start = 0, time.monotonic()
    while time.monotonic() - start < 0.1:
        for _ in range(4):
            ok(cu.cuLaunchKernel(work, 1, 1, 1, 32, 1, 1, 0, None, places, None))
        ok(cu.cuCtxSynchronize())
        launched += 4
    print("used", int(launched * 0.5 / (time.monotonic() - start)))
