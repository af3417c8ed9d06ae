"""Every way to a function: by its export, by the loader, by `cuGetProcAddress`, by the runtime; at
every version that any function came with, as the tables have it from the driver's headers.

Prints the symbols that are more than a jump.
"""

import sys

from driver import *

true = c.CDLL(sys.argv[2])
address = lambda library, symbol: c.cast(getattr(library, symbol), c.c_void_p).value
anywhere = c.CDLL(None)
anywhere.dlsym.restype = c.c_void_p
context()
LEGACY, THREAD = 1, 2
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1]) if not line.startswith("#")]
revisions = {}
for name, since, symbol, _ in rows:
    stream = THREAD if symbol.endswith(("_ptds", "_ptsz")) else LEGACY
    revisions.setdefault(name, []).append((int(since), stream, symbol))
versions = sorted({int(since) for _, since, *_ in rows})


def meant(name, version, stream):
    """The symbol that a program of a version means; none where there was none yet."""
    there = [revision for revision in revisions[name] if revision[0] <= version]
    own = [revision for revision in there if revision[1] == stream]
    own = own or [revision for revision in there if revision[1] == LEGACY]
    return max(own)[2] if own else None


decided = {}
for _, since, symbol, _ in rows:
    ours, theirs = address(cu, symbol), address(true, symbol)
    assert ours != theirs, symbol
    assert anywhere.dlsym(c.c_void_p(cu._handle), symbol.encode()) == ours, symbol

found, state, asked = c.c_void_p(), i32(), 0
where, status = c.byref(found), c.byref(state)
for name in revisions:
    for version in versions:
        for stream in (LEGACY, THREAD):
            symbol = meant(name, version, stream)
            for ask in (cu.cuGetProcAddress, cu.cuGetProcAddress_v2):
                result = ask(name.encode(), where, version, u64(stream), status)
                asked += 1
                if symbol is None:
                    assert result == 500, (name, version)
                    continue
                ours, theirs = address(cu, symbol), address(true, symbol)
                # The true function itself where nothing is to be done, else ours: always the one.
                assert result == 0 and found.value in (ours, theirs), (name, version, symbol)
                is_ours = found.value == ours
                assert decided.setdefault(symbol, is_ours) == is_ours, (name, version, symbol)
assert set(decided) == {symbol for _, _, symbol, _ in rows}, "every symbol is some version's"
watched = {symbol for symbol, is_ours in decided.items() if is_ours}
assert asked == len(revisions) * len(versions) * 4, asked

for runtime in sys.argv[3:]:
    rt, asked = c.CDLL(runtime), 0
    at_version = getattr(rt, "cudaGetDriverEntryPointByVersion", None)
    for name in sorted({name for name, _, symbol, _ in rows if symbol in watched}):
        if at_version is None:
            found.value = None
            if rt.cudaGetDriverEntryPoint(name.encode(), where, u64(0), None) == 0 and found.value:
                ours = {address(cu, symbol) for *_, symbol in revisions[name] if symbol in watched}
                assert found.value in ours, name
            continue
        for version in versions:
            symbol = meant(name, version, LEGACY)
            result = at_version(name.encode(), where, version, u64(LEGACY), status)
            if symbol is not None and result == 0 and state.value == 0:
                asked += 1
                expected = address(cu if symbol in watched else true, symbol)
                assert found.value == expected, (name, version, symbol)
    assert at_version is None or asked > 1000, asked
for symbol in sorted(watched):
    print(symbol)
