"""Hooked functions called with anything: `fuzz.py <driver.tsv> <seed> <calls> <hooked, …>`.

Nulls, numbers of nothing, things that are gone, with a context and without one, names at any
version. Prints each call's result and what it answered, to be compared with the driver's own.
"""

import random
import sys
import zlib

from driver import *

chance, hooked = random.Random(int(sys.argv[2])), set(sys.argv[4].split(","))
PTX = b".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry work(.param .u64 x) { ret; }"
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1]) if not line.startswith("#")]
# A copy goes where it is told: nonsense there ends any process. Structures by value are read from
# wherever the stack is.
calls = [(s, p) for _, _, s, p in rows if s in hooked and "m" not in p and "emcpy" not in s]
names = sorted({name for name, *_ in rows})
room = c.create_string_buffer(4096)
things = [0, 1, 3, 0x10, 0xFFFF_FFFF_FFFF_FFFF]


def fill():
    """What a structure's fields may be: small numbers, or one of the things."""
    room.raw = bytes(4096)
    words = c.cast(room, c.POINTER(u64))
    for at in range(12):
        words[at] = chance.choice([0, 1, 1 | 1 << 32, 2, 64, 1 << 21, *things[-4:]])


def argument(letter):
    if letter == "p":
        return room if chance.random() < 0.8 else None
    if letter == "w":
        return i32(chance.choice([0, 1, 2, 4, 32, 512, -1]))
    return u64(chance.choice([*things[-16:], 0, 4096, 1 << 21, 1 << 40, 1 << 63]))


def call(symbol, arguments):
    result = getattr(cu, symbol)(*arguments)
    said = zlib.crc32(room.raw) if result == 0 and "Proc" not in symbol else 0
    print(symbol, result, said)
    if result == 0 and any(argument is room for argument in arguments[:1]):
        things.append(c.cast(room, c.POINTER(u64))[0])


for symbol, letters in calls:
    fill()
    call(symbol, [argument(letter) for letter in letters])
own = context()
stream, module, work, base = u64(), u64(), u64(), u64()
ok(cu.cuStreamCreate(c.byref(stream), 1))
ok(cu.cuModuleLoadData(c.byref(module), PTX))
ok(cu.cuModuleGetFunction(c.byref(work), module, b"work"))
ok(cu.cuMemAddressReserve(c.byref(base), u64(1 << 30), u64(0), u64(0), u64(0)))
things += [stream.value, work.value, base.value, take(4096).value]
# A graph that takes memory, and one that does not; what can be launched of them.
for kind in (10, 5):
    graph, node, exec, what = u64(), u64(), u64(), (u64 * 32)(kind, 0, 1, 1)
    what[15] = 4096
    ok(cu.cuGraphCreate(c.byref(graph), 0))
    ok(cu.cuGraphAddNode(c.byref(node), graph, None, u64(0), what))
    ok(cu.cuGraphInstantiateWithFlags(c.byref(exec), graph, u64(0)))
    things += [graph.value, node.value, exec.value, stream.value]
for _ in range(int(sys.argv[3])):
    fill()
    what = chance.random()
    if what < 0.05:
        ok(cu.cuCtxSetCurrent(chance.choice([u64(0), own])))
    elif what < 0.1:
        name, version = chance.choice(names), chance.choice([0, -1, 2000, 3010, 11020, 13000, 99000])
        flags = u64(chance.choice([0, 1, 2, 3, 4]))
        for ask in ("cuGetProcAddress", "cuGetProcAddress_v2"):
            call(ask, [name.encode(), room, version, flags, None])
    else:
        symbol, letters = chance.choice(calls)
        # The context that everything else is in stays.
        if symbol.startswith(("cuCtxDestroy", "cuDevicePrimaryCtxRe")) and what < 0.9:
            continue
        call(symbol, [argument(letter) for letter in letters])
