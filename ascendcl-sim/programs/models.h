/* What programs about models share. The models are files in the folder that PROGRAMS_MODELS names. */
#ifndef MODELS_H
#define MODELS_H

#include "acl/acl_mdl.h"
#include "check.h"

static const char *model_file(const char *name)
{
    static char path[1024];
    const char *folder = getenv("PROGRAMS_MODELS");
    if (folder == NULL) {
        fprintf(stderr, "PROGRAMS_MODELS has to name the folder with models\n");
        exit(1);
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A loaded model with memory for everything that it reads and writes. */
typedef struct {
    uint32_t id;
    aclmdlDesc *desc;
    aclmdlDataset *in, *out;
} Model;

static void *add(aclmdlDataset *set, size_t size)
{
    void *memory = NULL;
    OK(aclrtMalloc(&memory, size, ACL_MEM_MALLOC_HUGE_FIRST));
    OK(aclrtMemset(memory, size, 0, size));
    OK(aclmdlAddDatasetBuffer(set, aclCreateDataBuffer(memory, size)));
    return memory;
}

static void drop(aclmdlDataset *set)
{
    for (size_t i = 0; i < aclmdlGetDatasetNumBuffers(set); i++) {
        aclDataBuffer *buffer = aclmdlGetDatasetBuffer(set, i);
        OK(aclrtFree(aclGetDataBufferAddr(buffer)));
        OK(aclDestroyDataBuffer(buffer));
    }
    OK(aclmdlDestroyDataset(set));
}

/* Memory for a model that is loaded already. */
static Model model_of(uint32_t id)
{
    Model model = {id, aclmdlCreateDesc(), aclmdlCreateDataset(), aclmdlCreateDataset()};
    OK(aclmdlGetDesc(model.desc, id));
    for (size_t i = 0; i < aclmdlGetNumInputs(model.desc); i++)
        add(model.in, aclmdlGetInputSizeByIndex(model.desc, i));
    for (size_t i = 0; i < aclmdlGetNumOutputs(model.desc); i++)
        add(model.out, aclmdlGetOutputSizeByIndex(model.desc, i));
    return model;
}

static Model model_load(const char *name)
{
    uint32_t id = 0;
    OK(aclmdlLoadFromFile(model_file(name), &id));
    return model_of(id);
}

static void model_forget(Model *model)
{
    drop(model->in);
    drop(model->out);
    OK(aclmdlDestroyDesc(model->desc));
}

static void model_unload(Model *model)
{
    model_forget(model);
    OK(aclmdlUnload(model->id));
}

static void model_put(const Model *model, size_t index, const void *bytes, size_t size)
{
    void *memory = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(model->in, index));
    OK(aclrtMemcpy(memory, size, bytes, size, ACL_MEMCPY_HOST_TO_DEVICE));
}

static void model_get(const Model *model, void *bytes, size_t size)
{
    const void *memory = aclGetDataBufferAddr(aclmdlGetDatasetBuffer(model->out, 0));
    OK(aclrtMemcpy(bytes, size, memory, size, ACL_MEMCPY_DEVICE_TO_HOST));
}

static int model_run(const Model *model)
{
    return aclmdlExecute(model->id, model->in, model->out);
}

/* The shape of the first output as it is now. */
static int shape_is(const Model *model, const int64_t *dims, size_t count)
{
    aclmdlIODims current;
    memset(&current, 0, sizeof current);
    OK(aclmdlGetCurOutputDims(model->desc, 0, &current));
    return current.dimCount == count && memcmp(current.dims, dims, count * sizeof *dims) == 0;
}

/* Not every program uses everything. */
static void models_unused(void) __attribute__((unused));
static void models_unused(void)
{
    (void)model_load;
    (void)model_unload;
    (void)model_put;
    (void)model_get;
    (void)model_run;
    (void)shape_is;
    models_unused();
}

#endif
