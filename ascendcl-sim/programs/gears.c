/* Models whose shape each execution chooses: batches, sizes of images, dimensions, ranges. */
#include "models.h"

static size_t gear_index(const Model *model)
{
    size_t index = 99;
    OK(aclmdlGetInputIndexByName(model->desc, ACL_DYNAMIC_TENSOR_NAME, &index));
    return index;
}

static void batches(const char *file)
{
    Model model = model_load(file);
    const size_t index = gear_index(&model);
    EXPECT(index, 1);
    EXPECT(aclmdlGetNumInputs(model.desc), 2);
    EXPECT(aclmdlGetInputSizeByIndex(model.desc, 0), 4 * 3 * sizeof(float));
    aclmdlBatch gears;
    OK(aclmdlGetDynamicBatch(model.desc, &gears));
    EXPECT(gears.batchCount, 3);
    TRUE(gears.batch[0] == 1 && gears.batch[1] == 2 && gears.batch[2] == 4);
    aclmdlIODims dims;
    OK(aclmdlGetInputDims(model.desc, 0, &dims));
    TRUE(dims.dimCount == 2 && dims.dims[0] == -1 && dims.dims[1] == 3);

    float in[12], out[12];
    for (int i = 0; i < 12; i++)
        in[i] = (float)i - 2;
    model_put(&model, 0, in, sizeof in);
    TRUE(model_run(&model) != 0);
    EXPECT(aclmdlSetDynamicBatchSize(model.id, NULL, index, 1), 100000);
    EXPECT(aclmdlSetDynamicBatchSize(model.id, model.in, index, 0), 100000);
    EXPECT(aclmdlSetDynamicBatchSize(model.id, model.in, 2, 1), 100000);
    EXPECT(aclmdlSetDynamicBatchSize(model.id + 1, model.in, index, 1), 145003);
    TRUE(aclmdlSetDynamicBatchSize(model.id, model.in, index, 3) != 0);
    TRUE(aclmdlSetDynamicHWSize(model.id, model.in, index, 2, 2) != 0);
    for (int64_t batch = 4; batch > 0; batch /= 2) {
        const int64_t expected[2] = {batch, 3};
        OK(aclmdlSetDynamicBatchSize(model.id, model.in, index, (uint64_t)batch));
        TRUE(shape_is(&model, expected, 2));
        OK(aclrtMemset(aclGetDataBufferAddr(aclmdlGetDatasetBuffer(model.out, 0)), sizeof out, 0xff, sizeof out));
        OK(model_run(&model));
        model_get(&model, out, sizeof out);
        for (int i = 0; i < 3 * batch; i++)
            TRUE(out[i] == (in[i] > 0 ? in[i] : 0));
        /* Nothing else was written. */
        TRUE(batch == 4 || out[3 * batch] != out[3 * batch]);
    }
    model_unload(&model);
}

static void sizes(void)
{
    Model model = model_load("sizes.om");
    const size_t index = gear_index(&model);
    aclmdlHW gears;
    OK(aclmdlGetDynamicHW(model.desc, (size_t)-1, &gears));
    EXPECT(gears.hwCount, 2);
    TRUE(gears.hw[1][0] == 4 && gears.hw[1][1] == 3);
    float in[12], out[12];
    for (int i = 0; i < 12; i++)
        in[i] = (float)i + 1;
    model_put(&model, 0, in, sizeof in);
    EXPECT(aclmdlSetDynamicHWSize(model.id, model.in, index, 0, 2), 100000);
    TRUE(aclmdlSetDynamicHWSize(model.id, model.in, index, 3, 4) != 0);
    const int64_t small[4] = {1, 1, 2, 2}, large[4] = {1, 1, 4, 3};
    OK(aclmdlSetDynamicHWSize(model.id, model.in, index, 2, 2));
    TRUE(shape_is(&model, small, 4));
    OK(model_run(&model));
    model_get(&model, out, sizeof out);
    TRUE(out[3] == 4 && out[4] == 0);
    OK(aclmdlSetDynamicHWSize(model.id, model.in, index, 4, 3));
    TRUE(shape_is(&model, large, 4));
    OK(model_run(&model));
    model_get(&model, out, sizeof out);
    EXPECT(out[11], 12);
    model_unload(&model);
}

static void dimensions(void)
{
    Model model = model_load("dims.om");
    const size_t index = gear_index(&model);
    size_t count = 0;
    OK(aclmdlGetInputDynamicGearCount(model.desc, (size_t)-1, &count));
    EXPECT(count, 2);
    aclmdlIODims gears[2];
    OK(aclmdlGetInputDynamicDims(model.desc, (size_t)-1, gears, 2));
    TRUE(gears[1].dimCount == 2 && gears[1].dims[0] == 2 && gears[1].dims[1] == 4);
    float in[8] = {1, 2, 3, 4, 5, 6, 7, -8}, out[8];
    model_put(&model, 0, in, sizeof in);
    EXPECT(aclmdlSetInputDynamicDims(model.id, model.in, index, NULL), 100000);
    OK(aclmdlSetInputDynamicDims(model.id, model.in, index, &gears[1]));
    OK(model_run(&model));
    model_get(&model, out, sizeof out);
    TRUE(out[6] == 7 && out[7] == 0);
    TRUE(shape_is(&model, gears[1].dims, 2));
    gears[0].dims[0] = 7;
    TRUE(aclmdlSetInputDynamicDims(model.id, model.in, index, &gears[0]) != 0);
    model_unload(&model);
}

/* A range and no gears: each execution says the shape. */
static void ranges(void)
{
    uint32_t id = 0;
    OK(aclmdlLoadFromFile(model_file("ranged.om"), &id));
    Model model = {id, aclmdlCreateDesc(), aclmdlCreateDataset(), aclmdlCreateDataset()};
    OK(aclmdlGetDesc(model.desc, id));
    EXPECT(aclmdlGetNumInputs(model.desc), 1);
    add(model.in, 8 * sizeof(float));
    add(model.out, 8 * sizeof(float));
    const int64_t shapes[2][2] = {{3, 2}, {5, 2}};
    float in[8] = {-1, 2, -3, 4, 5, 6, 7, 8}, out[8];
    model_put(&model, 0, in, sizeof in);
    aclTensorDesc *shape = aclCreateTensorDesc(ACL_FLOAT, 2, shapes[0], ACL_FORMAT_ND);
    OK(aclmdlSetDatasetTensorDesc(model.in, shape, 0));
    aclDestroyTensorDesc(shape);
    OK(model_run(&model));
    model_get(&model, out, sizeof out);
    TRUE(out[0] == 0 && out[1] == 2 && out[5] == 6 && out[6] == 0);
    const aclTensorDesc *result = aclmdlGetDatasetTensorDesc(model.out, 0);
    int64_t dim = 0;
    OK(aclGetTensorDescDimV2(result, 0, &dim));
    EXPECT(dim, 3);
    shape = aclCreateTensorDesc(ACL_FLOAT, 2, shapes[1], ACL_FORMAT_ND);
    OK(aclmdlSetDatasetTensorDesc(model.in, shape, 0));
    aclDestroyTensorDesc(shape);
    TRUE(model_run(&model) != 0);
    model_unload(&model);
}

int main(void)
{
    begin(0);
    batches("batch.om");
    batches("batch.onnx");
    sizes();
    dimensions();
    ranges();
    end(0);
    return finish();
}
