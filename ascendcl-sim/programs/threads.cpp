// Many threads at once, each with its own streams, events and memory on one device or another.
#include <atomic>
#include <thread>
#include <vector>

#include "check.h"

static void work(int device, int seed)
{
    OK(aclrtSetDevice(device));
    for (int round = 0; round < 20; ++round) {
        aclrtStream stream = nullptr;
        aclrtEvent event = nullptr;
        void *memory = nullptr;
        OK(aclrtCreateStream(&stream));
        OK(aclrtCreateEvent(&event));
        OK(aclrtMalloc(&memory, 4096, ACL_MEM_MALLOC_HUGE_FIRST));
        std::vector<unsigned char> host(4096);
        OK(aclrtMemsetAsync(memory, 4096, seed, 4096, stream));
        OK(aclrtRecordEvent(event, stream));
        OK(aclrtSynchronizeEvent(event));
        OK(aclrtMemcpy(host.data(), host.size(), memory, 4096, ACL_MEMCPY_DEVICE_TO_HOST));
        for (unsigned char byte : host)
            EXPECT(byte, seed);
        OK(aclrtFree(memory));
        OK(aclrtDestroyEvent(event));
        OK(aclrtDestroyStream(stream));
    }
    OK(aclrtResetDevice(device));
}

int main()
{
    OK(aclInit(nullptr));
    uint32_t count = 0;
    OK(aclrtGetDeviceCount(&count));
    std::vector<std::thread> threads;
    for (int i = 0; i < 16; ++i)
        threads.emplace_back(work, i % static_cast<int>(count), i + 1);
    for (std::thread &thread : threads)
        thread.join();
    // Everybody has left: the device is released.
    EXPECT(aclrtResetDevice(0), 507007);

    // A first use by many threads at the same time.
    std::atomic<int> first{0};
    threads.clear();
    OK(aclFinalize());
    for (int i = 0; i < 16; ++i)
        threads.emplace_back([&first] {
            const int code = aclInit(nullptr);
            if (code == 0)
                ++first;
            else
                EXPECT(code, 100002);
        });
    for (std::thread &thread : threads)
        thread.join();
    EXPECT(first.load(), 1);
    OK(aclFinalize());
    return finish();
}
