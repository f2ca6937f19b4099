/* A model: loaded from a file and from memory, described, executed at once and in a stream. Needs the repository as working directory. */
#include "acl/acl_mdl.h"
#include "check.h"

static const char *const FILE_NAME = "examples/assets/digits/digits.onnx";

/* A handwritten zero, 8 by 8 pixels of 16 shades. */
static const unsigned char ZERO[64] = {0, 0, 5, 13, 9, 1,  0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11,
                                       8, 0, 0, 4,  12, 0, 0, 8, 8, 0, 0,  5,  8,  0,  0, 9, 8, 0, 0,  4, 11, 0,
                                       1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0};

static aclmdlDataset *dataset(void *memory, size_t size)
{
    aclmdlDataset *set = aclmdlCreateDataset();
    TRUE(set != NULL);
    OK(aclmdlAddDatasetBuffer(set, aclCreateDataBuffer(memory, size)));
    EXPECT(aclmdlGetDatasetNumBuffers(set), 1);
    return set;
}

static void drop(aclmdlDataset *set)
{
    OK(aclDestroyDataBuffer(aclmdlGetDatasetBuffer(set, 0)));
    OK(aclmdlDestroyDataset(set));
}

static void describe(uint32_t model)
{
    aclmdlDesc *desc = aclmdlCreateDesc();
    TRUE(desc != NULL);
    EXPECT(aclmdlGetDesc(NULL, model), 100000);
    OK(aclmdlGetDesc(desc, model));
    EXPECT(aclmdlGetNumInputs(desc), 1);
    EXPECT(aclmdlGetNumOutputs(desc), 1);
    EXPECT(aclmdlGetInputSizeByIndex(desc, 0), 64 * 4);
    EXPECT(aclmdlGetOutputSizeByIndex(desc, 0), 10 * 4);
    EXPECT(aclmdlGetInputDataType(desc, 0), ACL_FLOAT);
    aclmdlIODims dims;
    OK(aclmdlGetOutputDims(desc, 0, &dims));
    EXPECT(dims.dims[dims.dimCount - 1], 10);
    size_t index = 9;
    OK(aclmdlGetInputIndexByName(desc, aclmdlGetInputNameByIndex(desc, 0), &index));
    EXPECT(index, 0);
    TRUE(aclmdlGetInputIndexByName(desc, "there is no such input", &index) != 0);
    OK(aclmdlDestroyDesc(desc));
}

int main(void)
{
    begin(0);
    uint32_t model = 0, again = 0;
    TRUE(aclmdlLoadFromFile("/nowhere/model.om", &model) != 0);
    OK(aclmdlLoadFromFile(FILE_NAME, &model));
    describe(model);

    FILE *in = fopen(FILE_NAME, "rb");
    TRUE(in != NULL);
    static char bytes[1 << 20];
    const size_t length = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    OK(aclmdlLoadFromMem(bytes, length, &again));
    TRUE(again != model);
    TRUE(aclmdlLoadFromMem("no model at all", 16, &again) != 0);
    size_t work = 0, weights = 0;
    OK(aclmdlQuerySize(FILE_NAME, &work, &weights));
    TRUE(weights > 0);

    float *host = NULL, answers[2][10];
    void *image = NULL, *answer = NULL;
    OK(aclrtMallocHost((void **)&host, 64 * sizeof *host));
    OK(aclrtMalloc(&image, 64 * sizeof *host, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMalloc(&answer, 10 * sizeof *host, ACL_MEM_MALLOC_HUGE_FIRST));
    for (int i = 0; i < 64; i++)
        host[i] = (float)ZERO[i] / 16;
    aclmdlDataset *input = dataset(image, 64 * sizeof *host), *output = dataset(answer, 10 * sizeof *host);

    OK(aclrtMemcpy(image, 64 * sizeof *host, host, 64 * sizeof *host, ACL_MEMCPY_HOST_TO_DEVICE));
    OK(aclmdlExecute(model, input, output));
    OK(aclrtMemcpy(answers[0], sizeof answers[0], answer, sizeof answers[0], ACL_MEMCPY_DEVICE_TO_HOST));

    aclrtStream stream = NULL;
    OK(aclrtCreateStream(&stream));
    OK(aclrtMemsetAsync(answer, sizeof answers[0], 0, sizeof answers[0], stream));
    OK(aclrtMemcpyAsync(image, 64 * sizeof *host, host, 64 * sizeof *host, ACL_MEMCPY_HOST_TO_DEVICE, stream));
    OK(aclmdlExecuteAsync(model, input, output, stream));
    OK(aclrtSynchronizeStream(stream));
    OK(aclrtMemcpy(answers[1], sizeof answers[1], answer, sizeof answers[1], ACL_MEMCPY_DEVICE_TO_HOST));
    TRUE(memcmp(answers[0], answers[1], sizeof answers[0]) == 0);
    int best = 0;
    float sum = 0;
    for (int i = 0; i < 10; i++) {
        sum += answers[0][i];
        best = answers[0][i] > answers[0][best] ? i : best;
    }
    EXPECT(best, 0);
    TRUE(sum > 0.999f && sum < 1.001f);

    OK(aclmdlUnload(model));
    TRUE(aclmdlUnload(model) != 0);
    TRUE(aclmdlExecute(model, input, output) != 0);
    OK(aclmdlUnload(again));
    drop(input);
    drop(output);
    OK(aclrtDestroyStream(stream));
    OK(aclrtFree(image));
    OK(aclrtFree(answer));
    OK(aclrtFreeHost(host));
    end(0);
    return finish();
}
