"""Prints what every function answers to nothing but nulls, before and after the driver is made."""

import sys

from driver import *

symbols = [line.split("\t")[2] for line in open(sys.argv[1]) if not line.startswith("#")]
symbols += [line.strip() for line in open(sys.argv[2]) if not line.startswith("#")]
nothing = [u64(0)] * 12
# What a quota refuses whatever it is called with.
refused = (
    "cuMulticastCreate",
    "cuArrayCreate",
    "cuArray3DCreate",
    "cuMemPoolImportFromShareableHandle",
)
for ready in (False, True):
    if ready:
        context()
    for symbol in symbols:
        if symbol != "nvmlErrorString" and symbol not in refused:
            print(ready, symbol, getattr(cu, symbol)(*nothing))
