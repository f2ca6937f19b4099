/* Contexts: which one is current, for each thread; streams belong to theirs. */
#include "check.h"

static void *fresh_thread(void *context)
{
    aclrtContext own = NULL;
    int32_t device = -1;
    EXPECT(aclrtGetCurrentContext(&own), 107002);
    EXPECT(aclrtGetDevice(&device), 107002);
    EXPECT(aclrtSetCurrentContext(context), 0);
    EXPECT(aclrtGetCurrentContext(&own), 0);
    TRUE(own == context);
    aclrtStream stream = NULL;
    EXPECT(aclrtCreateStream(&stream), 0);
    EXPECT(aclrtSynchronizeStream(stream), 0);
    EXPECT(aclrtDestroyStream(stream), 0);
    return NULL;
}

int main(void)
{
    OK(aclInit(NULL));
    aclrtContext none = NULL;
    EXPECT(aclrtGetCurrentContext(&none), 107002);
    OK(aclrtSetDevice(0));
    aclrtContext primary = NULL, first = NULL, second = NULL, current = NULL;
    OK(aclrtGetCurrentContext(&primary));
    OK(aclrtCreateContext(&first, 0));
    OK(aclrtGetCurrentContext(&current));
    TRUE(current == first && first != primary);
    OK(aclrtCreateContext(&second, 0));
    TRUE(second != first);

    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtSetCurrentContext(first));
    aclrtEvent event = NULL;
    OK(aclrtCreateEvent(&event));
    EXPECT(aclrtRecordEvent(event, stream), 107003);
    EXPECT(aclrtStreamWaitEvent(stream, event), 107003);
    EXPECT(aclrtDestroyStream(stream), 107003);
    EXPECT(aclrtSynchronizeStream(stream), 0);
    OK(aclrtDestroyEvent(event));

    pthread_t thread;
    OK(pthread_create(&thread, NULL, fresh_thread, first));
    pthread_join(thread, NULL);

    OK(aclrtSetCurrentContext(second));
    OK(aclrtDestroyStream(stream));
    EXPECT(aclrtDestroyContext(primary), 107002);
    OK(aclrtDestroyContext(second));
    EXPECT(aclrtGetCurrentContext(&current), 107002);
    EXPECT(aclrtSetCurrentContext(second), 107000);
    OK(aclrtDestroyContext(first));
    OK(aclrtSetDevice(0));
    OK(aclrtGetCurrentContext(&current));
    TRUE(current == primary);
    OK(aclrtResetDevice(0));
    end(0);
    return finish();
}
