"""The second allocation fails with the number that was asked for; the others do not."""

import sys

from driver import *

context()
results = [cu.cuMemAlloc_v2(c.byref(u64()), c.c_size_t(4096)) for _ in range(3)]
assert results == [0, int(sys.argv[1]), 0], results
