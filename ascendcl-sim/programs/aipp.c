/* Images: what AIPP makes of them before the model sees them, said when the model was made or for each execution. */
#include "models.h"

/* Red is the column, green 50 and the row, blue 100: 8 by 6 pixels. */
static void paint(unsigned char *image)
{
    for (int i = 0; i < 48; i++) {
        image[3 * i] = (unsigned char)(i % 8);
        image[3 * i + 1] = (unsigned char)(50 + i / 8);
        image[3 * i + 2] = 100;
    }
}

static void said_before(void)
{
    Model model = model_load("aipp_static.om");
    EXPECT(aclmdlGetNumInputs(model.desc), 1);
    EXPECT(aclmdlGetInputSizeByIndex(model.desc, 0), 8 * 6 * 3);
    EXPECT(aclmdlGetInputDataType(model.desc, 0), ACL_UINT8);
    aclmdlInputAippType type = ACL_DATA_WITHOUT_AIPP;
    size_t attached = 0;
    OK(aclmdlGetAippType(model.id, 0, &type, &attached));
    EXPECT(type, ACL_DATA_WITH_STATIC_AIPP);
    EXPECT(attached, 0xffffffff);
    aclAippInfo info;
    OK(aclmdlGetFirstAippInfo(model.id, 0, &info));
    EXPECT(info.inputFormat, ACL_RGB888_U8);
    TRUE(info.srcImageSizeW == 8 && info.srcImageSizeH == 6 && info.cropSwitch == 1 && info.loadStartPosW == 2);
    EXPECT(aclmdlGetFirstAippInfo(model.id, 1, &info), 100000);
    EXPECT(aclmdlGetFirstAippInfo(model.id + 1, 0, &info), 145003);
    unsigned char image[144];
    float planes[48];
    paint(image);
    model_put(&model, 0, image, sizeof image);
    OK(model_run(&model));
    model_get(&model, planes, sizeof planes);
    /* From the third pixel of the second row on; half of what red is over 1. */
    TRUE(planes[0] == 0.5f && planes[3] == 2 && planes[4] == 0.5f);
    TRUE(planes[16] == 51 && planes[20] == 52 && planes[32] == 100);
    model_unload(&model);
}

static void said_each_time(void)
{
    Model model = model_load("aipp_dynamic.om");
    size_t index = 99, attached = 0, size = 0;
    OK(aclmdlGetInputIndexByName(model.desc, ACL_DYNAMIC_AIPP_NAME, &index));
    EXPECT(index, 1);
    aclmdlInputAippType type = ACL_DATA_WITHOUT_AIPP;
    OK(aclmdlGetAippType(model.id, 0, &type, &attached));
    EXPECT(type, ACL_DATA_WITH_DYNAMIC_AIPP);
    EXPECT(attached, 1);
    OK(aclmdlGetAippType(model.id, 1, &type, &attached));
    EXPECT(type, ACL_DYNAMIC_AIPP_NODE);
    TRUE(aclmdlCreateAIPP(0) == NULL);
    aclmdlAIPP *aipp = aclmdlCreateAIPP(1);
    TRUE(aipp != NULL);
#if ACL_GENERATION >= 115
    OK(aclmdlGetAippDataSize(1, &size));
    EXPECT(size, aclmdlGetInputSizeByIndex(model.desc, 1));
#endif
    (void)size;

    /* Ranges of what can be said. */
    EXPECT(aclmdlSetAIPPInputFormat(NULL, ACL_RGB888_U8), 100000);
    EXPECT(aclmdlSetAIPPInputFormat(aipp, (aclAippInputFormat)0), 100000);
    EXPECT(aclmdlSetAIPPSrcImageSize(aipp, 1, 1), 100000);
    EXPECT(aclmdlSetAIPPSrcImageSize(aipp, 4097, 16), 100000);
    EXPECT(aclmdlSetAIPPRbuvSwapSwitch(aipp, 2), 100000);
    EXPECT(aclmdlSetAIPPCropParams(aipp, 1, 0, 0, 1, 4, 1), 100000);
    EXPECT(aclmdlSetAIPPPaddingParams(aipp, 1, 33, 0, 0, 0, 0), 100000);
    EXPECT(aclmdlSetAIPPDtcPixelMean(aipp, 256, 0, 0, 0, 0), 100000);
    EXPECT(aclmdlSetAIPPPixelVarReci(aipp, 65505.0f, 0, 0, 0, 0), 100000);
    EXPECT(aclmdlSetAIPPByInputIndex(model.id, model.in, 0, aipp), 100000);
    TRUE(model_run(&model) != 0);

    OK(aclmdlSetAIPPInputFormat(aipp, ACL_RGB888_U8));
    OK(aclmdlSetAIPPSrcImageSize(aipp, 8, 6));
    EXPECT(aclmdlSetAIPPByInputIndex(model.id, model.in, 0, aipp), 100000);
    OK(aclmdlSetAIPPCropParams(aipp, 1, 2, 1, 3, 4, 0));
    OK(aclmdlSetAIPPPaddingParams(aipp, 1, 0, 0, 1, 0, 0));
    OK(aclmdlSetAIPPRbuvSwapSwitch(aipp, 1));
    OK(aclmdlSetAIPPDtcPixelMean(aipp, 0, 10, 0, 0, 0));
    OK(aclmdlSetAIPPPixelVarReci(aipp, 1, 1, 2, 1, 0));
    EXPECT(aclmdlSetAIPPByInputIndex(model.id, NULL, 0, aipp), 100000);
    EXPECT(aclmdlSetAIPPByInputIndex(model.id, model.in, 2, aipp), 100000);
    EXPECT(aclmdlSetInputAIPP(model.id + 1, model.in, 1, aipp), 145003);
    OK(aclmdlSetInputAIPP(model.id, model.in, 1, aipp));
    OK(aclmdlSetAIPPByInputIndex(model.id, model.in, 0, aipp));
    unsigned char image[144];
    float planes[48];
    paint(image);
    model_put(&model, 0, image, sizeof image);
    OK(model_run(&model));
    model_get(&model, planes, sizeof planes);
    /* Blue is first, behind a column of nothing. */
    TRUE(planes[0] == 0 && planes[1] == 100 && planes[3] == 100);
    TRUE(planes[20] == 0 && planes[21] == 42 && planes[33] == 4 && planes[35] == 8);
    OK(aclmdlDestroyAIPP(aipp));
    model_unload(&model);
}

int main(void)
{
    begin(0);
    said_before();
    said_each_time();
    end(0);
    return finish();
}
