/* Memory: both kinds, copies in every direction, filling, limits. */
#include "check.h"

enum { SIZE = 1 << 16 };

static void pattern(uint8_t *bytes, uint8_t seed)
{
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7 + seed);
}

int main(void)
{
    void *pointer = NULL;
    EXPECT(aclrtMalloc(&pointer, SIZE, ACL_MEM_MALLOC_HUGE_FIRST), 107002);
    EXPECT(aclrtMallocHost(&pointer, SIZE), 107002);
    begin(0);
    size_t available = 0, total = 0;
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &available, &total));
    TRUE(available <= total && total > 0);
    EXPECT(aclrtMalloc(&pointer, 0, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMalloc(NULL, SIZE, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMalloc(&pointer, SIZE_MAX, ACL_MEM_MALLOC_HUGE_FIRST), 100000);
    EXPECT(aclrtMalloc(&pointer, (size_t)1 << 50, ACL_MEM_MALLOC_HUGE_FIRST), 207001);
    EXPECT(aclrtMallocHost(&pointer, 0), 100000);
    EXPECT(aclrtFree(NULL), 100000);
    EXPECT(aclrtFreeHost(NULL), 100000);

    const aclrtMemMallocPolicy policies[] = {ACL_MEM_MALLOC_HUGE_FIRST, ACL_MEM_MALLOC_HUGE_ONLY, ACL_MEM_MALLOC_NORMAL_ONLY,
                                             ACL_MEM_MALLOC_HUGE_FIRST_P2P, ACL_MEM_MALLOC_HUGE_ONLY_P2P, ACL_MEM_MALLOC_NORMAL_ONLY_P2P};
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        /* The first chip cannot give its memory to another device. */
        if (i >= 3 && chip() == ASCEND_310) {
            EXPECT(aclrtMalloc(&pointer, SIZE, policies[i]), 207000);
            continue;
        }
        OK(aclrtMalloc(&pointer, SIZE, policies[i]));
        EXPECT((uintptr_t)pointer % 64, 0);
        OK(aclrtFree(pointer));
        EXPECT(aclrtFree(pointer), 107000);
    }

    void *one = NULL, *two = NULL;
    uint8_t *from = NULL, *to = NULL;
    OK(aclrtMalloc(&one, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&two, SIZE, ACL_MEM_MALLOC_NORMAL_ONLY));
    OK(aclrtMallocHost((void **)&from, SIZE));
    OK(aclrtMallocHost((void **)&to, SIZE));
    pattern(from, 1);
    memset(to, 0, SIZE);
    OK(aclrtMemcpy(one, SIZE, from, SIZE, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(two, SIZE, one, SIZE, ACL_MEMCPY_DEVICE_TO_DEVICE));
    OK(aclrtMemcpy(to, SIZE, two, SIZE, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(memcmp(from, to, SIZE) == 0);
    OK(aclrtMemset(one, SIZE, 0x5a, SIZE / 2));
    OK(aclrtMemcpy(to, SIZE, one, SIZE, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(to[0] == 0x5a && to[SIZE / 2 - 1] == 0x5a && to[SIZE / 2] == from[SIZE / 2]);
    OK(aclrtMemcpy(to, SIZE, from, SIZE, ACL_MEMCPY_HOST_TO_HOST));
    TRUE(memcmp(from, to, SIZE) == 0);
    EXPECT(aclrtMemcpy(one, SIZE, from, SIZE + 1, ACL_MEMCPY_HOST_TO_DEVICE), 107000);
    EXPECT(aclrtMemcpy(one, SIZE, from, 0, ACL_MEMCPY_HOST_TO_DEVICE), 0);
    EXPECT(aclrtMemset(one, SIZE, 0, SIZE + 1), 107000);

    /* Asynchronous, in a stream and in the default one; ordinary memory works too. */
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    uint8_t *ordinary = (uint8_t *)malloc(SIZE);
    aclrtStream streams[] = {stream, NULL};
    for (int i = 0; i < 2; i++) {
        pattern(from, (uint8_t)(i + 2));
        memset(to, 0, SIZE);
        memset(ordinary, 0, SIZE);
        OK(aclrtMemcpyAsync(one, SIZE, from, SIZE, ACL_MEMCPY_HOST_TO_DEVICE, streams[i]));
        OK(aclrtMemcpyAsync(two, SIZE, one, SIZE, ACL_MEMCPY_DEVICE_TO_DEVICE, streams[i]));
        OK(aclrtMemsetAsync(one, SIZE, 9, SIZE, streams[i]));
        OK(aclrtMemcpyAsync(to, SIZE, two, SIZE, ACL_MEMCPY_DEVICE_TO_HOST, streams[i]));
        OK(aclrtMemcpyAsync(ordinary, SIZE, one, SIZE, ACL_MEMCPY_DEVICE_TO_HOST, streams[i]));
        OK(aclrtSynchronizeStream(streams[i]));
        TRUE(memcmp(from, to, SIZE) == 0);
        TRUE(ordinary[0] == 9 && ordinary[SIZE - 1] == 9);
    }
    free(ordinary);
    OK(aclrtDestroyStream(stream));
    OK(aclrtFree(one));
    OK(aclrtFree(two));
    OK(aclrtFreeHost(from));
    OK(aclrtFreeHost(to));
    EXPECT(aclrtFreeHost(to), 107000);
    size_t after = 0;
    OK(aclrtGetMemInfo(ACL_HBM_MEM, &after, &total));
    EXPECT(after, available);
    end(0);
    return finish();
}
