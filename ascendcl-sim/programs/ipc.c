/* Two processes: events and notifies of one are used by the other. */
#include <sys/wait.h>

#include "check.h"

#if ACL_GENERATION >= 117

/* Both ends of two pipes: what the parent tells the child, and the other way round. */
static int down[2], up[2];

static void tell(int fd, const void *bytes, size_t size)
{
    TRUE(write(fd, bytes, size) == (ssize_t)size);
}

static void hear(int fd, void *bytes, size_t size)
{
    for (size_t got = 0; got < size;) {
        const ssize_t part = read(fd, (char *)bytes + got, size - got);
        if (part <= 0)
            exit(1);
        got += (size_t)part;
    }
}

typedef struct {
    int notify, event;
    char key[65];
    aclrtIpcEventHandle handle;
} Shared;

static int child(void)
{
    Shared shared;
    begin(0);
    hear(down[0], &shared, sizeof shared);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtNotify notify = NULL;
    aclrtEvent event = NULL;
    if (shared.notify) {
        OK(aclrtNotifyImportByKey(&notify, shared.key, ACL_RT_NOTIFY_IMPORT_FLAG_DEFAULT));
        /* The parent waits for it. */
        OK(aclrtRecordNotify(notify, stream));
        OK(aclrtSynchronizeStream(stream));
    }
    if (shared.event) {
        OK(aclrtIpcOpenEventHandle(shared.handle, &event));
        /* The parent has recorded it before it told us. */
        OK(aclrtStreamWaitEvent(stream, event));
        OK(aclrtSynchronizeStream(stream));
        aclrtEventRecordedStatus status = ACL_EVENT_RECORDED_STATUS_NOT_READY;
        OK(aclrtQueryEventStatus(event, &status));
        EXPECT(status, ACL_EVENT_RECORDED_STATUS_COMPLETE);
        OK(aclrtDestroyEvent(event));
    }
    if (shared.notify)
        OK(aclrtDestroyNotify(notify));
    OK(aclrtDestroyStream(stream));
    end(0);
    const char done = 'd';
    tell(up[1], &done, 1);
    return finish();
}

int main(void)
{
    TRUE(pipe(down) == 0 && pipe(up) == 0);
    const pid_t pid = fork();
    if (pid == 0)
        return child();

    begin(0);
    Shared shared;
    memset(&shared, 0, sizeof shared);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    aclrtNotify notify = NULL;
    OK(aclrtCreateNotify(&notify, 0));
    OK(aclrtNotifyGetExportKey(notify, shared.key, sizeof shared.key, ACL_RT_NOTIFY_EXPORT_FLAG_DISABLE_PID_VALIDATION));
    shared.notify = 1;
    aclrtEvent event = NULL;
    const int code = aclrtCreateEventExWithFlag(&event, ACL_EVENT_IPC);
    if ((chip() & (ASCEND_310 | ASCEND_310P)) != 0) {
        EXPECT(aclrtIpcGetEventHandle(event, &shared.handle), 207000);
    } else {
        OK(code);
        OK(aclrtIpcGetEventHandle(event, &shared.handle));
        OK(aclrtRecordEvent(event, stream));
        shared.event = 1;
    }
    tell(down[1], &shared, sizeof shared);
    OK(aclrtWaitAndResetNotify(notify, stream, 0));
    OK(aclrtSynchronizeStream(stream));
    char done = 0;
    hear(up[0], &done, 1);
    int status = -1;
    TRUE(waitpid(pid, &status, 0) == pid);
    EXPECT(status, 0);
    if (code == 0)
        OK(aclrtDestroyEvent(event));
    OK(aclrtDestroyNotify(notify));
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}

#else

int main(void)
{
    return 0;
}

#endif
