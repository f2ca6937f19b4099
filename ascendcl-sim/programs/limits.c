/* How many cores a device has, and how many of them a stream or a thread is to use. */
#include "check.h"

#if ACL_GENERATION >= 117

static int64_t figure(aclrtDevAttr attribute)
{
    int64_t value = -1;
    OK(aclrtGetDeviceInfo(0, attribute, &value));
    return value;
}

static uint32_t in_thread(aclrtDevResLimitType type)
{
    uint32_t value = 0;
    OK(aclrtGetResInCurrentThread(type, &value));
    return value;
}

int main(void)
{
    begin(0);
    const int64_t cores = figure(ACL_DEV_ATTR_AICORE_CORE_NUM);
    TRUE(cores > 0 && figure(ACL_DEV_ATTR_AICPU_CORE_NUM) > 0);
    TRUE(figure(ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE) >= 1 << 30);
    EXPECT(figure(ACL_DEV_ATTR_IS_VIRTUAL), 0);
    int64_t value = 7;
    EXPECT(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_AICORE_CORE_NUM, NULL), 100000);
    EXPECT(aclrtGetDeviceInfo(99, ACL_DEV_ATTR_AICORE_CORE_NUM, &value), 107000);
    EXPECT(aclrtGetDeviceInfo(0, (aclrtDevAttr)999, &value), 107000);
    EXPECT(value, 7);
    int32_t feature = -1;
    OK(aclrtGetDeviceCapability(0, ACL_FEATURE_TSCPU_TASK_UPDATE_SUPPORT_AIC_AIV, &feature));
    TRUE(feature == 0 || feature == 1);
    EXPECT(aclrtGetDeviceCapability(99, ACL_FEATURE_TSCPU_TASK_UPDATE_SUPPORT_AIC_AIV, &feature), 107001);

    /* A thread has what its stream has, that what the device has, that what is there. */
    const aclrtDevResLimitType cube = ACL_RT_DEV_RES_CUBE_CORE;
    aclrtStream stream = NULL;
    uint32_t limit = 0;
    OK(aclrtCreateStream(&stream));
    OK(aclrtGetDeviceResLimit(0, cube, &limit));
    const uint32_t most = limit;
    TRUE(most > 1);
    EXPECT(in_thread(cube), most);
    OK(aclrtSetDeviceResLimit(0, cube, most - 1));
    OK(aclrtGetStreamResLimit(stream, cube, &limit));
    EXPECT(limit, most - 1);
    OK(aclrtSetStreamResLimit(stream, cube, 1));
    OK(aclrtGetStreamResLimit(stream, cube, &limit));
    EXPECT(limit, 1);
    EXPECT(in_thread(cube), most - 1);
    OK(aclrtUseStreamResInCurrentThread(stream));
    EXPECT(in_thread(cube), 1);
    OK(aclrtUnuseStreamResInCurrentThread(stream));
    EXPECT(in_thread(cube), most - 1);
    OK(aclrtResetStreamResLimit(stream));
    OK(aclrtGetStreamResLimit(stream, cube, &limit));
    EXPECT(limit, most - 1);
    OK(aclrtResetDeviceResLimit(0));
    EXPECT(in_thread(cube), most);
    EXPECT(aclrtSetDeviceResLimit(0, cube, most + 1), 107000);
    EXPECT(aclrtSetDeviceResLimit(0, (aclrtDevResLimitType)2, 1), 107000);
    EXPECT(aclrtSetDeviceResLimit(-1, cube, 1), 107001);
    EXPECT(aclrtGetDeviceResLimit(0, cube, NULL), 100000);
    OK(aclrtDestroyStream(stream));
    EXPECT(aclrtSetStreamResLimit(stream, cube, 1), 107017);
    end(0);
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
