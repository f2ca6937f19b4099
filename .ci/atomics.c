/* Tells helgrind what atomic operations order.
 *
 * Helgrind knows the functions of pthreads and nothing of atomics, of which Rust makes its locks, channels and reference counts: by
 * itself it would report every one of them. With `-Zsanitizer=thread` the compiler calls a function of ThreadSanitizer's run time
 * for each atomic operation, also in the standard library if that is built along (`-Zbuild-std`). Here are these functions for helgrind:
 * each does the operation, and says that what came before a release happens before what comes after an acquire of the same place.
 * Everything else (threads, joins, memory, plain reads and writes) helgrind sees by itself, in the machine code.
 *
 * Relaxed operations order nothing, as in the language, unless a fence stands beside them. A release counts for every later acquire of
 * its place, also for one that read an older value: so an order may be seen where there is none, but never the other way round.
 * Stores are exchanges, because helgrind takes a locked instruction for a read, and two of them for no race. */

#include <stddef.h>
#include <string.h>
#include <valgrind/helgrind.h>

enum { RELAXED, CONSUME, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };

/* What this thread has read without acquiring: a fence may acquire it yet. */
enum { RECENT = 16 };
static _Thread_local volatile void *recent[RECENT];
static _Thread_local unsigned next_recent;
/* A release fence has passed: the stores behind it publish what was before it. */
static _Thread_local int fenced;
/* What fences share among each other. */
static char fences;

static int acquires(int order) { return order != RELAXED && order != RELEASE; }
static int releases(int order) { return order >= RELEASE; }

static void before(volatile void *place, int order) {
    if (releases(order) || fenced) ANNOTATE_HAPPENS_BEFORE((void *)place);
}

static void after(volatile void *place, int order) {
    if (acquires(order)) ANNOTATE_HAPPENS_AFTER((void *)place);
    else recent[next_recent++ % RECENT] = place;
}

#define ATOMIC(BITS, TYPE)                                                                             \
    TYPE __tsan_atomic##BITS##_load(const volatile TYPE *place, int order) {                           \
        TYPE value = __atomic_load_n(place, __ATOMIC_SEQ_CST);                                         \
        after((volatile void *)place, order);                                                          \
        return value;                                                                                  \
    }                                                                                                  \
    void __tsan_atomic##BITS##_store(volatile TYPE *place, TYPE value, int order) {                    \
        before(place, order);                                                                          \
        __atomic_exchange_n(place, value, __ATOMIC_SEQ_CST);                                           \
    }                                                                                                  \
    TYPE __tsan_atomic##BITS##_compare_exchange_val(volatile TYPE *place, TYPE expected, TYPE value,   \
                                                    int order, int failed) {                           \
        before(place, order);                                                                          \
        int done = __atomic_compare_exchange_n(place, &expected, value, 0, __ATOMIC_SEQ_CST,           \
                                               __ATOMIC_SEQ_CST);                                      \
        after(place, done ? order : failed);                                                           \
        return expected;                                                                               \
    }                                                                                                  \
    int __tsan_atomic##BITS##_compare_exchange_strong(volatile TYPE *place, TYPE *expected, TYPE value,\
                                                      int order, int failed) {                         \
        TYPE was = __tsan_atomic##BITS##_compare_exchange_val(place, *expected, value, order, failed); \
        int done = was == *expected;                                                                   \
        *expected = was;                                                                               \
        return done;                                                                                   \
    }                                                                                                  \
    int __tsan_atomic##BITS##_compare_exchange_weak(volatile TYPE *place, TYPE *expected, TYPE value,  \
                                                    int order, int failed) {                           \
        return __tsan_atomic##BITS##_compare_exchange_strong(place, expected, value, order, failed);   \
    }                                                                                                  \
    CHANGE(BITS, TYPE, exchange, __atomic_exchange_n)                                                  \
    CHANGE(BITS, TYPE, fetch_add, __atomic_fetch_add)                                                  \
    CHANGE(BITS, TYPE, fetch_sub, __atomic_fetch_sub)                                                  \
    CHANGE(BITS, TYPE, fetch_and, __atomic_fetch_and)                                                  \
    CHANGE(BITS, TYPE, fetch_or, __atomic_fetch_or)                                                    \
    CHANGE(BITS, TYPE, fetch_xor, __atomic_fetch_xor)                                                  \
    CHANGE(BITS, TYPE, fetch_nand, __atomic_fetch_nand)

#define CHANGE(BITS, TYPE, NAME, OPERATION)                                                            \
    TYPE __tsan_atomic##BITS##_##NAME(volatile TYPE *place, TYPE value, int order) {                   \
        before(place, order);                                                                          \
        TYPE was = OPERATION(place, value, __ATOMIC_SEQ_CST);                                          \
        after(place, order);                                                                           \
        return was;                                                                                    \
    }

ATOMIC(8, unsigned char)
ATOMIC(16, unsigned short)
ATOMIC(32, unsigned int)
ATOMIC(64, unsigned long)

void __tsan_atomic_thread_fence(int order) {
    if (releases(order)) {
        ANNOTATE_HAPPENS_BEFORE(&fences);
        fenced = 1;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (acquires(order)) {
        ANNOTATE_HAPPENS_AFTER(&fences);
        for (unsigned i = 0; i < RECENT; i++)
            if (recent[i]) ANNOTATE_HAPPENS_AFTER((void *)recent[i]);
    }
}

void __tsan_atomic_signal_fence(int order) { (void)order; }

/* What the compiler calls for anything but atomics, as far as the flags leave it any: nothing to add. */
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}
void *__tsan_memcpy(void *to, const void *from, size_t bytes) { return memcpy(to, from, bytes); }
void *__tsan_memmove(void *to, const void *from, size_t bytes) { return memmove(to, from, bytes); }
void *__tsan_memset(void *to, int value, size_t bytes) { return memset(to, value, bytes); }
