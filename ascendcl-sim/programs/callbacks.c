/* Host functions in a stream: who runs them, in which order, and what waits for them. */
#include "check.h"

enum { MANY = 200 };

static int order[MANY];
static int done;
static pthread_t reporter;

static void note(void *data)
{
    TRUE(pthread_equal(pthread_self(), reporter));
    order[done++] = (int)(intptr_t)data;
}

static void increment(void *data)
{
    __atomic_add_fetch((int *)data, 1, __ATOMIC_SEQ_CST);
}

int main(void)
{
    EXPECT(aclrtProcessReport(0), 100000);
    EXPECT(aclrtProcessReport(-2), 100000);
    EXPECT(aclrtProcessReport(-1), 107012);
    begin(0);
    aclrtStream stream = NULL, other = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    EXPECT(aclrtLaunchCallback(note, NULL, ACL_CALLBACK_BLOCK, stream), 107015);
    reporter = serve();
    uint64_t id = (uint64_t)reporter;
    EXPECT(aclrtUnSubscribeReport(id, stream), 107011);
    OK(aclrtSubscribeReport(id, stream));
    EXPECT(aclrtSubscribeReport(id, stream), 107011);
    EXPECT(aclrtSubscribeReport((uint64_t)pthread_self(), stream), 107011);
    OK(aclrtSubscribeReport(id, other));
    EXPECT(aclrtLaunchCallback(note, NULL, (aclrtCallbackBlockType)2, stream), 100000);
    EXPECT(aclrtLaunchCallback(NULL, NULL, ACL_CALLBACK_BLOCK, stream), 107000);

    /* A blocking one holds the stream, so that synchronising proves that it ran. */
    for (intptr_t i = 0; i < MANY; i++)
        OK(aclrtLaunchCallback(note, (void *)i, ACL_CALLBACK_BLOCK, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(done, MANY);
    for (int i = 0; i < MANY; i++)
        EXPECT(order[i], i);

    /* Between copies a callback sees what the first has written. */
    int32_t *from = NULL, *to = NULL;
    void *device = NULL;
    OK(aclrtMallocHost((void **)&from, sizeof *from));
    OK(aclrtMallocHost((void **)&to, sizeof *to));
    OK(aclrtMalloc(&device, sizeof *from, ACL_MEM_MALLOC_NORMAL_ONLY));
    *from = 41;
    *to = 0;
    const size_t size = sizeof *from;
    OK(aclrtMemcpyAsync(device, size, from, size, ACL_MEMCPY_HOST_TO_DEVICE, other));
    OK(aclrtMemcpyAsync(to, size, device, size, ACL_MEMCPY_DEVICE_TO_HOST, other));
    OK(aclrtLaunchCallback(increment, to, ACL_CALLBACK_BLOCK, other));
    OK(aclrtMemcpyAsync(device, size, to, size, ACL_MEMCPY_HOST_TO_DEVICE, other));
    OK(aclrtMemcpyAsync(from, size, device, size, ACL_MEMCPY_DEVICE_TO_HOST, other));
    OK(aclrtSynchronizeStream(other));
    EXPECT(*from, 42);

    /* One that does not block: Ascend 310 has none. */
    if (chip() != ASCEND_310) {
        int loose = 0;
        OK(aclrtLaunchCallback(increment, &loose, ACL_CALLBACK_NO_BLOCK, other));
        OK(aclrtSynchronizeStream(other));
        while (__atomic_load_n(&loose, __ATOMIC_SEQ_CST) == 0)
            usleep(1000);
    }
    OK(aclrtUnSubscribeReport(id, stream));
    OK(aclrtUnSubscribeReport(id, other));
    EXPECT(aclrtUnSubscribeReport(id, other), 107011);
    stop_serving(reporter);
#if ACL_GENERATION >= 115
    /* Without a subscription and a thread of the program's. */
    if (chip() != ASCEND_310) {
        int called = 0;
        for (int i = 0; i < MANY; i++)
            OK(aclrtLaunchHostFunc(stream, increment, &called));
        OK(aclrtSynchronizeStream(stream));
        EXPECT(called, MANY);
        EXPECT(aclrtSubscribeReport((uint64_t)pthread_self(), stream), 107011);
    }
#endif
    OK(aclrtFree(device));
    OK(aclrtFreeHost(from));
    OK(aclrtFreeHost(to));
    OK(aclrtDestroyStream(stream));
    OK(aclrtDestroyStream(other));
    end(0);
    return finish();
}
