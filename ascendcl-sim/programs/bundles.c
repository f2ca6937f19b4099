/* Several models in one file. */
#include "models.h"

#if ACL_GENERATION >= 117

/* The first number that the model makes of -3. */
static float answer(uint32_t id)
{
    Model model = model_of(id);
    const float in[2] = {-3, 2};
    float out[2] = {9, 9};
    model_put(&model, 0, in, sizeof in);
    OK(model_run(&model));
    model_get(&model, out, sizeof out);
    model_forget(&model);
    return out[0];
}

int main(void)
{
    begin(0);
    const char *file = model_file("bundle.om");
    uint32_t bundle = 0, model[3] = {0, 0, 0};
    size_t count = 0;
    TRUE(aclmdlLoadFromFile(file, model) != 0);
    EXPECT(aclmdlBundleLoadFromFile(NULL, &bundle), 100000);
    EXPECT(aclmdlBundleLoadFromFile(file, NULL), 100000);
    TRUE(aclmdlBundleLoadFromFile("/nowhere/bundle.om", &bundle) != 0);
    OK(aclmdlBundleLoadFromFile(file, &bundle));
    OK(aclmdlBundleGetModelNum(bundle, &count));
    EXPECT(count, 2);
    OK(aclmdlBundleGetModelId(bundle, 0, &model[0]));
    OK(aclmdlBundleGetModelId(bundle, 1, &model[1]));
    EXPECT(aclmdlBundleGetModelId(bundle, 2, &model[2]), 100000);
    EXPECT(aclmdlBundleGetModelId(bundle + 9, 0, &model[2]), 148053);
    TRUE(answer(model[0]) == 3 && answer(model[1]) == 0);
    EXPECT(aclmdlUnload(model[0]), 100000);
    EXPECT(aclmdlUnload(bundle), 145003);
    OK(aclmdlBundleUnload(bundle));
    EXPECT(aclmdlBundleUnload(bundle), 148053);
    EXPECT(aclmdlUnload(model[0]), 145003);

    /* One by one. */
    OK(aclmdlBundleInitFromFile(file, NULL, 0, &bundle));
    EXPECT(aclmdlBundleLoadModel(bundle, 2, &model[0]), 100000);
    OK(aclmdlBundleLoadModel(bundle, 1, &model[0]));
    OK(aclmdlBundleLoadModel(bundle, 0, &model[1]));
    TRUE(answer(model[0]) == 0 && answer(model[1]) == 3);
    OK(aclmdlBundleUnloadModel(bundle, model[0]));
    EXPECT(aclmdlBundleUnloadModel(bundle, model[0]), 100000);
    OK(aclmdlBundleUnload(bundle));

    aclmdlBundleQueryInfo *info = aclmdlBundleCreateQueryInfo();
    TRUE(info != NULL);
    OK(aclmdlBundleQueryInfoFromFile(file, info));
    size_t work = 0, weights = 0;
    OK(aclmdlBundleGetQueryModelNum(info, &count));
    EXPECT(count, 2);
    OK(aclmdlBundleGetSize(info, 1, &work, &weights));
    EXPECT(aclmdlBundleGetSize(info, 2, &work, &weights), 100000);
    OK(aclmdlBundleDestroyQueryInfo(info));
    end(0);
    return finish();
}

#else

int main(void)
{
    return finish();
}

#endif
