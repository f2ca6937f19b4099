/* What a stream calculates by itself: reductions of two arrays, and random numbers. */
#include "check.h"

#if ACL_GENERATION >= 117

enum { COUNT = 1000, OLDER = ASCEND_310 | ASCEND_310P };

static void *device(const void *bytes, size_t size)
{
    void *memory = NULL;
    OK(aclrtMalloc(&memory, size, ACL_MEM_MALLOC_HUGE_FIRST));
    if (bytes != NULL)
        OK(aclrtMemcpy(memory, size, bytes, size, ACL_MEMCPY_HOST_TO_DEVICE));
    return memory;
}

static void reductions(aclrtStream stream)
{
    const float left[3] = {1.5f, -2, 3}, right[3] = {2, -3, 3.5f};
    float result[3] = {0, 0, 0};
    void *to = device(left, sizeof left), *from = device(right, sizeof right);
    OK(aclrtReduceAsync(to, from, sizeof left, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(result, sizeof result, to, sizeof result, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(result[0] == 3.5f && result[1] == -5 && result[2] == 6.5f);
    const int code = aclrtReduceAsync(to, from, sizeof left, ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN, ACL_FLOAT, stream, NULL);
    EXPECT(code, (chip() & OLDER) != 0 ? 107000 : 0);
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(result, sizeof result, to, sizeof result, ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(result[0] == (code == 0 ? 2 : 3.5f));

    EXPECT(aclrtReduceAsync(NULL, from, 12, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), 100000);
    EXPECT(aclrtReduceAsync(to, NULL, 12, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), 100000);
    EXPECT(aclrtReduceAsync(to, from, 12, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, to), 100000);
    EXPECT(aclrtReduceAsync(to, from, 12, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_INT64, stream, NULL), 100000);
    EXPECT(aclrtReduceAsync(to, from, 0, ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM, ACL_FLOAT, stream, NULL), 107000);
    EXPECT(aclrtReduceAsync(to, from, 12, (aclrtReduceKind)9, ACL_FLOAT, stream, NULL), 107000);
    OK(aclrtFree(to));
    OK(aclrtFree(from));
}

static aclrtRandomParaInfo parameter(const void *bytes, uint8_t size)
{
    aclrtRandomParaInfo info;
    memset(&info, 0, sizeof info);
    memcpy(info.valueOrAddr, bytes, size);
    info.size = size;
    return info;
}

static void draw(const aclrtRandomNumTaskInfo *info, float *numbers, aclrtStream stream)
{
    OK(aclrtRandomNumAsync(info, stream, NULL));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(numbers, COUNT * sizeof(float), info->randomResultAddr, COUNT * sizeof(float), ACL_MEMCPY_DEVICE_TO_HOST));
}

static void random_numbers(aclrtStream stream)
{
    static float first[COUNT], second[COUNT];
    const uint64_t counter[2] = {0, 0}, seed = 7, count = COUNT;
    const float low = 1, high = 3;
    aclrtRandomNumTaskInfo info;
    memset(&info, 0, sizeof info);
    info.dataType = ACL_FLOAT;
    info.randomNumFuncParaInfo.funcType = ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS;
    info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.min = parameter(&low, sizeof low);
    info.randomNumFuncParaInfo.paramInfo.uniformDisInfo.max = parameter(&high, sizeof high);
    info.randomCounterAddr = device(counter, sizeof counter);
    info.randomResultAddr = device(NULL, sizeof first);
    info.randomSeed = parameter(&seed, sizeof seed);
    info.randomNum = parameter(&count, sizeof count);
    const int code = aclrtRandomNumAsync(&info, stream, NULL);
    if ((chip() & OLDER) != 0) {
        EXPECT(code, 207000);
    } else {
        OK(code);
        OK(aclrtSynchronizeStream(stream));
        /* Seed and counter decide everything; each task leaves the counter where the next one goes on. */
        OK(aclrtMemcpy(info.randomCounterAddr, sizeof counter, counter, sizeof counter, ACL_MEMCPY_HOST_TO_DEVICE));
        draw(&info, first, stream);
        draw(&info, second, stream);
        TRUE(memcmp(first, second, sizeof first) != 0);
        OK(aclrtMemcpy(info.randomCounterAddr, sizeof counter, counter, sizeof counter, ACL_MEMCPY_HOST_TO_DEVICE));
        draw(&info, second, stream);
        TRUE(memcmp(first, second, sizeof first) == 0);
        double sum = 0;
        for (int i = 0; i < COUNT; i++) {
            TRUE(first[i] >= low && first[i] <= high);
            sum += first[i];
        }
        TRUE(sum > 1.9 * COUNT && sum < 2.1 * COUNT);
        EXPECT(aclrtRandomNumAsync(NULL, stream, NULL), 100000);
        const uint64_t more = COUNT + 1;
        info.randomNum = parameter(&more, sizeof more);
        EXPECT(aclrtRandomNumAsync(&info, stream, NULL), 107000);
    }
    OK(aclrtFree(info.randomCounterAddr));
    OK(aclrtFree(info.randomResultAddr));
}

int main(void)
{
    begin(0);
    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    reductions(stream);
    random_numbers(stream);
    OK(aclrtDestroyStream(stream));
    end(0);
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
