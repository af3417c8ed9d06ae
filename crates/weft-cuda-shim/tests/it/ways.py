"""Every way to a function: by its export, by the loader, by `cuGetProcAddress`, by the runtime.

Prints the symbols that are more than a jump.
"""

import sys

from driver import *

true = c.CDLL(sys.argv[2])
address = lambda library, symbol: c.cast(getattr(library, symbol), c.c_void_p).value
anywhere = c.CDLL(None)
anywhere.dlsym.restype = c.c_void_p
context()
watched = set()
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1]) if not line.startswith("#")]
for name, since, symbol, _ in rows:
    ours, theirs = address(cu, symbol), address(true, symbol)
    assert ours != theirs, symbol
    by_loader = anywhere.dlsym(c.c_void_p(cu._handle), symbol.encode())
    assert by_loader == ours, symbol
    flags, answers = u64(2 if symbol.endswith(("_ptds", "_ptsz")) else 1), set()
    for ask in (cu.cuGetProcAddress, cu.cuGetProcAddress_v2):
        found, state = c.c_void_p(), i32()
        ok(ask(name.encode(), c.byref(found), int(since), flags, c.byref(state)), symbol)
        answers.add(found.value)
    assert len(answers) == 1, symbol
    answer = answers.pop()
    # The true function itself where nothing is to be done, else ours.
    assert answer in (ours, theirs), symbol
    if answer == ours:
        watched.add(symbol)
for runtime in sys.argv[3:]:
    rt = c.CDLL(runtime)
    for symbol in sorted(watched):
        found = c.c_void_p()
        if rt.cudaGetDriverEntryPoint(symbol.encode(), c.byref(found), u64(0), None) == 0:
            assert not found.value or found.value != address(true, symbol), symbol
for symbol in sorted(watched):
    print(symbol)
