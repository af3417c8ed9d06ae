"""Every function, called with nothing but nulls, answers with a result."""

import sys

from driver import *

symbols = [line.split("\t")[2] for line in open(sys.argv[1]) if not line.startswith("#")]
symbols += [line.strip() for line in open(sys.argv[2]) if not line.startswith("#")]
nothing = [u64(0)] * 12
for ready in (False, True):
    if ready:
        context()
    for symbol in symbols:
        function = getattr(cu, symbol)
        function.restype = u32
        result = function(*nothing)
        assert symbol == "nvmlErrorString" or result < 1000, (symbol, result)
        # What must answer somewhere cannot have answered.
        if symbol in ("cuMemAlloc_v2", "cuCtxCreate_v2", "cuStreamCreate", "cuDeviceGetCount"):
            assert result != 0, symbol
