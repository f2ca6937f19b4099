/* Codes of the real runtime, measured: report threads and callbacks. */
#include <sys/syscall.h>

#include "check.h"

static aclrtStream stream, other;
static aclrtEvent event;
static int calls;

static void count_call(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
}

static void never(void *what)
{
    fprintf(stderr, "%s: a callback ran that must not\n", (const char *)what);
    __atomic_add_fetch(&check_failures, 1, __ATOMIC_SEQ_CST);
}

static void inside(void *unused)
{
    (void)unused;
    aclrtStream made = NULL;
    EXPECT(aclrtSetDevice(0), 0);
    EXPECT(aclrtCreateStream(&made), 0);
    EXPECT(aclrtRecordEvent(event, made), 0);
    EXPECT(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, stream), 0);
#if ACL_GENERATION >= 115
    EXPECT(aclrtSynchronizeStreamWithTimeout(stream, 20), 507046);
#endif
    EXPECT(aclrtSynchronizeStream(made), 0);
    EXPECT(aclrtDestroyStream(made), 0);
    EXPECT(aclrtResetDevice(0), 0);
}

static void again(void *depth)
{
    if (++*(int *)depth < 4)
        EXPECT(aclrtProcessReport(20), 0);
}

/* A thread that is told what to do, one thing at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int wanted, answered, answer;
static uint64_t kernel_id;

static void *obedient(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    kernel_id = (uint64_t)syscall(SYS_gettid);
    answered = 1;
    pthread_cond_broadcast(&changed);
    for (;;) {
        while (wanted == 0)
            pthread_cond_wait(&changed, &lock);
        const int timeout = wanted;
        wanted = 0;
        if (timeout < 0)
            break;
        pthread_mutex_unlock(&lock);
        const int code = aclrtProcessReport(timeout);
        pthread_mutex_lock(&lock);
        answer = code;
        answered = 1;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* What the thread's aclrtProcessReport(timeout) answers; a negative timeout ends the thread. */
static int process(int timeout)
{
    pthread_mutex_lock(&lock);
    wanted = timeout;
    answered = 0;
    pthread_cond_broadcast(&changed);
    while (timeout > 0 && !answered)
        pthread_cond_wait(&changed, &lock);
    const int code = answer;
    pthread_mutex_unlock(&lock);
    return code;
}

static void *sleeper(void *unused)
{
    (void)unused;
    pause();
    return NULL;
}

/* On a busy machine a stream may take its time, and nothing is there to report yet. */
static void served(int code)
{
    TRUE(code == 0 || code == 507012);
}

static void too_many_threads(void)
{
    enum { LIMIT = 128 };
    static aclrtStream streams[LIMIT + 1];
    static pthread_t threads[LIMIT + 1];
    for (int i = 0; i <= LIMIT; i++) {
        OK(aclrtCreateStream(&streams[i]));
        OK(pthread_create(&threads[i], NULL, sleeper, NULL));
        EXPECT(aclrtSubscribeReport((uint64_t)threads[i], streams[i]), i == LIMIT && chip() != EVERYTHING ? 507000 : 0);
    }
    for (int i = 0; i <= LIMIT; i++)
        OK(aclrtDestroyStream(streams[i]));
}

static void *launch_many(void *unused)
{
    (void)unused;
    OK(aclrtSetDevice(0));
    for (int i = 0; i < 6000; i++)
        OK(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, other));
    OK(aclrtResetDevice(0));
    return NULL;
}

int main(void)
{
    EXPECT(aclrtProcessReport(0), 100000);
    EXPECT(aclrtProcessReport(-2), 100000);
    EXPECT(aclrtProcessReport(-1), 107012);
    EXPECT(aclrtProcessReport(100), 107012);
    begin(0);
    OK(aclrtCreateStream(&stream));
    OK(aclrtCreateStream(&other));
    OK(aclrtCreateEvent(&event));
    EXPECT(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, stream), 107015);
    EXPECT(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, NULL), 107015);
    EXPECT(aclrtLaunchCallback(NULL, NULL, (aclrtCallbackBlockType)7, stream), 100000);

    pthread_t thread;
    OK(pthread_create(&thread, NULL, obedient, NULL));
    process(1);
    const uint64_t id = (uint64_t)thread;
    OK(aclrtSubscribeReport(id, stream));
    EXPECT(aclrtSubscribeReport(id, other), 0);
    EXPECT(aclrtSubscribeReport(id, stream), 107011);
    EXPECT(aclrtSubscribeReport((uint64_t)pthread_self(), stream), 107011);
    EXPECT(aclrtLaunchCallback(NULL, NULL, ACL_CALLBACK_BLOCK, stream), 107000);
    EXPECT(process(100), 507012);

    /* One call runs everything that is queued, from both streams. */
    for (int i = 0; i < 3; i++) {
        OK(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, stream));
        OK(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, other));
    }
    while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) < 6)
        served(process(1000));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtSynchronizeStream(other));

    OK(aclrtLaunchCallback(inside, NULL, ACL_CALLBACK_BLOCK, stream));
    while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) < 7)
        served(process(1000));
    OK(aclrtSynchronizeStream(stream));
    int depth = 0;
    OK(aclrtLaunchCallback(again, &depth, ACL_CALLBACK_BLOCK, stream));
    EXPECT(process(1000), 0);
    OK(aclrtSynchronizeStream(stream));
    EXPECT(depth, 4);

    /* Another thread's subscription is not mine to end. */
    pthread_t stranger = serve();
    aclrtStream third = NULL;
    OK(aclrtCreateStream(&third));
    OK(aclrtSubscribeReport((uint64_t)stranger, third));
    EXPECT(aclrtUnSubscribeReport((uint64_t)stranger, stream), 107012);
    OK(aclrtUnSubscribeReport((uint64_t)stranger, third));
    EXPECT(aclrtUnSubscribeReport((uint64_t)stranger, third), 107011);
    stop_serving(stranger);
    OK(aclrtDestroyStream(third));

    /* The thread serves another stream too: what is pending still runs. Nothing tells when a callback is pending, so one that was too
       late for that is repeated. */
    int code = 0;
    for (int i = 0; i < 20 && calls < 8; i++) {
        if (i > 0)
            OK(aclrtSubscribeReport(id, stream));
        OK(aclrtLaunchCallback(count_call, NULL, ACL_CALLBACK_BLOCK, stream));
        usleep(20000);
        OK(aclrtUnSubscribeReport(id, stream));
        code = process(100);
    }
    served(code);
    EXPECT(calls, 8);
    /* Otherwise it never does. */
    OK(aclrtLaunchCallback(never, (void *)"unsubscribed", ACL_CALLBACK_BLOCK, other));
    usleep(20000);
    OK(aclrtUnSubscribeReport(id, other));
    EXPECT(process(50), 107012);
    OK(aclrtDestroyStreamForce(other));

    /* The kernel's number of a thread is not the thread. */
    OK(aclrtSubscribeReport(kernel_id, stream));
    OK(aclrtLaunchCallback(never, (void *)"kernel's number", ACL_CALLBACK_BLOCK, stream));
    EXPECT(process(50), 107012);
    OK(aclrtDestroyStreamForce(stream));
    process(-1);
    pthread_join(thread, NULL);

    too_many_threads();

    /* Launches beyond the depth of the queue wait for room. */
    OK(aclrtCreateStream(&other));
    aclrtStream first = other;
    pthread_t late, launcher;
    OK(pthread_create(&late, NULL, obedient, NULL));
    OK(aclrtSubscribeReport((uint64_t)late, first));
    calls = 0;
    OK(pthread_create(&launcher, NULL, launch_many, NULL));
    usleep(100000);
    EXPECT(calls, 0);
    while (__atomic_load_n(&calls, __ATOMIC_SEQ_CST) < 6000) {
        served(process(1000));
    }
    pthread_join(launcher, NULL);
    process(-1);
    pthread_join(late, NULL);
    OK(aclrtSynchronizeStream(first));
    OK(aclrtDestroyStream(first));
    OK(aclrtDestroyEvent(event));
    end(0);
    return finish();
}
