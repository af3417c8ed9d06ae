"""Suspending a process, by itself and by another: its states, its memory, and what is refused."""

import os
import subprocess
import sys
import threading

from driver import *

RUNNING, LOCKED, CHECKPOINTED, FAILED = range(4)
ILLEGAL, NOT_READY, NOT_SUPPORTED = 401, 600, 801
ml = c.CDLL("libnvidia-ml.so.1")


def state(process):
    found = u32()
    ok(cu.cuCheckpointProcessGetState(process, c.byref(found)))
    return found.value


def lock(process, milliseconds=0):
    return cu.cuCheckpointProcessLock(process, (u64 * 8)(milliseconds))


def checkpoint(process):
    return cu.cuCheckpointProcessCheckpoint(process, None)


def restore(process):
    return cu.cuCheckpointProcessRestore(process, None)


def unlock(process):
    return cu.cuCheckpointProcessUnlock(process, None)


def held():
    """Bytes of the first device that this process has, as the management library tells them."""
    device, memory = u64(), (u64 * 3)()
    ok(ml.nvmlInit_v2())
    ok(ml.nvmlDeviceGetHandleByIndex_v2(0, c.byref(device)))
    ok(ml.nvmlDeviceGetMemoryInfo(device, memory))
    return memory[2]


def by_itself():
    me = os.getpid()
    assert cu.cuCheckpointProcessGetState(me, c.byref(u32())) == 3, "not initialised"
    made = context()

    def late():
        ok(cu.cuCtxSetCurrent(made))
        take(64)

    at, back = take(1 << 20), c.create_string_buffer(8)
    ok(cu.cuMemcpyHtoD_v2(at, b"is there", u64(8)))
    before = held()
    assert state(me) == RUNNING
    # Nothing is done out of turn, and what was refused changed nothing.
    assert [checkpoint(me), restore(me), unlock(me)] == [ILLEGAL] * 3
    assert lock(me) == 0 and state(me) == LOCKED
    assert [lock(me), restore(me)] == [ILLEGAL] * 2
    waiting = threading.Thread(target=late)
    waiting.start()
    assert checkpoint(me) == 0 and state(me) == CHECKPOINTED
    assert held() == 0, "it holds nothing of the device"
    assert [lock(me), checkpoint(me), unlock(me)] == [ILLEGAL] * 3
    assert restore(me) == 0 and state(me) == LOCKED and held() == before
    assert waiting.is_alive(), "calls wait while it is locked"
    assert unlock(me) == 0 and state(me) == RUNNING
    waiting.join()
    ok(cu.cuMemcpyDtoH_v2(back, at, u64(8)))
    assert back.raw == b"is there"
    assert held() > before, "the call that waited was made"
    # Arguments that are not understood.
    assert cu.cuCheckpointProcessLock(me, (u64 * 8)(0, 1)) == 1
    assert cu.cuCheckpointProcessGetState(-1, c.byref(u32())) == 1
    assert cu.cuCheckpointProcessGetState(1 << 30, c.byref(u32())) == 1, "nobody is there"
    # Managed memory is refused: it stays locked, and goes on.
    managed = u64()
    ok(cu.cuMemAllocManaged(c.byref(managed), c.c_size_t(64), 1))
    assert lock(me) == 0 and checkpoint(me) == NOT_SUPPORTED and state(me) == LOCKED
    assert unlock(me) == 0
    ok(cu.cuMemFree_v2(managed))


def by_another():
    other = subprocess.Popen([sys.executable, __file__, "holds"], stdin=-1, stdout=-1, text=True)
    assert other.stdout.readline() == "holds\n"
    thread = c.c_int()
    ok(cu.cuCheckpointProcessGetRestoreThreadId(other.pid, c.byref(thread)))
    assert os.path.exists(f"/proc/{other.pid}/task/{thread.value}")
    assert state(other.pid) == RUNNING and lock(other.pid, 10_000) == 0
    assert checkpoint(other.pid) == 0 and state(other.pid) == CHECKPOINTED
    assert [restore(other.pid), unlock(other.pid)] == [0, 0]
    other.stdin.write("go on\n")
    other.stdin.flush()
    assert other.stdout.readline() == "still there\n"
    # In a call that takes long it is not locked in time, and runs as if nobody had asked.
    other.stdin.write("wait\n")
    other.stdin.flush()
    assert other.stdout.readline() == "waits\n"
    assert lock(other.pid, 20) == NOT_READY and state(other.pid) == RUNNING
    other.kill()
    other.wait()


def holds():
    context()
    at, back = take(1 << 20), c.create_string_buffer(8)
    ok(cu.cuMemcpyHtoD_v2(at, b"is there", u64(8)))
    print("holds", flush=True)
    sys.stdin.readline()
    ok(cu.cuMemcpyDtoH_v2(back, at, u64(8)))
    assert back.raw == b"is there"
    print("still there", flush=True)
    sys.stdin.readline()
    wait = c.CFUNCTYPE(None, c.c_void_p)(lambda _: (print("waits", flush=True), sys.stdin.readline()))
    cu.cuLaunchHostFunc(None, wait, None)


def opened():
    """Memory of another process cannot be brought back."""

    class Handle(c.Structure):
        _fields_ = [("bytes", c.c_byte * 64)]

    cu.cuIpcOpenMemHandle_v2.argtypes = [c.c_void_p, Handle, u32]
    context()
    if len(sys.argv) == 2:
        handle = Handle()
        ok(cu.cuIpcGetMemHandle(c.byref(handle), take(5000)))
        subprocess.run([sys.executable, __file__, "opened", bytes(handle).hex()], check=True)
        return
    me = os.getpid()
    handle = Handle.from_buffer_copy(bytes.fromhex(sys.argv[2]))
    ok(cu.cuIpcOpenMemHandle_v2(c.byref(u64()), handle, 1))
    assert [lock(me), checkpoint(me)] == [0, 0]
    assert restore(me) == 1 and state(me) == FAILED
    assert [restore(me), unlock(me), lock(me)] == [ILLEGAL] * 3
    os._exit(0)


def off():
    context()
    assert cu.cuCheckpointProcessGetState(os.getpid(), c.byref(u32())) == NOT_SUPPORTED


def mig():
    context()
    me = os.getpid()
    assert lock(me) == 0 and checkpoint(me) == 2 and state(me) == LOCKED
    assert unlock(me) == 0


def again():
    context()
    me, at, back = os.getpid(), take(64), c.create_string_buffer(8)
    ok(cu.cuMemcpyHtoD_v2(at, b"is there", u64(8)))
    assert lock(me) == 0 and checkpoint(me) == 0
    assert restore(me) == 2 and state(me) == CHECKPOINTED and held() == 0
    assert restore(me) == 0 and unlock(me) == 0
    ok(cu.cuMemcpyDtoH_v2(back, at, u64(8)))
    assert back.raw == b"is there"


globals()[sys.argv[1]]()
