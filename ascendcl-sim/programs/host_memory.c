/* The program's own memory, registered: streams copy from it at once, and the device has an address for it. */
#include "check.h"

#if ACL_GENERATION >= 117

enum { PAGE = 4096 };

static aclrtMemLocationType kind(const void *memory)
{
    aclrtPtrAttributes attributes;
    memset(&attributes, 0, sizeof attributes);
    OK(aclrtPointerGetAttributes(memory, &attributes));
    return attributes.location.type;
}

int main(void)
{
    begin(0);
    void *own = NULL, *mapped = NULL, *inside = NULL, *device = NULL;
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&device, PAGE, ACL_MEM_MALLOC_HUGE_FIRST));
    TRUE(posix_memalign(&own, PAGE, 2 * PAGE) == 0);
    EXPECT(kind(own), ACL_MEM_LOCATION_TYPE_UNREGISTERED);
    LACKING(aclrtHostRegister(own, 2 * PAGE, ACL_HOST_REGISTER_MAPPED, &mapped), ASCEND_310 | ASCEND_310P);
    EXPECT(kind(own), ACL_MEM_LOCATION_TYPE_HOST);
    EXPECT(kind(mapped), ACL_MEM_LOCATION_TYPE_DEVICE);
    OK(aclrtHostGetDevicePointer((char *)own + 100, &inside, 0));
    TRUE(inside == (char *)mapped + 100);

    memset(own, 5, PAGE);
    OK(aclrtMemcpyAsync(device, PAGE, own, PAGE, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclrtMemcpyAsync((char *)own + PAGE, PAGE, device, PAGE, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    TRUE(memcmp(own, (char *)own + PAGE, PAGE) == 0);

    EXPECT(aclrtHostRegister(own, PAGE, ACL_HOST_REGISTER_MAPPED, &inside), 507910);
    EXPECT(aclrtHostRegister(NULL, PAGE, ACL_HOST_REGISTER_MAPPED, &inside), 100000);
    EXPECT(aclrtHostRegister(own, 0, ACL_HOST_REGISTER_MAPPED, &inside), 100000);
    EXPECT(aclrtHostRegister(own, PAGE, ACL_HOST_REGISTER_MAPPED, NULL), 100000);
    EXPECT(aclrtHostRegister(own, PAGE, (aclrtHostRegisterType)2, &inside), 207000);
    EXPECT(aclrtHostGetDevicePointer(own, &inside, 1), 100000);
    EXPECT(aclrtHostUnregister((char *)own + PAGE), 507911);
    OK(aclrtHostUnregister(own));
    EXPECT(aclrtHostUnregister(own), 507911);
    EXPECT(aclrtHostUnregister(NULL), 100000);
    EXPECT(kind(own), ACL_MEM_LOCATION_TYPE_UNREGISTERED);

    OK(aclrtHostRegisterV2(own, PAGE, ACL_HOST_REG_MAPPED | ACL_HOST_REG_PINNED));
    OK(aclrtHostGetDevicePointer(own, &mapped, 0));
    OK(aclrtHostUnregister(own));

    free(own);
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
