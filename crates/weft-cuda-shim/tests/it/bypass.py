"""Ways around a limit of memory, each in a process of its own: `bypass.py <true driver> <limit>`.

After every call the driver itself is asked how much is taken: never more than the limit. An attempt
that succeeds as often as it likes is one that found a way. Prints the attempts' names.
"""

import ctypes as c
import os
import subprocess
import sys

MIB, LIMIT = 1 << 20, int(sys.argv[2])
REFUSED = (2, 801, 900)
ATTEMPTS = []
HERE = os.path.dirname(os.path.abspath(__file__))


def attempt(function):
    ATTEMPTS.append(function)
    return function


def taken():
    """Bytes of the device that are taken, by the true driver."""
    free, total = u64(), u64()
    ok(true.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
    return total.value - free.value


def until_refused(get, most=200):
    """Takes until it is refused; how often it was had."""
    for had in range(most):
        result = get()
        assert taken() <= LIMIT, (had, taken())
        if result:
            assert result in REFUSED, result
            return had
    raise AssertionError("never refused")


def out():
    return c.byref(u64())


class Properties(c.Structure):
    _fields_ = [(n, c.c_uint32) for n in ("kind", "handles", "place")] + [
        ("device", c.c_int),
        ("rest", c.c_uint64 * 8),
    ]


ON_DEVICE = Properties(1, 1, 1, 0)
PTX = b".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry work(.param .u64 x) { ret; }"


def create(size=128 * MIB, where=ON_DEVICE):
    handle = u64()
    return cu.cuMemCreate(c.byref(handle), u64(size), c.byref(where), u64(0)), handle


@attempt
def plain():
    assert until_refused(lambda: cu.cuMemAlloc_v2(out(), u64(128 * MIB))) > 20


@attempt
def pitched_rows():
    wide = lambda: cu.cuMemAllocPitch_v2(out(), out(), u64(1), u64(256 << 10), 4)
    assert until_refused(wide) > 20, "rows of one byte take 512"


@attempt
def managed():
    until_refused(lambda: cu.cuMemAllocManaged(out(), u64(128 * MIB), 1))


@attempt
def first_revisions():
    low = c.byref(u32())
    assert cu.cuMemAlloc(low, 128 * MIB) in REFUSED
    assert cu.cuMemAllocPitch(low, low, 1 << 20, 128, 4) in REFUSED


@attempt
def ordered():
    until_refused(lambda: cu.cuMemAllocAsync(out(), u64(100 * MIB), None))


@attempt
def ordered_by_thread():
    until_refused(lambda: cu.cuMemAllocAsync_ptsz(out(), u64(100 * MIB), c.c_void_p(2)))


@attempt
def pools_that_keep_what_was_freed():
    def fill_and_free():
        pool, at = u64(), u64()
        ok(cu.cuMemPoolCreate(c.byref(pool), c.byref(ON_DEVICE)))
        ok(cu.cuMemPoolSetAttribute(pool, 4, c.byref(u64(1 << 40))))
        result = cu.cuMemAllocFromPoolAsync(c.byref(at), u64(1 << 30), pool, None)
        if result == 0:
            ok(cu.cuMemFreeAsync(at, None))
            ok(cu.cuCtxSynchronize())
        return result

    assert until_refused(fill_and_free) == LIMIT // (1 << 30) - 1, "a context is there too"


@attempt
def pool_destroyed_while_in_use():
    def orphan():
        pool = u64()
        ok(cu.cuMemPoolCreate(c.byref(pool), c.byref(ON_DEVICE)))
        result = cu.cuMemAllocFromPoolAsync(out(), u64(512 * MIB), pool, None)
        ok(cu.cuMemPoolDestroy(pool))
        return result

    until_refused(orphan)


@attempt
def pool_of_another_process():
    assert cu.cuMemPoolImportFromShareableHandle(out(), u64(3), 1, u64(0)) == 801


@attempt
def created():
    until_refused(lambda: create()[0])


@attempt
def created_mapped_and_released():
    base, pieces = u64(), iter(range(200))
    ok(cu.cuMemAddressReserve(c.byref(base), u64(LIMIT * 4), u64(0), u64(0), u64(0)))

    def piece():
        result, handle = create()
        if result == 0:
            at = u64(base.value + next(pieces) * 128 * MIB)
            ok(cu.cuMemMap(at, u64(128 * MIB), u64(0), handle, u64(0)))
            ok(cu.cuMemRelease(handle))
        return result

    until_refused(piece)


@attempt
def retained_and_released():
    def kept():
        base, again = u64(), u64()
        result, handle = create()
        if result == 0:
            ok(cu.cuMemAddressReserve(c.byref(base), u64(128 * MIB), u64(0), u64(0), u64(0)))
            ok(cu.cuMemMap(base, u64(128 * MIB), u64(0), handle, u64(0)))
            ok(cu.cuMemRetainAllocationHandle(c.byref(again), base))
            ok(cu.cuMemUnmap(base, u64(128 * MIB)))
            ok(cu.cuMemRelease(handle))
        return result

    until_refused(kept)


def free_here():
    free, total = u64(), u64()
    ok(cu.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
    return free.value


def child(code, *fds, **environment):
    """Another program, in the same container; what it printed."""
    start = f"import sys; sys.argv[1:] = {sys.argv[1:]!r}; sys.path[:0] = [{HERE!r}]\n"
    start += "import os\nfrom driver import *\ncontext()\n"
    run = subprocess.run(
        [sys.executable, "-c", start + code],
        env={**os.environ, **environment},
        pass_fds=fds,
        stdout=subprocess.PIPE,
        check=True,
    )
    return run.stdout.decode()


@attempt
def created_by_a_process_that_is_gone():
    base = u64()
    ok(cu.cuMemAddressReserve(c.byref(base), u64(LIMIT * 4), u64(0), u64(0), u64(0)))
    for had in range(8):
        # The file of memory that another program took and left behind.
        file, handle = os.memfd_create("left"), u64()
        os.truncate(file, 1 << 30)
        ok(cu.cuMemImportFromShareableHandle(c.byref(handle), u64(file), 1))
        at = u64(base.value + (had << 30))
        if cu.cuMemMap(at, u64(1 << 30), u64(0), handle, u64(0)) == 2:
            assert had == 3 and free_here() < 1 << 30
            return
    raise AssertionError("never refused")


@attempt
def opened_from_another_process():
    class Handle(c.Structure):
        _fields_ = [("bytes", c.c_byte * 64)]

    cu.cuIpcOpenMemHandle_v2.argtypes = [c.c_void_p, Handle, u32]
    holder = subprocess.Popen(
        [sys.executable, "-c", f"""
import sys; sys.path[:0] = [{HERE!r}]
from driver import *
context()
handle = (c.c_byte * 64)()
ok(cu.cuIpcGetMemHandle(handle, take(1 << 30)))
print(bytes(handle).hex(), flush=True)
sys.stdin.read()
"""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    handle, at = Handle.from_buffer_copy(bytes.fromhex(holder.stdout.readline())), u64()
    before = free_here()
    ok(cu.cuIpcOpenMemHandle_v2(c.byref(at), handle, 1))
    assert free_here() == before - (1 << 30), "it stays when its owner goes"
    holder.communicate("")
    held = until_refused(lambda: cu.cuMemAlloc_v2(out(), u64(128 * MIB)))
    assert held * 128 * MIB <= LIMIT - (1 << 30), held
    ok(cu.cuIpcCloseMemHandle(at))
    ok(cu.cuMemAlloc_v2(out(), u64(1 << 29)))


@attempt
def arrays():
    shape = (u64 * 3)(4096, 4096, 4)
    what = (u64 * 5)(*shape, 0x20 | 2 << 32, 0)
    until_refused(lambda: cu.cuArray3DCreate_v2(out(), what))
    flat = (u64 * 3)(4096, 4096, 0x20 | 4 << 32)
    until_refused(lambda: cu.cuArrayCreate_v2(out(), flat))
    assert cu.cuArray3DCreate(out(), what) == 801 and cu.cuArrayCreate(out(), flat) == 801


@attempt
def mipmaps():
    what = (u64 * 5)(4096, 4096, 0, 0x20 | 4 << 32, 0)
    until_refused(lambda: cu.cuMipmappedArrayCreate(out(), what, 12))


def made(call, *arguments):
    got = u64()
    ok(call(c.byref(got), *arguments))
    return got


def stream():
    return made(cu.cuStreamCreate, 1)


def taking(size=128 * MIB):
    """A graph that takes memory and does not free it."""
    graph, what = made(cu.cuGraphCreate, 0), (u64 * 15)(1, 1)
    what[13] = size
    ok(cu.cuGraphAddMemAllocNode(out(), graph, None, u64(0), what))
    return graph


def ready(graph, flags=0):
    return made(cu.cuGraphInstantiateWithFlags, graph, u64(flags))


@attempt
def graphs():
    where = stream()
    assert until_refused(lambda: cu.cuGraphLaunch(ready(taking()), where)) > 20
    huge = ready(taking(LIMIT * 2))
    assert cu.cuGraphLaunch(huge, where) == cu.cuGraphUpload(huge, where) == 2


@attempt
def graphs_by_the_node_of_all_kinds():
    def one():
        graph, what = made(cu.cuGraphCreate, 0), (u64 * 32)(10, 0, 1, 1)
        what[15] = 128 * MIB
        ok(cu.cuGraphAddNode(out(), graph, None, u64(0), what))
        return cu.cuGraphLaunch_ptsz(ready(graph), None)

    assert until_refused(one) > 20


@attempt
def graphs_in_many_streams():
    assert until_refused(lambda: cu.cuGraphLaunch(ready(taking()), stream())) > 20


@attempt
def graphs_uploaded():
    # What is uploaded and does not run is given up for the next.
    for _ in range(64):
        ok(cu.cuGraphUpload(ready(taking()), stream()))
        assert taken() <= LIMIT
    until_refused(lambda: cu.cuMemAlloc_v2(out(), u64(128 * MIB)))


@attempt
def graphs_uploaded_at_once():
    def one():
        how = (u64 * 4)(2, where.value)
        return cu.cuGraphInstantiateWithParams(out(), taking(), how)

    where = stream()
    assert until_refused(lambda: one() or cu.cuMemAlloc_v2(out(), u64(128 * MIB))) > 20


@attempt
def graphs_inside_graphs():
    def one():
        inner, outer, words = taking(), made(cu.cuGraphCreate, 0), (u64 * 32)(4)
        words[2], words[3] = inner.value, 1
        ok(cu.cuGraphAddNode(out(), outer, None, u64(0), words))
        return cu.cuGraphLaunch(ready(outer), where)

    where = stream()
    assert until_refused(one) > 20
    assert cu.cuGraphAddChildGraphNode(out(), taking(), None, u64(0), taking()), "no clones"
    assert cu.cuGraphClone(out(), taking())


@attempt
def graphs_updated():
    def one():
        exec = ready(taking(MIB), 1)
        ok(cu.cuGraphExecUpdate_v2(exec, taking(), (u64 * 3)()))
        return cu.cuGraphLaunch(exec, where)

    where = stream()
    assert until_refused(one) > 20


@attempt
def graphs_that_are_gone():
    def one():
        graph = taking()
        exec = ready(graph)
        result = cu.cuGraphLaunch(exec, where)
        ok(cu.cuGraphExecDestroy(exec))
        ok(cu.cuGraphDestroy(graph))
        return result

    where = stream()
    assert until_refused(one) > 20, "what they took is not freed"


def captured(take):
    where, graph = stream(), u64()
    ok(cu.cuStreamBeginCapture_v2(where, 0))
    ok(take(out(), u64(128 * MIB), where))
    ok(cu.cuStreamEndCapture(where, c.byref(graph)))
    return cu.cuGraphLaunch(ready(graph), where)


@attempt
def captures():
    assert until_refused(lambda: captured(cu.cuMemAllocAsync)) > 20


@attempt
def captures_of_pools():
    pool = made(cu.cuMemPoolCreate, c.byref(ON_DEVICE))
    take = lambda at, size, where: cu.cuMemAllocFromPoolAsync(at, size, pool, where)
    assert until_refused(lambda: captured(take)) > 20


@attempt
def multicast():
    assert cu.cuMulticastCreate(*[u64(0)] * 4) == 801


@attempt
def many_contexts():
    assert until_refused(lambda: cu.cuCtxCreate_v2(out(), 0, 0)) > 20


@attempt
def second_context():
    ok(cu.cuMemAlloc_v2(out(), u64(3 << 30)))
    ok(cu.cuCtxCreate_v2(out(), 0, 0))
    assert cu.cuMemAlloc_v2(out(), u64(1 << 30)) == 2


@attempt
def primary_context():
    ok(cu.cuMemAlloc_v2(out(), u64(LIMIT - 100 * MIB)))
    assert cu.cuDevicePrimaryCtxRetain(out(), 0) == 2, "there is no room for it"


@attempt
def code():
    assert until_refused(lambda: cu.cuModuleLoadData(out(), PTX), 5000) > 1000


@attempt
def libraries():
    load = lambda: cu.cuLibraryLoadData(out(), PTX, None, None, 0, None, None, 0)
    assert until_refused(load, 5000) > 1000


@attempt
def heap_of_kernels():
    assert cu.cuCtxSetLimit(2, u64(LIMIT * 2)) == 2
    ok(cu.cuCtxSetLimit(2, u64(LIMIT // 2)))
    held = until_refused(lambda: cu.cuMemAlloc_v2(out(), u64(128 * MIB)))
    assert held * 128 * MIB <= LIMIT // 2, held


@attempt
def freed_twice():
    at = u64()
    ok(cu.cuMemAlloc_v2(c.byref(at), u64(1 << 30)))
    ok(cu.cuMemFree_v2(at))
    assert all(cu.cuMemFree_v2(at) for _ in range(9))
    assert all(cu.cuMemFree_v2(u64(0)) == 0 for _ in range(9))
    assert until_refused(lambda: cu.cuMemAlloc_v2(out(), u64(128 * MIB))) < 32


@attempt
def sizes_that_wrap():
    for size in (-1, -MIB, 1 << 63, (1 << 64) - LIMIT):
        assert cu.cuMemAlloc_v2(out(), u64(size)) == 2
        assert cu.cuMemAllocAsync(out(), u64(size), None) == 2
        assert cu.cuMemAllocPitch_v2(out(), out(), u64(size), u64(2), 4) == 2
        assert create(size)[0] in (1, 2)


def race(one, bytes):
    """Eight threads take as much as they can at the same time, each with a stream of its own."""
    import threading

    current, had = u64(), []
    ok(cu.cuCtxGetCurrent(c.byref(current)))

    def run():
        ok(cu.cuCtxSetCurrent(current))
        where = stream()
        had.append(until_refused(lambda: one(where)))

    all_of_them = [threading.Thread(target=run) for _ in range(8)]
    [thread.start() for thread in all_of_them]
    [thread.join() for thread in all_of_them]
    assert len(had) == 8 and LIMIT // 2 < sum(had) * bytes <= LIMIT, had


@attempt
def threads():
    race(lambda where: cu.cuMemAlloc_v2(out(), u64(32 * MIB)), 32 * MIB)


@attempt
def threads_with_pools():
    def one(where):
        kept, gone = u64(), u64()
        if cu.cuMemAllocAsync(c.byref(gone), u64(16 * MIB), where) == 0:
            ok(cu.cuMemFreeAsync(gone, where))
        return cu.cuMemAllocAsync(c.byref(kept), u64(32 * MIB), where)

    race(one, 32 * MIB)


@attempt
def threads_with_graphs():
    def one(where):
        launched = cu.cuGraphLaunch(ready(taking(32 * MIB)), where)
        return launched or cu.cuMemAlloc_v2(out(), u64(16 * MIB))

    race(one, 48 * MIB)


@attempt
def another_device():
    ok(cu.cuCtxCreate_v2(out(), 0, 1)), "a device that the container was given nothing of"
    assert cu.cuMemAlloc_v2(out(), u64(4096)) == 2
    assert cu.cuMemAllocAsync(out(), u64(4096), None) == 2
    assert create(2 * MIB, Properties(1, 1, 1, 1))[0] == 2


TRY = "at = u64(); print(cu.cuMemAlloc_v2(c.byref(at), u64(2 << 30)))"


@attempt
def fork_and_exec():
    ok(cu.cuMemAlloc_v2(out(), u64(3 << 30)))
    assert child(TRY) == "2\n"


@attempt
def environment():
    ok(cu.cuMemAlloc_v2(out(), u64(3 << 30)))
    # What `cargo xtask sanitize` loads first stays.
    first = os.environ.get("LD_PRELOAD", "")
    said = {"WEFT_GPU_FOLDER": "/nowhere", "CUDA_VISIBLE_DEVICES": "0", "LD_PRELOAD": first}
    assert child(TRY, **said, HOME="/nowhere", PATH="") == "2\n"


@attempt
def bound_deeply():
    again = c.CDLL("libcuda.so.1", mode=os.RTLD_NOW | os.RTLD_LOCAL | 8)
    until_refused(lambda: again.cuMemAlloc_v2(out(), u64(128 * MIB)))


@attempt
def another_namespace():
    ok(cu.cuMemAlloc_v2(out(), u64(3 << 30)))
    whole = c.CDLL(None)
    whole.dlmopen.restype = whole.dlsym.restype = c.c_void_p
    handle = c.c_void_p(whole.dlmopen(c.c_long(-1), b"libcuda.so.1", 2))
    symbol = lambda name: c.CFUNCTYPE(c.c_uint32, *[u64] * 4)(whole.dlsym(handle, name))
    at = u64()
    where = c.addressof(at)
    ok(symbol(b"cuInit")(0, 0, 0, 0))
    ok(symbol(b"cuCtxCreate_v2")(where, 0, 0, 0))
    assert symbol(b"cuMemAlloc_v2")(where, 2 << 30, 0, 0) == 2, "the ledger is one"


@attempt
def every_name_at_every_version():
    names = {"cuMemAlloc": 1, "cuMemAllocManaged": 1, "cuMemAllocAsync": 1, "cuMemCreate": 1}
    ok(cu.cuMemAlloc_v2(out(), u64(LIMIT - 100 * MIB)))
    asked, found, state = 0, c.c_void_p(), i32()
    for version in [v * 1000 + m * 10 for v in range(2, 14) for m in range(10)]:
        for name in names:
            for flags in (0, 1, 2):
                where = (name.encode(), c.byref(found), version, u64(flags), c.byref(state))
                if cu.cuGetProcAddress_v2(*where) or not found.value:
                    continue
                call = c.CFUNCTYPE(c.c_uint32, *[u64] * 4)(found.value)
                at = u64()
                fourth = 1 if name == "cuMemAllocManaged" else 0
                third = c.addressof(ON_DEVICE) if name == "cuMemCreate" else fourth
                assert call(c.addressof(at), 512 * MIB, third, 0) in REFUSED, (name, version)
                asked += 1
    assert asked > 700, asked


def run(function):
    """In a process that has not met the driver yet."""
    global cu, true, u64, u32, i32, ok
    sys.path[:0] = [HERE]
    from driver import cu, context, i32, ok, u32, u64

    true = c.CDLL(sys.argv[1])
    context()
    function()


u64, u32, i32 = c.c_uint64, c.c_uint32, c.c_int
# The address sanitizer is in one namespace alone and lets nothing be bound deeply: these two are
# named there and not tried.
sanitized = "asan" in os.environ.get("LD_PRELOAD", "")
for function in ATTEMPTS:
    number = os.fork()
    if number == 0:
        if not (sanitized and function in (bound_deeply, another_namespace)):
            run(function)
        os._exit(0)
    assert os.waitpid(number, 0)[1] == 0, function.__name__
    print(function.__name__)
