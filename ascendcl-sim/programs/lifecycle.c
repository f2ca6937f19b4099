/* Init and finalize: repeated, counted, with a configuration file; versions; what is known without a device. */
#include "check.h"

static const char *file(const char *text)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/acl-lifecycle-%d.json", (int)getpid());
    FILE *out = fopen(path, "w");
    if (out == NULL)
        exit(1);
    fputs(text, out);
    fclose(out);
    return path;
}

int main(void)
{
    /* Without init. */
    uint32_t count = 0;
    EXPECT(aclrtGetDeviceCount(&count), 0);
    TRUE(count > 0);
    aclrtRunMode mode = ACL_DEVICE;
    EXPECT(aclrtGetRunMode(&mode), 0);
    EXPECT(mode, ACL_HOST);
    int32_t major = 0, minor = -1, patch = -1;
    EXPECT(aclrtGetVersion(&major, &minor, &patch), 0);
    TRUE(major == 1 && minor >= 2 && patch >= 0);
    EXPECT(aclrtGetVersion(NULL, &minor, &patch), 100000);
    TRUE(chip() != 0);

    EXPECT(aclInit("/nowhere/acl.json"), 100003);
    EXPECT(aclInit(file("{ \"no\": ")), 100006);
    unlink(file(""));
    EXPECT(aclInit(file("{}")), 0);
    EXPECT(aclInit(NULL), 100002);
    EXPECT(aclInit("/nowhere/acl.json"), 100002);

    OK(aclrtSetDevice(0));
    int32_t device = -1;
    EXPECT(aclrtGetDevice(&device), 0);
    EXPECT(device, 0);
    EXPECT(aclrtSetDevice((int32_t)count), 107001);
    EXPECT(aclrtSetDevice(-1), 107001);
    OK(aclrtSetDevice(0));
    EXPECT(aclrtResetDevice(0), 0);
    EXPECT(aclrtResetDevice(0), 0);
    EXPECT(aclrtResetDevice(0), 507007);
    EXPECT(aclrtGetDevice(&device), 107002);

    EXPECT(aclFinalize(), 0);
    EXPECT(aclFinalize(), 100037);
    /* The same configuration again, and another one. */
    EXPECT(aclInit(file("{}")), 0);
    EXPECT(aclFinalize(), 0);
    EXPECT(aclInit(file("{ \"defaultDevice\": { \"default_device\": \"0\" } }")), 100000);
    unlink(file(""));

#if ACL_GENERATION >= 115
    uint64_t references = 7;
    EXPECT(aclFinalizeReference(&references), 100037);
#endif
    /* Every device, each with its default context. */
    OK(aclInit(file("{}")));
    for (uint32_t i = 0; i < count; i++) {
        OK(aclrtSetDevice((int32_t)i));
        aclrtContext context = NULL;
        EXPECT(aclrtGetCurrentContext(&context), 0);
        TRUE(context != NULL);
        EXPECT(aclrtGetDevice(&device), 0);
        EXPECT(device, i);
        EXPECT(aclrtSynchronizeDevice(), 0);
    }
    for (uint32_t i = 0; i < count; i++)
        EXPECT(aclrtResetDevice((int32_t)i), 0);
#if ACL_GENERATION >= 115
    EXPECT(aclInit(NULL), 100002);
    EXPECT(aclFinalizeReference(&references), 0);
    EXPECT(references, 1);
    EXPECT(aclFinalizeReference(&references), 0);
    EXPECT(references, 0);
#else
    EXPECT(aclFinalize(), 0);
#endif
    unlink(file(""));
    return finish();
}
