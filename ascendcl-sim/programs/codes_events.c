/* Codes of the real runtime, measured: events of both kinds. */
#include "check.h"

int main(void)
{
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtEvent made = NULL;
    EXPECT(aclrtCreateEventWithFlag(&made, 0), 107000);
    EXPECT(aclrtCreateEventWithFlag(&made, 0x80), 107000);

    aclrtEvent old = NULL, sync = NULL, timeline = NULL;
    OK(aclrtCreateEvent(&old));
    OK(aclrtCreateEventWithFlag(&sync, ACL_EVENT_SYNC));
    OK(aclrtCreateEventWithFlag(&timeline, ACL_EVENT_TIME_LINE));
    float elapsed = 0;
    aclrtEventRecordedStatus recorded = ACL_EVENT_RECORDED_STATUS_COMPLETE;
    aclrtEventWaitStatus waited = ACL_EVENT_WAIT_STATUS_NOT_READY;
    aclrtEventStatus status = ACL_EVENT_STATUS_NOT_READY;
    EXPECT(aclrtQueryEvent(old, &status), 0);
    EXPECT(status, ACL_EVENT_STATUS_COMPLETE);
    EXPECT(aclrtQueryEventStatus(old, &recorded), 0);
    EXPECT(recorded, ACL_EVENT_RECORDED_STATUS_NOT_READY);
    EXPECT(aclrtQueryEventWaitStatus(old, &waited), 0);
    EXPECT(waited, ACL_EVENT_WAIT_STATUS_COMPLETE);
    EXPECT(aclrtSynchronizeEvent(old), 0);
    EXPECT(aclrtEventElapsedTime(&elapsed, old, old), 507000);
    EXPECT(aclrtResetEvent(sync, stream), 0);
    EXPECT(aclrtStreamWaitEvent(stream, old), 107000);
    EXPECT(aclrtStreamWaitEvent(stream, timeline), 207000);
    EXPECT(aclrtResetEvent(timeline, stream), 207000);
    OK(aclrtRecordEvent(sync, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(aclrtEventElapsedTime(&elapsed, sync, sync), 107006);

    /* A later record is after an earlier one. */
    OK(aclrtRecordEvent(old, stream));
    usleep(2000);
    OK(aclrtRecordEvent(timeline, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(aclrtEventElapsedTime(&elapsed, timeline, old), 0);
    TRUE(elapsed < 0);

    /* Destroyed with a wait pending: the wait is still satisfied by what was recorded. */
    aclrtStream second = NULL;
    aclrtEvent gate = NULL;
    OK(aclrtCreateStream(&second));
    OK(aclrtCreateEventWithFlag(&gate, ACL_EVENT_SYNC));
    OK(aclrtStreamWaitEvent(stream, gate));
    OK(aclrtRecordEvent(old, stream));
    OK(aclrtStreamWaitEvent(second, old));
    EXPECT(aclrtDestroyEvent(old), 0);
    OK(aclrtRecordEvent(gate, NULL));
    EXPECT(aclrtSynchronizeStream(second), 0);
    EXPECT(aclrtSynchronizeStream(stream), 0);
    OK(aclrtDestroyStream(second));
    OK(aclrtDestroyEvent(gate));
    OK(aclrtDestroyEvent(sync));
    OK(aclrtDestroyEvent(timeline));

#if ACL_GENERATION >= 115
    EXPECT(aclrtCreateEventExWithFlag(&made, 0), 107000);
    EXPECT(aclrtCreateEventExWithFlag(&made, 0x80), 107000);
    aclrtEvent ex = NULL, ex_timeline = NULL;
    OK(aclrtCreateEventExWithFlag(&ex, ACL_EVENT_SYNC));
    OK(aclrtCreateEventExWithFlag(&ex_timeline, ACL_EVENT_TIME_LINE));
    EXPECT(aclrtQueryEvent(ex, &status), 207000);
    recorded = ACL_EVENT_RECORDED_STATUS_NOT_READY;
    EXPECT(aclrtQueryEventStatus(ex, &recorded), 0);
    EXPECT(recorded, ACL_EVENT_RECORDED_STATUS_COMPLETE);
    EXPECT(aclrtQueryEventWaitStatus(ex, &waited), 207000);
    EXPECT(aclrtSynchronizeEvent(ex), 0);
    EXPECT(aclrtEventElapsedTime(&elapsed, ex_timeline, ex_timeline), 507000);
    uint64_t time = 0;
    EXPECT(aclrtEventGetTimestamp(ex_timeline, &time), 507000);
    EXPECT(aclrtResetEvent(ex, stream), 207000);
    EXPECT(aclrtStreamWaitEvent(stream, ex), 0);
    EXPECT(aclrtSynchronizeStream(stream), 0);
    EXPECT(aclrtStreamWaitEvent(stream, ex_timeline), 207000);
    OK(aclrtDestroyEvent(ex));
    OK(aclrtDestroyEvent(ex_timeline));

    aclrtEvent held = NULL;
    OK(aclrtCreateEventWithFlag(&held, ACL_EVENT_SYNC | ACL_EVENT_CAPTURE_STREAM_PROGRESS));
    EXPECT(aclrtEventGetTimestamp(held, &time), 507000);
    EXPECT(aclrtSynchronizeEventWithTimeout(held, 0), 107000);
    EXPECT(aclrtSynchronizeEventWithTimeout(held, -2), 107000);
    OK(aclrtCreateEventWithFlag(&gate, ACL_EVENT_SYNC));
    OK(aclrtStreamWaitEvent(stream, gate));
    OK(aclrtRecordEvent(held, stream));
    EXPECT(aclrtSynchronizeEventWithTimeout(held, 20), 507047);
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 20), 507046);
    EXPECT(aclrtSynchronizeDeviceWithTimeout(20), 507046);
    OK(aclrtRecordEvent(gate, NULL));
    EXPECT(aclrtSynchronizeEventWithTimeout(held, 10000), 0);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtDestroyEvent(gate));
    OK(aclrtDestroyEvent(held));
#endif
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}
