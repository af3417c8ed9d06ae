"""Kernels, streams, events and graphs: numbers that are right, and times that are exact."""

from driver import *

PTX = b"""
.version 8.0
.target sm_90
.address_size 64
.visible .entry fill(.param .u64 out, .param .f32 value, .param .u32 n) { ret; }
.visible .entry saxpy(.param .f32 a, .param .u64 x, .param .u64 y, .param .u32 n) { ret; }
.visible .entry reduce_sum(.param .u64 x, .param .u64 out, .param .u32 n) { ret; }
.visible .entry mystery(.param .u64 x) { ret; }
"""

context()
module = u64()
assert cu.cuModuleLoadData(c.byref(module), b"no code at all") == 200
ok(cu.cuModuleLoadData(c.byref(module), PTX))


def function(name):
    found = u64()
    ok(cu.cuModuleGetFunction(c.byref(found), module, name), name)
    return found


def launch(f, stream, *values):
    places = (c.c_void_p * len(values))(*[c.cast(c.pointer(v), c.c_void_p) for v in values])
    return cu.cuLaunchKernel(f, 1, 1, 1, 128, 1, 1, 0, stream, places, None)


def event(stream=None):
    made = u64()
    ok(cu.cuEventCreate(c.byref(made), 0))
    if stream is not None:
        ok(cu.cuEventRecord(made, stream))
    return made


def between(a, b):
    ok(cu.cuEventSynchronize(b))
    took = f32()
    ok(cu.cuEventElapsedTime(c.byref(took), a, b))
    return took.value


assert cu.cuModuleGetFunction(c.byref(u64()), module, b"absent") == 500
fill, saxpy, total, mystery = map(function, (b"fill", b"saxpy", b"reduce_sum", b"mystery"))
stream, second = u64(), u64()
ok(cu.cuStreamCreate(c.byref(stream), 1))
ok(cu.cuStreamCreate(c.byref(second), 1))
n = 1000
x, y, out = take(4 * n), take(4 * n), take(4)

start = event(stream)
ok(launch(fill, stream, x, f32(2), u32(n)))
ok(launch(fill, stream, y, f32(1), u32(n)))
ok(launch(saxpy, stream, f32(3), x, y, u32(n)))
ok(launch(total, stream, y, out, u32(n)))
end = event(stream)
assert cu.cuEventQuery(end) == 600, "nobody has waited"
assert between(start, end) == 3 + 3 + 1 + 1
answer = f32()
ok(cu.cuMemcpyDtoH_v2(c.byref(answer), out, c.c_size_t(4)))
assert answer.value == 7 * n

# A device computes one thing after the other, whoever asks.
first = event(stream)
ok(launch(mystery, stream, x))
ok(launch(mystery, second, x))
assert between(first, event(second)) == 2

# A stream that waits for an event is not ready before it.
ok(launch(fill, stream, x, f32(0), u32(n)))
done = event(stream)
ok(cu.cuStreamWaitEvent(second, done, 0))
assert between(done, event(second)) == 0

# A question takes time, so that who asks until it is done gets there.
ok(launch(mystery, stream, x))
asked = 0
while cu.cuStreamQuery(stream) == 600:
    asked += 1
assert 900 < asked <= 1000, asked

# A captured stream does nothing until its graph is launched.
graph, ready = u64(), u64()
ok(cu.cuStreamBeginCapture_v2(stream, 0))
state = u32()
ok(cu.cuStreamIsCapturing(stream, c.byref(state)))
assert state.value == 1
ok(launch(fill, stream, x, f32(5), u32(n)))
ok(launch(total, stream, x, out, u32(n)))
ok(cu.cuStreamEndCapture(stream, c.byref(graph)))
ok(cu.cuMemcpyDtoH_v2(c.byref(answer), out, c.c_size_t(4)))
assert answer.value == 7 * n, "not yet"
ok(cu.cuGraphInstantiateWithFlags(c.byref(ready), graph, u64(0)))
assert cu.cuGraphLaunch(graph, stream) == 400, "only described"
before = event(stream)
for _ in range(3):
    ok(cu.cuGraphLaunch(ready, stream))
assert between(before, event(stream)) == 3 * (3 + 1)
ok(cu.cuMemcpyDtoH_v2(c.byref(answer), out, c.c_size_t(4)))
assert answer.value == 5 * n
ok(cu.cuGraphExecDestroy(ready))
assert cu.cuGraphLaunch(ready, stream) == 400

# What no device would take.
assert cu.cuLaunchKernel(fill, 0, 1, 1, 1, 1, 1, 0, stream, None, None) == 1
assert cu.cuLaunchKernel(fill, 1, 1, 1, 1025, 1, 1, 0, stream, None, None) == 1
assert cu.cuLaunchKernel(module, 1, 1, 1, 1, 1, 1, 0, stream, None, None) == 400
assert cu.cuStreamSynchronize(module) == 400
ok(cu.cuModuleUnload(module))
assert cu.cuModuleUnload(module) == 400
assert launch(mystery, stream, x) == 400, "its module is gone"
