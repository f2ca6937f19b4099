/* Time between events: it passes, it adds up, and the other way round it is negative. */
#include <math.h>

#include "check.h"

int main(void)
{
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtEvent event[3];
    for (int i = 0; i < 3; i++)
        OK(aclrtCreateEventWithFlag(&event[i], ACL_EVENT_TIME_LINE));
    float elapsed = 0;
    EXPECT(aclrtEventElapsedTime(&elapsed, event[0], event[1]), 507000);

    const size_t size = 1 << 20;
    void *host = NULL, *device = NULL;
    OK(aclrtMallocHost(&host, size));
    OK(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
    for (int i = 0; i < 3; i++) {
        OK(aclrtRecordEvent(event[i], stream));
        OK(aclrtMemcpyAsync(device, size, host, size, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    }
    OK(aclrtSynchronizeStream(stream));
    float first = 0, second = 0, both = 0, back = 0;
    OK(aclrtEventElapsedTime(&first, event[0], event[1]));
    OK(aclrtEventElapsedTime(&second, event[1], event[2]));
    OK(aclrtEventElapsedTime(&both, event[0], event[2]));
    OK(aclrtEventElapsedTime(&back, event[2], event[0]));
    TRUE(first >= 0 && second >= 0);
    TRUE(fabsf(first + second - both) <= 0.01f);
    TRUE(back <= 0 && fabsf(back + both) <= 0.01f);

    aclrtEvent untimed = NULL;
    OK(aclrtCreateEventWithFlag(&untimed, ACL_EVENT_SYNC));
    OK(aclrtRecordEvent(untimed, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(aclrtEventElapsedTime(&elapsed, untimed, event[0]), 107006);
    OK(aclrtDestroyEvent(untimed));
#if ACL_GENERATION >= 115
    uint64_t before = 0, after = 0;
    OK(aclrtEventGetTimestamp(event[0], &before));
    OK(aclrtEventGetTimestamp(event[2], &after));
    TRUE(before > 0 && after >= before);
#endif
    for (int i = 0; i < 3; i++)
        OK(aclrtDestroyEvent(event[i]));
    OK(aclrtFree(device));
    OK(aclrtFreeHost(host));
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}
