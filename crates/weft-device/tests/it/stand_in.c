/* A library with NVML's names and structures: three devices, one whole, one in MIG mode, one
 * lost. It stands in for the driver so that the reading of its structures is tested on machines
 * without one. Layouts and return codes as in NVIDIA's public nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, SMALL = 7, TIMEOUT = 10, LOST = 15 };
typedef uintptr_t device; /* index + 1 */

struct memory { unsigned version; unsigned long long total, reserved, free, used; };
struct utilization { unsigned gpu, memory; };
struct process { unsigned pid; unsigned long long memory; unsigned gpu, compute; };
struct place { unsigned start, size; };
struct profile {
  unsigned version, id, p2p, slices, instances, sms, copy, dec, enc, jpeg, ofa;
  unsigned long long memory_mib;
  char name[96];
};
struct event { device device; unsigned long long type, data; unsigned gpu, compute; };

int nvmlInit_v2(void) { return OK; }
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
  snprintf(text, size, "570.00");
  return OK;
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *d) {
  if (index == 2) return LOST;
  *d = index + 1;
  return OK;
}
int nvmlDeviceGetUUID(device d, char *text, unsigned size) {
  snprintf(text, size, "GPU-%u", (unsigned)d - 1);
  return OK;
}
int nvmlDeviceGetName(device d, char *text, unsigned size) {
  snprintf(text, size, "%s", d == 1 ? "NVIDIA H100 80GB HBM3" : "NVIDIA A100-SXM4-80GB");
  return OK;
}
int nvmlDeviceGetMinorNumber(device d, unsigned *minor) { *minor = (unsigned)d + 6; return OK; }
int nvmlDeviceGetMemoryInfo_v2(device d, struct memory *m) {
  (void)d;
  if (m->version != (sizeof *m | 2u << 24)) return INVALID;
  m->total = 81559ull << 20;
  m->reserved = 551ull << 20;
  m->used = 1ull << 30;
  m->free = m->total - m->reserved - m->used;
  return OK;
}
int nvmlDeviceGetUtilizationRates(device d, struct utilization *u) {
  if (d == 2) return UNSUPPORTED;
  u->gpu = 37;
  u->memory = 5;
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(device d, unsigned *count, struct process *list) {
  unsigned wanted = d == 1 ? 2 : 0, room = *count;
  *count = wanted;
  if (room < wanted) return SMALL;
  for (unsigned i = 0; i < wanted; i++)
    list[i] = (struct process){100 + i, (i + 1ull) << 30, ~0u, ~0u};
  return OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(device d, unsigned *count, struct process *list) {
  unsigned wanted = d == 1 ? 1 : 0, room = *count;
  *count = wanted;
  if (room < wanted) return SMALL;
  if (wanted) list[0] = (struct process){101, ~0ull, ~0u, ~0u};
  return OK;
}
int nvmlDeviceGetMigMode(device d, unsigned *current, unsigned *pending) {
  if (d == 1) return UNSUPPORTED;
  *current = *pending = 1;
  return OK;
}
int nvmlDeviceGetGpuInstanceProfileInfoV(device d, unsigned profile, struct profile *p) {
  static const struct { unsigned slot, id, slices; int mib; const char *name; } known[] = {
    {0, 19, 1, 9728, "MIG 1g.10gb"},
    {2, 9, 3, 40192, "MIG 3g.40gb"},
    {4, 0, 7, 80384, "MIG 7g.80gb"},
    {7, 20, 1, 9728, "MIG 1g.10gb+me"},
  };
  if (d != 2 || p->version != (sizeof *p | 2u << 24)) return INVALID;
  for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
    if (known[i].slot != profile) continue;
    p->id = known[i].id;
    p->slices = known[i].slices;
    p->memory_mib = known[i].mib;
    snprintf(p->name, sizeof p->name, "%s", known[i].name);
    return OK;
  }
  return UNSUPPORTED;
}
int nvmlDeviceGetGpuInstancePossiblePlacements_v2(device d, unsigned id, struct place *list,
                                                  unsigned *count) {
  if (d != 2) return INVALID;
  unsigned step = id == 9 ? 4 : 1, size = id == 19 ? 1 : id == 9 ? 4 : 8;
  unsigned wanted = id == 19 ? 7 : id == 9 ? 2 : 1, room = *count;
  *count = wanted;
  if (room < wanted) return SMALL;
  for (unsigned i = 0; i < wanted; i++) list[i] = (struct place){i * step, size};
  return OK;
}
int nvmlEventSetCreate(uintptr_t *set) { *set = 1; return OK; }
int nvmlEventSetFree(uintptr_t set) { (void)set; return OK; }
int nvmlDeviceRegisterEvents(device d, unsigned long long types, uintptr_t set) {
  (void)d, (void)set;
  return types == 8 ? OK : INVALID;
}
/* A program's fault on device 0, then one of the device 1's own, then silence. */
int nvmlEventSetWait_v2(uintptr_t set, struct event *e, unsigned timeout_ms) {
  static int calls;
  (void)set, (void)timeout_ms;
  int call = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
  if (call > 1) {
    usleep(1000);
    return TIMEOUT;
  }
  memset(e, 0, sizeof *e);
  e->device = call + 1;
  e->type = 8;
  e->data = call == 0 ? 31 : 79;
  return OK;
}
