/* A program's own allocator, registered for a stream: libraries of operators take their memory from it. */
#include "check.h"

#if ACL_GENERATION >= 117

#include "acl/acl_rt_allocator.h"

static int allocated, freed;

static void *allocate(aclrtAllocator allocator, size_t size)
{
    TRUE(allocator == (void *)&allocated);
    allocated++;
    return malloc(size);
}

static void *advise(aclrtAllocator allocator, size_t size, aclrtAllocatorAddr address)
{
    (void)address;
    return allocate(allocator, size);
}

static void release(aclrtAllocator allocator, aclrtAllocatorBlock block)
{
    TRUE(allocator == (void *)&allocated);
    freed++;
    free(block);
}

static void *address(aclrtAllocatorBlock block)
{
    return block;
}

int main(void)
{
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtAllocatorDesc desc = aclrtAllocatorCreateDesc(), found = NULL;
    TRUE(desc != NULL);
    EXPECT(aclrtAllocatorSetObjToDesc(NULL, &allocated), 100000);
    EXPECT(aclrtAllocatorSetObjToDesc(desc, NULL), 100000);
    OK(aclrtAllocatorSetObjToDesc(desc, &allocated));
    EXPECT(aclrtAllocatorRegister(stream, desc), 100000);
    EXPECT(aclrtAllocatorSetAllocFuncToDesc(desc, NULL), 100000);
    OK(aclrtAllocatorSetAllocFuncToDesc(desc, allocate));
    OK(aclrtAllocatorSetFreeFuncToDesc(desc, release));
    OK(aclrtAllocatorSetAllocAdviseFuncToDesc(desc, advise));
    OK(aclrtAllocatorSetGetAddrFromBlockFuncToDesc(desc, address));
    EXPECT(aclrtAllocatorRegister(NULL, desc), 100000);
    EXPECT(aclrtAllocatorRegister(stream, NULL), 100000);
    OK(aclrtAllocatorRegister(stream, desc));

    aclrtAllocator object = NULL;
    aclrtAllocatorAllocFunc get = NULL;
    aclrtAllocatorFreeFunc give = NULL;
    aclrtAllocatorAllocAdviseFunc get_at = NULL;
    aclrtAllocatorGetAddrFromBlockFunc where = NULL;
    OK(aclrtAllocatorGetByStream(stream, &found, &object, &get, &give, &get_at, &where));
    TRUE(found == desc && object == (void *)&allocated && get == allocate && give == release && get_at == advise && where == address);
    void *block = get(object, 64);
    TRUE(where(block) == block);
    give(object, block);
    EXPECT(allocated, 1);
    EXPECT(freed, 1);
    OK(aclrtAllocatorUnregister(stream));
    TRUE(aclrtAllocatorGetByStream(stream, &found, &object, &get, &give, &get_at, &where) != 0);
    OK(aclrtAllocatorDestroyDesc(desc));
    EXPECT(aclrtAllocatorDestroyDesc(NULL), 100000);
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
