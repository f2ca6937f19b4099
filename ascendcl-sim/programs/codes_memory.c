/* Codes of the real runtime, measured: streams, memory, what is open when a device is reset. */
#include "check.h"

static void never(void *unused)
{
    (void)unused;
    TRUE(!"a callback ran that nobody serves");
}

static void *sleeper(void *unused)
{
    (void)unused;
    pause();
    return NULL;
}

int main(void)
{
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
#if ACL_GENERATION >= 115
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, -1), 0);
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 0), 107000);
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, -2), 107000);
    EXPECT(aclrtSynchronizeDeviceWithTimeout(0), 107000);
#endif
    char host[128] = {0};
    void *device = NULL;
    EXPECT(aclrtMalloc(&device, 0, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMalloc(&device, SIZE_MAX, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMalloc(&device, (size_t)1 << 50, ACL_MEM_MALLOC_HUGE_FIRST), 207001);
    OK(aclrtMalloc(&device, 64, (aclrtMemMallocPolicy)0x70));
    OK(aclrtFree(device));
    EXPECT(aclrtFree(device), 107000);
    EXPECT(aclrtFree(host), 107000);
    OK(aclrtMalloc(&device, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    EXPECT(aclrtMemcpy(device, 64, host, 65, ACL_MEMCPY_HOST_TO_DEVICE), 107000);
    EXPECT(aclrtMemcpy(device, 64, host, 64, (aclrtMemcpyKind)99), 100000);
    EXPECT(aclrtMemcpy(device, 64, host, 0, ACL_MEMCPY_HOST_TO_DEVICE), 0);

    /* The default stream takes everything. */
    aclrtEvent event = NULL;
    OK(aclrtCreateEvent(&event));
    EXPECT(aclrtRecordEvent(event, NULL), 0);
    EXPECT(aclrtSynchronizeStream(NULL), 0);
    EXPECT(aclrtMemcpyAsync(device, 64, host, 64, ACL_MEMCPY_HOST_TO_DEVICE, NULL), 0);
    pthread_t thread;
    OK(pthread_create(&thread, NULL, sleeper, NULL));
    EXPECT(aclrtSubscribeReport((uint64_t)thread, NULL), 0);
    EXPECT(aclrtUnSubscribeReport((uint64_t)thread, NULL), 0);
#if ACL_GENERATION >= 115
    aclrtStreamStatus status = ACL_STREAM_STATUS_RESERVED;
    EXPECT(aclrtStreamQuery(NULL, &status), 0);
#endif
    OK(aclrtSynchronizeStream(NULL));
    OK(aclrtDestroyEvent(event));
    OK(aclrtFree(device));

    /* A callback is pending and nobody serves: by force, and with the device. */
    OK(aclrtSubscribeReport((uint64_t)thread, stream));
    OK(aclrtLaunchCallback(never, NULL, ACL_CALLBACK_BLOCK, stream));
    EXPECT(aclrtDestroyStreamForce(stream), 0);
    OK(aclrtCreateStream(&stream));
    OK(aclrtSubscribeReport((uint64_t)thread, stream));
    OK(aclrtLaunchCallback(never, NULL, ACL_CALLBACK_BLOCK, stream));
    EXPECT(aclrtResetDevice(0), 0);
    OK(aclFinalize());
    return finish();
}
