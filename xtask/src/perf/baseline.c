/* What the rows of the scoreboard are held against: the same work in C, written as ACL's own samples write it, through the function pointers of the
 * same library. The declarations are what these functions need of ACL's interface. Every function gives the first code that is not 0. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* As `Functions` in baseline.rs. */
struct acl {
    int (*record_event)(void *event, void *stream);
    int (*stream_wait_event)(void *stream, void *event);
    int (*reset_event)(void *event, void *stream);
    int (*synchronize_stream)(void *stream);
    int (*copy)(void *to, size_t capacity, const void *from, size_t bytes, int kind);
    int (*copy_async)(void *to, size_t capacity, const void *from, size_t bytes, int kind, void *stream);
    int (*free_host)(void *memory);
    int (*execute_async)(uint32_t model, const void *inputs, void *outputs, void *stream);
    int (*launch_callback)(void (*callback)(void *), void *data, int block, void *stream);
    int (*subscribe_report)(uint64_t thread, void *stream);
    int (*unsubscribe_report)(uint64_t thread, void *stream);
    int (*process_report)(int32_t milliseconds);
    int (*set_current_context)(void *context);
    int (*set_device)(int32_t device);
};

enum { HOST_TO_DEVICE = 1, CALLBACK_BLOCK = 1 };

#define CHECK(call)           \
    do {                      \
        int code = (call);    \
        if (code != 0) {      \
            return code;      \
        }                     \
    } while (0)

/* One stream records, the other waits and resets. */
int baseline_events(const struct acl *acl, void *first, void *second, void *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->record_event(events[i], first));
        CHECK(acl->stream_wait_event(second, events[i]));
        CHECK(acl->reset_event(events[i], second));
    }
    return 0;
}

int baseline_synchronize(const struct acl *acl, void *stream)
{
    CHECK(acl->synchronize_stream(stream));
    return 0;
}

/* Blocking copies to the device. */
int baseline_copies(const struct acl *acl, void *to, const void *from, size_t bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->copy(to, bytes, from, bytes, HOST_TO_DEVICE));
    }
    return 0;
}

/* Asynchronous copies to the device from page-locked memory, each from memory of its own. */
int baseline_uploads(const struct acl *acl, void *stream, void *to, void *const *from, size_t bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->copy_async(to, bytes, from[i], bytes, HOST_TO_DEVICE, stream));
    }
    return 0;
}

/* Waits for the copies, and frees what they read. */
int baseline_free_uploaded(const struct acl *acl, void *stream, void *const *from, size_t count)
{
    CHECK(acl->synchronize_stream(stream));
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->free_host(from[i]));
    }
    return 0;
}

/* Asynchronous executions of a model. */
int baseline_executions(const struct acl *acl, void *stream, uint32_t model, const void *inputs, void *outputs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->execute_async(model, inputs, outputs, stream));
    }
    return 0;
}

/* Switches to one device and to the other. */
int baseline_set_device(const struct acl *acl, int32_t first, int32_t second, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(acl->set_device(first));
        CHECK(acl->set_device(second));
    }
    return 0;
}

/* A thread that asks for reports until it is told to end. */
struct reporter {
    const struct acl *acl;
    void *context;
    pthread_t thread;
    atomic_int stop;
    atomic_int number;
};

static void *report(void *argument)
{
    struct reporter *reporter = argument;
    if (reporter->acl->set_current_context(reporter->context) != 0) {
        atomic_store(&reporter->number, -1);
        return NULL;
    }
    atomic_store(&reporter->number, gettid());
    while (!atomic_load(&reporter->stop)) {
        /* That nothing came is no failure. */
        (void)reporter->acl->process_report(100);
    }
    return NULL;
}

/* Starts the thread. NULL when that fails. */
struct reporter *baseline_reporter_start(const struct acl *acl, void *context)
{
    struct reporter *reporter = calloc(1, sizeof *reporter);
    if (reporter == NULL) {
        return NULL;
    }
    reporter->acl = acl;
    reporter->context = context;
    if (pthread_create(&reporter->thread, NULL, report, reporter) != 0) {
        free(reporter);
        return NULL;
    }
    while (atomic_load(&reporter->number) == 0) {
        usleep(100);
    }
    return reporter;
}

/* The number that the system knows the thread by; -1 when it could not begin. */
int baseline_reporter_number(const struct reporter *reporter)
{
    return atomic_load(&reporter->number);
}

int baseline_reporter_subscribe(const struct reporter *reporter, void *stream)
{
    CHECK(reporter->acl->subscribe_report(reporter->thread, stream));
    return 0;
}

int baseline_reporter_unsubscribe(const struct reporter *reporter, void *stream)
{
    CHECK(reporter->acl->unsubscribe_report(reporter->thread, stream));
    return 0;
}

void baseline_reporter_stop(struct reporter *reporter)
{
    atomic_store(&reporter->stop, 1);
    pthread_join(reporter->thread, NULL);
    free(reporter);
}

/* What a callback is given: as much as the closures capture. */
struct data {
    uint64_t numbers[8];
};

static atomic_uint_fast64_t sum;

static void add_up(void *argument)
{
    struct data *data = argument;
    uint64_t all = 0;
    for (size_t i = 0; i < 8; i++) {
        all += data->numbers[i];
    }
    atomic_fetch_add_explicit(&sum, all, memory_order_relaxed);
    free(data);
}

/* Launches callbacks and waits for them. */
int baseline_callbacks(const struct acl *acl, void *stream, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct data *data = malloc(sizeof *data);
        if (data == NULL) {
            return -1;
        }
        for (size_t number = 0; number < 8; number++) {
            data->numbers[number] = i + number;
        }
        CHECK(acl->launch_callback(add_up, data, CALLBACK_BLOCK, stream));
    }
    CHECK(acl->synchronize_stream(stream));
    return 0;
}

/* What the callbacks have added up. */
uint64_t baseline_sum(void)
{
    return atomic_load(&sum);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void take_time(void *argument)
{
    *(int64_t *)argument = now();
}

/* How many nanoseconds it takes until a callback runs. Waits for it. */
int baseline_latency(const struct acl *acl, void *stream, int64_t *nanoseconds)
{
    int64_t *taken = malloc(sizeof *taken);
    if (taken == NULL) {
        return -1;
    }
    int64_t start = now();
    CHECK(acl->launch_callback(take_time, taken, CALLBACK_BLOCK, stream));
    CHECK(acl->synchronize_stream(stream));
    *nanoseconds = *taken - start;
    free(taken);
    return 0;
}

/* A spare thread that waits for streams, so that the program's own need not. */
struct waiter {
    const struct acl *acl;
    void *context;
    void *stream;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum { IDLE, ASKED, DONE, ENDED } state;
    int code;
};

static void *wait_for_streams(void *argument)
{
    struct waiter *waiter = argument;
    int entered = waiter->acl->set_current_context(waiter->context);
    pthread_mutex_lock(&waiter->mutex);
    for (;;) {
        while (waiter->state != ASKED && waiter->state != ENDED) {
            pthread_cond_wait(&waiter->changed, &waiter->mutex);
        }
        if (waiter->state == ENDED) {
            break;
        }
        pthread_mutex_unlock(&waiter->mutex);
        int code = entered != 0 ? entered : waiter->acl->synchronize_stream(waiter->stream);
        pthread_mutex_lock(&waiter->mutex);
        waiter->code = code;
        waiter->state = DONE;
        pthread_cond_broadcast(&waiter->changed);
    }
    pthread_mutex_unlock(&waiter->mutex);
    return NULL;
}

/* Starts the thread, for one stream. NULL when that fails. */
struct waiter *baseline_waiter_start(const struct acl *acl, void *context, void *stream)
{
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL) {
        return NULL;
    }
    waiter->acl = acl;
    waiter->context = context;
    waiter->stream = stream;
    pthread_mutex_init(&waiter->mutex, NULL);
    pthread_cond_init(&waiter->changed, NULL);
    if (pthread_create(&waiter->thread, NULL, wait_for_streams, waiter) != 0) {
        free(waiter);
        return NULL;
    }
    return waiter;
}

/* Records an event, and has the other thread wait for the stream. */
int baseline_waiter_round_trip(struct waiter *waiter, void *event)
{
    CHECK(waiter->acl->record_event(event, waiter->stream));
    pthread_mutex_lock(&waiter->mutex);
    waiter->state = ASKED;
    pthread_cond_broadcast(&waiter->changed);
    while (waiter->state != DONE) {
        pthread_cond_wait(&waiter->changed, &waiter->mutex);
    }
    int code = waiter->code;
    waiter->state = IDLE;
    pthread_mutex_unlock(&waiter->mutex);
    return code;
}

void baseline_waiter_stop(struct waiter *waiter)
{
    pthread_mutex_lock(&waiter->mutex);
    waiter->state = ENDED;
    pthread_cond_broadcast(&waiter->changed);
    pthread_mutex_unlock(&waiter->mutex);
    pthread_join(waiter->thread, NULL);
    pthread_cond_destroy(&waiter->changed);
    pthread_mutex_destroy(&waiter->mutex);
    free(waiter);
}
