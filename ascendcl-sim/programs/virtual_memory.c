/* Addresses are reserved, physical memory is mapped to them, twice at once and in two processes. */
#include "pair.h"

enum { PAGE = 2 << 20 };

static aclrtPhysicalMemProp properties(void)
{
    aclrtPhysicalMemProp prop;
    memset(&prop, 0, sizeof prop);
    prop.handleType = ACL_MEM_HANDLE_TYPE_NONE;
    prop.allocationType = ACL_MEM_ALLOCATION_TYPE_PINNED;
    prop.memAttr = ACL_HBM_MEM_HUGE;
    prop.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    return prop;
}

static void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static void arguments(void)
{
    void *base = NULL;
    EXPECT(aclrtReserveMemAddress(NULL, PAGE, 0, NULL, 0), 100000);
    EXPECT(aclrtReserveMemAddress(&base, 0, 0, NULL, 0), 100000);
    EXPECT(aclrtReserveMemAddress(&base, PAGE, 1, NULL, 0), 107000);
    EXPECT(aclrtReleaseMemAddress(NULL), 100000);
    aclrtDrvMemHandle handle = NULL;
    aclrtPhysicalMemProp prop = properties();
    EXPECT(aclrtMallocPhysical(NULL, PAGE, &prop, 0), 100000);
    EXPECT(aclrtMallocPhysical(&handle, PAGE, NULL, 0), 100000);
    EXPECT(aclrtMallocPhysical(&handle, 0, &prop, 0), 100000);
    EXPECT(aclrtMallocPhysical(&handle, PAGE, &prop, 1), 100000);
    prop.location.id = 99;
    EXPECT(aclrtMallocPhysical(&handle, PAGE, &prop, 0), 107001);
    EXPECT(aclrtUnmapMem(NULL), 100000);
    EXPECT(aclrtFreePhysical(NULL), 100000);
}

static void two_mappings(void)
{
    void *one = NULL, *two = NULL;
    aclrtDrvMemHandle handle = NULL;
    const aclrtPhysicalMemProp prop = properties();
    unsigned char bytes[4] = {1, 2, 3, 4}, back[4] = {0};
    OK(aclrtReserveMemAddress(&one, 2 * PAGE, 0, NULL, 0));
    OK(aclrtReserveMemAddress(&two, PAGE, 0, NULL, 0));
    EXPECT(aclrtMemset(one, PAGE, 0, 16), 107000);
    OK(aclrtMallocPhysical(&handle, PAGE, &prop, 0));
    OK(aclrtMapMem(at(one, PAGE), PAGE, 0, handle, 0));
    OK(aclrtMapMem(two, PAGE, 0, handle, 0));
    EXPECT(aclrtMemset(one, PAGE, 0, 16), 107000);
    OK(aclrtMemcpy(at(one, PAGE + 100), 4, bytes, 4, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(back, 4, at(two, 100), 4, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(memcmp(bytes, back, 4) == 0);

    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMemsetAsync(two, PAGE, 9, 4, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(back, 4, at(one, PAGE), 4, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(back[3], 9);
    OK(aclrtDestroyStream(stream));

    TRUE(aclrtReleaseMemAddress(one) != 0);
    OK(aclrtUnmapMem(two));
    /* What is mapped stays, its handle freed or not. */
    OK(aclrtFreePhysical(handle));
    EXPECT(aclrtFreePhysical(handle), 107017);
    OK(aclrtMemcpy(back, 4, at(one, PAGE + 100), 4, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(memcmp(bytes, back, 4) == 0);
    OK(aclrtUnmapMem(at(one, PAGE)));
    OK(aclrtReleaseMemAddress(one));
    OK(aclrtReleaseMemAddress(two));
    EXPECT(aclrtMemset(two, PAGE, 0, 16), 107000);
}

#if ACL_GENERATION >= 117

static int child(void)
{
    uint64_t number = 0;
    hear(&number, sizeof number);
    begin(0);
    aclrtDrvMemHandle handle = NULL;
    EXPECT(aclrtMemImportFromShareableHandle(number, 0, NULL), 100000);
    EXPECT(aclrtMemImportFromShareableHandle(number, 0, &handle), 207006);
    tell_done();
    hear_done();
    OK(aclrtMemImportFromShareableHandle(number, 0, &handle));
    void *base = NULL;
    char text[16] = {0};
    OK(aclrtReserveMemAddress(&base, PAGE, 0, NULL, 0));
    OK(aclrtMapMem(base, PAGE, 0, handle, 0));
    OK(aclrtMemcpy(text, sizeof text, base, sizeof text, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the parent") == 0);
    OK(aclrtMemcpy(base, sizeof text, "from the child!", sizeof text, ACL_MEMCPY_HOST_TO_DEVICE));
    tell_done();
    hear_done();
    /* The parent has given up what was its own. */
    OK(aclrtMemcpy(text, sizeof text, base, sizeof text, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the child!") == 0);
    OK(aclrtUnmapMem(base));
    OK(aclrtFreePhysical(handle));
    OK(aclrtReleaseMemAddress(base));
    end(0);
    return finish();
}

static void shared(pid_t pid)
{
    void *base = NULL;
    aclrtDrvMemHandle handle = NULL, again = NULL;
    aclrtPhysicalMemProp prop = properties(), known;
    size_t least = 0;
    OK(aclrtMemGetAllocationGranularity(&prop, ACL_RT_MEM_ALLOC_GRANULARITY_MINIMUM, &least));
    EXPECT(least, PAGE);
    OK(aclrtReserveMemAddress(&base, PAGE, 0, NULL, 0));
    OK(aclrtMallocPhysical(&handle, PAGE, &prop, 0));
    OK(aclrtMemGetAllocationPropertiesFromHandle(handle, &known));
    EXPECT(known.memAttr, ACL_HBM_MEM_HUGE);
    EXPECT(known.location.type, ACL_MEM_LOCATION_TYPE_DEVICE);
    OK(aclrtMapMem(base, PAGE, 0, handle, 0));
    OK(aclrtMemRetainAllocationHandle(base, &again));
    OK(aclrtFreePhysical(again));
    OK(aclrtMemcpy(base, 16, "from the parent", 16, ACL_MEMCPY_HOST_TO_DEVICE));
    uint64_t number = 0;
    OK(aclrtMemExportToShareableHandle(handle, ACL_MEM_HANDLE_TYPE_NONE, 0, &number));
    TRUE(aclrtMemExportToShareableHandle(handle, ACL_MEM_HANDLE_TYPE_NONE, 0, NULL) != 0);
    tell(&number, sizeof number);
    hear_done();
    EXPECT(aclrtMemSetPidToShareableHandle(number, NULL, 1), 100000);
    int32_t allowed = pid;
    OK(aclrtMemSetPidToShareableHandle(number, &allowed, 1));
    tell_done();
    hear_done();
    char text[16] = {0};
    OK(aclrtMemcpy(text, sizeof text, base, sizeof text, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the child!") == 0);
    OK(aclrtUnmapMem(base));
    OK(aclrtFreePhysical(handle));
    OK(aclrtReleaseMemAddress(base));
    tell_done();
    pair_end(pid);
}

#endif

int main(void)
{
#if ACL_GENERATION >= 117
    const pid_t pid = pair_start(child);
#endif
    begin(0);
    arguments();
    two_mappings();
#if ACL_GENERATION >= 117
    shared(pid);
#endif
    end(0);
    return finish();
}
