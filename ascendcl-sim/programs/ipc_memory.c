/* Device memory of one process that another one uses, found by its key. */
#include "pair.h"

#if ACL_GENERATION >= 117

enum { SIZE = 3 << 20, KEY = 65 };

static int child(void)
{
    char key[KEY], text[16] = {0};
    void *memory = NULL, *again = NULL;
    hear(key, sizeof key);
    begin(0);
    EXPECT(aclrtIpcMemImportByKey(NULL, key, 0), 100000);
    EXPECT(aclrtIpcMemImportByKey(&memory, NULL, 0), 100000);
    EXPECT(aclrtIpcMemImportByKey(&memory, key, 2), 107000);
    EXPECT(aclrtIpcMemImportByKey(&memory, key, 0), 207006);
    tell_done();
    hear_done();
    OK(aclrtIpcMemImportByKey(&memory, key, 0));
    OK(aclrtIpcMemImportByKey(&again, key, 0));
    TRUE(memory == again);
    OK(aclrtIpcMemClose(key));
    OK(aclrtMemcpy(text, sizeof text, memory, sizeof text, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the parent") == 0);

    /* A stream writes it. */
    aclrtStream stream = NULL;
    void *own = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMalloc(&own, sizeof text, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(own, sizeof text, "from the child!", sizeof text, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpyAsync((char *)memory + SIZE - 16, 16, own, 16, ACL_MEMCPY_DEVICE_TO_DEVICE, stream));
    OK(aclrtSynchronizeStream(stream));
    EXPECT(aclrtMemset(memory, SIZE + 1, 0, SIZE + 1), 107000);
    EXPECT(aclrtFree(memory), 107000);
    tell_done();
    hear_done();
    /* Closed by its owner, it is still here. */
    OK(aclrtMemcpy(text, sizeof text, memory, sizeof text, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the parent") == 0);
    OK(aclrtIpcMemClose(key));
    EXPECT(aclrtMemset(memory, 16, 0, 16), 107000);
    EXPECT(aclrtIpcMemClose(key), 507899);
    OK(aclrtFree(own));
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}

int main(void)
{
    const pid_t pid = pair_start(child);
    char key[KEY], text[16] = {0};
    void *memory = NULL;
    begin(0);
    OK(aclrtMalloc(&memory, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemcpy(memory, 16, "from the parent", 16, ACL_MEMCPY_HOST_TO_DEVICE));
    EXPECT(aclrtIpcMemGetExportKey(NULL, SIZE, key, KEY, 0), 100000);
    EXPECT(aclrtIpcMemGetExportKey(memory, SIZE, NULL, KEY, 0), 100000);
    EXPECT(aclrtIpcMemGetExportKey(memory, 0, key, KEY, 0), 107000);
    EXPECT(aclrtIpcMemGetExportKey(memory, SIZE, key, KEY - 1, 0), 107000);
    EXPECT(aclrtIpcMemGetExportKey(memory, SIZE, key, KEY, 2), 107000);
    EXPECT(aclrtIpcMemGetExportKey(key, 8, key, KEY, 0), 107000);
    OK(aclrtIpcMemGetExportKey(memory, SIZE, key, KEY, ACL_RT_IPC_MEM_EXPORT_FLAG_DEFAULT));
    tell(key, sizeof key);
    hear_done();
    int32_t allowed = pid;
    EXPECT(aclrtIpcMemSetImportPid(NULL, &allowed, 1), 100000);
    EXPECT(aclrtIpcMemSetImportPid(key, NULL, 1), 100000);
    EXPECT(aclrtIpcMemSetImportPid(key, &allowed, 0), 107000);
    OK(aclrtIpcMemSetImportPid(key, &allowed, 1));
    tell_done();
    hear_done();
    OK(aclrtMemcpy(text, 16, (char *)memory + SIZE - 16, 16, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(strcmp(text, "from the child!") == 0);
    OK(aclrtIpcMemClose(key));
    EXPECT(aclrtIpcMemClose(key), 507899);
    tell_done();
    pair_end(pid);
    OK(aclrtFree(memory));
    end(0);
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
