"""The driver by its name, as the programs of these tests call it."""

import ctypes as c

cu = c.CDLL("libcuda.so.1")
u64, u32, i32, f32 = c.c_uint64, c.c_uint32, c.c_int, c.c_float


def ok(result, what=""):
    assert result == 0, f"{what}: {result}"


def context():
    """Initialises and makes a context on the first device."""
    ok(cu.cuInit(0))
    made = u64()
    ok(cu.cuCtxCreate_v2(c.byref(made), 0, 0))
    return made


def take(size):
    """Takes memory of the device."""
    at = u64()
    ok(cu.cuMemAlloc_v2(c.byref(at), c.c_size_t(size)), f"take {size}")
    return at


def info():
    """Bytes that are free, and all."""
    free, total = u64(), u64()
    ok(cu.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
    return free.value, total.value
