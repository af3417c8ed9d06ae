free, total = sees()
assert free == total
print("sees", total)
ok(take(total))
print("took all of it, and then", take(1))
# Another process, with no variable at all: the same part, of which nothing is left.
again = f"""
import ctypes as c
cu = c.CDLL("libcuda.so.1")
u64 = c.c_uint64
context, at = u64(), u64()
assert cu.cuInit(0) == 0 and cu.cuCtxCreate_v2(c.byref(context), 0, 0) == 0
print(cu.cuMemAlloc_v2(c.byref(at), u64(1 << 20)))
"""
found = subprocess.run([sys.executable, "-c", again], env={}, capture_output=True, text=True)
print("without variables", found.stdout.strip() or found.stderr)
while not os.path.exists("/work/go"):
    time.sleep(0.01)
assert sees() == (0, total)
print("still has it")
