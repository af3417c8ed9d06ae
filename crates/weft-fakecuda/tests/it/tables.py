"""A table that no header describes: the functions of a module, as cuFFT finds its own."""

from driver import *

MODULES = (c.c_uint8 * 16)(*bytes.fromhex("6e163fbeb958444d835ce182aff1991e"))
PTX = b".version 8.0\n.visible .entry one(.param .u64 x) { ret; }\n.visible .entry two() { ret; }"

context()
table, module, one, two, seen = c.POINTER(c.c_void_p)(), u64(), u64(), u64(), []
ok(cu.cuGetExportTable(c.byref(table), MODULES))
ok(cu.cuModuleLoadData(c.byref(module), PTX))
ok(cu.cuModuleGetFunction(c.byref(two), module, b"two"))
CALL = c.CFUNCTYPE(None, c.c_size_t, u64, u64)
each = c.CFUNCTYPE(u64, u64, u64, CALL, c.c_size_t)(table[7])
note = CALL(lambda data, function, owner: seen.append((data, function)))
assert each(0, module, note, 7) == 2, "it answers how many there are"
ok(cu.cuModuleGetFunction(c.byref(one), module, b"one"))
assert seen == [(7, one.value), (7, two.value)]
assert each(0, 1, note, 7) == 0 and len(seen) == 2
