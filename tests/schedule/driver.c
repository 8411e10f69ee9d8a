/* Stands for libnvidia-ml.so.1 where there is no card: devices whose conduct is read from $DRIVER at every call.
   Enough of nvml.h for dubd/schedule/nvml.py; what is missing here, an old driver would lack too. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
#define MIB (1ULL << 20)

static long long conduct(const char *name) {
    char key[32];
    long long value, found = 0;
    FILE *file = fopen(getenv("DRIVER"), "r");
    while (file && fscanf(file, "%31s %lld", key, &value) == 2)
        if (!strcmp(key, name)) found = value;
    if (file) fclose(file);
    return found;
}
static int lost(void *device) { return conduct("lost") == (intptr_t)device ? 15 : 0; }
static int mig(void *device) { return (intptr_t)device >= 100; }

int nvmlInitWithFlags(unsigned flags) { return conduct("init"); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = conduct("cards"); return conduct("fail"); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(intptr_t)(index + 1);
    return conduct("barred") == index + 1 ? 4 : lost(*device);
}
int nvmlDeviceGetName(void *device, char *name, unsigned size) {
    snprintf(name, size, mig(device) ? "Stand-in MIG 1g.5gb" : "Stand-in");
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
    snprintf(uuid, size, mig(device) ? "MIG-%d" : "GPU-%d", (int)(intptr_t)device);
    return 0;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *memory) {
    if (conduct("v1")) return NOT_SUPPORTED;
    memory->total = (mig(device) ? 5000 : 24000) * MIB, memory->reserved = 300 * MIB;
    memory->used = conduct("used");
    return conduct("fail") ? conduct("fail") : lost(device);
}
int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *memory) {
    if (conduct("v1") > 1) return NOT_SUPPORTED;
    memory->total = 24000 * MIB, memory->used = conduct("used") + 300 * MIB;
    return conduct("fail");
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    *current = *pending = conduct("mig") != 0;
    return conduct("mig") < 0 ? NOT_SUPPORTED : 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) { *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance) {
    *instance = (void *)(intptr_t)(100 + index);
    return index % 3 || conduct("mig") > 1 ? NOT_FOUND : 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *list) {
    if (conduct("secret")) return conduct("secret");
    if (!conduct("pid")) { *count = 0; return 0; }
    if (!list) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    list->pid = conduct("pid"), list->used = conduct("has");
    return 0;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, process *list) { *count = 0; return 0; }
