/* Host functions that stand in for kernels, with the simulator's own header. */
#include "check.h"

#include "../include/ascendcl_sim.h"

#if ACL_GENERATION >= 115

typedef struct {
    uint64_t x;
    uint64_t y;
    uint32_t count;
} Arguments;

/* x[i] += y[i] + *user */
static int add(const ascendclsim_launch *launch, void *user)
{
    Arguments arguments;
    float x[16], y[16];
    int failed = ascendclsim_launch_argument(launch, 0, &arguments, 20);
    if (failed || arguments.count > 16 || strcmp(ascendclsim_launch_name(launch), "add") != 0)
        return 1;
    if (ascendclsim_launch_arguments_size(launch) != 20 || ascendclsim_launch_blocks(launch) != 8)
        return 2;
    failed = ascendclsim_launch_read(launch, arguments.x, x, arguments.count * sizeof(float));
    if (!failed)
        failed = ascendclsim_launch_read(launch, arguments.y, y, arguments.count * sizeof(float));
    if (failed)
        return failed;
    for (uint32_t i = 0; i < arguments.count; i++)
        x[i] += y[i] + *(const float *)user;
    return ascendclsim_launch_write(launch, arguments.x, x, arguments.count * sizeof(float));
}

int main(void)
{
    aclrtStream stream;
    aclrtBinHandle binary;
    aclrtFuncHandle function;
    float one = 1, x[2] = {1, 2}, y[2] = {10, 20};
    void *device_x, *device_y;

    OK(aclInit(NULL));
    OK(aclrtSetDevice(0));
    OK(aclrtCreateStream(&stream));
    EXPECT(aclrtBinaryLoadFromData("no ELF", 6, NULL, &binary), 107000);
    EXPECT(ascendclsim_register_kernel(NULL, add, NULL), 100000);
    EXPECT(ascendclsim_register_kernel("add", NULL, NULL), 100000);
    OK(ascendclsim_register_kernel("add", add, &one));
    OK(aclrtBinaryLoadFromData("no ELF", 6, NULL, &binary));
    EXPECT(aclrtBinaryGetFunction(binary, "sub", &function), 107000);
    OK(aclrtBinaryGetFunction(binary, "add", &function));

    OK(aclrtMalloc(&device_x, sizeof(x), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&device_y, sizeof(y), ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(device_x, sizeof(x), x, sizeof(x), ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(device_y, sizeof(y), y, sizeof(y), ACL_MEMCPY_HOST_TO_DEVICE));
    Arguments arguments = {(uint64_t)(uintptr_t)device_x, (uint64_t)(uintptr_t)device_y, 2};

    aclrtArgsHandle list;
    aclrtParamHandle param;
    OK(aclrtKernelArgsInit(function, &list));
    OK(aclrtKernelArgsAppend(list, &arguments.x, 8, &param));
    OK(aclrtKernelArgsAppend(list, &arguments.y, 8, &param));
    OK(aclrtKernelArgsAppend(list, &arguments.count, 4, &param));
    OK(aclrtKernelArgsFinalize(list));
    OK(aclrtLaunchKernelWithConfig(function, 8, stream, NULL, list, NULL));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(x, sizeof(x), device_x, sizeof(x), ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(x[0] == 12 && x[1] == 23);

    /* Past the end. */
    arguments.count = 3;
    OK(aclrtKernelArgsParaUpdate(list, param, &arguments.count, 4));
    EXPECT(aclrtLaunchKernelWithConfig(function, 8, stream, NULL, list, NULL), 107000);
    OK(aclrtKernelArgsFinalize(list));
    OK(aclrtLaunchKernelWithConfig(function, 8, stream, NULL, list, NULL));
    EXPECT(aclrtSynchronizeStream(stream), 507015);
    OK(ascendclsim_unregister_kernel("add"));
    EXPECT(ascendclsim_unregister_kernel("add"), 100000);
    EXPECT(aclrtLaunchKernelWithConfig(function, 8, stream, NULL, list, NULL), 207000);

    OK(aclrtBinaryUnLoad(binary));
    OK(aclrtFree(device_x));
    OK(aclrtFree(device_y));
    OK(aclrtDestroyStream(stream));
    OK(aclrtResetDevice(0));
    TRUE(ascendclsim_live_count() == 0);
    OK(aclFinalize());
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
