/* Events between streams: record, wait, reset and again; query and synchronise; the two kinds of events. */
#include "check.h"

enum { ROUNDS = 100, WORDS = 64 };

/* What one stream writes, another reads, round after round, with one event that is reset for the next one. */
static void hand_over(aclrtStream writer, aclrtStream reader)
{
    aclrtEvent written = NULL, seen = NULL;
    OK(aclrtCreateEventWithFlag(&written, ACL_EVENT_SYNC));
    OK(aclrtCreateEventWithFlag(&seen, ACL_EVENT_SYNC));
    int32_t *from = NULL, *to = NULL;
    void *device = NULL;
    OK(aclrtMallocHost((void **)&from, ROUNDS * WORDS * sizeof *from));
    OK(aclrtMallocHost((void **)&to, ROUNDS * WORDS * sizeof *to));
    OK(aclrtMalloc(&device, WORDS * sizeof *from, ACL_MEM_MALLOC_HUGE_FIRST));
    for (int i = 0; i < ROUNDS * WORDS; i++)
        from[i] = i;
    memset(to, 0, ROUNDS * WORDS * sizeof *to);
    const size_t size = WORDS * sizeof *from;
    for (int i = 0; i < ROUNDS; i++) {
        if (i > 0) {
            OK(aclrtStreamWaitEvent(writer, seen));
            OK(aclrtResetEvent(seen, writer));
        }
        OK(aclrtMemcpyAsync(device, size, from + i * WORDS, size, ACL_MEMCPY_HOST_TO_DEVICE, writer));
        OK(aclrtRecordEvent(written, writer));
        OK(aclrtStreamWaitEvent(reader, written));
        OK(aclrtResetEvent(written, reader));
        OK(aclrtMemcpyAsync(to + i * WORDS, size, device, size, ACL_MEMCPY_DEVICE_TO_HOST, reader));
        OK(aclrtRecordEvent(seen, reader));
    }
    OK(aclrtSynchronizeStream(reader));
    OK(aclrtSynchronizeStream(writer));
    TRUE(memcmp(from, to, ROUNDS * size) == 0);
    OK(aclrtFree(device));
    OK(aclrtFreeHost(from));
    OK(aclrtFreeHost(to));
    OK(aclrtDestroyEvent(written));
    OK(aclrtDestroyEvent(seen));
}

int main(void)
{
    begin(0);
    aclrtStream one = NULL, two = NULL;
    OK(aclrtCreateStream(&one));
    OK(aclrtCreateStream(&two));

    aclrtEvent plain = NULL;
    OK(aclrtCreateEvent(&plain));
    aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_COMPLETE;
    OK(aclrtQueryEventStatus(plain, &status));
    EXPECT(status, ACL_EVENT_RECORDED_STATUS_NOT_READY);
    OK(aclrtRecordEvent(plain, one));
    OK(aclrtSynchronizeEvent(plain));
    OK(aclrtQueryEventStatus(plain, &status));
    EXPECT(status, ACL_EVENT_RECORDED_STATUS_COMPLETE);
    OK(aclrtStreamWaitEvent(two, plain));
    OK(aclrtSynchronizeStream(two));
    OK(aclrtDestroyEvent(plain));

    aclrtEvent timeline = NULL;
    OK(aclrtCreateEventWithFlag(&timeline, ACL_EVENT_TIME_LINE));
    OK(aclrtRecordEvent(timeline, one));
    EXPECT(aclrtStreamWaitEvent(two, timeline), 207000);
    OK(aclrtSynchronizeStream(one));
    OK(aclrtDestroyEvent(timeline));

    hand_over(one, two);
    hand_over(one, one);

#if ACL_GENERATION >= 115
    /* The newer kind is recorded again without a reset. */
    aclrtEvent again = NULL;
    OK(aclrtCreateEventExWithFlag(&again, ACL_EVENT_SYNC | ACL_EVENT_CAPTURE_STREAM_PROGRESS));
    for (int i = 0; i < ROUNDS; i++) {
        OK(aclrtRecordEvent(again, one));
        OK(aclrtStreamWaitEvent(two, again));
    }
    OK(aclrtSynchronizeStream(two));
    OK(aclrtQueryEventStatus(again, &status));
    EXPECT(status, ACL_EVENT_RECORDED_STATUS_COMPLETE);
    EXPECT(aclrtResetEvent(again, one), 207000);
    OK(aclrtDestroyEvent(again));
#endif
    OK(aclrtDestroyStream(one));
    OK(aclrtDestroyStream(two));
    end(0);
    return finish();
}
