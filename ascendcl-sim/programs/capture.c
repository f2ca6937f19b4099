/* Capture: what is recorded runs later, as often as it is asked for; what must not be captured is refused. */
#include "check.h"

int main(void)
{
#if ACL_GENERATION >= 115
    begin(0);
    aclrtStream stream = NULL, other = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    const size_t size = 256;
    unsigned char *host = NULL;
    void *from = NULL, *to = NULL;
    OK(aclrtMallocHost((void **)&host, size));
    OK(aclrtMalloc(&from, size, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&to, size, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(from, size, 0, size));
    OK(aclrtMemset(to, size, 0, size));

    LACKING(aclmdlRICaptureBegin(stream, ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL), ASCEND_310);
    aclmdlRI model = NULL;
    aclmdlRICaptureStatus status = ACL_MODEL_RI_CAPTURE_STATUS_NONE;
    OK(aclmdlRICaptureGetInfo(stream, &status, &model));
    EXPECT(status, ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE);
    OK(aclrtMemcpyAsync(to, size, from, size, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    /* Another stream joins through an event, and comes back through another. */
    aclrtEvent fork = NULL, join = NULL;
    OK(aclrtCreateEventExWithFlag(&fork, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&join, ACL_EVENT_SYNC));
    OK(aclrtRecordEvent(fork, stream));
    OK(aclrtStreamWaitEvent(other, fork));
    OK(aclrtMemsetAsync(from, size, 3, size / 2, other));
    OK(aclrtRecordEvent(join, other));
    OK(aclrtStreamWaitEvent(stream, join));
    EXPECT(aclrtSynchronizeStream(stream), 107027);
    OK(aclmdlRICaptureEnd(stream, &model));
    EXPECT(aclmdlRICaptureBegin(NULL, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL), 100000);

    /* Nothing has run. Then the first time copies zeroes, and the second what the first has left behind. */
    OK(aclrtSynchronizeStream(stream));
    const int expected[] = {0, 0, 3};
    for (int i = 0; i < 3; i++) {
        OK(aclrtMemcpy(host, size, to, size, ACL_MEMCPY_DEVICE_TO_HOST));
        EXPECT(host[0], expected[i]);
        EXPECT(host[size - 1], 0);
        OK(aclmdlRIExecuteAsync(model, stream));
        OK(aclrtSynchronizeStream(stream));
    }
    OK(aclmdlRIDestroy(model));
    OK(aclrtDestroyEvent(fork));
    OK(aclrtDestroyEvent(join));
    OK(aclrtFree(from));
    OK(aclrtFree(to));
    OK(aclrtFreeHost(host));
    OK(aclrtDestroyStream(stream));
    OK(aclrtDestroyStream(other));
    end(0);
#endif
    return finish();
}
