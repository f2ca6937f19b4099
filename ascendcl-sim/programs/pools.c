/* Pools of memory: a stream allocates and frees in its turn. */
#include "check.h"

#if ACL_GENERATION >= 117

#include "acl/acl_rt_memory_soma.h"

static uint64_t get(aclrtMemPool pool, aclrtMemPoolAttr attribute)
{
    uint64_t value = 0;
    OK(aclrtMemPoolGetAttr(pool, attribute, &value));
    return value;
}

int main(void)
{
    const uint64_t mib = 1 << 20;
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtMemPoolProps properties;
    memset(&properties, 0, sizeof properties);
    properties.allocType = ACL_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
    properties.maxSize = 8 * mib;
    aclrtMemPool pool = NULL;
    LACKING(aclrtMemPoolCreate(&pool, &properties), ASCEND_310 | ASCEND_310P);
    EXPECT(aclrtMemPoolCreate(NULL, &properties), 100000);
    aclrtMemPool other = NULL;
    properties.location.type = ACL_MEM_LOCATION_TYPE_HOST;
    EXPECT(aclrtMemPoolCreate(&other, &properties), 100000);

    uint64_t threshold = 8 * mib;
    OK(aclrtMemPoolSetAttr(pool, ACL_RT_MEM_POOL_ATTR_RELEASE_THRESHOLD, &threshold));
    void *first = NULL, *second = NULL;
    OK(aclrtMemPoolMallocAsync(&first, 100, pool, stream));
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT), 2 * mib);
    OK(aclrtMemsetAsync(first, 100, 6, 100, stream));
    unsigned char back[100] = {0};
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(back, sizeof back, first, sizeof back, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(back[99], 6);
    OK(aclrtMemPoolFreeAsync(first, stream));
    EXPECT(aclrtMemPoolFreeAsync(first, stream), 107000);
    OK(aclrtSynchronizeStream(stream));
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_CURRENT), 0);
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT), 2 * mib);
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_USED_MEM_HIGH), 2 * mib);

    OK(aclrtMemPoolMallocAsync(&second, 2 * mib, pool, stream));
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT), 2 * mib);
    OK(aclrtMemPoolFreeAsync(second, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemPoolTrimTo(pool, 0));
    EXPECT(get(pool, ACL_RT_MEM_POOL_ATTR_RESERVED_MEM_CURRENT), 0);
    OK(aclrtMemPoolDestroy(pool));
    TRUE(aclrtMemPoolDestroy(pool) != 0);
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
