/* Codes of the real runtime, measured: init, devices, contexts, handles. */
#include "check.h"

static char zeroes[4096];

static void without_devices(const char *self)
{
    /* The machine is described by the environment, which is read once: another process. */
    char command[512];
    snprintf(command, sizeof command, "ASCENDCL_SIM_DEVICES=0 '%s' none", self);
    EXPECT(system(command), 0);
}

static int none(void)
{
    uint32_t count = 7;
    EXPECT(aclrtGetDeviceCount(&count), 0);
    EXPECT(count, 0);
    EXPECT(aclInit(NULL), 500000);
    EXPECT(aclrtSetDevice(0), 107001);
    return finish();
}

static void without_context(void)
{
    int32_t device = 77;
    void *out = zeroes;
    char host[2][64] = {{0}};
    EXPECT(aclrtGetDevice(&device), 107002);
    EXPECT(device, 77);
    EXPECT(aclrtGetCurrentContext(&out), 107002);
    EXPECT(aclrtCreateStream(&out), 107002);
    EXPECT(aclrtCreateEvent(&out), 107002);
    EXPECT(aclrtCreateEventWithFlag(&out, ACL_EVENT_SYNC), 107002);
    EXPECT(aclrtMalloc(&out, 64, ACL_MEM_MALLOC_HUGE_FIRST), 107002);
    EXPECT(aclrtMallocHost(&out, 64), 107002);
    TRUE(out == zeroes);
    EXPECT(aclrtMemcpy(host[0], 64, host[1], 64, ACL_MEMCPY_HOST_TO_HOST), 107002);
    EXPECT(aclrtMemcpyAsync(host[0], 64, host[1], 64, ACL_MEMCPY_HOST_TO_DEVICE, NULL), 107002);
    EXPECT(aclrtMemset(host[0], 64, 0, 64), 107002);
    EXPECT(aclrtSynchronizeDevice(), 107002);
    EXPECT(aclrtSynchronizeStream(NULL), 107002);
    EXPECT(aclrtSubscribeReport(1, NULL), 107002);
    EXPECT(aclrtUnSubscribeReport(1, NULL), 107002);
    EXPECT(aclrtLaunchCallback((aclrtCallback)abort, NULL, ACL_CALLBACK_BLOCK, NULL), 107002);
    uint32_t count = 0;
    aclrtRunMode mode;
    EXPECT(aclrtGetDeviceCount(&count), 0);
    EXPECT(aclrtGetRunMode(&mode), 0);
    EXPECT(aclrtResetDevice(0), 507007);
#if ACL_GENERATION >= 115
    EXPECT(aclrtCreateEventExWithFlag(&out, ACL_EVENT_SYNC), 107002);
    EXPECT(aclrtSynchronizeDeviceWithTimeout(10), 107002);
    TRUE(out == zeroes);
#endif
}

static void nothing_given(void)
{
    EXPECT(aclrtGetDevice(NULL), 100000);
    EXPECT(aclrtGetDeviceCount(NULL), 100000);
    EXPECT(aclrtGetRunMode(NULL), 100000);
    EXPECT(aclrtCreateContext(NULL, 0), 100000);
    EXPECT(aclrtDestroyContext(NULL), 100000);
    EXPECT(aclrtSetCurrentContext(NULL), 100000);
    EXPECT(aclrtGetCurrentContext(NULL), 100000);
    EXPECT(aclrtCreateStream(NULL), 100000);
    EXPECT(aclrtDestroyStream(NULL), 100000);
    EXPECT(aclrtCreateEvent(NULL), 100000);
    EXPECT(aclrtDestroyEvent(NULL), 100000);
    EXPECT(aclrtRecordEvent(NULL, NULL), 100000);
    EXPECT(aclrtResetEvent(NULL, NULL), 100000);
    EXPECT(aclrtStreamWaitEvent(NULL, NULL), 100000);
    EXPECT(aclrtSynchronizeEvent(NULL), 100000);
    EXPECT(aclrtMalloc(NULL, 1, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMallocHost(NULL, 1), 100000);
    EXPECT(aclrtFree(NULL), 100000);
    EXPECT(aclrtFreeHost(NULL), 100000);
    EXPECT(aclrtMemcpy(NULL, 1, zeroes, 1, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemcpy(zeroes, 1, NULL, 1, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemset(NULL, 1, 0, 1), 100000);
    EXPECT(aclrtGetMemInfo(ACL_HBM_MEM, NULL, NULL), 100000);
    float elapsed;
    EXPECT(aclrtEventElapsedTime(&elapsed, NULL, NULL), 100000);
}

static void other_handles(void)
{
    aclrtStream stream = NULL;
    aclrtEvent event = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateEvent(&event));
    /* Of another kind, and memory full of zeroes. */
    void *const wrong[] = {event, zeroes};
    for (int i = 0; i < 2; i++) {
        EXPECT(aclrtSynchronizeStream(wrong[i]), 107017);
        EXPECT(aclrtDestroyStream(wrong[i]), 107017);
        EXPECT(aclrtRecordEvent(event, wrong[i]), 107017);
    }
    void *const wrong_events[] = {stream, zeroes};
    for (int i = 0; i < 2; i++) {
        EXPECT(aclrtRecordEvent(wrong_events[i], stream), 107017);
        EXPECT(aclrtSynchronizeEvent(wrong_events[i]), 107017);
        EXPECT(aclrtDestroyEvent(wrong_events[i]), 107017);
    }
    OK(aclrtDestroyStream(stream));
    OK(aclrtDestroyEvent(event));
    EXPECT(aclrtSynchronizeStream(stream), 107017);
    EXPECT(aclrtDestroyStream(stream), 107017);
    EXPECT(aclrtRecordEvent(event, NULL), 107017);
    EXPECT(aclrtDestroyEvent(event), 107017);
}

static void default_device(void)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/acl-codes-%d.json", (int)getpid());
    FILE *out = fopen(path, "w");
    if (out == NULL)
        exit(1);
    fputs("{\"defaultDevice\":{\"default_device\":\"0\"}}", out);
    fclose(out);
    OK(aclInit(path));
    unlink(path);
    aclrtStream stream = NULL;
    EXPECT(aclrtCreateStream(&stream), 0);
    EXPECT(aclrtSynchronizeStream(stream), 0);
    EXPECT(aclrtDestroyStream(stream), 0);
    OK(aclFinalize());
}

int main(int count_of_arguments, char **arguments)
{
    if (count_of_arguments > 1)
        return strcmp(arguments[1], "none") == 0 ? none() : (default_device(), finish());
    without_devices(arguments[0]);
    char command[512];
    snprintf(command, sizeof command, "'%s' default", arguments[0]);
    EXPECT(system(command), 0);

    without_context();
#if ACL_GENERATION >= 115
    EXPECT(aclFinalizeReference(NULL), 100037);
#endif
    EXPECT(aclInit("/nowhere"), 100003);
    EXPECT(aclInit(NULL), 0);
    EXPECT(aclInit(NULL), 100002);
    EXPECT(aclInit("/nowhere"), 100002);
    without_context();
    uint32_t count = 0;
    OK(aclrtGetDeviceCount(&count));
    const int32_t wrong[] = {-1, (int32_t)count, 99};
    aclrtContext context = NULL;
    for (int i = 0; i < 3; i++) {
        EXPECT(aclrtSetDevice(wrong[i]), 107001);
        EXPECT(aclrtCreateContext(&context, wrong[i]), 107001);
    }
    OK(aclrtSetDevice(0));
    OK(aclrtSetDevice(0));
    nothing_given();
    other_handles();
    OK(aclrtResetDevice(0));
    OK(aclrtResetDevice(0));
    EXPECT(aclrtResetDevice(0), 507007);
    EXPECT(aclFinalize(), 0);
    EXPECT(aclFinalize(), 100037);
    EXPECT(aclInit(NULL), 0);
    EXPECT(aclFinalize(), 0);
    return finish();
}
