/* Leaving main with everything open: busy streams, a callback that nobody serves, a thread that waits for reports for ever. */
#include "check.h"

static void never(void *unused)
{
    (void)unused;
    TRUE(!"a callback that nobody serves has run");
}

static void sleepy(void *unused)
{
    (void)unused;
    usleep(50 * 1000);
}

static void *wait_for_ever(void *unused)
{
    (void)unused;
    while (aclrtProcessReport(-1) != 0)
        usleep(1000);
    return NULL;
}

static void *idle(void *unused)
{
    (void)unused;
    pause();
    return NULL;
}

int main(void)
{
    begin(0);
    aclrtStream stream[3];
    for (int i = 0; i < 3; i++)
        OK(aclrtCreateStream(&stream[i]));
    pthread_t waiting, absent;
    OK(pthread_create(&waiting, NULL, wait_for_ever, NULL));
    OK(pthread_create(&absent, NULL, idle, NULL));
    OK(aclrtSubscribeReport((uint64_t)waiting, stream[0]));
    OK(aclrtSubscribeReport((uint64_t)absent, stream[1]));
    OK(aclrtLaunchCallback(sleepy, NULL, ACL_CALLBACK_BLOCK, stream[0]));
    OK(aclrtLaunchCallback(never, NULL, ACL_CALLBACK_BLOCK, stream[1]));

    aclrtEvent event = NULL;
    OK(aclrtCreateEventWithFlag(&event, ACL_EVENT_SYNC));
    OK(aclrtStreamWaitEvent(stream[2], event));
    const size_t size = 1 << 22;
    void *device = NULL, *host = NULL;
    OK(aclrtMalloc(&device, size, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMallocHost(&host, size));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 20; j++)
            OK(aclrtMemcpyAsync(device, size, host, size, ACL_MEMCPY_HOST_TO_DEVICE, stream[i]));
    return finish();
}
