/* Rectangles of bytes, copied at once and by a stream. */
#include "check.h"

enum { PITCH = 32, WIDTH = 20, HEIGHT = 5, SIZE = PITCH * HEIGHT };

int main(void)
{
    begin(0);
    unsigned char *from = NULL, *to = NULL;
    void *device = NULL, *dense = NULL;
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMallocHost((void **)&from, SIZE));
    OK(aclrtMallocHost((void **)&to, SIZE));
    OK(aclrtMalloc(&device, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&dense, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    for (int i = 0; i < SIZE; i++)
        from[i] = (unsigned char)i;

    EXPECT(aclrtMemcpy2d(NULL, PITCH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemcpy2d(device, PITCH, NULL, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemcpy2d(device, WIDTH - 1, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemcpy2d(device, PITCH, from, WIDTH - 1, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    OK(aclrtMemcpy2d(device, PITCH, from, PITCH, WIDTH, 0, ACL_MEMCPY_HOST_TO_DEVICE));

    /* Rows come closer together, and apart again. */
    OK(aclrtMemset(dense, SIZE, 0xee, SIZE));
    OK(aclrtMemcpy2d(dense, WIDTH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclrtMemcpy(to, SIZE, dense, SIZE, ACL_MEMCPY_DEVICE_TO_HOST));
    for (int row = 0; row < HEIGHT; row++)
        TRUE(memcmp(to + row * WIDTH, from + row * PITCH, WIDTH) == 0);
    EXPECT(to[WIDTH * HEIGHT], 0xee);

    memset(to, 0x11, SIZE);
    OK(aclrtMemcpy2d(to, PITCH, dense, WIDTH, WIDTH, HEIGHT, ACL_MEMCPY_DEVICE_TO_HOST));
    for (int row = 0; row < HEIGHT; row++) {
        TRUE(memcmp(to + row * PITCH, from + row * PITCH, WIDTH) == 0);
        EXPECT(to[row * PITCH + WIDTH], 0x11);
        EXPECT(to[row * PITCH + PITCH - 1], 0x11);
    }

    memset(to, 0x11, SIZE);
    OK(aclrtMemsetAsync(device, SIZE, 0, SIZE, stream));
    OK(aclrtMemcpy2dAsync(device, PITCH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclrtMemcpy2dAsync(to, PITCH, device, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_DEVICE_TO_HOST, stream));
    OK(aclrtSynchronizeStream(stream));
    for (int row = 0; row < HEIGHT; row++) {
        TRUE(memcmp(to + row * PITCH, from + row * PITCH, WIDTH) == 0);
        EXPECT(to[row * PITCH + WIDTH], 0x11);
    }

    OK(aclrtFreeHost(from));
    OK(aclrtFreeHost(to));
    OK(aclrtFree(device));
    OK(aclrtFree(dense));
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}
