/* Two processes: events and notifies of one are used by the other. */
#include "pair.h"

#if ACL_GENERATION >= 117

typedef struct {
    int notify, event;
    char key[65];
    aclrtIpcEventHandle handle;
} Shared;

static int child(void)
{
    Shared shared;
    begin(0);
    hear(&shared, sizeof shared);
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
    tell_done();
    return finish();
}

int main(void)
{
    const pid_t pid = pair_start(child);

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
    tell(&shared, sizeof shared);
    OK(aclrtWaitAndResetNotify(notify, stream, 0));
    OK(aclrtSynchronizeStream(stream));
    hear_done();
    pair_end(pid);
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
