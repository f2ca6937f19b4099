/* Copies with two dimensions. */
#include "check.h"

enum { WIDTH = 24, HEIGHT = 10, PITCH = 32, SIZE = PITCH * HEIGHT };

int main(void)
{
    begin(0);
    unsigned char *from = NULL, *to = NULL;
    void *device = NULL;
    OK(aclrtMallocHost((void **)&from, SIZE));
    OK(aclrtMallocHost((void **)&to, SIZE));
    OK(aclrtMalloc(&device, SIZE, ACL_MEM_MALLOC_HUGE_FIRST));
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    for (int i = 0; i < SIZE; i++)
        from[i] = (unsigned char)(i % 251);

    for (int asynchronous = 0; asynchronous < 2; asynchronous++) {
        memset(to, 0xee, SIZE);
        /* Packed on the device, apart on the host. */
        if (asynchronous) {
            OK(aclrtMemcpy2dAsync(device, WIDTH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE, stream));
            OK(aclrtMemcpy2dAsync(to, PITCH, device, WIDTH, WIDTH, HEIGHT, ACL_MEMCPY_DEVICE_TO_HOST, stream));
            OK(aclrtSynchronizeStream(stream));
        } else {
            OK(aclrtMemcpy2d(device, WIDTH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE));
            OK(aclrtMemcpy2d(to, PITCH, device, WIDTH, WIDTH, HEIGHT, ACL_MEMCPY_DEVICE_TO_HOST));
        }
        int wrong = 0;
        for (int row = 0; row < HEIGHT; row++)
            for (int column = 0; column < PITCH; column++) {
                const int at = row * PITCH + column;
                wrong += to[at] != (column < WIDTH ? from[at] : 0xee);
            }
        EXPECT(wrong, 0);
    }
    EXPECT(aclrtMemcpy2d(NULL, WIDTH, from, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    EXPECT(aclrtMemcpy2d(device, WIDTH, NULL, PITCH, WIDTH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE), 100000);
    TRUE(aclrtMemcpy2d(device, WIDTH, from, PITCH, PITCH, HEIGHT, ACL_MEMCPY_HOST_TO_DEVICE) != 0);

    OK(aclrtDestroyStream(stream));
    OK(aclrtFree(device));
    OK(aclrtFreeHost(from));
    OK(aclrtFreeHost(to));
    end(0);
    return finish();
}
