"""An unmodified runtime library: devices, memory, copies, streams, events."""

import ctypes as c
import os
import sys

rt = c.CDLL(sys.argv[1])
rt.cudaGetErrorString.restype = c.c_char_p


def ok(result):
    assert result == 0, (result, rt.cudaGetErrorString(result))


count, version = c.c_int(), c.c_int()
ok(rt.cudaGetDeviceCount(c.byref(count)))
ok(rt.cudaRuntimeGetVersion(c.byref(version)))
assert count.value == 2
size = 1 << 20
data, back = os.urandom(size), c.create_string_buffer(size)
at, stream, event, ordered = c.c_void_p(), c.c_void_p(), c.c_void_p(), c.c_void_p()
ok(rt.cudaMalloc(c.byref(at), c.c_size_t(size)))
ok(rt.cudaStreamCreate(c.byref(stream)))
ok(rt.cudaMemcpyAsync(at, data, c.c_size_t(size), 1, stream))
ok(rt.cudaEventCreate(c.byref(event)))
ok(rt.cudaEventRecord(event, stream))
ok(rt.cudaEventSynchronize(event))
ok(rt.cudaMemcpy(back, at, c.c_size_t(size), 2))
assert back.raw == data
ok(rt.cudaMemset(at, 7, c.c_size_t(size)))
ok(rt.cudaMemcpy(back, at, c.c_size_t(size), 2))
assert back.raw == b"\7" * size
free, total = c.c_size_t(), c.c_size_t()
ok(rt.cudaMemGetInfo(c.byref(free), c.byref(total)))
assert total.value - free.value == size and total.value == 143771 << 20
ok(rt.cudaMallocAsync(c.byref(ordered), c.c_size_t(4096), stream))
ok(rt.cudaFreeAsync(ordered, stream))
assert rt.cudaMalloc(c.byref(ordered), c.c_size_t(total.value)) == 2
ok(rt.cudaGetLastError() - 2)
ok(rt.cudaSetDevice(1))
ok(rt.cudaMalloc(c.byref(ordered), c.c_size_t(total.value)))
ok(rt.cudaFree(ordered))
ok(rt.cudaFree(at))
ok(rt.cudaDeviceSynchronize())
print("runtime", version.value)
