"""A graph that takes no memory, made, uploaded, launched, updated and ended."""

from driver import *

context()
graph, exec, node = u64(), u64(), u64()
ok(cu.cuGraphCreate(c.byref(graph), 0))
ok(cu.cuGraphAddNode(c.byref(node), graph, None, u64(0), (u64 * 32)(5)))
ok(cu.cuGraphInstantiateWithFlags(c.byref(exec), graph, u64(0)))
ok(cu.cuGraphUpload(exec, None))
for launch in (cu.cuGraphLaunch, cu.cuGraphLaunch_ptsz) * 3:
    ok(launch(exec, None))
ok(cu.cuGraphExecUpdate_v2(exec, graph, (u64 * 3)()))
ok(cu.cuGraphExecDestroy(exec))
ok(cu.cuGraphDestroy(graph))
