"""The management library, before and without the driver."""

import ctypes as c

ml = c.CDLL("libnvidia-ml.so.1")
device, count, number = c.c_uint64(), c.c_uint32(), c.c_uint32()
assert ml.nvmlDeviceGetCount_v2(c.byref(count)) == 1, "not initialised"
assert ml.nvmlInit_v2() == 0
assert ml.nvmlDeviceGetCount_v2(c.byref(count)) == 0 and count.value == 2
assert ml.nvmlDeviceGetHandleByIndex_v2(2, c.byref(device)) == 2
assert ml.nvmlDeviceGetHandleByIndex_v2(1, c.byref(device)) == 0
name = c.create_string_buffer(64)
assert ml.nvmlDeviceGetName(device, name, 64) == 0 and name.value == b"NVIDIA H200"
assert ml.nvmlDeviceGetName(device, name, 4) == 7, "no room"
uuid = c.create_string_buffer(96)
assert ml.nvmlDeviceGetUUID(device, uuid, 96) == 0 and uuid.value.startswith(b"GPU-")
again = c.c_uint64()
assert ml.nvmlDeviceGetHandleByUUID(uuid, c.byref(again)) == 0 and again.value == device.value
assert ml.nvmlDeviceGetHandleByUUID(b"GPU-no", c.byref(again)) == 6
assert ml.nvmlDeviceGetHandleByPciBusId_v2(b"00000000:02:00.0", c.byref(again)) == 0
assert again.value == device.value

# What the driver takes is seen here.
cu = c.CDLL("libcuda.so.1")
context, at = c.c_uint64(), c.c_uint64()
assert cu.cuInit(0) == 0 and cu.cuCtxCreate_v2(c.byref(context), 0, 1) == 0
assert cu.cuMemAlloc_v2(c.byref(at), c.c_size_t(3 << 30)) == 0
memory = (c.c_uint64 * 3)()
assert ml.nvmlDeviceGetMemoryInfo(device, memory) == 0
assert list(memory) == [143771 << 20, (143771 << 20) - (3 << 30), 3 << 30]
driver = c.create_string_buffer(16)
assert cu.cuDeviceGetUuid_v2(driver, 1) == 0
assert uuid.value.decode().replace("GPU-", "").replace("-", "") == driver.raw.hex()
ml.nvmlErrorString.restype = c.c_char_p
assert ml.nvmlErrorString(7) == b"Insufficient Size"
assert ml.nvmlDeviceGetTemperature(device, 0, c.byref(number)) == 3, "not offered"
assert ml.nvmlShutdown() == 0 and ml.nvmlShutdown() == 1
