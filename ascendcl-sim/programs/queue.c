/* Queues between threads: order, depth, time-outs. */
#include "acl/acl_tdt_queue.h"
#include "check.h"

enum { MESSAGES = 200, DEPTH = 8 };

static void *produce(void *queue)
{
    OK(aclrtSetDevice(0));
    for (uint32_t i = 0; i < MESSAGES; i++) {
        int code;
        do {
            code = acltdtEnqueueData(*(uint32_t *)queue, &i, sizeof i, NULL, 0, 100, 0);
        } while (code == 207014);
        EXPECT(code, 0);
    }
    OK(aclrtResetDevice(0));
    return NULL;
}

int main(void)
{
    begin(0);
    acltdtQueueAttr *attr = acltdtCreateQueueAttr();
    TRUE(attr != NULL);
    const char *name = "programs";
    const uint32_t depth = DEPTH;
    EXPECT(acltdtSetQueueAttr(NULL, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof depth, &depth), 100000);
    OK(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_NAME_PTR, sizeof name, &name));
    OK(acltdtSetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof depth, &depth));
    uint32_t got = 0;
    size_t length = 0;
    OK(acltdtGetQueueAttr(attr, ACL_TDT_QUEUE_DEPTH_UINT32, sizeof got, &length, &got));
    EXPECT(got, DEPTH);
    uint32_t queue = 0;
    OK(acltdtCreateQueue(attr, &queue));

    char bytes[64];
    EXPECT(acltdtDequeueData(queue, bytes, sizeof bytes, &length, NULL, 0, 20), 207013);
    EXPECT(acltdtEnqueueData(queue, NULL, 4, NULL, 0, 20, 0), 100000);
    EXPECT(acltdtEnqueueData(queue, bytes, 0, NULL, 0, 20, 0), 100000);

    pthread_t producer;
    OK(pthread_create(&producer, NULL, produce, &queue));
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t value = 0;
        int code;
        do {
            code = acltdtDequeueData(queue, &value, sizeof value, &length, NULL, 0, 100);
        } while (code == 207013);
        EXPECT(code, 0);
        EXPECT(value, i);
        EXPECT(length, sizeof value);
    }
    pthread_join(producer, NULL);

    /* Full. */
    int code = 0;
    for (int i = 0; i < 2 * DEPTH && code == 0; i++)
        code = acltdtEnqueueData(queue, bytes, sizeof bytes, NULL, 0, 20, 0);
    EXPECT(code, 207014);
    OK(acltdtDestroyQueue(queue));
    TRUE(acltdtDestroyQueue(queue) != 0);
    OK(acltdtDestroyQueueAttr(attr));
    end(0);
    return finish();
}
