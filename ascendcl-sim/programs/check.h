/* What the programs of this folder share: checks that say what differs, and what the chip at hand is.
 *
 * EXPECT(call, code) compares and goes on; OK(call) is for calls without which the rest makes no sense; TRUE(condition) is for
 * everything else. main ends with `return finish();`. */
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acl/acl.h"

/* The generation of the headers, such as 102 or 117. */
#define ACL_GENERATION (ACL_MAJOR_VERSION * 100 + ACL_MINOR_VERSION)

static int check_failures;

static void check_report(const char *file, int line, const char *what, long got, long wanted)
{
    const char *text = aclGetRecentErrMsg();
    fprintf(stderr, "%s:%d: %s is %ld, not %ld\n%s", file, line, what, got, wanted, text ? text : "");
    __atomic_add_fetch(&check_failures, 1, __ATOMIC_SEQ_CST);
}

#define EXPECT(call, code)                                                   \
    do {                                                                     \
        long check_got = (long)(call);                                       \
        if (check_got != (long)(code))                                       \
            check_report(__FILE__, __LINE__, #call, check_got, (long)(code)); \
    } while (0)

#define OK(call)                                                      \
    do {                                                              \
        long check_got = (long)(call);                                \
        if (check_got != 0) {                                         \
            check_report(__FILE__, __LINE__, #call, check_got, 0L);   \
            exit(1);                                                  \
        }                                                             \
    } while (0)

#define TRUE(condition)                                                        \
    do {                                                                       \
        if (!(condition))                                                      \
            check_report(__FILE__, __LINE__, #condition, 0L, 1L);              \
    } while (0)

enum { ASCEND_310 = 1, ASCEND_310P = 2, ASCEND_910B = 4, EVERYTHING = 8 };

static int chip(void)
{
    const char *soc = aclrtGetSocName();
    if (soc == NULL)
        return 0;
    if (strncmp(soc, "Ascend310P", 10) == 0)
        return ASCEND_310P;
    if (strncmp(soc, "Ascend310", 9) == 0)
        return ASCEND_310;
    return strncmp(soc, "Ascend910B", 10) == 0 ? ASCEND_910B : EVERYTHING;
}

static int finish(void)
{
    if (check_failures != 0)
        fprintf(stderr, "%d differences\n", check_failures);
    return check_failures == 0 ? 0 : 1;
}

/* The first call of what some chips lack: there it has to answer 207000, and the program is over. */
#define LACKING(call, chips)                                                          \
    do {                                                                              \
        long check_got = (long)(call);                                                \
        if ((chip() & (chips)) != 0) {                                                \
            if (check_got != 207000)                                                  \
                check_report(__FILE__, __LINE__, #call, check_got, 207000L);          \
            printf("not on this chip\n");                                             \
            exit(finish());                                                           \
        }                                                                             \
        if (check_got != 0) {                                                         \
            check_report(__FILE__, __LINE__, #call, check_got, 0L);                   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

/* The last thing before `finish`: with the library's own means nothing is left over. */
static void end(int device)
{
    OK(aclrtResetDevice(device));
    OK(aclFinalize());
}

static void begin(int device)
{
    OK(aclInit(NULL));
    OK(aclrtSetDevice(device));
}

/* A thread that serves callbacks until `check_stop` is set. */
static volatile int check_stop;

static void *check_serve(void *unused)
{
    (void)unused;
    while (!check_stop) {
        int code = aclrtProcessReport(20);
        if (code != 0 && code != 107012 && code != 507012)
            check_report(__FILE__, __LINE__, "aclrtProcessReport(20)", code, 0);
        if (code == 107012)
            usleep(1000);
    }
    return NULL;
}

static pthread_t serve(void)
{
    pthread_t thread;
    check_stop = 0;
    if (pthread_create(&thread, NULL, check_serve, NULL) != 0)
        exit(1);
    return thread;
}

static void stop_serving(pthread_t thread)
{
    check_stop = 1;
    pthread_join(thread, NULL);
}

/* Not every program uses everything. */
static void check_unused(void) __attribute__((unused));
static void check_unused(void)
{
    (void)serve;
    (void)stop_serving;
    (void)begin;
    (void)end;
    (void)chip;
    (void)finish;
    check_unused();
}

#endif
