/* How kernels are called: the part of IREE's executable library, version 6,
 * that a caller of kernels needs (iree/hal/local/executable_library.h). Kernels
 * read these structures at fixed offsets, so every size and offset is checked,
 * for 32-bit and for 64-bit addresses. */

typedef struct {
  const uint32_t *constants;
  int (*import_thunk)(void);
  const void *const *import_functions;
  const void *const *import_contexts;
  uint64_t processor[8];
} kernel_environment;

typedef struct {
  uint32_t workgroup_size_x;
  uint32_t workgroup_size_y;
  uint16_t workgroup_size_z;
  uint16_t constant_count;
  uint32_t workgroup_count_x;
  uint32_t workgroup_count_y;
  uint16_t workgroup_count_z;
  uint8_t max_concurrency;
  uint8_t binding_count;
  const uint32_t *constants;
  void *const *binding_pointers;
  const size_t *binding_lengths;
} kernel_dispatch;

typedef struct {
  uint32_t workgroup_x;
  uint32_t workgroup_y;
  uint16_t workgroup_z;
  uint16_t reserved;
  uint32_t processor;
  void *local_memory;
  uint32_t local_memory_bytes;
} kernel_workgroup;

typedef int (*kernel_function)(const kernel_environment *,
                               const kernel_dispatch *,
                               const kernel_workgroup *);

#define KERNEL_ABI_CHECK(name, condition)                                      \
  typedef char kernel_abi_##name[(condition) ? 1 : -1]
#define KERNEL_ABI_OFFSET(name, type, field, with_32_bits, with_64_bits)       \
  KERNEL_ABI_CHECK(                                                            \
      name, offsetof(type, field) ==                                           \
                (sizeof(void *) == 4 ? (with_32_bits) : (with_64_bits)))
#define KERNEL_ABI_SIZE(name, type, with_32_bits, with_64_bits)                \
  KERNEL_ABI_CHECK(                                                            \
      name,                                                                    \
      sizeof(type) == (sizeof(void *) == 4 ? (with_32_bits) : (with_64_bits)))

KERNEL_ABI_CHECK(pointers, sizeof(void *) == 4 || sizeof(void *) == 8);
KERNEL_ABI_CHECK(lengths, sizeof(size_t) == sizeof(void *));
KERNEL_ABI_OFFSET(environment_thunk, kernel_environment, import_thunk, 4, 8);
KERNEL_ABI_OFFSET(environment_functions, kernel_environment, import_functions,
                  8, 16);
KERNEL_ABI_OFFSET(environment_contexts, kernel_environment, import_contexts, 12,
                  24);
KERNEL_ABI_OFFSET(environment_processor, kernel_environment, processor, 16, 32);
KERNEL_ABI_SIZE(environment, kernel_environment, 80, 96);
KERNEL_ABI_OFFSET(dispatch_size_y, kernel_dispatch, workgroup_size_y, 4, 4);
KERNEL_ABI_OFFSET(dispatch_size_z, kernel_dispatch, workgroup_size_z, 8, 8);
KERNEL_ABI_OFFSET(dispatch_constant_count, kernel_dispatch, constant_count, 10,
                  10);
KERNEL_ABI_OFFSET(dispatch_count_x, kernel_dispatch, workgroup_count_x, 12, 12);
KERNEL_ABI_OFFSET(dispatch_count_y, kernel_dispatch, workgroup_count_y, 16, 16);
KERNEL_ABI_OFFSET(dispatch_count_z, kernel_dispatch, workgroup_count_z, 20, 20);
KERNEL_ABI_OFFSET(dispatch_concurrency, kernel_dispatch, max_concurrency, 22,
                  22);
KERNEL_ABI_OFFSET(dispatch_bindings, kernel_dispatch, binding_count, 23, 23);
KERNEL_ABI_OFFSET(dispatch_constants, kernel_dispatch, constants, 24, 24);
KERNEL_ABI_OFFSET(dispatch_pointers, kernel_dispatch, binding_pointers, 28, 32);
KERNEL_ABI_OFFSET(dispatch_lengths, kernel_dispatch, binding_lengths, 32, 40);
KERNEL_ABI_SIZE(dispatch, kernel_dispatch, 36, 48);
KERNEL_ABI_OFFSET(workgroup_y, kernel_workgroup, workgroup_y, 4, 4);
KERNEL_ABI_OFFSET(workgroup_z, kernel_workgroup, workgroup_z, 8, 8);
KERNEL_ABI_OFFSET(workgroup_processor, kernel_workgroup, processor, 12, 12);
KERNEL_ABI_OFFSET(workgroup_memory, kernel_workgroup, local_memory, 16, 16);
KERNEL_ABI_OFFSET(workgroup_memory_bytes, kernel_workgroup, local_memory_bytes,
                  20, 24);
KERNEL_ABI_SIZE(workgroup, kernel_workgroup, 24, 32);
