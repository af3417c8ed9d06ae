import ctypes as c, os, subprocess, sys, time

cu = c.CDLL("libcuda.so.1")
u64 = c.c_uint64


def ok(result, what=""):
    assert result == 0, f"{what}: {result}"


def take(mib):
    return cu.cuMemAlloc_v2(c.byref(u64()), u64(mib << 20))


def sees():
    free, total = u64(), u64()
    ok(cu.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
    return free.value >> 20, total.value >> 20


ok(cu.cuInit(0))
context = u64()
ok(cu.cuCtxCreate_v2(c.byref(context), 0, 0))
