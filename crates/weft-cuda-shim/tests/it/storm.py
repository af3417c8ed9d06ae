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


def child(seed):
    from driver import c, context, cu, u64

    chance, blocks, granted = random.Random(seed), [], 0
    context()
    for _ in range(ROUNDS):
        at = u64()
        if cu.cuMemAlloc_v2(c.byref(at), u64(chance.randrange(1 << 20, 100 << 20))) == 0:
            blocks.append(at)
            granted += 1
        elif blocks:
            assert cu.cuMemFree_v2(blocks.pop(chance.randrange(len(blocks)))) == 0
        else:
            time.sleep(0)
    for at in blocks:
        assert cu.cuMemFree_v2(at) == 0
    return granted


children, chance, most, looks = {}, random.Random(7), 0, 0
for seed in range(PROCESSES):
    number = os.fork()
    if number == 0:
        os._exit(0 if child(seed) >= 0 else 1)
    children[number] = False
while children:
    most, looks = max(most, held()), looks + 1
    if looks % 20 == 0:
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
