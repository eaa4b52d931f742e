/* Let one allocation of one call fail: preloaded into a Python process.
 *
 * Counts what the calling thread allocates, in the C library, as the native core does for
 * its queues, and in Python's allocators of objects, which have arenas of their own.
 */
#define _GNU_SOURCE
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>

static _Thread_local long remaining = -1; /* allocations that still succeed */
static _Thread_local int failed;

static int
is_to_fail(void)
{
    if (remaining < 0 || remaining-- > 0) {
        return 0;
    }
    failed = 1;
    errno = ENOMEM;
    return 1;
}

#define NEXT(name, result, ...)                                                        \
    static result (*next)(__VA_ARGS__);                                                \
    if (next == NULL) {                                                                \
        next = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);                         \
    }

void *
malloc(size_t size)
{
    NEXT("malloc", void *, size_t)
    return is_to_fail() ? NULL : next(size);
}

void *
realloc(void *pointer, size_t size)
{
    NEXT("realloc", void *, void *, size_t)
    return is_to_fail() ? NULL : next(pointer, size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
    NEXT("posix_memalign", int, void **, size_t, size_t)
    return is_to_fail() ? ENOMEM : next(memory, alignment, size);
}

/* Python's domains but RAW, which is malloc. */
static PyMemAllocatorEx inner[2];

static void *
hooked_malloc(void *context, size_t size)
{
    PyMemAllocatorEx *allocator = context;
    return is_to_fail() ? NULL : allocator->malloc(allocator->ctx, size);
}

static void *
hooked_calloc(void *context, size_t count, size_t size)
{
    PyMemAllocatorEx *allocator = context;
    return is_to_fail() ? NULL : allocator->calloc(allocator->ctx, count, size);
}

static void *
hooked_realloc(void *context, void *pointer, size_t size)
{
    PyMemAllocatorEx *allocator = context;
    return is_to_fail() ? NULL : allocator->realloc(allocator->ctx, pointer, size);
}

static void
hooked_free(void *context, void *pointer)
{
    PyMemAllocatorEx *allocator = context;
    allocator->free(allocator->ctx, pointer);
}

/* Called once, before there is a second thread. */
void
no_memory_install(void)
{
    PyMemAllocatorDomain domains[2] = {PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ};
    for (int i = 0; i < 2; i++) {
        PyMem_GetAllocator(domains[i], &inner[i]);
        PyMemAllocatorEx hooked = {&inner[i], hooked_malloc, hooked_calloc,
                                   hooked_realloc, hooked_free};
        PyMem_SetAllocator(domains[i], &hooked);
    }
}

/* Call the function, and let its n-th allocation fail, counted from 0; `*has_failed` is
 * whether it came to that. */
PyObject *
no_memory_call(long n, PyObject *fn, int *has_failed)
{
    failed = 0;
    remaining = n;
    PyObject *result = PyObject_CallNoArgs(fn);
    remaining = -1;
    *has_failed = failed;
    return result;
}
