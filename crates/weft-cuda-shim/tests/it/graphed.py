"""Memory that graphs take by themselves in a slice: what counts, and what is given back.

`graphed.py <true driver> <ledger>`, with 4 GiB of the first device and 2 GiB of the second.
"""

import os
import signal
import subprocess
import sys

from driver import *

MIB, GIB = 1 << 20, 1 << 30
HERE = os.path.dirname(os.path.abspath(__file__))
true = c.CDLL(sys.argv[1])


def made(call, *arguments):
    out = u64()
    ok(call(c.byref(out), *arguments))
    return out


def graph(*sizes, device=0, freed=True):
    """A graph that takes memory, all of it at once, and frees it; ready to be launched."""
    made_graph, taken = made(cu.cuGraphCreate, 0), []
    for size in sizes:
        what = (u64 * 15)(1, 1 | device << 32)
        what[13] = size
        made(cu.cuGraphAddMemAllocNode, made_graph, None, u64(0), what)
        taken.append(u64(what[14]))
    for at in taken if freed else []:
        made(cu.cuGraphAddMemFreeNode, made_graph, None, u64(0), at)
    return made(cu.cuGraphInstantiateWithFlags, made_graph, u64(0)), taken


def stream():
    return made(cu.cuStreamCreate, 1)


def kept(device=0):
    value = u64()
    ok(cu.cuDeviceGetGraphMemAttribute(device, 2, c.byref(value)))
    return value.value


def really():
    free, total = u64(), u64()
    ok(true.cuMemGetInfo_v2(c.byref(free), c.byref(total)))
    return total.value - free.value


own = context()
empty, one, two = info()[0], stream(), stream()
assert empty == 4 * GIB

# What it takes is seen when it takes it, and comes back when the driver gives it up.
first, _ = graph(GIB, GIB)
assert info()[0] == empty
for _ in range(3):
    ok(cu.cuGraphLaunch(first, one))
    assert empty - info()[0] == kept() == really() == 2 * GIB
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == empty and kept() == 0

# Two graphs in one stream have the same memory, also where there is no room for both.
ok(cu.cuGraphLaunch(first, one))
second, _ = graph(3 * GIB)
for _ in range(3):
    ok(cu.cuGraphLaunch(second, one))
    assert empty - info()[0] == really() == 3 * GIB
    ok(cu.cuGraphLaunch(first, one))
    assert empty - info()[0] == really() == 3 * GIB
ok(cu.cuGraphUpload(first, one))

# In another stream it has its own; what idles is given up for it, and nothing else is harmed.
ok(cu.cuGraphLaunch(first, two))
assert really() <= 4 * GIB and empty - info()[0] == really() == kept()
held = take(GIB)
assert cu.cuGraphLaunch(graph(5 * GIB)[0], two) == 2
ok(cu.cuGraphLaunch(second, one))
assert really() == 4 * GIB and info()[0] == 0
ok(cu.cuMemFree_v2(held))
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == empty

# What a launch has left counts until it is freed and given up, whoever is gone by then.
third, (left,) = graph(3 * GIB, freed=False)
ok(cu.cuGraphLaunch(third, one))
assert cu.cuGraphLaunch(first, one) == 2 and cu.cuGraphLaunch(third, one) != 0
assert empty - info()[0] == really() == 3 * GIB
ok(cu.cuGraphExecDestroy(third))
ok(cu.cuDeviceGraphMemTrim(0))
assert empty - info()[0] == 3 * GIB
ok(cu.cuMemFreeAsync(left, one))
ok(cu.cuGraphLaunch(second, one))
assert empty - info()[0] == really() == 3 * GIB
ok(cu.cuDeviceGraphMemTrim(0))
assert info()[0] == empty

# Another device's counts there.
there, _ = graph(GIB, device=1)
ok(cu.cuGraphLaunch(there, one))
assert info()[0] == empty and kept(1) == GIB
assert cu.cuGraphLaunch(graph(GIB, 2 * MIB, GIB, device=1)[0], one) == 2
ok(cu.cuDeviceGraphMemTrim(1))

# A process that is killed gives it back.
child = f"""
import sys; sys.path[:0] = [{HERE!r}]; sys.argv[1:] = {sys.argv[1:]!r}
sys.modules["__main__"].__file__ = {__file__!r}
source = open({__file__!r}).read().split("own = context()\\nempty")[0]
exec(compile(source, {__file__!r}, "exec"))
context()
ok(cu.cuGraphLaunch(graph(3 * GIB)[0], stream()))
print(info()[0], flush=True)
sys.stdin.read()
"""
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
holder = subprocess.Popen([sys.executable, "-c", child], **pipes)
assert int(holder.stdout.readline()) == GIB
assert info()[0] == empty - 3 * GIB and cu.cuGraphLaunch(second, one) == 2
holder.send_signal(signal.SIGKILL)
holder.wait()
ok(cu.cuGraphLaunch(second, one))
assert info()[0] == empty - 3 * GIB

# A context takes with it what graphs had in it.
ok(cu.cuCtxDestroy_v2(own))
context()
assert info()[0] == empty
