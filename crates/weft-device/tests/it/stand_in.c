/* A library with NVML's names and structures: three devices, one whole, one in MIG mode that
 * keeps its instances as long as the library is loaded, one lost. It stands in for the driver so that the reading of its structures is tested on machines
 * without one. Layouts and return codes as in NVIDIA's public nvml.h. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, SMALL = 7, TIMEOUT = 10, LOST = 15,
       IN_USE = 19, NO_ROOM = 23 };
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
  if (d >= 100) {
    snprintf(text, size, "MIG-%u", (unsigned)d - 100);
    return OK;
  }
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
/* Instances of device 1, as a driver keeps them: until they are ended. Numbers are given again. */
struct instance { unsigned profile, start, size; int there, open; };
static struct instance instances[8];
typedef uintptr_t gi; /* device 1's: number + 1 */
typedef uintptr_t ci;
int stand_in_busy; /* a number + 1: a program uses that one */

struct gi_info { device device; unsigned id, profile; struct place place; };
struct ci_profile { unsigned id, slices, instances, sms, copy, dec, enc, jpeg, ofa; };
struct ci_info { device device; gi gi; unsigned id, profile; struct place place; };

int nvmlDeviceGetHandleByUUID(const char *text, device *d) {
  unsigned index;
  if (sscanf(text, "GPU-%u", &index) != 1 || index > 1) return NOT_FOUND;
  *d = index + 1;
  return OK;
}
int nvmlDeviceCreateGpuInstanceWithPlacement(device d, unsigned profile, const struct place *at,
                                             gi *made) {
  if (d != 2) return UNSUPPORTED;
  unsigned slot = 8;
  for (unsigned i = 0; i < 8; i++) {
    struct instance *it = &instances[i];
    if (!it->there) { if (slot == 8) slot = i; continue; }
    if (it->start < at->start + at->size && at->start < it->start + it->size) return NO_ROOM;
  }
  if (slot == 8) return NO_ROOM;
  instances[slot] = (struct instance){profile, at->start, at->size, 1, 0};
  *made = slot + 1;
  return OK;
}
int nvmlDeviceGetGpuInstances(device d, unsigned profile, gi *list, unsigned *count) {
  if (d != 2) return UNSUPPORTED;
  *count = 0;
  for (unsigned i = 0; i < 8; i++)
    if (instances[i].there && instances[i].profile == profile) list[(*count)++] = i + 1;
  return OK;
}
int nvmlDeviceGetGpuInstanceById(device d, unsigned id, gi *found) {
  if (d != 2 || id >= 8 || !instances[id].there) return NOT_FOUND;
  *found = id + 1;
  return OK;
}
int nvmlGpuInstanceGetInfo(gi it, struct gi_info *info) {
  struct instance *of = &instances[it - 1];
  *info = (struct gi_info){2, it - 1, of->profile, {of->start, of->size}};
  return OK;
}
int nvmlGpuInstanceDestroy(gi it) {
  if (instances[it - 1].open) return IN_USE;
  instances[it - 1].there = 0;
  return OK;
}
int nvmlGpuInstanceGetComputeInstanceProfileInfo(gi it, unsigned profile, unsigned engines,
                                                 struct ci_profile *p) {
  (void)it;
  if (profile != 0 || engines != 0) return UNSUPPORTED;
  memset(p, 0, sizeof *p);
  p->slices = p->instances = 1;
  return OK;
}
int nvmlGpuInstanceCreateComputeInstance(gi it, unsigned profile, ci *made) {
  if (profile != 0 || instances[it - 1].open) return NO_ROOM;
  instances[it - 1].open = 1;
  *made = it;
  return OK;
}
int nvmlGpuInstanceGetComputeInstances(gi it, unsigned profile, ci *list, unsigned *count) {
  (void)profile;
  *count = instances[it - 1].open;
  if (*count) list[0] = it;
  return OK;
}
int nvmlComputeInstanceGetInfo_v2(ci it, struct ci_info *info) {
  *info = (struct ci_info){2, it, 0, 0, {0, 1}};
  return OK;
}
int nvmlComputeInstanceDestroy(ci it) {
  if (stand_in_busy == (int)it) return IN_USE;
  instances[it - 1].open = 0;
  return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(device d, unsigned index, device *mig) {
  if (d != 2 || index >= 8 || !instances[index].open) return NOT_FOUND;
  *mig = 100 + index;
  return OK;
}
int nvmlDeviceGetGpuInstanceId(device mig, unsigned *id) {
  if (mig < 100) return INVALID;
  *id = (unsigned)mig - 100;
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
#ifdef QUIET
  call += 2;
#endif
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
