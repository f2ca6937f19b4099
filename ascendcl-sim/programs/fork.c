/* Fork: before the first use both sides have a simulator of their own; after it the child gets errors and no hang. */
#include <sys/wait.h>

#include "check.h"

static void use(int byte)
{
    begin(0);
    unsigned char *host = NULL;
    void *device = NULL;
    OK(aclrtMallocHost((void **)&host, 64));
    OK(aclrtMalloc(&device, 64, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(device, 64, byte, 64));
    OK(aclrtMemcpy(host, 64, device, 64, ACL_MEMCPY_DEVICE_TO_HOST));
    EXPECT(host[63], byte);
    OK(aclrtFree(device));
    OK(aclrtFreeHost(host));
    end(0);
}

static void join(pid_t child)
{
    int status = -1;
    TRUE(waitpid(child, &status, 0) == child);
    EXPECT(status, 0);
}

int main(void)
{
    pid_t child = fork();
    if (child == 0) {
        use(2);
        exit(finish());
    }
    use(1);
    join(child);

    OK(aclInit(NULL));
    OK(aclrtSetDevice(0));
    child = fork();
    if (child == 0) {
        aclrtStream stream = NULL;
        TRUE(aclrtCreateStream(&stream) != 0);
        TRUE(aclrtSynchronizeDevice() != 0);
        TRUE(aclrtSetDevice(0) != 0);
        exit(finish());
    }
    join(child);
    OK(aclrtSynchronizeDevice());
    end(0);
    return finish();
}
