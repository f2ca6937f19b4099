/* Many copies in one call, in two directions. */
#include "check.h"

#if ACL_GENERATION >= 117

enum { PART = 16, PARTS = 3 };

static aclrtMemLocation location(aclrtMemLocationType type)
{
    aclrtMemLocation location = {0, type};
    return location;
}

int main(void)
{
    begin(0);
    unsigned char *host = NULL;
    char *device = NULL;
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMallocHost((void **)&host, PART * PARTS));
    OK(aclrtMalloc((void **)&device, PART * PARTS, ACL_MEM_MALLOC_HUGE_FIRST));
    memset(host, 7, PART * PARTS);
    OK(aclrtMemset(device, PART * PARTS, 9, PART * PARTS));

    aclrtMemcpyBatchAttr ways[2];
    memset(ways, 0, sizeof ways);
    ways[0].dstLoc = ways[1].srcLoc = location(ACL_MEM_LOCATION_TYPE_DEVICE);
    ways[0].srcLoc = ways[1].dstLoc = location(ACL_MEM_LOCATION_TYPE_HOST);
    /* Two parts go to the device, the third one comes back. */
    void *to[PARTS] = {device, device + PART, host + 2 * PART};
    void *from[PARTS] = {host, host + PART, device + 2 * PART};
    size_t room[PARTS] = {PART, PART, PART}, sizes[PARTS] = {PART, PART - 1, PART}, first[2] = {0, 2}, failed = 5;
    LACKING(aclrtMemcpyBatch(to, room, from, sizes, PARTS, ways, first, 2, &failed), ASCEND_310 | ASCEND_310P);
    TRUE(failed == SIZE_MAX);
    EXPECT(host[2 * PART], 9);
    OK(aclrtMemcpy(host, PART * PARTS, device, PART * PARTS, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(host[0], 7);
    EXPECT(host[2 * PART - 2], 7);
    EXPECT(host[2 * PART - 1], 9);

    /* What is wrong is said, and which copy it is. */
    EXPECT(aclrtMemcpyBatch(NULL, room, from, sizes, PARTS, ways, first, 2, &failed), 100000);
    EXPECT(aclrtMemcpyBatch(to, room, from, sizes, 0, ways, first, 2, &failed), 100000);
    room[1] = PART - 2;
    EXPECT(aclrtMemcpyBatch(to, room, from, sizes, PARTS, ways, first, 2, &failed), 100000);
    room[1] = PART;
    first[1] = 1;
    EXPECT(aclrtMemcpyBatch(to, room, from, sizes, PARTS, ways, first, 2, &failed), 107000);
    EXPECT(failed, 1);
    first[1] = 2;

    memset(host, 3, PART * PARTS);
    OK(aclrtMemcpyBatchAsync(to, room, from, sizes, PARTS, ways, first, 2, &failed, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(failed == SIZE_MAX);
    EXPECT(host[2 * PART], 9);
    OK(aclrtMemcpy(host, PART * PARTS, device, PART * PARTS, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(host[PART], 3);

    OK(aclrtFreeHost(host));
    OK(aclrtFree(device));
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
