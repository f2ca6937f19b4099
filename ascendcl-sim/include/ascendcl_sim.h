/*
 * What the simulator's libascendcl.so has besides AscendCL: host functions that stand in for kernels.
 *
 * Kernels are not executed. Register a host function under the name of a kernel; then any file or bytes load as a kernel binary,
 * aclrtBinaryGetFunction finds the registered names, and a launch calls the function when the stream gets there.
 */
#ifndef ASCENDCL_SIM_H
#define ASCENDCL_SIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A launch, as its host function sees it. Good until that function returns. */
typedef struct ascendclsim_launch ascendclsim_launch;

/*
 * Stands in for a kernel: called once for each launch, on a thread of the simulator. It must not wait for streams or events, and no C++
 * exception may leave it. Returns 0, or what the stream reports: a code of AscendCL, or anything below 100000 for 507015.
 */
typedef int (*ascendclsim_kernel)(const ascendclsim_launch *launch, void *user);

/* Registers `function` under a name, in place of what had the name before. Returns 0, or 100000 for NULL or a name that is not UTF-8. */
int ascendclsim_register_kernel(const char *name, ascendclsim_kernel function, void *user);

/*
 * The same, with the size of each parameter in bytes, which aclrtLaunchKernelWithArgsArray and aclrtFunctionGetParamInfo need. Each
 * parameter starts at a multiple of 8.
 */
int ascendclsim_register_kernel_with_parameters(
    const char *name, ascendclsim_kernel function, void *user, const size_t *sizes, size_t count);

/* Ends a registration; waits for calls that are running. Launches in queues fail. Returns 0, or 100000 if there is none of that name. */
int ascendclsim_unregister_kernel(const char *name);

/* The name of the kernel. */
const char *ascendclsim_launch_name(const ascendclsim_launch *launch);

/* On how many cores it was launched. */
uint32_t ascendclsim_launch_blocks(const ascendclsim_launch *launch);

/* The device, and the number of the stream. */
int32_t ascendclsim_launch_device(const ascendclsim_launch *launch);
int32_t ascendclsim_launch_stream(const ascendclsim_launch *launch);

/* All arguments, as the program put them together, and their size in bytes. */
const void *ascendclsim_launch_arguments(const ascendclsim_launch *launch);
size_t ascendclsim_launch_arguments_size(const ascendclsim_launch *launch);

/* Copies `size` bytes of the arguments, from `offset` on. Returns 0, or 507015 if they reach past the end. */
int ascendclsim_launch_argument(const ascendclsim_launch *launch, size_t offset, void *value, size_t size);

/*
 * Reads and writes device memory at an address that stands among the arguments. Returns 0, or 507015 if the bytes are not all inside one
 * live allocation; returning that from the host function makes the stream say so.
 */
int ascendclsim_launch_read(const ascendclsim_launch *launch, uint64_t address, void *bytes, size_t size);
int ascendclsim_launch_write(const ascendclsim_launch *launch, uint64_t address, const void *bytes, size_t size);

/* How many objects are alive that the program has to give back. */
size_t ascendclsim_live_count(void);

/* How many races, misuses and leaks were reported so far: see ASCENDCL_SIM_RACES, ASCENDCL_SIM_MISUSE and ASCENDCL_SIM_LEAKS. */
size_t ascendclsim_report_count(void);

#ifdef __cplusplus
}
#endif

#endif
