/* Two processes, each with a device, and what they tell each other. */
#ifndef PAIR_H
#define PAIR_H

#include <sys/wait.h>

#include "check.h"

static int pair_in, pair_out;

/* Starts the other process, which runs `child`; to be called before AscendCL is used. */
static pid_t pair_start(int (*child)(void))
{
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0)
        exit(1);
    const pid_t pid = fork();
    if (pid < 0)
        exit(1);
    pair_in = pid == 0 ? down[0] : up[0];
    pair_out = pid == 0 ? up[1] : down[1];
    /* If one ends early, the other one must not wait for it. */
    close(pid == 0 ? down[1] : up[1]);
    close(pid == 0 ? up[0] : down[0]);
    if (pid == 0)
        exit(child());
    return pid;
}

static void tell(const void *bytes, size_t size)
{
    TRUE(write(pair_out, bytes, size) == (ssize_t)size);
}

static void hear(void *bytes, size_t size)
{
    for (size_t got = 0; got < size;) {
        const ssize_t part = read(pair_in, (char *)bytes + got, size - got);
        if (part <= 0) {
            fprintf(stderr, "the other process is gone\n");
            exit(1);
        }
        got += (size_t)part;
    }
}

static void tell_done(void)
{
    tell("d", 1);
}

static void hear_done(void)
{
    char done;
    hear(&done, 1);
}

static void pair_end(pid_t pid)
{
    int status = -1;
    TRUE(waitpid(pid, &status, 0) == pid);
    EXPECT(status, 0);
}

#endif
