"""A process as a client of MPS: what it may have, and when it is one."""

import os
import subprocess
import sys

from driver import *

MIB = 1 << 20


def attribute(number):
    value = c.c_int()
    ok(cu.cuDeviceGetAttribute(c.byref(value), number, 0))
    return value.value


def fits(mib):
    return cu.cuMemAlloc_v2(c.byref(u64()), c.c_size_t(mib * MIB))


def client():
    context()
    wanted = [int(number) for number in sys.argv[2:]]
    assert [attribute(133), attribute(16)] == wanted[:2], (attribute(133), attribute(16))
    limit = wanted[2]
    assert [fits(limit - 1), fits(2), fits(1), fits(1)] == [0, 2, 0, 2]
    # Nor by the way of memory without addresses, nor by a pool.
    properties = (c.c_uint32 * 8)(1, 0, 1, 0)
    assert cu.cuMemCreate(c.byref(u64()), c.c_size_t(2 * MIB), properties, u64(0)) == 2
    assert cu.cuMemAllocAsync(c.byref(u64()), c.c_size_t(MIB), None) == 2


def orphan():
    context()
    assert fits(1) == 0
    print("client", flush=True)
    sys.stdin.readline()
    assert fits(1) == 810, "its server is gone"


globals()[sys.argv[1]]()
