/* Notifies and values in memory: one stream goes on when another says so. */
#include "check.h"

int main(void)
{
#if ACL_GENERATION >= 115
    begin(0);
    aclrtStream one = NULL, two = NULL;
    OK(aclrtCreateStream(&one));
    OK(aclrtCreateStream(&two));
    aclrtNotify notify = NULL;
    OK(aclrtCreateNotify(&notify, 0));
    uint32_t id = UINT32_MAX;
    OK(aclrtGetNotifyId(notify, &id));
    TRUE(id != UINT32_MAX);
    EXPECT(aclrtCreateNotify(NULL, 0), 100000);
    EXPECT(aclrtRecordNotify(NULL, one), 100000);
    EXPECT(aclrtDestroyNotify(NULL), 100000);

    /* A wait uses the record up, so one notify serves again and again. */
    int32_t *host = NULL;
    void *device = NULL;
    OK(aclrtMallocHost((void **)&host, 2 * sizeof *host));
    OK(aclrtMalloc(&device, sizeof *host, ACL_MEM_MALLOC_HUGE_FIRST));
    const size_t size = sizeof *host;
    for (int i = 0; i < 50; i++) {
        host[0] = i;
        host[1] = -1;
        OK(aclrtWaitAndResetNotify(notify, two, 0));
        OK(aclrtMemcpyAsync(host + 1, size, device, size, ACL_MEMCPY_DEVICE_TO_HOST, two));
        OK(aclrtMemcpyAsync(device, size, host, size, ACL_MEMCPY_HOST_TO_DEVICE, one));
        OK(aclrtRecordNotify(notify, one));
        OK(aclrtSynchronizeStream(two));
        EXPECT(host[1], i);
        OK(aclrtSynchronizeStream(one));
    }
    /* Nobody records. */
    OK(aclrtWaitAndResetNotify(notify, two, 1));
    TRUE(aclrtSynchronizeStream(two) != 0);
    OK(aclrtDestroyNotify(notify));
    OK(aclrtFree(device));
    OK(aclrtFreeHost(host));
    OK(aclrtDestroyStream(one));
    OK(aclrtDestroyStreamForce(two));
    end(0);
#endif
    return finish();
}
