"""Memory of one process is read and written by another, by a handle; it counts for the first."""

import subprocess
import sys

from driver import *


class Handle(c.Structure):
    _fields_ = [("bytes", c.c_byte * 64)]


cu.cuIpcOpenMemHandle_v2.argtypes = [c.c_void_p, Handle, u32]
context()
handle, back = Handle(), c.create_string_buffer(8)
if len(sys.argv) == 1:
    take(100)
    at = take(5000)
    ok(cu.cuMemcpyHtoD_v2(at, b"is there", u64(8)))
    ok(cu.cuIpcGetMemHandle(c.byref(handle), at))
    assert cu.cuIpcOpenMemHandle_v2(c.byref(at), handle, 1) == 1, "it is this process's own"
    subprocess.run([sys.executable, __file__, bytes(handle).hex()], check=True)
    ok(cu.cuMemcpyDtoH_v2(back, at, u64(8)))
    assert back.raw == b"and back"
else:
    handle, at, before = Handle.from_buffer_copy(bytes.fromhex(sys.argv[1])), u64(), info()
    ok(cu.cuIpcOpenMemHandle_v2(c.byref(at), handle, 1))
    ok(cu.cuMemcpyDtoH_v2(back, at, u64(8)))
    assert back.raw == b"is there" and info() == before
    ok(cu.cuMemcpyHtoD_v2(at, b"and back", u64(8)))
    ok(cu.cuIpcCloseMemHandle(at))
    assert cu.cuIpcCloseMemHandle(at) == 1
