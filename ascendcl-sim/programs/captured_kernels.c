/* Captured kernels: each replay runs them, on two streams, with the arguments of their launch, until a group of them gets others. */
#include "check.h"

#include "../include/ascendcl_sim.h"

#if ACL_GENERATION >= 117

typedef struct {
    uint64_t numbers;
    int32_t more;
    int32_t factor;
} Arguments;

/* numbers[i] = numbers[i] * factor + more, for as many as there are blocks. */
static int scale(const ascendclsim_launch *launch, void *user)
{
    Arguments arguments;
    int32_t numbers[8];
    const uint32_t count = ascendclsim_launch_blocks(launch);
    int failed = ascendclsim_launch_argument(launch, 0, &arguments, sizeof arguments);
    if (failed || count > 8)
        return 1;
    failed = ascendclsim_launch_read(launch, arguments.numbers, numbers, count * sizeof *numbers);
    if (failed)
        return failed;
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = numbers[i] * arguments.factor + arguments.more;
    __atomic_add_fetch((int *)user, 1, __ATOMIC_SEQ_CST);
    return ascendclsim_launch_write(launch, arguments.numbers, numbers, count * sizeof *numbers);
}

static aclrtFuncHandle function;

static int launch(void *numbers, int factor, int more, aclrtStream stream)
{
    Arguments arguments = {(uint64_t)(uintptr_t)numbers, more, factor};
    return aclrtLaunchKernelWithHostArgs(function, 4, stream, NULL, &arguments, sizeof arguments, NULL, 0);
}

static int first(void *numbers)
{
    int32_t host[4] = {0, 0, 0, 0};
    OK(aclrtMemcpy(host, sizeof host, numbers, sizeof host, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(host[3], host[0]);
    return host[0];
}

int main(void)
{
    int ran = 0;
    void *left = NULL, *right = NULL;
    aclrtBinHandle binary = NULL;
    aclrtStream stream = NULL, other = NULL;
    aclrtEvent fork = NULL, join = NULL;
    begin(0);
    OK(ascendclsim_register_kernel("scale", scale, &ran));
    OK(aclrtBinaryLoadFromData("kernels", 7, NULL, &binary));
    OK(aclrtBinaryGetFunction(binary, "scale", &function));
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    OK(aclrtCreateEventExWithFlag(&fork, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&join, ACL_EVENT_SYNC));
    OK(aclrtMalloc(&left, 16, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&right, 16, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(left, 16, 0, 16));
    OK(aclrtMemset(right, 16, 0, 16));

    LACKING(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), ASCEND_310);
    aclmdlRI model = NULL;
    aclrtTaskGrp group = NULL;
    OK(launch(left, 2, 1, stream));
    OK(aclrtRecordEvent(fork, stream));
    OK(aclrtStreamWaitEvent(other, fork));
    OK(launch(right, 1, 10, other));
    OK(aclrtRecordEvent(join, other));
    OK(aclmdlRICaptureTaskGrpBegin(stream));
    OK(launch(left, 3, 0, stream));
    OK(aclmdlRICaptureTaskGrpEnd(stream, &group));
    OK(aclrtStreamWaitEvent(stream, join));
    OK(launch(right, 2, 0, stream));
    OK(aclmdlRICaptureEnd(stream, &model));
    EXPECT(ran, 0);
    EXPECT(first(left), 0);

    OK(aclmdlRIExecuteAsync(model, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(ran, 4);
    EXPECT(first(left), 3);
    EXPECT(first(right), 20);
    OK(aclmdlRIExecuteAsync(model, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(first(left), (3 * 2 + 1) * 3);
    EXPECT(first(right), 60);

    /* The kernel of the group gets other arguments. */
    OK(aclmdlRICaptureTaskUpdateBegin(other, group));
    OK(launch(left, 1, 100, other));
    OK(aclmdlRICaptureTaskUpdateEnd(other));
    OK(aclrtSynchronizeStream(other));
    OK(aclmdlRIExecuteAsync(model, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(first(left), 21 * 2 + 1 + 100);
    EXPECT(ran, 12);
    OK(aclmdlRIDestroy(model));

    OK(aclrtDestroyEvent(fork));
    OK(aclrtDestroyEvent(join));
    OK(aclrtFree(left));
    OK(aclrtFree(right));
    OK(aclrtBinaryUnLoad(binary));
    OK(aclrtDestroyStream(stream));
    OK(aclrtDestroyStream(other));
    OK(ascendclsim_unregister_kernel("scale"));
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
