"""Graphs made node by node and captured, and the memory that they take when they are launched."""

from driver import *

MIB = 1 << 20
USED, USED_MOST, RESERVED, RESERVED_MOST = range(4)


class Takes(c.Structure):
    """CUDA_MEM_ALLOC_NODE_PARAMS."""

    _fields_ = [(n, u32) for n in ("kind", "handles", "place", "device")] + [
        ("rest", u64 * 9),
        *[(n, u64) for n in ("accesses", "count", "bytes", "at")],
    ]


def amount(number):
    value = u64()
    ok(cu.cuDeviceGetGraphMemAttribute(0, number, c.byref(value)))
    return value.value


def made(call, *arguments):
    out = u64()
    ok(call(c.byref(out), *arguments))
    return out


def graph():
    return made(cu.cuGraphCreate, 0)


def takes(graph, size, result=0):
    what, node = Takes(1, 0, 1, 0, bytes=size), u64()
    assert cu.cuGraphAddMemAllocNode(c.byref(node), graph, None, u64(0), c.byref(what)) == result
    return u64(what.at), node


def gives(graph, at, result=0):
    assert cu.cuGraphAddMemFreeNode(out(), graph, None, u64(0), at) == result


def exec_of(graph, flags=0):
    return made(cu.cuGraphInstantiateWithFlags, graph, u64(flags))


def out():
    return c.byref(u64())


context()
total, streams = info()[1], [made(cu.cuStreamCreate, 1) for _ in range(2)]

# Nodes have types, and take nothing by being made; a graph inside is found.
inner = graph()
at, node = takes(inner, 3 * MIB)
gives(inner, at)
gives(inner, at, 1)
kind, count, nodes = u32(), u64(), (u64 * 8)()
ok(cu.cuGraphNodeGetType(node, c.byref(kind)))
ok(cu.cuGraphGetNodes(inner, None, c.byref(count)))
assert kind.value == 10 and count.value == 2
count.value = 8
ok(cu.cuGraphGetNodes(inner, nodes, c.byref(count)))
assert count.value == 2 and nodes[0] == node.value
said = Takes()
ok(cu.cuGraphMemAllocNodeGetParams(node, c.byref(said)))
assert (said.place, said.device, said.bytes, said.at) == (1, 0, 3 * MIB, at.value)
assert cu.cuGraphMemFreeNodeGetParams(node, out()) == 1
first = exec_of(inner)
assert info()[0] == total and amount(RESERVED) == 0
assert cu.cuGraphInstantiateWithFlags(out(), inner, u64(0)) == 1, "one at a time"
assert cu.cuGraphClone(out(), inner) == 801
assert cu.cuGraphAddChildGraphNode(out(), graph(), None, u64(0), inner) == 1, "not by a clone"

# A launch takes it, of the granules that memory is created in; it stays until it is trimmed.
ok(cu.cuGraphLaunch(first, streams[0]))
assert info()[0] == total - 4 * MIB and amount(USED) == amount(RESERVED) == 4 * MIB
ok(cu.cuGraphLaunch(first, streams[0]))
assert info()[0] == total - 4 * MIB

# Another graph has the same memory after it in the same stream, and its own in another one.
other = graph()
left, _ = takes(other, 4 * MIB)
second = exec_of(other)
ok(cu.cuGraphUpload(second, streams[0]))
assert amount(RESERVED) == 4 * MIB
ok(cu.cuGraphLaunch(second, streams[0]))
assert cu.cuGraphLaunch(second, streams[0]) == 1, "what it took is not freed"
ok(cu.cuGraphLaunch(first, streams[0]))
assert amount(RESERVED) == 8 * MIB, "what is left there is not written over"
ok(cu.cuMemsetD8_v2(left, 7, u64(4 * MIB)))
ok(cu.cuDeviceGraphMemTrim(0))
assert amount(RESERVED) == 4 * MIB, "what is left stays"
ok(cu.cuMemFreeAsync(left, streams[0]))
assert cu.cuMemFree_v2(left) == 1, "once"
ok(cu.cuDeviceGraphMemTrim(0))
assert amount(RESERVED) == amount(USED) == 0 and info()[0] == total
assert amount(RESERVED_MOST) == 8 * MIB
ok(cu.cuDeviceSetGraphMemAttribute(0, RESERVED_MOST, c.byref(u64(0))))
assert amount(RESERVED_MOST) == 0
assert cu.cuDeviceSetGraphMemAttribute(0, RESERVED, c.byref(u64(0))) == 1

# What can be launched ends and keeps its memory for others; what a launch left outlives both.
ok(cu.cuGraphLaunch(second, streams[1]))
ok(cu.cuGraphExecDestroy(second))
ok(cu.cuGraphDestroy(other))
ok(cu.cuDeviceGraphMemTrim(0))
assert amount(RESERVED) == 4 * MIB
ok(cu.cuMemFree_v2(left))
assert amount(RESERVED) == 4 * MIB and amount(USED) == 0
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == total
assert cu.cuMemFree_v2(left) == 1

# Captured it is the same; freed at each launch where that was asked for.
size, stream = 5 * MIB, streams[0]
ok(cu.cuStreamBeginCapture_v2(stream, 0))
at, gone, captured = u64(), u64(), u64()
ok(cu.cuMemAllocAsync(c.byref(at), u64(size), stream))
ok(cu.cuMemAllocAsync(c.byref(gone), u64(size), stream))
ok(cu.cuMemsetD8Async(at, 9, u64(size), stream))
ok(cu.cuMemFreeAsync(gone, stream))
ok(cu.cuStreamEndCapture(stream, c.byref(captured)))
assert info()[0] == total
again = exec_of(captured, 1)
for _ in range(3):
    ok(cu.cuGraphLaunch(again, stream))
room = (c.c_uint8 * 4)()
ok(cu.cuMemcpyDtoH_v2(room, at, u64(4)))
assert bytes(room) == b"\t" * 4 and amount(RESERVED) == 10 * MIB

# A graph that is moved into another one; another of the same form in its place.
outer, words = graph(), (u64 * 32)(4, 0, captured.value, 1)
ok(cu.cuGraphExecDestroy(again))
ok(cu.cuGraphAddNode(out(), outer, None, u64(0), words))
assert cu.cuGraphInstantiateWithFlags(out(), captured, u64(0)) == 1
assert cu.cuGraphDestroy(captured) == 1, "it is the other's"
takes(captured, MIB, 1)
whole = exec_of(outer, 1)
ok(cu.cuGraphLaunch(whole, stream))
update = graph()
assert cu.cuGraphExecUpdate_v2(whole, update, (u64 * 3)()) == 910
how = (u64 * 4)(2, stream.value)
small = graph()
takes(small, MIB)
ok(cu.cuGraphInstantiateWithParams(out(), small, how))
ok(cu.cuMemFree_v2(at))
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == total

# More than the device has is refused when it is launched; a context takes all with it.
large = graph()
takes(large, total)
takes(large, total)
whole = exec_of(large)
assert cu.cuGraphLaunch(whole, stream) == 2 and amount(RESERVED) == 0
ok(cu.cuGraphLaunch(first, stream))
assert amount(RESERVED) == 4 * MIB
