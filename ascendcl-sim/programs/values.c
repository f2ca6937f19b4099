/* A stream waits for a value in device memory, another writes it. */
#include "check.h"

int main(void)
{
#if ACL_GENERATION >= 117
    begin(0);
    aclrtStream one = NULL, two = NULL;
    OK(aclrtCreateStream(&one));
    OK(aclrtCreateStream(&two));
    uint64_t *memory = NULL;
    OK(aclrtMalloc((void **)&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(memory, 64, 0, 64));
    LACKING(aclrtValueWrite(memory, 1, 0, one), ASCEND_310 | ASCEND_310P);
    OK(aclrtSynchronizeStream(one));
    EXPECT(aclrtValueWrite(NULL, 1, 0, one), 100000);

    aclrtStreamStatus status = ACL_STREAM_STATUS_COMPLETE;
    /* At least 5. */
    OK(aclrtValueWait(memory, 5, 0, two));
    OK(aclrtValueWrite(memory, 4, 0, one));
    OK(aclrtSynchronizeStream(one));
    OK(aclrtStreamQuery(two, &status));
    EXPECT(status, ACL_STREAM_STATUS_NOT_READY);
    OK(aclrtValueWrite(memory, 7, 0, one));
    OK(aclrtSynchronizeStream(two));
    uint64_t value = 0;
    OK(aclrtMemcpy(&value, sizeof value, memory, sizeof value, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(value, 7);
    OK(aclrtSynchronizeStream(one));
    /* Equal; a bit of those; not all of those. */
    OK(aclrtValueWrite(memory, 6, 0, one));
    OK(aclrtSynchronizeStream(one));
    OK(aclrtValueWait(memory, 6, ACL_STREAM_WAIT_VALUE_EQ, two));
    OK(aclrtValueWait(memory, 3, ACL_STREAM_WAIT_VALUE_AND, two));
    OK(aclrtValueWait(memory, 1, ACL_STREAM_WAIT_VALUE_NOR, two));
    OK(aclrtSynchronizeStream(two));
    OK(aclrtValueWait(memory, 1, ACL_STREAM_WAIT_VALUE_AND, two));
    OK(aclrtStreamQuery(two, &status));
    EXPECT(status, ACL_STREAM_STATUS_NOT_READY);
    OK(aclrtMemset(memory, 64, 1, 1));
    OK(aclrtSynchronizeStream(two));
    EXPECT(aclrtValueWait(memory, 1, 9, two), 107000);
    OK(aclrtFree(memory));
    OK(aclrtDestroyStream(one));
    OK(aclrtDestroyStream(two));
    end(0);
#endif
    return finish();
}
