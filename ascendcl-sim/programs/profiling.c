/* Profiling: its states, and what is refused in which. */
#include "acl/acl_prof.h"
#include "check.h"

int main(void)
{
    OK(aclInit(NULL));
    const char *path = "/tmp";
    EXPECT(aclprofInit(NULL, 4), 100000);
    EXPECT(aclprofInit(path, 0), 100000);
    EXPECT(aclprofInit(path, 3), 100000);
    OK(aclprofInit(path, strlen(path)));
    EXPECT(aclprofInit(path, strlen(path)), 100002);
    uint32_t devices[] = {0};
    aclprofConfig *config = aclprofCreateConfig(devices, 1, ACL_AICORE_NONE, NULL, ACL_PROF_ACL_API | ACL_PROF_TASK_TIME);
    TRUE(config != NULL);
    OK(aclrtSetDevice(0));
    OK(aclprofStart(config));
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtDestroyStream(stream));
    OK(aclprofStop(config));
    OK(aclprofDestroyConfig(config));
    OK(aclprofFinalize());
    end(0);
    return finish();
}
