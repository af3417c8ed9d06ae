"""Sixty-four processes take and give back memory at once; some are killed. The sum is looked at."""

import os
import random
import signal
import struct
import sys
import time

LEDGER, LIMIT = sys.argv[1], int(sys.argv[2])
PROCESSES, ROUNDS, PLACES = 64, 60, 128
# Behind the head: a slot of 128 bytes for each process, a bucket of 64 for each of 16 devices, then
# by device two words for each process.
HELD = 128 + PLACES * 128 + 16 * 64


def held():
    with open(LEDGER, "rb") as file:
        words = struct.unpack_from(f"<{2 * PLACES}Q", file.read(HELD + PLACES * 16), HELD)
    return sum(words[::2])


def graph(cu, size):
    """A graph that takes memory and leaves it, which is given up then; whether there was room."""
    from driver import c, ok, u64

    made, exec, what = u64(), u64(), (u64 * 15)(1, 1)
    what[13] = size
    ok(cu.cuGraphCreate(c.byref(made), 0))
    ok(cu.cuGraphAddMemAllocNode(c.byref(u64()), made, None, u64(0), what))
    ok(cu.cuGraphInstantiateWithFlags(c.byref(exec), made, u64(0)))
    result = cu.cuGraphLaunch(exec, None)
    if result == 0:
        ok(cu.cuMemFree_v2(u64(what[14])))
    ok(cu.cuGraphExecDestroy(exec))
    ok(cu.cuGraphDestroy(made))
    ok(cu.cuDeviceGraphMemTrim(0))
    return int(result == 0)


def child(seed):
    from driver import c, context, cu, u64

    chance, blocks, granted = random.Random(seed), [], 0
    context()
    for _ in range(ROUNDS):
        at = u64()
        if chance.randrange(8) == 0:
            granted += graph(cu, chance.randrange(1 << 20, 100 << 20))
        elif cu.cuMemAlloc_v2(c.byref(at), u64(chance.randrange(1 << 20, 100 << 20))) == 0:
            blocks.append(at)
            granted += 1
        elif blocks:
            assert cu.cuMemFree_v2(blocks.pop(chance.randrange(len(blocks)))) == 0
        else:
            time.sleep(0)
    for at in blocks:
        assert cu.cuMemFree_v2(at) == 0
    return granted


children, chance, most, looks, killed_all = {}, random.Random(7), 0, 0, 0
for seed in range(PROCESSES):
    number = os.fork()
    if number == 0:
        child(seed)
        os._exit(0)
    children[number] = False
while children:
    most, looks = max(most, held()), looks + 1
    # Some are left to the end, and none is killed before there is anything to return.
    if looks % 20 == 0 and most > LIMIT // 2 and killed_all < PROCESSES // 2:
        killed_all += 1
        victim = chance.choice(list(children))
        children[victim] = True
        os.kill(victim, signal.SIGKILL)
    number, status = os.waitpid(-1, os.WNOHANG)
    if number:
        killed = children.pop(number)
        assert status == 0 or (killed and os.WTERMSIG(status) == signal.SIGKILL), status
assert LIMIT // 2 < most <= LIMIT, (most, LIMIT)

# What the killed held is had again, to the byte.
from driver import c, context, cu, info, u64

context()
at = u64()
assert cu.cuMemAlloc_v2(c.byref(at), u64(LIMIT)) == 0, held()
assert info()[0] == 0 and held() == LIMIT
