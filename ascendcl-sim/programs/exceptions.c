/* A task that fails: the program is told, and the stream says so. It fails here because it waits for an event that nobody records. */
#include "check.h"

#if ACL_GENERATION >= 115

static volatile int calls;
static volatile uint32_t seen[4];

static void on_exception(aclrtExceptionInfo *info)
{
    calls++;
    seen[0] = aclrtGetTaskIdFromExceptionInfo(info);
    seen[1] = aclrtGetStreamIdFromExceptionInfo(info);
    seen[2] = aclrtGetDeviceIdFromExceptionInfo(info);
    seen[3] = aclrtGetErrorCodeFromExceptionInfo(info);
}

int main(void)
{
    begin(0);
    EXPECT(aclrtGetTaskIdFromExceptionInfo(NULL), UINT32_MAX);
    EXPECT(aclrtGetStreamIdFromExceptionInfo(NULL), UINT32_MAX);
    EXPECT(aclrtGetThreadIdFromExceptionInfo(NULL), UINT32_MAX);
    EXPECT(aclrtGetDeviceIdFromExceptionInfo(NULL), UINT32_MAX);
    EXPECT(aclrtGetErrorCodeFromExceptionInfo(NULL), UINT32_MAX);
    OK(aclrtSetExceptionInfoCallback(on_exception));
    LACKING(aclrtSetOpWaitTimeout(1), ASCEND_310P);
    aclrtStream stream = NULL;
    aclrtEvent event = NULL;
    int32_t id = -1;
    OK(aclrtCreateStream(&stream));
    OK(aclrtStreamGetId(stream, &id));
    OK(aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC));
    OK(aclrtStreamWaitEvent(stream, event));
    const int code = aclrtSynchronizeStream(stream);
    TRUE(code != 0);
    EXPECT(calls, 1);
    EXPECT(seen[1], id);
    EXPECT(seen[2], 0);
    EXPECT(seen[3], code);
    /* Nobody is told of the second one. */
    OK(aclrtSetExceptionInfoCallback(NULL));
    OK(aclrtStreamWaitEvent(stream, event));
    EXPECT(aclrtSynchronizeStream(stream), code);
    EXPECT(calls, 1);
    OK(aclrtSetOpWaitTimeout(0));
    OK(aclrtDestroyEvent(event));
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
