"""Each revision of each function is what `cuGetProcAddress` answers at its version."""

import sys

from driver import *

asked = 0
for line in open(sys.argv[1]):
    if line.startswith("#"):
        continue
    name, since, symbol, _ = line.rstrip("\n").split("\t")
    exported = c.cast(getattr(cu, symbol), c.c_void_p).value
    thread = symbol.endswith(("_ptds", "_ptsz"))
    found, state = c.c_void_p(), i32(-1)
    flags = u64(2 if thread else 1)
    ok(cu.cuGetProcAddress_v2(name.encode(), c.byref(found), int(since), flags, c.byref(state)))
    assert state.value == 0, symbol
    assert found.value == exported, symbol
    again = c.c_void_p()
    ok(cu.cuGetProcAddress(name.encode(), c.byref(again), int(since), flags))
    assert again.value == exported, symbol
    asked += 1
assert asked > 600, asked

found, state = c.c_void_p(1), i32(-1)
ask = lambda name, version: cu.cuGetProcAddress_v2(
    name, c.byref(found), version, u64(0), c.byref(state)
)
assert ask(b"cuNothing", 13000) == 500 and state.value == 1 and not found.value
assert ask(b"cuMemAllocAsync", 11010) == 500 and state.value == 2, "it came with 11.2"
assert ask(None, 13000) == 500
assert cu.cuGetProcAddress(b"cuInit", None, 13000, u64(0)) == 1
