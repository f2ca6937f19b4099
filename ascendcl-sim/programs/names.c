/* The library under all its names is one: loaded after each other, in the order in which a program may have linked them. */
#include <dlfcn.h>

#include "check.h"

int main(void)
{
    static const char *const names[] = {"libmsprofiler.so", "libacl_tdt_queue.so", "libacl_tdt_channel.so", "libacl_op_compiler.so",
                                        "libacl_mdl.so", "libacl_rt.so", "libascendcl.so"};
    begin(0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        /* One set of devices, contexts and threads' states: this one knows what the program has done with another. */
        int (*get_device)(int32_t *) = NULL;
        *(void **)&get_device = dlsym(library, "aclrtGetDevice");
        TRUE(get_device == (int (*)(int32_t *))aclrtGetDevice);
        int32_t device = -1;
        EXPECT(get_device(&device), 0);
        EXPECT(device, 0);
        /* Closing one must not take away the code of threads that are in it. */
        dlclose(library);
    }
    OK(aclrtSynchronizeDevice());
    end(0);
    return finish();
}
